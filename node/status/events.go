package status

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"herd/node/topology"

	"herd/node/line"
)

const (
	aliveTime = 15 * time.Second // between two comments, which show that the connection lives
	takeTime  = 10 * time.Second // for a viewer to take what is written
	retryTime = time.Second      // before a browser connects again
)

// Hello is what a viewer is told first, and again when it changes.
type Hello struct {
	Node      string `json:"node"`
	Herd      string `json:"herd"`
	Version   string `json:"version"`
	Observing bool   `json:"observing"` // hops are those of the whole herd, else of this node's own links
	Why       string `json:"why"`       // not
	Topology  Graph  `json:"topology"`
}

// Graph is the herd as a node is configured to know it.
type Graph struct {
	Nodes []GraphNode        `json:"nodes"`
	Links [][2]line.NodeName `json:"links"`
	Self  line.NodeName      `json:"self"`
}

// GraphNode is a node of the graph.
type GraphNode struct {
	Name line.NodeName `json:"name"`
}

func graph(t *topology.Topology, self string) Graph {
	g := Graph{Nodes: []GraphNode{}, Links: append([][2]line.NodeName{}, t.Links()...), Self: line.NodeName(self)}
	for _, n := range t.Nodes() {
		g.Nodes = append(g.Nodes, GraphNode{n})
	}
	return g
}

// events adds /api/v1/events, the stream of what happens, in the form of server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (s *Server) events() {
	s.mux.HandleFunc("GET /api/v1/events", func(w http.ResponseWriter, r *http.Request) {
		values, ok := query(w, r, "client")
		if !ok {
			return
		}
		client := values.Get("client")
		if client != "" && !line.ValidClient(client) {
			fail(w, http.StatusBadRequest, "client is not the ID of a client: at most %d bytes, none of them white space", line.MaxClient)
			return
		}
		release, ok := s.stream(w, r)
		if !ok {
			return
		}
		defer release()
		v := newViewer(line.ClientID(client))
		s.hub.join(v)
		defer s.hub.leave(v)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no") // of nginx
		s.feed(w, r, v)
	})
}

// feed writes to a viewer what there is for it until one of both goes, or it takes nothing for too long.
func (s *Server) feed(w http.ResponseWriter, r *http.Request, v *viewer) {
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Time{}) != nil { // else the server takes its end for that of the viewer
		return
	}
	ctx := r.Context()
	write := func(parts ...[]byte) bool {
		if c.SetWriteDeadline(time.Now().Add(takeTime)) != nil || ctx.Err() != nil { // asked in this order
			return false
		}
		for _, p := range parts {
			if _, err := w.Write(p); err != nil {
				return false
			}
		}
		return c.Flush() == nil
	}
	defer context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Now()) })() // a write that is stuck ends as well
	retry := fmt.Appendf(nil, "retry: %d\n\n", retryTime.Milliseconds())
	if !write(retry, s.hub.picture()) {
		return
	}
	alive := time.NewTicker(aliveTime)
	defer alive.Stop()
	for {
		parts := [][]byte{[]byte(": \n\n")}
		select {
		case <-ctx.Done():
			return
		case parts = <-v.chunks:
		case <-alive.C:
		}
		if !write(parts...) {
			return
		}
	}
}

// appendEvent appends a server-sent event.
func appendEvent(dst []byte, name string, what any) []byte {
	text, err := json.Marshal(what) // which is one line
	if err != nil {
		panic(err) // what is told is made of texts and finite numbers
	}
	return appendRaw(dst, name, text)
}

func appendRaw(dst []byte, name string, data ...[]byte) []byte {
	dst = append(append(append(dst, "event: "...), name...), "\ndata: "...)
	for _, d := range data {
		dst = append(dst, d...)
	}
	return append(dst, "\n\n"...)
}
