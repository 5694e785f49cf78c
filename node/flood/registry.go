package flood

import (
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"herd/node/line"
)

// Shards is the number of shards of a registry, more than a large machine has cores. A registry can be read one shard at a time, so that
// it is never locked for long. Each shard is a branch of the tree of digests.
const Shards = 1 << (4 * shardLevels)

// Registry holds the greatest report of each client, and a tree of digests over them.
type Registry struct {
	shards [Shards]shard
	cutoff atomic.Int64 // reports received before it are not merged: nanoseconds since 1970, or keepAll
	limit  atomic.Int64 // nor are those received after it, which is not possible
}

// shard holds the clients whose ID's hash begins with one byte.
type shard struct {
	mu      sync.Mutex
	reports []line.Report // one per client; an index into it is the client's place, which never changes; zero: a free place
	free    []uint32      // places of clients that were forgotten, for new ones
	index   index         // finds the place of a client
	sum     digest        // of all reports
	leaves  []leaf        // 16^levels of them, or none
	inTree  []inTree      // by place
	levels  uint8
	_       [64]byte // keeps the locks of two shards off one cache line
}

// key is where a client is in memory: in the shard that its ID has at every node, found by a secret hash of it.
type key struct {
	hash uint64
	part uint8 // number of the shard
}

func keyOf(id line.ClientID) key { return key{hash(id), partOf(id)} }

// partOf returns the number of the shard of a client: the first byte of the xxHash64 of its ID.
func partOf(id line.ClientID) uint8 { return uint8(xxhash.Sum64String(string(id)) >> 56) }

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	g := new(Registry)
	g.cutoff.Store(keepAll)
	g.limit.Store(math.MaxInt64)
	return g
}

// shard returns the number of the shard of a client.
func (k key) shard() int { return int(k.part) }

func (g *Registry) shard(k key) *shard { return &g.shards[k.shard()] }

// put stores r at the place that find returned, or adds it if that is −1, and returns its place.
func (s *shard) put(place int, k key, r line.Report) int {
	if place >= 0 {
		change := digestOf(r) - digestOf(s.reports[place])
		s.reports[place] = r
		s.leaves[s.inTree[place].leaf].sum += change
		s.sum += change
		return place
	}
	if last := len(s.free) - 1; last >= 0 {
		place = int(s.free[last])
		s.free = s.free[:last]
		s.reports[place] = r
	} else {
		place = len(s.reports)
		s.reports, s.inTree = append(s.reports, r), append(s.inTree, inTree{})
	}
	s.index.add(k.hash, place)
	s.addToTree(place)
	s.sum += digestOf(r)
	return place
}

// admit stores r, which a client of this node reported, if its time is later than that of the report held. Of two reports with the same
// time the first one stays. It returns the client's place and whether that changed the shard.
func (s *shard) admit(k key, r line.Report) (place int, changed bool) {
	place = s.index.find(k.hash, r.Client(), s.reports)
	if place >= 0 && !r.Later(s.reports[place]) {
		return place, false
	}
	return s.put(place, k, r), true
}

// merge stores a copy of r, which a neighbour passed on, if it is greater than the report held. It returns what is held then, the client's
// place, and whether that changed the shard.
func (s *shard) merge(k key, r line.Report) (held line.Report, place int, changed bool) {
	place = s.index.find(k.hash, r.Client(), s.reports)
	if place >= 0 && r.Compare(s.reports[place]) <= 0 {
		return s.reports[place], place, false
	}
	r = r.Clone()
	return r, s.put(place, k, r), true
}

// Merge stores a copy of r if it is greater than the report held and not older than the cut-off. It returns what is held then, if
// anything, and whether the registry changed.
//
// Merging is commutative, associative and idempotent: nodes that are given the same reports, in whatever order and however often, end
// with equal registries.
func (g *Registry) Merge(r line.Report) (held line.Report, changed bool) {
	k := keyOf(r.Client())
	s := g.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.expired(r) {
		return s.get(k, r.Client())
	}
	held, _, changed = s.merge(k, r)
	return held, changed
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

// All ranges over the reports held, in no order. One shard is locked at a time: the body must not use the registry.
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
		if !r.IsZero() && !yield(r) {
			return false
		}
	}
	return true
}

// clients returns the number of clients.
func (s *shard) clients() int { return s.index.used }

// AppendShard appends the texts of the reports of one shard, each with an LF after it, in no order. The shard is locked meanwhile.
func (g *Registry) AppendShard(dst []byte, shard int) []byte {
	g.shards[shard].all(func(r line.Report) bool {
		dst = append(append(dst, r.String()...), '\n')
		return true
	})
	return dst
}

