package flood

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"herd/node/line"
)

var deep = flag.Bool("deep", false, "TestExhaustive looks at more states, for minutes")

// bounds says how often what may happen.
type bounds struct{ reports, losses, cuts, crashes int }

const longestCut = 4 // seconds: longer than it takes until a link is down

// All states are looked at that a small herd can get into: reports of one client that conflict are heard at any moment, each at another
// node; messages are late, as long as their way keeps its order, or lost; a link is cut, one way or both, at any moment, for 0 to 4
// seconds; a node crashes, with and without a disk, while messages to it and of it are under way. A second passes, with its heartbeats,
// only when nothing is under way.
//
// Safety: in each state a node holds only what was admitted. Liveness: from each state, if nothing is lost any more and a cut link
// comes back, the herd comes to where all registries are equal, and stays there: the states that follow one another then are a path
// through the graph that was explored, and every circle it can end in must have equal registries only.
//
// It would catch: anything that a few faults in the least convenient order can make the engine forget for ever, a walk that never ends or
// is never begun, a herd that never comes to rest, and a node that takes its own last start for a twin.
//
// What is told first is less than what go test ./... has time for; with -deep there is more, for half an hour.
func TestExhaustive(t *testing.T) {
	line := topology(t, 3, [2]int{0, 1}, [2]int{1, 2})
	triangle := topology(t, 3, [2]int{0, 1}, [2]int{1, 2}, [2]int{0, 2})
	type herd struct {
		name   string
		topo   *Topology
		bounds bounds
		least  int // states
	}
	herds := []herd{
		{"line", line, bounds{2, 1, 0, 0}, 2000},
		{"line", line, bounds{1, 0, 1, 0}, 2000},
		{"line", line, bounds{1, 0, 0, 1}, 1000},
		{"triangle", triangle, bounds{1, 0, 0, 0}, 500},
	}
	if !racing && !testing.Short() {
		herds = []herd{
			{"line", line, bounds{3, 2, 0, 0}, 100_000},
			{"line", line, bounds{3, 0, 1, 0}, 80_000},
			{"line", line, bounds{3, 0, 0, 1}, 60_000},
			{"line", line, bounds{1, 1, 1, 0}, 20_000},
			{"line", line, bounds{1, 1, 0, 1}, 10_000},
			{"triangle", triangle, bounds{3, 0, 0, 0}, 50_000},
			{"triangle", triangle, bounds{1, 1, 0, 0}, 10_000},
			{"triangle", triangle, bounds{1, 0, 1, 0}, 50_000},
		}
	}
	if *deep {
		herds = []herd{
			{"line", line, bounds{1, 2, 1, 1}, 1_000_000},
			{"line", line, bounds{3, 2, 1, 0}, 1_000_000},
			{"line", line, bounds{3, 2, 0, 1}, 1_000_000},
			{"line", line, bounds{3, 0, 1, 1}, 1_000_000},
			{"triangle", triangle, bounds{3, 1, 0, 0}, 1_000_000},
			{"triangle", triangle, bounds{1, 2, 0, 0}, 100_000},
			{"triangle", triangle, bounds{2, 0, 1, 0}, 500_000},
			{"triangle", triangle, bounds{2, 0, 0, 1}, 1_000_000},
		}
	}
	for _, h := range herds {
		t.Run(fmt.Sprintf("%s %+v", h.name, h.bounds), func(t *testing.T) {
			if !*deep { // which takes much memory
				t.Parallel()
			}
			x := explore(t, h.topo, h.bounds)
			t.Logf("%d states, %d steps, at most %d s until all are equal", len(x.next), x.steps, x.slowest)
			if len(x.next) < h.least {
				t.Errorf("only %d states", len(x.next))
			}
		})
	}
}

// exploration is the graph of states. They are numbered as they are found.
type exploration struct {
	*world
	bounds  bounds
	ids     map[[16]byte]int32
	next    []int32 // what follows if nothing goes wrong
	equal   []bool  // all registries are
	passes  []bool  // a second does on the way to next
	from    []int32 // where the state was found
	how     []string
	steps   int
	slowest int      // seconds from a state until all are equal
	queue   []*state // to be expanded
	at      int32    // which is being expanded
}

