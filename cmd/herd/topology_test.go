package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"herd/node/topology"

	"herd/node/line"
)

// Names that are words or no words at all in the language of Graphviz still make a graph: quoted, they are names.
func TestDrawDOT(t *testing.T) {
	nodes := []line.NodeName{"graph", "node", "strict", "a-b", "-1", "9lives", "_", "Edge"}
	var links [][2]line.NodeName
	for _, n := range nodes[1:] {
		links = append(links, [2]line.NodeName{n, nodes[0]})
	}
	topology, err := topology.New(nodes, links)
	if err != nil {
		t.Fatal(err)
	}
	text := string(drawDOT("sub-graph", topology))

	const id = `"([A-Za-z0-9_-]+)"`
	if !regexp.MustCompile(`^graph ` + id + ` \{\n(\t` + id + `( -- ` + id + `)?;\n)*\}\n$`).MatchString(text) {
		t.Fatalf("not a graph in DOT:\n%s", text)
	}
	for _, n := range nodes {
		if !strings.Contains(text, fmt.Sprintf("\t%q;\n", n)) {
			t.Errorf("no node %s", n)
		}
	}
	for _, l := range links {
		if !strings.Contains(text, fmt.Sprintf("\t%q -- %q;\n", l[0], l[1])) {
			t.Errorf("no link %s", linkName(l))
		}
	}
}

// Every link is drawn at both its ends, in a column of its own.
func TestDrawText(t *testing.T) {
	topology, err := topology.New(
		[]line.NodeName{"A", "LongName", "Bo"},
		[][2]line.NodeName{{"A", "LongName"}, {"LongName", "Bo"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	const want = `A ────────── LongName
LongName ─┬─ A
          └─ Bo
Bo ───────── LongName
`
	if got := string(drawText(topology)); got != want {
		t.Errorf("drawn:\n%s\nwant:\n%s", got, want)
	}
}

func TestManyAreCutOff(t *testing.T) {
	nodes := []line.NodeName{"hub"}
	var links [][2]line.NodeName
	for i := range 10 {
		n := line.NodeName(fmt.Sprintf("n%d", i))
		nodes, links = append(nodes, n), append(links, [2]line.NodeName{"hub", n})
	}
	topology, err := topology.New(nodes, links)
	if err != nil {
		t.Fatal(err)
	}
	text := string(assess(topology).text())
	if want := "weak: without the server hub, 9 servers are cut off from the others\n"; !strings.HasSuffix(text, want) {
		t.Errorf("said\n%s\nwant at the end %q", text, want)
	}
}

// Pictures and words tell how often at most links carry a report of one client.
func TestPaces(t *testing.T) {
	topology, err := topology.New(
		[]line.NodeName{"A", "B", "C", "D"},
		[][2]line.NodeName{{"A", "B"}, {"B", "C"}, {"C", "D"}, {"D", "A"}},
		topology.Pace{From: "A", To: "B", Every: 10 * time.Second}, topology.Pace{From: "B", To: "A", Every: 10 * time.Second},
		topology.Pace{From: "B", To: "C", Every: time.Second},
		topology.Pace{From: "C", To: "D", Every: time.Second}, topology.Pace{From: "D", To: "C", Every: 1500 * time.Millisecond},
	)
	if err != nil {
		t.Fatal(err)
	}
	for drawn, want := range map[string][]string{
		string(drawText(topology)):     {"A ─┬─ B every 10s\n   └─ D\n", "B ─┬─ A every 10s\n   └─ C every 1s\n", "C ─┬─ B\n   └─ D every 1s\n"},
		string(drawDOT("h", topology)): {`"A" -- "B" [label="every 10s"];`, `"B" -- "C" [label="to C every 1s"];`, `"C" -- "D" [label="to D every 1s, to C every 1.5s"];`, `"D" -- "A";`},
		string(drawSVG("h", topology)): {"<title>A–B; every 10s</title>", "<title>B–C; to C every 1s</title>", "<title>D–A</title>"},
		string(assess(topology).text()): {
			"every     10s   from A to B, a report of each client at most\n", "every     1.5s  from D to C, a report of each client at most\n",
		},
	} {
		for _, part := range want {
			if !strings.Contains(drawn, part) {
				t.Errorf("drawn:\n%s\nwithout %q", drawn, part)
			}
		}
	}
}
