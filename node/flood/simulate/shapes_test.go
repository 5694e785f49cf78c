package simulate

import (
	"fmt"
	"slices"
	"testing"

	"herd/node/topology"
)

// Topologies are connected, which topology.New checks, and have the links that their shape promises; the same seed makes the same.
func TestShapes(t *testing.T) {
	skipRacing(t)
	const nodes = 100
	degrees := func(topo *topology.Topology) []int {
		var d []int
		for _, n := range topo.Nodes() {
			d = append(d, len(topo.Neighbours(n)))
		}
		slices.Sort(d)
		return d
	}
	for _, tt := range []struct {
		shape                             Shape
		degree, links, fewest, most, hops int // hops: the diameter, where it is certain
	}{
		{Line, 0, 99, 1, 2, 99},
		{Ring, 0, 100, 2, 2, 50},
		{Star, 0, 99, 1, 99, 2},
		{Tree, 0, 99, 1, 3, 12},
		{Regular, 2, 100, 2, 2, 50},
		{Regular, 3, 150, 3, 3, 0},
		{Regular, 4, 200, 4, 4, 0},
		{Regular, 60, 3000, 60, 60, 2},
		{Regular, 98, 4900, 98, 98, 2},
		{Regular, 99, 4950, 99, 99, 1},
		{ScaleFree, 1, 99, 1, 0, 0},
		{ScaleFree, 3, 6 + 3*96, 3, 0, 0},
	} {
		for seed := range uint64(2) {
			name := fmt.Sprintf("%s of degree %d, seed %d", tt.shape, tt.degree, seed)
			topo, err := NewTopology(tt.shape, nodes, tt.degree, seed)
			if err != nil {
				t.Fatal(name, err)
			}
			d := degrees(topo)
			if len(topo.Nodes()) != nodes || len(topo.Links()) != tt.links || d[0] != tt.fewest || tt.most > 0 && d[nodes-1] != tt.most {
				t.Errorf("%s: %d nodes, %d links, degrees %v", name, len(topo.Nodes()), len(topo.Links()), d)
			}
			if tt.shape == ScaleFree && d[nodes-1] < 3*d[nodes/2] {
				t.Errorf("%s: no node has many links: %v", name, d)
			}
			if got := topo.Diameter(); tt.hops > 0 && got != tt.hops {
				t.Errorf("%s: a diameter of %d", name, got)
			}
			again, err := NewTopology(tt.shape, nodes, tt.degree, seed)
			if err != nil || again.Text() != topo.Text() {
				t.Errorf("%s: made again, it is another", name)
			}
			other, err := NewTopology(tt.shape, nodes, tt.degree, seed+1)
			if random := tt.shape == Regular && tt.degree < 99 || tt.shape == ScaleFree; err != nil || (other.Text() != topo.Text()) != random {
				t.Errorf("%s: what another seed makes is the same, or not", name)
			}
		}
	}
	for _, shape := range Shapes {
		for nodes := 1; nodes < 8; nodes++ {
			if topo, err := NewTopology(shape, nodes, 2, 1); err == nil && len(topo.Nodes()) != nodes || err != nil && nodes > 2 {
				t.Errorf("%s of %d: %v", shape, nodes, err)
			}
		}
	}
	for _, wrong := range []struct {
		shape         Shape
		nodes, degree int
	}{{Line, 0, 0}, {"blob", 3, 0}, {Regular, 5, 3}, {Regular, 4, 4}, {Regular, 4, 1}, {ScaleFree, 4, 0}, {ScaleFree, 4, 4}} {
		if _, err := NewTopology(wrong.shape, wrong.nodes, wrong.degree, 1); err == nil {
			t.Errorf("%v is a topology", wrong)
		}
	}
}
