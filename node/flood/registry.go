package flood

import (
	"iter"
	"sync"

	"herd/node/line"
)

const shards = 64 // more than the cores of a large machine

// Registry holds the greatest report of each client.
type Registry struct {
	shards [shards]shard
}

// shard holds the clients of one part of the hash space.
type shard struct {
	mu      sync.Mutex
	reports []line.Report // one per client, in the order they were first heard of
	index   index
	_       [64]byte // no two shards' locks on one cache line
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return new(Registry) }

func (g *Registry) shard(h uint64) *shard { return &g.shards[h>>32%shards] }

// hold puts r in the place that find returned, or adds it.
func (s *shard) hold(place int, h uint64, r line.Report) {
	if place >= 0 {
		s.reports[place] = r
		return
	}
	s.index.add(h, len(s.reports))
	s.reports = append(s.reports, r)
}

// Admit holds r, which a client of this node reported, if its time is later than that of the report held. Of two
// reports with the same time the first stays. It returns whether the registry changed.
func (g *Registry) Admit(r line.Report) bool { return g.admit(hash(r.Client()), r) }

func (g *Registry) admit(h uint64, r line.Report) bool {
	s := g.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	place := s.index.find(h, r.Client(), s.reports)
	if place >= 0 && !r.Later(s.reports[place]) {
		return false
	}
	s.hold(place, h, r)
	return true
}

// Merge holds a copy of r, which a neighbour passed on, if it is greater than the report held. It returns what is
// held then and whether the registry changed.
//
// Merging is commutative, associative and idempotent: whatever the order in which nodes are given the same
// reports, and however often, they end with equal registries.
func (g *Registry) Merge(r line.Report) (held line.Report, changed bool) {
	return g.merge(hash(r.Client()), r)
}

func (g *Registry) merge(h uint64, r line.Report) (held line.Report, changed bool) {
	s := g.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	place := s.index.find(h, r.Client(), s.reports)
	if place >= 0 && r.Compare(s.reports[place]) <= 0 {
		return s.reports[place], false
	}
	r = r.Clone()
	s.hold(place, h, r)
	return r, true
}

// Get returns the report held for a client, and whether there is one.
func (g *Registry) Get(id line.ClientID) (line.Report, bool) {
	h := hash(id)
	s := g.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	place := s.index.find(h, id, s.reports)
	if place < 0 {
		return line.Report{}, false
	}
	return s.reports[place], true
}

// Len returns the number of clients.
func (g *Registry) Len() int {
	n := 0
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		n += len(s.reports)
		s.mu.Unlock()
	}
	return n
}

// All ranges over the reports held, in no order. A part of the registry is locked meanwhile: the body must not use it.
func (g *Registry) All() iter.Seq[line.Report] {
	return func(yield func(line.Report) bool) {
		for i := range g.shards {
			if !g.shards[i].all(yield) {
				return
			}
		}
	}
}

func (s *shard) all(yield func(line.Report) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.reports {
		if !yield(r) {
			return false
		}
	}
	return true
}
