package google

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"herd/places"
	"herd/places/placestest"
	"herd/places/upstream"
)

const key = "AIzaSyTHE-KEY_0123456789"

var (
	campus  = places.Point{Lat: 34.06893, Lng: -118.445127}
	nearby5 = places.Query{At: campus, Radius: 10, Bound: 5}
)

// serve returns a server and the Config to query it.
func serve(t *testing.T) (*placestest.Server, Config) {
	t.Helper()
	server := new(placestest.Server)
	n := placestest.NewNetwork(server)
	t.Cleanup(n.Close)
	return server, Config{Key: key, Endpoint: "http://google.example/", Upstream: upstream.Config{Transport: n.Transport()}}
}

func TestNew(t *testing.T) {
	server, c := serve(t)
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	body, status, n := places.Nearby(t.Context(), f, nearby5)
	const want = `{
  "html_attributions": [],
  "results": [
    {
      "business_status": "OPERATIONAL",
      "geometry": {
        "location": {
          "lat": 34.0594,
          "lng": -118.4437
        },
        "viewport": {
          "northeast": {
            "lat": 34.0608,
            "lng": -118.4423
          },
          "southwest": {
            "lat": 34.058,
            "lng": -118.4451
          }
        }
      },
      "name": "Example Museum",
      "place_id": "ChIJSYNTHETIC0001",
      "plus_code": {
        "global_code": "85633H54+QG"
      },
      "rating": 4.6,
      "types": [
        "museum",
        "tourist_attraction",
        "point_of_interest",
        "establishment"
      ],
      "user_ratings_total": 1234,
      "vicinity": "1 Example Way, Los Angeles"
    }
  ],
  "status": "OK"
}`
	if string(body) != want || status != places.OK || n != 1 {
		t.Errorf("%s, %d results:\n%s\nwant:\n%s", status, n, body, want)
	}
	const request = `POST /v1/places:searchNearby herd|application/json|` + basics + ` {` +
		`"locationRestriction":{"circle":{"center":{"latitude":34.06893,"longitude":-118.445127},"radius":10000}},"maxResultCount":5,"rankPreference":"DISTANCE"}`
	if got := server.Requests(); len(got) != 1 || got[0] != request {
		t.Errorf("%q\nwant\n%q", got, request)
	}
	// nothing outside the circle
	if _, status, _ := places.Nearby(t.Context(), f, places.Query{At: campus, Radius: 1, Bound: 5}); status != places.ZeroResults {
		t.Errorf("within 1 km: %s", status)
	}
}

func TestFields(t *testing.T) {
	server, c := serve(t)
	c.Fields = []string{"rating", "currentOpeningHours"}
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	if _, err := f.Find(t.Context(), nearby5); err != nil {
		t.Fatal(err)
	}
	if got, want := server.Requests()[0], "|"+basics+",places.rating,places.currentOpeningHours "; !strings.Contains(got, want) {
		t.Errorf("%s, want %s in it", got, want)
	}
}

