package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestTraceHeader(t *testing.T) {
	tracer := NewTracer(tracetest.NewInMemoryExporter(), "herd", "Goloman", "1", 1)
	var header []byte
	steps := []*Step{tracer.Said("kiwi", time.Now()), tracer.Said("emu", time.Now())}
	for i, h := range steps {
		header = h.AppendTrace(header, 3*i)
	}
	got, err := ParseTraces(string(header), 4)
	if err != nil || len(got) != 2 {
		t.Fatalf("%q: %v, %v", header, got, err)
	}
	for i, l := range got {
		c := steps[i].span.SpanContext()
		if l.Line != 3*i || l.Context.TraceID() != c.TraceID() || l.Context.SpanID() != c.SpanID() || !l.Context.IsSampled() {
			t.Errorf("%q reads %+v", header, l)
		}
	}
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if _, err := ParseTraces("0 "+parent, 1); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"", "0", "1 " + parent, "-1 " + parent, "0  " + parent, "0 " + parent + ",", "0 01" + parent[2:], "0 " + parent[:53] + "00",
		"0 " + strings.Replace(parent, "b7ad6b7169203331", "0000000000000000", 1), "0 " + strings.Replace(parent, "0af7", "0AF7", 1) + "x",
		"0 " + parent + ", 0 " + parent, "1 " + parent + ", 0 " + parent,
	} {
		lines := 1 + strings.Count(bad, ", ")
		if got, err := ParseTraces(bad, lines); err == nil {
			t.Errorf("%q reads %v", bad, got)
		}
	}
	var many []string
	for i := range maxTraces + 1 {
		many = append(many, fmt.Sprint(i, " ", parent))
	}
	if _, err := ParseTraces(strings.Join(many[1:], ", "), len(many)); err != nil {
		t.Errorf("%d traces: %v", maxTraces, err)
	}
	if _, err := ParseTraces(strings.Join(many, ", "), len(many)); err == nil {
		t.Errorf("%d traces are read", len(many))
	}
}

// One in so many is traced, and a node without a tracer traces none.
func TestSample(t *testing.T) {
	tracer, n := NewTracer(tracetest.NewInMemoryExporter(), "herd", "Goloman", "1", 10), 0
	for range 1000 {
		if tracer.Said("kiwi", time.Now()) != nil {
			n++
		}
	}
	if n != 100 {
		t.Errorf("%d of 1000", n)
	}
	if (*Tracer)(nil).Said("kiwi", time.Now()) != nil || (*Tracer)(nil).Close(t.Context()) != nil {
		t.Error("none is one")
	}
}
