//go:build lab

package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"herd/configs"
	"herd/node/line"
	"herd/node/status"
)

const (
	hubNeighbours = 500
	hubClients    = 8   // of the hub, which report all the time
	hubStale      = 200 // clients that report while all neighbours are frozen
	hubRatio      = 3   // of the clients' p99 while all neighbours return to that while nothing happens
)

// A hub whose 500 neighbours all return at once serves its own clients: their p99 is at most three times what it is otherwise. The hub, its
// neighbours and the NATS server are three processes, of which the neighbours have what the others leave of the machine.
func TestHub(t *testing.T) {
	program := buildHerd(t)
	h := startHub(t, program)
	clients := startHonestClients(t, &configs.Config{Nodes: h.config.Nodes[:1]}, hubClients, false)
	quiet := time.Now()
	time.Sleep(10 * time.Second)
	freeze := time.Now()
	h.neighbours(syscall.SIGSTOP)
	h.await("no neighbour is up", func(l status.Link) bool { return l.State == "down" })
	h.report(hubStale)
	returned := time.Now()
	h.neighbours(syscall.SIGCONT)
	h.await("all neighbours are up and have what they missed", func(l status.Link) bool {
		return l.State == "up" && l.ReportsOwed <= hubClients && l.InFlightBytes < 8<<10
	})
	equal := time.Now()
	before, during := clients.window(reporting, quiet, freeze), clients.window(reporting, returned, equal.Add(time.Second))
	t.Logf("%d neighbours return after %s, all have %d reports after %s; p99 of %d reports %s while nothing happens, of %d %s meanwhile",
		hubNeighbours, returned.Sub(freeze).Round(time.Second), hubStale, equal.Sub(returned).Round(10*time.Millisecond), len(before), before.at(.99), len(during), during.at(.99))
	if ratio := float64(during.at(.99)) / float64(before.at(.99)); ratio > hubRatio {
		t.Errorf("p99 is %.1f times what it was, want at most %d", ratio, hubRatio)
	}
	clients.check()
}

// hub is a node with many neighbours.
type hub struct {
	t      *testing.T
	config *configs.Config
	spokes *exec.Cmd // all neighbours
}

func startHub(t *testing.T, program string) *hub {
	t.Helper()
	addresses := freeAddresses(t, hubNeighbours+3)
	bus, addresses := addresses[0], addresses[1:]
	h := &hub{t: t, config: new(configs.Config)}
	var text, names strings.Builder
	fmt.Fprintf(&text, "nodes:\n  - {name: Hub, listen: %q, http: %q}\n", addresses[0], addresses[1])
	h.config.Nodes = append(h.config.Nodes, configs.Node{Name: "Hub", Listen: addresses[0], HTTP: addresses[1]})
	for i, address := range addresses[2:] {
		name := fmt.Sprintf("N%03d", i)
		fmt.Fprintf(&text, "  - {name: %s, listen: %q}\n", name, address)
		names.WriteString("," + name)
		h.config.Nodes = append(h.config.Nodes, configs.Node{Name: line.NodeName(name), Listen: address})
	}
	text.WriteString("links: [")
	for _, n := range h.config.Nodes[1:] {
		fmt.Fprintf(&text, "[Hub, %s], ", n.Name)
	}
	text.WriteString("]\nlog: {level: warn}\n")
	file := filepath.Join(t.TempDir(), "hub.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(os.Args[0], "-p", bus[strings.LastIndex(bus, ":")+1:], "-a", "127.0.0.1")
	server.Env = append(os.Environ(), programVariable+"=nats-server")
	run := []string{"up", "--config", file, "--bus-url", "nats://" + bus, "--only"}
	node := exec.Command(program, append(slices.Clone(run), "Hub")...)
	h.spokes = exec.Command("chrt", append([]string{"--idle", "0", program}, append(run, names.String()[1:])...)...)
	for _, command := range []*exec.Cmd{server, node, h.spokes} {
		startLogged(t, command)
	}
	h.await("all neighbours are up", func(l status.Link) bool { return l.State == "up" })
	return h
}

func (h *hub) neighbours(signal syscall.Signal) {
	if err := h.spokes.Process.Signal(signal); err != nil {
		h.t.Fatal(err)
	}
}

// await waits until something holds for all links of the hub.
func (h *hub) await(what string, holds func(status.Link) bool) {
	h.t.Helper()
	if _, ok := poll(2*time.Minute, func() bool {
		links := health(h.config.Nodes[0]).Links
		return len(links) == hubNeighbours && !slices.ContainsFunc(links, func(l status.Link) bool { return !holds(l) })
	}); !ok {
		states := make(map[string]int)
		for _, l := range health(h.config.Nodes[0]).Links {
			states[fmt.Sprintf("%s, owed %d, in flight %d KiB", l.State, l.ReportsOwed, l.InFlightBytes>>10)]++
		}
		h.t.Fatalf("not in two minutes: %s; links are %v", what, states)
	}
}

// report has so many clients report at the hub.
func (h *hub) report(clients int) {
	h.t.Helper()
	reporter := &honest{node: h.config.Nodes[0], source: net.IPv4(127, 1, 2, 1)}
	conn, in, err := reporter.dial()
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	for i := range clients {
		reporter.id = fmt.Sprintf("stale-%04d", i)
		if err := reporter.report(conn, in); err != nil {
			h.t.Fatal(err)
		}
	}
}
