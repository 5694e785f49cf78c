package simulate

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"herd/node/flood"
	"herd/node/line"
)

// What is older than the retention is forgotten everywhere, and neither repair nor a disk brings it back: not with clocks that differ, a
// node that was cut off, and one that was down and knows it all from its disk. A herd without faults needs no syncs for it.
func TestRetention(t *testing.T) {
	skipRacing(t)
	const retention = time.Minute // so that the cut-off moves every second
	const step = time.Second
	for _, spread := range []time.Duration{0, 50 * time.Millisecond, 1500 * time.Millisecond} { // of the clocks; two steps ahead is refused
		for _, faults := range []bool{false, true} {
			name := fmt.Sprintf("clocks %s apart, faults %v", spread, faults)
			w := make(countSyncs)
			h := newHerd(11, settings{topology: campus(t), delay: 5 * time.Millisecond, retention: retention})
			h.onNotice = func(n *node, what flood.Notice) {
				w.notice(n, what)
				if what.Kind == flood.CutoffAhead || what.Kind == flood.OtherRetention {
					t.Errorf("%s: %s suspects %s: %+v", name, n.name, what.Peer, what)
				}
			}
			late := 0
			h.changed = func(n *node, r line.Report) {
				if n.time().UnixNano()-r.Received() > int64(retention+2*step+2*spread) {
					t.Errorf("%s: at %s %s takes %q, which is to be forgotten", name, h.now, n.name, r)
				} else if n.time().UnixNano()-r.Received() > int64(retention-5*time.Second) {
					late++
				}
			}
			for i, n := range h.nodes {
				n.clock = spread * time.Duration(i) / time.Duration(len(h.nodes))
				n.storage = newDisk(h, time.Millisecond)
			}
			h.start()
			h.run(3 * time.Second)
			clear(w)
			const welsh, holiday, wilkes = 3, 2, 4
			if faults {
				h.in(30*time.Second, func() { h.direction(welsh, holiday).cut, h.direction(holiday, welsh).cut = true, true })
				h.in(88*time.Second, func() { h.direction(welsh, holiday).cut, h.direction(holiday, welsh).cut = false, false })
				h.in(120*time.Second, h.nodes[wilkes].crash)
				h.in(178*time.Second, h.nodes[wilkes].start)
			}
			for i := range 4 * 250 {
				h.run(3*time.Second + time.Duration(i)*time.Second/4)
				if n := h.nodes[i%5]; n.engine != nil {
					n.move(t, i)
				}
				if i%4 > 0 {
					continue
				}
				for _, n := range h.nodes {
					if n.engine == nil {
						continue
					}
					oldest := n.time().Add(-retention - 2*step - 2*spread).UnixNano()
					for r := range n.engine.Registry().All() {
						if r.Received() < oldest {
							t.Fatalf("%s: at %s %s holds %q, which is to be forgotten", name, h.now, n.name, r)
						}
					}
				}
			}
			h.run(h.now + 3*time.Second)
			oldest := h.nodes[0].time().Add(2*spread + step - retention).UnixNano() // what no node may have forgotten
			want := heldSince(h.nodes[0], oldest)
			for _, n := range h.nodes {
				if got := heldSince(n, oldest); !maps.Equal(got, want) || len(got) < 4*45 || len(got) > 4*60 {
					t.Errorf("%s: %s holds %d clients of the last minute, %s %d", name, n.name, len(got), h.nodes[0].name, len(want))
				}
			}
			if faults && late == 0 {
				t.Errorf("%s: nothing that was nearly too old came by repair", name)
			}
			t.Logf("%s: syncs %v, %d taken late", name, w, late)
			if spread > step {
				delete(w, "not compared for long") // cut-offs are hardly ever the same there
			}
			if !faults && len(w) > 0 || w["not compared for long"] > 0 {
				t.Errorf("%s: syncs %v", name, w)
			}
			h.run(h.now + retention + 3*step + 2*spread)
			for _, n := range h.nodes {
				if _, clients := n.engine.Registry().Digest(); clients > 0 {
					t.Errorf("%s: %s still holds %d clients", name, n.name, clients)
				}
			}
		}
	}
}

// A cut-off travels: where clocks differ, what the node whose clock is ahead forgets, others do a few heartbeats later, and not when their
// own clocks say so.
func TestCutoffTravels(t *testing.T) {
	skipRacing(t)
	const retention, ahead = 640 * time.Second, 15 * time.Second // steps of 10 s
	h := newHerd(1, settings{topology: campus(t), delay: time.Millisecond, retention: retention})
	h.nodes[3].clock = ahead
	h.start()
	h.run(3 * time.Second)
	h.nodes[0].move(t, 1)
	h.run(h.now + time.Second)
	var first time.Duration
	for holding := len(h.nodes); holding > 0; h.run(h.now + 100*time.Millisecond) {
		holding = 0
		for _, n := range h.nodes {
			_, clients := n.engine.Registry().Digest()
			holding += clients
		}
		if holding < len(h.nodes) && first == 0 {
			first = h.now
		}
	}
	if first > retention || h.now-first > 6*time.Second {
		t.Errorf("forgotten from %s to %s", first, h.now)
	}
}

// heldSince returns what a node holds of what was received since then.
func heldSince(n *node, oldest int64) map[line.ClientID]string {
	held := make(map[line.ClientID]string)
	for r := range n.engine.Registry().All() {
		if r.Received() >= oldest {
			held[r.Client()] = r.String()
		}
	}
	return held
}
