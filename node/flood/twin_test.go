package flood

import (
	"testing"
	"time"
)

// A node that starts anew, and is not heard for a cut of one way, is not taken for a twin though its neighbour knows only its last
// start: else the link would not be repaired for 30 s.
func TestStartIsNoTwin(t *testing.T) {
	n := newNet(star(t, "A", "B"))
	n.pass(t, 2*time.Second)
	n.start("B", Incarnation{9})
	n.lose = func(_, to NodeName, _ *Message) bool { return to == "A" }
	n.pass(t, 10*time.Second)
	if got := n.count(Twin) + n.count(NeighbourTwin); got != 0 {
		t.Errorf("%d twins", got)
	}
	n.engines["A"].Hear(at(t, "k", 1), Edge)
	n.heal()
	n.pass(t, 2*time.Second)
	if len(n.equal(t)) != 1 {
		t.Error("lost")
	}
}
