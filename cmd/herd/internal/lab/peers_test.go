//go:build lab

package lab

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"herd/cmd/herd/internal/bench"
)

var (
	peersRuns  = flag.Int("runs", 5, "runs of each that is compared, which alternate")
	peersQuick = flag.Bool("quick", false, "one short run of each, so that none rots; no target counts")
	peersRows  = flag.String("rows", "", "only rows whose name matches this regular expression")
	peersOut   = flag.String("out", "", "write all runs to this file")
	peersWrite = flag.Bool("write", false, "rewrite the tables of PERFORMANCE.md and its pictures, for the rows that ran")
	peersFrom  = flag.Bool("redraw", false, "measure nothing: with -write, the same from the runs in docs/peers.json")
)

// comparison is a row of the table: what is measured, and what is expected of it.
type comparison struct {
	name, title string
	redis       bool // needs redis-server
	measure     func(*measurement)
	targets     []bound
}

// bound is what is expected of a figure, or on the ratio of two that were measured in the same run.
type bound struct {
	of, by      string // figures; without by it is no ratio
	least, most float64
	scale       float64 // the figure is multiplied by this, if it is not 0
	unit        string
}

// measurement measures one row.
type measurement struct {
	*testing.T
	program string            // herd
	tests   map[string]string // programs of packages' tests, by folder
	figures map[string][]float64
	curves  map[string][][]bench.Point // distributions of latency, in the order of the runs
}

// medianCurves returns of each distribution, at each share that all runs have, the median of the runs.
func (p *measurement) medianCurves() map[string][]bench.Point {
	all := make(map[string][]bench.Point)
	for name, runs := range p.curves {
		shortest := slices.MinFunc(runs, func(a, b []bench.Point) int { return len(a) - len(b) })
		for i, point := range shortest {
			var seconds []float64
			for _, r := range runs {
				seconds = append(seconds, r[i].Seconds)
			}
			all[name] = append(all[name], bench.Point{Share: point.Share, Seconds: summarise(seconds).median})
		}
	}
	return all
}

func (p *measurement) record(name string, value float64) {
	p.figures[name] = append(p.figures[name], value)
}

// runs returns how often each of those compared has its turn.
func (p *measurement) runs() int {
	if *peersQuick {
		return 1
	}
	return *peersRuns
}

// last returns a time, or a short one.
func (p *measurement) last(d time.Duration) time.Duration {
	if *peersQuick {
		return 200 * time.Millisecond
	}
	return d
}

// many returns a number, or a small one.
func (p *measurement) many(n int) int {
	if *peersQuick {
		return n / 10
	}
	return n
}

// TestPeers measures herd beside what people would use instead, and prints the table of PERFORMANCE.md: make bench-peers.
func TestPeers(t *testing.T) {
	chosen, err := regexp.Compile(*peersRows)
	if err != nil {
		t.Fatal(err)
	}
	all := readMeasured(t)
	if *peersFrom {
		all.publish(t, true)
		return
	}
	program, tests := buildHerd(t), make(map[string]string)
	for _, folder := range []string{"node", "node/flood"} {
		tests[folder] = filepath.Join(t.TempDir(), "test")
		if out, err := exec.Command("go", "test", "-c", "-o", tests[folder], "./"+folder).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if *peersQuick {
		stableSeconds = 1
	}
	now := &measured{Rows: make(map[string]*measuredRow)}
	for _, r := range rows {
		if !chosen.MatchString(r.name) {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			if _, err := exec.LookPath("redis-server"); err != nil && r.redis {
				t.Fatal("redis-server is missing: make bench-peers installs it")
			}
			p := &measurement{T: t, program: program, tests: tests, figures: make(map[string][]float64), curves: make(map[string][][]bench.Point)}
			load, began := loadOfOthers(t), time.Now()
			r.measure(p)
			fmt.Printf("%s: %.0f s\n", r.name, time.Since(began).Seconds())
			now.Rows[r.name] = &measuredRow{
				Machine: machine(), Date: began.UTC().Format("2 January 2006, 15:04 UTC"), Load: load,
				Seconds: time.Since(began).Seconds(), Figures: p.figures, Curves: p.medianCurves(),
			}
		})
	}
	now.publish(t, false)
	if *peersWrite && !*peersQuick {
		maps.Copy(all.Rows, now.Rows)
		all.publish(t, true)
	}
}

// press makes load on a server and returns what it brought. Everything has to be answered.
func (p *measurement) press(s *serverProcess, protocol bench.Protocol, c bench.Config) *bench.Result {
	p.Helper()
	c.Protocol, c.Prefix, c.Seed, c.Timeout = protocol, "client", 1, 20*time.Second
	c.Addresses = s.addresses
	c.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		dialer := net.Dialer{Timeout: c.Timeout}
		return dialer.DialContext(ctx, "tcp", address)
	}
	if c.Connections == 0 {
		c.Connections = 50
	}
	if c.Clients == 0 {
		c.Clients = p.many(100_000)
	}
	if c.Duration == 0 {
		c.Warmup, c.Duration = p.last(500*time.Millisecond), p.last(2*time.Second)
	}
	r, err := bench.Run(p.Context(), c)
	if err != nil {
		p.Fatal(err)
	}
	if !r.Clean() {
		p.Fatalf("%d refused, %d wrong, %d unsent, %v", r.Refused, r.Wrong, r.Unsent, r.First)
	}
	if r.Answered == 0 && !*peersQuick { // a short run on a busy machine may see none
		p.Fatal("no reply")
	}
	return r
}

// contestant is a server that has its turn in each run.
type contestant struct {
	name     string
	server   *serverProcess
	protocol bench.Protocol
}

// alternate calls turn for each contestant in each run. Every run begins with another of them.
func (p *measurement) alternate(all []contestant, turn func(c contestant)) {
	for i := range p.runs() {
		for j := range all {
			turn(all[(i+j)%len(all)])
		}
	}
}

// throughput has each contestant accept as many reports as it can.
func (p *measurement) throughput(all []contestant, pipeline int) {
	p.alternate(all, func(c contestant) {
		p.record(c.name, p.press(c.server, c.protocol, bench.Config{Pipeline: pipeline}).Throughput)
	})
}

// benchmark runs one of a package once, and records what it reports, by its unit or, if it has parts, by part and unit. The names
// of benchmark and parts are regular expressions.
func (p *measurement) benchmark(folder, name string) {
	p.Helper()
	c := exec.Command(p.tests[folder], "-test.run", "^$", "-test.bench", name, "-test.benchtime", "1x", "-test.timeout", "10m")
	c.Dir, c.SysProcAttr = folder, endsWithTest
	out, err := c.CombinedOutput()
	if err != nil {
		p.Fatalf("%s: %v: %s", name, err, out)
	}
	found := false
	for l := range strings.Lines(string(out)) {
		fields := strings.Fields(l)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		found = true
		_, part, _ := strings.Cut(procs.ReplaceAllString(fields[0], ""), "/")
		for pair := range slices.Chunk(fields[2:], 2) {
			if pair[1] == "ns/op" {
				continue // of all that was done once
			}
			var value float64
			if _, err := fmt.Sscan(pair[0], &value); err != nil {
				p.Fatalf("%q: %v", l, err)
			}
			p.record(strings.TrimSpace(part+" "+pair[1]), value)
		}
	}
	if !found {
		p.Fatalf("no %s: %s", name, out)
	}
}

var procs = regexp.MustCompile(`-\d+$`)
