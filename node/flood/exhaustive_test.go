package flood

import (
	"flag"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"herd/node/topology"

	"herd/node/line"
)

var deep = flag.Bool("deep", false, "TestExhaustive looks at more states, for minutes")

// All states are looked at that a small herd can get into: reports of one client that conflict are received at any moment, each at another
// node; messages are late, as long as their way keeps its order, or lost; a link is cut, one way or both, at any moment, for 0 to 4
// seconds; a node crashes, with and without a disk, while messages to it and of it are in flight. A second passes, with its heartbeats,
// only when nothing is in flight.
//
// Safety: in each state a node holds only what was admitted, and nothing but a crash takes it back. Liveness: from each state, if nothing
// is lost any more and a cut link comes back, the herd comes to where all registries are equal, and stays there: the states that follow
// one another then are a path through the graph that was explored, and every circle it can end in must have equal registries only.
//
// It would catch: anything that a few faults in the least convenient order can make the engine forget for ever, a sync that never ends or
// is never begun, a herd that never comes to rest, and a node that takes its own last start for a duplicate.
//
// The first of the two is less than what go test ./... has time for; with -deep there is more.
func TestExhaustive(t *testing.T) {
	line := graph(t, 3, [2]int{0, 1}, [2]int{1, 2})
	triangle := graph(t, 3, [2]int{0, 1}, [2]int{1, 2}, [2]int{0, 2})
	type herd struct {
		name   string
		topo   *topology.Topology
		bounds bounds
		least  int // states
	}
	herds := []herd{
		{"line", line, bounds{3, 2, 0, 0}, 10_000},
		{"line", line, bounds{1, 1, 1, 0}, 5000},
		{"line", line, bounds{1, 1, 0, 1}, 5000},
		{"triangle", triangle, bounds{3, 0, 0, 0}, 2000},
		{"triangle", triangle, bounds{1, 1, 0, 0}, 2000},
	}
	if racing {
		herds = herds[3:]
	} else if !testing.Short() {
		herds = append(herds, []herd{
			{"line", line, bounds{3, 0, 1, 0}, 10_000},
			{"line", line, bounds{3, 0, 0, 1}, 10_000},
			{"triangle", triangle, bounds{1, 0, 1, 0}, 10_000},
		}...)
	}
	if *deep {
		herds = []herd{
			{"line", line, bounds{1, 1, 1, 1}, 4_000_000},
			{"line", line, bounds{3, 2, 0, 1}, 1_000_000},
			{"line", line, bounds{3, 0, 1, 1}, 700_000},
			{"line", line, bounds{2, 1, 1, 1}, 1_000_000},
			{"triangle", triangle, bounds{1, 0, 0, 1}, 50_000},
			{"triangle", triangle, bounds{1, 1, 1, 0}, 50_000},
			{"triangle", triangle, bounds{3, 1, 0, 0}, 10_000},
			{"triangle", triangle, bounds{1, 2, 0, 0}, 5000},
			{"line", line, bounds{3, 2, 1, 1}, 10_000_000}, // 29 million, a quarter of an hour on two processors, 5 GB
		}
	}
	for _, h := range herds {
		t.Run(fmt.Sprintf("%s %+v", h.name, h.bounds), func(t *testing.T) {
			x := explore(t, h.topo, h.bounds)
			t.Logf("%d states, %d steps, at most %d s until all are equal", len(x.ids), x.steps, x.slowest)
			if len(x.ids) < h.least {
				t.Errorf("only %d states", len(x.ids))
			}
		})
	}
}

// bounds says how often what may happen.
type bounds struct{ reports, losses, cuts, crashes int }

// spent is how often what happened, a bit for each time, and for each report that was said.
type spent uint16

const (
	reportsSpent spent = 0x000f
	lossesSpent  spent = 0x00f0
	cutsSpent    spent = 0x0f00
	crashesSpent spent = 0xf000
)

func (u spent) count() int { return bits.OnesCount16(uint16(u)) }

// more returns what is spent after one more of a kind.
func (u spent) more(kind spent) spent { return u | kind&-kind<<(u&kind).count() }

// exploration is the graph of states. They are numbered as they are found.
//
// What was spent is no part of what distinguishes a state from others: one that could be got into for less, too, is the same, for all that can
// follow from it can follow from the other. Hence those for which least was spent are expanded first. How many states there are does not
// depend on the order in which goroutines find them; it would if their keys did not contain all that decides what follows.
type exploration struct {
	*testing.T
	topo    *topology.Topology
	bounds  bounds
	ways    [][2]int // from and to; link i is ways 2i and 2i+1
	reports []line.Report
	first   *state

	mu      sync.Mutex
	ids     map[[16]byte]int32 // of the one found last
	found   []found
	queues  [16][]int32 // to be expanded, by how much was spent
	steps   int
	slowest int // seconds from a state until all are equal
}

// found is what is remembered of a state, which can be got into again: that takes less than to keep it.
type found struct {
	from   int32 // where it was found
	next   int32 // what follows if nothing goes wrong
	same   int32 // the state found before for which other things were spent, or -1
	spent  spent
	how    action
	equal  bool // all registries are
	passes bool // a second does on the way to next
}

