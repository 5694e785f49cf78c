package topology

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"herd/node/line"
)

func TestTopologyFaults(t *testing.T) {
	_, err := New([]line.NodeName{"A", "B", "A", "x y", ""}, [][2]line.NodeName{
		{"A", "B"}, {"B", "A"}, {"A", "A"}, {"A", "Z"}, {"Q", "Z"},
	})
	want := `node A is given twice
node name "x y" is not 1 to 32 letters, digits, '_' or '-'
node name "" is not 1 to 32 letters, digits, '_' or '-'
link B–A is given twice
link A–A joins a node to itself
link A–Z: no node is named "Z"
link Q–Z: no node is named "Q"
link Q–Z: no node is named "Z"`
	if err == nil || err.Error() != want {
		t.Errorf("faults:\n%v\nwant:\n%s", err, want)
	}
	_, err = New([]line.NodeName{"A", "B", "C", "D", "E"}, [][2]line.NodeName{{"A", "C"}, {"B", "D"}})
	if want := "no link joins B, D to A\nno link joins E to A"; err == nil || err.Error() != want {
		t.Errorf("islands: %v, want %s", err, want)
	}
	_, err = New([]line.NodeName{"A", "B", "C"}, [][2]line.NodeName{{"A", "B"}, {"B", "C"}},
		Pace{"A", "C", 1}, Pace{"A", "B", 0}, Pace{"B", "A", 1}, Pace{"B", "A", 2}, Pace{"A", "Q", 1})
	want = `every 1ns from A to C: there is no link
every 0s from A to B is not positive
every is given twice from B to A
every 1ns from A to Q: there is no link`
	if err == nil || err.Error() != want {
		t.Errorf("paces:\n%v\nwant:\n%s", err, want)
	}
	if _, err = New(nil, nil); err == nil || err.Error() != "no nodes" {
		t.Errorf("no nodes: %v", err)
	}
}

func TestCampus(t *testing.T) {
	topo, err := New([]line.NodeName{"Goloman", "Hands", "Holiday", "Welsh", "Wilkes"}, [][2]line.NodeName{
		{"Goloman", "Hands"},
		{"Goloman", "Holiday"},
		{"Goloman", "Wilkes"},
		{"Hands", "Wilkes"},
		{"Holiday", "Welsh"},
		{"Holiday", "Wilkes"},
	})
	if err != nil {
		t.Fatal(err)
	}
	bridges, vertices := topo.Weak()
	got := fmt.Sprintln(topo.Neighbours("Goloman"), topo.Neighbours("Wilkes"), topo.Diameter(), topo.Distance("Hands", "Welsh"), *bridges[0].Link, bridges[0].CutOff, vertices[0].Node, vertices[0].CutOff, len(bridges), len(vertices))
	want := "[Hands Holiday Wilkes] [Goloman Hands Holiday] 3 3 [Holiday Welsh] [Welsh] Holiday [Welsh] 1 1\n"
	if got != want {
		t.Errorf("campus: %s, want %s", got, want)
	}
	if topo.Has("Nobody") || !topo.Has("Welsh") {
		t.Error("Has is wrong")
	}
}

// without returns the islands of the graph that is left without one node or one link.
func without(topo *Topology, node line.NodeName, link [2]line.NodeName) [][]line.NodeName {
	left := &Topology{neighbours: make(map[line.NodeName][]line.NodeName)}
	for _, n := range topo.nodes {
		if n != node {
			left.nodes = append(left.nodes, n)
		}
	}
	for _, l := range topo.links {
		if l != link && l[0] != node && l[1] != node {
			left.neighbours[l[0]] = append(left.neighbours[l[0]], l[1])
			left.neighbours[l[1]] = append(left.neighbours[l[1]], l[0])
		}
	}
	return left.islands()
}

