// Package replay is a server that stands in for the providers of places: it
// replays answers, and misbehaves in all the ways in which a provider can. It is
// for tests; a program of its own (places/replay/cmd) serves them to a herd in
// containers.
//
// Google's new and legacy API and Overpass are told apart by path. Overpass is
// asked for real: it answers with the objects in the circle of the query.
package replay

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"herd/places"
)

//go:embed fixtures
var fixtures embed.FS

// Fixture returns the text of a file of fixtures.
func Fixture(name string) []byte {
	text, err := fixtures.ReadFile("fixtures/" + name)
	if err != nil {
		panic(err)
	}
	return text
}

// Server replays answers. It is safe for concurrent use; its zero value is ready.
type Server struct {
	mu    sync.Mutex
	ways  []Way
	seen  int
	most  int // at a time
	now   int
	texts []string
}

// Behave makes the server answer the next requests in these ways, one each, and all later ones in the last of them.
// Without ways it answers well.
func (s *Server) Behave(ways ...Way) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ways = ways
}

// Seen returns how many requests there were, and how many at a time at most.
func (s *Server) Seen() (requests, together int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen, s.most
}

// Requests returns what was asked: of each request the method, the URI, some headers and the body.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.texts...)
}

// enter notes a request and returns how to answer it.
func (s *Server) enter(text string) Way {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen++
	s.now++
	s.most = max(s.most, s.now)
	if len(s.texts) < 100 {
		s.texts = append(s.texts, text)
	}
	if len(s.ways) == 0 {
		return Well
	}
	way := s.ways[0]
	if len(s.ways) > 1 {
		s.ways = s.ways[1:]
	}
	return way
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	way := s.enter(fmt.Sprintf("%s %s %s|%s|%s %s", r.Method, r.RequestURI, r.Header.Get("User-Agent"),
		r.Header.Get("Content-Type"), r.Header.Get("X-Goog-FieldMask"), body))
	defer s.leave()
	good := func() (int, string, []byte) { return answer(r, string(body)) }
	if misbehave, ok := ways[way]; ok {
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
		_, _ = w.Write(text) // who asked may be gone
	}
}

const (
	asJSON = "application/json; charset=UTF-8"
	asHTML = "text/html; charset=utf-8"
)

// answer returns how a provider answers that request.
func answer(r *http.Request, body string) (status int, kind string, text []byte) {
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
		return overpass(body)
	}
	return http.StatusNotFound, asHTML, []byte("<html><head><title>404 Not Found</title></head></html>\n")
}

// around is the part of a query of Overpass that says where.
var around = regexp.MustCompile(`around%3A([0-9.]+)%2C(-?[0-9.]+)%2C(-?[0-9.]+)`)

// overpass answers a query with the objects in its circle.
func overpass(query string) (status int, kind string, text []byte) {
	where := around.FindStringSubmatch(query)
	if where == nil {
		return http.StatusBadRequest, asHTML, Fixture("overpass_400.html")
	}
	var number [3]float64
	for i := range number {
		number[i], _ = strconv.ParseFloat(where[i+1], 64) // zero at worst
	}
	inside := []json.RawMessage{}
	for _, o := range andorra() {
		if away := places.Distance(places.Point{Lat: number[1], Lng: number[2]}, o.at) * 1000; away <= number[0]+0.001 { // a millimetre for rounding
			inside = append(inside, o.text)
		}
	}
	text, err := json.Marshal(map[string]any{"version": 0.6, "elements": inside})
	check(err)
	return http.StatusOK, asJSON, text
}

// object is an element of the fixture of Overpass.
type object struct {
	at   places.Point
	text json.RawMessage
}

// andorra returns the objects of the fixture.
var andorra = sync.OnceValue(func() []object {
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

// check panics, for fixtures are sound.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
