//go:build lab

package node

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"herd/bus"
	"herd/bus/subject"
	"herd/node/line"
)

// These tests measure what PERFORMANCE.md says of syncs, over NATS and TCP: make numbers.

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// waitEqual returns when all nodes of a herd have the same digest.
func (h *herd) waitEqual() {
	h.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		digests := make(map[string]bool)
		for _, m := range h.nodes {
			digests[m.Health().Digest] = true
		}
		if len(digests) == 1 {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatal("not equal within a minute")
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Two of five nodes are cut off, and 10,000 clients report on either side. The cut is long enough for the links to be down.
func TestHealTime(t *testing.T) {
	const stale, rounds = 10_000, 10
	topo := campus(t)
	s := startServer(t, topo)
	pair := map[string]bool{"Holiday": true, "Welsh": true}
	var wall atomic.Bool
	h := newHerd(t, topo).startAll(func(name string) bus.Dialer {
		return partitionedDialer{s.Dialer(name), func(to string) bool { return wall.Load() && pair[name] != pair[to] }}
	})
	report := func(name line.NodeName, round int) {
		var lines strings.Builder
		for i := range stale {
			fmt.Fprintf(&lines, "IAMAT %s%05d.example +34.068930-118.445127 %d\n", name, i, 1_600_000_000+round)
		}
		c := h.nodes[name].dial(t)
		go c.Send(lines.String())
		for range stale {
			c.Paragraph()
		}
	}
	var took []time.Duration
	for round := range rounds {
		wall.Store(true)
		<-time.After(4 * time.Second)
		report("Welsh", round)
		report("Goloman", round)
		wall.Store(false)
		began := time.Now()
		h.waitEqual()
		took = append(took, time.Since(began))
		if n := h.nodes["Hands"].Registry().Len(); n != 2*stale {
			t.Fatalf("%d clients", n)
		}
	}
	slices.Sort(took)
	t.Logf("equal after %s to %s, median %s", took[0], took[rounds-1], took[rounds/2])
	if took[rounds-1] > 2*time.Second {
		t.Error("that is too long")
	}
}

// freezer is a Handler that takes what comes until it freezes.
type freezer struct {
	frozen atomic.Bool
	thaw   chan struct{}
}

func (f *freezer) Receive(bus.Message) {
	if f.frozen.Load() {
		<-f.thaw
	}
}

func (*freezer) Fault(error) {}

// arrivals is a Handler that passes on when reports of a client named now come, and how many others do.
type arrivals struct {
	now    chan time.Time
	others atomic.Int64
}

func (a *arrivals) Receive(m bus.Message) {
	if m.Kind != subject.Propagate {
		return
	}
	at := time.Now()
	for l := range strings.SplitSeq(string(m.Payload), "\n") {
		if strings.Contains(l, " now ") {
			a.now <- at
		} else {
			a.others.Add(1)
		}
	}
}

func (*arrivals) Fault(error) {}

// A neighbour that takes nothing leaves the others' reports as quick as they were, and costs no more than its queue may hold.
func TestStalledNeighbour(t *testing.T) {
	const flooding = 500_000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))) // as herd up does
	topo := newTopology(t, [2]line.NodeName{"Goloman", "Hands"}, [2]line.NodeName{"Goloman", "Wilkes"})
	s := startServer(t, topo)
	n := newHerd(t, topo).start("Goloman", s.Dialer("Goloman"), func(c *Config) { c.CatchUp = 0 })
	<-n.Ready()
	came := &arrivals{now: make(chan time.Time, 1)}
	dialBus(t, s.Dialer("Hands"), came, "Goloman")
	frozen := &freezer{thaw: make(chan struct{})}
	wilkes := dialBus(t, s.Dialer("Wilkes"), frozen, "Goloman")
	defer wilkes.Close()
	defer close(frozen.thaw)
	client := n.dial(t)
	clock := 0
	measure := func() []time.Duration {
		var took []time.Duration
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for range 5000 {
			<-tick.C
			clock++
			began := time.Now()
			client.Send(fmt.Sprintf("IAMAT now +34.068930-118.445127 %d\n", 1_600_000_000+clock))
			took = append(took, (<-came.now).Sub(began))
			client.Paragraph()
		}
		slices.Sort(took)
		return took
	}
	before := measure()
	frozen.frozen.Store(true)
	var reports strings.Builder
	for i := range flooding { // 160 MB to each: more than NATS keeps for one that takes nothing
		fmt.Fprintf(&reports, "IAMAT flood%06d%s +34.068930-118.445127 1600000000\n", i, strings.Repeat("x", 200))
	}
	filler := n.dial(t)
	go filler.Send(reports.String())
	for range flooding {
		filler.Paragraph()
	}
	after := measure()
	t.Logf("to the other neighbour, p50 and p99: %s %s before, %s %s beside one that takes nothing, %.1f × and %.1f ×",
		quantile(before, 0.5), quantile(before, 0.99), quantile(after, 0.5), quantile(after, 0.99),
		float64(quantile(after, 0.5))/float64(quantile(before, 0.5)), float64(quantile(after, 0.99))/float64(quantile(before, 0.99)))
	for _, l := range n.Health().Links {
		t.Logf("%s: %d owed, %d bytes in flight, %d conflated", l.Peer, l.ReportsOwed, l.InFlightBytes, l.ReportsConflated)
	}
	t.Logf("the other neighbour heard %d of %d", came.others.Load(), flooding)
	if float64(quantile(after, 0.5)) > 2*float64(quantile(before, 0.5)) {
		t.Error("that is too long")
	}
}
