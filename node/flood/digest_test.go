package flood

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"herd/node/line"
)

// The digest of every branch is the sum over its reports, at any size of the tree, whatever was replaced and forgotten.
func TestDigestTree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	g := NewRegistry()
	check := func() {
		t.Helper()
		looked, inside := 0, 0
		for range 50 {
			b := branch{depth: uint8(rng.IntN(7))}
			if rng.IntN(2) == 0 { // where somebody is
				b.bits = position(line.ClientID(fmt.Sprint("c", rng.IntN(g.Len()))))
			} else {
				b.bits = rng.Uint64()
			}
			b.bits &= ^(^uint64(0) >> (4 * b.depth))
			var want, got digest
			wantCount, gotCount := 0, 0
			for r := range g.All() {
				if position(r.Client())>>(64-4*b.depth) == b.bits>>(64-4*b.depth) {
					want += digestOf(r)
					wantCount++
				}
			}
			if sum, n := g.digest(b); sum != want || n != wantCount {
				t.Fatalf("%d clients: digest of %x/%d is %x of %d, want %x of %d", g.Len(), b.bits, b.depth, sum, n, want, wantCount)
			}
			g.eachPlace(b, func(shard, place int, r line.Report) {
				if s := &g.shards[shard]; s.reports[place] != r || uint8(shard) != partOf(r.Client()) {
					t.Fatalf("%q is not at place %d of shard %d", r, place, shard)
				}
				got += digestOf(r)
				gotCount++
			})
			if got != want || gotCount != wantCount {
				t.Fatalf("%d clients: %d reports in %x/%d, want %d", g.Len(), gotCount, b.bits, b.depth, wantCount)
			}
			looked++
			inside += wantCount
		}
		if inside < looked {
			t.Errorf("only %d reports in %d branches", inside, looked)
		}
	}
	for i := range 20_000 { // leaves split at 32 clients a shard, and at 512
		g.Merge(report(t, fmt.Sprintf("A +0.000000000 c%d +1-1 %d", i, 1+rng.IntN(5))))
		if i == 10 || i == 700 || i == 9_000 {
			check()
		}
	}
	for range 5_000 {
		g.Merge(report(t, fmt.Sprintf("B +0.000000000 c%d +1-1 %d", rng.IntN(20_000), 1+rng.IntN(9))))
	}
	check()
	before := g.Len()
	forgotten := g.expire(3_000_000_000, func(int, int) {})
	for r := range g.All() {
		if r.Received() < 3_000_000_000 {
			t.Errorf("holds %q", r)
		}
	}
	if forgotten == 0 || g.Len() != before-forgotten {
		t.Errorf("%d of %d forgotten, %d left", forgotten, before, g.Len())
	}
	g.Merge(report(t, "A +0.000000000 c0 +1-1 10"))
	check()
}

// A cut-off moves in steps of 1/64 of the retention, at least a second, so that nodes mostly agree on it.
func TestCutoff(t *testing.T) {
	for _, c := range []struct {
		now       time.Duration // since 1970
		retention time.Duration
		want      time.Duration
	}{
		{100 * time.Second, 10 * time.Second, 90 * time.Second},
		{100*time.Second + 999*time.Millisecond, 10 * time.Second, 90 * time.Second},
		{101 * time.Second, 10 * time.Second, 91 * time.Second},
		{1000 * time.Second, 640 * time.Second, 360 * time.Second},
		{1009 * time.Second, 640 * time.Second, 360 * time.Second},
		{1010 * time.Second, 640 * time.Second, 370 * time.Second},
		{5 * time.Second, 10 * time.Second, -5 * time.Second},
		{5*time.Second + 1, 10 * time.Second, -5 * time.Second},
	} {
		if got := cutoffAt(time.Unix(0, int64(c.now)), c.retention); got != int64(c.want) {
			t.Errorf("at %s with a retention of %s the cut-off is %s, want %s", c.now, c.retention, time.Duration(got), c.want)
		}
	}
}
