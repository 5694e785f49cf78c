package topology

import (
	"slices"

	"herd/node/line"
)

// Loss is a link or a server without which the herd falls apart.
type Loss struct {
	Link   *[2]line.NodeName `json:"link,omitempty"`
	Node   line.NodeName     `json:"node,omitempty"`
	CutOff []line.NodeName   `json:"cut_off"` // from most of the others
}

// Weak returns the bridges, links without which the herd falls in two, and the cut vertices, servers without which the others do,
// both in the order they were given in. What is cut off is all that is outside the largest part that is left; of equal parts,
// outside the one whose first server was given first.
//
// One depth-first search finds them: the part below a server hangs on it alone if no link leads from that part to a server found
// earlier (Hopcroft and Tarjan, Communications of the ACM 16, 1973).
func (t *Topology) Weak() (bridges, vertices []Loss) {
	s := t.depthFirst()
	number := t.numbers()
	for _, l := range t.links {
		a, b := number[l[0]], number[l[1]]
		if s.parent[a] == b {
			a, b = b, a
		}
		if s.parent[b] == a && s.low[b] == s.found[b] {
			bridges = append(bridges, Loss{Link: &l, CutOff: s.cutOff(-1, []int{b}, len(t.nodes)-s.size[b])})
		}
	}
	for i, n := range t.nodes {
		var parts []int
		rest := len(t.nodes) - 1
		for _, child := range s.children[i] {
			if s.low[child] >= s.found[i] {
				parts, rest = append(parts, child), rest-s.size[child]
			}
		}
		if len(parts) > 1 || len(parts) == 1 && rest > 0 {
			vertices = append(vertices, Loss{Node: n, CutOff: s.cutOff(i, parts, rest)})
		}
	}
	return bridges, vertices
}

// depthFirst is a depth-first search from the first server, by their numbers.
type depthFirst struct {
	topology *Topology
	adjacent [][]int // by server, its neighbours
	order    []int   // the servers in the order they were found in; those below a server follow it
	found    []int   // by server, its place in order
	parent   []int   // by server, the one it was found from; −1: none
	children [][]int // by server, those that were found from it
	size     []int   // by server, how many are below it, with itself
	first    []int   // by server, the smallest number among these
	low      []int   // by server, the earliest place that a link leads to from these, but for the one it was found over
}

func (t *Topology) depthFirst() *depthFirst {
	n := len(t.nodes)
	s := &depthFirst{
		topology: t, adjacent: t.adjacent(), found: slices.Repeat([]int{-1}, n), parent: slices.Repeat([]int{-1}, n),
		children: make([][]int, n), size: make([]int, n), first: make([]int, n), low: make([]int, n),
	}
	s.visit(0)
	return s
}

func (s *depthFirst) visit(i int) {
	s.found[i], s.low[i], s.size[i], s.first[i] = len(s.order), len(s.order), 1, i
	s.order = append(s.order, i)
	for _, peer := range s.adjacent[i] {
		switch {
		case s.found[peer] < 0:
			s.parent[peer], s.children[i] = i, append(s.children[i], peer)
			s.visit(peer)
			s.size[i], s.first[i], s.low[i] = s.size[i]+s.size[peer], min(s.first[i], s.first[peer]), min(s.low[i], s.low[peer])
		case peer != s.parent[i]:
			s.low[i] = min(s.low[i], s.found[peer])
		}
	}
}

// below returns server i and those below it.
func (s *depthFirst) below(i int) []int { return s.order[s.found[i] : s.found[i]+s.size[i]] }

// cutOff returns the servers outside the largest part, but for one server, or −1, in the order they were given in. The parts are
// what is below some servers, and a rest of so many servers, which has the first server.
func (s *depthFirst) cutOff(but int, parts []int, rest int) (others []line.NodeName) {
	largest, most := -1, rest // −1: the rest
	for _, p := range parts {
		if s.size[p] > most || s.size[p] == most && largest >= 0 && s.first[p] < s.first[largest] {
			largest, most = p, s.size[p]
		}
	}
	outside := make([]bool, len(s.order))
	for _, p := range parts {
		for _, i := range s.below(p) {
			outside[i] = true
		}
	}
	if largest >= 0 {
		for i := range outside {
			outside[i] = true
		}
		for _, i := range s.below(largest) {
			outside[i] = false
		}
	}
	for i, name := range s.topology.nodes {
		if outside[i] && i != but {
			others = append(others, name)
		}
	}
	return others
}
