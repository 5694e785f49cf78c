package node

import (
	"herd/node/flood"
	"herd/node/line"
	"herd/node/status"
	"herd/node/topology"
)

// Topology returns what the node was linked by last.
func (n *Node) Topology() *topology.Topology { return n.links.topology.Load() }

// Subscribe returns a queue that gets what changes the registry, see [flood.Engine.Subscribe].
func (n *Node) Subscribe(limit int) (changed *flood.Queue, stop func()) {
	return n.engine.Subscribe(limit)
}

// Watch has somebody told what happens, until stop is called. There is one at a time.
func (n *Node) Watch(w status.Watch) (stop func()) {
	n.watch.Store(&w)
	return func() { n.watch.Store(nil) }
}

// hop tells who watches of reports on a link of the node.
func (n *Node) hop(from, to line.NodeName, reports []line.Report) {
	if w := n.watch.Load(); w != nil {
		w.Transfer(from, to, reports)
	}
}
