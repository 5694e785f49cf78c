package simulate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"herd/node/line"
	"herd/node/topology"
)

// Shape is a kind of topology that can be made for any number of nodes.
type Shape string

// The shapes.
const (
	Line      Shape = "line"
	Ring      Shape = "ring"
	Star      Shape = "star"       // all around the first node
	Tree      Shape = "tree"       // each node has two below it
	Regular   Shape = "regular"    // random, every node with the same number of links
	ScaleFree Shape = "scale-free" // random, a few nodes with many links
)

// Shapes are all of them.
var Shapes = []Shape{Line, Ring, Star, Tree, Regular, ScaleFree}

// NewTopology returns a topology of a shape. Degree is the number of links of each node if it is regular, and of each node that is added
// if it is scale-free; the other shapes do without. The same seed makes the same topology.
func NewTopology(shape Shape, nodes, degree int, seed uint64) (*topology.Topology, error) {
	if nodes < 1 {
		return nil, errors.New("a herd has at least one node")
	}
	if nodes == 1 {
		shape = Line
	}
	rng := rand.New(rand.NewPCG(seed, 0x7368_6170))
	var links [][2]int
	grow := func(parent func(node int) int) {
		for i := 1; i < nodes; i++ {
			links = append(links, [2]int{parent(i), i})
		}
	}
	switch shape {
	case Line, Ring:
		grow(func(node int) int { return node - 1 })
		if shape == Ring && nodes > 2 {
			links = append(links, [2]int{nodes - 1, 0})
		}
	case Star:
		grow(func(int) int { return 0 })
	case Tree:
		grow(func(node int) int { return (node - 1) / 2 })
	case Regular:
		if degree < 2 || degree >= nodes || nodes*degree%2 != 0 {
			return nil, fmt.Errorf("%d nodes cannot all have %d links: at least 2, fewer than nodes, and both numbers not odd", nodes, degree)
		}
		links = regular(rng, nodes, degree)
	case ScaleFree:
		if degree < 1 || degree >= nodes {
			return nil, fmt.Errorf("%d nodes cannot come with %d links each: at least 1, fewer than nodes", nodes, degree)
		}
		links = scaleFree(rng, nodes, degree)
	default:
		return nil, fmt.Errorf("no shape is named %q", shape)
	}
	return named(nodes, links)
}

// named returns the topology of nodes n1, n2 and so on.
func named(nodes int, links [][2]int) (*topology.Topology, error) {
	names := make([]line.NodeName, nodes)
	for i := range names {
		names[i] = line.NodeName("n" + strconv.Itoa(i+1))
	}
	pairs := make([][2]line.NodeName, len(links))
	for i, l := range links {
		pairs[i] = [2]line.NodeName{names[l[0]], names[l[1]]}
	}
	return topology.New(names, pairs)
}

// regular returns the links of a random connected graph in which each node has degree of them: the ends of links are joined at random,
// and links that may not be are exchanged with others (pairing, Bollobás 1980, repaired by switching, McKay and Wormald 1990).
func regular(rng *rand.Rand, nodes, degree int) [][2]int {
	for {
		ends := make([]int, 0, nodes*degree)
		for i := range nodes {
			for range degree {
				ends = append(ends, i)
			}
		}
		rng.Shuffle(len(ends), func(i, j int) { ends[i], ends[j] = ends[j], ends[i] })
		links := make([][2]int, 0, len(ends)/2)
		count := make(map[[2]int]int)
		for i := 0; i < len(ends); i += 2 {
			l := link(ends[i], ends[i+1])
			links = append(links, l)
			count[l]++
		}
		if exchange(rng, links, count) {
			if _, disconnected := named(nodes, links); disconnected == nil {
				return links
			}
		}
	}
}

func link(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }

// exchange rids links of those from a node to itself, and of those that are there twice. It returns false, rarely, when that takes long.
func exchange(rng *rand.Rand, links [][2]int, count map[[2]int]int) bool {
	bad := func(l [2]int) bool { return l[0] == l[1] || count[l] > 1 }
	for i := range links {
		for tries := 0; bad(links[i]); tries++ {
			if tries == 100*len(links) {
				return false
			}
			j := rng.IntN(len(links))
			a, b := links[i], links[j]
			if rng.IntN(2) == 0 {
				b[0], b[1] = b[1], b[0]
			}
			c, d := link(a[0], b[0]), link(a[1], b[1])
			if i == j || c == d || c[0] == c[1] || d[0] == d[1] || count[c] > 0 || count[d] > 0 {
				continue
			}
			count[a]--
			count[links[j]]--
			count[c]++
			count[d]++
			links[i], links[j] = c, d
		}
	}
	return true
}

// scaleFree returns the links of a graph that grows: each node that comes has links to degree others, which are the more likely the
// more links they have (Barabási and Albert, Science 286, 1999). It begins with degree + 1 nodes that are all linked.
func scaleFree(rng *rand.Rand, nodes, degree int) (links [][2]int) {
	var ends []int // each node as often as it has links
	add := func(a, b int) {
		links = append(links, [2]int{a, b})
		ends = append(ends, a, b)
	}
	for i := range degree + 1 {
		for j := range i {
			add(j, i)
		}
	}
	for i := degree + 1; i < nodes; i++ {
		chosen := make([]int, 0, degree)
		for len(chosen) < degree {
			peer := ends[rng.IntN(len(ends))]
			if !slices.Contains(chosen, peer) {
				chosen = append(chosen, peer)
			}
		}
		for _, peer := range chosen {
			add(peer, i)
		}
	}
	return links
}
