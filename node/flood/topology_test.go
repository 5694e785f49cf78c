package flood

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTopologyFaults(t *testing.T) {
	_, err := NewTopology([]NodeName{"A", "B", "A", "x y", ""}, [][2]NodeName{
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
	_, err = NewTopology([]NodeName{"A", "B", "C", "D", "E"}, [][2]NodeName{{"A", "C"}, {"B", "D"}})
	if want := "no link joins B, D to A\nno link joins E to A"; err == nil || err.Error() != want {
		t.Errorf("islands: %v, want %s", err, want)
	}
	if _, err = NewTopology(nil, nil); err == nil || err.Error() != "no nodes" {
		t.Errorf("no nodes: %v", err)
	}
}

func TestCampus(t *testing.T) {
	topo := campus(t)
	bridges, vertices := topo.Weak()
	got := fmt.Sprint(topo.Neighbours("Goloman"), topo.Neighbours("Wilkes"), topo.Diameter(), topo.Hops("Hands", "Welsh"), bridges, vertices)
	want := "[Hands Holiday Wilkes] [Goloman Hands Holiday] 3 3 [[Holiday Welsh]] [Holiday]"
	if got != want {
		t.Errorf("campus: %s, want %s", got, want)
	}
	if topo.Has("Nobody") || !topo.Has("Welsh") {
		t.Error("Has is wrong")
	}
}

// without returns whether the graph stays whole without one node or one link.
func without(topo *Topology, node NodeName, link [2]NodeName) bool {
	rest := &Topology{neighbours: make(map[NodeName][]NodeName)}
	for _, n := range topo.nodes {
		if n != node {
			rest.nodes = append(rest.nodes, n)
		}
	}
	for _, l := range topo.links {
		if l != link && l[0] != node && l[1] != node {
			rest.neighbours[l[0]] = append(rest.neighbours[l[0]], l[1])
			rest.neighbours[l[1]] = append(rest.neighbours[l[1]], l[0])
		}
	}
	return len(rest.islands()) <= 1
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
		topo := topology(t, n, links...)
		var bridges [][2]NodeName
		var vertices []NodeName
		for _, l := range topo.links {
			if !without(topo, "", l) {
				bridges = append(bridges, l)
			}
		}
		for _, v := range topo.nodes {
			if !without(topo, v, [2]NodeName{}) {
				vertices = append(vertices, v)
			}
		}
		gotBridges, gotVertices := topo.Weak()
		if !slices.Equal(gotBridges, bridges) || !slices.Equal(gotVertices, vertices) {
			t.Fatalf("seed %d: links %v: bridges %v, cut vertices %v; want %v, %v", seed, topo.links, gotBridges, gotVertices, bridges, vertices)
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

// A neighbour that says of each heartbeat something else, as twins do or who means ill, does not fill the log.
func TestNoticesBounded(t *testing.T) {
	var notices []Notice
	e := NewEngine(Config{Name: "A", Topology: star(t, "A", "B"), Notice: func(n Notice) { notices = append(notices, n) }})
	now := time.Unix(1_700_000_000, 0)
	e.Connect(now)
	for i := range 600 {
		b := heartbeat{incarnation: Incarnation{1}, cutoff: keepAll, topology: uint64(i), retention: time.Duration(i % 2)}
		payload := append(b.append(nil), " links="+strings.Repeat(strings.Repeat("x", i)+",", 40)...)
		if err := e.Links()[0].Take(now, Message{Kind: Heartbeat, Payload: payload}, nil); err != nil {
			t.Fatal(err)
		}
		now = now.Add(100 * time.Millisecond)
	}
	count := make(map[What]int)
	for _, n := range notices {
		count[n.What]++
		if len(n.Text) > 4000 {
			t.Errorf("a notice of %d bytes", len(n.Text))
		}
	}
	if count[OtherTopology] != 1 || count[OtherRetention] != 1 {
		t.Errorf("in a minute %d notices of topology, %d of retention", count[OtherTopology], count[OtherRetention])
	}
	if s := e.Links()[0].Status(); s.Topology || len(s.Differences) > 4000 {
		t.Errorf("status %+v", s)
	}
}

func TestDifferences(t *testing.T) {
	for _, c := range []struct{ ours, theirs, want string }{
		{"A:B", "", ""},
		{"A:B,A:C", "A:B,B:C", "A:C only here, B:C only there"},
		{"A:B", strings.Repeat("x,", 40) + "A:B", strings.Repeat("x only there, ", 32) + "8 more"},
		{"A:B", "A:B," + strings.Repeat("x", 100), strings.Repeat("x", 65) + " only there"},
	} {
		if got := differences(c.ours, c.theirs); got != c.want {
			t.Errorf("%q and %q: %q, want %q", c.ours, c.theirs, got, c.want)
		}
	}
}
