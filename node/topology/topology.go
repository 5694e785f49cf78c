// Package topology is the graph of a herd: the names of its servers, the links between them, questions to that graph, and its layout in
// pictures.
package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"herd/node/line"
)

// Topology is the graph of a herd: which servers are neighbours. It is connected and does not change.
type Topology struct {
	nodes      []line.NodeName
	links      [][2]line.NodeName
	neighbours map[line.NodeName][]line.NodeName
	every      map[[2]line.NodeName]time.Duration // by sender and receiver
}

// Pace says that a server sends a neighbour a report of one client at most once in Every.
type Pace struct {
	From, To line.NodeName
	Every    time.Duration
}

// New returns the graph of these nodes and links. Its error joins everything that is wrong with them: no nodes,
// names that are not valid, nodes and links given twice (a link has no direction), links of a node to itself or to
// an unknown one, paces without a link, given twice or not positive, and, when all that is right, parts that no link
// joins to the rest.
func New(nodes []line.NodeName, links [][2]line.NodeName, paces ...Pace) (*Topology, error) {
	t := &Topology{neighbours: make(map[line.NodeName][]line.NodeName), every: make(map[[2]line.NodeName]time.Duration)}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(nodes) == 0 {
		fault("no nodes")
	}
	for _, n := range nodes {
		if _, twice := t.neighbours[n]; twice {
			fault("node %s is given twice", n)
			continue
		}
		if !line.ValidName(n) {
			fault("node name %q is not 1 to %d letters, digits, '_' or '-'", n, line.MaxName)
		}
		t.nodes = append(t.nodes, n)
		t.neighbours[n] = nil
	}
	seen := make(map[[2]line.NodeName]bool)
	for _, l := range links {
		a, b := l[0], l[1]
		known := true
		for _, n := range l {
			if _, ok := t.neighbours[n]; !ok {
				fault("link %s–%s: no node is named %q", a, b, n)
				known = false
			}
		}
		switch {
		case !known:
		case a == b:
			fault("link %s–%s joins a node to itself", a, b)
		case seen[l] || seen[[2]line.NodeName{b, a}]:
			fault("link %s–%s is given twice", a, b)
		default:
			seen[l] = true
			t.links = append(t.links, l)
			t.neighbours[a] = append(t.neighbours[a], b)
			t.neighbours[b] = append(t.neighbours[b], a)
		}
	}
	faults = append(faults, t.addPaces(paces)...)
	if len(faults) == 0 {
		for _, island := range t.islands()[1:] {
			fault("no link joins %s to %s", join(island), t.nodes[0])
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return t, nil
}

// addPaces adds paces of links, and returns what is wrong with them.
func (t *Topology) addPaces(paces []Pace) (faults []error) {
	for _, p := range paces {
		switch d := [2]line.NodeName{p.From, p.To}; {
		case !slices.Contains(t.neighbours[p.From], p.To):
			faults = append(faults, fmt.Errorf("every %s from %s to %s: there is no link", p.Every, p.From, p.To))
		case p.Every <= 0:
			faults = append(faults, fmt.Errorf("every %s from %s to %s is not positive", p.Every, p.From, p.To))
		case t.every[d] > 0:
			faults = append(faults, fmt.Errorf("every is given twice from %s to %s", p.From, p.To))
		default:
			t.every[d] = p.Every
		}
	}
	return faults
}

func join(names []line.NodeName) string {
	var s []string
	for _, n := range names {
		s = append(s, string(n))
	}
	return strings.Join(s, ", ")
}

// Nodes returns the servers, in the order they were given in.
func (t *Topology) Nodes() []line.NodeName { return t.nodes }

// Links returns the links, in the order they were given in.
func (t *Topology) Links() [][2]line.NodeName { return t.links }

// Neighbours returns the neighbours of a server, in the order of the links.
func (t *Topology) Neighbours(n line.NodeName) []line.NodeName { return t.neighbours[n] }

// Has reports whether n is a server of the herd.
func (t *Topology) Has(n line.NodeName) bool {
	_, ok := t.neighbours[n]
	return ok
}

// Every returns how long a server lets pass, at least, between two windows in each of which it sends a neighbour one report of a client; 0 if
// it sends each report at once. It is no part of Text and Fingerprint: neighbours need not agree on it.
func (t *Topology) Every(from, to line.NodeName) time.Duration {
	return t.every[[2]line.NodeName{from, to}]
}

// FloodCost returns how many messages it takes to send one report to every server when the herd is idle: 2E − (N − 1).
func (t *Topology) FloodCost() int { return 2*len(t.links) - (len(t.nodes) - 1) }

// Text returns the links as one word, A:B,A:C and so on: each with its ends, and all of them, in alphabetical order, and a node
// without links alone.
func (t *Topology) Text() string {
	var words []string
	for _, l := range t.links {
		words = append(words, LinkText(l[0], l[1]))
	}
	for _, n := range t.nodes {
		if len(t.neighbours[n]) == 0 {
			words = append(words, string(n))
		}
	}
	slices.Sort(words)
	return strings.Join(words, ",")
}

// LinkText writes a link as Text does: its ends in alphabetical order, with a colon between them.
func LinkText(a, b line.NodeName) string { return string(min(a, b)) + ":" + string(max(a, b)) }

// Fingerprint returns the xxHash64 of Text.
func (t *Topology) Fingerprint() uint64 { return xxhash.Sum64String(t.Text()) }

const shownLinks = 32 // of those that differ

// Differences says which links only one of two texts has, ours or a neighbour's: some of them, if they are many or too long to be links.
func Differences(ours, theirs string) string {
	if theirs == "" {
		return ""
	}
	a, b := strings.Split(ours, ","), strings.Split(theirs, ",")
	words := slices.Concat(only(a, b, "here"), only(b, a, "there"))
	if more := len(words) - shownLinks; more > 0 {
		words = append(words[:shownLinks], fmt.Sprintf("%d more", more))
	}
	return strings.Join(words, ", ")
}

func only(these, others []string, where string) (words []string) {
	known := make(map[string]bool, len(others))
	for _, w := range others {
		known[w] = true
	}
	for _, w := range these {
		if !known[w] {
			words = append(words, w[:min(len(w), 2*line.MaxName+1)]+" only "+where)
		}
	}
	return words
}

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
	adjacent, longest := t.adjacent(), 0
	distance, reached := make([]int, len(t.nodes)), make([]int, 0, len(t.nodes))
	for from := range t.nodes {
		for i := range distance {
			distance[i] = -1
		}
		distance[from], reached = 0, append(reached[:0], from)
		for at := 0; at < len(reached); at++ {
			for _, peer := range adjacent[reached[at]] {
				if distance[peer] < 0 {
					distance[peer], reached = distance[reached[at]]+1, append(reached, peer)
				}
			}
		}
		longest = max(longest, distance[reached[len(reached)-1]])
	}
	return longest
}

// numbers returns the numbers of the servers, in the order they were given in.
func (t *Topology) numbers() map[line.NodeName]int {
	number := make(map[line.NodeName]int, len(t.nodes))
	for i, n := range t.nodes {
		number[n] = i
	}
	return number
}

// adjacent returns the neighbours of each server, by their numbers.
func (t *Topology) adjacent() [][]int {
	number, adjacent := t.numbers(), make([][]int, len(t.nodes))
	for i, n := range t.nodes {
		for _, peer := range t.neighbours[n] {
			adjacent[i] = append(adjacent[i], number[peer])
		}
	}
	return adjacent
}
