//go:build numbers

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"herd/configs"
)

// TestCold has a node that knows nothing take a million clients from its neighbour, and the neighbour's own clients report meanwhile.
// Each node is a process, the neighbour's with the NATS server in it: make numbers.
func TestCold(t *testing.T) {
	const clients = 1_000_000
	program, dir := buildHerd(t), t.TempDir()
	var free [5]string
	var held [5]net.Listener
	for i := range free {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free[i], held[i] = l.Addr().String(), l
	}
	for _, l := range held {
		_ = l.Close()
	}
	file := filepath.Join(dir, "herd.yaml")
	text := fmt.Sprintf("nodes: [{name: Goloman, listen: %q, http: %q}, {name: Hands, listen: %q, http: %q}]\nlinks: [[Goloman, Hands]]\n"+
		"bus: {listen: %q, keys: %q}\nlog: {level: warn}\n", free[0], free[1], free[2], free[3], free[4], filepath.Join(dir, "keys"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	herd := func(args ...string) *exec.Cmd {
		c := exec.Command(program, append(args, "--config", file)...)
		c.Stderr, c.SysProcAttr = os.Stderr, endsWithTest
		return c
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	start := func(args ...string) {
		t.Helper()
		c := herd(args...)
		must(c.Start())
		t.Cleanup(func() {
			_ = c.Process.Kill()
			_ = c.Wait()
		})
	}
	until := func(n configs.Node) {
		t.Helper()
		deadline := time.Now().Add(time.Minute)
		for tick := time.Tick(20 * time.Millisecond); health(n).Clients < clients || !health(n).Ready; <-tick {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v after a minute", n.Name, health(n))
			}
		}
	}
	var lines strings.Builder
	for i := range clients {
		fmt.Fprintf(&lines, "Goloman +0.263873386 client%07d.example +34.068930-118.445127 1520023934.918963997\n", i)
	}
	must(os.WriteFile(filepath.Join(dir, "lines"), []byte(lines.String()), 0o600))
	must(herd("bus", "keys", filepath.Join(dir, "keys")).Run())
	must(herd("import", "Goloman", filepath.Join(dir, "lines"), "--store-dir", dir).Run())

	start("up", "--only", "Goloman", "--store-dir", dir)
	until(configs.Node{Name: "Goloman", HTTP: free[1]})
	measure := func(during func()) (p50, p99 time.Duration) {
		stop, took := make(chan struct{}), make(chan []time.Duration)
		go func() { took <- pulse(t, free[0], 20, stop) }()
		during()
		close(stop)
		all := <-took
		return all[len(all)/2], all[len(all)*99/100]
	}
	p50, p99 := measure(func() { <-time.After(10 * time.Second) })
	var cold time.Duration
	p50cold, p99cold := measure(func() {
		began := time.Now()
		start("node", "Hands", "--bus-url", "nats://"+free[4])
		until(configs.Node{Name: "Hands", HTTP: free[3]})
		cold = time.Since(began)
	})
	t.Logf("a million clients in %s", cold)
	t.Logf("replies at the neighbour, p50 and p99: %s %s before, %s %s meanwhile, %.1f × and %.1f ×",
		p50, p99, p50cold, p99cold, float64(p50cold)/float64(p50), float64(p99cold)/float64(p99))
	if cold > 20*time.Second || p99cold > 3*p99 {
		t.Error("that is too long")
	}
}

// pulse reports from so many connections, every 10 ms each and unpipelined, until stop is closed, and returns how long replies took.
func pulse(t testing.TB, address string, connections int, stop <-chan struct{}) []time.Duration {
	var mu sync.Mutex
	var all []time.Duration
	var clients sync.WaitGroup
	for c := range connections {
		clients.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			var took []time.Duration
			for i := 0; ; i++ {
				select {
				case <-stop:
					mu.Lock()
					all = append(all, took...)
					mu.Unlock()
					return
				case <-tick.C:
				}
				began := time.Now()
				fmt.Fprintf(conn, "IAMAT pulse%d +34.068930-118.445127 %d\n", c, 1_600_000_000+i)
				for range 2 {
					if _, err := in.ReadString('\n'); err != nil {
						t.Error(err)
						return
					}
				}
				took = append(took, time.Since(began))
			}
		})
	}
	clients.Wait()
	slices.Sort(all)
	return all
}
