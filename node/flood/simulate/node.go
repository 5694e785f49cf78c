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
	herd       *herd
	name       line.NodeName
	index      int
	directions [][]*direction // to the neighbours, in the order of the engine's links
	out, in    pipe           // its connection
	storage    storage        // or nil
	rate       int            // of its connection when no fault has made it narrower
	clock      time.Duration

	worker  *worker // that runs it
	events  []event // in the present window
	planned []event // in it, for later; of what it sent, when it did

	// What follows is of its present start.
	engine    *flood.Engine // nil: it does not run
	epoch     time.Time     // the clock's when the simulation began, which the engine knows
	ports     []*port       // to the neighbours; nil where the engine has no such link at present
	changes   *flood.Queue  // of the registry
	batch     []line.Report
	connected bool
	waits     bool // for room in its connection
	turn      int  // the port that sends first when there is room
	stalled   bool
	inbox     []*parcel // while stalled
	sender    *node     // of the message that is being received
	changed   bool      // the message is not one of reports, or a report of it changed the registry
	applied   func(r line.Report, isNew bool)
}

// storage keeps what a node holds when the node crashes. Only tests have one.
type storage interface {
	load(g *flood.Registry)
	write(r line.Report)
}

// start starts the engine, with what its storage holds, and connects it.
func (n *node) start() {
	h := n.herd
	n.waits = false
	var i subject.Incarnation
	binary.BigEndian.PutUint64(i[:8], h.rng.Uint64())
	binary.BigEndian.PutUint64(i[8:], h.rng.Uint64())
	n.epoch = epoch.Add(n.clock)
	n.changes = nil
	if h.changed != nil || n.storage != nil {
		n.changes = flood.NewQueue(1 << 30)
	}
	c := flood.Config{
		Name: n.name, Incarnation: i, Topology: h.topology, Retention: h.retention,
		Wall: func(time.Time) time.Time { return n.wall() },
	}
	if n.changes != nil {
		c.OnChange = n.changes.Push
	}
	if h.records {
		c.Version, c.Started = "simulated", n.time()
	}
	c.OnNotice = func(what flood.Notice) {
		n.changed = true
		if h.onNotice != nil {
			h.onNotice(n, what)
		}
	}
	n.applied = func(r line.Report, isNew bool) {
		n.changed = n.changed || isNew
		if h.received != nil {
			h.received(n, n.sender, r, isNew)
		}
	}
	n.engine = flood.NewEngine(c)
	if n.storage != nil {
		n.storage.load(n.engine.Registry())
	}
	n.ports = nil
	for i, l := range n.engine.Links() {
		n.ports = append(n.ports, &port{node: n, link: l, directions: n.directions[i], due: -1})
	}
	(&ticker{n, n.engine}).happen()
	n.connect()
}

// connect connects the node to the bus.
func (n *node) connect() {
	if n.engine != nil && !n.connected {
		n.connected = true
		n.engine.Connect(n.time())
		n.pumpWoken()
	}
}

// disconnect is the loss of the connection to the bus. What waits in the node's socket is still sent.
func (n *node) disconnect() {
	if n.engine != nil && n.connected {
		n.connected = false
		n.inbox = nil
		n.in.drop()
		n.engine.Disconnect(n.time())
		n.pumpWoken()
	}
}

// closeConnection has the NATS server close the connection, and the node dial again.
func (n *node) closeConnection() {
	n.worker.counts.closed++
	n.disconnect()
	n.plan(n.worker.now+redialTime, &redialEvent{n, n.engine})
}

// redialEvent happens when an engine has a connection again.
type redialEvent struct {
	node   *node
	engine *flood.Engine
}

func (e *redialEvent) happen() {
	if e.node.engine == e.engine {
		e.node.connect()
	}
}

// leftSocket has a parcel go on that has passed the way out, and what waited for its room be sent: each port in turn is the first.
func (n *node) leftSocket(p *parcel) {
	n.sent(p)
	if !n.waits || n.out.full() || !n.awake() {
		return
	}
	n.waits = false
	n.turn++
	for i := range n.ports {
		n.ports[(n.turn+i)%len(n.ports)].pump()
	}
}

// awake reports whether the node runs and does not stall.
func (n *node) awake() bool { return n.engine != nil && !n.stalled }

