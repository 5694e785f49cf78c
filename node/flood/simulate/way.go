package simulate

import (
	"time"

	"herd/node/flood"
)

// way leads from one node to a neighbour.
type way struct {
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

	last   time.Duration    // when what was sent last arrives
	flight []*flood.Message // flight[head:], under way
	head   int
}

// send puts a message on the way. Who calls may use its memory again.
func (w *way) send(m *flood.Message) {
	h := w.herd
	switch {
	case w.cut:
		h.counts.cut++
		return
	case w.loss > 0 && h.rng.Float64() < w.loss, w.loses != nil && w.loses(m):
		h.counts.lost++
		return
	}
	w.put(m)
	if w.doubling > 0 && h.rng.Float64() < w.doubling {
		h.counts.doubled++
		w.put(m)
	}
}

func (w *way) put(m *flood.Message) {
	h := w.herd
	at := h.now + w.delay
	if w.jitter > 0 {
		at += time.Duration(h.rng.Int64N(int64(w.jitter)))
	}
	w.last = max(w.last, at)
	w.flight = append(w.flight, h.copy(m))
	h.at(w.last, w)
}

// copy returns a copy of a message with memory of its own.
func (h *herd) copy(m *flood.Message) *flood.Message {
	c := new(flood.Message)
	if last := len(h.idle) - 1; last >= 0 {
		c, h.idle = h.idle[last], h.idle[:last]
	}
	c.Kind, c.Stamp = m.Kind, m.Stamp
	c.Reports = append(c.Reports[:0], m.Reports...)
	c.Payload = append(c.Payload[:0], m.Payload...)
	return c
}

func (w *way) where() *node { return w.to }

// happen is the arrival of the first message that is under way.
func (w *way) happen() {
	m := w.flight[w.head]
	w.flight[w.head] = nil
	if w.head++; w.head == len(w.flight) {
		w.flight, w.head = w.flight[:0], 0
	} else if w.head > 64 && w.head > len(w.flight)/2 {
		w.flight, w.head = append(w.flight[:0], w.flight[w.head:]...), 0
	}
	if w.cut {
		w.herd.counts.cut++
	} else {
		w.to.arrive(w, m)
	}
}

// count counts a message that is sent.
func (h *herd) count(from *node, m *flood.Message) {
	switch m.Kind {
	case flood.Reports:
		h.counts.messages++
		for _, r := range m.Reports {
			h.counts.reportBytes += uint64(len("PROPAGATE ") + len(from.name) + len(" \n") + len(r.String()))
		}
	case flood.Repair:
		h.counts.repairs++
		h.counts.repairBytes += uint64(len(m.Payload))
	default:
		h.counts.beats++
		h.counts.beatBytes += uint64(len(m.Payload))
	}
}
