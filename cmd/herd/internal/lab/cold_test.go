//go:build lab

package lab

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
	took, before, meanwhile := newColdStart(t, buildHerd(t), 1_000_000).measure(10 * time.Second)
	t.Logf("a million clients in %s", took)
	t.Logf("replies at the neighbour, p50 and p99: %s %s before, %s %s meanwhile, %.1f × and %.1f ×", before[0], before[1],
		meanwhile[0], meanwhile[1], meanwhile[0].Seconds()/before[0].Seconds(), meanwhile[1].Seconds()/before[1].Seconds())
	if took > 20*time.Second || meanwhile[1] > 3*before[1] {
		t.Error("that is too long")
	}
}

// coldStart is Goloman, which knows so many clients, and Hands, which does not run yet.
type coldStart struct {
	testing.TB
	program, file, bus string
	clients            int
	goloman, hands     configs.Node
}

func newColdStart(t testing.TB, program string, clients int) *coldStart {
	t.Helper()
	dir := t.TempDir()
	free := freeAddresses(t, 5)
	s := &coldStart{
		TB: t, program: program, file: filepath.Join(dir, "herd.yaml"), bus: free[4], clients: clients,
		goloman: configs.Node{Name: "Goloman", Listen: free[0], HTTP: free[1]}, hands: configs.Node{Name: "Hands", Listen: free[2], HTTP: free[3]},
	}
	text := fmt.Sprintf("nodes: [{name: Goloman, listen: %q, http: %q}, {name: Hands, listen: %q, http: %q}]\nlinks: [[Goloman, Hands]]\n"+
		"bus: {listen: %q, keys: %q}\nlog: {level: warn}\n", free[0], free[1], free[2], free[3], free[4], filepath.Join(dir, "keys"))
	s.must(os.WriteFile(s.file, []byte(text), 0o600))
	var lines strings.Builder
	for i := range clients {
		fmt.Fprintf(&lines, "Goloman +0.263873386 client%07d.example +34.068930-118.445127 1520023934.918963997\n", i)
	}
	s.must(os.WriteFile(filepath.Join(dir, "lines"), []byte(lines.String()), 0o600))
	s.must(s.herd("bus", "keys", filepath.Join(dir, "keys")).Run())
	s.must(s.herd("import", "Goloman", filepath.Join(dir, "lines"), "--store-dir", dir).Run())
	t.Cleanup(s.start("up", "--only", "Goloman", "--store-dir", dir))
	s.until(s.goloman)
	return s
}

func (s *coldStart) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *coldStart) herd(args ...string) *exec.Cmd {
	c := exec.Command(s.program, append(args, "--config", s.file)...)
	c.Stderr, c.SysProcAttr = os.Stderr, endsWithTest
	return c
}

// start runs a command until end is called.
func (s *coldStart) start(args ...string) (end func()) {
	s.Helper()
	c := s.herd(args...)
	s.must(c.Start())
	return func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}

// until returns when a node is ready and knows all clients.
func (s *coldStart) until(n configs.Node) {
	s.Helper()
	deadline := time.Now().Add(time.Minute)
	for tick := time.Tick(20 * time.Millisecond); health(n).Clients < s.clients || !health(n).Ready; <-tick {
		if time.Now().After(deadline) {
			s.Fatalf("%s: %+v after a minute", n.Name, health(n))
		}
	}
}

// measure starts Hands and returns how long it takes until it knows all, and the 50th and 99th percentile of replies at Goloman
// for so long before and meanwhile.
func (s *coldStart) measure(quiet time.Duration) (took time.Duration, before, meanwhile [2]time.Duration) {
	s.Helper()
	replies := func(during func()) [2]time.Duration {
		stop, took := make(chan struct{}), make(chan []time.Duration)
		go func() { took <- pulse(s, s.goloman.Listen, 20, stop) }()
		during()
		close(stop)
		all := <-took
		return [2]time.Duration{all[len(all)/2], all[len(all)*99/100]}
	}
	before = replies(func() { <-time.After(quiet) })
	meanwhile = replies(func() {
		began := time.Now()
		end := s.start("node", "Hands", "--bus-url", "nats://"+s.bus)
		defer end()
		s.until(s.hands)
		took = time.Since(began)
	})
	return took, before, meanwhile
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
				for _, start := range []string{"AT Goloman ", "\n"} {
					if l, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(l, start) {
						t.Errorf("client %d is answered %q, %v", c, l, err)
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
