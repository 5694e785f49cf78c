package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"herd/node/flood"
)

// fault is what can happen to a herd. Its begin returns what ends it, or nil if it cannot be now.
type fault struct {
	name  string
	begin func(c *chaos) (end func())
}

// allFaults returns all there are; the first two lose memory.
func allFaults() []fault {
	return slices.Concat(faults, connectionFaults, narrowFaults, paceFaults)
}

// faults are those of nodes, messages and directions.
var faults = []fault{
	{"crash without a disk", func(c *chaos) func() { return c.fail(false) }},
	{"crash with a disk", func(c *chaos) func() { return c.fail(true) }},
	{"cut", func(c *chaos) func() {
		w := c.anyDirection()
		back := c.direction(w.to.index, w.from.index)
		w.cut, back.cut = true, true
		return func() { w.cut, back.cut = false, false }
	}},
	{"cut of one way", func(c *chaos) func() {
		w := c.anyDirection()
		w.cut = true
		return func() { w.cut = false }
	}},
	{"partition", func(c *chaos) func() {
		var cut []*direction
		side := make([]bool, len(c.nodes))
		for i := range side {
			side[i] = c.rng.IntN(2) == 0
		}
		for _, w := range c.directions {
			if side[w.from.index] != side[w.to.index] {
				w.cut = true
				cut = append(cut, w)
			}
		}
		return func() {
			for _, w := range cut {
				w.cut = false
			}
		}
	}},
	{"loss", func(c *chaos) func() {
		w := c.anyDirection()
		w.loss = []float64{0.02, 0.3, 0.9}[c.rng.IntN(3)]
		return func() { w.loss = 0 }
	}},
	{"loss everywhere", func(c *chaos) func() {
		for _, w := range c.directions {
			w.loss = 0.1
		}
		return func() {
			for _, w := range c.directions {
				w.loss = 0
			}
		}
	}},
	{"doubling", func(c *chaos) func() {
		w := c.anyDirection()
		w.doubling = 0.5
		return func() { w.doubling = 0 }
	}},
	{"slow sender", func(c *chaos) func() {
		w := c.anyDirection()
		w.pace = []time.Duration{time.Millisecond, 100 * time.Millisecond, 1500 * time.Millisecond}[c.rng.IntN(3)]
		return func() { w.pace = 0 }
	}},
	{"stall", func(c *chaos) func() {
		n := c.anyNode()
		if !n.awake() {
			return nil
		}
		n.stall()
		return n.resume
	}},
	{"lost connection", func(c *chaos) func() {
		n := c.anyNode()
		if !n.awake() || !n.connected {
			return nil
		}
		n.disconnect()
		return func() {
			if n.awake() {
				n.connect()
			}
		}
	}},
	{"clock set", func(c *chaos) func() {
		if c.retention > 0 {
			return nil
		}
		c.anyNode().clock = c.anyClock()
		return func() {}
	}},
}

// anyClock returns by how much a clock is wrong: up to an hour, or ten days.
func (c *chaos) anyClock() time.Duration {
	most := []time.Duration{time.Hour, 10 * 24 * time.Hour}[c.rng.IntN(2)]
	return time.Duration(c.rng.Int64N(2*int64(most))) - most
}

func (c *chaos) anyDirection() *direction { return c.directions[c.rng.IntN(len(c.directions))] }
func (c *chaos) anyNode() *node           { return c.nodes[c.rng.IntN(len(c.nodes))] }

// fail has a node crash, and start again later.
func (c *chaos) fail(withDisk bool) func() {
	n := c.anyNode()
	if n.engine == nil || (n.storage != nil) != withDisk {
		return nil
	}
	c.countNode(n)
	c.crashes++
	n.crash()
	if c.rng.IntN(3) == 0 {
		c.delayEarlier(n) // until after its next start, perhaps
	}
	for client, all := range c.bound[n.index] {
		c.bound[n.index][client] = slices.DeleteFunc(all, func(b binding) bool {
			return n.storage == nil || b.at+n.storage.(*disk).promise() >= c.now
		})
	}
	return func() {
		if n.engine == nil {
			n.start()
		}
	}
}

