package simulate

import (
	"cmp"
	"slices"
	"time"
)

// window is a time shorter than any message takes, so that in it no node can learn of another: what happens there at one node is carried
// out before what happens at the next, and finds in the processor's caches what the event before it has used. What each node sees, and
// when, is the same as if all were carried out in the order of time. Three in four events are reports that are known already, and
// take no time but that for memory.
type window struct {
	end    time.Duration
	node   *node // which is run, or nil
	nodes  []*node
	agenda agenda // what it has planned for itself since
}

// runApart carries out what happens at nodes from the time of the first event on, up to an end or to what concerns all nodes.
func (h *herd) runApart(begin, end time.Duration) {
	w := &h.window
	for e := h.first(); e != nil && e.at < end; e = h.first() {
		n := e.what.where()
		if n == nil {
			end = e.at
			break
		}
		if len(n.events) == 0 {
			w.nodes = append(w.nodes, n)
		}
		n.events = append(n.events, h.next())
	}
	w.end = max(end, begin+1)
	h.lane.compact()
	sent := len(h.lane.events)
	for _, n := range w.nodes {
		w.node = n
		for at := 0; at < len(n.events) || len(w.agenda) > 0; {
			var e event
			if len(w.agenda) > 0 && (at == len(n.events) || w.agenda[0].before(&n.events[at])) {
				e = w.agenda.next()
			} else {
				e = n.events[at]
				at++
			}
			h.now = e.at
			e.what.happen()
		}
		clear(n.events)
		n.events = n.events[:0]
	}
	w.node, w.nodes, w.end = nil, w.nodes[:0], 0
	// What was sent later arrives later, but nodes took turns.
	slices.SortFunc(h.lane.events[sent:], func(a, b event) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.turn, b.turn)) })
}
