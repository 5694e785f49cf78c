package node

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"herd/bus"
	"herd/bus/bustest"
)

var update = flag.Bool("update", false, "write what the scenarios print into their files")

// A scenario is a file of steps and of what they print, that is run on nodes in fake time. The steps stand before a line of
// four hyphens, what they print stands after it, up to an empty line:
//
//	# What the scenario shows, and what it would catch.
//	# on: memory nats
//
//	nodes A B
//	link A-B
//	start all
//	iamat A kiwi 1000
//	settle 1s
//	expect known
//	----
//	A, B: kiwi=1000@A
//
// The header says on which bus it is run; what it prints must be the same on each. go test ./node -run Scenarios -update writes what is
// printed on the first one into the file. The steps are the methods of scene that steps names.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, buses, ok := strings.Cut(string(text), "\n# on: ")
		if !ok {
			t.Fatalf("%s does not say on which bus it is to be run", path)
		}
		buses, _, _ = strings.Cut(buses, "\n")
		for i, on := range strings.Fields(buses) {
			t.Run(strings.TrimSuffix(filepath.Base(path), ".txt")+"/"+on, func(t *testing.T) {
				var got string
				synctest.Test(t, func(t *testing.T) { got = play(newScenario(t, on), string(text)) })
				if *update && i == 0 {
					if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				} else if !*update && got != string(text) {
					t.Errorf("%s: it went\n%s", path, difference(string(text), got))
				}
			})
		}
	}
}

// play runs a scenario, and returns its text with what is printed now.
func play(s *scenario, text string) string {
	var out strings.Builder
	for _, block := range strings.SplitAfter(text, "\n\n") {
		steps, _, ok := strings.Cut(block, "\n----\n")
		if !ok {
			out.WriteString(block)
			continue
		}
		out.WriteString(steps + "\n----\n")
		for step := range strings.SplitSeq(steps, "\n") {
			if words := strings.Fields(step); len(words) > 0 && words[0][0] != '#' {
				out.WriteString(s.step(words))
			}
		}
		if strings.HasSuffix(block, "\n\n") {
			out.WriteString("\n")
		}
	}
	return out.String()
}

// difference shows where two texts differ: what stands between the lines that both begin and end with.
func difference(want, got string) string {
	a, b := strings.SplitAfter(want, "\n"), strings.SplitAfter(got, "\n")
	first := 0
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
		first++
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return fmt.Sprintf("from line %d on\n%s\nwant\n%s", first+1, strings.Join(b, ""), strings.Join(a, ""))
}

// newScenario returns an empty scene on a bus.
func newScenario(t *testing.T, on string) *scenario {
	s := &scenario{T: t, network: newNetwork(), nodes: make(map[string]*scenarioNode)}
	switch on {
	case "memory":
		m := bustest.NewMemory()
		s.dialer = func(name string) bus.Dialer { return m.Dialer(name) }
	case "nats":
		s.dialer = func(name string) bus.Dialer {
			if s.server == nil {
				s.server = s.startNATS()
			}
			return s.server.Dialer(name)
		}
	default:
		t.Fatalf("no bus is called %q", on)
	}
	return s
}

// startNATS runs a NATS server that permits all nodes to exchange messages, as far as they are named by now.
func (s *scenario) startNATS() *bus.Server {
	peers := make(map[string][]string)
	for _, from := range s.names {
		for _, to := range s.names {
			if from != to {
				peers[string(from)] = append(peers[string(from)], string(to))
			}
		}
	}
	server, err := bus.StartServer(bus.ServerConfig{Herd: "herd", Neighbours: peers, Log: bustest.SilentLog{}})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		server.Close()
		synctest.Wait()
	})
	return server
}