func explore(t testing.TB, topo *Topology, b bounds) *exploration {
	w := &world{t: t, topo: topo}
	for _, l := range topo.Links() {
		a, b := slices.Index(topo.Nodes(), l[0]), slices.Index(topo.Nodes(), l[1])
		w.ways = append(w.ways, [2]int{a, b}, [2]int{b, a})
	}
	// The first two are of one time; the third, which is the latest, is heard between them.
	for i, at := range []string{"5", "6", "5.0"}[:b.reports] {
		w.reports = append(w.reports, report(t, fmt.Sprintf("%s +0.000000000 k +1-1 %s", topo.Nodes()[i], at)))
	}
	x := &exploration{world: w, bounds: b, ids: make(map[[16]byte]int32)}
	first := &state{
		world: w, now: time.Unix(1_700_000_000, 0), wires: make([][]Message, len(w.ways)),
		said: make([]bool, b.reports), taken: make([]bool, b.reports), engines: make([]*frozen, len(topo.Nodes())),
	}
	for i, name := range topo.Nodes() {
		e := NewEngine(Config{
			Name: name, Incarnation: Incarnation{byte(i + 1), 1}, Topology: topo, Limit: 10,
			Notice: func(n Notice) {
				if n.What == Twin || n.What == NeighbourTwin {
					t.Fatalf("%s takes somebody for a twin: %+v:%s", name, n, x.path(x.at))
				}
			},
		})
		w.scratch = append(w.scratch, e)
	}
	for i, e := range w.scratch {
		e.Connect(first.now)
		first.send(i, e)
		first.engines[i] = freeze(e)
	}
	x.find(first.settle(), -1, "")
	for ; len(x.queue) > 0; x.at++ {
		s := x.queue[0]
		x.queue[0], x.queue = nil, x.queue[1:]
		x.expand(s, x.at)
	}
	x.live()
	return x
}

// find returns the number of a state, and has it expanded if it is new.
func (x *exploration) find(s *state, from int32, how string) int32 {
	x.steps++
	k := s.key()
	id, known := x.ids[k]
	if known {
		return id
	}
	id = int32(len(x.next))
	x.ids[k] = id
	x.next, x.passes, x.from, x.how = append(x.next, -1), append(x.passes, false), append(x.from, from), append(x.how, how)
	x.equal = append(x.equal, s.safe(x, id))
	x.queue = append(x.queue, s)
	return id
}

// safe reports whether all registries are equal. It fails if one holds what it may not.
func (s *state) safe(x *exploration, id int32) bool {
	equal := true
	for i, f := range s.engines {
		equal = equal && slices.Equal(f.held, s.engines[0].held)
		for _, r := range f.held {
			if at := slices.Index(x.reports, r); at < 0 || !s.taken[at] {
				x.t.Fatalf("node %d holds %q, which was not admitted:%s", i, r, x.path(id))
			}
		}
	}
	return equal
}

// path tells how a state was found.
func (x *exploration) path(id int32) string {
	var steps []string
	for ; x.from[id] >= 0; id = x.from[id] {
		steps = append(steps, x.how[id])
	}
	slices.Reverse(steps)
	return "\n" + strings.Join(steps, "\n")
}

// step is the state that follows from another; its parts are shared until they change.
func (s *state) step() *state {
	c := *s
	c.engines, c.wires = slices.Clone(s.engines), slices.Clone(s.wires)
	return &c
}

// act has a node do something, and send what it then has to say.
func (s *state) act(node int, do func(e *Engine)) {
	e := s.world.scratch[node]
	s.engines[node].thaw(e)
	do(e)
	s.send(node, e)
	s.engines[node] = freeze(e)
}

func (s *state) send(node int, e *Engine) {
	for i, l := range e.Links() {
		way := s.world.way(node, i)
		var m Message
		for l.Next(s.now, &m) {
			if s.cut>>way&1 == 0 {
				s.wires[way] = append(slices.Clone(s.wires[way]), m)
			}
			m = Message{}
		}
	}
}

// expand finds the states that can follow.
//
// What happens at one node does not depend on what happens at another, for messages stay in order: so if on each way to a node there is
// a message, it is all the same whether what can happen there happens before or after what can happen elsewhere, and it is enough to
// look at the former (a persistent set: Godefroid, Partial-Order Methods, 1996). A cut is something that happens at the sender: what
// is lost under way might as well have been sent after it.
func (x *exploration) expand(s *state, at int32) {
	nodes := make([]int, 0, len(s.engines))
	rest := true
	for node := range s.engines {
		ready := true
		for way, wire := range s.wires {
			if x.ways[way][1] == node {
				ready = ready && len(wire) > 0
				rest = rest && len(wire) == 0
			}
		}
		if nodes = append(nodes, node); ready {
			nodes = []int{node}
			break
		}
	}
	follow := func(id int32) {
		if x.next[at] < 0 {
			x.next[at] = id
		}
	}
	for _, node := range nodes {
		x.expandNode(s, at, node, follow)
	}
	if rest && s.cut != 0 {
		healed := s.step()
		healed.cut, healed.away = 0, 0
		follow(x.find(healed, at, "heal"))
	}
	if rest && (s.cut == 0 || s.away < longestCut) {
		x.passes[at] = s.cut == 0
		follow(x.find(s.second(), at, "a second"))
	}
}

