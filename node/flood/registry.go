package flood

import (
	"iter"
	"math"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"herd/node/line"
)

// keepAll is the cut-off of who keeps reports for ever.
const keepAll = math.MinInt64

// shards is more than the cores of a large machine. Each is a branch of the tree of digests.
const shards = 1 << (4 * shardLevels)

// Registry holds the greatest report of each client, and a tree of digests over them.
type Registry struct {
	shards [shards]shard
	oldest atomic.Int64 // reports received before are not taken any more: nanoseconds since 1970
}

// shard holds the clients whose ID's hash begins with one byte.
type shard struct {
	mu      sync.Mutex
	reports []line.Report // one per client, in the order they were first heard of
	index   index
	sum     digest
	leaves  []leaf   // 16^levels, if any
	next    []uint32 // of each report, place+1 of another one in the same leaf; 0: none
	levels  uint8
	_       [64]byte // no two shards' locks on one cache line
}

// key is a client's ID, hashed: secretly, to find it in memory, and as every node does, for its place in the tree.
type key struct{ hash, id uint64 }

func idHash(id line.ClientID) uint64 { return xxhash.Sum64String(string(id)) }

func keyOf(id line.ClientID) key { return key{hash(id), idHash(id)} }

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	g := new(Registry)
	g.oldest.Store(keepAll)
	return g
}

func (g *Registry) shard(k key) *shard { return &g.shards[k.id>>(64-4*shardLevels)] }

// hold puts r in the place that find returned, or adds it. The leaf's sum is that of before.
func (s *shard) hold(place int, k key, r line.Report, sum digest) {
	if place < 0 {
		place = len(s.reports)
		s.index.add(k.hash, place)
		s.reports, s.next = append(s.reports, r), append(s.next, 0)
		s.enter(k.id, place)
	} else {
		change := digestOf(r) - digestOf(s.reports[place])
		s.reports[place] = r
		s.leafOf(k.id).sum = sum + change
		s.sum += change
		return
	}
	s.add(k.id, digestOf(r))
}

// leafSum returns the sum of a client's leaf, if there is one. Read before the client is searched, it comes from memory while the
// search waits for what it reads there.
func (s *shard) leafSum(id uint64) digest {
	if len(s.leaves) == 0 {
		return 0
	}
	return s.leafOf(id).sum
}

// admit holds r, which a client of this node reported, if its time is later than that of the report held. Of two reports
// with the same time the first stays. It returns whether that changed the shard.
func (s *shard) admit(k key, r line.Report) bool {
	sum := s.leafSum(k.id)
	place := s.index.find(k.hash, r.Client(), s.reports)
	if place >= 0 && !r.Later(s.reports[place]) {
		return false
	}
	s.hold(place, k, r, sum)
	return true
}

// merge holds a copy of r, which a neighbour passed on, if it is greater than the report held. It returns what is
// held then and whether that changed.
func (s *shard) merge(k key, r line.Report) (held line.Report, changed bool) {
	sum := s.leafSum(k.id)
	place := s.index.find(k.hash, r.Client(), s.reports)
	if place >= 0 && r.Compare(s.reports[place]) <= 0 {
		return s.reports[place], false
	}
	r = r.Clone()
	s.hold(place, k, r, sum)
	return r, true
}

// Merge holds a copy of r if it is greater than the report held, and not older than the cut-off. It returns what is held then, if
// anything, and whether the registry changed.
//
// Merging is commutative, associative and idempotent: whatever the order in which nodes are given the same
// reports, and however often, they end with equal registries.
func (g *Registry) Merge(r line.Report) (held line.Report, changed bool) {
	k := keyOf(r.Client())
	s := g.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.expired(r) {
		return s.get(k, r.Client())
	}
	return s.merge(k, r)
}

// Get returns the report held for a client, and whether there is one.
func (g *Registry) Get(id line.ClientID) (line.Report, bool) {
	k := keyOf(id)
	s := g.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.get(k, id)
}

func (s *shard) get(k key, id line.ClientID) (line.Report, bool) {
	place := s.index.find(k.hash, id, s.reports)
	if place < 0 {
		return line.Report{}, false
	}
	return s.reports[place], true
}

// Len returns the number of clients.
func (g *Registry) Len() int {
	_, n := g.digest(branch{})
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

// Digest returns the digest of all reports, and their number: those of two registries are equal when they hold the same, and else
// differ, but for a chance in 2⁶⁴. What changes meanwhile may be in them or not.
func (g *Registry) Digest() (sum uint64, clients int) { return g.digest(branch{}) }
