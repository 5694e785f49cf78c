//go:build compose

package herd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
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

// load is a client at each server that reports its position again and again, and asks for all others.
type load struct {
	mu    sync.Mutex
	sent  map[string]time.Time // "client position time"
	known map[[2]string]sighting
	stall time.Duration // the longest time without news of a client at a server
	err   error
}

// sighting is the newest report of a client that was seen at a server.
type sighting struct {
	time string
	at   time.Time // when it was new
}

// run reports at one server until ctx ends.
func (l *load) run(ctx context.Context, server, address string) error {
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
		l.mu.Lock()
		l.sent[text] = now
		l.mu.Unlock()
		lines := fmt.Appendf(nil, "IAMAT %s\n", text)
		for _, n := range campus {
			lines = fmt.Appendf(lines, "WHATSAT load-%s 0 0\n", n.name)
		}
		if err := conn.SetDeadline(now.Add(5 * time.Second)); err != nil {
			return err
		}
		if _, err := conn.Write(lines); err != nil {
			return err
		}
		for range 1 + len(campus) {
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
func (l *load) read(in *bufio.Reader, server string) error {
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
		l.known[key] = sighting{fields[5], now}
	}
	return nil
}

// since checks that every server has a report of every client that was sent after a moment.
func (l *load) since(moment time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	from := fmt.Sprintf("%d.%09d", moment.Unix(), moment.Nanosecond())
	for _, server := range campus {
		for _, n := range campus {
			if s := l.known[[2]string{server.name, "load-" + n.name}]; s.time <= from {
				return fmt.Errorf("%s has of load-%s the time %q, not later than %s", server.name, n.name, s.time, from)
			}
		}
	}
	return nil
}

// takeStall returns the longest stall since it was last called.
func (l *load) takeStall() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.stall = 0 }()
	return l.stall
}

var loaded = regexp.MustCompile(`load-\w+ \S+ \d+\.\d+`)

// missed lists the reports that some server never heard, by the servers' logs, with the time when they were sent.
func (l *load) missed(t *testing.T) map[string]time.Time {
	t.Helper()
	missed := make(map[string]time.Time)
	for _, n := range campus {
		heard := make(map[string]bool)
		for _, text := range loaded.FindAllString(compose(t, "logs", "--no-log-prefix", strings.ToLower(n.name)), -1) {
			heard[text] = true
		}
		for text, at := range l.sent {
			if !heard[text] {
				missed[text] = at
			}
		}
	}
	return missed
}

// fault is something that was done to a NATS server under load.
type fault struct {
	what       string
	began, end time.Time
	stall      time.Duration // the longest
}

// Each NATS server of the cluster is killed in turn while clients report ten positions a second to each server: propagation
// stalls, and goes on.
func testCluster(t *testing.T) {
	l := &load{sent: make(map[string]time.Time), known: make(map[[2]string]sighting)}
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for _, n := range campus {
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
	var faults []fault
	suffer := func(how, undo, service string) {
		t.Helper()
		f := fault{what: fmt.Sprintf("%s %s, to which %d of 5 nodes are connected", how, service, len(spread(t)[service])), began: time.Now()}
		flowing() // so all reports of before have arrived
		docker(t, how, container(service))
		flowing()
		docker(t, undo, container(service))
		clustered(t)
		flowing()
		f.stall, f.end = l.takeStall(), time.Now()
		faults = append(faults, f)
	}
	for _, b := range brokers {
		suffer("kill", "start", b.service)
	}
	suffer("pause", "unpause", busiest(t))
	end := time.Now()
	flowing()
	stop()
	clients.Wait()
	if l.err != nil {
		t.Error(l.err)
	}
	missed := l.missed(t)
	for _, f := range faults {
		n, of := 0, 0
		for text, at := range l.sent {
			if at.After(f.began) && at.Before(f.end) {
				of++
				if _, ok := missed[text]; ok {
					n++
				}
				delete(missed, text)
			}
		}
		t.Logf("%s: the longest stall is %d ms, and %d of %d reports never reached all", f.what, f.stall.Milliseconds(), n, of)
		if f.stall > maxStall {
			t.Errorf("that is more than %s", maxStall)
		}
	}
	for text, at := range missed {
		if at.Before(end) {
			t.Errorf("while all was well %s did not reach all", text)
		}
	}
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
		if err := monitored(t, b.monitor+"/connz", &page); err != nil {
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
