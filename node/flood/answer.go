package flood

import (
	"slices"
	"time"

	"herd/node/line"
)

const (
	maxAnswer = 32 << 10 // bytes up to which an answer is filled
	maxAsks   = 256      // in a question

	// Answers of a node to all its neighbours, in bytes a second, so that its clients do not notice them, and how long they may
	// take their share in advance: 512 KiB, so that few stale clients are healed at once.
	answerRate  = 8 << 20
	answerBurst = time.Second / 16
)

// asking is a neighbour's question, understood.
type asking struct {
	id   uint64
	salt uint8
	asks []ask
}

func parseQuestion(payload []byte) (asking, error) {
	s := scanner{rest: payload[1:]}
	q := asking{id: s.uint(8), salt: uint8(s.uint(1))}
	if q.asks = s.asks(); len(q.asks) > maxAsks {
		s.fail("too many asks")
	}
	return q, s.err
}

// answer appends the answer to a question. What there is no room for is asked again; at least one reply, or a part of it, there is
// always room for.
func (g *Registry) answer(dst []byte, q *asking) []byte {
	dst = beginAnswer(dst, q.id)
	for i := range q.asks {
		if i > 0 && len(dst) > maxAnswer-1-6*fanout {
			break
		}
		var all bool
		if dst, all = g.reply(dst, &q.asks[i], q.salt); !all {
			break
		}
	}
	return dst
}

// reply appends the reply to one ask, and reports whether there was room for all of it.
func (g *Registry) reply(dst []byte, a *ask, salt uint8) ([]byte, bool) {
	if _, clients := g.digest(a.branch); clients > listed && a.branch.depth < maxDepth {
		digests := g.parts(a.branch, salt)
		return appendParts(dst, &digests), true
	}
	switch a.kind {
	case look:
		return appendList(dst, g.marks(a.branch, salt)), true
	case everything:
		var held []line.Report
		g.each(a.branch, func(_ uint64, r line.Report) { held = append(held, r) })
		return appendReports(dst, held, maxAnswer)
	default:
		return appendReports(dst, g.wanted(a, salt), maxAnswer)
	}
}

// parts returns the digests of the sixteen parts of a branch, shortened.
func (g *Registry) parts(b branch, salt uint8) (digests [fanout]digest) {
	for i := range digests {
		sum, _ := g.digest(b.child(i))
		digests[i] = shorten(sum, salt)
	}
	return digests
}

// marks returns what stands for each report of a branch, listed at most. There are more only if so many IDs have one hash, or
// some came in the meantime: then those with the smallest marks, which are others in the next walk.
func (g *Registry) marks(b branch, salt uint8) (marks []mark) {
	g.each(b, func(_ uint64, r line.Report) { marks = append(marks, markOf(digestOf(r), salt)) })
	if len(marks) > listed {
		slices.Sort(marks)
		marks = marks[:listed]
	}
	return marks
}

// wanted returns the reports that a fetch asks for.
func (g *Registry) wanted(a *ask, salt uint8) (wanted []line.Report) {
	g.each(a.branch, func(id uint64, r line.Report) {
		if !slices.Contains(a.marks, markOf(digestOf(r), salt)) {
			return
		}
		held := claimOf(id, r)
		old := func(c claim) bool { return c.client == held.client && c.time > held.time }
		if !slices.ContainsFunc(a.mine, old) {
			wanted = append(wanted, r)
		}
	})
	return wanted
}
