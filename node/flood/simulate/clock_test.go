package simulate

import (
	"testing"
	"time"

	"herd/node/flood"
)

// A clock that was ahead of the retention for some seconds, and is right again, keeps nothing out: neither new reports nor those that were
// forgotten meanwhile and that a neighbour still holds.
func TestClockSetBack(t *testing.T) {
	const retention, ahead, wrong = time.Hour, 2 * time.Hour, 5 * time.Second
	for name, nodes := range map[string][]int{"one clock": {1}, "all but one": {0, 1, 2, 4}, "all": {0, 1, 2, 3, 4}} {
		h := newHerd(1, settings{topology: campus(t), queueLimit: 1 << 16, delay: 5 * time.Millisecond, retention: retention})
		back := 0
		h.onNotice = func(_ *node, what flood.Notice) {
			if what.Kind == flood.CutoffBack {
				back++
			}
		}
		h.start()
		h.run(3 * time.Second)
		const early = 50
		for i := range early {
			h.nodes[i%5].move(t, i)
		}
		h.run(h.now + time.Second)
		for _, i := range nodes {
			h.nodes[i].clock += ahead
		}
		h.run(h.now + wrong)
		for _, i := range nodes {
			h.nodes[i].clock -= ahead
		}
		const late = 1000
		for i := range late { // so many that digests are never compared meanwhile
			h.run(h.now + 4*time.Millisecond)
			h.nodes[i%5].move(t, early+i)
		}
		h.run(h.now + 20*time.Millisecond) // for three hops
		want := early + late
		if len(nodes) == 5 {
			want = late // nobody holds the others any more
		}
		for _, n := range h.nodes {
			if _, clients := n.engine.Registry().Digest(); clients != want {
				t.Errorf("%s: %s holds %d clients instead of %d", name, n.name, clients, want)
			}
		}
		if back != len(nodes) {
			t.Errorf("%s: %d cut-offs moved back", name, back)
		}
	}
}
