// Package simulate runs herds of real engines in simulated time. Messages, timers and faults are events in one queue, carried out one
// after the other, and all chance comes from one seed: the same seed gives the same run. A large herd without disks uses all processors:
// while no message can arrive that is not on its way yet, nodes are run at the same time, to the same result.
//
// A direction of a link leads from one node to a neighbour. It delays messages, and may lose or double them, but keeps them in order; directions do
// not wait for each other, unless the connection of a node to its NATS server has a rate: then all that the node sends waits for it, and all that
// it receives. A node's messages leave as soon as its engine wakes it, one message after the other.
package simulate

import (
	"cmp"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"herd/node/flood"
	"herd/node/line"
	"herd/node/topology"
)

// epoch is when a simulation begins: a time that a server's clock may plausibly show, see [line.FirstPlausible].
var epoch = time.Unix(1_800_000_000, 0).UTC()

// herd is nodes, and the directions of links between them.
type herd struct {
	settings
	worker     // which carries out what happens outside windows, and holds the time and all counts
	rng        *rand.Rand
	turn       uint64
	agenda     agenda
	lane       lane // what arrives after the herd's delay
	window     window
	nodes      []*node
	directions []*direction
	idle       sync.Pool // of parcels
}

// settings are what the nodes of a herd have in common, and who wants to know what happens.
type settings struct {
	topology   *topology.Topology
	duplicates []line.NodeName // names that a second node has
	delay      time.Duration   // of every direction at first
	retention  time.Duration
	records    bool // nodes make records of themselves
	apart      bool // nodes, which have no disks, may be run one after the other for as long as nothing passes between them
	workers    int  // that run nodes at the same time then, so that what they call must be safe for that; 0: as many as there are processors

	changed  func(n *node, r line.Report)                   // the registry of n holds r now
	received func(n, from *node, r line.Report, isNew bool) // in a message of reports
	onNotice func(n *node, what flood.Notice)
	onSend   func(n *node, r line.Report) // in a message to a neighbour
}

// counts is what went over all directions, and what became of it.
type counts struct {
	messages       uint64 // of reports
	reportBytes    uint64 // of them, as all bytes here on the wire
	syncs          uint64 // messages
	syncBytes      uint64
	heartbeats     uint64
	heartbeatBytes uint64
	lost           uint64 // by chance
	cut            uint64
	doubled        uint64
	unreceived     uint64 // the node was not connected
	waited         uint64 // for a stalled node
	overtaken      uint64 // by messages of a later connection
	closed         uint64 // connections, by a NATS server for which too much waited
}

func (c *counts) add(o *counts) {
	c.messages += o.messages
	c.reportBytes += o.reportBytes
	c.syncs += o.syncs
	c.syncBytes += o.syncBytes
	c.heartbeats += o.heartbeats
	c.heartbeatBytes += o.heartbeatBytes
	c.lost += o.lost
	c.cut += o.cut
	c.doubled += o.doubled
	c.unreceived += o.unreceived
	c.waited += o.waited
	c.overtaken += o.overtaken
	c.closed += o.closed
}

// newHerd returns a herd whose nodes are not started.
func newHerd(seed uint64, s settings) *herd {
	h := &herd{settings: s, rng: rand.New(rand.NewPCG(seed, 0x6865_7264))}
	h.window.workers = make([]worker, cmp.Or(s.workers, runtime.GOMAXPROCS(0)))
	for _, name := range slices.Concat(s.topology.Nodes(), s.duplicates) {
		n := &node{herd: h, worker: &h.worker, name: name, index: len(h.nodes)}
		n.out, n.in = pipe{node: n, deliver: n.leftSocket}, pipe{node: n, deliver: n.arrive}
		h.nodes = append(h.nodes, n)
	}
	for _, n := range h.nodes {
		h.join(n)
	}
	return h
}

// join makes the directions from a node to its neighbours. Where two nodes have one name, it makes one to each.
func (h *herd) join(n *node) {
	for _, peer := range h.topology.Neighbours(n.name) {
		var directions []*direction
		for _, to := range h.nodes {
			if to.name == peer {
				w := &direction{herd: h, from: n, to: to, delay: h.delay}
				for i, back := range h.topology.Neighbours(peer) {
					if back == n.name {
						w.slot = i
					}
				}
				directions = append(directions, w)
				h.directions = append(h.directions, w)
			}
		}
		n.directions = append(n.directions, directions)
	}
}

// direction returns the direction from one node to another, by index.
func (h *herd) direction(from, to int) *direction {
	for _, directions := range h.nodes[from].directions {
		for _, w := range directions {
			if w.to == h.nodes[to] {
				return w
			}
		}
	}
	return nil
}

// at plans something that concerns one node alone, unless that is nil.
func (h *herd) at(t time.Duration, n *node, what happening) {
	h.turn++
	h.agenda.add(event{max(t, h.now), h.turn, what, n})
}

// in plans something for later.
func (h *herd) in(d time.Duration, what func()) { h.at(h.now+d, nil, call(what)) }

// run carries out what is planned up to a time, which it is then.
func (h *herd) run(until time.Duration) {
	for {
		e := h.first()
		if e == nil || e.at > until {
			h.now = max(h.now, until)
			return
		}
		if h.apart && h.delay > 0 && e.node != nil {
			h.runApart(e.at, min(e.at+h.delay, until+1))
			continue
		}
		next := h.next()
		h.now = next.at
		next.what.happen()
	}
}

// first returns what is planned next, or nil; next removes it.
func (h *herd) first() *event {
	var first *event
	if h.lane.head < len(h.lane.events) {
		first = &h.lane.events[h.lane.head]
	}
	if len(h.agenda) > 0 && (first == nil || h.agenda[0].before(first)) {
		first = &h.agenda[0]
	}
	return first
}

func (h *herd) next() event {
	if len(h.agenda) > 0 && h.first() == &h.agenda[0] {
		return h.agenda.next()
	}
	return h.lane.next()
}

// equal reports whether all nodes run and know the same.
func (h *herd) equal() bool {
	for _, n := range h.nodes {
		if n.engine == nil {
			return false
		}
	}
	sum, clients := h.nodes[0].engine.Registry().Digest()
	for _, n := range h.nodes[1:] {
		if s, c := n.engine.Registry().Digest(); s != sum || c != clients {
			return false
		}
	}
	return true
}

// settle runs until all nodes know the same, looking every step, at most for limit. It returns how long that took.
func (h *herd) converge(step, limit time.Duration) (took time.Duration, equal bool) {
	begin := h.now
	for !h.equal() {
		if h.now-begin >= limit {
			return h.now - begin, false
		}
		h.run(h.now + step)
	}
	return h.now - begin, true
}
