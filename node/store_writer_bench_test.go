package node

import (
	"testing"
	"time"

	"herd/node/store"
)

// durablePause is what a disk gets to itself between two measurements, so that what is written late does not slow down the next.
const durablePause = 100 * time.Millisecond

// BenchmarkDurable compares nodes without neighbours that keep what they know in both modes with one that does not, round by round,
// in the same way as BenchmarkSessions: 50 connections with 64 lines each on the way. The directories are on the disk of the
// system's temporary files. Figures are medians of the rounds.
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
	const batches = 60
	names := []string{"none", "interval", "always"}
	loads := []*load{
		newLoad(b, startTCP(b, func(c *Config) { c.Log = log }).address, nil),
		newLoad(b, startTCP(b, kept(false)).address, nil),
		newLoad(b, startTCP(b, kept(true)).address, nil),
	}
	const lines = batches * loadPipeline * loadConns
	rates, ratios := make([][]float64, len(loads)), make([][]float64, len(loads))
	for rounds := 0; b.Loop(); rounds++ {
		var none time.Duration
		for i, l := range loads {
			took := l.round(b, rounds*batches, batches)
			if i == 0 {
				none = took
			}
			rates[i], ratios[i] = append(rates[i], lines/took.Seconds()), append(ratios[i], none.Seconds()/took.Seconds())
			time.Sleep(durablePause)
		}
	}
	for i, name := range names {
		b.ReportMetric(median(rates[i]), name+"-lines/s")
		b.ReportMetric(median(ratios[i]), name+"/none")
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
	n := startTCP(b)
	n.iamat(b, "kiwi +34.068930-118.445127 1")
	r, _ := n.Registry().Get("kiwi")
	text := []byte(r.String() + "\n")
	for b.Loop() {
		if err := s.Write(text); err != nil {
			b.Fatal(err)
		}
	}
}
