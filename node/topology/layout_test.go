package topology

import (
	"slices"
	"strconv"
	"testing"

	"herd/node/line"
)

// check finds what a picture must not have, and counts its crossings.
func check(t *testing.T, at []Point, links [][2]int, columns int) (crossings, hiding int) {
	t.Helper()
	for i, p := range at {
		if p.Column < 0 || p.Column >= columns || p.Row < 0 {
			t.Errorf("%d is at %v, outside", i, p)
		}
		for _, o := range at[:i] {
			if p.Row == o.Row && abs(p.Column-o.Column) < 2 {
				t.Errorf("%v lies on %v", p, o)
			}
		}
	}
	for i, l := range links {
		for _, o := range links[:i] {
			if crosses(at[l[0]], at[l[1]], at[o[0]], at[o[1]]) {
				crossings++
			}
		}
		for n, p := range at {
			if n != l[0] && n != l[1] && behind(at[l[0]], at[l[1]], p) {
				hiding++
			}
		}
	}
	return crossings, hiding
}

// numbered returns the topology of servers that are named for their numbers.
func numbered(t *testing.T, servers int, links [][2]int) *Topology {
	name := func(i int) line.NodeName { return line.NodeName(strconv.Itoa(i)) }
	nodes, named := make([]line.NodeName, servers), make([][2]line.NodeName, len(links))
	for i := range nodes {
		nodes[i] = name(i)
	}
	for i, l := range links {
		named[i] = [2]line.NodeName{name(l[0]), name(l[1])}
	}
	graph, err := New(nodes, named)
	if err != nil {
		t.Fatal(err)
	}
	return graph
}

// Graphs that can be drawn without crossings are; whatever the graph, servers do not lie on each other, and it is the same picture again.
func TestPlace(t *testing.T) {
	chain := func(n int) (links [][2]int) {
		for i := range n - 1 {
			links = append(links, [2]int{i, i + 1})
		}
		return links
	}
	star := func(n int) (links [][2]int) {
		for i := range n - 1 {
			links = append(links, [2]int{0, i + 1})
		}
		return links
	}
	var all [][2]int
	for i := range 6 {
		for j := range i {
			all = append(all, [2]int{j, i})
		}
	}
	for _, tt := range []struct {
		name             string
		servers, columns int
		links            [][2]int
		most             int // crossings
	}{
		{"one", 1, 9, nil, 0},
		{"two", 2, 9, chain(2), 0},
		{"narrow", 5, 1, chain(5), 0},
		{"line", 12, 9, chain(12), 0},
		{"ring", 12, 9, append(chain(12), [2]int{11, 0}), 0},
		{"star", 7, 11, star(7), 0},
		{"campus", 5, 12, [][2]int{{0, 1}, {0, 2}, {0, 4}, {1, 4}, {2, 3}, {2, 4}}, 0},
		{"all to all", 6, 11, all, 8},
		{"many", 60, 11, chain(60), 5},
	} {
		graph := numbered(t, tt.servers, tt.links)
		at := graph.Place(tt.columns)
		crossings, hiding := check(t, at, tt.links, tt.columns)
		if len(at) != tt.servers || crossings > tt.most || hiding > tt.most {
			t.Errorf("%s: %d crossings, %d links behind servers: %v", tt.name, crossings, hiding, at)
		}
		if tt.servers < 7 && !slices.Equal(at, graph.Place(tt.columns)) {
			t.Errorf("%s: placed twice, it differs", tt.name)
		}
	}
}

func TestPlane(t *testing.T) {
	if !crosses(Point{0, 0}, Point{2, 2}, Point{2, 0}, Point{0, 2}) || crosses(Point{0, 0}, Point{2, 2}, Point{0, 0}, Point{0, 2}) ||
		crosses(Point{0, 0}, Point{1, 1}, Point{2, 0}, Point{2, 2}) {
		t.Error("crosses is wrong")
	}
	for _, tt := range []struct {
		a, b, p Point
		want    bool
	}{
		{Point{0, 0}, Point{4, 0}, Point{2, 0}, true},
		{Point{0, 0}, Point{4, 0}, Point{6, 0}, false},
		{Point{0, 0}, Point{4, 0}, Point{2, 1}, false},
		{Point{0, 0}, Point{0, 2}, Point{0, 1}, true},
		{Point{0, 2}, Point{0, 0}, Point{0, 1}, true},
		{Point{0, 0}, Point{0, 2}, Point{1, 1}, false},
		{Point{0, 0}, Point{2, 2}, Point{1, 1}, true},
		{Point{0, 0}, Point{9, 1}, Point{2, 0}, true}, // it leaves its row on and on
		{Point{9, 1}, Point{0, 0}, Point{2, 0}, true},
		{Point{0, 0}, Point{9, 1}, Point{7, 1}, true},
		{Point{0, 0}, Point{2, 1}, Point{2, 0}, false},
		{Point{0, 0}, Point{2, 1}, Point{-2, 0}, false},
	} {
		if got := behind(tt.a, tt.b, tt.p); got != tt.want {
			t.Errorf("from %v to %v, behind %v: %v", tt.a, tt.b, tt.p, got)
		}
	}
}
