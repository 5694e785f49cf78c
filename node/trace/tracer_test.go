package trace

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
	spans := []*span{tracer.start("kiwi", time.Now()), tracer.start("emu", time.Now())}
	for i, h := range spans {
		header = h.appendHeader(header, 3*i)
	}
	got, err := parseHeader(string(header), 4)
	if err != nil || len(got) != 2 {
		t.Fatalf("%q: %v, %v", header, got, err)
	}
	for i, l := range got {
		c := spans[i].SpanContext()
		if l.line != 3*i || l.parent.TraceID() != c.TraceID() || l.parent.SpanID() != c.SpanID() || !l.parent.IsSampled() {
			t.Errorf("%q reads %+v", header, l)
		}
	}
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if _, err := parseHeader("0 "+parent, 1); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"", "0", "1 " + parent, "-1 " + parent, "0  " + parent, "0 " + parent + ",", "0 01" + parent[2:], "0 " + parent[:53] + "00",
		"0 " + strings.Replace(parent, "b7ad6b7169203331", "0000000000000000", 1), "0 " + strings.Replace(parent, "0af7", "0AF7", 1) + "x",
		"0 " + parent + ", 0 " + parent, "1 " + parent + ", 0 " + parent,
	} {
		lines := 1 + strings.Count(bad, ", ")
		if got, err := parseHeader(bad, lines); err == nil {
			t.Errorf("%q reads %v", bad, got)
		}
	}
	var many []string
	for i := range maxTraces + 1 {
		many = append(many, fmt.Sprint(i, " ", parent))
	}
	if _, err := parseHeader(strings.Join(many[1:], ", "), len(many)); err != nil {
		t.Errorf("%d traces: %v", maxTraces, err)
	}
	if _, err := parseHeader(strings.Join(many, ", "), len(many)); err == nil {
		t.Errorf("%d traces are read", len(many))
	}
}

// One in so many reports is traced.
func TestOneIn(t *testing.T) {
	tracer, n := NewTracer(tracetest.NewInMemoryExporter(), "herd", "Goloman", "1", 10), 0
	for range 1000 {
		if tracer.start("kiwi", time.Now()) != nil {
			n++
		}
	}
	if n != 100 {
		t.Errorf("%d of 1000", n)
	}
}
