package simulate

import (
	"testing"
	"time"
)

// Two halves of a herd that were apart, in which 10,000 clients have moved on one side and 10,000 others on the other, know the same within
// 2 s of the link's return: whether it was away for a moment, for long, or the connection was lost with it. Bytes of repair are in
// proportion to what was missed.
func TestHealInTime(t *testing.T) {
	skipRacing(t)
	for _, tt := range []struct {
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
			h := newHerd(7, settings{topology: campus(t), limit: 1 << 16, delay: tt.delay})
			h.start()
			h.run(3 * time.Second)
			const clients, stale = 40_000, 10_000
			for i := range clients {
				h.run(h.now + 10*time.Microsecond)
				h.nodes[i%len(h.nodes)].move(t, i)
			}
			if _, equal := h.settle(time.Millisecond, time.Second); !equal {
				t.Fatal("not equal before")
			}
			h.run(h.now + 3*time.Second)
			const welsh, holiday = 3, 2 // behind a bridge
			away := []*way{h.way(welsh, holiday), h.way(holiday, welsh)}
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
			took, equal := h.settle(10*time.Millisecond, 10*time.Second)
			bytes := h.counts.repairBytes - before.repairBytes
			t.Logf("%s, connection lost %v: %s, %d bytes of repair", tt.name, lost, took, bytes)
			if !equal || took > 2*time.Second {
				t.Errorf("%s, connection lost %v: equal %v after %s", tt.name, lost, equal, took)
			}
			h.run(h.now + 3*time.Second)
			if missed := uint64(2 * stale * 90); h.counts.repairBytes-before.repairBytes > 3*missed {
				t.Errorf("%s: %d bytes of repair for %d missed", tt.name, bytes, missed)
			}
		}
	}
}
