package simulate

import (
	"time"

	"herd/bus/subject"
	"herd/node/flood"
	"herd/node/line"
)

// direction is one direction of a link.
type direction struct {
	herd     *herd
	from, to *node
	slot     int // of the link among those of to
	delay    time.Duration
	jitter   time.Duration // at most, on top
	loss     float64       // probability for each message
	loses    func(m *flood.Message) bool
	doubling float64 // probability
	cut      bool
	pace     time.Duration // from when a message leaves to when the next one may
	late     time.Duration // by which what was sent over an earlier connection arrives after its time

	last       time.Duration // when what was sent last arrives
	connection int           // of the node, by number
	carried    segments      // so far
}

// parcel is a message in flight.
type parcel struct {
	direction  *direction
	m          flood.Message
	one        [1]line.Report // most messages have one report: it is where the message is
	size       int            // on the wire
	queued     time.Duration  // when it came to the pipe that it is in
	connection int            // over which it was sent; −1: it is late already
}

// send sends a message of so many bytes on the wire. Who calls may use its memory again.
func (w *direction) send(m *flood.Message, size int) {
	w.carried.add(size)
	p := w.parcel(m, size)
	if n := w.from; n.out.unlimited() {
		n.sent(p)
	} else {
		n.out.add(p)
	}
}

// sent has a parcel leave the node's connection.
func (n *node) sent(p *parcel) {
	if n.worker == &n.herd.worker {
		p.leave(n.worker.now)
	} else {
		n.planned = append(n.planned, event{at: n.worker.now, what: p})
	}
}

// parcel returns a copy of a message with memory of its own.
func (w *direction) parcel(m *flood.Message, size int) *parcel {
	p, _ := w.herd.idle.Get().(*parcel)
	if p == nil {
		p = new(parcel)
		p.m.Reports = p.one[:0]
	}
	p.direction, p.size, p.connection, p.m.Kind, p.m.Stamp = w, size, w.connection, m.Kind, m.Stamp
	p.m.Reports = append(p.m.Reports[:0], m.Reports...)
	p.m.Payload = append(p.m.Payload[:0], m.Payload...)
	return p
}

// leave decides what becomes of a parcel that was sent at a time.
func (p *parcel) leave(sent time.Duration) {
	w, h := p.direction, p.direction.herd
	switch {
	case w.cut:
		h.counts.cut++
		return
	case w.loss > 0 && h.rng.Float64() < w.loss, w.loses != nil && w.loses(&p.m):
		h.counts.lost++
		return
	}
	p.arriveAfter(sent)
	if w.doubling > 0 && h.rng.Float64() < w.doubling {
		h.counts.doubled++
		again := w.parcel(&p.m, p.size)
		if again.arriveAfter(sent); h.rng.IntN(2) == 0 {
			again = w.parcel(&p.m, p.size) // the third arrives after later messages
			h.at(w.last+time.Duration(h.rng.Int64N(int64(time.Second))), w.to, again)
		}
	}
}

// arriveAfter plans the arrival, after those of all that were sent before.
func (p *parcel) arriveAfter(sent time.Duration) {
	w, h := p.direction, p.direction.herd
	at := sent + w.delay
	if w.jitter > 0 {
		at += time.Duration(h.rng.Int64N(int64(w.jitter)))
	}
	if w.last = max(w.last, at); w.last != sent+h.delay {
		h.at(w.last, w.to, p)
		return
	}
	h.turn++
	h.lane.add(event{w.last, h.turn, p, w.to})
}

func (p *parcel) happen() {
	w, n := p.direction, p.direction.to
	switch {
	case w.cut:
		n.worker.counts.cut++
	case w.late > 0 && p.connection >= 0 && p.connection != w.connection:
		p.connection = -1
		n.worker.counts.overtaken++
		n.plan(n.worker.now+w.late, p)
	case n.in.unlimited() || !n.connected:
		n.arrive(p)
	default:
		n.in.add(p)
		if n.in.overflows() {
			n.closeConnection()
		}
	}
}

// count counts a message that is sent, of so many bytes on the wire.
func (c *counts) count(m *flood.Message, size int) {
	switch m.Kind {
	case subject.Propagate:
		c.messages++
		c.reportBytes += uint64(size)
	case subject.Sync:
		c.syncs++
		c.syncBytes += uint64(size)
	default:
		c.heartbeats++
		c.heartbeatBytes += uint64(size)
	}
}
