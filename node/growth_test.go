//go:build peers

package node

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"herd/bus"
	"herd/node/flood"
	"herd/node/line"
	driver "herd/node/load"
)

// stalling is a Dialer whose node takes nothing while it is stalled.
type stalling struct {
	bus.Dialer
	stall *stall
}

type stall struct{ thaw atomic.Pointer[chan struct{}] }

func (s *stall) begin() { s.thaw.Store(new(make(chan struct{}))) }
func (s *stall) end()   { close(*s.thaw.Swap(nil)) }

func (d stalling) Dial(ctx context.Context, h bus.Handler) (bus.Conn, error) {
	return d.Dialer.Dial(ctx, stalled{h, d.stall})
}

type stalled struct {
	bus.Handler
	stall *stall
}

func (s stalled) Message(m bus.Message) {
	if thaw := s.stall.thaw.Load(); thaw != nil {
		<-*thaw
	}
	s.Handler.Message(m)
}

// How long clients of a node wait, at half of what it can take and tell everybody, while one of its three neighbours takes nothing.
func TestStalledClients(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))) // as herd up does
	const clients = 100_000
	log, topo, s, one := warnings(t), campus(t), new(stall), line.NodeName("Holiday")
	server := startServer(t, topo)
	h := newHerd(t, topo).startAll(func(name string) bus.Dialer {
		if name == "Welsh" {
			return stalling{server.Dialer(name), s}
		}
		return server.Dialer(name)
	}, func(c *Config) { c.Log = log })
	address := []string{h.nodes[one].address}
	const requests = 300_000
	rate := requests / h.spread(address, clients, requests).Seconds() / 2
	p99 := func() float64 {
		r, err := driver.Run(t.Context(), driver.Config{
			Protocol: driver.Herd{}, Addresses: address, Connections: loadConns, Pipeline: loadPipeline, Clients: clients, Prefix: "client",
			Rate: rate, Duration: 4 * time.Second, Timeout: 30 * time.Second, Seed: 1,
		})
		if err != nil || r.First != nil {
			t.Fatal(err, r.First)
		}
		return r.Reports.At(99).Seconds()
	}
	var ratios, before []float64
	for range rounds {
		free := p99()
		s.begin()
		stuck := p99()
		s.end()
		h.equal()
		before, ratios = append(before, 1000*free), append(ratios, stuck/free)
	}
	t.Logf("at %.0f reports/s p99 is %.2f ms, and %.2f × that (all rounds: %.2f) beside a stalled neighbour, target ≤ 2", rate, median(before), median(ratios), ratios)
}

// regular is a ring whose nodes also have a link to the one opposite.
func regular(t *testing.T, nodes int) *flood.Topology {
	var links [][2]line.NodeName
	name := func(i int) line.NodeName { return line.NodeName(fmt.Sprintf("N%02d", i%nodes)) }
	for i := range nodes {
		links = append(links, [2]line.NodeName{name(i), name(i + 1)})
		if i < nodes/2 {
			links = append(links, [2]line.NodeName{name(i), name(i + nodes/2)})
		}
	}
	return newTopology(t, links...)
}

// What a report costs in processor time, the generator's share included, by the size of a herd and the number of clients: a table of comma-separated
// values, in the file that HERD_GROWTH names as well.
func TestGrowth(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))) // as herd up does
	var table strings.Builder
	row := func(format string, args ...any) {
		t.Logf(format, args...)
		fmt.Fprintf(&table, format+"\n", args...)
	}
	row("nodes,links,clients,reports,messages_per_report,conflated_percent,ns_per_report,ns_per_message")
	for _, nodes := range []int{1, 5, 20, 50} {
		for clients := 1000; clients <= 1_000_000 && nodes*clients <= 5_000_000; clients *= 10 {
			t.Run(fmt.Sprintf("%d,%d", nodes, clients), func(t *testing.T) {
				log := warnings(t)
				quiet := func(c *Config) { c.Log, c.Limits.Queue = log, 1<<20 }
				h, flooding := newHerd(t, nil), 0
				if nodes == 1 {
					n := alone(t, quiet)
					h.topo, h.nodes = n.Topology, map[line.NodeName]*member{n.Name: n}
				} else {
					h = overNATS(t, regular(t, nodes), quiet)
					flooding = 2*len(h.topo.Links()) - (nodes - 1)
				}
				press(t, driver.Herd{}, h.addresses(), clients, loadPipeline, 1) // all clients are known
				h.equal()
				told, conflated := h.conflated()
				reports := 2_000_000 / (flooding + 2)
				before := processorTime(t)
				h.spread(h.addresses(), clients, reports)
				took := processorTime(t) - before
				told2, conflated2 := h.conflated()
				each := float64(took.Nanoseconds()) / float64(reports+clients) // each client reports once before
				perMessage := 0.0
				share := 0.0
				if flooding > 0 {
					perMessage = float64(took.Nanoseconds()) / float64(told2-told)
					share = 100 * float64(conflated2-conflated) / float64(told2-told+conflated2-conflated)
				}
				row("%d,%d,%d,%d,%.2f,%.1f,%.0f,%.0f", nodes, len(h.topo.Links()), clients, reports,
					float64(told2-told)/float64(reports+clients), share, each, perMessage)
			})
		}
	}
	if path := os.Getenv("HERD_GROWTH"); path != "" {
		if err := os.WriteFile(path, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// processorTime is what this process has used.
func processorTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
