package node

import (
	"testing"
	"time"

	"herd/node/line"
	"herd/node/store"
)

// BenchmarkDurable compares nodes without neighbours that keep what they know in both modes with one that does not, round by round,
// in the same way as BenchmarkSessions: 50 connections with 64 lines each on the way. The directories are on the disk of the
// system's temporary files. Syncs of the disk are what the mode always costs, so their time is measured as well.
func BenchmarkDurable(b *testing.B) {
	log := warnings(b)
	kept := func(always bool) func(*Config) {
		return func(c *Config) {
			s, err := store.Open(store.Config{Dir: b.TempDir(), Herd: "herd", Node: c.Name})
			if err != nil {
				b.Fatal(err)
			}
			c.Log, c.Store, c.Always = log, s, always
		}
	}
	const batches = 20
	names := []string{"none", "interval", "always"}
	loads := []*load{
		newLoad(b, alone(b, func(c *Config) { c.Log = log }).address, nil),
		newLoad(b, alone(b, kept(false)).address, nil),
		newLoad(b, alone(b, kept(true)).address, nil),
	}
	times := make([]time.Duration, len(loads))
	rounds := 0
	for ; b.Loop(); rounds++ {
		for i, l := range loads {
			times[i] += l.round(b, rounds*batches, batches)
		}
	}
	lines := float64(rounds * batches * loadPipeline * loadConns)
	for i, name := range names {
		b.ReportMetric(lines/times[i].Seconds(), name+"-lines/s")
		b.ReportMetric(times[0].Seconds()/times[i].Seconds(), name+"/none")
	}
}

// BenchmarkSync writes one report at a time.
func BenchmarkSync(b *testing.B) {
	s, err := store.Open(store.Config{Dir: b.TempDir(), Herd: "herd", Node: "Goloman"})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}()
	n := alone(b)
	n.iamat(b, "kiwi +34.068930-118.445127 1")
	r, _ := n.Registry().Get("kiwi")
	for b.Loop() {
		if err := s.Write([]line.Report{r}); err != nil {
			b.Fatal(err)
		}
	}
}
