package flood

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"herd/node/line"
)

// digest is the digest of a set of reports: the sum, modulo 2⁶⁴, of the xxHash64 of their texts. It is equal for equal sets, in whatever
// order the reports were added, and is kept up to date by one addition and one subtraction.
//
// Clients are in a tree by the position of their IDs, four bits a level. The digests of a branch's sixteen children show in which of them
// two registries differ (a hash tree: Merkle 1987; over sets, with checksums of parts: Demers et al., "Epidemic Algorithms", 1987). Both
// must be the same at every node; the hash that finds a client in memory is another one and secret.
type digest = uint64

// position returns where a client is in the tree: the byte of its shard, then bytes of the SHA-256 of its ID. Whoever may choose IDs must
// not be able to crowd a branch, which then could not be divided to find the few clients that differ.
func position(id line.ClientID) uint64 {
	sum := sha256.Sum256(unsafe.Slice(unsafe.StringData(string(id)), len(id)))
	return uint64(partOf(id))<<56 | binary.BigEndian.Uint64(sum[:])>>8
}

func digestOf(r line.Report) digest { return xxhash.Sum64String(r.String()) }

// branch is a part of the tree: the clients whose position begins with the first depth nibbles of bits. The other bits are 0.
type branch struct {
	bits  uint64
	depth uint8 // 0, the whole tree, to maxDepth
}

const (
	fanout   = 16
	maxDepth = 16
)

// child returns the i-th of the sixteen children of a branch.
func (b branch) child(i int) branch {
	return branch{b.bits | uint64(i)<<(60-4*b.depth), b.depth + 1}
}

// contains reports whether a client at this position is in the branch.
func (b branch) contains(position uint64) bool { return (position^b.bits)>>(64-4*b.depth) == 0 }

// span returns which of the 16^levels branches that begin below the first skip nibbles are in this branch: from first to before last. If
// this branch is smaller than one of them, the span is the one that contains it.
func (b branch) span(skip, levels uint8) (first, last int) {
	at := int(b.bits << (4 * skip) >> (64 - 4*levels))
	return at, at + 1<<(4*max(skip+levels, b.depth)-4*max(b.depth, skip))
}

// leaf is a branch whose clients the tree does not divide any further.
type leaf struct {
	sum   digest
	count uint32
	first uint32 // place+1 of a client, from which inTree.next leads to the others; 0: none
}

// inTree is where a client is in its shard's part of the tree.
type inTree struct {
	leaf uint32 // index in shard.leaves
	next uint32 // place+1 of another client of the leaf; 0: none
}

// shardLevels is how many levels are above the shards: each shard is one branch of that depth.
const shardLevels = 2

const leafClients = 32 // average number of clients of a leaf above which leaves are split

// addToTree adds the client at place.
func (s *shard) addToTree(place int) {
	if s.clients() > leafClients*len(s.leaves) {
		s.split()
		return
	}
	s.addToLeaf(place)
}

// addToLeaf adds the client at place to its leaf, in front of the others.
func (s *shard) addToLeaf(place int) {
	r := s.reports[place]
	at := position(r.Client()) << (4 * shardLevels) >> (64 - 4*s.levels)
	l := &s.leaves[at]
	s.inTree[place] = inTree{uint32(at), l.first}
	l.first, l.sum = uint32(place)+1, l.sum+digestOf(r)
	l.count++
}

// split makes sixteen times as many leaves, or the first one, and adds all clients to them.
func (s *shard) split() {
	if len(s.leaves) > 0 {
		s.levels++
	}
	s.leaves = make([]leaf, 1<<(4*s.levels))
	for place, r := range s.reports {
		if !r.IsZero() {
			s.addToLeaf(place)
		}
	}
}

