package flood

import (
	"slices"
	"testing"
	"time"

	"herd/node/line"
	"herd/node/topology"
)

// Only A has a link to C. C, whose other neighbour has C's topology, learns of it from A's record, by way of B, and says so once; A says
// whose topology lacks it. Once C has the link nothing is said any more.
func TestOneSidedLink(t *testing.T) {
	p := newNetwork(star(t, "B", "A", "C"), recording)
	triangle, err := topology.New([]line.NodeName{"A", "B", "C"}, [][2]line.NodeName{{"B", "A"}, {"B", "C"}, {"A", "C"}})
	if err != nil {
		t.Fatal(err)
	}
	p.engines["A"].Relink(p.now, triangle)
	a, c := p.engines["A"], p.engines["C"]
	p.drop = func(from, to line.NodeName, _ *Message) bool { return from == "A" && to == "C" } // C is not subscribed to it
	p.pass(t, oneSidedGrace)
	if got := c.OneSided(); len(got)+p.count(OneSided) > 0 {
		t.Errorf("within the grace period %v, %d notices", got, p.count(OneSided))
	}
	p.pass(t, 2*time.Minute)
	var notices []line.NodeName
	for _, n := range p.notices {
		if n.Kind == OneSided {
			notices = append(notices, n.Peer)
		}
	}
	if got := c.OneSided(); !slices.Equal(got, []line.NodeName{"A"}) || !slices.Equal(notices, []line.NodeName{"A"}) {
		t.Errorf("C says that %v have links to it, with notices of %v", got, notices)
	}
	if got := p.link("A", "C").Status().Lacking; !slices.Equal(got, []line.NodeName{"B", "C"}) {
		t.Errorf("A says that %v lack the link", got)
	}
	for name := range p.engines {
		if got := p.engines[name].OneSided(); name != "C" && len(got) > 0 {
			t.Errorf("%s says that %v have links to it", name, got)
		}
	}
	p.heal()
	p.topo = triangle
	for _, e := range p.engines {
		e.Relink(p.now, triangle)
	}
	p.pass(t, time.Minute)
	if got := slices.Concat(c.OneSided(), p.link("A", "C").Status().Lacking); len(got) > 0 || p.count(OneSided) != 1 || len(a.Links()) != 2 {
		t.Errorf("after C has the link: %v, %d notices", got, p.count(OneSided))
	}
}
