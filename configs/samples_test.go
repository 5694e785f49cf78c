package configs

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"herd/node/line"

	"go.yaml.in/yaml/v3"
)

var campus = []Node{
	{"Goloman", "127.0.0.1:12125", "127.0.0.1:8125"},
	{"Hands", "127.0.0.1:12126", "127.0.0.1:8126"},
	{"Holiday", "127.0.0.1:12127", "127.0.0.1:8127"},
	{"Welsh", "127.0.0.1:12128", "127.0.0.1:8128"},
	{"Wilkes", "127.0.0.1:12129", "127.0.0.1:8129"},
}

func TestDefaults(t *testing.T) {
	got := defaultConfig(t)
	want := &Config{
		Herd:  "herd",
		Nodes: campus,
		Links: []Link{
			{Ends: [2]line.NodeName{"Goloman", "Hands"}},
			{Ends: [2]line.NodeName{"Goloman", "Holiday"}},
			{Ends: [2]line.NodeName{"Goloman", "Wilkes"}},
			{Ends: [2]line.NodeName{"Hands", "Wilkes"}},
			{Ends: [2]line.NodeName{"Holiday", "Welsh"}},
			{Ends: [2]line.NodeName{"Holiday", "Wilkes"}},
		},
		Bus:      Bus{Listen: "127.0.0.1:4222"},
		TLS:      TLS{Clients: "none"},
		Places:   Places{Provider: "gazetteer", Rate: 10, Fallback: "gazetteer", Timeout: 2 * time.Second},
		Store:    Store{Mode: "interval"},
		Limits:   Limits{Idle: time.Hour, Line: 30 * time.Second, Write: 30 * time.Second, CatchUp: 30 * time.Second},
		HTTP:     HTTP{Observe: "auto"},
		Trace:    Trace{OneIn: 100},
		Log:      Log{Level: "info", Format: "console"},
		topology: got.topology,
		sources:  got.sources,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// herd.yaml holds every key of Config and Node, and no other, in their order.
func TestDefaultsAreComplete(t *testing.T) {
	l := readYAML(defaults, Source{Kind: "default"})
	if len(l.faults) > 0 {
		t.Fatal(&Error{l.faults})
	}
	var root yaml.Node
	if err := yaml.Unmarshal(defaults, &root); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, k := range configKeys {
		want = append(want, k.name)
		if k.name == "nodes" {
			for range campus {
				for _, n := range nodeKeys {
					want = append(want, "nodes."+n.name)
				}
			}
		}
		if k.scalar() && k.help == "" {
			t.Errorf("%s has no help", k.name)
		}
		if k.is != "" && k.is != "positive" && checks[k.is] == nil {
			t.Errorf("%s: no check %q", k.name, k.is)
		}
	}
	if got := leaves(root.Content[0], ""); !slices.Equal(got, want) {
		t.Errorf("herd.yaml has\n%v\nwant\n%v", got, want)
	}
}

// leaves lists the dotted keys of a YAML tree; a list has its own, followed by those of its entries.
func leaves(n *yaml.Node, at string) []string {
	var list []string
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			list = append(list, leaves(n.Content[i+1], strings.TrimPrefix(at+"."+n.Content[i].Value, "."))...)
		}
	case yaml.SequenceNode:
		list = append(list, at)
		for _, entry := range n.Content {
			if entry.Kind == yaml.MappingNode {
				list = append(list, leaves(entry, at)...)
			}
		}
	default:
		list = append(list, at)
	}
	return list
}

func TestNode(t *testing.T) {
	c := defaultConfig(t)
	if n, ok := c.Node("Welsh"); !ok || n != campus[3] {
		t.Errorf("Node(Welsh) = %v, %t", n, ok)
	}
	if n, ok := c.Node("welsh"); ok {
		t.Errorf("Node(welsh) = %v", n)
	}
}

func TestRing(t *testing.T) {
	c, err := Load("ring.yaml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Nodes, campus) {
		t.Errorf("nodes %v", c.Nodes)
	}
	for _, n := range c.Topology().Nodes() {
		if got := c.Topology().Neighbours(n); len(got) != 2 {
			t.Errorf("%s has neighbours %v", n, got)
		}
	}
}

// regions.yaml stays connected without any one link or node.
func TestRegions(t *testing.T) {
	c, err := Load("regions.yaml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bridges, vertices := c.Topology().Weak(); len(c.Nodes) != 20 || len(bridges)+len(vertices) > 0 {
		t.Errorf("%d nodes, bridges %v, cut vertices %v", len(c.Nodes), bridges, vertices)
	}
	east := make(map[line.NodeName]bool)
	for _, n := range c.Nodes[10:] {
		east[n.Name] = true
	}
	ends := make(map[line.NodeName]int)
	crossing := 0
	for _, l := range c.Links {
		if east[l.Ends[0]] != east[l.Ends[1]] {
			crossing++
			ends[l.Ends[0]]++
			ends[l.Ends[1]]++
		}
	}
	if crossing < 3 || len(ends) != 2*crossing {
		t.Errorf("%d links between the regions, with ends %v", crossing, ends)
	}
}

// hardened.yaml is the campus with every limit set; it changes the log and the bus, and nothing else.
func TestHardened(t *testing.T) {
	c, err := Load("hardened.yaml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig(t)
	if !slices.Equal(c.Nodes, campus) || !slices.Equal(c.Links, want.Links) {
		t.Errorf("nodes %v, links %v", c.Nodes, c.Links)
	}
	want.Bus.Listen, want.Log.Level = "", "warn"
	want.Limits = Limits{
		Future: time.Minute, Idle: 5 * time.Minute, Line: 10 * time.Second, Write: 10 * time.Second,
		Connections: 4000, PerAddress: 32, Rate: 10, NewClients: 60, CatchUp: 30 * time.Second,
	}
	want.topology, want.sources = c.topology, c.sources
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

// Every sample of this folder loads. The alerts are for Prometheus, see TestPromtool of cmd/herd.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasPrefix(f, "alerts") })
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if _, err := Load(file, nil, nil); err != nil {
			t.Error(err)
		}
	}
}
