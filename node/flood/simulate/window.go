package simulate

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"herd/node/flood"
)

// window is a time shorter than any message takes, so that in it no node can learn of another: what happens there at one node is carried
// out before what happens at the next, or at the same time by another worker, and finds in the processor's caches what the event before it
// has used. What each node sees, and when, is the same as if all were carried out in the order of time, and what it plans for later is
// gathered in the order of nodes, however many workers there are. Three in four events are reports that are known already, and take no
// time but that for memory.
type window struct {
	end     time.Duration
	nodes   []*node // at which something happens
	workers []worker
}

// worker carries out what happens at a node, in one goroutine.
type worker struct {
	now     time.Duration // since epoch
	counts  counts
	message flood.Message

	end  time.Duration // of the window
	turn uint64
	own  agenda // what the node has planned for itself in the window
}

const minParallelEvents = 64 // fewer events are left to one worker

// runApart carries out what happens at nodes from the time of the first event on, up to an end or to what concerns all nodes.
func (h *herd) runApart(begin, end time.Duration) {
	w := &h.window
	events := 0
	for e := h.first(); e != nil && e.at < end; e = h.first() {
		n := e.node
		if n == nil {
			end = e.at
			break
		}
		if len(n.events) == 0 {
			w.nodes = append(w.nodes, n)
		}
		n.events = append(n.events, h.next())
		events++
	}
	w.end = max(end, begin+1)
	h.lane.compact()
	hands := w.workers
	if events < minParallelEvents {
		hands = hands[:1]
	}
	w.run(hands, h.turn)
	h.now = begin
	h.gather()
}

// run makes workers run the nodes, each the next one that is left, and returns when all are done.
func (w *window) run(hands []worker, turn uint64) {
	var taken atomic.Int64
	work := func(d *worker) {
		d.end = w.end
		for i := taken.Add(1); i <= int64(len(w.nodes)); i = taken.Add(1) {
			d.turn = turn
			d.run(w.nodes[i-1])
		}
	}
	var others sync.WaitGroup
	for i := range hands[1:] {
		others.Go(func() { work(&hands[1+i]) })
	}
	work(&hands[0])
	others.Wait()
}

// run carries out what happens at a node in the window.
func (d *worker) run(n *node) {
	before := n.worker
	n.worker = d
	for at := 0; at < len(n.events) || len(d.own) > 0; {
		var e event
		if len(d.own) > 0 && (at == len(n.events) || d.own[0].before(&n.events[at])) {
			e = d.own.next()
		} else {
			e = n.events[at]
			at++
		}
		d.now = e.at
		e.what.happen()
	}
	n.worker = before
	clear(n.events)
	n.events = n.events[:0]
}

// plan plans something that concerns the node alone.
func (n *node) plan(t time.Duration, what happening) {
	switch d := n.worker; {
	case d == &n.herd.worker:
		n.herd.at(t, n, what)
	case t < d.end:
		d.turn++
		d.own.add(event{max(t, d.now), d.turn, what, n})
	default:
		n.planned = append(n.planned, event{at: t, what: what})
	}
}

// gather takes over what was planned in the window, and what was counted.
func (h *herd) gather() {
	w := &h.window
	sent := len(h.lane.events)
	h.lane.gathering = true
	for _, n := range w.nodes {
		for _, e := range n.planned {
			if p, ok := e.what.(*parcel); ok {
				p.leave(e.at)
			} else {
				h.at(e.at, n, e.what)
			}
		}
		clear(n.planned)
		n.planned = n.planned[:0]
	}
	w.nodes = w.nodes[:0]
	for i := range w.workers {
		h.counts.add(&w.workers[i].counts)
		w.workers[i].counts = counts{}
	}
	h.lane.gathering = false
	h.lane.order(sent)
}

// event is something that happens at a time. See [event.compare] for those of one time.
type event struct {
	at   time.Duration
	turn uint64
	what happening
	node *node // which alone it concerns, or nil
}

type happening interface{ happen() }

// call is a happening that is rare, and may concern all nodes.
type call func()

func (c call) happen() { c() }

func (e *event) before(o *event) bool { return e.compare(o) < 0 }

// compare orders events by time. Of those of one time, what a node has planned for itself comes before what arrives, which comes in the
// order of the senders, so that it does not matter which of two nodes was run first.
func (e *event) compare(o *event) int {
	if e.at != o.at {
		return cmp.Compare(e.at, o.at)
	}
	return cmp.Or(cmp.Compare(e.sender(), o.sender()), cmp.Compare(e.turn, o.turn))
}

// sender returns the index of the node that sent what arrives, or −1.
func (e *event) sender() int {
	if p, ok := e.what.(*parcel); ok {
		return p.direction.from.index
	}
	return -1
}

// agenda is a heap of events, each before its four children, for which it takes half the levels that two would.
type agenda []event

func (a *agenda) add(e event) {
	*a = append(*a, e)
	s := *a
	at := len(s) - 1
	for at > 0 {
		parent := (at - 1) / 4
		if !e.before(&s[parent]) {
			break
		}
		s[at] = s[parent]
		at = parent
	}
	s[at] = e
}

// next removes the first event.
func (a *agenda) next() event {
	s := *a
	first, last := s[0], s[len(s)-1]
	s[len(s)-1] = event{}
	s = s[:len(s)-1]
	*a = s
	if len(s) == 0 {
		return first
	}
	at := 0
	for {
		child := 4*at + 1
		if child >= len(s) {
			break
		}
		for c := child + 1; c < min(child+4, len(s)); c++ {
			if s[c].before(&s[child]) {
				child = c
			}
		}
		if !s[child].before(&last) {
			break
		}
		s[at] = s[child]
		at = child
	}
	s[at] = last
	return first
}

// lane is events that are planned in the order of their time, as arrivals are that all take as long: no heap is needed for them.
type lane struct {
	events    []event // events[head:]
	head      int
	gathering bool // events are added in the order of nodes, which took turns, and put in order afterwards
}

// add adds an event, after which at most those of the same time come.
func (l *lane) add(e event) {
	if l.events = append(l.events, e); !l.gathering {
		l.sink(len(l.events) - 1)
	}
}

// sink moves an event before those that it comes before, which are few, and reports whether there were any.
func (l *lane) sink(at int) (moved bool) {
	for ; at > l.head && l.events[at].before(&l.events[at-1]); at-- {
		l.events[at], l.events[at-1], moved = l.events[at-1], l.events[at], true
	}
	return moved
}

// order puts events from an index on in order, of which none comes before one that was added earlier, unless it has the same time.
func (l *lane) order(from int) {
	slices.SortFunc(l.events[from:], func(a, b event) int { return a.compare(&b) })
	for from < len(l.events) && l.sink(from) {
		from++
	}
}

func (l *lane) next() event {
	e := l.events[l.head]
	l.events[l.head] = event{}
	if l.head++; l.head == len(l.events) || l.head > 1<<10 && l.head > len(l.events)/2 {
		l.compact()
	}
	return e
}

func (l *lane) compact() {
	l.events, l.head = append(l.events[:0], l.events[l.head:]...), 0
}