// filter removes the reports of a leaf that are to go, calls gone with their places, and returns how many they are.
func (s *shard) filter(l *leaf, toGo func(line.Report) bool, gone func(place int)) (n int) {
	for at := &l.first; *at != 0; {
		place := *at - 1
		r := s.reports[place]
		if !toGo(r) {
			at = &s.inTree[place].next
			continue
		}
		*at = s.inTree[place].next
		l.count--
		l.sum -= digestOf(r)
		s.sum -= digestOf(r)
		s.index.remove(hash(r.Client()), int(place))
		s.reports[place], s.inTree[place] = line.Report{}, inTree{}
		s.free = append(s.free, place)
		gone(int(place))
		n++
	}
	return n
}

// each calls visit with the places and positions of the clients of this shard that are in a branch.
func (s *shard) each(b branch, visit func(position uint64, place int)) {
	if len(s.leaves) == 0 {
		return
	}
	first, last := b.span(shardLevels, s.levels)
	for _, l := range s.leaves[first:last] {
		for at := l.first; at != 0; at = s.inTree[at-1].next {
			if p := position(s.reports[at-1].Client()); b.contains(p) {
				visit(p, int(at-1))
			}
		}
	}
}

// digest returns the digest and number of the clients of this shard that are in a branch.
func (s *shard) digest(b branch) (sum digest, count int) {
	if len(s.leaves) == 0 {
		return 0, 0
	}
	if b.depth > shardLevels+s.levels {
		s.each(b, func(_ uint64, place int) {
			sum += digestOf(s.reports[place])
			count++
		})
		return sum, count
	}
	first, last := b.span(shardLevels, s.levels)
	for _, l := range s.leaves[first:last] {
		sum += l.sum
		count += int(l.count)
	}
	return sum, count
}

// shardsOf returns the shards that hold the clients of a branch.
func (g *Registry) shardsOf(b branch) []shard {
	first, last := b.span(0, shardLevels)
	return g.shards[first:last]
}

// digest returns the digest and number of the clients of a branch.
func (g *Registry) digest(b branch) (sum digest, count int) {
	shards := g.shardsOf(b)
	for i := range shards {
		s := &shards[i]
		s.mu.Lock()
		shardSum, shardCount := s.sum, s.clients()
		if b.depth > shardLevels {
			shardSum, shardCount = s.digest(b)
		}
		s.mu.Unlock()
		sum, count = sum+shardSum, count+shardCount
	}
	return sum, count
}

// eachPlace calls visit with the reports of a branch and the places of their clients. One shard is locked at a time, while visit runs.
func (g *Registry) eachPlace(b branch, visit func(shard, place int, r line.Report)) {
	first, last := b.span(0, shardLevels)
	for i := first; i < last; i++ {
		s := &g.shards[i]
		s.mu.Lock()
		s.each(b, func(_ uint64, place int) { visit(i, place, s.reports[place]) })
		s.mu.Unlock()
	}
}

// part is the digest and the number of the clients of a branch.
type part struct {
	sum   digest
	count int
}

// children returns the parts of a branch. Where they are parts of a leaf, its clients are gone through once.
func (g *Registry) children(b branch) (parts [fanout]part) {
	s := &g.shards[b.bits>>(64-4*shardLevels)]
	s.mu.Lock()
	inLeaf := b.depth >= shardLevels+s.levels
	if inLeaf {
		s.each(b, func(position uint64, place int) {
			p := &parts[position>>(60-4*b.depth)%fanout]
			p.sum += digestOf(s.reports[place])
			p.count++
		})
	}
	s.mu.Unlock()
	if !inLeaf {
		for i := range parts {
			parts[i].sum, parts[i].count = g.digest(b.child(i))
		}
	}
	return parts
}

// shortDigest stands for a report in the list of those of a branch, or for a child of it: 24 bits of its digest. The salt of a sync selects
// which bits, so that what looks the same in one sync does not in the next.
type shortDigest uint32

const shortBytes = 3 // of a short digest

func shortDigestOf(d digest, salt uint8) shortDigest {
	return shortDigest(bits.RotateLeft64(d, int(salt)) & (1<<(8*shortBytes) - 1))
}
