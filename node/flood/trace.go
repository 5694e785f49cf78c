package flood

import (
	"slices"

	"herd/node/line"
)

// maxTraced is how many traced reports can wait on a link. The oldest makes room for another.
const maxTraced = 16

// Traced is a report of a message that is followed on its way. What the trace is, the engine does not know.
type Traced struct {
	Line  int // index in the message
	Trace any
}

// traced is a report that may be waiting in a queue.
type traced struct {
	line.Report
	trace any
}

// Trace has r, which [Engine.Apply] is about to be given, followed on the links on which it is passed on: the message in which it leaves
// says so. It is not followed any more where a newer report takes its place. The returned function is to be called after that, with
// what Apply returned, and before Trace is called again: else, of the same report from two neighbours, the wrong one could be followed.
func (e *Engine) Trace(r line.Report, from line.NodeName, trace any) (heard func(news bool)) {
	for _, l := range e.Links() {
		if l.Peer != from {
			l.Queue.trace(r, trace)
		}
	}
	return func(news bool) {
		for _, l := range e.Links() {
			if !news && l.Peer != from {
				l.Queue.forget(trace)
			}
		}
	}
}

func (q *Queue) trace(r line.Report, trace any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.traced) == maxTraced {
		q.traced = slices.Delete(q.traced, 0, 1)
	}
	q.traced = append(q.traced, traced{r, trace})
}

func (q *Queue) forget(trace any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.untrace(func(t traced) bool { return t.trace == trace })
}

// untrace returns the first trace that is meant, or nil, and takes it out.
func (q *Queue) untrace(meant func(traced) bool) any {
	i := slices.IndexFunc(q.traced, meant)
	if i < 0 {
		return nil
	}
	t := q.traced[i]
	q.traced = slices.Delete(q.traced, i, i+1)
	return t.trace
}

// tracedOf returns those of a message's reports that are followed.
func (q *Queue) tracedOf(reports []line.Report, dst []Traced) []Traced {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := 0; i < len(reports) && len(q.traced) > 0; i++ {
		if t := q.untrace(func(t traced) bool { return t.Report == reports[i] }); t != nil {
			dst = append(dst, Traced{i, t})
		}
	}
	return dst
}
