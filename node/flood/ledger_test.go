package flood

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"herd/bus/subject"
	"herd/node/line"
)

// owes reports whether the neighbour is owed the report held of a client.
func (l *Link) owesReport(id line.ClientID) bool {
	k := keyOf(id)
	s := l.engine.registry.shard(k)
	place := s.index.find(k.hash, id, s.reports)
	return place >= 0 && l.ledger.owed[k.shard()].has(place)
}

// What a neighbour sends is not owed to it: a greater report never, the same one only if the link cannot send at once what it owes. What an
// earlier start of the neighbour has sent says nothing of the present one.
func TestSettledByReceipt(t *testing.T) {
	for _, tt := range []struct {
		name    string
		time    int // of the report that is received; 5 is held
		present bool
		behind  bool
		owed    bool
	}{
		{"greater", 6, true, false, false},
		{"greater, of an earlier start", 6, false, false, true},
		{"the same", 5, true, false, true},
		{"the same, while much is owed", 5, true, true, false},
		{"the same of an earlier start, while much is owed", 5, false, true, true},
		{"smaller", 4, true, true, true},
	} {
		p := newNetwork(star(t, "A", "B"))
		p.pass(t, 3*time.Second)
		a, b := p.link("A", "B"), p.link("B", "A")
		p.engines["A"].Apply(at(t, "k", 5), Local)
		a.ledger.behind.Store(tt.behind)
		m := Message{Kind: subject.Propagate, Stamp: subject.Stamp{Incarnation: b.incarnation, Number: b.ledger.lastNumber + 1}}
		if !tt.present {
			m.Stamp.Incarnation = subject.Incarnation{99}
		}
		m.Reports = []line.Report{at(t, "k", tt.time)}
		if err := a.Receive(p.now, m, nil); err != nil {
			t.Fatal(err)
		}
		if got := a.owesReport("k"); got != tt.owed {
			t.Errorf("%s: owed %v", tt.name, got)
		}
	}
}

// A message that the neighbour lacks is owed again, in the form in which its reports are held by then, and nothing else is; the neighbour tells
// of a gap at once.
func TestLostMessageIsOwedAgain(t *testing.T) {
	p := newNetwork(star(t, "A", "B"))
	p.pass(t, 3*time.Second)
	a, b := p.link("A", "B"), p.link("B", "A")
	next := func(client string, time int) (m Message) {
		p.engines["A"].Apply(at(t, client, time), Local)
		for m.Kind != subject.Propagate {
			if !a.Next(p.now, &m) {
				t.Fatalf("nothing is sent of %s", client)
			}
		}
		return m
	}
	next("lost", 1)
	arrives := next("arrives", 1)
	p.engines["A"].Apply(at(t, "lost", 2), Local)
	a.ledger.settle(keyOf("lost").shard(), 0) // as if it had been sent
	if a.owesReport("lost") {
		t.Fatal("the report of a message in flight is owed")
	}
	if err := b.Receive(p.now, arrives, nil); err != nil {
		t.Fatal(err)
	}
	var ack Message
	if !b.Next(p.now, &ack) || ack.Kind != subject.Heartbeat {
		t.Fatal("the gap is not acknowledged at once")
	}
	if err := a.Receive(p.now, ack, nil); err != nil {
		t.Fatal(err)
	}
	if !a.owesReport("lost") || a.owesReport("arrives") || a.Status().Retransmitted != 1 || len(a.ledger.inFlight) != 0 {
		t.Errorf("owed: lost %v, arrives %v; %d retransmitted, %d in flight", a.owesReport("lost"), a.owesReport("arrives"), a.Status().Retransmitted, len(a.ledger.inFlight))
	}
	p.deliverAll(t)
	if held := p.equal(t); held["lost"] != at(t, "lost", 2).String() {
		t.Errorf("held are %v", held)
	}
}

// The round of a neighbour ends when everything has been sent that was owed when it was requested, whatever has come since.
func TestRound(t *testing.T) {
	p := newNetwork(star(t, "A", "B"))
	p.pass(t, 3*time.Second)
	a := p.link("A", "B")
	const clients = 3000
	for i := range clients {
		p.engines["A"].Apply(at(t, fmt.Sprint("c", i), 1), Local)
	}
	a.ledger.window.size, a.ledger.window.measuredAt = mostWindow, p.now
	a.receiveRequests(p.now, requestBatch{id: 7, requests: []request{{kind: requestRound}}})
	sent := make(map[string]bool)
	for later := 0; ; later++ {
		p.engines["A"].Apply(at(t, fmt.Sprint("later", later%10), 1+later), Local)
		var m Message
		if !a.Next(p.now, &m) {
			t.Fatal("the round does not end")
		}
		for _, r := range m.Reports {
			sent[string(r.Client())] = true
		}
		if m.Kind == subject.Sync {
			break
		}
	}
	for i := range clients {
		if !sent[fmt.Sprint("c", i)] {
			t.Fatalf("the round has ended before c%d was sent", i)
		}
	}
}