// Digest returns the digest of all reports and their number. The digests of two registries are equal if they hold the same reports, and
// otherwise differ but for a chance in 2⁶⁴. Reports that are applied meanwhile may be in them or not.
func (g *Registry) Digest() (sum uint64, clients int) { return g.digest(branch{}) }

// prefetchClients loads into the cache what is needed to look up some clients: for all of them the slot of the index, then the report and
// where it is in the tree, then its text and its leaf. Each of these leads to the next, but those of different clients do not depend on one
// another, so they are loaded at the same time. If another goroutine changes them in between, the look-up only takes longer.
func (g *Registry) prefetchClients(keys []key) {
	for _, k := range keys {
		s := g.shard(k)
		s.mu.Lock()
		if len(s.reports) > 0 {
			prefetch(unsafe.Pointer(s.index.home(k.hash)))
		}
		s.mu.Unlock()
	}
	for _, k := range keys {
		s := g.shard(k)
		s.mu.Lock()
		if place := s.index.guess(k.hash); place >= 0 {
			prefetch(unsafe.Pointer(&s.reports[place]))
			prefetch(unsafe.Pointer(&s.inTree[place]))
		}
		s.mu.Unlock()
	}
	for _, k := range keys {
		s := g.shard(k)
		s.mu.Lock()
		if place := s.index.guess(k.hash); place >= 0 {
			text := s.reports[place].String()
			prefetch(unsafe.Pointer(unsafe.StringData(text)))
			prefetch(unsafe.Pointer(unsafe.StringData(text[len(text)-1:])))
			prefetch(unsafe.Pointer(&s.leaves[s.inTree[place].leaf]))
		}
		s.mu.Unlock()
	}
}

// keepAll is the cut-off of a node that keeps reports for ever.
const keepAll = math.MinInt64

// cutoffStep returns by how much a cut-off moves at a time: the longer reports are kept, the less often the registry is searched.
func cutoffStep(retention time.Duration) time.Duration { return max(time.Second, retention/64) }

// cutoffAt returns the time of receipt, in nanoseconds since 1970, before which reports are not kept.
func cutoffAt(now time.Time, retention time.Duration) int64 {
	return now.UnixNano() - int64(retention) - int64(sinceCutoffStep(now, retention))
}

// sinceCutoffStep returns how long ago the cut-off has moved. All nodes whose clocks agree move it at the same time; if they did not, they
// could not compare digests until the last of them has.
func sinceCutoffStep(now time.Time, retention time.Duration) time.Duration {
	step := int64(cutoffStep(retention))
	return time.Duration(((now.UnixNano()-int64(retention))%step + step) % step)
}

// expire moves the cut-off to where the clock says, and removes the reports older than the latest cut-off known.
func (e *Engine) expire(now time.Time) {
	e.mu.Lock()
	e.judgeClock(now)
	e.moveCutoff(now)
	done, target, purge := e.cutoff, e.registry.cutoff.Load(), e.clock.purge
	e.clock.purge = false
	e.mu.Unlock()
	if target == done && !purge {
		return
	}
	n := e.registry.expire(target, func(shard, place int) {
		for _, l := range e.Links() {
			l.ledger.settle(shard, place)
		}
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cutoff = target
	if n > 0 {
		e.notify(Notice{Kind: Expired, Reports: n})
	}
}

// raiseCutoff moves the cut-off forward, not back.
func (e *Engine) raiseCutoff(cutoff int64) {
	e.registry.cutoff.Store(max(e.registry.cutoff.Load(), cutoff))
}

// Cutoff returns the time of receipt, in nanoseconds since 1970, before which the registry holds nothing any more.
func (e *Engine) Cutoff() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cutoff
}

// expired reports whether a report is older than what is kept, or was received later than is possible.
func (g *Registry) expired(r line.Report) bool {
	cutoff := g.cutoff.Load()
	return cutoff != keepAll && r.Received() < cutoff || r.ReceivedAfter(g.limit.Load())
}

// expire removes the reports received before the cut-off or after the limit, and returns how many. It calls forgotten with each place that
// becomes free, while the shard is locked.
func (g *Registry) expire(cutoff int64, forgotten func(shard, place int)) int {
	n, limit := 0, g.limit.Load()
	expired := func(r line.Report) bool { return r.Received() < cutoff || r.ReceivedAfter(limit) }
	for i := range g.shards {
		n += g.shards[i].expire(expired, func(place int) { forgotten(i, place) })
	}
	return n
}

func (s *shard) expire(expired func(line.Report) bool, forgotten func(place int)) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.reports, func(r line.Report) bool { return !r.IsZero() && expired(r) }) {
		return 0
	}
	for i := range s.leaves {
		n += s.filter(&s.leaves[i], expired, forgotten)
	}
	if s.clients() == 0 {
		s.reports, s.free, s.inTree, s.index, s.leaves, s.levels = nil, nil, nil, index{}, nil, 0
	}
	return n
}
