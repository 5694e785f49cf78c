package flood

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"herd/node/line"
)

// BenchmarkMemory measures what a client costs, its ID and its share of the tree included, on the heap and, where the system says
// so, of resident memory when all that is free has been given back. Each has reported four times, so that garbage lies between.
func BenchmarkMemory(b *testing.B) {
	for _, clients := range []int{100_000, 1_000_000} {
		b.Run(strconv.Itoa(clients), func(b *testing.B) {
			for b.Loop() {
				heap, rss := used(), resident()
				g := NewRegistry()
				for i := range 4 * clients {
					c := line.Parse(fmt.Appendf(nil, "IAMAT client%07d.example +34.068930-118.445127 %d.918963997", i%clients, 1520023934+i/clients))
					g.admit(line.NewReport("Goloman", 1520023934_000000000, &c))
				}
				b.ReportMetric(float64(used()-heap)/float64(clients), "heap-B/client")
				b.ReportMetric(float64(resident()-rss)/float64(clients), "RSS-B/client")
				runtime.KeepAlive(g)
			}
		})
	}
}

func used() int {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// resident returns the bytes of the process that are in memory, or 0 where the system does not say.
func resident() int {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.Atoi(string(bytes.Fields(text)[1]))
	return pages * os.Getpagesize()
}
