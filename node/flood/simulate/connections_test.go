package simulate

import (
	"slices"
	"time"

	"herd/bus/subject"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/topology"
)

// connectionFaults are those of what lies between engines: connections, links and what is acknowledged over them.
var connectionFaults = []fault{
	{"lost acknowledgements", func(c *chaos) func() {
		w := c.anyDirection()
		w.loses = func(m *flood.Message) bool {
			return m.Kind != subject.Propagate && m.Kind != subject.Sync && c.rng.IntN(4) > 0
		}
		return func() { w.loses = nil }
	}},
	{"overtaking connection", func(c *chaos) func() {
		n := c.anyNode()
		if !n.awake() || !n.connected {
			return nil
		}
		n.disconnect()
		c.delayEarlier(n)
		n.connect()
		return func() {}
	}},
	{"link removed and added again", (*chaos).relink},
}

// narrowFaults are those of connections with a rate.
var narrowFaults = []fault{
	{"narrow connection", func(c *chaos) func() {
		n := c.anyNode()
		rate := c.anyRate()
		n.out.setRate(rate)
		n.in.setRate(rate)
		return func() {
			n.out.setRate(n.rate)
			n.in.setRate(n.rate)
		}
	}},
}

// anyRate returns the rate of a radio, a modem or a satellite, in bytes a second.
func (c *chaos) anyRate() int { return []int{1200, 8000, 32_000}[c.rng.IntN(3)] }

// delayEarlier has what a node sent so far arrive late, after what it sends over its next connection.
func (c *chaos) delayEarlier(n *node) {
	late := time.Duration(1 + c.rng.Int64N(int64(3*time.Second)))
	for _, w := range slices.Concat(n.directions...) {
		w.connection++
		w.late, w.last = late, 0
	}
}

// relink removes a link that is no bridge and adds it again later, each at its two nodes at different moments, while messages are
// in flight.
func (c *chaos) relink() func() {
	bridges, _ := c.topology.Weak()
	links := slices.DeleteFunc(slices.Clone(c.topology.Links()), func(l [2]line.NodeName) bool {
		return slices.ContainsFunc(bridges, func(b topology.Loss) bool { return *b.Link == l })
	})
	if len(links) == 0 {
		return nil
	}
	l := links[c.rng.IntN(len(links))]
	others := slices.DeleteFunc(slices.Clone(c.topology.Links()), func(each [2]line.NodeName) bool { return each == l })
	without, err := topology.New(c.topology.Nodes(), others)
	if err != nil {
		panic(err)
	}
	relinkBoth := func(t *topology.Topology) {
		for _, n := range c.nodes {
			if n.name == l[0] || n.name == l[1] {
				c.in(time.Duration(c.rng.Int64N(int64(time.Second))), func() {
					if t == c.topology || c.now < span {
						n.relink(t)
					}
				})
			}
		}
	}
	relinkBoth(without)
	return func() { relinkBoth(c.topology) }
}

// relink gives the node the neighbours of a topology. Messages of a neighbour that it has no more are received by nobody.
func (n *node) relink(t *topology.Topology) {
	if n.engine == nil {
		return // it starts with all
	}
	n.engine.Relink(n.time(), t)
	links := n.engine.Links()
	for i, peer := range n.herd.topology.Neighbours(n.name) {
		at := slices.IndexFunc(links, func(l *flood.Link) bool { return l.Peer == peer })
		switch p := n.ports[i]; {
		case at < 0 && p != nil:
			p.gone, n.ports[i] = true, nil
		case at >= 0 && (p == nil || p.link != links[at]):
			n.ports[i] = &port{node: n, link: links[at], directions: n.directions[i], due: -1}
		}
	}
	if n.awake() {
		for _, p := range n.ports {
			p.pump()
		}
	}
}
