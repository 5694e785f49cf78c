package flood

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"herd/node/line"
)

func report(t testing.TB, text string) line.Report {
	t.Helper()
	r, err := line.ParseReport(text)
	if err != nil {
		t.Fatalf("ParseReport(%q): %v", text, err)
	}
	return r
}

// contents returns what a registry holds, as text by client.
func contents(g *Registry) map[line.ClientID]string {
	held := make(map[line.ClientID]string)
	for r := range g.All() {
		held[r.Client()] = r.String()
	}
	return held
}

// conflicting returns a random report that often collides with another in client, time, or both. Some are far ahead of their receipt, of
// these some of a plausible one.
func conflicting(t testing.TB, rng *rand.Rand) line.Report {
	times := []string{"1", "1.0", "01.00", "1.0000000001", "2", "10", "9.5", "1800000001", "1800000002.0", "3600000000", "3600000001"}
	origins := []string{"A", "B", "a"}
	skew := []float64{0, 0, 0, -1_800_000_000}[rng.IntN(4)] + float64(rng.IntN(3))
	return report(t, fmt.Sprintf("%s %+.9f c%d +1-%d %s", origins[rng.IntN(len(origins))], skew,
		rng.IntN(3), rng.IntN(3), times[rng.IntN(len(times))]))
}

// The laws that let a herd converge: any order, any grouping, any repetition of the same reports gives the same.
func TestMergeLaws(t *testing.T) {
	ties, receipts := 0, 0
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		reports := make([]line.Report, 1+rng.IntN(12))
		for i := range reports {
			reports[i] = conflicting(t, rng)
		}
		greatest := make(map[line.ClientID]string)
		for _, r := range slices.SortedFunc(slices.Values(reports), line.Report.Compare) {
			if old, ok := greatest[r.Client()]; ok && !r.Later(report(t, old)) && r.String() != old {
				ties++
			}
			greatest[r.Client()] = r.String()
			if r.OrderNanos() != r.Nanos() {
				receipts++
			}
		}

		inOrder, shuffled, grouped := NewRegistry(), NewRegistry(), NewRegistry()
		for _, r := range reports {
			inOrder.Merge(r)
			before := contents(inOrder)
			if _, changed := inOrder.Merge(r); changed || !maps.Equal(before, contents(inOrder)) {
				t.Fatalf("seed %d: merging %q twice is not merging it once", seed, r)
			}
		}
		for _, i := range rng.Perm(len(reports)) {
			shuffled.Merge(reports[i])
		}
		cut := rng.IntN(len(reports))
		left, right := NewRegistry(), NewRegistry()
		for _, r := range reports[:cut] {
			left.Merge(r)
		}
		for _, r := range reports[cut:] {
			right.Merge(r)
		}
		for _, g := range []*Registry{right, left} {
			for r := range g.All() {
				grouped.Merge(r)
			}
		}
		for name, g := range map[string]*Registry{"in order": inOrder, "shuffled": shuffled, "grouped": grouped} {
			if got := contents(g); !maps.Equal(got, greatest) {
				t.Fatalf("seed %d: merged %s: %v, want %v", seed, name, got, greatest)
			}
			sum, clients := g.Digest()
			if want, _ := inOrder.Digest(); sum != want || clients != len(greatest) {
				t.Fatalf("seed %d: merged %s: digest %x of %d clients, want %x of %d", seed, name, sum, clients, want, len(greatest))
			}
		}
	}
	if ties < 100 || receipts < 100 {
		t.Errorf("only %d reports of the same time but another text, %d ordered by receipt: the order was hardly tried", ties, receipts)
	}
}

func (g *Registry) admit(r line.Report) bool {
	_, changed := g.shard(keyOf(r.Client())).admit(keyOf(r.Client()), r)
	return changed
}

func TestAdmit(t *testing.T) {
	steps := []struct {
		text string
		want bool
	}{
		{"A +0.000000000 k +1-1 5", true},
		{"A +0.000000000 k +1-1 5", false},
		{"B +9.000000000 k +2-2 5.00", false}, // the same time: the first stays, though merging would prefer this
		{"A +0.000000000 k +1-1 4.999999999999", false},
		{"A +0.000000000 k +1-1 5.000000000001", true},
		{"A +0.000000000 K +1-1 1", true},               // another client
		{"A -90000.000000000 k +1-1 1800090000", true},  // is ordered by its receipt
		{"A -90000.000000001 k +1-1 1800090000", false}, // received earlier
		{"A -90001.000000000 k +1-1 1800090001", true},  // received at the same time: the client's time decides
		{"A -90001.000000000 k +1-1 1800090001", false},
		{"A +0.000000000 k +1-1 1800000000", false},
		{"A +0.000000000 k +1-1 1800000000.000000000001", true},
	}
	g := NewRegistry()
	for _, s := range steps {
		before := contents(g)
		if got := g.admit(report(t, s.text)); got != s.want {
			t.Errorf("Admit(%q) = %v", s.text, got)
		} else if !got && !maps.Equal(before, contents(g)) {
			t.Errorf("Admit(%q) changed what it refused to", s.text)
		}
	}
	if r, ok := g.Get("k"); !ok || r.Time() != "1800000000.000000000001" || g.Len() != 2 {
		t.Errorf("holds %q and %d clients", r, g.Len())
	}
	if _, ok := g.Get("nobody"); ok {
		t.Error("knows a client that never reported")
	}
	if held, changed := g.Merge(report(t, "A +0.000000000 k +1-1 5")); changed || held.Time() != "1800000000.000000000001" {
		t.Errorf("merging an older report gives %q, %v", held, changed)
	}
}

// A registry must not keep the message that brought a report, nor the reports that others replaced.
func TestRegistryMemory(t *testing.T) {
	g := NewRegistry()
	const clients = 1000
	padding := strings.Repeat("0", 4000)
	for version := range 3 {
		for c := range clients {
			text := fmt.Sprintf("A +0.000000000 client%d +1.%s-1 %d", c, padding, version+1)
			if version == 2 {
				text = strings.Repeat("x", 30000) + fmt.Sprintf("A +0.000000000 client%d +1-1 9", c)
				text = text[30000:]
			}
			g.Merge(report(t, text))
		}
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 3_000_000 {
		t.Errorf("%d bytes in use for %d short reports", m.HeapAlloc, clients)
	}
	runtime.KeepAlive(g)
}
