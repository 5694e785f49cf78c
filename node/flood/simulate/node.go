package simulate

import (
	"encoding/binary"
	"time"

	"herd/bus/subject"
	"herd/node/flood"
	"herd/node/line"
)

// node is a server: the shell around an engine.
type node struct {
	herd  *herd
	name  line.NodeName
	index int
	ways  [][]*way // to the neighbours, in the order of the engine's links
	disk  *disk    // or nil
	clock time.Duration

	hand    *hand   // by which it is run
	events  []event // in the present window
	planned []event // in it, for later; of what it sent, when it did

	// What follows is of its present start.
	engine    *flood.Engine // nil: it does not run
	epoch     time.Time     // the clock's when the simulation began, which the engine knows
	ports     []*port
	changes   *flood.Queue // of the registry
	batch     []line.Report
	connected bool
	stalled   bool
	inbox     []*parcel // while stalled
	teller    *node     // of the message that is taken
	news      bool      // something came of it
	took      func(r line.Report, news bool)
}

// start starts the engine, with what the disk holds, and connects it.
func (n *node) start() {
	h := n.herd
	var i subject.Incarnation
	binary.BigEndian.PutUint64(i[:8], h.rng.Uint64())
	binary.BigEndian.PutUint64(i[8:], h.rng.Uint64())
	n.epoch = epoch.Add(n.clock)
	n.changes = nil
	if h.changed != nil || n.disk != nil {
		n.changes = flood.NewQueue(1 << 30)
	}
	c := flood.Config{
		Name: n.name, Incarnation: i, Topology: h.topology, QueueLimit: h.limit, Retention: h.retention,
	}
	if n.changes != nil {
		c.OnChange = n.changes.Push
	}
	if h.records {
		c.Version, c.Started = "simulated", n.time()
	}
	c.OnNotice = func(what flood.Notice) {
		n.news = true
		if h.noticed != nil {
			h.noticed(n, what)
		}
	}
	n.took = func(r line.Report, news bool) {
		n.news = n.news || news
		if h.heard != nil {
			h.heard(n, n.teller, r, news)
		}
	}
	n.engine = flood.NewEngine(c)
	if n.disk != nil {
		n.disk.load(n.engine.Registry())
	}
	n.ports = nil
	for i, l := range n.engine.Links() {
		n.ports = append(n.ports, &port{node: n, link: l, ways: n.ways[i], due: -1})
	}
	(&ticker{n, n.engine}).happen()
	n.connect()
}

// crash ends the node. What it knew is gone, but for what is on its disk.
func (n *node) crash() {
	n.disconnect()
	for _, p := range n.ports {
		p.gone = true
	}
	n.engine, n.ports, n.stalled = nil, nil, false
	if n.disk != nil {
		n.disk.crash()
	}
}

// connect connects the node to the bus.
func (n *node) connect() {
	if n.engine != nil && !n.connected {
		n.connected = true
		n.engine.Connect(n.time())
		n.after()
	}
}

// disconnect is the loss of the connection to the bus.
func (n *node) disconnect() {
	if n.engine != nil && n.connected {
		n.connected = false
		n.inbox = nil
		n.engine.Disconnect(n.time())
		n.after()
	}
}

// stall stops the node until it resumes: it does nothing, and what arrives waits.
func (n *node) stall() { n.stalled = n.engine != nil }

func (n *node) resume() {
	if !n.stalled {
		return
	}
	n.stalled = false
	n.engine.Tick(n.time())
	for _, p := range n.inbox {
		n.take(p)
	}
	n.inbox = nil
	for _, p := range n.ports {
		p.pump()
	}
	n.after()
}

// awake reports whether the node runs and does not stall.
func (n *node) awake() bool { return n.engine != nil && !n.stalled }

// time returns what the engine takes for the time. Its clock runs evenly, from wherever it was set to when the node started.
func (n *node) time() time.Time { return n.epoch.Add(n.hand.now) }

// wall returns the time by the clock, which may have been set since.
func (n *node) wall() time.Time { return epoch.Add(n.clock + n.hand.now) }

// ticker has an engine do what is due.
type ticker struct {
	node   *node
	engine *flood.Engine
}

func (t *ticker) happen() {
	n := t.node
	if n.engine != t.engine {
		return
	}
	next := n.hand.now + time.Second
	if !n.stalled {
		next = n.engine.Tick(n.time()).Sub(n.epoch)
		n.after()
	}
	n.plan(next, t)
}

// say has a client tell the node where it is, and when, and returns the report and whether it was admitted.
func (n *node) say(c *line.Command) (line.Report, bool) {
	r := line.NewReport(n.name, n.wall().UnixNano(), c)
	admitted := n.engine.Apply(r, flood.Local)
	n.after()
	return r, admitted
}

// arrive takes in a message from the bus.
func (n *node) arrive(p *parcel) {
	switch {
	case n.engine == nil || !n.connected:
		n.hand.counts.unheard++
	case n.stalled:
		n.hand.counts.waited++
		n.inbox = append(n.inbox, p)
	default:
		n.take(p)
		n.herd.idle.Put(p)
		if n.news {
			n.after()
		}
	}
}

// take has the engine take a message. If nothing comes of it, which is what most reports come to, then nobody is woken.
func (n *node) take(p *parcel) {
	n.teller, n.news = p.way.from, p.m.Kind != subject.Propagate
	if err := n.ports[p.way.slot].link.Receive(n.time(), p.m, n.took); err != nil {
		panic(err) // engines understand each other
	}
}

// after looks for whom the engine has woken.
func (n *node) after() {
	if n.stalled {
		return
	}
	for _, p := range n.ports {
		select {
		case <-p.link.Queue.Wake():
			p.pump()
		default:
		}
	}
	if n.changes == nil {
		return
	}
	for n.changes.Len() > 0 {
		n.batch = n.changes.Pop(n.batch[:0], 1<<10, 1<<20)
		for _, r := range n.batch {
			if n.herd.changed != nil {
				n.herd.changed(n, r)
			}
			if n.disk != nil {
				n.disk.write(r)
			}
		}
	}
}
