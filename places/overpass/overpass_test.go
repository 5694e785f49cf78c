package overpass

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herd/places"
	"herd/places/osm"
	"herd/places/placestest"
	"herd/places/upstream"
)

var centre = places.Point{Lat: 42.5078, Lng: 1.5211} // of Andorra la Vella

// finder returns a Finder that queries h.
func finder(t *testing.T, h http.Handler) *Finder {
	t.Helper()
	n := placestest.NewNetwork(h)
	t.Cleanup(n.Close)
	f, err := New(Config{Endpoint: "http://overpass.example/api/", Upstream: upstream.Config{Transport: n.Transport(), Attempts: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func TestFind(t *testing.T) {
	server := new(placestest.Server)
	f := finder(t, server)
	a, err := f.Find(t.Context(), places.Query{At: centre, Radius: 50, Bound: 5})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range a.Results {
		got = append(got, fmt.Sprintf("%.3f %s %s %v %s", places.Distance(centre, p.Geometry.Location), p.PlaceID, p.Name, p.Types, p.Vicinity))
	}
	want := []string{
		"0.040 node/4698758017 Papanico [restaurant food point_of_interest establishment] Avinguda del Princep Benlloch 4",
		"0.060 node/4697178389 Fleca Font [bakery food store point_of_interest establishment] Carrer de la Vall 2",
		"0.071 node/4698145790 Antiga presó de la Casa del Quart (segle 18) [tourist_attraction point_of_interest establishment] Avinguda del Princep Benlloch",
		"0.071 node/4466473340 El teu Espai [bar point_of_interest establishment] ",
		"0.072 node/2563785115 L'Alternativa [restaurant food point_of_interest establishment] Plaça Guillemó 8, Andorra la Vella",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if a.Status != places.OK || !slices.Equal(a.HTMLAttributions, []string{osm.Attribution}) {
		t.Errorf("%s, %q", a.Status, a.HTMLAttributions)
	}
	// the first circle has enough
	const request = `POST /api/interpreter herd|application/x-www-form-urlencoded| data=%5Bout%3Ajson%5D%5Btimeout%3A25%5D%5Bmaxsize%3A33554432%5D%3B` +
		`nwr%28around%3A1000%2C42.5078%2C1.5211%29%5Bname%5D%5B~%22%5E%28amenity%7Ctourism%7Cleisure%7Cshop%7Chistoric%7Caeroway%7Crailway%7C` +
		`public_transport%7Cnatural%7Cplace%29%24%22~%22.%22%5D%3Bout+center+qt+400%3B`
	if got := server.Requests(); len(got) != 1 || got[0] != request {
		t.Errorf("%q\nwant\n%q", got, request)
	}
}

// everywhere answers with n places in each circle, up to the limit of the query.
type everywhere struct {
	radii []string
	n     map[string]int // by the radius in metres
}

var circle = regexp.MustCompile(`around%3A([0-9.]+)`)

func (e *everywhere) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, r.ContentLength)
	_, _ = r.Body.Read(body)
	radius := circle.FindStringSubmatch(string(body))[1]
	e.radii = append(e.radii, radius)
	var elements []string
	for i := range e.n[radius] {
		elements = append(elements, fmt.Sprintf(`{"type":"node","id":%d,"lat":%f,"lon":1.5211,"tags":{"name":"%d","amenity":"bar"}}`, i, 42.5078+float64(i)*1e-6, i))
	}
	fmt.Fprintf(w, `{"elements":[%s]}`, strings.Join(elements, ","))
}

// The circle grows until there are enough places, and shrinks if the answer is cut.
func TestRadii(t *testing.T) {
	for _, c := range []struct {
		radius float64
		n      map[string]int
		want   []string
	}{
		{0.5, nil, []string{"500"}},
		{1, nil, []string{"1000"}},
		{2, nil, []string{"1000", "2000"}},
		{50, nil, []string{"1000", "3000", "10000", "50000"}},
		{1e9, nil, []string{"1000", "3000", "10000", "50000"}},
		{50, map[string]int{"1000": 19, "3000": 20}, []string{"1000", "3000"}},
		{50, map[string]int{"1000": 399}, []string{"1000"}},
		{50, map[string]int{"1000": 400}, []string{"1000", "250"}},
		{50, map[string]int{"1000": 400, "250": 400, "62.5": 400, "15.625": 400}, []string{"1000", "250", "62.5", "15.625"}},
		{50, map[string]int{"1000": 2, "3000": 400}, []string{"1000", "3000"}},
		{50, map[string]int{"10000": 400}, []string{"1000", "3000", "10000"}},
		{50, map[string]int{"50000": 400}, []string{"1000", "3000", "10000", "50000", "12500"}},
		{0.8, map[string]int{"800": 400, "200": 7}, []string{"800", "200"}},
	} {
		e := &everywhere{n: c.n}
		if _, err := finder(t, e).Find(t.Context(), places.Query{At: centre, Radius: c.radius, Bound: 20}); err != nil {
			t.Error(err)
		}
		if !slices.Equal(e.radii, c.want) {
			t.Errorf("%v km, %v: %v, want %v", c.radius, c.n, e.radii, c.want)
		}
	}
}

// A server allows two requests at a time, and gets no more.
func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := new(placestest.Server)
		n := placestest.NewNetwork(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second) // of the bubble
			server.ServeHTTP(w, r)
		}))
		defer n.Close()
		f, err := New(Config{Endpoint: "http://overpass.example", Upstream: upstream.Config{Transport: n.Transport()}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				if _, err := f.Find(t.Context(), places.Query{At: centre, Radius: 1, Bound: 5}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		f.Close()
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("six queries took %v, want 3s", took)
		}
	})
}