func explore(t *testing.T, topo *topology.Topology, b bounds) *exploration {
	x := &exploration{T: t, topo: topo, bounds: b, ids: make(map[[16]byte]int32)}
	for _, l := range topo.Links() {
		a, b := slices.Index(topo.Nodes(), l[0]), slices.Index(topo.Nodes(), l[1])
		x.ways = append(x.ways, [2]int{a, b}, [2]int{b, a})
	}
	// The first two are of one time; the third, which is the latest, is received between them.
	for i, at := range []string{"5", "6", "5.0"}[:b.reports] {
		x.reports = append(x.reports, report(t, fmt.Sprintf("%s +0.000000000 k +1-1 %s", topo.Nodes()[i], at)))
	}
	w := newWorld(x)
	x.first = w.initialState().deliverAll()
	w.find(x.first, -1, action{})
	for cost := range x.queues {
		var workers sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			workers.Go(func() { newWorld(x).work(cost) })
		}
		if workers.Wait(); t.Failed() {
			t.FailNow()
		}
	}
	x.checkLiveness()
	return x
}

// work expands states for which so much was spent, and those that follow from them for no more.
func (w *world) work(cost int) {
	for !w.Failed() {
		ids := w.nextBatch(cost)
		if len(ids) == 0 {
			return
		}
		for _, id := range ids {
			for w.pending = append(w.pending, pendingState{w.restore(id), id}); len(w.pending) > 0; {
				last := len(w.pending) - 1
				next := w.pending[last]
				w.pending = w.pending[:last]
				w.expand(next.state, next.id)
			}
		}
	}
}

// take returns some states to be expanded.
func (x *exploration) nextBatch(cost int) (ids []int32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := &x.queues[cost]
	n := min(len(*q), 256)
	ids, *q = slices.Clone((*q)[:n]), (*q)[n:]
	return ids
}

// find returns the number of a state, and has it expanded if it is new.
func (w *world) find(s *state, from int32, how action) int32 {
	equal, k := w.checkSafety(s), s.key()
	x := w.exploration
	x.mu.Lock()
	defer x.mu.Unlock()
	x.steps++
	same, known := x.ids[k]
	if !known {
		same = -1
	}
	for id := same; id >= 0; id = x.found[id].same {
		if x.found[id].spent&^s.spent == 0 {
			return id
		}
	}
	id := int32(len(x.found))
	x.ids[k] = id
	x.found = append(x.found, found{from: from, next: -1, same: same, spent: s.spent, how: how, equal: equal})
	if cost := s.spent.count(); from >= 0 && cost == x.found[from].spent.count() {
		w.pending = append(w.pending, pendingState{s, id})
	} else {
		x.queues[cost] = append(x.queues[cost], id)
	}
	return id
}

// safe reports whether all registries are equal. It fails if one holds what it may not.
func (w *world) checkSafety(s *state) bool {
	equal := true
	for i, f := range s.engines {
		equal = equal && slices.Equal(f.held, s.engines[0].held)
		for _, r := range f.held {
			if at := slices.Index(w.reports, r); at < 0 || s.admitted>>at&1 == 0 {
				w.fail("node %d holds %q, which was not admitted", i, r)
			}
		}
	}
	return equal
}

// path returns how a state was found, the first one at the beginning.
func (x *exploration) path(id int32) (ids []int32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for ; id >= 0; id = x.found[id].from {
		ids = append(ids, id)
	}
	slices.Reverse(ids)
	return ids
}

// describe returns how a state was found as text.
func (x *exploration) describe(id int32) string {
	var text strings.Builder
	for _, id := range x.path(id)[1:] {
		fmt.Fprintf(&text, "\n%v", x.found[id].how)
	}
	return text.String()
}

// live fails unless each state is followed, when nothing goes wrong any more, by states that are all equal at some time and remain so.
func (x *exploration) checkLiveness() {
	const unknown, pending = -1, -2
	seconds := make([]int8, len(x.found)) // until all are equal for good
	for i := range seconds {
		seconds[i] = unknown
	}
	for start := range int32(len(x.found)) {
		var trail []int32
		at := start
		for seconds[at] == unknown {
			seconds[at] = pending
			trail = append(trail, at)
			at = x.found[at].next
		}
		if seconds[at] == pending { // a circle
			circle := trail[slices.Index(trail, at):]
			if !slices.ContainsFunc(circle, func(id int32) bool { return x.found[id].passes }) {
				x.Fatalf("never at rest:%s", x.describe(at))
			}
			for _, id := range circle {
				if !x.found[id].equal {
					x.Fatalf("never equal:%s", x.describe(id))
				}
				seconds[id] = 0
			}
			trail = trail[:len(trail)-len(circle)]
		}
		for _, id := range slices.Backward(trail) {
			switch f := x.found[id]; {
			case seconds[f.next] == 0 && f.equal:
				seconds[id] = 0
			case f.passes:
				seconds[id] = seconds[f.next] + 1
			default:
				seconds[id] = seconds[f.next]
			}
			x.slowest = max(x.slowest, int(seconds[id]))
		}
	}
}
