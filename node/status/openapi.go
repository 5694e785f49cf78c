package status

import (
	_ "embed"
	"net/http"
)

// openAPI describes what programs ask for (https://spec.openapis.org/oas/v3.1.0). The page and the way in are for people, profiles for
// their own tool.
//
//go:embed openapi.json
var openAPI []byte

func (s *Server) document() {
	s.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := query(w, r); ok {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(openAPI) // who asked is gone
		}
	})
}
