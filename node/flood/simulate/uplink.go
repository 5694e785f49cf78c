package simulate

import "herd/node/line"

// Uplink is one way of a node's connection.
type Uplink struct {
	Node   line.NodeName `json:"node"`
	In     bool          `json:"in"`     // to the node, otherwise from it
	Rate   int           `json:"rate"`   // bytes a second
	Busy   float64       `json:"busy"`   // share of the time, 0 to 1
	Waited float64       `json:"waited"` // seconds, the longest that a message was in it
	Closed uint64        `json:"closed"` // connections of all nodes that NATS servers closed because too much waited
}

// busiest returns the way of a narrow connection that was busy for longest, or nil.
func (l *load) busiest() *Uplink {
	if l.Rate == 0 || len(l.Narrow) == 0 {
		return nil
	}
	var most *pipe
	for _, n := range l.nodes {
		for _, q := range []*pipe{&n.out, &n.in} {
			if q.rate > 0 && (most == nil || q.busy > most.busy) {
				most = q
			}
		}
	}
	busy := min(1, most.busy.Seconds()/l.now.Seconds())
	return &Uplink{most.node.name, most == &most.node.in, l.Rate, busy, most.longest.Seconds(), l.counts.closed}
}
