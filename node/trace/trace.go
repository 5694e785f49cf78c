// Package trace traces some reports on their way through the herd, with OpenTelemetry: each is one trace over all nodes that it visits. An
// [Engine] decorates a node's engine, so that nothing of this package is on the way of a node without a tracer.
package trace

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"herd/node/flood"
	"herd/node/line"
)

const scope = "herd/node/trace"

// Attributes of spans. Bytes of a client's ID that are not UTF-8 are U+FFFD there.
const (
	clientKey = attribute.Key("herd.client")
	peerKey   = attribute.Key("herd.peer")
	newKey    = attribute.Key("herd.new") // whether the report changed the registry
)

// Exporter sends the spans of all nodes of a process.
type Exporter = sdk.SpanExporter

// NewExporter returns an exporter to a collector: OTLP over HTTP, to the path /v1/traces unless the endpoint has another. It connects when
// there is something to send, and calls failed for every attempt that fails.
func NewExporter(ctx context.Context, endpoint string, failed func(error)) (Exporter, error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(failed))
	if i := strings.Index(endpoint, "://"); strings.Count(strings.TrimSuffix(endpoint[i+3:], "/"), "/") == 0 {
		endpoint = strings.TrimSuffix(endpoint, "/") + "/v1/traces"
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
}

// shared is an exporter of several tracers, none of which shuts it down.
type shared struct{ Exporter }

func (shared) Shutdown(context.Context) error { return nil }

// Tracer makes the spans of one node.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	oneIn    uint64        // a trace starts with one in so many reports of the node's clients; at least 1
	reports  atomic.Uint64 // of the node's clients, so far
}

// NewTracer returns the tracer of a node, which starts a trace with one in oneIn reports of its clients. Spans wait for the exporter in a
// bounded queue; what does not fit there is dropped. The maker of the exporter shuts it down after all tracers are closed.
func NewTracer(out Exporter, herd, node, version string, oneIn int) *Tracer {
	about := resource.NewSchemaless(
		attribute.String("service.name", herd), attribute.String("service.instance.id", node), attribute.String("service.version", version))
	p := sdk.NewTracerProvider(sdk.WithBatcher(shared{out}), sdk.WithResource(about), sdk.WithSampler(sdk.AlwaysSample()))
	return &Tracer{provider: p, tracer: p.Tracer(scope), oneIn: uint64(max(oneIn, 1))}
}

// Close sends the spans that wait, as far as that is done when ctx ends.
func (t *Tracer) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// span is a step of a traced report: a node received it, from a client or a neighbour, or sent it to a neighbour.
type span struct {
	trace.Span
	received time.Time // when the node received the report; zero if the span is one of sending
}

// start returns the first span of a new trace, or nil if this report is not to be traced.
func (t *Tracer) start(client string, now time.Time) *span {
	if t.reports.Add(1)%t.oneIn != 0 {
		return nil
	}
	_, s := t.tracer.Start(context.Background(), "IAMAT", trace.WithNewRoot(), trace.WithTimestamp(now), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(clientKey.String(strings.ToValidUTF8(client, "\uFFFD"))))
	return &span{s, now}
}

// send returns the span of sending a report to a neighbour. It begins when the report began to wait, at the end of s.
func (t *Tracer) send(s *span, peer string) *span {
	ctx := trace.ContextWithSpanContext(context.Background(), s.SpanContext())
	_, sent := t.tracer.Start(ctx, "send "+peer, trace.WithTimestamp(s.received), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(peerKey.String(peer)))
	return &span{Span: sent}
}

// receive returns the span of receiving a report from a neighbour, whose span of sending it is parent.
func (t *Tracer) receive(parent trace.SpanContext, peer string, now time.Time) *span {
	_, s := t.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), parent), "receive "+peer, trace.WithTimestamp(now),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(peerKey.String(peer)))
	return &span{s, now}
}

// endApplied ends a span of receiving.
func (s *span) endApplied(changed bool) {
	s.SetAttributes(newKey.Bool(changed))
	s.End()
}

// endSent ends a span of sending, with an error if there was one.
func (s *span) endSent(err error) {
	if err != nil {
		s.SetStatus(codes.Error, err.Error())
	}
	s.End()
}

// maxTraces is more than the traced reports that [flood.Engine.Trace] lets wait on a link.
const maxTraces = 64

// appendHeader appends to the header of a message that the report in a line of it is traced:
//
//	<line> <traceparent>[, …]
//
// where the first line is 0, and traceparent is that of W3C Trace Context, version 00.
func (s *span) appendHeader(dst []byte, line int) []byte {
	if len(dst) > 0 {
		dst = append(dst, ", "...)
	}
	dst = strconv.AppendInt(dst, int64(line), 10)
	c := s.SpanContext()
	id, parent := c.TraceID(), c.SpanID()
	dst = append(append(append(dst, " 00-"...), id.String()...), '-')
	return append(append(dst, parent.String()...), "-01"...)
}

// tracedLine is a line of a message whose report is traced.
type tracedLine struct {
	line   int
	parent trace.SpanContext
}

var errHeader = errors.New("trace: malformed header")

// parseHeader parses what appendHeader makes, for a message with so many lines. They are in order, each at most once: of a line with two
// traces, one would never end.
func parseHeader(text string, lines int) (all []tracedLine, err error) {
	for part := range strings.SplitSeq(text, ", ") {
		number, parent, _ := strings.Cut(part, " ")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n >= lines || len(all) > 0 && n <= all[len(all)-1].line || len(parent) != 55 || parent[:3] != "00-" || parent[35] != '-' || parent[52:] != "-01" || len(all) == maxTraces {
			return nil, errHeader
		}
		id, noID := trace.TraceIDFromHex(parent[3:35])
		span, noSpan := trace.SpanIDFromHex(parent[36:52])
		if noID != nil || noSpan != nil {
			return nil, errHeader
		}
		all = append(all, tracedLine{n, trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.FlagsSampled, Remote: true})})
	}
	return all, nil
}

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
