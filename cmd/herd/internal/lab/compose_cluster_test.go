//go:build lab

package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	pace     = 100 * time.Millisecond // between reports of a client
	maxStall = 10 * time.Second
)

// brokers are the NATS servers of the cluster and their monitoring.
var brokers = []struct{ service, monitor string }{
	{"nats", monitor}, {"nats-2", "http://127.0.0.1:8223"}, {"nats-3", "http://127.0.0.1:8224"},
}

func brokerNames() []string {
	var names []string
	for _, b := range brokers {
		names = append(names, b.service)
	}
	return names
}

// The whole stack down, and up again as a cluster: servers know what they knew, keys stay.
func testDownAndUp(t *testing.T) {
	before := seeds(t)
	at := report(t, "Hands", "kea")
	reaches(t, "kea", at, everyone()...)
	compose(t, "down")
	compose(t, "--profile", "cluster", "up", "--wait")
	if got, want := services(t, "--profile", "cluster"), running(brokerNames()...); !slices.Equal(got, want) {
		t.Errorf("there is %v, want %v", got, want)
	}
	if !maps.Equal(seeds(t), before) {
		t.Error("nodes have other seeds")
	}
	wantKnown(t, "kea", at, everyone()...)
	connected(t, true, everyone()...)
	clustered(t)
	floods(t, "kea")
}

func testFresh(t *testing.T) {
	before := seeds(t)
	compose(t, "--profile", "cluster", "down", "--volumes")
	compose(t, "up", "--wait")
	for node, seed := range seeds(t) {
		if seed == before[node] {
			t.Errorf("%s has its old seed", node)
		}
	}
	connected(t, true, everyone()...)
	floods(t, "kea")
}

// clustered waits until each NATS server has a route to both others.
func clustered(t *testing.T) {
	t.Helper()
	eventually(t, patience, func() error {
		for _, b := range brokers {
			if n, err := routes(t, b.monitor); n != len(brokers)-1 || err != nil {
				return fmt.Errorf("%s has routes to %d others: %w", b.service, n, err)
			}
		}
		return nil
	})
}

// traffic is a client at each server that reports its position again and again, and queries all others.
type traffic struct {
	mu    sync.Mutex
	known map[[2]string]observation
	stall time.Duration // the longest time without a new report of a client at a server
	err   error
}

// observation is the newest report of a client that a server has returned.
type observation struct {
	time string
	at   time.Time // when it was new
}

// run reports at one server until ctx ends.
func (l *traffic) run(ctx context.Context, server, address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		now := time.Now()
		text := fmt.Sprintf("load-%s +34.068930-118.445127 %d.%09d", server, now.Unix(), now.Nanosecond())
		lines := fmt.Appendf(nil, "IAMAT %s\n", text)
		for _, n := range published {
			lines = fmt.Appendf(lines, "WHATSAT load-%s 0 0\n", n.name)
		}
		if err := conn.SetDeadline(now.Add(5 * time.Second)); err != nil {
			return err
		}
		if _, err := conn.Write(lines); err != nil {
			return err
		}
		for range 1 + len(published) {
			if err := l.read(in, server); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// read takes one reply of a server.
func (l *traffic) read(in *bufio.Reader, server string) error {
	first, err := in.ReadString('\n')
	if err != nil || strings.HasPrefix(first, "? WHATSAT ") {
		return err // not there yet
	}
	for more := ""; more != "\n"; {
		if more, err = in.ReadString('\n'); err != nil {
			return err
		}
	}
	fields := strings.Fields(first)
	if len(fields) != 6 || fields[0] != "AT" {
		return fmt.Errorf("%s replied %q", server, first)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key, now := [2]string{server, fields[3]}, time.Now()
	last, before := l.known[key]
	if before {
		l.stall = max(l.stall, now.Sub(last.at))
	}
	if last.time != fields[5] {
		l.known[key] = observation{fields[5], now}
	}
	return nil
}

// since checks that every server has a report of every client that was sent after a moment.
func (l *traffic) since(moment time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	from := fmt.Sprintf("%d.%09d", moment.Unix(), moment.Nanosecond())
	for _, server := range published {
		for _, n := range published {
			if s := l.known[[2]string{server.name, "load-" + n.name}]; s.time <= from {
				return fmt.Errorf("%s has of load-%s the time %q, not later than %s", server.name, n.name, s.time, from)
			}
		}
	}
	return nil
}

// takeStall returns the longest stall since it was last called.
func (l *traffic) takeStall() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.stall = 0 }()
	return l.stall
}

// Each NATS server of the cluster is killed in turn while clients report ten positions a second to each server: propagation
// stalls, and goes on. In the end all servers have the last report of these and of other clients.
func testCluster(t *testing.T) {
	others := newHistory()
	f := others.flow(t)
	l := &traffic{known: make(map[[2]string]observation)}
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for _, n := range published {
		clients.Go(func() {
			if err := l.run(ctx, n.name, n.address); err != nil {
				l.mu.Lock()
				l.err = errors.Join(l.err, fmt.Errorf("%s: %w", n.name, err))
				l.mu.Unlock()
			}
		})
	}
	defer clients.Wait()
	defer stop()
	flowing := func() {
		t.Helper()
		now := time.Now()
		eventually(t, patience, func() error { return l.since(now) })
	}
	flowing()
	l.takeStall()
	suffer := func(how, undo, service string) {
		t.Helper()
		nodes := len(spread(t)[service])
		docker(t, how, container(service))
		flowing()
		docker(t, undo, container(service))
		clustered(t)
		flowing()
		stall := l.takeStall()
		t.Logf("%s %s, to which %d of 5 nodes are connected: the longest stall is %d ms", how, service, nodes, stall.Milliseconds())
		if stall > maxStall {
			t.Errorf("that is more than %s", maxStall)
		}
	}
	for _, b := range brokers {
		suffer("kill", "start", b.service)
	}
	suffer("pause", "unpause", busiest(t))
	stop()
	clients.Wait()
	if l.err != nil {
		t.Error(l.err)
	}
	f.end()
	took := others.settles(t)
	t.Logf("all are equal within %.2f s after the last report", took.Seconds())
	connected(t, true, everyone()...)
	floods(t, "kea")
}

// spread returns the nodes on each NATS server.
func spread(t *testing.T) map[string][]string {
	t.Helper()
	nodes := make(map[string][]string)
	for _, b := range brokers {
		var page struct {
			Connections []struct{ Name string }
		}
		if err := monitoring(t, b.monitor+"/connz", &page); err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Connections {
			nodes[b.service] = append(nodes[b.service], c.Name)
		}
	}
	return nodes
}

// busiest returns the NATS server with the most nodes.
func busiest(t *testing.T) string {
	t.Helper()
	nodes := spread(t)
	return slices.MaxFunc(brokerNames(), func(a, b string) int { return len(nodes[a]) - len(nodes[b]) })
}
