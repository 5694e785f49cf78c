package flood

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"

	"herd/node/line"
)

// Taken in together or one by one, reports have the same effects in the same order: some clients are in a batch several times, and
// some reports are old, conflict, or are older than what is kept.
func TestApplyBatch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var disks [2][]line.Report
	made := func(disk *[]line.Report) *Engine {
		return connected(Config{
			Name: "A", Topology: star(t, "A", "B", "C", "D"), OnChange: func(r line.Report) { *disk = append(*disk, r) },
		})
	}
	together, single := made(&disks[0]), made(&disks[1])
	type outcome struct {
		text  string
		newer bool
	}
	var newer, stale int
	for range 2000 {
		from := []line.NodeName{Local, "B", "C"}[random.IntN(3)]
		if random.IntN(500) == 0 {
			together.raiseCutoff(int64(random.IntN(40)) * 1e9)
			single.raiseCutoff(together.registry.cutoff.Load())
		}
		var batch []line.Report
		for range random.IntN(100) {
			batch = append(batch, report(t, fmt.Sprintf("%c +0.000000000 client%d +1-1 %d", 'A'+rune(random.IntN(3)), random.IntN(2000), random.IntN(100))))
		}
		var got, want []outcome
		together.ApplyBatch(batch, from, func(r line.Report, newer bool) { got = append(got, outcome{r.String(), newer}) })
		for _, r := range batch {
			changed := single.Apply(r, from)
			want = append(want, outcome{r.String(), changed})
			if changed {
				newer++
			} else {
				stale++
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("told %v, want %v", got, want)
		}
		if random.IntN(5) == 0 {
			for i, l := range together.Links() {
				if got, want := l.pop(64), single.Links()[i].pop(64); !slices.Equal(got, want) {
					t.Fatalf("%s is told %v, want %v", l.Peer, got, want)
				}
			}
		}
	}
	for i, l := range together.Links() {
		got, conflated := l.Owed()
		if want, n := single.Links()[i].Owed(); got != want || conflated != n || n == 0 {
			t.Errorf("%s: %d owed, %d conflated, want %d, %d, which is not 0", l.Peer, got, conflated, want, n)
		}
	}
	if got, want := disks[0], disks[1]; !reflect.DeepEqual(got, want) {
		t.Error("other reports for the disk")
	}
	sum, clients := together.Registry().Digest()
	if want, n := single.Registry().Digest(); sum != want || clients != n {
		t.Errorf("digest %x of %d clients, want %x of %d", sum, clients, want, n)
	}
	if newer < 1000 || stale < 1000 {
		t.Errorf("%d news, %d old: hardly tried", newer, stale)
	}
}

// Many may be taking reports in at the same time, of the same clients, while the registry grows and is looked through.
func TestApplyBatchConcurrently(t *testing.T) {
	const batches, clients = 200, 5000
	e := connected(Config{Name: "A", Topology: star(t, "A", "B", "C")})
	var all sync.WaitGroup
	for from := range 4 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(from)))
			for at := range batches {
				var batch []line.Report
				for range 50 {
					batch = append(batch, report(t, fmt.Sprintf("A +0.000000000 client%d +1-1 %d", random.IntN(clients), 1000*at)))
				}
				e.ApplyBatch(batch, []line.NodeName{Local, "B", "C"}[from%3], nil)
				e.registry.expire(int64(at)*500e9, func(int, int) {})
			}
		})
	}
	all.Wait()
	var sum digest
	for r := range e.Registry().All() {
		sum += digestOf(r)
	}
	if got, _ := e.Registry().Digest(); got != sum || e.Registry().Len() < 1000 {
		t.Errorf("digest %x of %d clients, want %x", got, e.Registry().Len(), sum)
	}
}
