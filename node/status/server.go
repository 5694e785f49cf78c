package status

import (
	"encoding/json"
	"net/http"

	"herd/node/flood"
	"herd/node/status/page"
)

// Source is the node that a server tells of.
type Source interface {
	Health() Health
	Registry() *flood.Registry
	Herd() []Node // as last told

	Topology() *flood.Topology                            // as it is configured now: another pointer when it changes
	Follow(limit int) (changed *flood.Queue, stop func()) // see [flood.Engine.Follow]
	Watch(w Watch) (stop func())                          // one at a time
}

// Config is what a server is made of.
type Config struct {
	Source  Source
	Herd    string          // its name
	Node    string          // likewise
	Version string          // of the program
	Ending  <-chan struct{} // closed when the node ends; or nil
	Options
}

// Options are what the operator decides.
type Options struct {
	Token string // that whoever asks must show; "" for none
	Pprof bool   // serve profiles of the process

	Observer *Observer // of the whole herd, shared by all nodes of the process; or nil
}

// Server answers over HTTP for one node. Each of its parts has a file, and adds its own paths.
type Server struct {
	Config
	mux *http.ServeMux
	hub hub
}

// New returns the server of a node.
func New(c Config) *Server {
	s := &Server{Config: c, mux: http.NewServeMux()}
	if s.Observer == nil {
		s.Observer = Unobserved("there is no observer")
	}
	s.hub = hub{server: s, viewers: make(map[*viewer]struct{})}
	s.health()
	s.mux.Handle("GET /{$}", page.Handler())
	s.mux.Handle("GET /assets/", page.Handler())
	s.events()
	s.mapped()
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// health adds /healthz, which is always 200, and /readyz, which is 503 until the node is ready.
func (s *Server) health() {
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.Source.Health()) })
	s.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		h, code := s.Source.Health(), http.StatusOK
		if !h.Ready {
			code = http.StatusServiceUnavailable
		}
		reply(w, code, h)
	})
}

// reply writes JSON.
func reply(w http.ResponseWriter, code int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(what) // who asked is gone
}
