package flood

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"herd/bus/subject"
	"herd/node/topology"

	"herd/node/line"
)

// net is the engines of a topology, and what is in flight between them. Nothing takes time but what pass says.
type network struct {
	now      time.Time
	topo     *topology.Topology
	engines  map[line.NodeName]*Engine
	inFlight map[[2]line.NodeName][]Message // from, to
	drop     func(from, to line.NodeName, m *Message) bool
	bytes    map[line.NodeName]int // of lines of reports and of syncs, into each
	notices  []Notice              // of all
}

func newNetwork(topo *topology.Topology, adjust ...func(*Config)) *network {
	n := &network{
		now: time.Unix(1_700_000_000, 0), topo: topo, engines: make(map[line.NodeName]*Engine),
		inFlight: make(map[[2]line.NodeName][]Message), drop: func(line.NodeName, line.NodeName, *Message) bool { return false },
		bytes: make(map[line.NodeName]int),
	}
	for i, name := range topo.Nodes() {
		n.start(name, subject.Incarnation{byte(i + 1)}, adjust...)
	}
	return n
}

// start has a node run that knows nothing.
func (n *network) start(name line.NodeName, i subject.Incarnation, adjust ...func(*Config)) {
	c := Config{
		Name: name, Incarnation: i, Topology: n.topo,
		OnNotice: func(each Notice) { n.notices = append(n.notices, each) },
	}
	for _, a := range adjust {
		a(&c)
	}
	n.engines[name] = NewEngine(c)
	n.engines[name].Connect(n.now)
}

// link returns one node's link to another.
func (n *network) link(from, to line.NodeName) *Link { return linkTo(n.engines[from], to) }

// settle carries messages until nothing more is to be said now.
func (n *network) deliverAll(t testing.TB) {
	for busy := true; busy; {
		busy = false
		for _, from := range n.topo.Nodes() {
			for _, l := range n.engines[from].Links() {
				var m Message
				for l.Next(n.now, &m) {
					busy = true
					if !n.drop(from, l.Peer, &m) {
						n.inFlight[[2]line.NodeName{from, l.Peer}] = append(n.inFlight[[2]line.NodeName{from, l.Peer}], m)
					}
					m = Message{}
				}
			}
		}
		for _, from := range n.topo.Nodes() {
			for _, to := range n.topo.Neighbours(from) {
				way := [2]line.NodeName{from, to}
				for _, m := range n.inFlight[way] {
					n.bytes[to] += n.engines[from].reportBytes(m.Reports)
					if m.Kind == subject.Sync {
						n.bytes[to] += len(m.Payload)
					}
					if err := n.link(to, from).Receive(n.now, m, nil); err != nil {
						t.Fatal(err)
					}
				}
				n.inFlight[way] = nil
			}
		}
	}
}

// pass lets time go by, a quarter of a second at a time.
func (n *network) pass(t testing.TB, d time.Duration) {
	for range d / (time.Second / 4) {
		n.now = n.now.Add(time.Second / 4)
		for _, name := range n.topo.Nodes() {
			n.engines[name].Tick(n.now)
		}
		n.deliverAll(t)
	}
}

// cut makes everything vanish that goes to a node and comes from it.
func (n *network) cut(node line.NodeName) {
	n.drop = func(from, to line.NodeName, _ *Message) bool { return from == node || to == node }
}

func (n *network) heal() { n.drop = func(line.NodeName, line.NodeName, *Message) bool { return false } }

// equal fails the test unless all nodes know the same; it returns that.
func (n *network) equal(t testing.TB) map[line.ClientID]string {
	t.Helper()
	want := contents(n.engines[n.topo.Nodes()[0]].Registry())
	for name, e := range n.engines {
		if got := contents(e.Registry()); !maps.Equal(got, want) {
			t.Fatalf("%s knows %d clients, others %d, or not the same of them", name, len(got), len(want))
		}
	}
	return want
}

// count returns how many notices there were of a kind.
func (n *network) count(what NoticeKind) (count int) {
	for _, each := range n.notices {
		if each.Kind == what {
			count++
		}
	}
	return count
}

