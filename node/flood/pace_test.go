package flood

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"herd/bus/subject"
	"herd/node/line"
	"herd/node/topology"
)

// pair is the topology of A and B, in which A sends B a report of each client at most once in so long; 0: each at once.
func pair(t testing.TB, every time.Duration) *topology.Topology {
	t.Helper()
	var paces []topology.Pace
	if every > 0 {
		paces = []topology.Pace{{From: "A", To: "B", Every: every}}
	}
	topo, err := topology.New([]line.NodeName{"A", "B"}, [][2]line.NodeName{{"A", "B"}}, paces...)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// paced is the nodes of a pair that know each other.
func paced(t testing.TB, every time.Duration) *network {
	t.Helper()
	p := newNetwork(pair(t, every))
	p.pass(t, 3*time.Second)
	return p
}

// report has a client report at a node, and carries what comes of it.
func (n *network) report(t testing.TB, node line.NodeName, client string, time int) {
	t.Helper()
	n.engines[node].Apply(at(t, client, time), Local)
	n.deliverAll(t)
}

// holds fails unless a node holds the report of a client that has such a time.
func (n *network) holds(t testing.TB, node line.NodeName, client string, time int) {
	t.Helper()
	if r, _ := n.engines[node].Registry().Get(line.ClientID(client)); r != at(t, client, time) {
		t.Errorf("%s holds %q of %s, want that of time %d", node, r, client, time)
	}
}

// In a window one report of a client is sent, at once, and the newest of what comes later when the window ends.
func TestPace(t *testing.T) {
	const every = 10 * time.Second
	p := paced(t, every)
	a, sent := p.link("A", "B"), 0
	p.drop = func(_, _ line.NodeName, m *Message) bool {
		for _, r := range m.Reports {
			if r.Client() == "k" {
				sent++
			}
		}
		return false
	}
	p.report(t, "A", "k", 1)
	p.holds(t, "B", "k", 1)
	select {
	case <-a.Wake():
	default:
	}
	p.engines["A"].Apply(at(t, "k", 2), Local)
	select {
	case <-a.Wake():
	default:
		t.Error("nothing waits for the end of the window")
	}
	p.report(t, "A", "k", 3)
	p.report(t, "A", "quiet", 1)
	p.holds(t, "B", "k", 1)
	p.holds(t, "B", "quiet", 1)
	if owed, conflated := a.Owed(); owed != 0 || conflated != 1 || a.Held() != 1 || !a.Owes() || a.Status().Every != every {
		t.Errorf("%d owed, %d held, %d conflated, every %s", owed, a.Held(), conflated, a.Status().Every)
	}
	due := a.ledger.pace.Load().due()
	if wait := due.Sub(p.now); wait <= 0 || wait > every {
		t.Errorf("the window ends in %s", wait)
	}
	a.live.heartbeatDue, a.live.shortDue = due.Add(time.Hour), due.Add(time.Hour)
	if got := a.Due(); !got.Equal(due) {
		t.Errorf("due %s, want %s", got, due)
	}
	p.now = due
	p.deliverAll(t)
	p.holds(t, "B", "k", 3)
	p.report(t, "A", "k", 4)
	p.holds(t, "B", "k", 3) // for it was sent in this window, too
	if sent != 2 || a.Held() != 1 {
		t.Errorf("%d reports sent, %d held", sent, a.Held())
	}
}

// What a message had that was lost waits for no window.
func TestPaceOfLostMessage(t *testing.T) {
	p := paced(t, time.Hour)
	lost := false
	p.drop = func(_, _ line.NodeName, m *Message) bool {
		loses := m.Kind == subject.Propagate && !lost
		lost = lost || loses
		return loses
	}
	p.report(t, "A", "k", 1)
	p.report(t, "A", "k", 2) // is held
	p.pass(t, 3*time.Second)
	p.holds(t, "B", "k", 2)
}

// A neighbour that returns, or starts anew, is sent at once what was held, and so is one that a reload or the end of the node leaves without every.
// Other windows begin anew.
func TestPaceEnds(t *testing.T) {
	relink := func(every time.Duration) func(p *network) {
		return func(p *network) { p.engines["A"].Relink(p.now, pair(t, every)) }
	}
	for what, tt := range map[string]struct {
		end  func(p *network)
		wait time.Duration // until the neighbour has what was held
		held int
	}{
		"return": {func(p *network) {
			p.cut("B")
			p.pass(t, 6*time.Second)
			p.drop = func(line.NodeName, line.NodeName, *Message) bool { return false }
		}, 2 * time.Second, 0},
		"new start":  {func(p *network) { p.start("B", subject.Incarnation{77}) }, 4 * time.Second, 1}, // its sync requests once more what has just been sent
		"no every":   {relink(0), 0, 0},
		"less":       {relink(200 * time.Millisecond), time.Second / 4, 0},
		"as before":  {relink(time.Hour), -1, 1},
		"more":       {relink(2 * time.Hour), -1, 1},
		"node stops": {func(p *network) { p.engines["A"].Hasten() }, 0, 0},
	} {
		p := paced(t, time.Hour)
		p.report(t, "A", "k", 1)
		p.report(t, "A", "k", 2)
		p.holds(t, "B", "k", 1)
		tt.end(p)
		p.deliverAll(t)
		want := 2
		if tt.wait < 0 {
			tt.wait, want = 5*time.Second, 1
		}
		p.pass(t, tt.wait)
		p.holds(t, "B", "k", want)
		if held := p.link("A", "B").Held(); held != tt.held || t.Failed() {
			t.Fatalf("%s: %d held", what, held)
		}
	}
}

// What the neighbour sends is held no more: a greater report, and the same one. A node with something held says no digest.
func TestHeldIsOwed(t *testing.T) {
	p := paced(t, time.Hour)
	a, b := p.link("A", "B"), p.link("B", "A")
	for i, fromB := range []int{3, 12} {
		p.report(t, "A", "k", 10*i+1)
		p.pass(t, 2*time.Second)
		compared := b.Status().DigestCompared
		p.report(t, "A", "k", 10*i+2)
		if p.pass(t, 5*time.Second); a.Held() != 1 || !b.Status().DigestCompared.Equal(compared) {
			t.Errorf("%d held, digests compared at %s and at %s", a.Held(), compared, b.Status().DigestCompared)
		}
		p.report(t, "B", "k", fromB)
		if a.Held() != 0 {
			t.Errorf("what the neighbour has sent of %d is held", fromB)
		}
		p.pass(t, 2*time.Second)
		if s := b.Status(); !s.DigestEqual || !s.DigestCompared.After(compared) {
			t.Errorf("digests equal: %v, compared at %s", s.DigestEqual, s.DigestCompared)
		}
		p.engines["A"].Relink(p.now, pair(t, 0))
		p.engines["A"].Relink(p.now, pair(t, time.Hour))
	}
}

// While reports come, windows end, and every changes, nothing is lost.
func TestPaceConcurrently(t *testing.T) {
	const clients, reports = 300, 40_000
	e := connected(Config{Name: "A", Topology: pair(t, time.Second)})
	l := e.Links()[0]
	l.ledger.window.size = mostWindow
	last, stop := make(map[line.ClientID]line.Report), make(chan struct{})
	now := time.Unix(1_700_000_000, 0)
	next := func() {
		var m Message
		for l.Next(now, &m) {
			for _, r := range m.Reports {
				if before, ok := last[r.Client()]; !ok || r.Compare(before) > 0 {
					last[r.Client()] = r
				}
			}
			e.mu.Lock()
			l.ledger.inFlight, l.ledger.window.inFlight = nil, 0 // as if it were acknowledged
			e.mu.Unlock()
		}
	}
	var all, rest sync.WaitGroup
	rest.Go(func() {
		for ; ; now = now.Add(time.Millisecond) {
			select {
			case <-stop:
				return
			default:
				next()
			}
		}
	})
	rest.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				e.Relink(time.Unix(1_700_000_000, 0), pair(t, time.Duration(i%3)*time.Second))
			}
		}
	})
	for part := range 2 {
		all.Go(func() {
			for i := range reports / 2 {
				e.Apply(at(t, fmt.Sprint("c", (2*i+part)%clients), i), Local)
			}
		})
	}
	all.Wait()
	close(stop)
	rest.Wait()
	e.Hasten()
	next()
	for r := range e.registry.All() {
		if last[r.Client()] != r {
			t.Errorf("%q is held, and %q was sent last", r, last[r.Client()])
		}
	}
}
