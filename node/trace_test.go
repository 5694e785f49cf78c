package node

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"

	"herd/bus"
	"herd/bus/subject"
	"herd/node/trace"
)

// spans is an exporter that keeps what it gets.
type spans struct {
	mu  sync.Mutex
	all []sdk.ReadOnlySpan
}

func (s *spans) ExportSpans(_ context.Context, some []sdk.ReadOnlySpan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, some...)
	return nil
}

func (s *spans) Shutdown(context.Context) error { return nil }

func attribute(s sdk.ReadOnlySpan, key string) string {
	for _, a := range slices.Concat(s.Attributes(), s.Resource().Attributes()) {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

// The flood of a report is one trace: each of the eight messages is a span at the node that sends it and one, its child, at the node that
// receives it, and a node that passes it on does so as a child of the span in which it was new.
func TestTrace(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, adjust func(*Config)) *herd{
		"NATS": func(t *testing.T, adjust func(*Config)) *herd {
			h, _ := campusOverNATS(t, adjust)
			return h
		},
		"memory": func(t *testing.T, adjust func(*Config)) *herd {
			topo := campus(t)
			_, dialer := memory(topo)
			return newHerd(t, topo).startAll(dialer, adjust).settle()
		},
	} {
		t.Run(name, func(t *testing.T) {
			out := new(spans)
			var tracers []*trace.Tracer
			h := start(t, func(c *Config) {
				c.Tracer = trace.NewTracer(out, "herd", string(c.Name), "1", 2)
				tracers = append(tracers, c.Tracer)
			})
			m := h.nodes["Hands"]
			at := []string{m.iamat(t, "emu\xff +1+1 1")}
			h.awaitMessages(8)
			at = append(at, m.iamat(t, "kiwi\xff +1+1 2")) // which is traced
			h.awaitMessages(16)
			h.awaitContents(known(t, at...))
			h.stop()
			for _, tracer := range tracers {
				if err := tracer.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			checkFlood(t, out.all)
		})
	}
}

// checkFlood checks the spans of one report of Hands in the campus.
func checkFlood(t *testing.T, all []sdk.ReadOnlySpan) {
	byID := make(map[otel.SpanID]sdk.ReadOnlySpan)
	traces := make(map[otel.TraceID]bool)
	count := make(map[string]int)
	for _, s := range all {
		byID[s.SpanContext().SpanID()] = s
		traces[s.SpanContext().TraceID()] = true
	}
	changed := 0
	for _, s := range all {
		node, parent := attribute(s, "service.instance.id"), byID[s.Parent().SpanID()]
		kind, peer, _ := strings.Cut(s.Name(), " ")
		count[kind]++
		switch {
		case kind == "IAMAT":
			if parent != nil || node != "Hands" || attribute(s, "herd.client") != "kiwi\uFFFD" || attribute(s, "herd.new") != "true" {
				t.Errorf("root %s at %s: %v", s.Name(), node, s.Attributes())
			}
			continue
		case parent == nil || parent.EndTime().Before(parent.StartTime()):
			t.Errorf("%s at %s has parent %v", s.Name(), node, parent)
			continue
		case attribute(s, "herd.peer") != peer:
			t.Errorf("%s: %v", s.Name(), s.Attributes())
		}
		at := attribute(parent, "service.instance.id")
		switch kind {
		case "send": // what was new there
			if at != node || attribute(parent, "herd.new") != "true" || parent.Name() == "receive "+peer {
				t.Errorf("%s at %s follows %s at %s", s.Name(), node, parent.Name(), at)
			}
		case "receive": // what was sent to it
			if at != peer || parent.Name() != "send "+node {
				t.Errorf("%s at %s follows %s at %s", s.Name(), node, parent.Name(), at)
			}
			if attribute(s, "herd.new") == "true" {
				changed++
			}
		}
	}
	if len(traces) != 1 || len(all) != 17 || count["IAMAT"] != 1 || count["send"] != 8 || count["receive"] != 8 || changed != 4 {
		t.Errorf("%d traces, %d spans, %v, news at %d", len(traces), len(all), count, changed)
	}
}

// A header that is not understood is counted, and its message taken.
func TestStrangeTrace(t *testing.T) {
	topo := campus(t)
	_, dialer := memory(topo)
	h := newHerd(t, topo)
	m := h.start("Welsh", dialer("Welsh"), func(c *Config) { c.Tracer = trace.NewTracer(new(spans), "herd", "Welsh", "1", 1) })
	for i, trace := range []string{"x", "9 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", strings.Repeat("0 ", 100000)} {
		report := "Holiday +0.000000000 emu +1+1 " + string(rune('1'+i))
		m.Receive(bus.Message{Kind: subject.Propagate, From: "Holiday", Trace: trace, Payload: []byte("PROPAGATE Holiday " + report)})
		h.awaitContents(known(t, report), "Welsh")
		if got := m.Health().Refused["malformed message"]; got != uint64(i+1) {
			t.Errorf("%d are counted of %d", got, i+1)
		}
	}
}