// The place of a client that was forgotten goes to a new one, who owes nothing of it. A message that is lost only then has the new one sent once
// more.
func TestPlacesAreReused(t *testing.T) {
	e := connected(Config{Name: "A", Topology: star(t, "A", "B")})
	l := e.Links()[0]
	for i := range 1000 {
		e.Apply(report(t, fmt.Sprintf("A +0.000000000 c%d +1-1 %d", i, 1+i%2*1000)), Local)
	}
	places := make(map[string]int)
	for i := range 1000 {
		k := keyOf(line.ClientID(fmt.Sprint("c", i)))
		s := e.registry.shard(k)
		places[fmt.Sprint("c", i)] = s.index.find(k.hash, line.ClientID(fmt.Sprint("c", i)), s.reports)
	}
	before := 0
	for i := range e.registry.shards {
		before += len(e.registry.shards[i].reports)
	}
	e.raiseCutoff(500e9)
	e.expire(time.Unix(600, 0))
	owed, _ := l.Owed()
	if e.registry.Len() != 500 || owed != 500 {
		t.Fatalf("%d clients are held and %d owed, want 500", e.registry.Len(), owed)
	}
	for i := 1; i < 1000; i += 2 {
		id := line.ClientID(fmt.Sprint("c", i))
		k := keyOf(id)
		s := e.registry.shard(k)
		if got := s.index.find(k.hash, id, s.reports); got != places[string(id)] {
			t.Fatalf("%s has moved from place %d to %d", id, places[string(id)], got)
		}
	}
	for i := range 400 {
		e.Apply(report(t, fmt.Sprintf("A +0.000000000 d%d +1-1 1000", i)), Local)
	}
	after := 0
	for i := range e.registry.shards {
		after += len(e.registry.shards[i].reports)
	}
	if after > before+100 {
		t.Errorf("%d places for 900 clients, of which there were 1000 before, then in %d places", after, before)
	}
	if owed, _ := l.Owed(); owed != 900 {
		t.Errorf("%d owed, want 900", owed)
	}
	e.registry.oweLost(&l.ledger, 3, 1<<20) // of nobody
	if owed, _ := l.Owed(); owed != 900 {
		t.Errorf("a place that nobody has is owed")
	}
}

// Everything that is owed is taken once, from wherever the last message ended, against a plain set.
func TestTake(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	e := connected(Config{Name: "A", Topology: star(t, "A", "B")})
	l := e.Links()[0]
	owed, taken := make(map[string]bool), 0
	for step := range 3000 {
		for range rng.IntN(20) {
			r := at(t, fmt.Sprint("c", rng.IntN(5000)), step)
			if e.Apply(r, Local) {
				owed[string(r.Client())] = true
			}
		}
		reports, places, _ := l.take(nil, nil, rng.IntN(1000))
		if len(reports) != len(places) || len(reports) == 0 != (len(owed) == 0) {
			t.Fatalf("step %d: %d reports of %d places, when %d are owed", step, len(reports), len(places), len(owed))
		}
		for _, r := range reports {
			if held, _ := e.registry.Get(r.Client()); held != r || !owed[string(r.Client())] {
				t.Fatalf("step %d: %q is taken, %q is held, owed %v", step, r, held, owed[string(r.Client())])
			}
			delete(owed, string(r.Client()))
			taken++
		}
		if n, _ := l.Owed(); n != len(owed) || l.Owes() != (n > 0) {
			t.Fatalf("step %d: %d are owed, want %d", step, n, len(owed))
		}
	}
	if taken < 10_000 {
		t.Errorf("only %d taken", taken)
	}
}

// What was received is told as spans; more than 32 of them are merged, so that too much counts as missing and never too little.
func TestProgress(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 6))
		p := progress{first: 5, last: 4}
		received, last, floor := make(map[uint64]bool), uint64(4), uint64(5)
		for range rng.IntN(400) {
			switch last += 1 + uint64(rng.IntN(2)*rng.IntN(4)); rng.IntN(10) {
			case 0:
				p.expect(last)
			case 1:
				floor = min(floor+uint64(rng.IntN(10)), last)
				p.forget(floor)
				fallthrough
			default:
				if _, repeated := p.receive(last); repeated {
					t.Fatalf("seed %d: %d is taken for a repeated one", seed, last)
				}
				received[last] = true
			}
		}
		a := acknowledgement{of: subject.Incarnation{1}, first: p.first, last: p.last, missing: p.missing}
		again, err := parseAcknowledgement(string(a.append(nil)))
		if err != nil || again.first != a.first || again.last != a.last || !slices.Equal(again.missing, a.missing) || len(a.missing) > maxMissing || p.last != last {
			t.Fatalf("seed %d: %v: %+v is read as %+v", seed, err, a, again)
		}
		if !again.lacks(4) {
			t.Fatalf("seed %d: what was sent before the first message counts as received", seed)
		}
		for n := max(floor, 5); n <= last; n++ {
			if !received[n] && !again.lacks(n) {
				t.Fatalf("seed %d: %d was not received, and %+v does not lack it", seed, n, a)
			}
			if received[n] && again.lacks(n) && len(a.missing) < maxMissing {
				t.Fatalf("seed %d: %d was received, and %+v lacks it", seed, n, a)
			}
		}
	}
}

// What a cut has lost is sent at once when the link returns. What is lost on a link that is up waits for a round trip.
func TestNoPauseAfterCut(t *testing.T) {
	for _, down := range []bool{true, false} {
		n := newNetwork(star(t, "A", "B"))
		n.pass(t, 5*time.Second)
		n.drop = func(from, _ line.NodeName, m *Message) bool {
			return down || from == "A" && m.Kind == subject.Propagate
		}
		for i := range 100 {
			n.engines["A"].Apply(at(t, fmt.Sprint("client", i), 1000), Local)
		}
		l := n.link("A", "B")
		if down {
			n.pass(t, time.Minute)
		}
		n.deliverAll(t)
		if l.ledger.window.inFlight < firstWindow/2 {
			t.Fatalf("%d bytes in flight", l.ledger.window.inFlight)
		}
		paused := false
		n.drop = func(line.NodeName, line.NodeName, *Message) bool {
			paused = paused || l.ledger.reportsPause.length > 0
			return false
		}
		n.pass(t, 2*time.Second)
		if l.Status().Retransmitted == 0 {
			t.Fatal("nothing was lost")
		}
		if paused == down {
			t.Errorf("after a cut: %v; paused: %v", down, paused)
		}
	}
}
