package flood

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"

	"herd/node/line"
)

// The messages of a sync are request messages and reply messages.
//
//	'?' id salt request…
//	'!' id offset reply…   to some of the requests, in their order, from the one at offset on
//
// id is 8 bytes, chosen by the node that sends the requests; salt is a byte, offset two. Numbers of more than a byte are big-endian, counts
// unsigned varints (as in encoding/binary), short digests 3 bytes: the lower ones of a digest that was rotated left by salt. A request is a byte, with its kind in the upper three bits and the branch's depth in the lower
// five, and the branch's nibbles, two a byte.
const (
	requestMessage = '?'
	replyMessage   = '!'
)

const (
	maxRequests = 256 // in a message
	maxList     = 16  // clients of a branch above which it is not listed, but its children are
)

// requestBatch is a request message, or those of its requests that are not replied to yet.
type requestBatch struct {
	id       uint64
	salt     uint8 // at most 63, the same for all messages of a sync
	offset   int   // of the first of requests in the message
	requests []request
}

// after returns what is left of a batch after its first requests were replied to.
func (b requestBatch) after(replied *requestBatch) requestBatch {
	b.offset += len(replied.requests)
	b.requests = b.requests[len(replied.requests):]
	return b
}

// request is for what the neighbour holds in a branch.
type request struct {
	kind    requestKind
	branch  branch
	digests []shortDigest // requestFetch: of the requested reports
	haves   []have        // requestFetch: what this node holds in the branch and the neighbour did not list, at most maxList
	done    bool          // a reply was received; it is not sent
}

type requestKind uint8

const (
	// requestList is for the short digests of a branch's reports. The reply is a list or, if it is longer than maxList, the digests of the
	// branch's children.
	requestList requestKind = iota
	// requestFetch is for reports, except those older than what the requesting node has. It is followed by the count of the short digests,
	// and the count of haves, 4 + 5 bytes each. The neighbour owes them from then on, and its reply says so.
	requestFetch
	// requestFetchAll is for all reports of a branch of which the requesting node holds nothing. The reply is that to requestFetch.
	requestFetchAll
	// requestRound, of the whole tree and alone in its message, is replied to when everything was sent that was owed when it was received.
	requestRound
	requestKinds
)

// have is the order time of the report that the requesting node has of a client.
type have struct {
	client uint32 // the lower 32 bits of the client's position in the tree
	time   uint64 // in 2²⁴ ns since 1970, 40 bits
}

func haveOf(r line.Report) have {
	return have{uint32(position(r.Client())), uint64(r.OrderNanos()) >> 24}
}

// reply is the reply to one request.
type reply struct {
	kind     replyKind
	children [fanout]shortDigest // replyChildren; 0: a child without clients
	list     []shortDigest       // replyList
}

type replyKind uint8

const (
	replyChildren replyKind = iota // 16 short digests
	replyList                      // a count, and as many short digests
	replyDone                      // the reports are owed, or the round has ended
	replyKinds
)

func beginRequests(dst []byte, id uint64, salt uint8) []byte {
	return append(binary.BigEndian.AppendUint64(append(dst, requestMessage), id), salt)
}

func beginReplies(dst []byte, id uint64, offset int) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, replyMessage), id)
	return binary.BigEndian.AppendUint16(dst, uint16(offset))
}

func (q *request) append(dst []byte) []byte {
	dst = append(dst, byte(q.kind)<<5|q.branch.depth)
	for i := range (q.branch.depth + 1) / 2 {
		dst = append(dst, byte(q.branch.bits>>(56-8*i)))
	}
	if q.kind != requestFetch {
		return dst
	}
	dst = appendShortDigests(dst, q.digests)
	dst = binary.AppendUvarint(dst, uint64(len(q.haves)))
	for _, h := range q.haves {
		dst = binary.BigEndian.AppendUint32(dst, h.client)
		dst = appendUint(dst, 5, h.time)
	}
	return dst
}

// expectedReply returns about how long the reply to a request will be, in bytes.
func (q *request) expectedReply() int {
	if q.kind == requestList {
		return shortBytes * fanout
	}
	return 1
}

// appendUint appends the lower size bytes of n.
func appendUint(dst []byte, size int, n uint64) []byte {
	for size--; size >= 0; size-- {
		dst = append(dst, byte(n>>(8*size)))
	}
	return dst
}

func appendShortDigests(dst []byte, list []shortDigest) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, d := range list {
		dst = appendUint(dst, shortBytes, uint64(d))
	}
	return dst
}

func appendChildren(dst []byte, digests *[fanout]shortDigest) []byte {
	dst = append(dst, byte(replyChildren))
	for _, d := range digests {
		dst = appendUint(dst, shortBytes, uint64(d))
	}
	return dst
}

func parseRequests(payload []byte) (requestBatch, error) {
	s := scanner{rest: payload[1:]}
	batch := requestBatch{id: s.uint(8), salt: uint8(s.uint(1))}
	if batch.requests = s.requests(); len(batch.requests) > maxRequests {
		s.fail("too many requests")
	}
	return batch, s.err
}

// scanner parses a message of a sync. After the first fault everything else is empty.
type scanner struct {
	rest []byte
	err  error
}

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: sync: %s", ErrMalformed, what)
	}
	s.rest = nil
}

func (s *scanner) bytes(n int) []byte {
	if n < 0 || n > len(s.rest) {
		s.fail("too short")
		return nil
	}
	b := s.rest[:n]
	s.rest = s.rest[n:]
	return b
}

// uint returns a number of size bytes.
func (s *scanner) uint(size int) (n uint64) {
	for _, b := range s.bytes(size) {
		n = n<<8 | uint64(b)
	}
	return n
}

