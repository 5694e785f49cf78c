package flood

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"herd/node/line"
)

// Messages of repair are questions and answers.
//
//	question: '?' id salt ask…
//	answer:   '!' id reply…          one for each ask, in order, as far as there is room
//
// id is 8 bytes, chosen by who asks; salt is a byte. Numbers of more than a byte are big-endian, counts and lengths unsigned
// varints (as in encoding/binary). An ask is a byte, its kind in the upper three bits and the branch's depth in the lower
// five, and the branch's nibbles, two a byte.
const (
	question = '?'
	answer   = '!'
)

// ask is one thing that a node wants to know of a branch.
type ask struct {
	kind   askKind
	branch branch
	marks  []mark  // fetch: of the reports wanted
	mine   []claim // fetch: what the asking node holds in the branch and the other does not
}

type askKind uint8

const (
	// look: what is there? Reply is a list.
	look askKind = iota
	// fetch: followed by the count and marks, 4 bytes each, of the reports wanted, and the count and claims, 4 + 5 bytes, of
	// what the asking node has itself. Reply is reports: those with these marks, but not those older than a claim.
	fetch
	// everything: asked by who holds nothing of a branch. Reply is reports.
	everything
	askKinds
)

// listed is the number of clients up to which a branch is not parted any further. If there are more, the reply to whatever is
// asked is parts.
const listed = 64

// claim says of what time a report is that the asking node holds.
type claim struct {
	client uint32 // the lower 32 bits of the hash of the client's ID
	time   uint64 // in 2²⁴ ns since 1970, 40 bits
}

func claimOf(id uint64, r line.Report) claim { return claim{uint32(id), uint64(r.Nanos()) >> 24} }

// reply is what is said to one ask.
type reply struct {
	kind    replyKind
	parts   [fanout]digest
	marks   []mark
	reports []line.Report
}

type replyKind uint8

const (
	parts   replyKind = iota // 16 digests, the lower 6 bytes of each after it was rotated left by salt
	list                     // a count, listed at most, and as many marks, 4 bytes each
	reports                  // a count, and as many reports, each a length and its text
	some                     // the same, but there was no room for all of them
	replyKinds
)

func beginQuestion(dst []byte, id uint64, salt uint8) []byte {
	return append(binary.BigEndian.AppendUint64(append(dst, question), id), salt)
}

func beginAnswer(dst []byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, answer), id)
}

func (a *ask) append(dst []byte) []byte {
	dst = append(dst, byte(a.kind)<<5|a.branch.depth)
	for i := range (a.branch.depth + 1) / 2 {
		dst = append(dst, byte(a.branch.bits>>(56-8*i)))
	}
	if a.kind != fetch {
		return dst
	}
	dst = appendMarks(dst, a.marks)
	dst = binary.AppendUvarint(dst, uint64(len(a.mine)))
	for _, c := range a.mine {
		dst = binary.BigEndian.AppendUint32(dst, c.client)
		dst = appendUint(dst, 5, c.time)
	}
	return dst
}

// appendUint appends the lower size bytes of n.
func appendUint(dst []byte, size int, n uint64) []byte {
	for size--; size >= 0; size-- {
		dst = append(dst, byte(n>>(8*size)))
	}
	return dst
}

func appendMarks(dst []byte, marks []mark) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(marks)))
	for _, m := range marks {
		dst = binary.BigEndian.AppendUint32(dst, uint32(m))
	}
	return dst
}

func appendParts(dst []byte, digests *[fanout]digest) []byte {
	dst = append(dst, byte(parts))
	for _, d := range digests {
		dst = appendUint(dst, 6, d)
	}
	return dst
}

func appendList(dst []byte, marks []mark) []byte { return appendMarks(append(dst, byte(list)), marks) }

// appendReports appends as many reports as there is room for, up to limit bytes of dst, but one at least. More than was
// asked for cannot be there: the reply is some if not all of them fit.
func appendReports(dst []byte, wanted []line.Report, limit int) (out []byte, all bool) {
	const overhead = 1 + 2*binary.MaxVarintLen16
	n, size := 0, len(dst)+overhead
	for n < len(wanted) && (n == 0 || size+len(wanted[n].String())+binary.MaxVarintLen16 <= limit) {
		size += len(wanted[n].String()) + binary.MaxVarintLen16
		n++
	}
	kind := reports
	if n < len(wanted) {
		kind = some
	}
	dst = binary.AppendUvarint(append(dst, byte(kind)), uint64(n))
	for _, r := range wanted[:n] {
		dst = append(binary.AppendUvarint(dst, uint64(len(r.String()))), r.String()...)
	}
	return dst, n == len(wanted)
}

// scanner takes a message of repair apart. After the first fault everything else is empty.
type scanner struct {
	rest []byte
	err  error
}

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: repair: %s", ErrMalformed, what)
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

func (s *scanner) marks() []mark {
	marks := make([]mark, s.count(4))
	for i := range marks {
		marks[i] = mark(s.uint(4))
	}
	return marks
}

// asks returns what a question asks, after its salt.
func (s *scanner) asks() (asks []ask) {
	for len(s.rest) > 0 {
		first := uint8(s.uint(1))
		a := ask{kind: askKind(first >> 5), branch: branch{depth: first & 31}}
		if a.kind >= askKinds || a.branch.depth > maxDepth {
			s.fail("an unknown ask")
			return nil
		}
		for i, b := range s.bytes(int(a.branch.depth+1) / 2) {
			a.branch.bits |= uint64(b) << (56 - 8*i)
		}
		if bits.TrailingZeros64(a.branch.bits) < 64-4*int(a.branch.depth) {
			s.fail("bits beyond the branch")
			return nil
		}
		if a.kind == fetch {
			a.marks = s.marks()
			a.mine = make([]claim, s.count(4+5))
			for i := range a.mine {
				a.mine[i] = claim{uint32(s.uint(4)), s.uint(5)}
			}
		}
		asks = append(asks, a)
	}
	return asks
}

// reply returns the next of an answer's replies. Reports share the memory of text, which is what the scanner began with.
func (s *scanner) reply(text string) (r reply) {
	r.kind = replyKind(s.uint(1))
	switch r.kind {
	case parts:
		for i := range r.parts {
			r.parts[i] = s.uint(6)
		}
	case list:
		if r.marks = s.marks(); len(r.marks) > listed {
			s.fail("too long a list")
		}
	case reports, some:
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
