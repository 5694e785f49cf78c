package flood

import "herd/node/line"

// Edge is where reports of a node's own clients come from: no neighbour.
const Edge NodeName = ""

// Link is the way to one neighbour: what waits to be told to it.
type Link struct {
	Peer  NodeName
	Queue *Queue
}

// Engine is the flood at one node: a registry, and a link to each neighbour.
type Engine struct {
	registry *Registry
	links    []*Link
}

// NewEngine returns the engine of a node with these neighbours and room for limit clients on each link.
func NewEngine(neighbours []NodeName, limit int) *Engine {
	e := &Engine{registry: NewRegistry()}
	for _, peer := range neighbours {
		e.links = append(e.links, &Link{Peer: peer, Queue: NewQueue(limit)})
	}
	return e
}

// Hear takes a report in: one from [Edge] is admitted, one from a neighbour is merged (see [Registry]). If that changed
// the registry, the report waits on the link to every neighbour but from, and Hear returns true.
func (e *Engine) Hear(r line.Report, from NodeName) bool {
	h, changed := hash(r.Client()), false
	if from == Edge {
		changed = e.registry.admit(h, r)
	} else {
		r, changed = e.registry.merge(h, r)
	}
	if !changed {
		return false
	}
	for _, l := range e.links {
		if l.Peer != from {
			l.Queue.push(h, r)
		}
	}
	return true
}

// Registry returns what the node knows.
func (e *Engine) Registry() *Registry { return e.registry }

// Links returns the ways to the neighbours, in the order they were given in.
func (e *Engine) Links() []*Link { return e.links }
