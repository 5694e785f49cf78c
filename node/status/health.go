package status

import "net/http"

// brief is what those hear of a node who may not look.
type brief struct {
	Ready bool `json:"ready"`
}

// health adds /healthz, which is always 200, and /readyz, which is 503 until the node is ready. Both answer everybody, for those who
// look whether a process lives have no token; the details are for who may look.
func (s *Server) health() {
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { s.tell(w, r, func(Health) int { return http.StatusOK }) })
	s.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		s.tell(w, r, func(h Health) int {
			if h.Ready {
				return http.StatusOK
			}
			return http.StatusServiceUnavailable
		})
	})
}

func (s *Server) tell(w http.ResponseWriter, r *http.Request, code func(Health) int) {
	if _, ok := query(w, r); !ok {
		return
	}
	h := s.Source.Health()
	if s.mayLook(r) {
		reply(w, code(h), h)
	} else {
		reply(w, code(h), brief{h.Ready})
	}
}