// count returns a number of things of at least size bytes each.
func (s *scanner) count(size int) int {
	n, used := binary.Uvarint(s.rest)
	if used <= 0 || n > uint64((len(s.rest)-used)/size) {
		s.fail("a count too large")
		return 0
	}
	s.rest = s.rest[used:]
	return int(n)
}

func (s *scanner) shortDigests() []shortDigest {
	list := make([]shortDigest, s.count(shortBytes))
	for i := range list {
		list[i] = shortDigest(s.uint(shortBytes))
	}
	return list
}

// requests returns the requests of a message, which follow its salt.
func (s *scanner) requests() (requests []request) {
	for len(s.rest) > 0 {
		first := uint8(s.uint(1))
		q := request{kind: requestKind(first >> 5), branch: branch{depth: first & 31}}
		if q.kind >= requestKinds || q.branch.depth > maxDepth {
			s.fail("an unknown request")
			return nil
		}
		for i, b := range s.bytes(int(q.branch.depth+1) / 2) {
			q.branch.bits |= uint64(b) << (56 - 8*i)
		}
		if bits.TrailingZeros64(q.branch.bits) < 64-4*int(q.branch.depth) {
			s.fail("bits beyond the branch")
			return nil
		}
		if q.kind == requestFetch {
			q.digests = s.shortDigests()
			q.haves = make([]have, s.count(4+5))
			for i := range q.haves {
				q.haves[i] = have{uint32(s.uint(4)), s.uint(5)}
			}
		}
		requests = append(requests, q)
	}
	return requests
}

// reply returns the next of a message's replies.
func (s *scanner) reply() (r reply) {
	r.kind = replyKind(s.uint(1))
	switch r.kind {
	case replyChildren:
		for i := range r.children {
			r.children[i] = shortDigest(s.uint(shortBytes))
		}
	case replyList:
		r.list = s.shortDigests()
	case replyDone:
	default:
		s.fail("an unknown reply")
	}
	return r
}

const (
	// A node replies to all its neighbours with at most replyRate bytes a second, and looks at no more clients than costVisit allows, which is
	// ten times what it takes: a tenth of a processor. So its clients do not notice. It may spend what replyBurst allows in advance.
	replyRate  = 8 << 20
	replyBurst = time.Second / 16
	costVisit  = time.Microsecond
)

// appendReplies appends a reply message of at most room bytes to as many requests as there is room for, but at least one. It returns these,
// and what they cost.
func (l *Link) appendReplies(dst []byte, batch requestBatch, room int) (out []byte, replied requestBatch, cost time.Duration) {
	dst = beginReplies(dst, batch.id, batch.offset)
	n := 0
	for n < len(batch.requests) {
		before, visits := len(dst), 0
		dst, visits = l.appendReply(dst, &batch.requests[n], batch.salt)
		cost += time.Duration(visits) * costVisit
		if n > 0 && len(dst) > room {
			dst = dst[:before]
			break
		}
		n++
	}
	batch.requests = batch.requests[:n]
	return dst, batch, cost
}

// appendReply appends the reply to one request, and returns how many clients it had to look at. Requested reports are owed from then on.
func (l *Link) appendReply(dst []byte, q *request, salt uint8) (out []byte, visits int) {
	g := l.engine.registry
	switch q.kind {
	case requestList:
		return l.appendList(dst, q.branch, salt)
	case requestFetch:
		visits = g.oweSome(&l.ledger, q, salt)
	case requestFetchAll:
		visits = g.oweAll(&l.ledger, q.branch)
	case requestRound:
	}
	return append(dst, byte(replyDone)), visits
}

// appendList appends the list of the short digests of a branch's reports, but for what is owed, which comes anyway, or the digests of its
// children if it has many clients.
func (l *Link) appendList(dst []byte, b branch, salt uint8) (out []byte, visits int) {
	g := l.engine.registry
	if _, clients := g.digest(b); clients > maxList && b.depth < maxDepth {
		var digests [fanout]shortDigest
		for i, child := range g.children(b) {
			digests[i] = shortDigestOf(child.sum, salt)
			if b.depth >= shardLevels {
				visits += child.count
			}
		}
		return appendChildren(dst, &digests), visits
	}
	list := make([]shortDigest, 0, maxList)
	g.eachPlace(b, func(shard, place int, r line.Report) {
		if visits++; !l.ledger.has(shard, place) {
			list = append(list, shortDigestOf(digestOf(r), salt))
		}
	})
	return appendShortDigests(append(dst, byte(replyList)), list), visits
}

// oweSome owes the requested reports, but for those older than what the neighbour has, and returns how many clients it has looked at.
func (g *Registry) oweSome(b *ledger, q *request, salt uint8) (visits int) {
	wanted := make(map[shortDigest]bool, len(q.digests))
	for _, d := range q.digests {
		wanted[d] = true
	}
	newest := make(map[uint32]uint64, len(q.haves)) // time by client
	for _, h := range q.haves {
		newest[h.client] = max(newest[h.client], h.time)
	}
	g.eachPlace(q.branch, func(shard, place int, r line.Report) {
		visits++
		if wanted[shortDigestOf(digestOf(r), salt)] {
			if held := haveOf(r); newest[held.client] <= held.time {
				b.owe(shard, place)
			}
		}
	})
	return visits
}

// oweAll owes the reports of a branch, and returns how many they are.
func (g *Registry) oweAll(b *ledger, of branch) (visits int) {
	g.eachPlace(of, func(shard, place int, _ line.Report) {
		visits++
		b.owe(shard, place)
	})
	return visits
}
