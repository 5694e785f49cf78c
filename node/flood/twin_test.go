package flood

import (
	"fmt"
	"strings"
	"testing"
)

// A node that starts anew, and is not heard for a cut of one way, is not taken for a twin though its neighbour knows only its last
// start: else the link would not be repaired for 30 s.
func TestStartIsNoTwin(t *testing.T) {
	p := newPair(t)
	p.pass(t, 2, nil)
	p.restart(1, Incarnation{9})
	p.pass(t, 10, func(to int, _ *Message) bool { return to == 0 })
	for _, n := range p.notices {
		if strings.Contains(n, fmt.Sprintf("What:%d", Twin)) {
			t.Error(n)
		}
	}
	p.engines[0].Hear(at(t, "k", 1), Edge)
	p.pass(t, 2, nil)
	if !p.equal() {
		t.Error("not equal 2 s after the cut")
	}
}

// restart has a node begin anew, with nothing.
func (p *pair) restart(i int, incarnation Incarnation) {
	c := p.engines[i].Config
	c.Incarnation = incarnation
	p.engines[i] = NewEngine(c)
	p.engines[i].Connect(p.now)
}
