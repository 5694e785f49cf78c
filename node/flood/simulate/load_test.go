package simulate

import (
	"context"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"
)

// What a simulation says is what must be: without faults one report after the other costs 2E − (N − 1) messages and comes to each server
// over the fewest links; the same seed says the same; and it makes no difference that nodes take turns while nothing passes between them.
func TestRun(t *testing.T) {
	skipRacing(t)
	for _, tt := range []struct {
		shape                Shape
		nodes, degree, most  int
		fewest, loss         float64
		cuts, rate, messages int
	}{
		{shape: Line, nodes: 10, most: 9, fewest: 11. / 3, rate: 10, messages: 9},
		{shape: Ring, nodes: 10, most: 5, fewest: 25. / 9, rate: 10, messages: 11},
		{shape: Star, nodes: 10, most: 2, fewest: 1.8, rate: 10, messages: 9},
		{shape: Regular, nodes: 20, degree: 4, rate: 1000},
		{shape: ScaleFree, nodes: 20, degree: 2, rate: 1000, loss: 0.05, cuts: 5},
	} {
		topo, err := NewTopology(tt.shape, tt.nodes, tt.degree, 1)
		if err != nil {
			t.Fatal(err)
		}
		c := Config{Topology: topo, Reports: 500, Clients: 50, Every: 50 * time.Second / time.Duration(tt.rate), Delay: 10 * time.Millisecond, Loss: tt.loss, Cuts: tt.cuts, Seed: 9}
		r, err := Run(t.Context(), c)
		if err != nil || !r.Converged {
			t.Fatalf("%s: %+v, %v", tt.shape, r, err)
		}
		again, err := Run(t.Context(), c)
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("%s: %+v, then %+v, %v", tt.shape, r, again, err)
		}
		if c.Seed++; tt.cuts > 0 {
			if other, err := Run(t.Context(), c); err != nil || reflect.DeepEqual(r, other) {
				t.Errorf("%s: another seed says the same: %+v, %v", tt.shape, other, err)
			}
			if r.Lost == 0 {
				t.Errorf("%s: nothing was lost: %+v", tt.shape, r)
			}
			continue
		}
		if tt.messages == 0 {
			continue
		}
		if r.FloodCost != tt.messages || r.Messages != uint64(500*tt.messages) || r.Path.Max != tt.most ||
			r.Path.Mean < 0.8*tt.fewest || r.Path.Mean > 1.2*tt.fewest || r.SyncBytes+r.Lost != 0 || r.Superseded != 0 {
			t.Errorf("%s: %+v", tt.shape, r)
		}
		if longest := 0.01 * float64(tt.most); r.ToLast.Max != longest {
			t.Errorf("%s: %v s to the last, want %v", tt.shape, r.ToLast.Max, longest)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Config{Topology: single, Reports: 1, Clients: 1, Every: time.Second}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := Run(t.Context(), Config{Topology: single, Reports: 1, Every: time.Second}); err == nil {
		t.Error("without clients: no error")
	}
}

// However many hands simulate a herd, what comes of it is the same.
func TestWorkers(t *testing.T) {
	for _, tt := range []struct {
		shape  Shape
		degree int
		loss   float64
		cuts   int
		rate   int
	}{
		{shape: Line},
		{shape: Tree, rate: 100_000},
		{shape: Star},
		{shape: Regular, degree: 4},
		{shape: Ring, cuts: 3},
		{shape: Tree, loss: 0.02},
		{shape: ScaleFree, degree: 2, loss: 0.05, cuts: 5},
	} {
		for seed := range uint64(3) {
			if racing && seed > 0 {
				continue
			}
			topo, err := NewTopology(tt.shape, 30, tt.degree, seed)
			if err != nil {
				t.Fatal(err)
			}
			var results [2]Result
			for i, hands := range []int{1, 4} {
				l, err := newLoad(Config{
					Topology: topo, Reports: 300, Clients: 50, Every: 50 * time.Millisecond, Delay: 10 * time.Millisecond, Loss: tt.loss, Cuts: tt.cuts, Seed: seed, workers: hands,
					Rate: tt.rate, Narrow: topo.Nodes()[:10],
				})
				if err != nil {
					t.Fatal(err)
				}
				if results[i], err = l.run(t.Context()); err != nil || !results[i].Converged {
					t.Errorf("%s, seed %d, %d hands: %+v, %v", tt.shape, seed, hands, results[i], err)
				}
				if u := results[i].Uplink; (u != nil) != (tt.rate > 0) || u != nil && (u.Busy < 0.1 || u.Busy > 1 || u.Waited == 0 || u.Closed > 0) {
					t.Errorf("%s, seed %d: %+v", tt.shape, seed, u)
				}
				if l.window.workers[hands-1].end == 0 {
					t.Errorf("%s: no more than one of %d hands had something to do", tt.shape, hands)
				}
			}
			if !reflect.DeepEqual(results[0], results[1]) {
				t.Errorf("%s, seed %d: %+v by one hand, %+v by four", tt.shape, seed, results[0], results[1])
			}
		}
	}
}

// That nodes take turns while nothing passes between them changes nothing that they, or the load, can see.
func TestApart(t *testing.T) {
	skipRacing(t)
	topo, err := NewTopology(Regular, 30, 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	var results [2][]uint64
	for i := range results {
		h := newHerd(4, settings{topology: topo, delay: 10 * time.Millisecond, apart: i == 0})
		for k, n := range h.nodes {
			h.in(time.Duration(k)*31*time.Millisecond, n.start)
		}
		h.run(2 * time.Second)
		for k := range 2000 {
			h.run(h.now + 700*time.Microsecond)
			if h.nodes[k%30].move(t, k%97); k%50 > 0 {
				continue
			}
			for _, n := range h.nodes {
				sum, clients := n.engine.Registry().Digest()
				results[i] = append(results[i], sum, uint64(clients))
			}
			results[i] = append(results[i], h.counts.messages, h.counts.heartbeats, h.counts.syncBytes)
		}
	}
	if !reflect.DeepEqual(results[0], results[1]) {
		t.Error("nodes that take turns know something else")
	}
}

// BenchmarkThousand is a fifth of the 10,000 reports at 1,000 servers that are to take a minute.
func BenchmarkThousand(b *testing.B) {
	topo, err := NewTopology(Regular, 1000, 4, 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := Run(b.Context(), Config{Topology: topo, Reports: 2000, Clients: 1000, Every: time.Second, Delay: 10 * time.Millisecond, Seed: 1})
		if err != nil || !r.Converged {
			b.Fatal(r, err)
		}
	}
}

// Detail says of each report what the sums say of all, and looking changes nothing.
func TestDetail(t *testing.T) {
	skipRacing(t)
	for _, loss := range []float64{0, 0.05} {
		c := Config{Topology: campus(t), Reports: 500, Clients: 50, Every: 50 * time.Millisecond, Delay: 10 * time.Millisecond, Loss: loss, Seed: 9}
		plain, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		c.Detail = true
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		d := r.Detail
		r.Detail = nil
		if r != plain {
			t.Errorf("%+v, and with detail %+v", plain, r)
		}
		messages, superseded, longest := 0, 0, 0.0
		for i, n := range d.Messages {
			messages += n
			if math.IsNaN(d.ToLast[i]) {
				superseded++
			} else {
				longest = max(longest, d.ToLast[i])
			}
		}
		arrived, hops := 0, 0
		for i, n := range d.Hops {
			arrived += n
			hops += i * n
		}
		// A message has more than one report now and then.
		if messages < int(r.Messages) || messages > int(r.Messages)*11/10 || superseded != r.Superseded || longest != r.ToLast.Max ||
			len(d.Hops)-1 != r.Path.Max || math.Abs(float64(hops)/float64(arrived)-r.Path.Mean) > 1e-9 || d.Every != 0.001 {
			t.Errorf("loss %v: %d messages, %d superseded, %v to the last, hops %v; %+v", loss, messages, superseded, longest, d.Hops, r)
		}
	}
}
