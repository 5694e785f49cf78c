//go:build lab

package lab

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"herd/cmd/herd/internal/bench"
)

var geoadd = geoAdd{"herd"}

// rows are those of the table, in its order.
var rows = []comparison{
	{
		name: "pipelined", redis: true, title: "`IAMAT`, one node, 50 connections, pipeline 64, 100,000 clients moving",
		measure: func(p *measurement) {
			herd, redis := startOne(p, p.program, ""), startRedis(p, "")
			p.throughput([]contestant{
				{"herd", herd, bench.Herd{}},
				{"bare", startBare(p, "bare-server"), bench.Herd{}},
				{"SET", redis, set{}},
				{"GEOADD", redis, geoadd},
			}, 64)
		},
		targets: []bound{{of: "herd", by: "GEOADD", least: 4}, {of: "herd", by: "SET", least: 1.2}, {of: "herd", by: "bare"}},
	},
	{
		name: "unpipelined", redis: true, title: "the same, pipeline 1",
		measure: func(p *measurement) {
			all := []contestant{
				{"herd", startOne(p, p.program, ""), bench.Herd{}},
				{"echo", startBare(p, "echo-server"), echo{}},
				{"GEOADD", startRedis(p, ""), geoadd},
			}
			p.throughput(all, 1)
			p.alternate(all, func(c contestant) {
				r := p.press(c.server, c.protocol, bench.Config{
					Pipeline: 16, Rate: steadyRate, Warmup: p.last(time.Second), Duration: p.last(3 * time.Second),
				})
				p.curves[c.name] = append(p.curves[c.name], r.IAmAt.Points())
			})
		},
		targets: []bound{{of: "herd", by: "echo", least: 0.85}, {of: "herd", by: "GEOADD", least: 1.2}},
	},
	{
		name: "five", redis: true, title: "five nodes in one process, 50 connections spread over them, pipeline 64, until the last is equal",
		measure: (*measurement).five,
		targets: []bound{{of: "herd", by: "GEOADD", least: 1}, {of: "conflated", unit: "%"}},
	},
	{
		name: "farthest", title: "a report to the farthest node, 3 links, 1,000 reports/s, against three bare NATS relays",
		measure: func(p *measurement) {
			for range p.runs() {
				p.benchmark("node", "^BenchmarkFarthest$")
			}
		},
		targets: []bound{{of: "sent-p50/bare", most: 2}, {of: "sent-p99/bare"}, {of: "known-p99/bare", most: 3}},
	},
	{
		name: "stalled", title: "p99 of `IAMAT` at half the maximum rate while one of two neighbours is stopped, against while it is not",
		measure: (*measurement).stalled,
		targets: []bound{{of: "stalled p99 ms", by: "well p99 ms", most: 2}},
	},
	{
		name: "memory", redis: true, title: "memory per client when 1,000,000 have reported, the tree of digests included",
		measure: (*measurement).memory,
		targets: []bound{{of: "heap B", most: 200, unit: "B"}, {of: "RSS B", most: 300, unit: "B"}},
	},
	{
		name: "idle", title: "memory per connection of 10,000 that are idle after use, resident",
		measure: func(p *measurement) {
			p.record("RSS B", float64(idle(p.T, p.program, "", p.many(10_000), func(address string) (net.Conn, error) { return net.Dial("tcp", address) })))
		},
		targets: []bound{{of: "RSS B", most: 5 << 10, unit: "B"}},
	},
	{
		name: "gc", title: "garbage collector's share of the processor time at maximum rate",
		measure: func(p *measurement) {
			s := startOne(p, p.program, "")
			for range p.runs() {
				p.press(s, bench.Herd{}, bench.Config{Pipeline: 64, Duration: time.Millisecond}) // all clients are known
				used, collected := s.cpu(), s.collected()
				p.press(s, bench.Herd{}, bench.Config{Pipeline: 64})
				p.record("collector", 100*(s.collected()-collected).Seconds()/(s.cpu()-used).Seconds())
			}
		},
		targets: []bound{{of: "collector", most: 10, unit: "%"}},
	},
	{
		name: "cold", title: "a node that knows nothing takes 1,000,000 clients from its neighbour, each a process; p99 of the neighbour's clients against before",
		measure: func(p *measurement) {
			s := newColdStart(p, p.program, p.many(1_000_000))
			for range p.runs() {
				took, before, meanwhile := s.measure(p.last(5 * time.Second))
				p.record("seconds", took.Seconds())
				p.record("before p99 ms", 1e3*before[1].Seconds())
				p.record("meanwhile p99 ms", 1e3*meanwhile[1].Seconds())
			}
		},
		targets: []bound{{of: "seconds", most: 20, unit: "s"}, {of: "meanwhile p99 ms", by: "before p99 ms", most: 3}},
	},
	{
		name: "growth", title: "processor time in topologies of 5, 20 and 50 nodes in one process; with 1,000 to 1,000,000 clients",
		measure: (*measurement).growth,
		targets: []bound{{of: "nodes=50 ns/message", by: "nodes=5 ns/message", most: 1.2}, {of: "clients=1000000 ns/report", by: "clients=1000 ns/report"}},
	},
	{
		name: "durable", redis: true, title: "durability: `interval` and `always` against none, Redis `appendfsync` `everysec` and `always`",
		measure: func(p *measurement) {
			p.throughput([]contestant{
				{"none", startOne(p, p.program, ""), bench.Herd{}},
				{"interval", startOne(p, p.program, "interval"), bench.Herd{}},
				{"always", startOne(p, p.program, "always"), bench.Herd{}},
				{"GEOADD", startRedis(p, ""), geoadd},
				{"GEOADD everysec", startRedis(p, "everysec"), geoadd},
				{"GEOADD always", startRedis(p, "always"), geoadd},
			}, 64)
		},
		targets: []bound{
			{of: "interval", by: "none", least: 0.8},
			{of: "always", by: "none"},
			{of: "interval", by: "GEOADD everysec"},
			{of: "always", by: "GEOADD always"},
			{of: "GEOADD everysec", by: "GEOADD"},
			{of: "GEOADD always", by: "GEOADD"},
		},
	},
}

