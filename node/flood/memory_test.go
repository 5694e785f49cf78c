package flood

import (
	"fmt"
	"runtime"
	"testing"

	"herd/node/line"
)

// BenchmarkMemory tells what a client costs on the heap besides its ID, when 100,000 have come by.
func BenchmarkMemory(b *testing.B) {
	const n = 100_000
	id := func(i int) string { return fmt.Sprintf("junk-%012d.example", i) }
	used := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		before := used()
		r := NewRegistry()
		for i := range n {
			c := line.Parse(fmt.Append(nil, "IAMAT ", id(i), " +34.068930-118.445127 1520023934.918963997"))
			r.admit(line.NewReport("Goloman", 1795357066_969964, &c))
		}
		b.ReportMetric((used()-before)/n-float64(len(id(0))), "B/client-ID")
		runtime.KeepAlive(r)
	}
}
