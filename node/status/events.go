package status

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"herd/node/flood"
	"herd/node/line"
)

const (
	aliveTime = 15 * time.Second // between two comments, which show that the connection lives
	writeTime = 10 * time.Second // for a client to read what is written
	retryTime = time.Second      // before a browser connects again
)

// Hello is the first event of a stream. It comes again when it changes.
type Hello struct {
	Node      string `json:"node"`
	Herd      string `json:"herd"`
	Version   string `json:"version"`
	Observing bool   `json:"observing"` // the messages are those of the whole herd, else of this node's own links
	Why       string `json:"why"`       // the bus is not observed
	Topology  Graph  `json:"topology"`
}

// addEvents adds /api/v1/events, the stream of what happens, in the form of server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (s *Server) addEvents() {
	s.mux.query("GET /api/v1/events", []string{"client"}, func(w http.ResponseWriter, r *http.Request, values url.Values) {
		client := values.Get("client")
		if client != "" && !line.ValidClient(client) {
			fail(w, http.StatusBadRequest, "client is no client ID: at most %d bytes, none of them white space", line.MaxClient)
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
		s.write(w, r, v)
	})
}

// write writes a viewer's events until the viewer goes, the server stops, or nothing is read for too long.
func (s *Server) write(w http.ResponseWriter, r *http.Request, v *viewer) {
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Time{}) != nil { // else net/http takes the deadline for the end of the viewer
		return
	}
	ctx := r.Context()
	write := func(parts ...[]byte) bool {
		if c.SetWriteDeadline(time.Now().Add(writeTime)) != nil || ctx.Err() != nil { // in this order, see below
			return false
		}
		for _, p := range parts {
			if _, err := w.Write(p); err != nil {
				return false
			}
		}
		return c.Flush() == nil
	}
	defer context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Now()) })() // which ends a write in flight
	retry := fmt.Appendf(nil, "retry: %d\n\n", retryTime.Milliseconds())
	if !write(retry, s.hub.snapshot()) {
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
	return appendRaw(dst, name, encoded(what))
}

// appendRaw appends an event whose data is one line of JSON, in parts.
func appendRaw(dst []byte, name string, data ...[]byte) []byte {
	dst = append(append(append(dst, "event: "...), name...), "\ndata: "...)
	for _, d := range data {
		dst = append(dst, d...)
	}
	return append(dst, "\n\n"...)
}

// encoded returns what consists of texts and finite numbers as JSON, in one line.
func encoded(what any) []byte {
	text, err := json.Marshal(what)
	if err != nil {
		panic(err) // texts and finite numbers can be encoded
	}
	return text
}

// maxList is how many bytes the list of one event has, and one more entry: IDs and times may be long.
const maxList = 256 << 10

// list is the inside of a JSON array of at most maxList.
type list struct {
	text []byte
	n    int
}

// add appends a value if there is room for it.
func (l *list) add(what any) {
	if len(l.text) > maxList {
		return
	}
	if l.n++; l.n > 1 {
		l.text = append(l.text, ',')
	}
	l.text = append(l.text, encoded(what)...)
}

const maxNotices = 100 // events in a tick

// Notice is the event of something that happened at the node.
type Notice struct {
	At      float64       `json:"at"` // milliseconds since 1970
	Kind    string        `json:"kind"`
	Peer    line.NodeName `json:"peer"` // at the other end of the link that it is about; "" if it is about none
	Text    string        `json:"text"`
	LeftOut int           `json:"left_out,omitempty"` // in the last one of a tick: how many more there were
}

// notices collects notices, from one tick to the next.
type notices struct {
	mu      sync.Mutex
	waiting []Notice
	more    int
}

func (n *notices) add(e flood.Notice) {
	kind, text := describe(e)
	n.put(kind, e.Peer, text)
}

func (n *notices) put(kind string, peer line.NodeName, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == maxNotices {
		n.more++
		return
	}
	n.waiting = append(n.waiting, Notice{At: milliseconds(time.Now()), Kind: kind, Peer: peer, Text: text})
}

// append appends an event for each notice, and returns how many notices there were.
func (n *notices) append(dst []byte) (text []byte, count int) {
	n.mu.Lock()
	waiting, more := n.waiting, n.more
	n.waiting, n.more = nil, 0
	n.mu.Unlock()
	for i, each := range waiting {
		if i == len(waiting)-1 {
			each.LeftOut = more
		}
		dst = appendEvent(dst, "notice", each)
	}
	return dst, len(waiting) + more
}

// describe returns a notice in words.
func describe(e flood.Notice) (kind, text string) {
	switch e.Kind {
	case flood.LinkUp:
		return "link returned", "heartbeats are received; a sync fetches what was missed"
	case flood.LinkDown:
		return "link down", e.Detail
	case flood.NeverReceived:
		return "never received", "no heartbeat has been received: is it running, and does its topology have this link?"
	case flood.CaughtUp:
		return "link up", "all that the neighbour held has been fetched"
	case flood.MessagesMissing:
		return "messages missing", fmt.Sprintf("%d messages are missing", e.Reports)
	case flood.Synced:
		return "synced", fmt.Sprintf("%s: %d reports came, %d of them new, in %d bytes and %s", e.Detail, e.Reports, e.New, e.Bytes, e.Duration.Round(time.Millisecond))
	case flood.SyncAbandoned:
		return "sync abandoned", fmt.Sprintf("%s after %s", e.Detail, e.Duration.Round(time.Millisecond))
	case flood.Expired:
		return "expired", fmt.Sprintf("%d reports are older than the retention", e.Reports)
	case flood.DuplicateNeighbourName:
		return "duplicate name", "two nodes have the name of this neighbour"
	case flood.DuplicateName:
		return "duplicate name", "another node has the name of this one"
	case flood.OtherTopology:
		return "other topology", "the neighbour has another topology: " + e.Detail
	case flood.SameTopology:
		return "same topology", "the neighbour has the same topology"
	case flood.OtherRetention:
		return "other retention", fmt.Sprintf("the neighbour keeps reports for %s", e.Duration)
	case flood.ClockDiffers:
		return "other clock", fmt.Sprintf("the neighbour's clock is ahead of this node's by %s", e.Duration)
	case flood.ClockAgrees:
		return "same clock", "the neighbour's clock is this node's again"
	case flood.ClockBehind:
		return "clock behind", fmt.Sprintf("this node's clock is behind those of its neighbours by %s", e.Duration)
	case flood.DigestsDiffer:
		return "digests differ", fmt.Sprintf("the neighbour does not hold the same, for %s by now and after two syncs", e.Duration.Round(time.Second))
	case flood.DigestsAgree:
		return "digests equal", "the neighbour holds the same again"
	case flood.ReceiptsAhead:
		return "receipt ahead", "reports were refused that " + e.Detail + " received more than a day ahead of the time"
	case flood.CutoffBack:
		return "clock set back", fmt.Sprintf("the cut-off moves back by %s; what was forgotten too early is fetched", e.Duration)
	case flood.CutoffAhead:
		return "cut-off ahead", fmt.Sprintf("the neighbour has forgotten what this node is to keep: %s ahead", e.Duration)
	case flood.OneSided:
		return "one-sided link", "that node has a link to this one, whose topology lacks it"
	default:
		return "other", e.Detail
	}
}
