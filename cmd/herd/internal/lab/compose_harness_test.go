//go:build lab

package lab

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"herd/node/status"
)

const (
	longestCommand = 5 * time.Minute // a command may take: to build images
	step           = 50 * time.Millisecond

	busURL  = "nats://127.0.0.1:4222"
	monitor = "http://127.0.0.1:8222"
)

// published is every server of docker-compose.yml with its published port.
var published = []struct{ name, address string }{
	{"Goloman", "127.0.0.1:12125"},
	{"Hands", "127.0.0.1:12126"},
	{"Holiday", "127.0.0.1:12127"},
	{"Welsh", "127.0.0.1:12128"},
	{"Wilkes", "127.0.0.1:12129"},
}

const links = 6 // between them

func everyone() []string {
	var names []string
	for _, n := range published {
		names = append(names, n.name)
	}
	return names
}

// run runs a program to its end and returns what it printed.
func run(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), longestCommand)
	defer cancel()
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, &stderr)
	}
	return stdout.String(), nil
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run("docker", args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func compose(t *testing.T, args ...string) string {
	t.Helper()
	return docker(t, append([]string{"compose"}, args...)...)
}

// container returns the name of a service's container.
func container(service string) string { return "herd-" + strings.ToLower(service) + "-1" }

// inspect decodes a part of docker inspect.
func inspect[T any](t *testing.T, container, format string) T {
	t.Helper()
	var got T
	text := docker(t, "inspect", "--format", "{{json "+format+"}}", container)
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%s of %s: %v in %q", format, container, err, text)
	}
	return got
}

// eventually waits until nothing is wrong any more, and returns how long it took.
func eventually(t *testing.T, limit time.Duration, check func() error) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			t.Fatalf("after %s: %v", limit, err)
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(err)
		}
	}
}

// addressOf returns a server's published port.
func addressOf(server string) string {
	return published[slices.Index(everyone(), server)].address
}