func TestDecode(t *testing.T) {
	const text = `{"elements":[
		{"type":"node","id":1,"lat":42.5,"lon":1.5,"tags":{"name":"Bar","amenity":"bar"}},
		{"type":"node","id":2,"lat":42.5,"tags":{"name":"No longitude","amenity":"bar"}},
		{"type":"node","id":3,"lat":42.5,"lon":1.5,"tags":{"amenity":"bar"}},
		{"type":"node","id":4,"lat":42.5,"lon":1.5},
		{"type":"way","id":5,"center":{"lat":42.6,"lon":1.6},"tags":{"name":"כיכר","place":"square"}},
		{"type":"way","id":6,"lat":42.5,"lon":1.5,"tags":{"name":"No centre","amenity":"bar"}},
		{"type":"relation","id":7,"center":{"lat":42.7,"lon":1.7},"tags":{"name":"Park","leisure":"park"}},
		{"type":"area","id":8,"lat":42.5,"lon":1.5,"tags":{"name":"Area","amenity":"bar"}},
		{"type":"way","id":9,"center":{"lat":42.7,"lon":1.7},"tags":{"name":"Main Line","railway":"rail"}}]}`
	found, cut, err := decode([]byte(text))
	if err != nil || cut {
		t.Fatal(cut, err)
	}
	var got []string
	for _, p := range found {
		got = append(got, fmt.Sprint(p.PlaceID, p.Name, p.Geometry.Location.Lat))
	}
	if want := []string{"node/1Bar42.5", "way/5כיכר42.6", "relation/7Park42.7"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for text, want := range map[string]string{
		`{}`: "malformed answer: no elements",
		`{"elements":[],"remark":"runtime error: Query ran out of memory"}`: "runtime error: Query ran out of memory",
		`{"elements":[{"lat":"42"}]}`:                                       `malformed answer: unexpected JSON: "lat" is a string`,
		`{"elements":{}}`:                                                   "malformed answer: not JSON: a list is missing",
		`<osm/>`:                                                            "malformed answer: not JSON: invalid character '<' looking for beginning of value",
	} {
		if found, _, err := decode([]byte(text)); fmt.Sprint(err) != want || found != nil {
			t.Errorf("%s: %v, %v, want %s", text, found, err, want)
		}
	}
}

func TestMessage(t *testing.T) {
	for page, want := range map[string]string{
		"":                                      "",
		"<html><body>Bad Gateway</body></html>": "",
		string(placestest.Fixture("overpass_400.html")): `line 1: parse error: Unknown type "nod"; line 1: parse error: An empty query is not allowed`,
		string(placestest.Fixture("overpass_429.html")): "runtime error: open64: 0 Success /osm3s_osm_base Dispatcher_Client::request_read_and_idx::rate_limited. Please check /api/status for the quota of your IP address.",
		string(placestest.Fixture("overpass_504.html")): "runtime error: open64: 0 Success /osm3s_osm_base Dispatcher_Client::request_read_and_idx::timeout. The server is probably too busy to handle your request.",
	} {
		if got := message([]byte(page)); got != want {
			t.Errorf("%s: %s, want %s", page, got, want)
		}
	}
}

func TestConfig(t *testing.T) {
	for endpoint, want := range map[string]string{
		"":                  "overpass: there is no endpoint; public servers are not meant as a back end, so none is preset",
		"overpass.example":  "overpass: the endpoint has to be a URL as in https://places.example/api",
		"https://a.example": "<nil>",
	} {
		if _, err := New(Config{Endpoint: endpoint}); fmt.Sprint(err) != want {
			t.Errorf("%q: %v, want %s", endpoint, err, want)
		}
	}
}

func FuzzOverpass(f *testing.F) {
	f.Add(`{"elements":[{"type":"node","id":1,"lat":42.5,"lon":1.5,"tags":{"name":"Bar","amenity":"bar;cafe","addr:city":"A"}}]}`)
	f.Add(`{"elements":[{"type":"way","id":5,"center":{"lat":42.6,"lon":-1.6},"tags":{"name":"Кафе","place":"square"}}],"remark":""}`)
	f.Add(`{"elements":[],"remark":"runtime error"}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, text string) {
		found, _, err := decode([]byte(text))
		if err != nil && found != nil {
			t.Errorf("%v and %v", found, err)
		}
		for _, p := range found {
			if at := p.Geometry.Location; p.Name == "" || p.PlaceID == "" || len(p.Types) == 0 || !(places.Distance(at, centre) <= 20038) {
				t.Errorf("%+v", p)
			}
		}
	})
}

func FuzzOverpassPage(f *testing.F) {
	f.Add(string(placestest.Fixture("overpass_400.html")))
	f.Fuzz(func(t *testing.T, page string) { message([]byte(page)) })
}
