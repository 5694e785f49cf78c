//go:build numbers

package node

import (
	"bufio"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"herd/bus"
	"herd/node/line"
)

// These tests measure what ARCHITECTURE.md says of repair, over NATS and TCP: make numbers.

// pulse reports from so many connections, every 10 ms each and unpipelined, until stop is closed, and returns how long replies took.
func pulse(t testing.TB, address string, connections int, stop <-chan struct{}) []time.Duration {
	var mu sync.Mutex
	var all []time.Duration
	var clients sync.WaitGroup
	for c := range connections {
		clients.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			var took []time.Duration
			for i := 0; ; i++ {
				select {
				case <-stop:
					mu.Lock()
					all = append(all, took...)
					mu.Unlock()
					return
				case <-tick.C:
				}
				began := time.Now()
				fmt.Fprintf(conn, "IAMAT pulse%d +34.068930-118.445127 %d\n", c, 1_600_000_000+i)
				for range 2 {
					if _, err := in.ReadString('\n'); err != nil {
						t.Error(err)
						return
					}
				}
				took = append(took, time.Since(began))
			}
		})
	}
	clients.Wait()
	slices.Sort(all)
	return all
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// A cold node takes the whole of a million clients from one neighbour, while the neighbour's clients hardly notice.
func TestColdNode(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))) // as herd up does
	const clients = 1_000_000
	topo := newTopology(t, [2]line.NodeName{"Goloman", "Hands"})
	s := startServer(t, topo)
	h := newHerd(t, topo)
	warm := h.start("Goloman", s.Dialer("Goloman"), func(c *Config) { c.CatchUp = 0 })
	<-warm.Ready()
	for i := range clients {
		r, err := line.ParseReport(fmt.Sprintf("Goloman +0.263873386 client%07d.example +34.068930-118.445127 1520023934.918963997", i))
		if err != nil {
			t.Fatal(err)
		}
		warm.Registry().Merge(r)
	}
	measure := func(during func()) []time.Duration {
		stop, took := make(chan struct{}), make(chan []time.Duration)
		go func() { took <- pulse(t, warm.address, 20, stop) }()
		during()
		close(stop)
		return <-took
	}
	before := measure(func() { <-time.After(10 * time.Second) })
	var cold time.Duration
	after := measure(func() {
		began := time.Now()
		n := h.start("Hands", s.Dialer("Hands"))
		<-n.Ready()
		cold = time.Since(began)
		if n.Registry().Len() < clients {
			t.Errorf("ready with %d clients", n.Registry().Len())
		}
		l := n.Health().Links[0]
		t.Logf("%d reports pulled in %s, %.1f MB", l.PulledNew, cold, float64(l.RepairIn)/1e6)
	})
	p50, p99 := quantile(before, 0.5), quantile(before, 0.99)
	p50cold, p99cold := quantile(after, 0.5), quantile(after, 0.99)
	t.Logf("replies at the neighbour, p50 and p99: %s %s before, %s %s meanwhile, %.1f × and %.1f × (%d and %d)", p50, p99, p50cold, p99cold,
		float64(p50cold)/float64(p50), float64(p99cold)/float64(p99), len(before), len(after))
	if cold > 20*time.Second || p99cold > 3*p99 {
		t.Error("that is too long")
	}
}

var _ = bus.Propagate
