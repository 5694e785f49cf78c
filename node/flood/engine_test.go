package flood

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"herd/bus/subject"
	"herd/node/line"
	"herd/node/topology"
)

// graph returns the topology of nodes n0, n1, … and the links between their indices.
func graph(t testing.TB, nodes int, links ...[2]int) *topology.Topology {
	t.Helper()
	name := func(i int) line.NodeName { return line.NodeName("n" + strconv.Itoa(i)) }
	var names []line.NodeName
	for i := range nodes {
		names = append(names, name(i))
	}
	var pairs [][2]line.NodeName
	for _, l := range links {
		pairs = append(pairs, [2]line.NodeName{name(l[0]), name(l[1])})
	}
	topo, err := topology.New(names, pairs)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func campus(t testing.TB) *topology.Topology {
	t.Helper()
	topo, err := topology.New([]line.NodeName{"Goloman", "Hands", "Holiday", "Welsh", "Wilkes"}, [][2]line.NodeName{
		{"Goloman", "Hands"},
		{"Goloman", "Holiday"},
		{"Goloman", "Wilkes"},
		{"Hands", "Wilkes"},
		{"Holiday", "Welsh"},
		{"Holiday", "Wilkes"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func shapes(t testing.TB) map[string]*topology.Topology {
	var line, ring, star, mesh [][2]int
	const n = 7
	for i := range n {
		ring = append(ring, [2]int{i, (i + 1) % n})
		if i > 0 {
			line = append(line, [2]int{i - 1, i})
			star = append(star, [2]int{0, i})
		}
		for j := range i {
			mesh = append(mesh, [2]int{i, j})
		}
	}
	return map[string]*topology.Topology{
		"alone": graph(t, 1), "line": graph(t, n, line...), "ring": graph(t, n, ring...),
		"star": graph(t, n, star...), "mesh": graph(t, n, mesh...), "campus": campus(t),
	}
}

// star returns the topology of a node with these neighbours.
func star(t testing.TB, name line.NodeName, peers ...line.NodeName) *topology.Topology {
	t.Helper()
	var links [][2]line.NodeName
	for _, peer := range peers {
		links = append(links, [2]line.NodeName{name, peer})
	}
	topo, err := topology.New(append([]line.NodeName{name}, peers...), links)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// connected returns the engine of a node that is connected.
func connected(c Config) *Engine {
	e := NewEngine(c)
	e.Connect(time.Time{})
	return e
}

// pop takes reports that are owed, at most count of them if none is longer than 40 bytes, but at least one.
func (l *Link) pop(count int) []line.Report {
	reports, _, _ := l.take(nil, nil, (count-1)*(l.engine.lineBytes(line.Report{})+40))
	return reports
}

// herd is a set of engines, and a seeded scheduler that carries what they queue, one message at a time.
type herd struct {
	topo     *topology.Topology
	engines  map[line.NodeName]*Engine
	rng      *rand.Rand
	batch    int // reports a message at most
	messages int
	reports  map[string]int            // link messages by report
	received map[[2]line.NodeName]bool // by report's receiver and sender: it was new
}

func newHerd(topo *topology.Topology, seed uint64, batch int) *herd {
	h := &herd{
		topo: topo, engines: make(map[line.NodeName]*Engine), rng: rand.New(rand.NewPCG(seed, 3)), batch: batch,
		reports: make(map[string]int), received: make(map[[2]line.NodeName]bool),
	}
	for _, n := range topo.Nodes() {
		h.engines[n] = connected(Config{Name: n, Topology: topo})
	}
	return h
}

// deliver carries one message of a randomly chosen link, and reports whether there was any.
func (h *herd) deliver(t testing.TB) bool {
	type way struct {
		from line.NodeName
		link *Link
	}
	var ready []way
	for _, n := range h.topo.Nodes() {
		for _, l := range h.engines[n].Links() {
			if l.ledger.owes() {
				ready = append(ready, way{n, l})
			}
		}
	}
	if len(ready) == 0 {
		return false
	}
	w := ready[h.rng.IntN(len(ready))]
	h.messages++
	for _, r := range w.link.pop(h.batch) {
		h.reports[r.String()]++
		if h.received[[2]line.NodeName{w.from, w.link.Peer}] {
			t.Fatalf("%s tells %s what it heard there first", w.from, w.link.Peer)
		}
		if h.engines[w.link.Peer].Apply(r, w.from) {
			h.received[[2]line.NodeName{w.link.Peer, w.from}] = true
		}
	}
	return true
}

func (h *herd) deliverAll(t testing.TB) {
	for h.deliver(t) {
	}
}

func (h *herd) equal(t testing.TB) map[line.ClientID]string {
	t.Helper()
	first := contents(h.engines[h.topo.Nodes()[0]].Registry())
	for _, n := range h.topo.Nodes() {
		if got := contents(h.engines[n].Registry()); !maps.Equal(got, first) {
			t.Fatalf("%s holds %v, %s holds %v", n, got, h.topo.Nodes()[0], first)
		}
	}
	return first
}

// One report costs exactly 2E − (N − 1) messages, at whatever node it starts and in whatever order messages arrive.
func TestFloodCost(t *testing.T) {
	want := map[string]int{"alone": 0, "line": 6, "ring": 8, "star": 6, "mesh": 36, "campus": 8}
	for shape, topo := range shapes(t) {
		for seed := range uint64(200) {
			h := newHerd(topo, seed, 1)
			at := topo.Nodes()[h.rng.IntN(len(topo.Nodes()))]
			r := report(t, fmt.Sprintf("%s +0.000000000 k +1-1 1", at))
			if !h.engines[at].Apply(r, Local) {
				t.Fatal("a first report is not admitted")
			}
			h.deliverAll(t)
			if h.messages != want[shape] || topo.FloodCost() != want[shape] {
				t.Fatalf("%s, seed %d: %d messages, FloodCost %d, want %d", shape, seed, h.messages, topo.FloodCost(), want[shape])
			}
			if got := h.equal(t); len(got) != 1 || got["k"] != r.String() {
				t.Fatalf("%s, seed %d: everyone holds %v", shape, seed, got)
			}
		}
	}
}

// Many reports of few clients at many nodes, applied while others are in flight: all end equal, holding the greatest.
func TestConvergence(t *testing.T) {
	stale, conflated := 0, uint64(0)
	for shape, topo := range shapes(t) {
		for seed := range uint64(100) {
			h := newHerd(topo, seed, 1+int(seed%4))
			greatest := make(map[line.ClientID]line.Report)
			for range 30 {
				at := topo.Nodes()[h.rng.IntN(len(topo.Nodes()))]
				r := report(t, fmt.Sprintf("%s %+.9f c%d +1-1 %d", at, float64(h.rng.IntN(2)), h.rng.IntN(3), h.rng.IntN(20)))
				if h.engines[at].Apply(r, Local) {
					if old, ok := greatest[r.Client()]; !ok || r.Compare(old) > 0 {
						greatest[r.Client()] = r
					}
				} else {
					stale++
				}
				clear(h.received) // it speaks of one report only
				for range h.rng.IntN(10) {
					h.deliver(t)
					clear(h.received)
				}
			}
			for h.deliver(t) {
				clear(h.received)
			}
			want := make(map[line.ClientID]string)
			for id, r := range greatest {
				want[id] = r.String()
			}
			if got := h.equal(t); !maps.Equal(got, want) {
				t.Fatalf("%s, seed %d: everyone holds %v, want %v", shape, seed, got, want)
			}
			for _, n := range h.reports {
				if n > topo.FloodCost() {
					t.Fatalf("%s, seed %d: a report crossed links %d times, more than %d", shape, seed, n, topo.FloodCost())
				}
			}
			for _, e := range h.engines {
				for _, l := range e.Links() {
					_, n := l.Owed()
					conflated += n
				}
			}
		}
	}
	if stale < 1000 || conflated < 1000 {
		t.Errorf("%d stale, %d conflated: hardly tried", stale, conflated)
	}
}

// A neighbour's report with the same time is merged by the total order, a client's is not admitted. The neighbour that has sent the greater one is
// owed nothing any more.
func TestApplyAdmitsAndMerges(t *testing.T) {
	e := connected(Config{Name: "A", Topology: star(t, "A", "B", "C")})
	older, newer := report(t, "A +0.000000000 k +1-1 5"), report(t, "B +0.000000000 k +2-2 5.0")
	steps := []struct {
		r    line.Report
		from line.NodeName
		want bool
	}{{older, Local, true}, {newer, Local, false}, {newer, "B", true}, {newer, "C", false}, {older, "C", false}}
	for i, s := range steps {
		if got := e.Apply(s.r, s.from); got != s.want {
			t.Errorf("step %d: Apply(%q, %q) = %v", i, s.r, s.from, got)
		}
	}
	var waiting []string
	for _, l := range e.Links() {
		waiting = append(waiting, string(l.Peer)+": "+fmt.Sprint(l.pop(10)))
	}
	want := []string{"B: []", "C: [" + newer.String() + "]"}
	if !slices.Equal(waiting, want) {
		t.Errorf("waiting %q, want %q", waiting, want)
	}
}

// BenchmarkApply is what a newer report costs a node with a million clients and three links: to be applied, and to be popped
// for each link, 64 at a time. In each round all clients report once, in the order in which they are kept, or shuffled, and another way each round. An
// operation is 64 reports; making them is not counted in ns/report.
func BenchmarkApply(b *testing.B) {
	b.Run("ordered", func(b *testing.B) { benchmarkApply(b, func(int) int { return 1 }) })
	b.Run("shuffled", func(b *testing.B) { benchmarkApply(b, func(round int) int { return 7919 + 998*round }) })
}

// benchmarkApply has the clients report with a step from one to the next, odd so that in each round all of them do.
func benchmarkApply(b *testing.B, step func(round int) int) {
	const clients = 1 << 20
	e := connected(Config{Name: "A", Topology: star(b, "A", "Hands", "Holiday", "Wilkes")})
	c := line.Command{Verb: line.IAmAt, Position: []byte("+34.068930-118.445127")}
	id, at := []byte("client0000000.example"), []byte("1520000000.918963997")
	next := func(i int) line.Report {
		round := i / clients
		for n, place := i*step(round)%clients, 12; place >= 6; n, place = n/10, place-1 {
			id[place] = byte('0' + n%10)
		}
		for n, place := round, 9; n > 0; n, place = n/10, place-1 {
			at[place] = byte('0' + n%10)
		}
		c.Client, c.Time = id, at
		return line.NewReport("Goloman", 0, &c)
	}
	var batch [64]line.Report
	var popped []line.Report
	var places []uint32
	var spent time.Duration
	apply := func(i int) {
		for j := range batch {
			batch[j] = next(i + j)
		}
		start := time.Now()
		e.ApplyBatch(batch[:], Local, func(_ line.Report, changed bool) {
			if !changed {
				b.Fatal("not news")
			}
		})
		for _, l := range e.Links() {
			popped, places, _ = l.take(popped[:0], places[:0], 1<<15)
		}
		spent += time.Since(start)
	}
	for i := 0; i < clients; i += len(batch) {
		apply(i)
	}
	b.ReportAllocs()
	spent = 0
	i := clients
	for ; b.Loop(); i += len(batch) {
		apply(i)
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(i-clients), "ns/report")
}

// Links that stay keep what they owe; what others owed is gone, and a new one owes what comes from then on, under another incarnation.
func TestRelink(t *testing.T) {
	e := connected(Config{Name: "A", Topology: star(t, "A", "B", "C")})
	incarnations := make(map[subject.Incarnation]bool)
	owed := func() map[line.NodeName][]string {
		clients := make(map[line.NodeName][]string)
		for _, l := range e.Links() {
			incarnations[l.incarnation] = true
			clients[l.Peer] = nil
			for r := range e.registry.All() {
				k := keyOf(r.Client())
				s := e.registry.shard(k)
				if l.ledger.owed[k.shard()].has(s.index.find(k.hash, r.Client(), s.reports)) {
					clients[l.Peer] = append(clients[l.Peer], string(r.Client()))
				}
			}
			slices.Sort(clients[l.Peer])
		}
		return clients
	}
	e.Apply(at(t, "1", 1), Local)
	e.Relink(time.Time{}, star(t, "A", "C", "D"))
	e.Apply(at(t, "2", 1), Local)
	if got, want := owed(), map[line.NodeName][]string{"C": {"1", "2"}, "D": {"2"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("owed %v, want %v", got, want)
	}
	e.Relink(time.Time{}, star(t, "A", "C", "B", "D"))
	e.Apply(at(t, "3", 1), Local)
	if got, want := owed(), map[line.NodeName][]string{"C": {"1", "2", "3"}, "B": {"3"}, "D": {"2", "3"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("owed %v, want %v", got, want)
	}
	if len(incarnations) != 3 {
		t.Errorf("%d incarnations, want one of C, which stayed, and one each time that links were added", len(incarnations))
	}
	e.Relink(time.Time{}, star(t, "A"))
	e.Apply(at(t, "4", 1), Local)
	if got := e.Links(); len(got) != 0 {
		t.Errorf("links %v", got)
	}
}
