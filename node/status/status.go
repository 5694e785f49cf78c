// Package status tells over HTTP how a node is: alive, ready, and what its links do.
package status

import (
	"encoding/json"
	"net/http"
)

// Health is what a node says of itself.
type Health struct {
	Node     string            `json:"node"`
	Ready    bool              `json:"ready"`    // once true it stays so: lost links do not end it
	Bus      string            `json:"bus"`      // "connected", or why not
	Uptime   float64           `json:"uptime"`   // seconds
	Clients  int               `json:"clients"`  // devices whose last place is known
	Sessions int               `json:"sessions"` // clients connected now
	Store    *Store            `json:"store,omitempty"`
	Links    []Link            `json:"links"`   // one for each neighbour
	Refused  map[string]uint64 `json:"refused"` // how often, by reason
}

// Store is how a node's disk does.
type Store struct {
	Mode    string  `json:"mode"`    // interval or always
	State   string  `json:"state"`   // ok, behind, or why it fails
	Waiting int     `json:"waiting"` // clients whose reports wait for it
	Lag     float64 `json:"lag"`     // seconds for which the first of them has been waiting, at most
}

// Link is what a node knows of the way to one neighbour. All but Queued count from the start of the node.
type Link struct {
	Peer      string `json:"peer"`
	Queued    int    `json:"queued"`    // reports waiting to be told
	Told      uint64 `json:"told"`      // reports sent
	Messages  uint64 `json:"messages"`  // in so many messages
	Heard     uint64 `json:"heard"`     // reports received
	Old       uint64 `json:"old"`       // of these, not news
	Conflated uint64 `json:"conflated"` // reports replaced by a newer one of the same client while they waited
	Emptied   uint64 `json:"emptied"`   // reports thrown away when too many waited
}

// Handler serves what health returns as JSON: /healthz always with 200, /readyz with 503 until the node is ready.
func Handler(health func() Health) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, health()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		h, code := health(), http.StatusOK
		if !h.Ready {
			code = http.StatusServiceUnavailable
		}
		write(w, code, h)
	})
	return mux
}

func write(w http.ResponseWriter, code int, h Health) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(h) // who asked is gone
}
