package flood

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"herd/node/line"
)

// The messages of a sync are request messages and reply messages.
//
//	'?' id salt request…
//	'!' id reply…          one for each request, in order, as far as there is room
//
// id is 8 bytes, chosen by the node that sends the requests; salt is a byte. Numbers of more than a byte are big-endian, counts and lengths unsigned
// varints (as in encoding/binary). A request is a byte, with its kind in the upper three bits and the branch's depth in the lower five,
// and the branch's nibbles, two a byte.
const (
	requestMessage = '?'
	replyMessage   = '!'
)

const (
	maxRequests = 256 // in a message
	maxList     = 64  // clients of a branch above which the reply to every request is its children
)

// requestBatch is a request message.
type requestBatch struct {
	id       uint64
	salt     uint8 // at most 63, the same for all messages of a sync
	requests []request
}

// request is for what the neighbour holds in a branch.
type request struct {
	kind    requestKind
	branch  branch
	digests []shortDigest // requestFetch: of the requested reports
	haves   []have        // requestFetch: what this node holds in the branch and the neighbour did not list, at most maxList
}

type requestKind uint8

const (
	// requestList is for the short digests of a branch's reports. The reply is a list.
	requestList requestKind = iota
	// requestFetch is for reports, except those older than what the requesting node has. It is followed by the count of the short digests,
	// 4 bytes each, and the count of haves, 4 + 5 bytes each.
	requestFetch
	// requestFetchAll is for all reports of a branch of which the requesting node holds nothing.
	requestFetchAll
	requestKinds
)

// have is the order time of the report that the requesting node has of a client.
type have struct {
	client uint32 // the lower 32 bits of the hash of the client's ID
	time   uint64 // in 2²⁴ ns since 1970, 40 bits
}

func haveOf(id uint64, r line.Report) have { return have{uint32(id), uint64(r.OrderNanos()) >> 24} }

// reply is the reply to one request.
type reply struct {
	kind     replyKind
	children [fanout]digest // replyChildren; 0: a child without clients
	list     []shortDigest  // replyList
	reports  []line.Report  // replyReports, replyPartial
}

type replyKind uint8

const (
	replyChildren replyKind = iota // 16 digests, the lower 6 bytes of each after it was rotated left by salt
	replyList                      // a count, at most maxList, and as many short digests, 4 bytes each
	replyReports                   // a count, and as many reports, each of which is a length and its text
	replyPartial                   // reports in a message that had no room for all of them
	replyKinds
)

func beginRequests(dst []byte, id uint64, salt uint8) []byte {
	return append(binary.BigEndian.AppendUint64(append(dst, requestMessage), id), salt)
}

func beginReplies(dst []byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, replyMessage), id)
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
	const reportSize = 110
	switch q.kind {
	case requestFetch:
		return reportSize * len(q.digests)
	case requestFetchAll:
		return reportSize * maxList / 4
	default:
		return 6 * fanout
	}
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
		dst = binary.BigEndian.AppendUint32(dst, uint32(d))
	}
	return dst
}

func appendChildren(dst []byte, digests *[fanout]digest) []byte {
	dst = append(dst, byte(replyChildren))
	for _, d := range digests {
		dst = appendUint(dst, 6, d)
	}
	return dst
}

func appendList(dst []byte, list []shortDigest) []byte {
	return appendShortDigests(append(dst, byte(replyList)), list)
}

