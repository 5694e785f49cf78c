package flood

import (
	"fmt"
	"strconv"
	"testing"

	"herd/node/line"
)

// rounds returns two reports of each of so many clients, all of the first before the second, which are later.
func twoRounds(clients int) (first, second []line.Report) {
	for at := range 2 {
		for i := range clients {
			c := line.Parse(fmt.Appendf(nil, "IAMAT client%07d.example +34.068930-118.445127 %d.918963997", i, 1520023934+at))
			first = append(first, line.NewReport("Goloman", 1520023934_000000000, &c))
		}
	}
	return first[:clients], first[clients:]
}

// BenchmarkStages is what each stage of a report within the flood costs with 100,000 clients, of which each in turn has a newer report, or for "new"
// has not reported before; BenchmarkApply is all of them together.
func BenchmarkStages(b *testing.B) {
	const clients = 100_000
	first, second := twoRounds(clients)
	stage := func(name string, begin func() *Registry, do func(g *Registry, r line.Report)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i, g := 0, begin()
			for b.Loop() {
				if i == clients {
					b.StopTimer()
					i, g = 0, begin()
					b.StartTimer()
				}
				do(g, second[i])
				i++
			}
		})
	}
	known := func() *Registry {
		g := NewRegistry()
		for _, r := range first {
			g.Merge(r)
		}
		return g
	}
	stage("digest", func() *Registry { return nil }, func(_ *Registry, r line.Report) { digestOf(r) })
	stage("admit", known, func(g *Registry, r line.Report) { g.admit(r) })
	stage("merge", known, func(g *Registry, r line.Report) { g.Merge(r) })
	stage("new", NewRegistry, func(g *Registry, r line.Report) { g.Merge(r) })
	e := connected(Config{Name: "A", Topology: star(b, "A", "B")})
	l := e.Links()[0]
	for _, r := range first {
		e.registry.Merge(r)
	}
	for _, batch := range []int{1, 64} {
		var reports []line.Report
		var places []uint32
		n := 0
		stage("owe/"+strconv.Itoa(batch), func() *Registry { return e.registry }, func(g *Registry, r line.Report) {
			k := keyOf(r.Client())
			s := g.shard(k)
			s.mu.Lock()
			l.ledger.owe(k.shard(), s.index.find(k.hash, r.Client(), s.reports))
			s.mu.Unlock()
			if n++; n%batch == 0 {
				reports, places, _ = l.take(reports[:0], places[:0], maxText)
			}
		})
	}
}
