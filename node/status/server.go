// Package status serves what a node shows over HTTP: its health, the API with its stream of events, metrics, and the status page.
package status

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"slices"
	"strconv"
	"time"

	"herd/node/admit"
	"herd/node/flood"
	"herd/node/status/page"
	"herd/node/topology"
)

// Source is the node that a server shows.
type Source interface {
	Health() Health
	Counts() Counts
	Herd() []Node // by name
	Registry() *flood.Registry
	Cutoff() int64 // see [flood.Engine.Cutoff]

	Topology() *topology.Topology                            // the pointer changes with the configuration
	Subscribe(limit int) (changed *flood.Queue, stop func()) // see [flood.Engine.Subscribe]
	Watch(w Watch) (stop func())                             // one at a time

	ServeClient(ctx context.Context, conn net.Conn) error // returns when the client's input has ended, or the reason why not all of it was read
}

// Config is what a server is made of. It does not change.
type Config struct {
	Source  Source
	Herd    string // the herd's name
	Node    string // the node's name
	Version string // of the program
	Admit   *admit.Controller
	Log     *log.Logger // for failing connections; nil: the standard one

	Token    string    // that requests must carry; "" for none
	Open     bool      // without a token, other machines than this one are served as well
	Hosts    []string  // names and addresses under which the server is reached, besides its own
	Pprof    bool      // serve profiles of the process
	Observer *Observer // of the bus, shared by all nodes of the process; or nil
}

// Server answers over HTTP for one node. Each route is added in the file of its handler.
type Server struct {
	config  Config
	mux     *routes
	cross   *http.CrossOriginProtection
	pool    *pool
	hub     hub
	nearest nearestClients
	graph   graphCache
}

// New returns the server of a node.
func New(c Config) *Server {
	if c.Observer == nil {
		c.Observer = Unobserved("there is no observer")
	}
	s := &Server{config: c, mux: &routes{ServeMux: http.NewServeMux()}, cross: http.NewCrossOriginProtection(), pool: newPool(maxConnections)}
	s.hub = hub{server: s, viewers: make(map[*viewer]struct{})}
	s.nearest.source = c.Source
	for _, add := range []func(){s.addHealth, s.addMetrics, s.addLogin, s.addNodes, s.addClients, s.addMap, s.addEvents, s.addReports} {
		add()
	}
	s.mux.query("GET /openapi.json", nil, func(w http.ResponseWriter, _ *http.Request, _ url.Values) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openAPI) // the client may be gone
	})
	if c.Pprof {
		s.addProfiles()
	}
	s.mux.Handle("GET /{$}", page.Handler(c.Token != ""))
	s.mux.Handle("GET /assets/", page.Handler(c.Token != ""))
	return s
}

// openAPI describes the routes for programs (https://spec.openapis.org/oas/v3.1.0). The page and the login are for people, profiles for
// the tool of Go.
//
//go:embed openapi.json
var openAPI []byte

// routes is a mux that knows its patterns.
type routes struct {
	*http.ServeMux
	patterns []string
}

// query adds a route that answers requests without other parameters than these.
func (m *routes) query(pattern string, known []string, answer func(w http.ResponseWriter, r *http.Request, values url.Values)) {
	m.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if values, ok := query(w, r, known); ok {
			answer(w, r, values)
		}
	}))
}

// Handle adds a route.
func (m *routes) Handle(pattern string, h http.Handler) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.Handle(pattern, h)
}

// HandleFunc adds a route.
func (m *routes) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(h))
}

// answerTime is how long an answer may take, unless its handler sets another deadline, see [Server.stream].
const answerTime = 10 * time.Second

// ServeHTTP answers one request, if it is authorized.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime)) // cannot be set in a test
	protect(w.Header())
	if !s.permit(w, r) {
		return
	}
	if _, pattern := s.mux.Handler(r); pattern == "" {
		w = &unknown{ResponseWriter: w, request: r}
	}
	s.mux.ServeHTTP(w, r)
}

// unknown writes the errors of a mux, for what it has no handler for, as JSON.
type unknown struct {
	http.ResponseWriter
	request *http.Request
}

// WriteHeader writes the whole answer.
func (u *unknown) WriteHeader(code int) {
	switch path := u.request.URL.Path; code {
	case http.StatusNotFound:
		fail(u.ResponseWriter, code, "there is no %s; /openapi.json lists what there is", path)
	case http.StatusMethodNotAllowed:
		fail(u.ResponseWriter, code, "%s takes no %s, but %s", path, u.request.Method, u.Header().Get("Allow"))
	default:
		u.ResponseWriter.WriteHeader(code)
	}
}

// Write discards the text of the mux.
func (u *unknown) Write(b []byte) (int, error) { return len(b), nil }

// addProfiles adds the profiles of the process, below /debug/pprof/.
func (s *Server) addProfiles() {
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if release, ok := s.stream(w, r); ok { // it takes as many seconds as the request says
				defer release()
				h(w, r)
			}
		})
	}
}

// limitOf returns the limit of a query, which is standard if the query has none, and at most most. If it is malformed it answers the
// request, and ok is false.
func limitOf(w http.ResponseWriter, values url.Values, most, standard int) (limit int, ok bool) {
	if !values.Has("limit") {
		return standard, true
	}
	limit, err := strconv.Atoi(values.Get("limit"))
	if err != nil || limit < 1 || limit > most {
		fail(w, http.StatusBadRequest, "limit must be a whole number from 1 to %d", most)
		return 0, false
	}
	return limit, true
}

// reply writes JSON.
func reply(w http.ResponseWriter, code int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(what) // the client may be gone
}

// Error is the answer to a request that cannot be answered.
type Error struct {
	Error string `json:"error"`
}

// fail writes an Error of one line.
func fail(w http.ResponseWriter, code int, format string, about ...any) {
	reply(w, code, Error{fmt.Sprintf(format, about...)})
}

// query returns the values of a request. If there are others than these, or one is there twice, it answers the request and returns false.
func query(w http.ResponseWriter, r *http.Request, known []string) (url.Values, bool) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		fail(w, http.StatusBadRequest, "the query cannot be read; write special characters of a value as %%XX")
		return nil, false
	}
	for key, list := range values {
		switch {
		case !slices.Contains(known, key):
			fail(w, http.StatusBadRequest, "there is no parameter %.40q", key)
			return nil, false
		case len(list) > 1:
			fail(w, http.StatusBadRequest, "%s is there twice", key)
			return nil, false
		}
	}
	return values, true
}