// tally is what was exercised, and how often.
type tally struct {
	n       map[string]int
	slowest time.Duration // from the last fault until all were equal
}

func (t *tally) add(o *tally) {
	for what, n := range o.n {
		t.n[what] += n
	}
	t.slowest = max(t.slowest, o.slowest)
}

func (t *tally) text() string {
	var text strings.Builder
	for _, what := range slices.Sorted(maps.Keys(t.n)) {
		fmt.Fprintf(&text, "\n%10d %s", t.n[what], what)
	}
	return fmt.Sprintf("%s\n%10s at most until all were equal", text.String(), t.slowest)
}

// missing returns what was not exercised.
func (t *tally) missing() (missing []string) {
	wanted := []string{
		"reports", "reports that are stale", "reports of one time", "reports that are far ahead", "herds without a crash", "herds at rest", "reports synced", "reports synced and new",
		"messages lost", "messages doubled", "messages cut off", "messages to nobody", "messages to a stalled node", "messages repeated",
		"reports conflated", "reports retransmitted", "notice: messages missing", "notice: link up", "notice: link down, silent", "notice: link down, connection lost",
		"herds with every", "reports held", "messages overtaken", "herds with retention", "reports expired", "reports whose receipt was not possible", "herds that promise all they admitted", "sync: new incarnation", "sync: digests differ",
	}
	for _, f := range allFaults() {
		wanted = append(wanted, "fault: "+f.name)
	}
	return slices.DeleteFunc(wanted, func(what string) bool { return t.n[what] > 0 })
}

// notice counts the notices of an engine.
func (c *chaos) notice(n *node, what flood.Notice) {
	c.log("%s %s %+v", c.now, n.name, what)
	switch what.Kind {
	case flood.MessagesMissing:
		c.n["notice: messages missing"]++
	case flood.Synced:
		c.n["sync: "+what.Detail]++
		c.n["reports synced"] += what.Reports
		c.n["reports synced and new"] += what.New
	case flood.SyncAbandoned:
		c.n["sync abandoned: "+what.Detail]++
	case flood.Expired:
		if c.retention > 0 {
			c.n["reports expired"] += what.Reports
			return
		}
		c.n["reports whose receipt was not possible"] += what.Reports
		c.purged = true
	case flood.LinkUp:
		c.n["notice: link up"]++
	case flood.LinkDown:
		c.n["notice: link down, "+what.Detail]++
	case flood.DuplicateName, flood.DuplicateNeighbourName:
		c.suspected = fmt.Errorf("%s: at %s: a node is taken for a duplicate over the link to %s", c.now, n.name, what.Peer)
	}
}

// countHerd counts what the herd has counted, countNode what the links of a node have.
func (c *chaos) countHerd() {
	c.n["herds"]++
	c.n["messages"] += int(c.counts.messages)
	c.n["messages lost"] += int(c.counts.lost)
	c.n["messages doubled"] += int(c.counts.doubled)
	c.n["messages cut off"] += int(c.counts.cut)
	c.n["messages to nobody"] += int(c.counts.unreceived)
	c.n["messages to a stalled node"] += int(c.counts.waited)
	c.n["messages overtaken"] += int(c.counts.overtaken)
	c.n["connections closed"] += int(c.counts.closed)
	for _, n := range c.nodes {
		c.countNode(n)
	}
}

func (c *chaos) countNode(n *node) {
	for _, p := range n.ports {
		if p == nil {
			continue
		}
		_, conflated := p.link.Owed()
		status := p.link.Status()
		c.n["reports conflated"] += int(conflated)
		c.n["reports retransmitted"] += int(status.Retransmitted)
		c.n["messages repeated"] += int(status.MessagesRepeated)
	}
}
