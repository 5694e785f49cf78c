package flood

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"herd/node/line"
)

// The digest of a set of reports is the sum, modulo 2⁶⁴, of the xxHash64 of their texts: equal for equal sets in whatever
// order they came, and kept up to date by one addition and one subtraction.
//
// Clients are in a tree by the xxHash64 of their IDs, four bits a level, so that the digests of sixteen parts tell in which of them two
// registries differ (a hash tree: Merkle 1987; over sets of sums: Demers et al., "Epidemic Algorithms", 1987, checksums
// of parts). Both hashes must be the same at every node; what finds a client in memory is another, secret one.
type digest = uint64

func digestOf(r line.Report) digest { return xxhash.Sum64String(r.String()) }

// branch is a part of the tree: the clients whose ID's hash begins with the first depth nibbles of bits. The other bits are 0.
type branch struct {
	bits  uint64
	depth uint8 // 0, the whole, to maxDepth
}

const (
	fanout   = 16
	maxDepth = 16
)

// child returns the i-th of the sixteen parts of a branch.
func (b branch) child(i int) branch {
	return branch{b.bits | uint64(i)<<(60-4*b.depth), b.depth + 1}
}

// has reports whether a client whose ID has this hash is in the branch.
func (b branch) has(id uint64) bool { return (id^b.bits)>>(64-4*b.depth) == 0 }

// within returns which of a level's parts, 16^levels below the first skip nibbles, are in the branch: from first to before last.
// If the branch is smaller than a part, that is the part that contains it.
func (b branch) within(skip, levels uint8) (first, last int) {
	at := int(b.bits << (4 * skip) >> (64 - 4*levels))
	return at, at + 1<<(4*max(skip+levels, b.depth)-4*max(b.depth, skip))
}

// leaf is a part of the tree in which clients are not told apart any further.
type leaf struct {
	sum   digest
	count uint32
	first uint32 // place+1 of a client, from where shard.next leads to the others; 0: none
}

// shardLevels is how many levels are above the shards: each is one branch of that depth.
const shardLevels = 2

const leafClients = 32 // on average at most; then leaves are split

// leafOf returns the leaf of a client by the hash of its ID.
func (s *shard) leafOf(id uint64) *leaf {
	return &s.leaves[id<<(4*shardLevels)>>(64-4*s.levels)]
}

// enter notes in the tree that the client at place is new in the shard.
func (s *shard) enter(id uint64, place int) {
	if len(s.reports) > leafClients*len(s.leaves) {
		s.split()
	}
	l := s.leafOf(id)
	l.count++
	s.next[place] = l.first
	l.first = uint32(place) + 1
}

// split makes sixteen times as many leaves, or the first. All reports but the last are entered.
func (s *shard) split() {
	if len(s.leaves) > 0 {
		s.levels++
	}
	s.leaves = make([]leaf, 1<<(4*s.levels))
	entered := len(s.reports) - 1
	for place, r := range s.reports[:entered] {
		l := s.leafOf(idHash(r.Client()))
		l.sum += digestOf(r)
		l.count++
		s.next[place] = l.first
		l.first = uint32(place) + 1
	}
}

// add adds a digest to the leaf of a client and to the shard.
func (s *shard) add(id uint64, d digest) {
	s.leafOf(id).sum += d
	s.sum += d
}

// each calls visit with the reports of a branch that is in this shard, and the hash of their clients' IDs.
func (s *shard) each(b branch, visit func(id uint64, r line.Report)) {
	if len(s.leaves) == 0 {
		return
	}
	first, last := b.within(shardLevels, s.levels)
	for _, l := range s.leaves[first:last] {
		for at := l.first; at != 0; at = s.next[at-1] {
			r := s.reports[at-1]
			if id := idHash(r.Client()); b.has(id) {
				visit(id, r)
			}
		}
	}
}

// digest returns digest and number of the clients of a branch that is in this shard.
func (s *shard) digest(b branch) (sum digest, count int) {
	if len(s.leaves) == 0 {
		return 0, 0
	}
	if b.depth > shardLevels+s.levels {
		s.each(b, func(_ uint64, r line.Report) {
			sum += digestOf(r)
			count++
		})
		return sum, count
	}
	first, last := b.within(shardLevels, s.levels)
	for _, l := range s.leaves[first:last] {
		sum += l.sum
		count += int(l.count)
	}
	return sum, count
}

// part returns the shards in which a branch's clients are.
func (g *Registry) part(b branch) []shard {
	first, last := b.within(0, shardLevels)
	return g.shards[first:last]
}

// digest returns digest and number of the clients of a branch.
func (g *Registry) digest(b branch) (sum digest, count int) {
	for i := range g.part(b) {
		s := &g.part(b)[i]
		s.mu.Lock()
		sum1, count1 := s.sum, len(s.reports)
		if b.depth > shardLevels {
			sum1, count1 = s.digest(b)
		}
		s.mu.Unlock()
		sum, count = sum+sum1, count+count1
	}
	return sum, count
}

// each calls visit with the reports of a branch. A part of the registry is locked meanwhile.
func (g *Registry) each(b branch, visit func(id uint64, r line.Report)) {
	for i := range g.part(b) {
		s := &g.part(b)[i]
		s.mu.Lock()
		s.each(b, visit)
		s.mu.Unlock()
	}
}

// mark is what stands for a report in a list of those of a branch: 32 bits of its digest.
//
// Which bits are sent of marks and digests differs from walk to walk, by salt, so that two that look the same in one do not in
// the next.
type mark uint32

func markOf(d digest, salt uint8) mark { return mark(bits.RotateLeft64(d, int(salt))) }

func shorten(d digest, salt uint8) digest { return bits.RotateLeft64(d, int(salt)) & (1<<48 - 1) }
