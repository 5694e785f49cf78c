package simulate

import (
	"math/rand/v2"
	"time"

	"herd/node/topology"
)

const mostEvery = 3 * time.Second // in a herd in which everything goes wrong

// paceSome returns a topology some of whose links carry a report of each client at most once in some time.
func paceSome(rng *rand.Rand, t *topology.Topology) *topology.Topology {
	var paces []topology.Pace
	for _, l := range t.Links() {
		for i := range l {
			if rng.IntN(3) == 0 {
				every := 200*time.Millisecond + time.Duration(rng.Int64N(int64(mostEvery-200*time.Millisecond)))
				paces = append(paces, topology.Pace{From: l[i], To: l[1-i], Every: every})
			}
		}
	}
	paced, err := topology.New(t.Nodes(), t.Links(), paces...)
	if err != nil {
		panic(err)
	}
	return paced
}

// paceFaults change how often links carry reports of one client, as a node that reads its configuration anew does.
var paceFaults = []fault{
	{"every changes", func(c *chaos) func() {
		if !c.every {
			return nil
		}
		n := c.nodes[c.rng.IntN(len(c.nodes))]
		n.relink(paceSome(c.rng, c.topology))
		return func() { n.relink(c.topology) }
	}},
}

// countHeld counts what links hold back.
func (c *chaos) countHeld() {
	if !c.every {
		return
	}
	c.n["herds with every"]++
	for _, n := range c.nodes {
		for _, p := range n.ports {
			if n.engine != nil && p != nil {
				c.n["reports held"] += p.link.Held()
			}
		}
	}
}
