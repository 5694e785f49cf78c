package node

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"herd/node/topology"

	"herd/bus"
	driver "herd/node/load"
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

func (m *member) engineDigest() (s state) {
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

// conflated is how many reports the nodes were told by each other, and how many that they would have been had none been conflated.
func (h *herd) conflated() (told, conflated uint64) {
	for _, n := range h.nodes {
		for _, l := range n.Health().Links {
			told += l.Told
			conflated += l.Conflated
		}
	}
	return told, conflated
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// press makes closed load: 50 connections with so many reports on the way each. It returns the time from the first of them that counts
// to the last reply.
func press(t testing.TB, p driver.Protocol, addresses []string, clients, pipeline, requests int) time.Duration {
	t.Helper()
	r, err := driver.Run(context.Background(), driver.Config{
		Protocol: p, Addresses: addresses, Connections: loadConns, Pipeline: pipeline, Clients: clients, Prefix: "client",
		Duration: time.Minute, Requests: requests, Timeout: 10 * time.Second, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Clean() {
		t.Fatalf("%d refused, %d wrong, %d unsent, %v", r.Refused, r.Wrong, r.Unsent, r.First)
	}
	return r.Elapsed
}

// spread is the time that a herd takes to accept so many reports and be equal.
func (h *herd) spread(addresses []string, clients, requests int) time.Duration {
	took := press(h.t, driver.Herd{}, addresses, clients, loadPipeline, requests)
	began := time.Now()
	h.equal()
	return took + time.Since(began)
}

// BenchmarkFive compares the five nodes of the campus in one process with one node that has no neighbours, round by round: 50 connections, spread over the nodes, with 64
// reports each on the way, 100,000 clients that move about. A round of five ends when all nodes hold the same.
func BenchmarkFive(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))) // as herd up does
	const clients, requests = 100_000, 200_000
	log := warnings(b)
	quiet := func(c *Config) { c.Log = log }
	five := overNATS(b, campus(b), quiet)
	one := alone(b, quiet)
	var ratios, rates []float64
	for b.Loop() {
		single := press(b, driver.Herd{}, []string{one.address}, clients, loadPipeline, requests)
		took := five.spread(five.addresses(), clients, requests)
		rates = append(rates, requests/took.Seconds())
		ratios = append(ratios, single.Seconds()/took.Seconds())
	}
	told, conflated := five.conflated()
	b.ReportMetric(median(rates), "five-reports/s")
	b.ReportMetric(median(ratios), "five/one")
	b.ReportMetric(100*float64(conflated)/float64(told+conflated), "conflated-%")
}