// expandNode finds the states that can follow from what happens at a node.
func (x *exploration) expandNode(s *state, at int32, node int, follow func(id int32)) {
	for way, ends := range x.ways {
		if wire := s.wires[way]; len(wire) > 0 && ends[1] == node {
			follow(x.find(s.deliver(way), at, fmt.Sprintf("deliver %d→%d", ends[0], ends[1])))
			if s.losses < x.bounds.losses {
				lost := s.step()
				lost.losses++
				lost.wires[way] = wire[1:]
				x.find(lost, at, fmt.Sprintf("lose %d→%d", ends[0], ends[1]))
			}
		}
	}
	if node < len(s.said) && !s.said[node] {
		x.find(s.say(node), at, fmt.Sprintf("say %q", x.reports[node]))
	}
	for way, ends := range x.ways {
		// Either way of a link, and the other at any moment within the same second.
		second := s.cut == 1<<(way^1) && s.away == 0
		if ends[0] == node && (s.cuts < x.bounds.cuts && s.cut == 0 || second) {
			cut := s.step()
			if cut.cut |= 1 << way; !second {
				cut.cuts++
			}
			x.find(cut, at, fmt.Sprintf("cut %d→%d", ends[0], ends[1]))
		}
	}
	if s.crashes < x.bounds.crashes {
		x.find(s.crash(node, nil), at, fmt.Sprintf("crash %d", node))
		if held := s.engines[node].held; len(held) > 0 {
			x.find(s.crash(node, held), at, fmt.Sprintf("crash %d, with a disk", node))
		}
	}
}

func (s *state) deliver(way int) *state {
	c := s.step()
	m := c.wires[way][0]
	c.wires[way] = c.wires[way][1:]
	from, to := s.world.ways[way][0], s.world.ways[way][1]
	c.act(to, func(e *Engine) {
		if err := linkTo(e, s.world.scratch[from].Name).Take(c.now, m, nil); err != nil {
			s.world.t.Fatal(err)
		}
	})
	return c
}

// settle returns what the herd comes to if nothing happens for some seconds.
func (s *state) settle() *state {
	for seconds := 0; seconds < 5; {
		way := slices.IndexFunc(s.wires, func(wire []Message) bool { return len(wire) > 0 })
		if way >= 0 {
			s = s.deliver(way)
		} else {
			s = s.second()
			seconds++
		}
	}
	return s
}

// second lets a second pass.
func (s *state) second() *state {
	c := s.step()
	c.now = c.now.Add(beat)
	if c.cut != 0 {
		c.away++
	}
	for node := range c.engines {
		c.act(node, func(e *Engine) { e.Tick(c.now) })
	}
	return c
}

func (s *state) say(i int) *state {
	c := s.step()
	c.said, c.taken = slices.Clone(s.said), slices.Clone(s.taken)
	c.said[i] = true
	c.act(i, func(e *Engine) { c.taken[i] = e.Hear(s.world.reports[i], Edge) })
	return c
}

// crash has a node begin anew. What was under way to it still comes.
func (s *state) crash(node int, disk []line.Report) *state {
	c := s.step()
	c.crashes++
	e := s.world.scratch[node]
	config := e.Config
	config.Incarnation[1] = s.engines[node].incarnation[1] + 1
	e = NewEngine(config)
	for _, r := range disk {
		e.registry.Merge(r)
	}
	e.Connect(c.now)
	c.send(node, e)
	c.engines[node] = freeze(e)
	return c
}

// live fails unless each state is followed, when nothing goes wrong any more, by states that are all equal at some time and remain so.
func (x *exploration) live() {
	const unknown, pending = -1, -2
	seconds := make([]int, len(x.next)) // until all are equal for good
	for i := range seconds {
		seconds[i] = unknown
	}
	for start := range int32(len(x.next)) {
		var trail []int32
		at := start
		for seconds[at] == unknown {
			seconds[at] = pending
			trail = append(trail, at)
			at = x.next[at]
		}
		if seconds[at] == pending { // a circle
			for i := slices.Index(trail, at); i < len(trail); i++ {
				if !x.equal[trail[i]] {
					x.t.Fatalf("never equal:%s", x.path(trail[i]))
				}
				seconds[trail[i]] = 0
			}
			trail = trail[:slices.Index(trail, at)]
		}
		for _, id := range slices.Backward(trail) {
			switch after := seconds[x.next[id]]; {
			case after == 0 && x.equal[id]:
				seconds[id] = 0
			case x.passes[id]:
				seconds[id] = after + 1
			default:
				seconds[id] = after
			}
			x.slowest = max(x.slowest, seconds[id])
		}
	}
}
