package flood

import (
	"slices"

	"herd/node/line"
)

// maxTraced is how many traced reports may wait on a link; a further one takes the place of the oldest.
const maxTraced = 16

// Traced is a report of a message that is traced. What the trace is, the engine does not know.
type Traced struct {
	Line  int // index of the report in the message
	Trace any
}

// traced is a traced report that may be waiting in a queue.
type traced struct {
	line.Report
	trace any
}

// Trace attaches a trace to r, which is to be given to [Engine.Apply] next: [Message.Traced] names it in the messages in which r leaves.
// On a link where a newer report replaces r, the trace ends. The returned function is to be called after Apply, with what Apply returned,
// and before Trace is called again; otherwise, if two neighbours send the same report, the wrong one of them could be traced.
func (e *Engine) Trace(r line.Report, from line.NodeName, trace any) (applied func(changed bool)) {
	for _, l := range e.Links() {
		if l.Peer != from {
			l.Queue.trace(r, trace)
		}
	}
	return func(changed bool) {
		for _, l := range e.Links() {
			if !changed && l.Peer != from {
				l.Queue.removeTraceOf(trace)
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

func (q *Queue) removeTraceOf(trace any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.removeTrace(func(t traced) bool { return t.trace == trace })
}

// removeTrace removes the first traced report that matches, and returns its trace, or nil. The queue is locked by the caller.
func (q *Queue) removeTrace(match func(traced) bool) any {
	i := slices.IndexFunc(q.traced, match)
	if i < 0 {
		return nil
	}
	t := q.traced[i]
	q.traced = slices.Delete(q.traced, i, i+1)
	return t.trace
}

// tracedOf removes the traced reports that a message contains, and appends them to dst.
func (q *Queue) tracedOf(reports []line.Report, dst []Traced) []Traced {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := 0; i < len(reports) && len(q.traced) > 0; i++ {
		if trace := q.removeTrace(func(t traced) bool { return t.Report == reports[i] }); trace != nil {
			dst = append(dst, Traced{i, trace})
		}
	}
	return dst
}
