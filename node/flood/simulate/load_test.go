package simulate

import (
	"testing"
	"time"
)

func BenchmarkThousand(b *testing.B) {
	topo, err := NewTopology(Regular, 1000, 4, 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := Run(b.Context(), Config{Topology: topo, Reports: 2000, Rate: 1000, Clients: 1000, Delay: 10 * time.Millisecond, Seed: 1})
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%+v", r)
	}
}
