package flood

import (
	"slices"
	"sync/atomic"

	"herd/node/line"
)

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
	links    atomic.Pointer[[]*Link]
}

// NewEngine returns the engine of a node with these neighbours and room for limit clients on each link.
func NewEngine(neighbours []NodeName, limit int) *Engine {
	e := &Engine{registry: NewRegistry()}
	e.links.Store(new([]*Link))
	e.Relink(neighbours, limit)
	return e
}

// Relink has the engine know these neighbours and no others. Those that stay keep their links with what waits there. It must not
// be called concurrently with itself.
func (e *Engine) Relink(neighbours []NodeName, limit int) {
	var links []*Link
	for _, peer := range neighbours {
		i := slices.IndexFunc(e.Links(), func(l *Link) bool { return l.Peer == peer })
		if i < 0 {
			links = append(links, &Link{Peer: peer, Queue: NewQueue(limit)})
			continue
		}
		kept := e.Links()[i]
		kept.Queue.Limit(limit)
		links = append(links, kept)
	}
	e.links.Store(&links)
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
	for _, l := range e.Links() {
		if l.Peer != from {
			l.Queue.push(h, r)
		}
	}
	return true
}

// Registry returns what the node knows.
func (e *Engine) Registry() *Registry { return e.registry }

// Links returns the ways to the neighbours, in the order they were given in.
func (e *Engine) Links() []*Link { return *e.links.Load() }
