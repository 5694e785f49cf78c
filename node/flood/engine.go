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

// Config is what an engine is made of.
type Config struct {
	Neighbours []NodeName // at first, see [Engine.Relink]
	Limit      int        // clients whose reports wait on a link
	Disk       *Queue     // gets all that changes the registry, or nil
}

// Engine is the flood at one node: a registry, and a link to each neighbour.
type Engine struct {
	registry *Registry
	disk     *Queue
	links    atomic.Pointer[[]*Link]
}

// NewEngine returns the engine of a node that knows nothing yet.
func NewEngine(c Config) *Engine {
	e := &Engine{registry: NewRegistry(), disk: c.Disk}
	e.links.Store(new([]*Link))
	e.Relink(c.Neighbours, c.Limit)
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
	if e.disk != nil {
		e.disk.push(h, r)
	}
	return true
}

// Registry returns what the node knows.
func (e *Engine) Registry() *Registry { return e.registry }

// Links returns the ways to the neighbours, in the order they were given in.
func (e *Engine) Links() []*Link { return *e.links.Load() }
