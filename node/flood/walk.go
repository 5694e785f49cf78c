package flood

import (
	"slices"
	"time"

	"herd/node/line"
)

// A walk pulls what a neighbour knows better. It compares digests from the root of the tree down, lists the reports of
// small branches that differ, and fetches those it lacks. Each branch is looked at once, whatever changes meanwhile, so a walk ends;
// what it could miss for that is on its way in the flood, or leaves a gap there that asks for another walk.
//
// At most window questions are open, each answered by less than maxMessage bytes: 1 MiB at most is under way.
const (
	window     = 16
	answerTime = 2 * time.Second  // without an answer, a walk is given up
	turnTime   = 10 * time.Second // then a walk makes room for one over another link, and begins anew after it
	manyOwn    = 1 << 14          // clients of one's own in a branch, beyond which it costs less to fetch all that is listed
	askAhead   = maxAnswer / 2    // bytes that the answer to a question is expected to have
)

type walk struct {
	link   *Link
	why    string
	id     uint64 // of the last question
	salt   uint8
	todo   []ask            // the last first
	open   map[uint64][]ask // asked and not answered
	budget int              // bytes of answers, after which nothing more is asked, or unlimited
	began  time.Time
	moved  time.Time // when the last answer came
	bytes  int       // of answers
	heard  int       // reports
	news   int       // of these
}

const unlimited = -1

// due reports whether there is a question to be asked now.
func (w *walk) due() bool {
	return len(w.todo) > 0 && len(w.open) < window && (w.budget == unlimited || w.bytes+len(w.open)*askAhead < w.budget)
}

// over reports whether everything has been asked and answered.
func (w *walk) over() bool { return len(w.todo) == 0 && len(w.open) == 0 }

// ask appends the next question.
func (w *walk) ask(dst []byte) []byte {
	w.id++
	dst = beginQuestion(dst, w.id, w.salt)
	first, expected := len(w.todo), 0
	for first > 0 && expected < askAhead && len(w.todo)-first < maxAsks {
		first--
		dst = w.todo[first].append(dst)
		expected += w.todo[first].expect()
	}
	asks := slices.Clone(w.todo[first:])
	slices.Reverse(asks) // into the order in which they were written
	w.open[w.id] = asks
	clear(w.todo[first:])
	w.todo = w.todo[:first]
	return dst
}

// expect returns about how long the reply to an ask will be, in bytes.
func (a *ask) expect() int {
	const reportSize = 110
	switch a.kind {
	case fetch:
		return reportSize * len(a.marks)
	case everything:
		return reportSize * listed / 4
	default:
		return 6 * fanout
	}
}

// follow returns what to ask after a reply: nothing if the ask is done with.
func (g *Registry) follow(a ask, r *reply, salt uint8) []ask {
	switch r.kind {
	case parts:
		return g.descend(a.branch, &r.parts, salt)
	case list:
		return g.compare(a.branch, r.marks, salt)
	case some:
		if a.kind == fetch {
			left := len(a.marks)
			for _, got := range r.reports {
				m := markOf(digestOf(got), salt)
				a.marks = slices.DeleteFunc(a.marks, func(each mark) bool { return each == m })
			}
			if len(a.marks) == left {
				return nil // what was not asked for leads nowhere
			}
			return []ask{a}
		}
		return []ask{{kind: look, branch: a.branch}}
	default:
		return nil
	}
}

// descend returns asks for the parts of a branch that differ from those of the neighbour.
// Which comes first differs from walk to walk, so that those that end early see different ones.
func (g *Registry) descend(b branch, theirs *[fanout]digest, salt uint8) (next []ask) {
	if b.depth == maxDepth {
		return nil // where nobody who follows the protocol has parts
	}
	for i := range theirs {
		i = (i + int(salt)) % fanout
		part, digest := b.child(i), theirs[i]
		own, clients := g.digest(part)
		switch {
		case digest == shorten(own, salt) || digest == 0: // the same, or nothing
		case clients == 0:
			next = append(next, ask{kind: everything, branch: part})
		default:
			next = append(next, ask{kind: look, branch: part})
		}
	}
	return next
}

// compare returns the ask for those of a branch's reports that this node lacks, if any.
func (g *Registry) compare(b branch, theirs []mark, salt uint8) []ask {
	a := ask{kind: fetch, branch: b, marks: theirs}
	if _, clients := g.digest(b); clients <= manyOwn {
		same := make(map[mark]bool, len(theirs))
		for _, m := range theirs {
			same[m] = false
		}
		g.each(b, func(id uint64, r line.Report) {
			m := markOf(digestOf(r), salt)
			if _, ok := same[m]; ok {
				same[m] = true
			} else if len(a.mine) < listed {
				a.mine = append(a.mine, claimOf(id, r))
			}
		})
		a.marks = slices.DeleteFunc(a.marks, func(m mark) bool { return same[m] })
	}
	if len(a.marks) == 0 {
		return nil
	}
	return []ask{a}
}