// time returns what the engine takes for the time, which runs evenly from wherever the clock was set to when the node started.
func (n *node) time() time.Time { return n.epoch.Add(n.worker.now) }

// wall returns the time by the clock, which may have been set since.
func (n *node) wall() time.Time { return epoch.Add(n.clock + n.worker.now) }

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
	next := n.worker.now + time.Second
	if !n.stalled {
		next = n.engine.Tick(n.time()).Sub(n.epoch)
		n.pumpWoken()
	}
	n.plan(next, t)
}

// report makes a client report to the node, and returns the report and whether it was admitted.
func (n *node) report(c *line.Command) (line.Report, bool) {
	r := line.NewReport(n.name, n.engine.Judged(n.time()).UnixNano(), c)
	admitted := n.engine.Apply(r, flood.Local)
	n.pumpWoken()
	return r, admitted
}

// arrive takes in a message from the bus.
func (n *node) arrive(p *parcel) {
	switch {
	case n.engine == nil || !n.connected:
		n.worker.counts.unreceived++
	case n.stalled:
		n.worker.counts.waited++
		n.inbox = append(n.inbox, p)
	default:
		n.receive(p)
		n.herd.idle.Put(p)
		if n.changed {
			n.pumpWoken()
		}
	}
}

// receive gives a message to the engine. Most reports change nothing; then no port has to be pumped.
func (n *node) receive(p *parcel) {
	n.sender, n.changed = p.direction.from, p.m.Kind != subject.Propagate
	port := n.ports[p.direction.slot]
	if port == nil {
		n.worker.counts.unreceived++
		return
	}
	if err := port.link.Receive(n.time(), p.m, n.applied); err != nil {
		panic(err) // engines understand each other
	}
}

// pumpWoken pumps the ports whose links the engine has woken, and handles what changed the registry.
func (n *node) pumpWoken() {
	if n.stalled {
		return
	}
	for _, p := range n.ports {
		if p == nil {
			continue
		}
		select {
		case <-p.link.Wake():
			p.pump()
		default:
		}
	}
	if n.changes == nil {
		return
	}
	n.batch = n.changes.Swap(n.batch)
	for _, r := range n.batch {
		if n.herd.changed != nil {
			n.herd.changed(n, r)
		}
		if n.storage != nil {
			n.storage.write(r)
		}
	}
}

// port is a node's end of a link while it runs: it sends what the link has to send.
type port struct {
	node       *node
	link       *flood.Link
	directions []*direction  // to the neighbour; two where two have its name
	due        time.Duration // when the next heartbeat is

	busy bool // the last message is still being sent
	gone bool // the node has crashed
}

// heartbeatEvent happens when a heartbeat may be due, sentEvent when the next message may be sent.
type (
	heartbeatEvent port
	sentEvent      port
)

func (b *heartbeatEvent) happen() {
	if p := (*port)(b); !p.gone && p.node.awake() {
		p.pump()
	}
}

func (f *sentEvent) happen() {
	p := (*port)(f)
	if p.busy = false; !p.gone && p.node.awake() {
		p.pump()
	}
}

// full reports whether there is no room in the node's connection, for which the node waits then.
func (p *port) full() bool {
	full := p.node.out.full()
	p.node.waits = p.node.waits || full
	return full
}

// next makes the next message in m, whose stamp may be that of another.
func (p *port) next(m *flood.Message) bool {
	m.Stamp = subject.Stamp{}
	return p.link.Next(p.node.time(), m)
}

// pump sends all messages that there are, as far as there is room.
func (p *port) pump() {
	if p == nil {
		return
	}
	n, d := p.node, p.node.worker
	if p.busy || !n.connected {
		return
	}
	for !p.full() && p.next(&d.message) {
		size := wireSize(n.name, p.link.Peer, &d.message)
		d.counts.count(&d.message, size)
		n.herd.sentReports(n, &d.message)
		for _, w := range p.directions {
			w.send(&d.message, size)
		}
		if pace := p.directions[0].pace; pace > 0 {
			p.busy = true
			n.plan(d.now+pace, (*sentEvent)(p))
			return
		}
	}
	if due := p.link.Due().Sub(n.epoch); due != p.due {
		p.due = due
		n.plan(due, (*heartbeatEvent)(p))
	}
}
