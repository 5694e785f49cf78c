package main

import (
	"testing"
	"time"

	"herd/cmd/herd/internal/bench"
)

func TestProgressOfLoad(t *testing.T) {
	b := benchCommand{Config: bench.Config{Warmup: 2 * time.Second, Duration: 8 * time.Second}}
	for s, want := range map[bench.Snapshot]string{
		{Elapsed: time.Second}: "[####....................................] 1 of 10 s, warming up",
		{Elapsed: 5 * time.Second, Replies: 1234567, Last: bench.Second{Replies: 412345, P50: 0.0012, P99: 0.0134}}: "[####################....................] 5 of 10 s, 1234567 replies, 412 k/s, p50 1.2 ms, p99 13.4 ms",
		{Elapsed: 11 * time.Second, Refused: 3}: "[########################################] 10 of 10 s, 0 replies, 0/s, p50 0, p99 0, 3 refused",
	} {
		if got := b.far(s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