// appendReports appends as many reports as there is room for, up to limit bytes of dst, but at least one. Only requested reports
// are appended, so the reply is partial exactly if some of them did not fit.
func appendReports(dst []byte, reports []line.Report, limit int) (out []byte, complete bool) {
	const overhead = 1 + 2*binary.MaxVarintLen16
	n, size := 0, len(dst)+overhead
	for n < len(reports) && (n == 0 || size+len(reports[n].String())+binary.MaxVarintLen16 <= limit) {
		size += len(reports[n].String()) + binary.MaxVarintLen16
		n++
	}
	kind := replyReports
	if n < len(reports) {
		kind = replyPartial
	}
	dst = binary.AppendUvarint(append(dst, byte(kind)), uint64(n))
	for _, r := range reports[:n] {
		dst = append(binary.AppendUvarint(dst, uint64(len(r.String()))), r.String()...)
	}
	return dst, n == len(reports)
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
	list := make([]shortDigest, s.count(4))
	for i := range list {
		list[i] = shortDigest(s.uint(4))
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

// reply returns the next of a message's replies. Reports share the memory of text, with which the scanner began.
func (s *scanner) reply(text string) (r reply) {
	r.kind = replyKind(s.uint(1))
	switch r.kind {
	case replyChildren:
		for i := range r.children {
			r.children[i] = s.uint(6)
		}
	case replyList:
		if r.list = s.shortDigests(); len(r.list) > maxList {
			s.fail("too long a list")
		}
	case replyReports, replyPartial:
		n := s.count(1)
		for range n {
			length := s.count(1)
			begin := len(text) - len(s.rest)
			if s.bytes(length); s.err != nil {
				return r
			}
			report, err := line.ParseReport(text[begin : begin+length])
			if err != nil {
				s.fail("not a report")
				return r
			}
			r.reports = append(r.reports, report)
		}
	default:
		s.fail("an unknown reply")
	}
	return r
}

const (
	// A node sends at most replyRate bytes of replies a second to all its neighbours, so that its clients do not notice them. It may send
	// what replyBurst allows in advance, 512 KiB, so that few stale clients are repaired at once.
	replyRate  = 8 << 20
	replyBurst = time.Second / 16
)

// maxListReply is the most bytes of a reply without reports: a list.
const maxListReply = 1 + binary.MaxVarintLen16 + 4*maxList

// appendReplies appends the reply message to a request message, filled up to so many bytes. There is always room for one reply, or for a part of it; the neighbour
// repeats the requests for which there was no room.
func (g *Registry) appendReplies(dst []byte, batch *requestBatch, limit int) []byte {
	dst = beginReplies(dst, batch.id)
	for i := range batch.requests {
		if i > 0 && len(dst) > limit-maxListReply {
			break
		}
		var complete bool
		if dst, complete = g.appendReply(dst, &batch.requests[i], batch.salt, limit); !complete {
			break
		}
	}
	return dst
}

// appendReply appends the reply to one request, and reports whether there was room for all of it.
func (g *Registry) appendReply(dst []byte, q *request, salt uint8, limit int) (out []byte, complete bool) {
	if _, clients := g.digest(q.branch); clients > maxList && q.branch.depth < maxDepth {
		children := g.childDigests(q.branch, salt)
		return appendChildren(dst, &children), true
	}
	switch q.kind {
	case requestList:
		return appendList(dst, g.shortDigests(q.branch, salt)), true
	case requestFetchAll:
		var held []line.Report
		g.each(q.branch, func(_ uint64, r line.Report) { held = append(held, r) })
		return appendReports(dst, held, limit)
	default:
		return appendReports(dst, g.fetch(q, salt), limit)
	}
}

// childDigests returns the digests of the sixteen children of a branch as they are sent.
func (g *Registry) childDigests(b branch, salt uint8) (children [fanout]digest) {
	for i := range children {
		sum, _ := g.digest(b.child(i))
		children[i] = childDigestOf(sum, salt)
	}
	return children
}

// shortDigests returns those of the reports of a branch, at most maxList. There are more reports only if so many IDs have one hash, or if
// some came after the branch was counted; then the smallest short digests are returned, which belong to other reports in the next sync.
func (g *Registry) shortDigests(b branch, salt uint8) (list []shortDigest) {
	g.each(b, func(_ uint64, r line.Report) { list = append(list, shortDigestOf(digestOf(r), salt)) })
	if len(list) > maxList {
		slices.Sort(list)
		list = list[:maxList]
	}
	return list
}

// fetch returns the requested reports, but for those older than what the neighbour has.
func (g *Registry) fetch(q *request, salt uint8) (found []line.Report) {
	g.each(q.branch, func(id uint64, r line.Report) {
		if !slices.Contains(q.digests, shortDigestOf(digestOf(r), salt)) {
			return
		}
		held := haveOf(id, r)
		newer := func(h have) bool { return h.client == held.client && h.time > held.time }
		if !slices.ContainsFunc(q.haves, newer) {
			found = append(found, r)
		}
	})
	return found
}
