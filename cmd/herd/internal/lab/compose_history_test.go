//go:build lab

package lab

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"herd/node/line"
)

const (
	batch   = 10                    // reports at a time
	between = 50 * time.Millisecond // two batches at a server
	few     = 500                   // clients of one server alone, and as many of all
)

// history is what clients sent and what was acknowledged, which the servers must have.
type history struct {
	whole bool // servers know nothing else

	mu    sync.Mutex
	acked map[line.ClientID][]acked
	sent  map[string]bool // "client time", of which no two are the same
}

// acked is a report that a server acknowledged.
type acked struct {
	line.Report
	at time.Time
}

func newHistory() *history {
	return &history{acked: make(map[line.ClientID][]acked), sent: make(map[string]bool)}
}

// report sends a server a report of each client, all at once, and notes those that it acknowledges.
func (l *history) report(t *testing.T, server string, clients ...string) {
	t.Helper()
	conn, err := net.Dial("tcp", addressOf(server))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := l.send(conn, bufio.NewReader(conn), clients); err != nil {
		t.Fatalf("%s: %v", server, err)
	}
}

// send sends a report of each client, and reads the replies meanwhile.
func (l *history) send(conn net.Conn, in *bufio.Reader, clients []string) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var text strings.Builder
	l.mu.Lock()
	for _, c := range clients {
		at := 1520023934 + moment.Add(1)
		l.sent[fmt.Sprintf("%s %d", c, at)] = true
		fmt.Fprintf(&text, "IAMAT %s +34.068930-118.445127 %d\n", c, at)
	}
	l.mu.Unlock()
	writing := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, text.String())
		writing <- err
	}()
	for range clients {
		at, err := in.ReadString('\n')
		if err == nil {
			_, err = in.ReadString('\n')
		}
		if err != nil {
			return err
		}
		if err := l.note(strings.TrimSuffix(at, "\n")); err != nil {
			return err
		}
	}
	return <-writing
}

// note adds the report of an AT line as acknowledged now.
func (l *history) note(at string) error {
	r, err := parseAt(at)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[r.Client()] = append(l.acked[r.Client()], acked{r, time.Now()})
	l.sent[string(r.Client())+" "+r.Time()] = true
	return nil
}

func parseAt(at string) (line.Report, error) {
	text, ok := strings.CutPrefix(at, "AT ")
	r, err := line.ParseReport(text)
	if !ok || err != nil {
		return line.Report{}, fmt.Errorf("a server answers %q", at)
	}
	return r, nil
}

// mayLose notes that a server was killed, which may have lost what it acknowledged after a moment.
func (l *history) mayLose(server string, since time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, all := range l.acked {
		kept := slices.DeleteFunc(all, func(a acked) bool { return string(a.Origin()) == server && a.at.After(since) })
		n += len(all) - len(kept)
		l.acked[id] = kept
	}
	return n
}

// clients returns the clients that have reports.
func (l *history) clients() (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.acked {
		names = append(names, string(id))
	}
	return names
}

// must returns the newest report of a client that each server must have, or a newer one; zero if there is none.
func (l *history) must(client string) line.Report {
	var greatest line.Report
	for _, a := range l.acked[line.ClientID(client)] {
		if greatest.IsZero() || a.Compare(greatest) > 0 {
			greatest = a.Report
		}
	}
	return greatest
}