// TestReturnBytes is the table of PERFORMANCE.md: what goes into a node when it was cut off while its neighbour received newer reports of some
// of its clients: into the same start of it, and into one that has started anew with what it held before. HERD_CLIENTS=1000000 has it measure
// as many as that.
func TestReturnBytes(t *testing.T) {
	largest := 100_000
	if n, err := strconv.Atoi(os.Getenv("HERD_CLIENTS")); err == nil {
		largest = n
	}
	for clients := 10_000; clients <= largest; clients *= 10 {
		n := newNetwork(star(t, "A", "stale", "B", "C"))
		at := func(i, time int) line.Report {
			return report(t, fmt.Sprintf("Goloman +0.263873386 client%07d.example +34.068930-118.445127 %d.918963997", i, time))
		}
		for i := range clients {
			for _, e := range n.engines {
				e.Registry().Merge(at(i, 1_520_023_934))
			}
		}
		n.deliverAll(t)
		n.pass(t, 2*time.Second)
		for stale, anew := 100, false; stale <= 10_000; stale, anew = stale*(1+9*btoi(anew)), !anew {
			n.cut("stale")
			lines := 0
			for i := range stale {
				r := at(i*(clients/stale), 1_520_023_934+stale+btoi(anew))
				lines += n.engines["A"].lineBytes(r)
				n.engines["A"].Apply(r, Local)
			}
			n.pass(t, 5*time.Second)
			if anew {
				disk := n.engines["stale"].Registry()
				n.start("stale", subject.Incarnation{99, byte(stale)})
				for r := range disk.All() {
					n.engines["stale"].Registry().Merge(r)
				}
			}
			clear(n.bytes)
			n.heal()
			n.pass(t, 4*time.Second)
			n.equal(t)
			most := lines*115/100 + 4<<10
			if anew {
				most = lines*160/100 + 8<<10
			}
			if n.bytes["stale"] > most {
				t.Errorf("%d bytes into the stale node, want at most %d", n.bytes["stale"], most)
			}
			t.Logf("%7d clients, %5d stale, started anew: %-5v %7d bytes of lines, %7d into the stale node, %.2f of what it may; %7d out of it",
				clients, stale, anew, lines, n.bytes["stale"], float64(n.bytes["stale"])/float64(most), n.bytes["A"])
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// linkTo returns an engine's link to a neighbour.
func linkTo(e *Engine, peer line.NodeName) *Link {
	links := e.Links()
	return links[slices.IndexFunc(links, func(l *Link) bool { return l.Peer == peer })]
}

// A neighbour that answers and answers, because it is slow or is malicious, does not keep a node from syncing with others.
func TestSyncsTakeTurns(t *testing.T) {
	e := NewEngine(Config{Name: "A", Topology: star(t, "A", "B", "C")})
	now := time.Unix(1_700_000_000, 0)
	began := now
	e.Connect(now)
	turns, from := 0, line.NodeName("")
	var m Message
	for ; now.Sub(began) < time.Minute; now = now.Add(time.Second / 4) {
		for i, l := range e.Links() {
			b := heartbeat{incarnation: subject.Incarnation{byte(i + 1)}, cutoff: keepAll}
			if err := l.Receive(now, Message{Kind: subject.Heartbeat, Payload: b.append(nil)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, l := range e.Links() {
			for l.Next(now, &m) {
				if m.Kind != subject.Sync {
					continue
				}
				if l.Peer != from {
					turns, from = turns+1, l.Peer
				}
				q, err := parseRequests(m.Payload)
				if err != nil {
					t.Fatal(err)
				}
				differ := [fanout]shortDigest(slices.Repeat([]shortDigest{1}, fanout)) // all sixteen, and so on: there is no end to it
				answer := appendChildren(beginReplies(nil, q.id, 0), &differ)
				if q.requests[0].branch.depth == maxDepth || q.requests[0].kind != requestList {
					answer = append(beginReplies(nil, q.id, 0), byte(replyDone))
				}
				if err := l.Receive(now, Message{Kind: subject.Sync, Payload: answer}, nil); err != nil {
					t.Fatal(err)
				}
				break // not faster than that
			}
		}
		e.Tick(now)
	}
	if turns < 5 {
		t.Errorf("%d turns in a minute, want 5", turns)
	}
}

// A sync has more requests open while replies come in time, one more for each, and half as many after one that is late or lost.
func TestSyncWindow(t *testing.T) {
	n := newNetwork(star(t, "A", "B"))
	l, now := n.link("A", "B"), n.now
	run := newRun(now, "test", request{kind: requestList})
	l.run = run
	run.pending = make([]request, 1000)
	for i, step := range []struct {
		after time.Duration // since the last reply
		lost  bool
		want  int
	}{
		{after: time.Second, want: 2},
		{after: 10 * time.Second, want: 3},
		{after: 10*time.Second + 1, want: 1},
		{after: 0, want: 2},
		{after: 0, want: 3},
		{lost: true, want: 1},
		{lost: true, want: 1},
		{after: 0, want: 2},
	} {
		if step.lost {
			run.retry(7)
		} else {
			now = now.Add(step.after)
			l.advance(run, now, nil, 100)
		}
		if run.window != step.want {
			t.Errorf("after step %d %d requests may be open, want %d", i, run.window, step.want)
		}
	}
	for range 100 {
		l.advance(run, now, nil, 100)
	}
	if run.window != maxOpenRequests {
		t.Errorf("%d requests may be open, want %d", run.window, maxOpenRequests)
	}
}
