package flood

import (
	"fmt"
	"slices"
	"time"

	"herd/bus/subject"
	"herd/node/line"
)

const longestCut = 4 // seconds: longer than it takes until a link is down

var start = time.Unix(1_700_000_000, 0)

// action is what can happen next.
type action struct {
	kind  actionKind
	where uint8 // way or node
	cut   uint8 // ways that are cut just before, a bit for each
}

type actionKind uint8

const (
	deliver actionKind = iota
	dropMessage
	reportAt
	crash
	crashWithDisk
	healCuts
	passSecond
)

func (a action) String() string {
	what := [...]string{"deliver on way", "lose on way", "say at", "crash", "crash, with a disk,", "heal", "a second"}[a.kind]
	return fmt.Sprintf("%s %d, cutting %b", what, a.where, a.cut)
}

// world is what one goroutine needs that explores, besides what all of them have in common.
type world struct {
	*exploration
	configs  []Config  // of the nodes
	scratch  []*Engine // one for each node, to restore states into
	buffer   []byte
	pending  []pendingState // to be expanded, the last first
	restored []int32        // the path to the state that was reached last
	states   []*state
	at       int32 // where it is
	doing    action
}

type pendingState struct {
	*state
	id int32
}

func newWorld(x *exploration) *world {
	w := &world{exploration: x}
	for i, name := range x.topo.Nodes() {
		w.configs = append(w.configs, Config{
			Name: name, Incarnation: subject.Incarnation{byte(i + 1), 1}, Topology: x.topo,
			OnNotice: func(n Notice) {
				if n.Kind == DuplicateName || n.Kind == DuplicateNeighbourName {
					w.fail("%s takes somebody for a duplicate: %+v", name, n)
				}
			},
		})
		w.scratch = append(w.scratch, NewEngine(w.configs[i]))
		w.scratch[i].Connect(start)
	}
	return w
}

// begin returns the state of nodes that just started.
func (w *world) initialState() *state {
	s := &state{
		world: w, now: start, inFlight: make([][]Message, len(w.ways)), engines: make([]*frozenEngine, len(w.scratch)),
	}
	for i, e := range w.scratch {
		s.send(i, e)
		s.engines[i] = freeze(e)
	}
	return s
}

// fail reports what is wrong, and how it came to that.
func (w *world) fail(format string, a ...any) {
	w.Fatalf("%s:%s\n%v", fmt.Sprintf(format, a...), w.describe(w.at), w.doing)
}

// reach gets into a state again. Much of the path to it is often that to the state before.
func (w *world) restore(id int32) *state {
	path := w.path(id)
	same := 0
	for same < min(len(path), len(w.restored)) && path[same] == w.restored[same] {
		same++
	}
	if w.states = w.states[:same]; same == 0 {
		s := *w.first
		s.world = w
		w.states = append(w.states, &s)
	}
	for _, id := range path[len(w.states):] {
		w.mu.Lock()
		f := w.found[id]
		w.mu.Unlock()
		w.states = append(w.states, w.states[len(w.states)-1].do(f.how))
	}
	w.restored = path
	return w.states[len(path)-1]
}