// holds checks the report that servers have of every client: all the same, the greatest that was acknowledged, or one that was sent
// later and not acknowledged. It does not look for clients that are not in the history.
func (l *history) holds(t *testing.T, servers ...string) {
	t.Helper()
	names := l.clients()
	have := make([][]string, len(servers))
	var queries sync.WaitGroup
	errs := make([]error, len(servers))
	for i, s := range servers {
		queries.Go(func() { have[i], errs[i] = places(s, names) })
	}
	queries.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	wrong := 0
	for n, client := range names {
		must := l.must(client)
		for i, s := range servers {
			at := have[i][n]
			r, err := parseAt(at)
			switch {
			case at == "" && must.IsZero() && have[0][n] == "":
				continue
			case err == nil && at == have[0][n] && (r == must || l.sent[client+" "+r.Time()] && (must.IsZero() || r.Compare(must) > 0)):
				continue
			}
			if wrong++; wrong <= 10 {
				t.Errorf("%s has %q of %s, %s has %q, what must survive is %q", s, at, client, servers[0], have[0][n], must)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d × %d are wrong", wrong, len(names), len(servers))
	}
}

// places returns the AT line that a server has of each client, or "".
func places(server string, clients []string) ([]string, error) {
	conn, err := net.Dial("tcp", addressOf(server))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	writing := make(chan error, 1)
	go func() {
		out := bufio.NewWriter(conn)
		for _, c := range clients {
			fmt.Fprintf(out, "WHATSAT %s 0 0\n", c)
		}
		writing <- out.Flush()
	}()
	in, all := bufio.NewReader(conn), make([]string, len(clients))
	for i := range clients {
		text, err := in.ReadString('\n')
		if err == nil && !strings.HasPrefix(text, "? ") {
			all[i] = strings.TrimSuffix(text, "\n")
			for err == nil && text != "\n" {
				text, err = in.ReadString('\n')
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", server, err)
		}
	}
	return all, <-writing
}

// settles waits until all servers know the same, by digest and number, and all links are up; then it checks of every client that it
// is what they must know. It returns how long it took, at most.
func (l *history) settles(t *testing.T) time.Duration {
	t.Helper()
	took := eventually(t, patience, func() error {
		all, err := healths(everyone()...)
		if err != nil {
			return err
		}
		for _, h := range all {
			for _, link := range h.Links {
				if link.State != "up" {
					err = cmp.Or(err, fmt.Errorf("%s: link to %s is %s", h.Node, link.Peer, link.State))
				}
			}
			if h.Digest != all[0].Digest || h.Clients != all[0].Clients {
				err = cmp.Or(err, fmt.Errorf("%s has %d clients (%s), %s %d (%s)", h.Node, h.Clients, h.Digest, all[0].Node, all[0].Clients, all[0].Digest))
			}
			if known := len(l.clients()); l.whole && h.Clients != known {
				err = cmp.Or(err, fmt.Errorf("%s has %d clients instead of %d", h.Node, h.Clients, known))
			}
		}
		return err
	})
	l.holds(t, everyone()...)
	return took
}

// stream reports lines of CLIENT POSITION TIME by the command that a server's container has.
func (l *history) stream(t *testing.T, server string, lines []string) {
	t.Helper()
	l.mu.Lock()
	for _, each := range lines {
		fields := strings.Fields(each)
		l.sent[fields[0]+" "+fields[2]] = true
	}
	l.mu.Unlock()
	c := exec.CommandContext(t.Context(), "docker", "exec", "--interactive", container(server), "/herd", "iamat", "-", "--addr", "127.0.0.1:12125")
	c.Stdin = strings.NewReader(strings.Join(lines, "\n"))
	replies, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	for at := range strings.SplitSeq(strings.TrimSuffix(string(replies), "\n\n"), "\n\n") {
		acknowledged++
		if err := l.note(at); err != nil {
			t.Fatal(err)
		}
	}
	if acknowledged != len(lines) {
		t.Fatalf("%s acknowledges %d of %d reports", server, acknowledged, len(lines))
	}
}

// flow are clients that report to every server, again and again: some to one alone, some to all.
type flow struct {
	*history
	t    *testing.T
	stop context.CancelFunc
	all  sync.WaitGroup
	errs []error // one for each server
}

// flow begins to report. Until it ends, a server that does not answer is waited for.
func (l *history) flow(t *testing.T) *flow {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &flow{history: l, t: t, stop: stop, errs: make([]error, len(published))}
	for i, n := range published {
		f.all.Go(func() { f.errs[i] = f.run(ctx, n.name) })
	}
	t.Cleanup(stop)
	return f
}

func (f *flow) run(ctx context.Context, server string) error {
	conn, err := net.Dial("tcp", addressOf(server))
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	tick := time.NewTicker(between)
	defer tick.Stop()
	for n := 0; ; n++ {
		var clients []string
		for i := range batch / 2 {
			clients = append(clients, fmt.Sprintf("%s-%d", server, (n*batch/2+i)%few), fmt.Sprintf("all-%d", (n*batch/2+i)%few))
		}
		if err := f.send(conn, in, clients); err != nil {
			return fmt.Errorf("%s: %w", server, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// linksUp waits until all links are up, under load.
func (f *flow) linksUp() {
	f.t.Helper()
	took := eventually(f.t, patience, func() error { return linked("up", "", everyone()...) })
	f.t.Logf("all links are up %.2f s later", took.Seconds())
}

// end waits until all reports are answered, except at servers that were killed.
func (f *flow) end(killed ...string) {
	f.t.Helper()
	f.stop()
	f.all.Wait()
	for i, n := range published {
		if err := f.errs[i]; err != nil && !slices.Contains(killed, n.name) {
			f.t.Fatal(err)
		}
	}
}
