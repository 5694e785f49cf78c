package status

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const scope = "herd/node/status"

// Attributes of spans. A client's ID is what it sent, and bytes that are not UTF-8 stand there as U+FFFD.
const (
	clientKey = attribute.Key("herd.client")
	peerKey   = attribute.Key("herd.peer")
	newsKey   = attribute.Key("herd.news")
)

// Exporter takes the spans of all nodes of a process.
type Exporter = sdk.SpanExporter

// NewExporter returns what sends spans to a collector: OTLP over HTTP, to the path /v1/traces unless the endpoint has another. It connects
// when there is something to send, and tells failed of every attempt in vain.
func NewExporter(ctx context.Context, endpoint string, failed func(error)) (Exporter, error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(failed))
	if i := strings.Index(endpoint, "://"); strings.Count(strings.TrimSuffix(endpoint[i+3:], "/"), "/") == 0 {
		endpoint = strings.TrimSuffix(endpoint, "/") + "/v1/traces"
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
}

// shared is an exporter of several tracers, of which none ends it.
type shared struct{ Exporter }

func (shared) Shutdown(context.Context) error { return nil }

// Tracer follows some of a node's reports through the herd: each is one trace over all nodes that it visits. The nil Tracer follows
// none, and a trace ends there.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	oneIn    uint64
	seen     atomic.Uint64
}

// NewTracer returns the tracer of a node. It begins a trace with one in so many of its clients' reports. Spans wait for the exporter in
// a bounded queue; what does not fit there is lost. Whoever made the exporter shuts it down when all tracers are closed.
func NewTracer(out Exporter, herd, node, version string, oneIn int) *Tracer {
	about := resource.NewSchemaless(
		attribute.String("service.name", herd), attribute.String("service.instance.id", node), attribute.String("service.version", version))
	p := sdk.NewTracerProvider(sdk.WithBatcher(shared{out}), sdk.WithResource(about), sdk.WithSampler(sdk.AlwaysSample()))
	return &Tracer{provider: p, tracer: p.Tracer(scope), oneIn: uint64(max(oneIn, 1))}
}

// Close sends what waits, as far as that is done when ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Step is a step of a report that is followed: its client said it, a node told it to a neighbour, or a node heard it.
type Step struct {
	span  trace.Span
	taken time.Time
}

// Said returns the beginning of a new trace, or nil if this report is not to be followed.
func (t *Tracer) Said(client string, now time.Time) *Step {
	if t == nil || t.seen.Add(1)%t.oneIn != 0 {
		return nil
	}
	_, span := t.tracer.Start(context.Background(), "IAMAT", trace.WithNewRoot(), trace.WithTimestamp(now), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(clientKey.String(strings.ToValidUTF8(client, "\uFFFD"))))
	return &Step{span, now}
}

// Told returns the step to a neighbour after s, which began when the report began to wait for it.
func (t *Tracer) Told(s *Step, peer string) *Step {
	ctx := trace.ContextWithSpanContext(context.Background(), s.span.SpanContext())
	_, span := t.tracer.Start(ctx, "tell "+peer, trace.WithTimestamp(s.taken), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(peerKey.String(peer)))
	return &Step{span: span}
}

// Heard returns the step that follows what a neighbour said of a report.
func (t *Tracer) Heard(c trace.SpanContext, peer string, now time.Time) *Step {
	_, span := t.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), c), "hear "+peer, trace.WithTimestamp(now),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(peerKey.String(peer)))
	return &Step{span, now}
}

// Merged ends a step that took a report in.
func (s *Step) Merged(news bool) {
	s.span.SetAttributes(newsKey.Bool(news))
	s.span.End()
}

// Sent ends a step to a neighbour, with an error if there was one.
func (s *Step) Sent(err error) {
	if err != nil {
		s.span.SetStatus(codes.Error, err.Error())
	}
	s.span.End()
}

// maxTraces is more than a message of this version has.
const maxTraces = 64

// AppendTrace appends to the header of a message that the report in a line of it is followed:
//
//	<line> <traceparent>[, …]
//
// where the first line is 0, and traceparent is that of W3C Trace Context, version 00.
func (s *Step) AppendTrace(dst []byte, line int) []byte {
	if len(dst) > 0 {
		dst = append(dst, ", "...)
	}
	dst = strconv.AppendInt(dst, int64(line), 10)
	c := s.span.SpanContext()
	id, span := c.TraceID(), c.SpanID()
	dst = append(append(append(dst, " 00-"...), id.String()...), '-')
	return append(append(dst, span.String()...), "-01"...)
}

// TracedLine is a line of a message whose report is followed.
type TracedLine struct {
	Line    int
	Context trace.SpanContext
}

var errTrace = errors.New("status: not a row of traces")

// ParseTraces understands the header that AppendTrace makes, for a message with so many lines. They come in their order, each once: of a
// line with two traces, one would never end.
func ParseTraces(text string, lines int) (all []TracedLine, err error) {
	for part := range strings.SplitSeq(text, ", ") {
		number, parent, _ := strings.Cut(part, " ")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n >= lines || len(all) > 0 && n <= all[len(all)-1].Line || len(parent) != 55 || parent[:3] != "00-" || parent[35] != '-' || parent[52:] != "-01" || len(all) == maxTraces {
			return nil, errTrace
		}
		id, noID := trace.TraceIDFromHex(parent[3:35])
		span, noSpan := trace.SpanIDFromHex(parent[36:52])
		if noID != nil || noSpan != nil {
			return nil, errTrace
		}
		all = append(all, TracedLine{n, trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.FlagsSampled, Remote: true})})
	}
	return all, nil
}
