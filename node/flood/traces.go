package flood

import (
	"slices"
	"sync"

	"herd/node/line"
)

// maxTraced is how many traced reports may wait on a link; a further one takes the place of the oldest.
const maxTraced = 16

// Traced is a report of a message that is traced. What the trace is, the engine does not know.
type Traced struct {
	Line  int // index of the report in the message
	Trace any
}

// traced is a traced report that may be owed on a link.
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
			l.traces.add(r, trace)
		}
	}
	return func(changed bool) {
		for _, l := range e.Links() {
			if !changed && l.Peer != from {
				l.traces.end(trace)
			}
		}
	}
}

// traces is the traced reports that may be owed on a link.
type traces struct {
	mu  sync.Mutex
	all []traced
}

func (t *traces) add(r line.Report, trace any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) == maxTraced {
		t.all = slices.Delete(t.all, 0, 1)
	}
	t.all = append(t.all, traced{r, trace})
}

// end removes a trace.
func (t *traces) end(trace any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(func(each traced) bool { return each.trace == trace })
}

// remove removes the first traced report that matches, and returns its trace, or nil.
func (t *traces) remove(match func(traced) bool) any {
	i := slices.IndexFunc(t.all, match)
	if i < 0 {
		return nil
	}
	trace := t.all[i].trace
	t.all = slices.Delete(t.all, i, i+1)
	return trace
}

// of removes the traced reports that a message contains, and appends them to dst.
func (t *traces) of(reports []line.Report, dst []Traced) []Traced {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := 0; i < len(reports) && len(t.all) > 0; i++ {
		if trace := t.remove(func(each traced) bool { return each.Report == reports[i] }); trace != nil {
			dst = append(dst, Traced{i, trace})
		}
	}
	return dst
}