func TestConfig(t *testing.T) {
	legacy := func(c Config) error { _, err := NewLegacy(c); return err }
	current := func(c Config) error { _, err := New(c); return err }
	for _, c := range []struct {
		new    func(Config) error
		config Config
		want   string
	}{
		{current, Config{Key: key}, "<nil>"},
		{legacy, Config{Key: key}, "<nil>"},
		{current, Config{}, "google: there is no key"},
		{legacy, Config{}, "google-legacy: there is no key"},
		{current, Config{Key: key, Endpoint: "example.org/" + key}, "google: the endpoint has to be a URL as in https://places.example/api"},
		{legacy, Config{Key: key, Endpoint: "ftp://example.org/" + key}, "google-legacy: the endpoint has to be a URL as in https://places.example/api"},
		{
			current,
			Config{Key: key, Fields: []string{"reviews", "rating", "places.id"}},
			"google: no such field: \"reviews\"; there are rating, userRatingCount, priceLevel, currentOpeningHours\n" +
				"google: no such field: \"places.id\"; there are rating, userRatingCount, priceLevel, currentOpeningHours",
		},
		{legacy, Config{Key: key, Fields: []string{"rating"}}, "google-legacy: fields cannot be chosen, it always sends all"},
	} {
		if got := fmt.Sprint(c.new(c.config)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestDecode(t *testing.T) {
	const text = `{"places":[
		{"id":"1","displayName":{"text":"All"},"location":{"latitude":1.5,"longitude":2},"priceLevel":"PRICE_LEVEL_FREE","businessStatus":"CLOSED_TEMPORARILY",
		 "currentOpeningHours":{"openNow":false},"attributions":[{"provider":"A & B","providerUri":"https://a.example/?x=1&y=\"2\""},{"provider":"<C>","providerUri":"javascript:x"}]},
		{"id":"2","location":{"latitude":1,"longitude":2}},
		{"id":"3","displayName":{"text":"Nowhere"}},
		{"id":"4","displayName":{"text":"東京"},"location":{"latitude":1},"priceLevel":"PRICE_LEVEL_VERY_EXPENSIVE","viewport":{"low":{"latitude":1}},"currentOpeningHours":{},
		 "attributions":[{"provider":"A & B","providerUri":"https://a.example/?x=1&y=\"2\""},{}]},
		{"id":"5","displayName":{"text":"None"},"location":{},"viewport":{"high":{"latitude":1}},"priceLevel":"PRICE_LEVEL_UNSPECIFIED","businessStatus":"BUSINESS_STATUS_UNSPECIFIED"}]}`
	a, err := decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	results, err := json.Marshal(a.Results)
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"business_status":"CLOSED_TEMPORARILY","geometry":{"location":{"lat":1.5,"lng":2}},"name":"All","opening_hours":{"open_now":false},"place_id":"1","price_level":0,"types":null},` +
		`{"geometry":{"location":{"lat":1,"lng":2}},"name":"","place_id":"2","types":null},` +
		`{"geometry":{"location":{"lat":1,"lng":0}},"name":"東京","place_id":"4","price_level":4,"types":null},` +
		`{"geometry":{"location":{"lat":0,"lng":0}},"name":"None","place_id":"5","types":null}]`
	if string(results) != want {
		t.Errorf("%s\nwant\n%s", results, want)
	}
	const shown = `["<a href=\"https://a.example/?x=1&amp;y=&#34;2&#34;\">A &amp; B</a>" "&lt;C&gt;"]`
	if got := fmt.Sprintf("%q", a.HTMLAttributions); got != shown {
		t.Errorf("%s\nwant\n%s", got, shown)
	}
}

// The answer without places is an empty object; others are malformed.
func TestNothing(t *testing.T) {
	for text, want := range map[string]string{
		"{}": "<nil>", " {\n}\n": "<nil>", `{"places":[]}`: "<nil>", "null": "malformed answer: no places", `{"status":"OK"}`: "malformed answer: no places",
		`{"places":null}`: "malformed answer: no places", "[]": `malformed answer: unexpected JSON: "" is a array`, "": "malformed answer: not JSON: unexpected end of JSON input",
	} {
		if a, err := decode([]byte(text)); fmt.Sprint(err) != want || len(a.Results) != 0 {
			t.Errorf("%s: %+v, %v, want %s", text, a, err, want)
		}
	}
}

// A wrong key, which Google answers as a bad request, has the status REQUEST_DENIED.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"error":{"code":400,"message":"API key not valid.","details":[{},{"reason":"API_KEY_INVALID"}]}}`: "REQUEST_DENIED status 400: API key not valid.",
		`{"error":{"code":400,"message":"No radius."}}`:                                                     "INVALID_REQUEST status 400: No radius.",
		`{"error":{}}`: "INVALID_REQUEST status 400: Bad Request",
		`<html>`:       "INVALID_REQUEST status 400: Bad Request",
		``:             "INVALID_REQUEST status 400: Bad Request",
	} {
		e, ok := errors.AsType[*places.Error](refused(upstream.Response{Status: 400, Body: []byte(text)}))
		if !ok || e.Status+" "+e.Error() != want {
			t.Errorf("%s: %+v, want %s", text, e, want)
		}
	}
}

// Whatever is decoded can be sent to a client.
func FuzzNew(f *testing.F) {
	for _, name := range []string{"new_searchnearby_ok.json", "new_searchnearby_zero.json", "new_error_403.json", "legacy_ok.json"} {
		f.Add(string(placestest.Fixture(name)))
	}
	f.Fuzz(func(t *testing.T, text string) { sound(t, text, decode) })
}

// sound checks the places that decode returns for text.
func sound(t *testing.T, text string, decode func([]byte) (places.Answer, error)) {
	a, err := decode([]byte(text))
	if err != nil {
		if a.Results != nil {
			t.Errorf("results and %v", err)
		}
		return
	}
	for _, p := range a.Results {
		at := p.Geometry.Location
		if at != at || p.Raw != nil && !json.Valid(p.Raw) {
			t.Errorf("%+v", p)
		}
	}
	for _, p := range upstream.Nearest(a.Results, places.Query{At: campus, Radius: 50, Bound: 20}) {
		if p.Name == "" || places.Distance(campus, p.Geometry.Location) > 50 {
			t.Errorf("%+v", p)
		}
	}
}
