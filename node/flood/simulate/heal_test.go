package simulate

import (
	"slices"
	"testing"
	"time"

	"herd/bus/subject"
	"herd/node/flood"
	"herd/node/line"
)

// In a herd that is too busy for digests ever to be compared, what is lost is repaired all the same, and soon: gaps, links that return and
// nodes that start anew each need a sync, and one that is abandoned starts again.
func TestLossInBusyHerd(t *testing.T) {
	skipRacing(t)
	const goloman, wilkes, holiday, welsh = 0, 4, 2, 3
	for _, tt := range []struct {
		name   string
		fault  func(h *herd, speak func(d time.Duration))
		within time.Duration
	}{
		{"all is lost for a moment", func(h *herd, speak func(d time.Duration)) {
			directions := []*direction{h.direction(holiday, welsh), h.direction(welsh, holiday), h.direction(wilkes, holiday)}
			for _, w := range directions {
				w.loss = 1
			}
			speak(30 * time.Millisecond)
			for _, w := range directions {
				w.loss = 0
			}
		}, 2 * time.Second},
		{"answers are lost for longer than a sync waits", func(h *herd, speak func(d time.Duration)) {
			w := h.direction(holiday, welsh)
			w.loss = 1
			speak(30 * time.Millisecond)
			w.loss, w.loses = 0, func(m *flood.Message) bool { return m.Kind == subject.Sync }
			speak(3 * time.Second)
			w.loses = nil
		}, 5 * time.Second},
		{"a node ends before others know what is on its disk", func(h *herd, speak func(d time.Duration)) {
			n := h.nodes[goloman]
			for _, directions := range n.directions {
				directions[0].cut = true
			}
			speak(50 * time.Millisecond)
			n.crash()
			for _, directions := range n.directions {
				directions[0].cut = false
			}
			speak(time.Second)
			n.start()
		}, 2 * time.Second},
	} {
		compared := 0
		h := newHerd(5, settings{topology: campus(t), delay: 20 * time.Millisecond})
		h.onNotice = func(_ *node, what flood.Notice) {
			if what.Kind == flood.Synced && what.Detail == "digests differ" {
				compared++
			}
		}
		h.nodes[goloman].storage = newDisk(h, time.Millisecond)
		h.start()
		var admitted []line.Report
		speak := func(d time.Duration) {
			for until := h.now + d; h.now < until; {
				h.run(h.now + time.Millisecond)
				if n := h.nodes[h.rng.IntN(len(h.nodes))]; n.engine != nil {
					admitted = append(admitted, n.move(t, len(admitted)))
				}
			}
		}
		speak(10 * time.Second)
		tt.fault(h, speak)
		before := slices.Clone(admitted)
		h.nodes[goloman].storage = nil
		speak(tt.within)
		missing := 0
		for _, n := range h.nodes {
			for _, r := range before {
				if _, ok := n.engine.Registry().Get(r.Client()); !ok && r.Received() < n.wall().Add(-tt.within).UnixNano() {
					missing++
				}
			}
		}
		if missing > 2*len(h.nodes) { // of what Goloman did not write in its last millisecond
			t.Errorf("%s: %d of %d reports are missing at a node %s later", tt.name, missing, len(before), tt.within)
		}
		if compared > 0 {
			t.Errorf("%s: digests were compared %d times, so that it proves nothing", tt.name, compared)
		}
	}
}

// Two halves of a herd that were apart, in which 10,000 clients have moved on one side and 10,000 others on the other, know the same within
// 2 s of the link's return: whether it was away for a moment, for long, or the connection was lost with it. Bytes of repair are in
// proportion to what was missed.
func TestHealInTime(t *testing.T) {
	skipRacing(t)
	for i, tt := range []struct {
		name  string
		delay time.Duration
		away  time.Duration
	}{
		{"a moment, near", time.Millisecond, 900 * time.Millisecond},
		{"a moment, far", 20 * time.Millisecond, 900 * time.Millisecond},
		{"long, near", time.Millisecond, 20 * time.Second},
		{"long, far", 20 * time.Millisecond, 20 * time.Second},
		{"so long that a comparison is due", 20 * time.Millisecond, 100 * time.Second},
	} {
		for _, lost := range []bool{false, true} {
			if testing.Short() && (i > 0 || lost) {
				continue
			}
			h := newHerd(7, settings{topology: campus(t), delay: tt.delay})
			h.start()
			h.run(3 * time.Second)
			const clients, stale = 40_000, 10_000
			for i := range clients {
				h.run(h.now + 10*time.Microsecond)
				h.nodes[i%len(h.nodes)].move(t, i)
			}
			if _, equal := h.converge(time.Millisecond, time.Second); !equal {
				t.Fatal("not equal before")
			}
			h.run(h.now + 3*time.Second)
			const welsh, holiday = 3, 2 // behind a bridge
			away := []*direction{h.direction(welsh, holiday), h.direction(holiday, welsh)}
			before := h.counts
			for _, w := range away {
				w.cut = true
			}
			if lost {
				h.nodes[welsh].disconnect()
			}
			h.run(h.now + tt.away/2)
			for i := range stale {
				h.run(h.now + tt.away/2/stale)
				h.nodes[welsh].move(t, i)
				h.nodes[i%3].move(t, stale+i)
			}
			for _, w := range away {
				w.cut = false
			}
			if lost {
				h.nodes[welsh].connect()
			}
			took, equal := h.converge(10*time.Millisecond, 10*time.Second)
			bytes := h.counts.syncBytes - before.syncBytes
			t.Logf("%s, connection lost %v: %s, %d bytes of repair", tt.name, lost, took, bytes)
			if !equal || took > 2*time.Second {
				t.Errorf("%s, connection lost %v: equal %v after %s", tt.name, lost, equal, took)
			}
			h.run(h.now + 3*time.Second)
			if missed := uint64(2 * stale * 90); h.counts.syncBytes-before.syncBytes > 2*missed {
				t.Errorf("%s: %d bytes of repair for %d missed", tt.name, bytes, missed)
			}
		}
	}
}
