package flood

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"herd/bus/subject"
	"herd/node/topology"

	"herd/node/line"
)

// report returns the report of a client at a time.
func tracedReport(t *testing.T, client string, at int) line.Report {
	t.Helper()
	r, err := line.ParseReport(fmt.Sprintf("A +0.000000000 %s +1+1 %d", client, at))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A report keeps its trace as long as it waits, and loses it where a newer one takes its place, where it is stale, and where too many wait.
func TestTraced(t *testing.T) {
	topo, err := topology.New([]line.NodeName{"A", "B", "C"}, [][2]line.NodeName{{"A", "B"}, {"A", "C"}})
	if err != nil {
		t.Fatal(err)
	}
	e := NewEngine(Config{Name: "A", Incarnation: subject.Incarnation{1}, Topology: topo})
	now := time.Unix(1e9, 0)
	e.Connect(now)
	next := func(l *Link) Message {
		t.Helper()
		var m Message
		for m.Kind = subject.Heartbeat; m.Kind != subject.Propagate; {
			if !l.Next(now, &m) {
				t.Fatal("nothing is told")
			}
		}
		return m
	}
	apply := func(client string, at int, from line.NodeName, trace any) {
		r := tracedReport(t, client, at)
		e.Trace(r, from, trace)(e.Apply(r, from))
	}
	want := func(peer int, reports int, traced map[string]any) {
		t.Helper()
		m := next(e.Links()[peer])
		got := make(map[string]any) // by client
		for _, each := range m.Traced {
			got[string(m.Reports[each.Line].Client())] = each.Trace
		}
		if len(m.Reports) != reports || !maps.Equal(got, traced) {
			t.Errorf("%d reports with %v, want %d with %v", len(m.Reports), got, reports, traced)
		}
	}
	apply("a", 1, Local, "a1")
	apply("b", 1, "B", "b1") // not back to B
	apply("c", 1, Local, "c1")
	apply("a", 1, "C", "again") // stale
	e.Apply(tracedReport(t, "c", 2), Local)
	want(0, 2, map[string]any{"a": "a1"})
	want(1, 3, map[string]any{"a": "a1", "b": "b1"})

	for i := range maxTraced + 1 {
		apply(fmt.Sprint("x", i), 1, Local, i)
	}
	all := make(map[string]any)
	for i := 1; i <= maxTraced; i++ {
		all[fmt.Sprint("x", i)] = i
	}
	e.Links()[0].ledger.window.size = mostWindow // so that one message has all
	want(0, maxTraced+1, all)
}
