package status

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"slices"
	"time"

	"herd/node/topology"

	"herd/node/flood"
	"herd/node/status/page"
)

// Source is the node that a server tells of.
type Source interface {
	Health() Health
	Counts() Counts
	Herd() []Node
	Registry() *flood.Registry
	Cutoff() int64 // see [flood.Engine.Cutoff]

	Topology() *topology.Topology                            // as it is configured now: another pointer when it changes
	Subscribe(limit int) (changed *flood.Queue, stop func()) // see [flood.Engine.Subscribe]
	Watch(w Watch) (stop func())                             // one at a time

	Converse(ctx context.Context, conn net.Conn) error // serves a client to its end, or says why not
	Refuse(why Refusal, address string)                // counts and logs that somebody at HOST:PORT was refused
	MayLogIn(address string) bool                      // or has tried too often
}

// Config is what a server is made of.
type Config struct {
	Source  Source
	Herd    string // its name
	Node    string // likewise
	Version string // of the program
	Options
	Log *log.Logger // of what goes wrong with connections; nil: the standard one
}

// Options are what the operator decides.
type Options struct {
	Token string   // that whoever asks must show; "" for none
	Open  bool     // without a token everybody may look, also from elsewhere than this machine
	Hosts []string // names and addresses under which the server is reached, besides its own
	Pprof bool     // serve profiles of the process

	Observer *Observer // of the whole herd, shared by all nodes of the process; or nil
}

// Server answers over HTTP for one node. Each of its parts has a file, and adds its own paths.
type Server struct {
	Config
	mux   *routes
	cross *http.CrossOriginProtection
	crowd *crowd
	hub   hub

	around around
}

// New returns the server of a node.
func New(c Config) *Server {
	s := &Server{Config: c, mux: &routes{ServeMux: http.NewServeMux()}, cross: http.NewCrossOriginProtection(), crowd: newCrowd(maxConnections)}
	if s.Observer == nil {
		s.Observer = Unobserved("there is no observer")
	}
	s.hub = hub{server: s, viewers: make(map[*viewer]struct{})}
	s.around.source = c.Source
	s.health()
	s.clients()
	s.herd()
	s.reports()
	s.document()
	s.metrics()
	s.login()
	s.events()
	s.mapped()
	if s.Pprof {
		s.pprof()
	}
	s.mux.Handle("GET /{$}", page.Handler(s.Token != ""))
	s.mux.Handle("GET /assets/", page.Handler(s.Token != ""))
	return s
}

// routes is a mux that can tell its patterns.
type routes struct {
	*http.ServeMux
	patterns []string
}

// Handle adds a path.
func (m *routes) Handle(pattern string, h http.Handler) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.Handle(pattern, h)
}

// HandleFunc adds a path.
func (m *routes) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(h))
}

// answerTime is how long an answer may take, unless its handler gives itself longer, see [Server.stream].
const answerTime = 10 * time.Second

// ServeHTTP answers one request, if who asks may ask.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime)) // cannot be set in a test
	protect(w.Header())
	if !s.admit(w, r) {
		return
	}
	if _, pattern := s.mux.Handler(r); pattern == "" {
		w = &unknown{ResponseWriter: w, request: r}
	}
	s.mux.ServeHTTP(w, r)
}

// unknown says in JSON what a mux says of what it has no handler for.
type unknown struct {
	http.ResponseWriter
	request *http.Request
}

// WriteHeader answers.
func (u *unknown) WriteHeader(code int) {
	switch path := u.request.URL.Path; code {
	case http.StatusNotFound:
		fail(u.ResponseWriter, code, "there is no %s; /openapi.json tells what there is", path)
	case http.StatusMethodNotAllowed:
		fail(u.ResponseWriter, code, "%s takes no %s, but %s", path, u.request.Method, u.Header().Get("Allow"))
	default:
		u.ResponseWriter.WriteHeader(code)
	}
}

// Write drops what the mux would say.
func (u *unknown) Write(b []byte) (int, error) { return len(b), nil }

// pprof adds profiles of the process.
func (s *Server) pprof() {
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if release, ok := s.stream(w, r); ok { // it takes as many seconds as it is asked to
				defer release()
				h(w, r)
			}
		})
	}
}

// reply writes JSON.
func reply(w http.ResponseWriter, code int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(what) // who asked is gone
}

// Error is what is said instead of an answer.
type Error struct {
	Error string `json:"error"`
}

// fail says in one line why there is no answer.
func fail(w http.ResponseWriter, code int, format string, about ...any) {
	reply(w, code, Error{fmt.Sprintf(format, about...)})
}

// query returns the values of a request, or says that there are others than these, or the same twice, and returns false.
func query(w http.ResponseWriter, r *http.Request, known ...string) (url.Values, bool) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		fail(w, http.StatusBadRequest, "the query cannot be read; write what is special in a value as %%XX")
		return nil, false
	}
	for key, list := range values {
		switch {
		case !slices.Contains(known, key):
			fail(w, http.StatusBadRequest, "there is no %.40q to ask for", key)
			return nil, false
		case len(list) > 1:
			fail(w, http.StatusBadRequest, "%s is there twice", key)
			return nil, false
		}
	}
	return values, true
}