// five counts what five nodes together accept until each of them has it.
func (p *measurement) five() {
	herd, redis := startUp(p, p.program, campusShape(p), ""), startRedis(p, "")
	config := bench.Config{Pipeline: 64, Requests: p.many(500_000), Duration: time.Minute}
	p.alternate([]contestant{{"herd", herd, bench.Herd{}}, {"GEOADD", redis, geoadd}}, func(c contestant) {
		if c.server == redis {
			p.record(c.name, p.press(redis, geoadd, config).Throughput)
			return
		}
		sent, conflated := herd.sentReports()
		r := p.press(herd, bench.Herd{}, config)
		answered := time.Now()
		herd.equal()
		p.record(c.name, float64(r.Answered)/(r.Elapsed+time.Since(answered).Seconds()))
		nowSent, nowConflated := herd.sentReports()
		sent, conflated = nowSent-sent, nowConflated-conflated
		p.record("conflated", 100*float64(conflated)/float64(sent+conflated))
	})
}

// stalled reports to a node at half of what it can do, in turns while both its neighbours are well and while one of them is stopped.
func (p *measurement) stalled() {
	bus, keys := freeAddresses(p, 1)[0], filepath.Join(p.TempDir(), "keys")
	h := newHerds(p, p.program, shape{[]string{"Goloman", "Hands", "Wilkes"}, [][2]string{{"Goloman", "Hands"}, {"Goloman", "Wilkes"}}},
		fmt.Sprintf("bus: {listen: %q, keys: %q}\n", bus, keys))
	if out, err := exec.Command(p.program, "bus", "keys", keys, "--config", h.file).CombinedOutput(); err != nil {
		p.Fatalf("%v: %s", err, out)
	}
	herd := h.run(h.nodes[:1], "up", "--only", "Goloman")
	well := h.run(h.nodes[1:2], "node", "Hands", "--bus-url", "nats://"+bus)
	wilkes := h.run(h.nodes[2:], "node", "Wilkes", "--bus-url", "nats://"+bus)
	for _, each := range []*serverProcess{herd, well, wilkes} {
		each.ready()
	}
	rate := p.press(herd, bench.Herd{}, bench.Config{Pipeline: 64}).Throughput / 2
	p.record("rate", rate)
	measure := func(name string) {
		r := p.press(herd, bench.Herd{}, bench.Config{Pipeline: 64, Rate: rate, Warmup: p.last(500 * time.Millisecond), Duration: p.last(3 * time.Second)})
		p.record(name+" p99 ms", 1e3*r.IAmAt.At(99).Seconds())
		p.curves[name] = append(p.curves[name], r.IAmAt.Points())
	}
	for i := range p.runs() {
		herd.equal(well, wilkes)
		if i%2 == 0 {
			measure("well")
		}
		send(p, wilkes, syscall.SIGSTOP)
		measure("stalled")
		send(p, wilkes, syscall.SIGCONT)
		herd.ready()
		if i%2 != 0 {
			herd.equal(well, wilkes)
			measure("well")
		}
	}
}

