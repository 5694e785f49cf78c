package node

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"herd/node/topology"

	"herd/bus"
)

// equal returns when all nodes hold the same, looked for every millisecond.
func (h *herd) equal() {
	h.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		same, first := true, h.nodes[h.topo.Nodes()[0]].engineDigest()
		for _, n := range h.nodes {
			same = same && n.engineDigest() == first
		}
		if same {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatal("not equal within a minute")
		}
		time.Sleep(time.Millisecond)
	}
}

type state struct {
	sum     uint64
	clients int
}

func (m *tcpNode) engineDigest() (s state) {
	s.sum, s.clients = m.Registry().Digest()
	return s
}

// overNATS runs a topology in one process, as herd up does, its log at warn.
func overNATS(t testing.TB, topo *topology.Topology, log func(*Config)) *herd {
	s := startServer(t, topo)
	return newHerd(t, topo).startAll(func(name string) bus.Dialer { return s.Dialer(name) }, log)
}

func (h *herd) addresses() (all []string) {
	for _, name := range h.topo.Nodes() {
		all = append(all, h.nodes[name].address)
	}
	return all
}

// conflated is how many reports the nodes sent each other, and how many that they would have been had none been conflated.
func (h *herd) conflated() (sent, conflated uint64) {
	for _, n := range h.nodes {
		for _, l := range n.Health().Links {
			sent += l.ReportsSent
			conflated += l.ReportsConflated
		}
	}
	return sent, conflated
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// fiveBatches is how many batches each connection sends in a round: 201,600 reports, of each client at least two.
const fiveBatches = 63

// converge returns the time in which a herd accepts a round of load and all its nodes hold the same.
func (h *herd) converge(b *testing.B, l *load, round int) time.Duration {
	took := l.round(b, round*fiveBatches, fiveBatches)
	began := time.Now()
	h.equal()
	return took + time.Since(began)
}

// BenchmarkFive compares the five nodes of the campus in one process with one node that has no neighbours, round by round: 50 connections, spread over the nodes, with 64
// reports each on the way, 100,000 clients. A round of five ends when all nodes hold the same.
func BenchmarkFive(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))) // as herd up does
	const requests = fiveBatches * loadPipeline * loadConns
	log := warnings(b)
	quiet := func(c *Config) { c.Log = log }
	five := overNATS(b, campus(b), quiet)
	one := startTCP(b, quiet)
	single, all := newLoad(b, one.address, nil), newLoadOn(b, five.addresses(), nil)
	single.round(b, 0, fiveBatches) // all clients are known before anything is measured
	five.converge(b, all, 0)
	var ratios, rates []float64
	for round := 1; b.Loop(); round++ {
		startTCP := single.round(b, round*fiveBatches, fiveBatches)
		took := five.converge(b, all, round)
		rates = append(rates, requests/took.Seconds())
		ratios = append(ratios, startTCP.Seconds()/took.Seconds())
	}
	sent, conflated := five.conflated()
	b.ReportMetric(median(rates), "five-reports/s")
	b.ReportMetric(median(ratios), "five/one")
	b.ReportMetric(100*float64(conflated)/float64(sent+conflated), "conflated-%")
}
