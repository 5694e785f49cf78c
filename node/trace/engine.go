package trace

import (
	"sync"
	"time"

	"herd/node/flood"
	"herd/node/line"
)

// Engine decorates an engine: it does what the engine does, and traces some of the reports.
//
// Traced reports are applied one at a time, so that of the same report from two neighbours the one that changed the registry is traced.
type Engine struct {
	engine *flood.Engine
	tracer *Tracer
	mu     sync.Mutex // held while traced reports are applied
}

// NewEngine returns the decorator of e.
func NewEngine(e *flood.Engine, t *Tracer) *Engine { return &Engine{engine: e, tracer: t} }

// ApplyBatch applies reports of the node's own clients, which were received now, as [flood.Engine.ApplyBatch] does.
func (e *Engine) ApplyBatch(reports []line.Report, now time.Time, applied func(r line.Report, changed bool)) {
	first := 0
	for i, r := range reports {
		if span := e.tracer.start(string(r.Client()), now); span != nil {
			e.engine.ApplyBatch(reports[first:i], flood.Local, applied)
			applied(r, e.apply(r, span))
			first = i + 1
		}
	}
	e.engine.ApplyBatch(reports[first:], flood.Local, applied)
}

func (e *Engine) apply(r line.Report, span *span) (changed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	end := e.attach(span, r, flood.Local)
	changed = e.engine.Apply(r, flood.Local)
	end(changed)
	return changed
}

// attach traces a report that is to be applied next. What it returns is to be called with what Apply returned.
func (e *Engine) attach(span *span, r line.Report, from line.NodeName) (applied func(changed bool)) {
	done := e.engine.Trace(r, from, span)
	return func(changed bool) {
		done(changed)
		span.endApplied(changed)
	}
}

// Receive has a link receive a message of reports with a header of traces, as [flood.Link.Receive] does. The message had so many lines; if
// some of them were no reports, nothing is traced, since the header counts lines. The message is received even if the header is malformed,
// which is the error.
func (e *Engine) Receive(l *flood.Link, now time.Time, m flood.Message, header string, lines int, applied func(r line.Report, changed bool)) error {
	traces, malformed := parseHeader(header, lines)
	e.mu.Lock()
	defer e.mu.Unlock()
	ends := make(map[int]func(changed bool), len(traces)) // by index of the report
	for _, t := range traces {
		if len(m.Reports) == lines {
			ends[t.line] = e.attach(e.tracer.receive(t.parent, string(l.Peer), now), m.Reports[t.line], l.Peer)
		}
	}
	next := 0
	_ = l.Receive(now, m, func(r line.Report, changed bool) { // a message of reports has no error
		if end := ends[next]; end != nil {
			end(changed)
		}
		next++
		applied(r, changed)
	})
	return malformed
}

// Publish publishes a message with traced reports to a neighbour, with the header of their traces.
func (e *Engine) Publish(to line.NodeName, traced []flood.Traced, publish func(header string) error) error {
	var header []byte
	spans := make([]*span, len(traced))
	for i, t := range traced {
		spans[i] = e.tracer.send(t.Trace.(*span), string(to))
		header = spans[i].appendHeader(header, t.Line)
	}
	err := publish(string(header))
	for _, s := range spans {
		s.endSent(err)
	}
	return err
}
