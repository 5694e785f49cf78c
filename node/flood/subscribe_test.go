package flood

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"herd/node/line"
)

// Who follows gets what changes the registry, and nothing else, until it stops.
func TestSubscribe(t *testing.T) {
	e := NewEngine(Config{Name: "A", Topology: star(t, "A", "B")})
	popped := func(q *Queue) (texts []string) {
		for _, r := range q.pop() {
			texts = append(texts, r.String())
		}
		return texts
	}
	expect := func(what string, q *Queue, want ...string) {
		t.Helper()
		if got := popped(q); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	reportOf := func(origin, client, time string) line.Report {
		r, err := line.ParseReport(fmt.Sprintf("%s +0.000000000 %s +1+2 %s", origin, client, time))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	e.Apply(reportOf("A", "before", "1"), Local)
	one, stopOne := e.Subscribe(100)
	two, stopTwo := e.Subscribe(1)
	e.Apply(reportOf("A", "x", "2"), Local)
	e.Apply(reportOf("A", "x", "2"), Local) // stale
	e.Apply(reportOf("B", "x", "1"), "B")   // old
	e.Apply(reportOf("B", "y", "5"), "B")
	e.Apply(reportOf("A", "x", "3"), Local)
	expect("one", one, "A +0.000000000 x +1+2 3", "B +0.000000000 y +1+2 5")
	expect("two, where there is room for one", two, "A +0.000000000 x +1+2 3")
	if n := two.Dropped(); n != 2 {
		t.Errorf("two lost %d, want 2", n)
	}
	stopOne()
	stopOne()
	e.Apply(reportOf("A", "z", "1"), Local)
	expect("one, stopped", one)
	expect("two", two, "A +0.000000000 z +1+2 1")
	stopTwo()
	e.Apply(reportOf("A", "z", "2"), Local)
	expect("two, stopped", two)
	if len(*e.subscribers.Load()) > 0 {
		t.Error("there are subscribers")
	}
}

// A follower that reads the registry once misses nothing, whatever is applied meanwhile.
func TestSubscriptionMissesNothing(t *testing.T) {
	const clients, rounds, hearers = 50, 200, 4
	e := NewEngine(Config{Name: "A", Topology: star(t, "A", "B")})
	begin := make(chan struct{})
	var applying sync.WaitGroup
	for h := range hearers {
		applying.Go(func() {
			<-begin
			for round := range rounds {
				for c := range clients {
					command := line.Parse(fmt.Appendf(nil, "IAMAT c%d-%d +1+2 %d", h, c, round))
					e.Apply(line.NewReport("A", 0, &command), Local)
				}
			}
		})
	}
	close(begin)
	known, fromAll := make(map[line.ClientID]line.Report), 0
	q, stop := e.Subscribe(clients * hearers)
	defer stop()
	for r := range e.Registry().All() {
		known[r.Client()] = r
		fromAll++
	}
	applying.Wait()
	for _, r := range q.pop() {
		if held, ok := known[r.Client()]; !ok || r.Compare(held) > 0 {
			known[r.Client()] = r
		}
	}
	if len(known) != clients*hearers || e.Registry().Len() != clients*hearers {
		t.Fatalf("%d clients, want %d", len(known), clients*hearers)
	}
	for r := range e.Registry().All() {
		if known[r.Client()] != r {
			t.Errorf("knows %q, want %q", known[r.Client()], r)
		}
	}
	t.Logf("%d read from the registry", fromAll)
}
