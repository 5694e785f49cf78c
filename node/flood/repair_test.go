package flood

import (
	"fmt"
	"maps"
	"testing"
	"time"
)

// pair is two neighbours, and what is under way between them.
type pair struct {
	now     time.Time
	engines [2]*Engine
	wire    [2][]Message // to each
	bytes   [2]int       // of repair, to each
	notices []string
}

func newPair(t testing.TB) *pair {
	topo := star(t, "A", "B")
	p := &pair{now: time.Unix(1_700_000_000, 0)}
	for i, name := range topo.Nodes() {
		p.engines[i] = NewEngine(Config{
			Name: name, Incarnation: Incarnation{byte(i + 1)}, Topology: topo, Limit: 1 << 16,
			Notice: func(n Notice) { p.notices = append(p.notices, fmt.Sprintf("%s %+v", name, n)) },
		})
		p.engines[i].Connect(p.now)
	}
	return p
}

// step carries everything that is to be said now; lose says which messages vanish.
func (p *pair) step(t testing.TB, lose func(to int, m *Message) bool) {
	for busy := true; busy; {
		busy = false
		for i, e := range p.engines {
			var m Message
			for e.Links()[0].Next(p.now, &m) {
				busy = true
				if lose == nil || !lose(1-i, &m) {
					p.wire[1-i] = append(p.wire[1-i], m)
				}
				m = Message{}
			}
		}
		for i, e := range p.engines {
			for _, m := range p.wire[i] {
				if m.Kind == Repair {
					p.bytes[i] += len(m.Payload)
				}
				if err := e.Links()[0].Take(p.now, m, nil); err != nil {
					t.Fatal(err)
				}
			}
			p.wire[i] = nil
		}
	}
}

// pass lets seconds go by.
func (p *pair) pass(t testing.TB, seconds int, lose func(to int, m *Message) bool) {
	for range 4 * seconds {
		p.now = p.now.Add(time.Second / 4)
		for _, e := range p.engines {
			e.Tick(p.now)
		}
		p.step(t, lose)
	}
}

func (p *pair) equal() bool {
	return maps.Equal(contents(p.engines[0].Registry()), contents(p.engines[1].Registry()))
}

func TestPairHeals(t *testing.T) {
	for _, all := range []int{0, 1, 50, 100, 10_000} {
		for _, stale := range []int{1, 10, 1000} {
			p := newPair(t)
			p.step(t, nil)
			for i := range all {
				p.engines[0].Hear(at(t, fmt.Sprint("c", i), 1000), Edge)
			}
			p.step(t, nil)
			if !p.equal() {
				t.Fatal("not equal before")
			}
			cut := func(int, *Message) bool { return true }
			for i := range stale {
				p.engines[0].Hear(at(t, fmt.Sprint("c", i), 2000), Edge)
			}
			p.pass(t, 5, cut)
			p.pass(t, 3, nil)
			if !p.equal() {
				t.Errorf("%d of %d: not equal", stale, all)
			}
			t.Log(all, stale, p.bytes, p.notices)
		}
	}
}
