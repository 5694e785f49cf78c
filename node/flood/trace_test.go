package flood

import (
	"fmt"
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
	e := NewEngine(Config{Name: "A", Incarnation: subject.Incarnation{1}, Topology: topo, QueueLimit: 100})
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
	want := func(peer int, reports int, traced ...Traced) {
		t.Helper()
		m := next(e.Links()[peer])
		if len(m.Reports) != reports || fmt.Sprint(m.Traced) != fmt.Sprint(traced) {
			t.Errorf("%d reports with %v, want %d with %v", len(m.Reports), m.Traced, reports, traced)
		}
	}
	apply("a", 1, Local, "a1")
	apply("b", 1, "B", "b1") // not back to B
	apply("c", 1, Local, "c1")
	apply("a", 1, "C", "again") // stale
	e.Apply(tracedReport(t, "c", 2), Local)
	want(0, 2, Traced{0, "a1"})
	want(1, 3, Traced{0, "a1"}, Traced{1, "b1"})

	for i := range maxTraced + 1 {
		apply(fmt.Sprint("x", i), 1, Local, i)
	}
	var all []Traced
	for i := range maxTraced {
		all = append(all, Traced{i + 1, i + 1})
	}
	want(0, maxTraced+1, all...)
}
