//go:build peers

package main

import (
	"time"

	"herd/node/load"
)

var geoadd = load.GeoAdd{Key: "herd"}

// rows are those of the table, in its order.
var rows = []row{
	{
		name: "pipelined", redis: true, title: "`IAMAT`, one node, 50 connections, pipeline 64, 100,000 clients moving",
		measure: func(p *peers) {
			herd, redis := startOne(p, p.program, ""), startRedis(p, "")
			p.throughput([]contestant{
				{"herd", herd, load.Herd{}},
				{"bare", startBare(p, "bare-server"), load.Herd{}},
				{"SET", redis, load.Set{}},
				{"GEOADD", redis, geoadd},
			}, 64)
		},
		targets: []bound{{of: "herd", by: "GEOADD", least: 4}, {of: "herd", by: "SET", least: 1.2}, {of: "herd", by: "bare"}},
	},
	{
		name: "unpipelined", redis: true, title: "the same, pipeline 1",
		measure: func(p *peers) {
			all := []contestant{
				{"herd", startOne(p, p.program, ""), load.Herd{}},
				{"echo", startBare(p, "echo-server"), load.Echo{}},
				{"GEOADD", startRedis(p, ""), geoadd},
			}
			p.throughput(all, 1)
			for _, c := range all { // at half of what the slowest of them can do on this machine
				r := p.press(c.server, c.protocol, load.Config{
					Pipeline: 16, Rate: steadyRate, Warmup: p.last(time.Second), Duration: p.last(5 * time.Second),
				})
				p.curves[c.name] = r.Reports.Points()
			}
		},
		targets: []bound{{of: "herd", by: "echo", least: 0.85}, {of: "herd", by: "GEOADD", least: 1.2}},
	},
	{
		name: "five", redis: true, title: "five nodes in one process, 50 connections over all of them, until the last is equal",
		measure: func(p *peers) {
			redis := startRedis(p, "")
			for range p.runs() {
				p.benchmark("BenchmarkFive")
				p.record("GEOADD", p.press(redis, geoadd, load.Config{Pipeline: 64}).Throughput())
			}
		},
		targets: []bound{{of: "five-reports/s", by: "GEOADD", least: 1}, {of: "conflated-%", unit: "%"}},
	},
	{
		name: "farthest", title: "acknowledgement to the farthest node, 3 links, 1,000 reports/s, against three bare NATS relays",
		measure: func(p *peers) {
			for range p.runs() {
				p.benchmark("BenchmarkFarthest")
			}
		},
		targets: []bound{{of: "known-p50/bare", most: 2}, {of: "known-p99/bare", most: 3}, {of: "sent-p50/bare"}, {of: "sent-p99/bare"}},
	},
	{
		name: "gc", title: "garbage collector's share of the processor time at maximum rate",
		measure: func(p *peers) {
			s := startOne(p, p.program, "")
			for range p.runs() {
				p.press(s, load.Herd{}, load.Config{Pipeline: 64, Duration: time.Millisecond}) // all clients are known
				used, collected := s.cpu(), s.collected()
				p.press(s, load.Herd{}, load.Config{Pipeline: 64})
				p.record("collector", 100*(s.collected()-collected).Seconds()/(s.cpu()-used).Seconds())
			}
		},
		targets: []bound{{of: "collector", most: 10, unit: "%"}},
	},
	{
		name: "durable", redis: true, title: "durability: `interval` and `always` against none, Redis `appendfsync` `everysec` and `always`",
		measure: func(p *peers) {
			p.throughput([]contestant{
				{"none", startOne(p, p.program, ""), load.Herd{}},
				{"interval", startOne(p, p.program, "interval"), load.Herd{}},
				{"always", startOne(p, p.program, "always"), load.Herd{}},
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

const steadyRate = 20_000 // reports a second for the curves of latency
