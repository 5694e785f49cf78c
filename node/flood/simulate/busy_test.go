package simulate

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"herd/node/flood"
	"herd/node/line"
	"herd/node/topology"
)

// campus is the topology of the demo herd.
func campus(t testing.TB) *topology.Topology {
	t.Helper()
	topo, err := topology.New([]line.NodeName{"Goloman", "Hands", "Holiday", "Welsh", "Wilkes"}, [][2]line.NodeName{
		{"Goloman", "Hands"},
		{"Goloman", "Holiday"},
		{"Goloman", "Wilkes"},
		{"Hands", "Wilkes"},
		{"Holiday", "Welsh"},
		{"Holiday", "Wilkes"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// skipRacing skips a long test under the race detector: TestWorkers is where goroutines could race, the others would only take long.
func skipRacing(t *testing.T) {
	t.Helper()
	if racing {
		t.Skip("nothing to race with, which would take ten times as long")
	}
}

// syncs counts the syncs of a herd by their reason, those that were abandoned too.
type countSyncs map[string]int

func (w countSyncs) notice(_ *node, what flood.Notice) {
	if what.Kind == flood.Synced || what.Kind == flood.SyncAbandoned {
		w[what.Detail]++
	}
}

// move has client number i report from another place.
func (n *node) move(t testing.TB, i int) line.Report {
	t.Helper()
	at := n.wall()
	c := line.Parse(fmt.Appendf(nil, "IAMAT client%d.example +%d.068930-118.445127 %d.%09d", i, at.UnixNano()%80+10, at.Unix(), at.Nanosecond()))
	r, admitted := n.report(&c)
	if !admitted {
		t.Fatalf("%q is not admitted", r)
	}
	return r
}

// In a busy herd that loses nothing digests that are compared never differ, and no sync runs after the first, though roots compared at
// any heartbeat would differ in most. With delays of 0.7 and 20 ms, and a sender that is slow enough for reports to wait.
func TestBusyHerd(t *testing.T) {
	skipRacing(t)
	const near, far = 700 * time.Microsecond, 20 * time.Millisecond // reports come every millisecond: so nothing is in flight at times, or always something
	for _, delays := range [][]time.Duration{{near}, {far}, {near, far}} {
		for _, pace := range []time.Duration{0, 3 * time.Millisecond} {
			if testing.Short() && (len(delays) > 1 || (pace > 0) != (delays[0] == near)) {
				continue
			}
			w := make(countSyncs)
			h := newHerd(1, settings{topology: campus(t), onNotice: w.notice})
			for i, each := range h.directions {
				each.delay, each.pace = delays[i%len(delays)], pace
			}
			h.start()
			h.run(5 * time.Second)
			clear(w)
			before := h.counts
			const seconds, rate = 60, 1000
			for i := range seconds * rate {
				h.run(5*time.Second + time.Duration(i)*time.Second/rate)
				h.nodes[h.rng.IntN(len(h.nodes))].move(t, h.rng.IntN(10_000))
			}
			if _, equal := h.converge(time.Millisecond, time.Second); !equal {
				t.Error("not equal after all was said")
			}
			reports, repair := h.counts.reportBytes-before.reportBytes, h.counts.syncBytes-before.syncBytes
			t.Logf("%v, %v: %d bytes of reports, %d of repair, %d messages, syncs %v", delays, pace, reports, repair, h.counts.messages-before.messages, w)
			for why, n := range w {
				// Where some report is always in flight there is no moment to compare digests.
				if why != "not compared for long" || pace == 0 && slices.Equal(delays, []time.Duration{near}) {
					t.Errorf("%d syncs: %s", n, why)
				}
			}
			if repair*100 > reports {
				t.Errorf("%d bytes of repair for %d of reports", repair, reports)
			}
		}
	}
}
