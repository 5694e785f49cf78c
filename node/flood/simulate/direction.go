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

	last time.Duration // when what was sent last arrives
}

// parcel is a message in flight.
type parcel struct {
	direction *direction
	m         flood.Message
	one       [1]line.Report // most messages have one report: it is where the message is
}

// send sends a message. Who calls may use its memory again.
func (w *direction) send(m *flood.Message) {
	p, n := w.parcel(m), w.from
	if n.worker == &w.herd.worker {
		p.leave(n.worker.now)
	} else {
		n.planned = append(n.planned, event{at: n.worker.now, what: p})
	}
}

// parcel returns a copy of a message with memory of its own.
func (w *direction) parcel(m *flood.Message) *parcel {
	p, _ := w.herd.idle.Get().(*parcel)
	if p == nil {
		p = new(parcel)
		p.m.Reports = p.one[:0]
	}
	p.direction, p.m.Kind, p.m.Stamp = w, m.Kind, m.Stamp
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
		w.parcel(&p.m).arriveAfter(sent)
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
	h.lane.events = append(h.lane.events, event{w.last, h.turn, p, w.to})
}

func (p *parcel) happen() {
	if n := p.direction.to; p.direction.cut {
		n.worker.counts.cut++
	} else {
		n.arrive(p)
	}
}

// count counts a message that is sent.
func (c *counts) count(from *node, m *flood.Message) {
	switch m.Kind {
	case subject.Propagate:
		c.messages++
		for _, r := range m.Reports {
			c.reportBytes += uint64(len("PROPAGATE ") + len(from.name) + len(" \n") + len(r.String()))
		}
	case subject.Sync:
		c.syncs++
		c.syncBytes += uint64(len(m.Payload))
	default:
		c.heartbeats++
		c.heartbeatBytes += uint64(len(m.Payload))
	}
}
