package topology

import "herd/node/line"

// distances returns the distance in links of every node that can be reached from one, and those nodes, nearest first.
func (t *Topology) distances(from line.NodeName) (map[line.NodeName]int, []line.NodeName) {
	distance := map[line.NodeName]int{from: 0}
	reached := []line.NodeName{from}
	for i := 0; i < len(reached); i++ {
		n := reached[i]
		for _, peer := range t.neighbours[n] {
			if _, ok := distance[peer]; !ok {
				distance[peer] = distance[n] + 1
				reached = append(reached, peer)
			}
		}
	}
	return distance, reached
}

// islands returns the connected parts of the graph, each in the order of the nodes.
func (t *Topology) islands() [][]line.NodeName {
	var islands [][]line.NodeName
	island := make(map[line.NodeName]int)
	for _, n := range t.nodes {
		i, ok := island[n]
		if !ok {
			i = len(islands)
			islands = append(islands, nil)
			_, reached := t.distances(n)
			for _, r := range reached {
				island[r] = i
			}
		}
		islands[i] = append(islands[i], n)
	}
	return islands
}

// Distance returns how many links a report crosses on the shortest path from one server to another.
func (t *Topology) Distance(from, to line.NodeName) int {
	distance, _ := t.distances(from)
	return distance[to]
}

// Diameter returns the largest number of links between any two servers.
func (t *Topology) Diameter() int {
	longest := 0
	for _, n := range t.nodes {
		distance, reached := t.distances(n)
		longest = max(longest, distance[reached[len(reached)-1]])
	}
	return longest
}

// Weak returns the bridges, links without which the herd falls in two, and the cut vertices, servers without which the
// others do, both in the order they were given in.
//
// The algorithm is that of Hopcroft and Tarjan (Algorithm 447, CACM 16, 1973): in a depth-first search, low is the
// earliest node that a subtree has a link to. A subtree that reaches no earlier than its parent hangs on that parent; one
// that does not even reach the parent by another link hangs on the link.
func (t *Topology) Weak() (bridges [][2]line.NodeName, vertices []line.NodeName) {
	order := make(map[line.NodeName]int)
	low := make(map[line.NodeName]int)
	bridge := make(map[[2]line.NodeName]bool)
	cut := make(map[line.NodeName]bool)
	var visit func(n, parent line.NodeName)
	visit = func(n, parent line.NodeName) {
		order[n] = len(order) + 1
		low[n] = order[n]
		children := 0
		for _, peer := range t.neighbours[n] {
			if peer == parent {
				continue
			}
			if order[peer] != 0 {
				low[n] = min(low[n], order[peer])
				continue
			}
			children++
			visit(peer, n)
			low[n] = min(low[n], low[peer])
			if low[peer] > order[n] {
				bridge[[2]line.NodeName{n, peer}], bridge[[2]line.NodeName{peer, n}] = true, true
			}
			if parent != "" && low[peer] >= order[n] {
				cut[n] = true
			}
		}
		if parent == "" && children > 1 {
			cut[n] = true
		}
	}
	visit(t.nodes[0], "")
	for _, l := range t.links {
		if bridge[l] {
			bridges = append(bridges, l)
		}
	}
	for _, n := range t.nodes {
		if cut[n] {
			vertices = append(vertices, n)
		}
	}
	return bridges, vertices
}