// outsideLargest returns the nodes of a topology without one that are not in the first of the largest islands.
func outsideLargest(topo *Topology, node line.NodeName, islands [][]line.NodeName) []line.NodeName {
	largest := slices.MaxFunc(islands, func(a, b []line.NodeName) int { return len(a) - len(b) })
	return slices.DeleteFunc(slices.Clone(topo.nodes), func(n line.NodeName) bool { return n == node || slices.Contains(largest, n) })
}

// Bridges, cut vertices and the diameter of random graphs, against taking each part away and against Floyd and Warshall.
func TestWeakAgainstRemoval(t *testing.T) {
	bridgesSeen, verticesSeen, whole := 0, 0, 0
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 4))
		n := 1 + rng.IntN(12)
		var links [][2]int
		for i := 1; i < n; i++ {
			links = append(links, [2]int{rng.IntN(i), i})
		}
		for range rng.IntN(n) {
			a, b := rng.IntN(n), rng.IntN(n)
			if a != b && !slices.Contains(links, [2]int{a, b}) && !slices.Contains(links, [2]int{b, a}) {
				links = append(links, [2]int{a, b})
			}
		}
		names := make([]line.NodeName, n)
		for i := range names {
			names[i] = line.NodeName("n" + strconv.Itoa(i))
		}
		pairs := make([][2]line.NodeName, len(links))
		for i, l := range links {
			pairs[i] = [2]line.NodeName{names[l[0]], names[l[1]]}
		}
		topo, err := New(names, pairs)
		if err != nil {
			t.Fatal(err)
		}
		bridges, vertices := topo.Weak()
		var want []Loss
		for _, l := range topo.links {
			if islands := without(topo, "", l); len(islands) > 1 {
				want = append(want, Loss{&l, "", outsideLargest(topo, "", islands)})
			}
		}
		for _, v := range topo.nodes {
			if islands := without(topo, v, [2]line.NodeName{}); len(islands) > 1 {
				want = append(want, Loss{nil, v, outsideLargest(topo, v, islands)})
			}
		}
		if got := slices.Concat(bridges, vertices); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: links %v: %v, want %v", seed, topo.links, got, want)
		}
		if got, want := topo.Diameter(), diameter(n, links); got != want {
			t.Fatalf("seed %d: links %v: diameter %d, want %d", seed, topo.links, got, want)
		}
		bridgesSeen += len(bridges)
		verticesSeen += len(vertices)
		if len(bridges) == 0 && n > 2 {
			whole++
		}
	}
	if bridgesSeen < 100 || verticesSeen < 100 || whole < 10 {
		t.Errorf("%d bridges, %d cut vertices, %d graphs without: hardly tried", bridgesSeen, verticesSeen, whole)
	}
}

func diameter(n int, links [][2]int) int {
	const far = 1000
	d := make([][]int, n)
	for i := range d {
		d[i] = slices.Repeat([]int{far}, n)
		d[i][i] = 0
	}
	for _, l := range links {
		d[l[0]][l[1]], d[l[1]][l[0]] = 1, 1
	}
	longest := 0
	for k := range n {
		for i := range n {
			for j := range n {
				d[i][j] = min(d[i][j], d[i][k]+d[k][j])
			}
		}
	}
	for i := range n {
		longest = max(longest, slices.Max(d[i]))
	}
	return longest
}

func TestDifferences(t *testing.T) {
	for _, c := range []struct{ ours, theirs, want string }{
		{"A:B", "", ""},
		{"A:B,A:C", "A:B,B:C", "A:C only here, B:C only there"},
		{"A:B", strings.Repeat("x,", 40) + "A:B", strings.Repeat("x only there, ", 32) + "8 more"},
		{"A:B", "A:B," + strings.Repeat("x", 100), strings.Repeat("x", 65) + " only there"},
	} {
		if got := Differences(c.ours, c.theirs); got != c.want {
			t.Errorf("%q and %q: %q, want %q", c.ours, c.theirs, got, c.want)
		}
	}
}
