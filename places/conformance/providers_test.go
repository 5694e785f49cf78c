package conformance

import (
	"net/http/httptest"
	"testing"

	"herd/places"
	"herd/places/gazetteer"
	"herd/places/google"
	"herd/places/overpass"
	"herd/places/replay"
	"herd/places/upstream"
)

const key = "AIzaSyTHE-KEY_0123456789"

// finder is a provider behind a network.
type finder interface {
	places.Finder
	Close()
}

var (
	campus  = places.Point{Lat: 34.06893, Lng: -118.445127}
	andorra = places.Point{Lat: 42.5078, Lng: 1.5211}
)

// providers are those behind a network, and what package replay has of theirs.
var providers = []struct {
	name   string
	open   func(endpoint string, c upstream.Config) (finder, error)
	sample Sample
}{
	{"google", func(endpoint string, c upstream.Config) (finder, error) {
		return google.New(google.Config{Key: key, Endpoint: endpoint, Upstream: c})
	}, Sample{At: campus, Radius: 10, Least: 1, Nowhere: places.Point{Lat: 30, Lng: -40}}},
	{"google-legacy", func(endpoint string, c upstream.Config) (finder, error) {
		return google.NewLegacy(google.Config{Key: key, Endpoint: endpoint, Upstream: c})
	}, Sample{At: campus, Radius: 10, Least: 2, Nowhere: places.Point{Lat: 30, Lng: -40}}},
	{"overpass", func(endpoint string, c upstream.Config) (finder, error) {
		return overpass.New(overpass.Config{Endpoint: endpoint, Upstream: c})
	}, Sample{At: andorra, Radius: 10, Least: 20, Nowhere: places.Point{Lat: 30, Lng: -40}}},
}

func TestGazetteer(t *testing.T) {
	Test(t, gazetteer.Open(), Sample{At: campus, Radius: 10, Least: 20, Nowhere: places.Point{Lat: 30, Lng: -40}})
}

func TestProviders(t *testing.T) {
	for _, p := range providers {
		t.Run(p.name, func(t *testing.T) {
			server := httptest.NewServer(new(replay.Server))
			defer server.Close()
			f, err := p.open(server.URL, upstream.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			Test(t, f, p.sample)
		})
	}
}