// sendLines sends lines to a server's published port, half-closes, and returns the whole reply.
func sendLines(server, lines string) (string, error) {
	conn, err := net.DialTimeout("tcp", addressOf(server), time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, lines); err != nil {
		return "", err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	reply, err := io.ReadAll(conn)
	return string(reply), err
}

func mustSendLines(t *testing.T, server, lines string) string {
	t.Helper()
	reply, err := sendLines(server, lines)
	if err != nil {
		t.Fatalf("%s: %v", server, err)
	}
	return reply
}

var moment atomic.Int64 // of the last report; each is later than those before it

// report sends a server a report of a client and returns the AT line.
func report(t *testing.T, server, client string) string {
	t.Helper()
	reply := mustSendLines(t, server, fmt.Sprintf("IAMAT %s +34.068930-118.445127 %d\n", client, 1520023934+moment.Add(1)))
	at, ok := strings.CutSuffix(reply, "\n\n")
	if !ok || !strings.HasPrefix(at, "AT "+server+" ") {
		t.Fatalf("%s replied %q", server, reply)
	}
	return at
}

// known returns the AT line that a server has of a client, or "".
func known(server, client string) (string, error) {
	reply, err := sendLines(server, "WHATSAT "+client+" 0 0\n")
	if err != nil {
		return "", fmt.Errorf("%s: %w", server, err)
	}
	at, _, _ := strings.Cut(reply, "\n")
	if strings.HasPrefix(at, "? ") {
		return "", nil
	}
	return at, nil
}

// wantKnown checks, without waiting, which report of a client servers have.
func wantKnown(t *testing.T, client, at string, servers ...string) {
	t.Helper()
	if err := haveReport(client, at, servers...); err != nil {
		t.Error(err)
	}
}

// reaches waits until servers have that AT line of a client.
func reaches(t *testing.T, client, at string, servers ...string) time.Duration {
	t.Helper()
	return eventually(t, patience, func() error { return haveReport(client, at, servers...) })
}

func haveReport(client, at string, servers ...string) error {
	for _, s := range servers {
		if got, err := known(s, client); err != nil || got != at {
			return cmp.Or(err, fmt.Errorf("%s has %q of %s, want %q", s, got, client, at))
		}
	}
	return nil
}

// floods checks that the next report, at whichever server, reaches all.
func floods(t *testing.T, client string) {
	t.Helper()
	for _, n := range published {
		reaches(t, client, report(t, n.name, client), everyone()...)
	}
}

// containerHealth returns the health of a server, as the program in its container prints it.
func containerHealth(server string) (status.Health, error) {
	out, failed := run("docker", "exec", container(server), "/herd", "health", "--addr", "127.0.0.1:8125", "--json")
	var all []status.Health
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 || all[0].Node != server {
		return status.Health{}, fmt.Errorf("%s answers %q: %w", server, out, cmp.Or(failed, err))
	}
	return all[0], nil // which may not be ready, and then the command failed
}

// healths returns the health of servers, requested all at once.
func healths(servers ...string) ([]status.Health, error) {
	all, errs := make([]status.Health, len(servers)), make([]error, len(servers))
	var requests sync.WaitGroup
	for i, s := range servers {
		requests.Go(func() { all[i], errs[i] = containerHealth(s) })
	}
	requests.Wait()
	return all, errors.Join(errs...)
}

// linked checks that all links of servers, or all those to a peer, are in a state.
func linked(state, peer string, servers ...string) error {
	all, err := healths(servers...)
	for _, h := range all {
		for _, l := range h.Links {
			if l.State != state && (peer == "" || peer == l.Peer) {
				err = cmp.Or(err, fmt.Errorf("%s: link to %s is %s, not %s", h.Node, l.Peer, l.State, state))
			}
		}
	}
	return err
}

// connected waits until servers are on the bus, or off it.
func connected(t *testing.T, want bool, servers ...string) time.Duration {
	t.Helper()
	return eventually(t, patience, func() error {
		all, err := healths(servers...)
		for _, h := range all {
			if !h.Ready || (h.Bus == "connected") != want {
				err = cmp.Or(err, fmt.Errorf("%+v", h))
			}
		}
		return err
	})
}

// service is a line of docker compose ps.
type service struct{ Service, State, Health string }

func services(t *testing.T, args ...string) []service {
	t.Helper()
	var all []service
	lines := bufio.NewScanner(strings.NewReader(compose(t, append(args, "ps", "--format", "{{json .}}")...)))
	for lines.Scan() {
		var s service
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatalf("%v in %q", err, lines.Text())
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b service) int { return cmp.Compare(a.Service, b.Service) })
	return all
}

// running is five healthy servers and the given NATS servers.
func running(nats ...string) []service {
	var all []service
	for _, n := range published {
		all = append(all, service{strings.ToLower(n.name), "running", "healthy"})
	}
	for _, n := range nats {
		all = append(all, service{n, "running", ""})
	}
	slices.SortFunc(all, func(a, b service) int { return cmp.Compare(a.Service, b.Service) })
	return all
}

// monitoring reads a page of a NATS server's monitoring.
func monitoring(t *testing.T, url string, page any) error {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Timeout: 2 * time.Second}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(page)
}

// observer is a NATS client, with the errors of what the server refused it.
type observer struct {
	*nats.Conn
	refused chan error
}

// observe connects to a NATS server without credentials, or with those in options.
func observe(t *testing.T, url string, options ...nats.Option) observer {
	t.Helper()
	o := observer{refused: make(chan error, 16)}
	var err error
	options = append(options, nats.NoReconnect(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			o.refused <- err
		}
	}))
	if o.Conn, err = nats.Connect(url, options...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// subscribe subscribes, and waits until the server has processed that.
func (o observer) subscribe(t *testing.T, subject string) <-chan *nats.Msg {
	t.Helper()
	messages := make(chan *nats.Msg, 4096)
	_, err := o.ChanSubscribe(subject, messages)
	if err := cmp.Or(err, o.Flush()); err != nil {
		t.Fatal(err)
	}
	return messages
}

func next[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case got := <-from:
		return got
	case <-timeout.C:
		t.Fatalf("no %s within %s", what, patience)
		panic("unreachable")
	}
}
