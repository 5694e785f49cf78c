package flood

import (
	"testing"
	"time"
)

// A sync brings what is later by order time, though the report that it replaces has a far later client's time, and nothing the other way.
func TestSyncByOrderTime(t *testing.T) {
	ahead := report(t, "A -1800000000.000000000 k +1-1 3600000000") // received at 1800000000
	right := report(t, "B +1.000000000 k +2-2 1800000010")
	p := newNetwork(star(t, "A", "B"))
	p.engines["A"].registry.Merge(ahead)
	p.engines["B"].registry.Merge(right)
	p.pass(t, 5*time.Second)
	if held := p.equal(t); held["k"] != right.String() {
		t.Errorf("%q is held", held)
	}
	for _, n := range p.notices {
		if n.Kind == Synced && n.Reports > 0 && n.Peer != "B" {
			t.Errorf("the older report was fetched: %+v", n)
		}
	}
}
