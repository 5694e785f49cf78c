package placestest

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"herd/places"
	"herd/places/file"
	"herd/places/gazetteer"
	"herd/places/google"
	"herd/places/importer"
	"herd/places/overpass"
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

// providers are those behind a network, and where Server has places of theirs.
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

// The file is an extract of OpenStreetMap.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "andorra.tsv.zst")
	if _, err := importer.Import(t.Context(), importer.Config{Input: "../importer/testdata/andorra-poi.osm.pbf", Output: path}); err != nil {
		t.Fatal(err)
	}
	Test(t, file.Open(path), Sample{At: andorra, Radius: 10, Least: 20, Nowhere: places.Point{Lat: 30, Lng: -40}})
}

// Finders made of a Finder keep its contract.
func TestBetween(t *testing.T) {
	unwatched := func(places.Event) {}
	world := gazetteer.Open()
	sample := Sample{At: campus, Radius: 10, Least: 20, Nowhere: places.Point{Lat: 30, Lng: -40}}
	for name, f := range map[string]places.Finder{
		"shared":   places.Share("gazetteer", world, unwatched),
		"measured": places.Measure("gazetteer", world, unwatched),
		"fallback": places.Fallback("overpass", down{}, "gazetteer", world, unwatched),
	} {
		t.Run(name, func(t *testing.T) { Test(t, f, sample) })
	}
}

// down is a provider that always fails, for the same reason.
type down struct{}

func (down) Find(ctx context.Context, _ places.Query) (places.Answer, error) {
	if err := ctx.Err(); err != nil {
		return places.Answer{}, err
	}
	return places.Answer{}, errors.New("overpass: down")
}

func TestProviders(t *testing.T) {
	for _, p := range providers {
		t.Run(p.name, func(t *testing.T) {
			server := httptest.NewServer(new(Server))
			defer server.Close()
			f, err := p.open(server.URL, upstream.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			Test(t, f, p.sample)
		})
		t.Run(p.name+" over TLS and HTTP/2", func(t *testing.T) {
			server := httptest.NewUnstartedServer(new(Server))
			server.EnableHTTP2 = true
			server.StartTLS()
			defer server.Close()
			f, err := p.open(server.URL, upstream.Config{Transport: server.Client().Transport})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			Test(t, f, p.sample)
		})
	}
}

// Requests go through the proxy in the environment. A process reads the environment once, so this needs another process.
func TestProxy(t *testing.T) {
	if os.Getenv("HERD_PROXIED") != "" {
		for _, p := range providers {
			f, err := p.open("http://"+p.name+".example", upstream.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			find(t, f, places.Query{At: p.sample.At, Radius: 1, Bound: 1})
		}
		return
	}
	var providers Server
	proxy := httptest.NewServer(&providers)
	defer proxy.Close()
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxy$")
	again.Env = append(os.Environ(), "HERD_PROXIED=yes", "HTTP_PROXY="+proxy.URL, "NO_PROXY=")
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var hosts []string
	for _, r := range providers.Requests() {
		host, _, _ := strings.Cut(strings.TrimPrefix(strings.Fields(r)[1], "http://"), "/")
		hosts = append(hosts, host)
	}
	if want := []string{"google.example", "google-legacy.example", "overpass.example"}; !slices.Equal(hosts, want) {
		t.Errorf("%q, want %q", hosts, want)
	}
}

// BenchmarkFind queries each provider over loopback for five places; the fixture of Overpass has 183 objects.
func BenchmarkFind(b *testing.B) {
	for _, p := range providers {
		b.Run(p.name, func(b *testing.B) {
			server := httptest.NewServer(new(Server))
			defer server.Close()
			f, err := p.open(server.URL, upstream.Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Find(b.Context(), places.Query{At: p.sample.At, Radius: 10, Bound: 5}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
