// Package placestest holds what tests of places share: Server, which stands in for Google and Overpass and has every Fault that
// they can have; Network, on which it is reached in memory; and Test, which every places.Finder has to pass.
//
// Server distinguishes the APIs by the path of the request. To Overpass queries it answers with the recorded objects in the circle of
// the query, to the others with a fixed answer. Package cmd makes a program of it, for tests in containers.
//
// The package's own tests run Test on all providers, and each provider behind a network on all faults.
package placestest

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"herd/places"
)

//go:embed fixtures
var fixtures embed.FS

// Fixture returns the content of a file in the folder fixtures.
func Fixture(name string) []byte {
	text, err := fixtures.ReadFile("fixtures/" + name)
	if err != nil {
		panic(err)
	}
	return text
}

// Server stands in for a provider of places. It is safe for concurrent use; its zero value is ready and has no fault.
type Server struct {
	mu       sync.Mutex
	faults   []Fault // of the next requests, in order; the last stays
	total    int     // requests so far
	current  int     // requests that are being answered
	most     int     // the greatest value that current had
	requests []string
}

// Behave gives each of the next requests one of these faults, and all later requests the last of them. Without faults the server
// answers well.
func (s *Server) Behave(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults
}

// Seen returns how many requests there were, and how many at most at a time.
func (s *Server) Seen() (requests, together int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total, s.most
}

// Requests returns the method, the URI, some headers and the body of each of the first 100 requests.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// enter counts a request and returns its fault.
func (s *Server) enter(request string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total++
	s.current++
	s.most = max(s.most, s.current)
	if len(s.requests) < 100 {
		s.requests = append(s.requests, request)
	}
	if len(s.faults) == 0 {
		return Well
	}
	fault := s.faults[0]
	if len(s.faults) > 1 {
		s.faults = s.faults[1:]
	}
	return fault
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current--
}

// ServeHTTP answers as the provider does whose API the path is of.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fault := s.enter(fmt.Sprintf("%s %s %s|%s|%s %s", r.Method, r.RequestURI, r.Header.Get("User-Agent"),
		r.Header.Get("Content-Type"), r.Header.Get("X-Goog-FieldMask"), body))
	defer s.leave()
	good := func() (int, string, []byte) { return goodAnswer(r, string(body)) }
	if misbehave, ok := faults[fault]; ok {
		misbehave(w, r, good)
		return
	}
	reply(w)(good())
}

func reply(w http.ResponseWriter) func(int, string, []byte) {
	return func(status int, kind string, text []byte) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(status)
		_, _ = w.Write(text) // fails if the client has gone
	}
}

const (
	asJSON = "application/json; charset=UTF-8"
	asHTML = "text/html; charset=utf-8"
)

// goodAnswer returns the answer of the provider whose API the request is for.
func goodAnswer(r *http.Request, body string) (status int, kind string, text []byte) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/v1/places:searchNearby"):
		switch {
		case r.Header.Get("X-Goog-Api-Key") == "":
			return http.StatusForbidden, asJSON, Fixture("new_error_403.json")
		case r.Header.Get("X-Goog-FieldMask") == "":
			return http.StatusBadRequest, asJSON, Fixture("new_error_400_fieldmask.json")
		}
		return http.StatusOK, asJSON, Fixture("new_searchnearby_ok.json")
	case strings.HasSuffix(r.URL.Path, "/maps/api/place/nearbysearch/json"):
		if r.FormValue("key") == "" {
			return http.StatusOK, asJSON, Fixture("legacy_request_denied.json")
		}
		return http.StatusOK, asJSON, Fixture("legacy_ok.json")
	case strings.HasSuffix(r.URL.Path, "/interpreter"):
		return overpassAnswer(body)
	}
	return http.StatusNotFound, asHTML, []byte("<html><head><title>404 Not Found</title></head></html>\n")
}

// circle matches the circle in an escaped query of Overpass: its radius in metres, latitude and longitude.
var circle = regexp.MustCompile(`around%3A([0-9.]+)%2C(-?[0-9.]+)%2C(-?[0-9.]+)`)

// overpassAnswer returns the recorded objects in the circle of a query.
func overpassAnswer(query string) (status int, kind string, text []byte) {
	where := circle.FindStringSubmatch(query)
	if where == nil {
		return http.StatusBadRequest, asHTML, Fixture("overpass_400.html")
	}
	var number [3]float64
	for i := range number {
		number[i], _ = strconv.ParseFloat(where[i+1], 64) // 0 if it is not a number
	}
	inside := []json.RawMessage{}
	for _, o := range recorded() {
		metres := places.Distance(places.Point{Lat: number[1], Lng: number[2]}, o.at) * 1000
		if metres <= number[0]+0.001 { // a millimetre more, for rounding
			inside = append(inside, o.text)
		}
	}
	text, err := json.Marshal(map[string]any{"version": 0.6, "elements": inside})
	check(err)
	return http.StatusOK, asJSON, text
}

// object is an element of overpass_andorra.json.
type object struct {
	at   places.Point
	text json.RawMessage
}

// recorded returns the objects of overpass_andorra.json.
var recorded = sync.OnceValue(func() []object {
	type point struct{ Lat, Lon float64 }
	var all struct{ Elements []json.RawMessage }
	check(json.Unmarshal(Fixture("overpass_andorra.json"), &all))
	objects := make([]object, len(all.Elements))
	for i, text := range all.Elements {
		var e struct {
			point
			Center *point
		}
		check(json.Unmarshal(text, &e))
		if e.Center != nil {
			e.point = *e.Center
		}
		objects[i] = object{places.Point{Lat: e.Lat, Lng: e.Lon}, text}
	}
	return objects
})

// check panics if there is an error, for the fixtures are known to be valid.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
