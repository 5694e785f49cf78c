// Package overpass is the provider that queries an Overpass server, a database of OpenStreetMap
// (https://wiki.openstreetmap.org/wiki/Overpass_API/Overpass_QL).
//
// Overpass does not sort by distance, and cuts an answer that is too large at random. So the first circle requested is small and grows
// until it holds enough places; if even the first one holds too many, it shrinks. The places are sorted here.
package overpass

import (
	"context"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"herd/places"
	"herd/places/osm"
	"herd/places/upstream"
)

// Config says how to query Overpass.
type Config struct {
	Endpoint string          // URL of the server, as in https://overpass.example/api; required, for public servers are not meant as a back end
	Upstream upstream.Config // its Provider and InFlight are ignored
}

// Finder queries Overpass. It implements places.Finder.
type Finder struct {
	client *upstream.Client
	url    string
}

const (
	maxInFlight = 2    // requests at a time that servers allow
	maxObjects  = 400  // of an answer
	shrinkBy    = 4    // the ratio of the radius of a circle to that of the next smaller one
	maxShrinks  = 3    // of a circle
	metres      = 1000 // in a kilometre
)

// radii are those in km of the circles that are requested, up to the radius of the query.
var radii = []float64{1, 3, 10, 50}

// New returns a Finder. It fails without an endpoint, or with one that is not a URL.
func New(c Config) (*Finder, error) {
	if c.Endpoint == "" {
		return nil, errors.New("overpass: there is no endpoint; public servers are not meant as a back end, so none is preset")
	}
	endpoint, err := upstream.Endpoint(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("overpass: %w", err)
	}
	c.Upstream.Provider, c.Upstream.InFlight = "overpass", maxInFlight
	return &Finder{upstream.New(c.Upstream), endpoint + "/interpreter"}, nil
}

// Close closes the idle connections.
func (f *Finder) Close() { f.client.Close() }

// Find returns the places in the circle of q, nearest first. Where more than 400 lie within a few metres, some may be missing.
func (f *Finder) Find(ctx context.Context, q places.Query) (places.Answer, error) {
	return f.client.Find(ctx, q, func(ctx context.Context) (places.Answer, error) {
		found, err := f.search(ctx, q)
		if err != nil {
			return places.Answer{}, err
		}
		return places.Answer{HTMLAttributions: []string{osm.Attribution}, Results: found}, nil
	})
}

// search requests larger and larger circles until there are q.Bound places. If the answer to a circle was cut, smaller ones follow, so that
// the nearest places are complete; the places of the cut answer are added to them.
func (f *Finder) search(ctx context.Context, q places.Query) ([]places.Place, error) {
	all := make(map[string]places.Place)
	request := func(radius float64) (cut bool, err error) {
		found, cut, err := f.circle(ctx, q.At, radius)
		for _, p := range found {
			all[p.PlaceID] = p
		}
		return cut, err
	}
	complete := 0.0 // radius of the largest circle whose answer was not cut
	for _, radius := range radii {
		radius = min(radius, q.Radius)
		cut, err := request(radius)
		tooMany := cut
		for n := 0; cut && n < maxShrinks && radius/shrinkBy > complete; n++ {
			radius /= shrinkBy
			cut, err = request(radius)
		}
		if err != nil {
			return nil, err
		}
		if tooMany || len(all) >= q.Bound || radius >= q.Radius {
			break
		}
		complete = radius
	}
	return slices.SortedFunc(maps.Values(all), func(a, b places.Place) int { return strings.Compare(a.PlaceID, b.PlaceID) }), nil
}

// circle returns the places within radius km of at, and whether the answer was cut.
func (f *Finder) circle(ctx context.Context, at places.Point, radius float64) (found []places.Place, cut bool, err error) {
	r := upstream.Request{
		Method: http.MethodPost, URL: f.url, Body: "data=" + url.QueryEscape(query(at, radius)),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}
	err = f.client.Do(ctx, r, func(r upstream.Response) (err error) {
		if r.Status != http.StatusOK {
			return upstream.Failed(r.Status, message(r.Body))
		}
		found, cut, err = decode(r.Body)
		return err
	})
	return found, cut, err
}

// query returns the query for all objects with a name and a tag of a place.
func query(at places.Point, radius float64) string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	return fmt.Sprintf(`[out:json][timeout:25][maxsize:33554432];nwr(around:%s,%s,%s)[name][~"^(%s)$"~"."];out center qt %d;`,
		number(radius*metres), number(at.Lat), number(at.Lng), strings.Join(osm.Keys, "|"), maxObjects)
}

// point is a point of Overpass.
type point struct{ Lat, Lon *float64 }

// answer is an answer of Overpass (https://wiki.openstreetmap.org/wiki/OSM_JSON).
type answer struct {
	Elements *upstream.List[struct {
		point
		Type   string
		ID     int64
		Center point // of a way or a relation
		Tags   map[string]string
	}]
	Remark string // an error that came too late for the HTTP status: the elements are incomplete
}

// decode returns the places of an answer in its order, and whether it was cut.
func decode(text []byte) (found []places.Place, cut bool, err error) {
	var in answer
	if err := upstream.Decode(text, &in); err != nil {
		return nil, false, err
	}
	if in.Remark != "" {
		return nil, false, &places.Error{Status: places.UnknownError, Err: errors.New(in.Remark)}
	}
	if in.Elements == nil {
		return nil, false, upstream.Malformed("no elements")
	}
	for _, e := range *in.Elements {
		at := e.point
		switch e.Type {
		case "node":
		case "way", "relation":
			at = e.Center
		default:
			continue
		}
		if at.Lat == nil || at.Lon == nil {
			continue
		}
		if p, ok := osm.Place(e.Type, e.ID, places.Point{Lat: *at.Lat, Lng: *at.Lon}, e.Tags); ok {
			found = append(found, p)
		}
	}
	return found, len(*in.Elements) >= maxObjects, nil
}

var (
	complaint = regexp.MustCompile(`(?is)<strong[^>]*>\s*Error\s*</strong>\s*:?(.*?)</p>`)
	element   = regexp.MustCompile(`(?s)<[^>]*>`)
)

// message returns the text of an error page, or "".
func message(page []byte) string {
	var texts []string
	for _, found := range complaint.FindAllSubmatch(page, 5) {
		text := html.UnescapeString(element.ReplaceAllString(string(found[1]), " "))
		texts = append(texts, strings.Join(strings.Fields(text), " "))
	}
	return strings.Join(texts, "; ")
}
