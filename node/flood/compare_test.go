package flood

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"herd/node/line"
)

// A message counts as taken only when all its reports are merged: a heartbeat made in between, by another goroutine, must not promise
// that they are, or digests were compared that have to differ.
func TestAcknowledgedWhenApplied(t *testing.T) {
	p := newNetwork(star(t, "A", "B"))
	p.pass(t, 3*time.Second)
	a, b := p.link("A", "B"), p.link("B", "A")
	for _, client := range []string{"c", "d"} {
		p.engines["A"].Apply(at(t, client, 1), Local)
	}
	var m, beat Message
	if !a.Next(p.now, &m) || len(m.Reports) != 2 {
		t.Fatalf("%+v instead of two reports", m)
	}
	processed := func() uint64 {
		b.live.heartbeatDue = p.now
		if !b.Next(p.now, &beat) {
			t.Fatal("no heartbeat")
		}
		h, err := parseHeartbeat(string(beat.Payload))
		if err != nil {
			t.Fatal(err)
		}
		return h.received.last
	}
	before, changed := processed(), 0 // a heartbeat that is not short
	err := b.Receive(p.now, m, func(line.Report, bool) {
		changed++
		if got := processed(); got != before {
			t.Errorf("message %d is taken when %d of its 2 reports are merged", got, changed)
		}
	})
	if after := processed(); err != nil || changed != 2 || after != before+1 {
		t.Errorf("%v: %d reports, taken up to %d after %d", err, changed, after, before)
	}
}

// Two reports that look the same in a sync, for their marks are equal, do not in the next.
func TestEqualShortDigests(t *testing.T) {
	const salt = 13 // of a first sync
	seen := make(map[shortDigest]line.Report)
	var older, newer line.Report
	for second := 1; older.IsZero(); second++ {
		r := at(t, "k", second)
		m := shortDigestOf(digestOf(r), salt)
		if old, ok := seen[m]; ok {
			older, newer = old, r
		}
		seen[m] = r
	}
	p := newNetwork(star(t, "A", "B"))
	p.engines["A"].registry.Merge(older)
	p.engines["B"].registry.Merge(newer)
	p.pass(t, 5*time.Second)
	if held := p.equal(t); held["k"] != newer.String() {
		t.Errorf("%q is held", held)
	}
	if !slices.ContainsFunc(p.notices, func(n Notice) bool { return n.Kind == Synced && n.Peer == "B" && n.Reports == 0 }) {
		t.Errorf("no sync saw them as equal: %+v", p.notices)
	}
}

// What there was no room for in a reply is requested by the same sync.
func TestLongReports(t *testing.T) {
	const clients = maxList / 2
	p := newNetwork(star(t, "A", "B"))
	p.engines["A"].registry.Merge(at(t, "other", 1))
	for i := range clients {
		p.engines["B"].registry.Merge(report(t, fmt.Sprintf("B +0.000000000 c%d%s +1-1 %d", i, strings.Repeat("x", 240), i)))
		p.engines["B"].registry.Merge(report(t, fmt.Sprintf("B +0.000000000 c%d%s +1.%s-1 1%d", i, strings.Repeat("x", 240), strings.Repeat("0", 2000), i)))
	}
	p.pass(t, 3*time.Second)
	if held := p.equal(t); len(held) != clients+1 {
		t.Errorf("%d reports", len(held))
	}
	var syncs []int
	for _, n := range p.notices {
		if n.Kind == Synced && n.Peer == "B" {
			syncs = append(syncs, n.New)
		}
	}
	if !slices.Equal(syncs, []int{clients}) {
		t.Errorf("syncs brought %d reports", syncs)
	}
}

// Digests that differ though two syncs found nothing are noticed after 30 s, once, and so is when they are equal again.
func TestDigestsDiffer(t *testing.T) {
	p := newNetwork(star(t, "A", "B"))
	p.engines["A"].Apply(at(t, "k", 1), Local)
	p.pass(t, 5*time.Second)
	p.engines["B"].registry.shards[7].sum++ // as a fault of the memory or of the program would
	p.pass(t, 29*time.Second)
	if n := p.count(DigestsDiffer); n > 0 {
		t.Errorf("%d notices after 29 s", n)
	}
	p.pass(t, 60*time.Second)
	if n := p.count(DigestsDiffer); n != 2 || p.count(DigestsAgree) > 0 {
		t.Errorf("%d notices, and %d that all is well, want one of each node", n, p.count(DigestsAgree))
	}
	p.engines["B"].registry.shards[7].sum--
	p.pass(t, 5*time.Second)
	if n := p.count(DigestsAgree); n != 2 || p.count(DigestsDiffer) != 2 {
		t.Errorf("%d notices that all is well, want one of each node", n)
	}
}
