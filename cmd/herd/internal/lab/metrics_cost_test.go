//go:build lab

package lab

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"herd/cmd/herd/internal/bench"
)

var costBefore = flag.String("before", "", "a herd to compare with, built before a change; without it, only scraped with not scraped")

const (
	costPairs = 14
	costRank  = 3 // from either end: between the 3rd and the 12th of 14 ratios is their median in 98.7 % of cases
)

// TestMetricsCost measures what metrics cost, as throughput and as processor time: of this program against one from before that -before names, and
// of this program scraped each second against not scraped. Its make target is bench-metrics.
func TestMetricsCost(t *testing.T) {
	now := buildHerd(t)
	p := &measurement{T: t, program: now}
	pairs := costPairs
	if *peersQuick {
		pairs = 1
	}
	for _, s := range []struct {
		what  string
		shape shape
	}{{"one node", single}, {"five nodes", campusShape(t)}} {
		all := []*costed{{name: "before", program: *costBefore}, {name: "now", program: now}, {name: "scraped", program: now, scraped: true}}
		if *costBefore == "" {
			all = all[1:]
		}
		for _, c := range all {
			c.server = startUp(t, c.program, s.shape, "")
			p.press(c.server, bench.Herd{}, bench.Config{Pipeline: 64}) // all clients are known
		}
		for i := range pairs {
			for j := range all {
				p.cost(all[(i+j)%len(all)])
			}
		}
		for i, c := range all[1:] {
			compareCosts(t, s.what, c, all[i])
		}
		for _, c := range all {
			c.server.end()
		}
	}
}

// costed is a herd and what each run with it brought.
type costed struct {
	name, program string
	scraped       bool
	server        *serverProcess
	throughput    []float64 // reports/s
	cpu           []float64 // seconds of a processor for each report
}

func (p *measurement) cost(c *costed) {
	ctx, stop := context.WithCancel(p.Context())
	var scraping sync.WaitGroup
	if c.scraped {
		for _, n := range c.server.nodes {
			scraping.Go(func() { scrapeEachSecond(ctx, p.T, n.HTTP) })
		}
	}
	used := c.server.cpu()
	r := p.press(c.server, bench.Herd{}, bench.Config{Pipeline: 64, Requests: p.many(300_000), Duration: time.Minute})
	answered := time.Now()
	c.server.equal()
	reports := float64(r.Answered)
	c.throughput = append(c.throughput, reports/(r.Elapsed+time.Since(answered).Seconds()))
	c.cpu = append(c.cpu, (c.server.cpu()-used).Seconds()/reports)
	stop()
	scraping.Wait()
}

func scrapeEachSecond(ctx context.Context, t *testing.T, address string) {
	for tick := time.NewTicker(time.Second); ; {
		answer, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			t.Error(err)
			return
		}
		_, err = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%v, %s", err, answer.Status)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

// compareCosts prints the medians of ratios of pairs of runs, with the interval in which the true one is.
func compareCosts(t *testing.T, what string, a, b *costed) {
	t.Helper()
	for _, f := range []struct {
		what string
		a, b []float64
		cost func(ratio float64) float64
	}{
		{"throughput", a.throughput, b.throughput, func(ratio float64) float64 { return 1 - ratio }},
		{"processor time a report", a.cpu, b.cpu, func(ratio float64) float64 { return ratio - 1 }},
	} {
		ratios := make([]float64, len(f.a))
		for i := range ratios {
			ratios[i] = f.a[i] / f.b[i]
		}
		slices.Sort(ratios)
		s, rank := summarise(ratios), min(costRank, (len(ratios)+1)/2)
		fmt.Printf("%s, %s / %s: %s × %.3f (%.3f–%.3f), of %.4g and %.4g\n", what, a.name, b.name, f.what, s.median,
			ratios[rank-1], ratios[len(ratios)-rank], summarise(f.a).median, summarise(f.b).median)
		if cost := f.cost(s.median); cost > 0.03 && !*peersQuick {
			t.Errorf("%s: %s costs %.1f %% of %s more than %s", what, a.name, 100*cost, f.what, b.name)
		}
	}
}
