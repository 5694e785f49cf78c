//go:build lab

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"herd/configs"
	"herd/node/line"
)

// shape is a topology: nodes and their links.
type shape struct {
	nodes []string
	links [][2]string
}

var single = shape{nodes: []string{"Goloman"}}

// campusShape is the default topology.
func campusShape(t testing.TB) (s shape) {
	t.Helper()
	config, err := configs.Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range config.Nodes {
		s.nodes = append(s.nodes, string(n.Name))
	}
	for _, l := range config.Links {
		s.links = append(s.links, [2]string{string(l.Ends[0]), string(l.Ends[1])})
	}
	return s
}

// ring returns a ring of so many nodes. If they are more than 14, each also has links to the nodes seven further on either side.
func ring(nodes int) (s shape) {
	name := func(i int) string { return fmt.Sprintf("n%02d", i%nodes) }
	for i := range nodes {
		s.nodes = append(s.nodes, name(i))
		s.links = append(s.links, [2]string{name(i), name(i + 1)})
		if nodes > 14 {
			s.links = append(s.links, [2]string{name(i), name(i + 7)})
		}
	}
	return s
}

// messages is how many lines one report costs on all links together: 2E − (N−1).
func (s shape) messages() int { return 2*len(s.links) - len(s.nodes) + 1 }

// herds is a program and a configuration with free addresses, its log at warn.
type herds struct {
	t       testing.TB
	program string
	file    string
	nodes   []configs.Node
}

func newHerds(t testing.TB, program string, s shape, more string) *herds {
	t.Helper()
	h := &herds{t: t, program: program, file: filepath.Join(t.TempDir(), "herd.yaml")}
	var text strings.Builder
	text.WriteString("nodes:\n")
	free := freeAddresses(t, 2*len(s.nodes))
	for i, name := range s.nodes {
		n := configs.Node{Name: line.NodeName(name), Listen: free[2*i], HTTP: free[2*i+1]}
		h.nodes = append(h.nodes, n)
		fmt.Fprintf(&text, "  - {name: %s, listen: %q, http: %q}\n", name, n.Listen, n.HTTP)
	}
	text.WriteString("links:")
	for _, l := range s.links {
		fmt.Fprintf(&text, "\n  - [%s, %s]", l[0], l[1])
	}
	if len(s.links) == 0 {
		text.WriteString(" []")
	}
	text.WriteString("\nlog: {level: warn}\n" + more)
	if err := os.WriteFile(h.file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// run starts the program for some of the nodes, and returns when it takes connections to the first of them.
func (h *herds) run(nodes []configs.Node, args ...string) *serverProcess {
	h.t.Helper()
	s := &serverProcess{t: h.t, nodes: nodes}
	for _, n := range nodes {
		s.addresses = append(s.addresses, n.Listen)
	}
	return s.serve(h.program, append(args, "--config", h.file)...)
}

// startUp runs herd up with a bus that only its own nodes can reach, and returns when all are ready.
func startUp(t testing.TB, program string, s shape, more string) *serverProcess {
	t.Helper()
	h := newHerds(t, program, s, "bus: {listen: \"\"}\n"+more)
	up := h.run(h.nodes, "up")
	up.ready()
	return up
}

// startOne runs a herd of one node, with such a mode of the store.
func startOne(t testing.TB, program, mode string) *serverProcess {
	t.Helper()
	if mode == "" {
		return startUp(t, program, single, "")
	}
	return startUp(t, program, single, fmt.Sprintf("store: {dir: %q, mode: %s}\n", t.TempDir(), mode))
}

// await returns when a condition holds.
func (s *serverProcess) await(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for tick := time.Tick(time.Millisecond); !holds(); <-tick {
		if time.Now().After(deadline) {
			s.t.Fatalf("not %s after a minute: %s", what, s.stderr)
		}
	}
}

// ready returns when all nodes are, and their links up.
func (s *serverProcess) ready() {
	s.t.Helper()
	s.await("ready", func() bool {
		for _, n := range s.nodes {
			h := health(n)
			for _, l := range h.Links {
				h.Ready = h.Ready && l.State == "up"
			}
			if !h.Ready {
				return false
			}
		}
		return true
	})
}

// equal returns when the digests of these nodes are equal.
func (s *serverProcess) equal(others ...*serverProcess) {
	s.t.Helper()
	s.await("equal", func() bool {
		digest := health(s.nodes[0]).Digest
		for _, p := range append(others, s) {
			for _, n := range p.nodes {
				if health(n).Digest != digest {
					return false
				}
			}
		}
		return true
	})
}

// sentReports counts the reports that the nodes have sent each other, and those that newer ones of the same client replaced before.
func (s *serverProcess) sentReports() (sent, conflated uint64) {
	for _, n := range s.nodes {
		for _, l := range health(n).Links {
			sent += l.ReportsSent
			conflated += l.ReportsConflated
		}
	}
	return sent, conflated
}