// expand finds the states that can follow.
//
// What happens at one node does not depend on what happens at another, for messages stay in order: so if on each way to a node there is
// a message, it is all the same whether what can happen there happens before or after what can happen elsewhere, and it is enough to
// look at the former (a persistent set: Godefroid, Partial-Order Methods, 1996). That another fault may then be one too many makes no
// difference: both happen, or not, in either order.
func (w *world) expand(s *state, at int32) {
	w.at = at
	nodes := make([]int, 0, len(s.engines))
	rest := true
	for node := range s.engines {
		ready := true
		for way, wire := range s.inFlight {
			if w.ways[way][1] == node {
				ready = ready && len(wire) > 0
				rest = rest && len(wire) == 0
			}
		}
		if nodes = append(nodes, node); ready {
			nodes = []int{node}
			break
		}
	}
	next := int32(-1)
	follow := func(id int32) {
		if next < 0 {
			next = id
		}
	}
	for _, node := range nodes {
		w.expandNode(s, node, follow)
	}
	passes := false
	if rest && s.cut != 0 {
		follow(w.try(s, action{kind: healCuts}))
	}
	if rest && (s.cut == 0 || s.cutFor < longestCut) {
		passes = s.cut == 0
		follow(w.try(s, action{kind: passSecond}))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found[at].next, w.found[at].passes = next, passes
}

// expandNode finds the states that can follow from what happens at a node.
func (w *world) expandNode(s *state, node int, follow func(id int32)) {
	for way, ends := range w.ways {
		if len(s.inFlight[way]) > 0 && ends[1] == node {
			follow(w.try(s, action{kind: deliver, where: uint8(way)}))
			if (s.spent & lossesSpent).count() < w.bounds.losses {
				w.try(s, action{kind: dropMessage, where: uint8(way)})
			}
		}
	}
	if node < w.bounds.reports && s.spent>>node&1 == 0 {
		w.try(s, action{kind: reportAt, where: uint8(node)})
	}
	if (s.spent & crashesSpent).count() < w.bounds.crashes {
		w.try(s, action{kind: crash, where: uint8(node)})
		if len(s.engines[node].held) > 0 {
			w.try(s, action{kind: crashWithDisk, where: uint8(node)})
		}
	}
}

// try returns the number of the state that follows from an action, and finds those that follow if a link is cut just before. To cut a way
// earlier than before something is sent over it makes no difference, for each second something is. What is lost in flight might as well
// have been sent after the cut.
func (w *world) try(s *state, a action) int32 {
	w.doing = a
	after := s.do(a)
	id := w.find(after, w.at, a)
	for i := 0; i < len(w.ways); i += 2 {
		for _, cut := range []uint8{1 << i, 2 << i, 3 << i} {
			// Either way of a link, and the other at any moment within the same second.
			first := s.cut == 0 && (s.spent&cutsSpent).count() < w.bounds.cuts
			other := s.cut != 0 && s.cutFor == 0 && s.cut^cut == 3<<i
			if after.sent&cut == cut && (first || other) {
				w.doing = action{a.kind, a.where, cut}
				w.find(s.do(w.doing), w.at, w.doing)
			}
		}
	}
	return id
}

// do returns the state that follows from an action.
func (s *state) do(a action) *state {
	c := *s // whose parts are shared until they change
	c.engines, c.inFlight, c.sent = slices.Clone(s.engines), slices.Clone(s.inFlight), 0
	if a.cut != 0 && s.cut == 0 {
		c.spent = c.spent.more(cutsSpent)
	}
	c.cut |= a.cut
	switch a.kind {
	case deliver:
		c.deliver(int(a.where))
	case dropMessage:
		c.spent = c.spent.more(lossesSpent)
		c.inFlight[a.where] = c.inFlight[a.where][1:]
	case reportAt:
		c.report(int(a.where))
	case crash:
		c.crash(int(a.where), nil)
	case crashWithDisk:
		c.crash(int(a.where), c.engines[a.where].held)
	case healCuts:
		c.cut, c.cutFor = 0, 0
	case passSecond:
		c.second()
	}
	return &c
}

// act has a node do something, and send what it then has to say.
func (s *state) step(node int, do func(e *Engine)) {
	e := s.world.scratch[node]
	before := s.engines[node]
	before.thaw(e, s.now)
	do(e)
	s.send(node, e)
	s.engines[node] = freeze(e)
	if len(before.held) > 0 && s.engines[node].held[0].Compare(before.held[0]) < 0 {
		s.world.fail("node %d takes %q back", node, before.held[0])
	}
}

func (s *state) send(node int, e *Engine) {
	for i, l := range e.Links() {
		way := s.world.way(node, i)
		var m Message
		for l.Next(s.now, &m) {
			if s.sent |= 1 << way; s.cut>>way&1 == 0 {
				s.inFlight[way] = append(slices.Clone(s.inFlight[way]), m)
			}
			m = Message{}
		}
	}
}

func (s *state) deliver(way int) {
	m := s.inFlight[way][0]
	s.inFlight[way] = s.inFlight[way][1:]
	from, to := s.world.ways[way][0], s.world.ways[way][1]
	s.step(to, func(e *Engine) {
		if err := linkTo(e, s.world.scratch[from].config.Name).Receive(s.now, m, nil); err != nil {
			s.world.fail("%v", err)
		}
	})
}

// second lets a second pass.
func (s *state) second() {
	s.now = s.now.Add(heartbeatInterval)
	if s.cut != 0 {
		s.cutFor++
	}
	for node := range s.engines {
		s.step(node, func(e *Engine) { e.Tick(s.now) })
	}
}

func (s *state) report(i int) {
	s.spent |= 1 << i
	s.step(i, func(e *Engine) {
		if e.Apply(s.world.reports[i], Local) {
			s.admitted |= 1 << i
		}
	})
}

// crash has a node begin anew. What was in flight to it still comes.
func (s *state) crash(node int, disk []line.Report) {
	s.spent = s.spent.more(crashesSpent)
	config := s.world.configs[node]
	config.Incarnation[1] = s.engines[node].incarnation[1] + 1
	e := NewEngine(config)
	for _, r := range disk {
		e.registry.Merge(r)
	}
	e.Connect(s.now)
	s.send(node, e)
	s.engines[node] = freeze(e)
}

// settle returns what the herd comes to if nothing happens for some seconds.
func (s *state) deliverAll() *state {
	for seconds := 0; seconds < 5; {
		way := slices.IndexFunc(s.inFlight, func(wire []Message) bool { return len(wire) > 0 })
		if way >= 0 {
			s = s.do(action{kind: deliver, where: uint8(way)})
		} else {
			s = s.do(action{kind: passSecond})
			seconds++
		}
	}
	return s
}