// growth measures processor time of the process, which others on the machine disturb less than the clock.
func (p *measurement) growth() {
	cost := func(s *serverProcess, c bench.Config) (perReport time.Duration) {
		c.Pipeline = 64
		before := s.cpu()
		r := p.press(s, bench.Herd{}, c)
		s.equal()
		return (s.cpu() - before) / time.Duration(r.Filled+r.Answered)
	}
	for _, nodes := range []int{5, 20, 50} {
		s := ring(nodes)
		herd := startUp(p, p.program, s, "")
		for range p.runs() {
			perReport := cost(herd, bench.Config{Clients: p.many(20_000), Requests: p.many(1_000_000) / nodes, Duration: time.Minute})
			p.record(fmt.Sprintf("nodes=%d µs/report", nodes), 1e6*perReport.Seconds())
			p.record(fmt.Sprintf("nodes=%d ns/message", nodes), 1e9*perReport.Seconds()/float64(s.messages()))
		}
		herd.end()
	}
	for clients := 1000; clients <= p.many(1_000_000); clients *= 10 {
		herd := startOne(p, p.program, "")
		c := bench.Config{Clients: clients, Requests: p.many(1_000_000), Duration: time.Minute}
		cost(herd, c) // all are known
		for range p.runs() {
			p.record(fmt.Sprintf("clients=%d ns/report", clients), 1e9*cost(herd, c).Seconds())
		}
		herd.end()
	}
}

// memory measures once: it does not depend on what else the machine does.
func (p *measurement) memory() {
	clients := p.many(1_000_000)
	p.benchmark("node/flood", fmt.Sprintf("^BenchmarkMemory$/^%d$", clients))
	p.figures = map[string][]float64{"heap B": p.figures[fmt.Sprint(clients)+" heap-B/client"]}
	herd, redis := startOne(p, p.program, ""), startRedis(p, "")
	herdBefore, redisBefore := stableMemory(p.T, herd.pid), resident(p.T, redis.pid)
	everyone := bench.Config{Clients: clients, Requests: clients, Duration: time.Minute, Pipeline: 64}
	p.press(herd, bench.Herd{}, everyone)
	p.press(redis, geoadd, everyone)
	p.record("RSS B", float64(stableMemory(p.T, herd.pid)-herdBefore)/float64(clients))
	p.record("RSS B of GEOADD", float64(resident(p.T, redis.pid)-redisBefore)/float64(clients))
}

func send(t testing.TB, s *serverProcess, what syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(s.pid, what); err != nil {
		t.Fatal(err)
	}
}

const steadyRate = 20_000 // reports a second for the curves of latency: a quarter of what the slowest of them can do
