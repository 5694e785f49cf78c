package google

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"herd/places"
	"herd/places/placestest"
	"herd/places/upstream"
)

// Each result is as Google sent it, except for white space.
func TestLegacy(t *testing.T) {
	server, c := serve(t)
	l, err := NewLegacy(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	body, status, n := places.Nearby(t.Context(), l, nearby5)
	const want = `{
  "html_attributions": [
    "Listings by <a href=\"https://listings.example/\">Listings</a>"
  ],
  "results": [
    {
      "vicinity": "1 Example Way, Los Angeles",
      "name": "Near Café",
      "place_id": "ChIJSYNTHETIC0001",
      "geometry": {
        "location": {
          "lat": 34.0690,
          "lng": -118.4451
        }
      },
      "types": [
        "cafe"
      ]
    },
    {
      "business_status": "OPERATIONAL",
      "geometry": {
        "location": {
          "lat": 34.07010,
          "lng": -118.4440e0
        },
        "viewport": {
          "northeast": {
            "lat": 34.0715,
            "lng": -118.4426
          },
          "southwest": {
            "lat": 34.0687,
            "lng": -118.4454
          }
        }
      },
      "icon": "https://maps.example/icons/museum.png",
      "name": "Far\u00e9 \/ Hall",
      "opening_hours": {
        "open_now": true
      },
      "place_id": "ChIJSYNTHETIC0002",
      "rating": 4.50,
      "types": [
        "museum",
        "point_of_interest",
        "establishment"
      ],
      "user_ratings_total": 12,
      "vicinity": "2 Example Way, Los Angeles"
    }
  ],
  "status": "OK"
}`
	if string(body) != want || status != places.OK || n != 2 {
		t.Errorf("%s, %d results:\n%s\nwant:\n%s", status, n, body, want)
	}
	const request = "GET /maps/api/place/nearbysearch/json?key=" + key + "&location=34.06893%2C-118.445127&radius=10000 herd|| "
	if got := server.Requests(); len(got) != 1 || got[0] != request {
		t.Errorf("%q\nwant\n%q", got, request)
	}
	if _, _, n := places.Nearby(t.Context(), l, places.Query{At: campus, Radius: 10, Bound: 1}); n != 1 {
		t.Errorf("%d results, want 1", n)
	}
}

// A result longer than maxResult is left out; one just as long is not.
func TestLegacyLongResult(t *testing.T) {
	result := func(bytes int) string {
		const text = `{"name":"x","geometry":{"location":{"lat":1,"lng":1}}}`
		return strings.Replace(text, "x", strings.Repeat("x", bytes-len(text)+1), 1)
	}
	a, err := decodeLegacy([]byte(`{"status":"OK","results":[` + result(maxResult+1) + "," + result(maxResult) + `]}`))
	if err != nil || len(a.Results) != 1 || len(a.Results[0].Raw) != maxResult {
		t.Errorf("%d results, %v", len(a.Results), err)
	}
}

func TestLegacyStatus(t *testing.T) {
	for text, want := range map[string]places.Error{
		`{"status":"INVALID_REQUEST"}`:                               {Status: places.InvalidRequest, Err: errors.New("INVALID_REQUEST")},
		`{"status":"REQUEST_DENIED","error_message":"No key."}`:      {Status: places.RequestDenied, Err: errors.New("REQUEST_DENIED: No key.")},
		`{"status":"OVER_QUERY_LIMIT","results":[]}`:                 {Status: places.OverQueryLimit, Err: errors.New("OVER_QUERY_LIMIT")},
		`{"status":"OVER_DAILY_LIMIT","error_message":"No bill."}`:   {Status: places.OverQueryLimit, Err: errors.New("OVER_DAILY_LIMIT: No bill.")},
		`{"status":"UNKNOWN_ERROR"}`:                                 {Status: places.UnknownError, Err: errors.New("UNKNOWN_ERROR"), Retryable: true},
		`{"status":"NOT_FOUND"}`:                                     {Status: places.UnknownError, Err: errors.New(`malformed answer: status "NOT_FOUND"`)},
		`{"results":[]}`:                                             {Status: places.UnknownError, Err: errors.New("malformed answer: no status")},
		`{"status":"OK","results":[{"name":"A","geometry":"here"}]}`: {Status: places.UnknownError, Err: errors.New(`malformed answer: unexpected JSON: "geometry" is a string`)},
	} {
		_, err := decodeLegacy([]byte(text))
		e, ok := errors.AsType[*places.Error](err)
		if !ok || e.Status != want.Status || e.Error() != want.Error() || e.Retryable != want.Retryable {
			t.Errorf("%s: %+v, want %+v", text, e, want)
		}
	}
	for _, text := range []string{`{"status":"ZERO_RESULTS"}`, `{"status":"OK"}`, `{"status":"OK","results":[null,{}]}`} {
		if a, err := decodeLegacy([]byte(text)); err != nil || len(a.Results) != 0 {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
}

// The transport's own errors print the URL, and the URL has the key.
func TestLegacyHidesTheKey(t *testing.T) {
	c := Config{Key: key, Endpoint: "http://google.example"}
	c.Upstream.Attempts = 1
	c.Upstream.Transport = failing{}
	l, err := NewLegacy(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Find(t.Context(), nearby5)
	if err == nil || err.Error() != "google-legacy: cannot GET http://google.example/maps/api/place/nearbysearch/json?key=[key]&location=34.06893%2C-118.445127&radius=10000" {
		t.Error(err)
	}
}

// The key is not in results either.
func TestLegacyHidesTheKeyInPlaces(t *testing.T) {
	n := placestest.NewNetwork(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"status":"OK","results":[{"name":"%s","geometry":{"location":{"lat":34.07,"lng":-118.44}}}]}`, r.FormValue("key"))
	}))
	defer n.Close()
	l, err := NewLegacy(Config{Key: key, Endpoint: "http://google.example", Upstream: upstream.Config{Transport: n.Transport()}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := l.Find(t.Context(), nearby5)
	if err != nil || len(a.Results) != 1 || a.Results[0].Name != "[key]" || strings.Contains(string(a.Results[0].Raw), key) {
		t.Errorf("%+v, %v", a, err)
	}
}

// failing is a transport whose errors show the URL.
type failing struct{}

func (failing) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, errors.New("cannot " + r.Method + " " + r.URL.String())
}

func FuzzLegacy(f *testing.F) {
	for _, name := range []string{"legacy_ok.json", "legacy_zero_results.json", "legacy_request_denied.json", "new_searchnearby_ok.json"} {
		f.Add(string(placestest.Fixture(name)))
	}
	f.Fuzz(func(t *testing.T, text string) { sound(t, text, decodeLegacy) })
}
