package simulate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"herd/node/flood"
	"herd/node/line"
)

// runLawfully is run, with a look at the law of the ledger after every event, on the links that it may have changed.
func (c *chaos) runLawfully(until time.Duration) error {
	h := c.herd
	var clients []line.ClientID
	for e := h.first(); e != nil && e.at <= until; e = h.first() {
		next := h.next()
		h.now = next.at
		next.what.happen()
		if len(clients) < len(c.admitted) || c.retention > 0 {
			clients = slices.Collect(maps.Keys(c.admitted))
		}
		// Where a greater report is forgotten before it is sent, only digests find the earlier one that a neighbour holds.
		clients = slices.DeleteFunc(clients, c.forgotten)
		nodes := h.nodes
		if next.node != nil {
			nodes = []*node{next.node}
		}
		for _, n := range nodes {
			if err := n.checkLaw(clients); err != nil {
				return fmt.Errorf("%s: %w", h.now, err)
			}
		}
	}
	h.run(until)
	return nil
}

// checkLaw checks the law of the ledger on the links between a node and its neighbours, both ways. Duplicate names break it.
func (n *node) checkLaw(clients []line.ClientID) error {
	if n.engine == nil {
		return nil
	}
	for _, p := range n.ports {
		if p == nil || len(p.directions) > 1 || p.directions[0].to.engine == nil {
			continue
		}
		d := p.directions[0]
		other := d.to.ports[d.slot]
		if other == nil { // the link is on its way
			continue
		}
		back := other.link
		if err := flood.CheckLaw(p.link, back, clients); err != nil {
			return err
		}
		if err := flood.CheckLaw(back, p.link, clients); err != nil {
			return err
		}
	}
	return nil
}
