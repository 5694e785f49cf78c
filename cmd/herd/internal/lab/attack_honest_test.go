//go:build lab

package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"herd/configs"
)

const (
	honestPeriod    = 200 * time.Millisecond // between two lines of an honest client
	honestQueryEach = 20                     // every so many lines is a WHATSAT
	honestTimeout   = 20 * time.Second       // no reply for so long is a missing one
)

// kind is what is measured.
type kind int

const (
	reporting  kind = iota // an IAMAT on a connection that is there
	querying               // a WHATSAT of 20 places on it
	connecting             // a new connection and an IAMAT on it
)

// sample is the latency of one reply.
type sample struct {
	kind kind
	at   time.Time
	took time.Duration
}

// honestClients are clients that report while others attack. Each has an address, a connection and an ID of its own, and compares each reply with what it must be.
type honestClients struct {
	t       *testing.T
	config  *configs.Config
	clients []*honest
	stop    func() // and wait
}

type honest struct {
	id     string
	node   configs.Node
	source net.IP
	last   string // AT line of its last report

	mu      sync.Mutex
	samples []sample
	wrong   []string // what was not as it must be
}

var skewForm = regexp.MustCompile(`^[+-][0-9]+\.[0-9]{9}$`)

// startHonestClients starts count clients; with newcomers also one for each node that connects anew for every report.
func startHonestClients(t *testing.T, config *configs.Config, count int, newcomers bool) *honestClients {
	c := &honestClients{t: t, config: config}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i := range count {
		h := &honest{
			id: fmt.Sprintf("honest-%02d", i), node: config.Nodes[i%len(config.Nodes)], source: net.IPv4(127, 1, 0, byte(1+i)),
			samples: make([]sample, 0, 10_000),
		}
		c.clients = append(c.clients, h)
		running.Go(func() { h.live(ctx, time.Duration(i)*honestPeriod/time.Duration(count)) })
	}
	if newcomers {
		for i, n := range config.Nodes {
			h := &honest{id: fmt.Sprintf("newcomer-%d", i), node: n, source: net.IPv4(127, 1, 1, byte(1+i))}
			c.clients = append(c.clients, h)
			running.Go(func() { h.comeAndGo(ctx) })
		}
	}
	c.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(c.stop)
	return c
}

func (h *honest) dial() (net.Conn, *bufio.Reader, error) {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: h.source}, Timeout: honestTimeout}
	conn, err := from.Dial("tcp", h.node.Listen)
	if err != nil {
		return nil, nil, err
	}
	return conn, bufio.NewReaderSize(conn, 32<<10), nil
}

func (h *honest) live(ctx context.Context, offset time.Duration) {
	conn, in, err := h.dial()
	if err != nil {
		h.note(err.Error())
		return
	}
	defer conn.Close()
	time.Sleep(offset)
	tick := time.NewTicker(honestPeriod)
	defer tick.Stop()
	for i := 1; ctx.Err() == nil; i++ {
		what, do := reporting, h.report
		if i%honestQueryEach == 0 {
			what, do = querying, h.query
		}
		if !h.measure(what, func() error { return do(conn, in) }) {
			return
		}
		<-tick.C
	}
}

func (h *honest) comeAndGo(ctx context.Context) {
	for tick := time.Tick(honestPeriod); ctx.Err() == nil; <-tick {
		if !h.measure(connecting, func() error {
			conn, in, err := h.dial()
			if err != nil {
				return err
			}
			defer conn.Close()
			return h.report(conn, in)
		}) {
			return
		}
	}
}

// measure does something and notes how long it took, or what was wrong.
func (h *honest) measure(what kind, do func() error) bool {
	began := time.Now()
	if err := do(); err != nil {
		h.note(err.Error())
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = append(h.samples, sample{what, began, time.Since(began)})
	return true
}

func (h *honest) note(wrong string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = append(h.wrong, fmt.Sprintf("%s at %s, %s: %s", h.id, h.node.Name, time.Now().Format(time.TimeOnly), wrong))
}

func (h *honest) report(conn net.Conn, in *bufio.Reader) error {
	now := time.Now().UnixNano()
	text := fmt.Sprintf("%s +34.068930-118.445127 %d.%09d", h.id, now/1e9, now%1e9)
	reply, err := exchange(conn, in, "IAMAT "+text+"\n")
	if err != nil {
		return err
	}
	rest, ok := strings.CutPrefix(reply, "AT "+string(h.node.Name)+" ")
	skew, rest, _ := strings.Cut(rest, " ")
	if !ok || !skewForm.MatchString(skew) || rest != text+"\n\n" {
		return fmt.Errorf("reply %q to %q", reply, text)
	}
	h.last = strings.TrimSuffix(reply, "\n\n")
	return nil
}

func (h *honest) query(conn net.Conn, in *bufio.Reader) error {
	reply, err := exchange(conn, in, "WHATSAT "+h.id+" 10 20\n")
	if err != nil {
		return err
	}
	if at, body, _ := strings.Cut(reply, "\n"); at != h.last || strings.Count(body, `"place_id"`) != 20 || !strings.HasSuffix(body, "  \"status\": \"OK\"\n}\n\n") {
		return fmt.Errorf("reply %q to a WHATSAT after %q", reply, h.last)
	}
	return nil
}

// exchange sends a line and returns its reply, which ends with an empty line.
func exchange(conn net.Conn, in *bufio.Reader, text string) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(honestTimeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	var reply strings.Builder
	for {
		l, err := in.ReadString('\n')
		reply.WriteString(l)
		if err != nil {
			return "", fmt.Errorf("%w after %q", err, reply.String())
		}
		if l == "\n" || strings.HasPrefix(l, "? ") {
			return reply.String(), nil
		}
	}
}

// check fails the test for each reply that was wrong or missing so far.
func (c *honestClients) check() {
	c.t.Helper()
	for _, h := range c.clients {
		h.mu.Lock()
		for _, w := range h.wrong {
			c.t.Errorf("honest client: %.300s", w)
		}
		h.wrong = nil
		h.mu.Unlock()
	}
}

// converge stops the clients and checks that all nodes come to hold the last report of each.
func (c *honestClients) converge(f *attackedHerd) {
	c.t.Helper()
	c.stop()
	c.check()
	for _, n := range c.config.Nodes {
		viewer := &honest{node: n, source: net.IPv4(127, 1, 2, 1)}
		for _, h := range c.clients {
			var reply string
			f.until(patience, fmt.Sprintf("%s returns the last report of %s, %q", n.Name, h.id, h.last), func() bool {
				conn, in, err := viewer.dial()
				if err != nil {
					return false
				}
				defer conn.Close()
				reply, err = exchange(conn, in, "WHATSAT "+h.id+" 0 0\n")
				return err == nil && strings.HasPrefix(reply, h.last+"\n")
			})
		}
	}
}

// window is the samples of one kind within a time.
type window []time.Duration

func (c *honestClients) window(what kind, from, to time.Time) window {
	var all window
	for _, h := range c.clients {
		h.mu.Lock()
		for _, s := range h.samples {
			if s.kind == what && !s.at.Before(from) && s.at.Before(to) {
				all = append(all, s.took)
			}
		}
		h.mu.Unlock()
	}
	slices.Sort(all)
	return all
}

// at returns a quantile, 0 if there are no samples.
func (w window) at(q float64) time.Duration {
	if len(w) == 0 {
		return 0
	}
	return w[min(len(w)-1, int(q*float64(len(w))))]
}
