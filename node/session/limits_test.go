package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herd/node/line"
	"herd/node/session/sessiontest"
)

func TestIdleAndSlowClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startServer(t, newBlockingFinder())
		idle, active := n.listener.Dial(t), n.listener.Dial(t)
		go func() {
			for range 100 { // a byte a second does not make a line in time
				if _, err := io.WriteString(active, "x"); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		}()
		if got := active.AwaitEnd(); got != 30*time.Second {
			t.Errorf("a slow line ends its connection after %s", got)
		}
		<-time.After(29 * time.Minute)
		go idle.Send("junk\n")
		idle.Line()
		if got := idle.AwaitEnd(); got != time.Hour {
			t.Errorf("an idle connection ends after %s", got)
		}
		want := map[string]uint64{"line not completed in time": 1, "idle for too long": 1, "invalid line": 1}
		if got := n.state(); !maps.Equal(got.Refused, want) || got.Sessions != 0 {
			t.Errorf("counted %v and %d sessions, want %v", got.Refused, got.Sessions, want)
		}
	})
}

// A session that parked resumes as if it had not: with lines, with lookups that it started before, and to the end of the node.
func TestPark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newBlockingFinder()
		n := startServer(t, o, func(c *config) { c.Limits.Places = time.Hour })
		speaks, requests, stays := n.listener.Dial(t), n.listener.Dial(t), n.listener.Dial(t)
		for i := range 3 {
			go speaks.Send(fmt.Sprintf("IAMAT kiwi %s %d\n", place, 1+i))
			if got := speaks.Line() + speaks.Line(); !strings.HasPrefix(got, "AT Goloman ") || !strings.HasSuffix(got, fmt.Sprintf(" %d\n\n", 1+i)) {
				t.Errorf("line %d gets %q", i, got)
			}
			<-time.After(2 * parkTime)
		}
		go requests.Send("WHATSAT kiwi 1 1\nju")
		<-time.After(parkTime)
		go requests.Send("nk\n")
		<-time.After(2 * parkTime)
		close(o.answer)
		var got strings.Builder
		for !strings.HasSuffix(got.String(), "? junk\n") {
			got.WriteString(requests.Line())
		}
		if !strings.HasSuffix(got.String(), "\n\n? junk\n") {
			t.Errorf("a question and a line that rested get %q", got.String())
		}
		stays.Send("?")
		<-time.After(29 * time.Second)
		n.stop()
		if got := stays.Line(); got != "EOF" {
			t.Errorf("the end of the node is %q", got)
		}
	})
}

// The time for a line begins with that line: neither with one before it that came in pieces, nor with one that was too long.
func TestLineTimeBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startServer(t, newBlockingFinder())
		c := n.listener.Dial(t)
		go func() {
			x := strings.Repeat("x", 5000)
			for _, piece := range []struct {
				text  string
				pause time.Duration
			}{{"one in", 20}, {" pieces\ntwo in", 20}, {" pieces\n", 20}, {x, 10}, {x, 10}, {"\n", 20}, {"three in", 20}, {" pieces\n", 0}} {
				if _, err := io.WriteString(c, piece.text); err != nil {
					return
				}
				<-time.After(piece.pause * time.Second)
			}
		}()
		var got []string
		for range 4 {
			got = append(got, fmt.Sprintf("%.7s", c.Line()))
		}
		if want := []string{"? one i", "? two i", "? xxxxx", "? three"}; !slices.Equal(got, want) || n.state().Refused["line not completed in time"] != 0 {
			t.Errorf("replies %q, want %q; counted %v", got, want, n.state().Refused)
		}
	})
}

// A client that does not take its replies is cut off after 30 s, whether they are late ones or not; others are not kept waiting.
func TestDeafClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newBlockingFinder()
		n := startServer(t, o)
		deaf, deafer, other := n.listener.Dial(t), n.listener.Dial(t), n.listener.Dial(t)
		began := time.Now()
		go other.Send("IAMAT k " + place + " 1\n")
		got := other.Line()
		deaf.Send("junk\n")
		deafer.Send("WHATSAT k 1 1\n")
		synctest.Wait() // its session awaits the next line: were it to await the lock on the replies, time would stand still
		close(o.answer)
		go other.Send("IAMAT k " + place + " 2\n")
		got += other.Line() + other.Line()
		if want := "AT Goloman +946684799.000000000 k " + place + " 1\n\nAT Goloman +946684798.000000000 k " + place + " 2\n"; got != want || time.Since(began) != 0 {
			t.Errorf("another client gets %q after %s", got, time.Since(began))
		}
		<-time.After(30 * time.Second)
		synctest.Wait()
		if got := n.state(); got.Refused["replies not taken in time"] != 2 || got.Sessions != 1 {
			t.Errorf("after %s: %v, %d sessions", time.Since(began), got.Refused, got.Sessions)
		}
	})
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startServer(t, newBlockingFinder(), func(c *config) { c.Limits.Rate = 10 })
		c := n.listener.Dial(t)
		for second := range 3 {
			for range 10 {
				go c.Send("junk\n")
				if got := c.Line(); got != "? junk\n" {
					t.Fatalf("second %d: %q", second, got)
				}
			}
			<-time.After(time.Second)
		}
		go func() { _, _ = io.WriteString(c, strings.Repeat("junk\n", 20)) }()
		for i := range 10 {
			if got := c.Line(); got != "? junk\n" {
				t.Fatalf("line %d of a burst: %q", i, got)
			}
		}
		if c.AwaitEnd() != 0 || n.state().Refused["too many lines a second"] != 1 {
			t.Errorf("counted %v", n.state().Refused)
		}
	})
}

// A client that sends on when the node ends the connection still gets its replies, and the end, not a reset.
func TestLastRepliesArrive(t *testing.T) {
	n := startTCP(t, func(c *config) { c.Limits.Rate = 10 })
	c := sessiontest.Dial(t, n.address)
	c.Send(strings.Repeat("junk\n", 50_000))
	if got := c.Rest(); got != strings.Repeat("? junk\n", 10) {
		t.Errorf("got %q", got)
	}
}

// halfPipe is a connection in memory whose node's end can be closed for writing, as far as the node knows.
type halfPipe struct{ net.Conn }

func (halfPipe) CloseWrite() error { return nil }

// A connection that the node ends is one of those that are limited until it is closed, for it costs a descriptor so long.
func TestLastRepliesCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startServer(t, newBlockingFinder(), func(c *config) { c.Limits.Rate = 1 })
		ours, theirs := net.Pipe()
		defer ours.Close()
		n.listener.Conns <- halfPipe{theirs}
		sent := make(chan int)
		go func() {
			in, err := io.WriteString(ours, "junk\njunk\n")
			for more := 0; err == nil; in += more {
				more, err = ours.Write(make([]byte, 1<<10))
			}
			sent <- in
		}()
		if got, err := bufio.NewReader(ours).ReadString('\n'); got != "? junk\n" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		synctest.Wait()
		before := n.state().Sessions
		<-time.After(lingerTime + lingerPause)
		synctest.Wait()
		if after := n.state().Sessions; before != 1 || after != 0 {
			t.Errorf("%d sessions while it lingers, %d when it is closed", before, after)
		}
		if got, most := <-sent, 10+13*lingerBytes; got != most {
			t.Errorf("%d bytes were read of a client that sends on, want %d", got, most)
		}
	})
}

// A line without an end is not a way around the rate: what it has too much counts as the lines it would fill.
func TestRateOfAnEndlessLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startServer(t, newBlockingFinder(), func(c *config) { c.Limits.Rate = 10 })
		for _, tt := range []struct {
			lines int
			ended bool
		}{{10, false}, {11, true}} {
			c := n.listener.Dial(t)
			go func() { _, _ = io.WriteString(c, strings.Repeat("x", tt.lines*line.MaxLine)+"\n") }()
			if got := c.Line(); got != "? "+strings.Repeat("x", line.MaxLine)+"\n" {
				t.Errorf("%.20q", got)
			}
			synctest.Wait()
			if got := n.state().Refused["too many lines a second"] == 1; got != tt.ended {
				t.Errorf("a line of %d × 4,096 bytes: ended %t", tt.lines, got)
			}
		}
	})
}

// What is refused does not fill the log, were the lines as long as they may be.
func TestRefusedLinesAreCutInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startServer(t, newBlockingFinder())
		c := n.listener.Dial(t)
		go c.Send(strings.Repeat("x", line.MaxLine) + "\n")
		c.Line()
		want := []string{"refused | pipe | invalid line | " + strings.Repeat("x", 512)}
		if got := n.about("refused"); !slices.Equal(got, want) {
			t.Errorf("logged %q", got)
		}
	})
}

func TestNewClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startServer(t, newBlockingFinder(), func(c *config) { c.Limits.NewClients = 2 })
		c := n.listener.Dial(t)
		report := func(client string, at int) string {
			l := fmt.Sprintf("IAMAT %s %s %d\n", client, place, at)
			go c.Send(l)
			reply := c.Line()
			if reply == "? "+l {
				return "refused"
			}
			return strings.Fields(reply + c.Line())[0]
		}
		var got []string
		for i, id := range []string{"a", "b", "c", "a", "b", "c"} {
			got = append(got, report(id, i))
		}
		<-time.After(time.Minute)
		got = append(got, report("c", 9), report("d", 9), report("e", 9))
		want := []string{"AT", "AT", "refused", "AT", "AT", "refused", "AT", "AT", "refused"}
		if !slices.Equal(got, want) || n.state().Refused["too many new clients from one address"] != 3 {
			t.Errorf("replies %q, want %q; counted %v", got, want, n.state().Refused)
		}
	})
}

func TestConnections(t *testing.T) {
	for _, tt := range []struct {
		why    string
		adjust func(*config)
	}{
		{"too many connections", func(c *config) { c.Limits.Connections = 2 }},
		{"too many connections from one address", func(c *config) { c.Limits.PerAddress = 2 }},
	} {
		n := startTCP(t, tt.adjust)
		first, second := sessiontest.Dial(t, n.address), sessiontest.Dial(t, n.address)
		for _, c := range []*sessiontest.Client{first, second} {
			c.Send("junk\n")
			c.Bytes(len("? junk\n"))
		}
		third := sessiontest.Dial(t, n.address)
		if rest, err := io.ReadAll(third.In); err != nil || len(rest) > 0 {
			t.Errorf("%s: a third connection gets %q, %v", tt.why, rest, err)
		}
		if got := n.state(); got.Refused[tt.why] != 1 || got.Sessions != 2 {
			t.Errorf("%s: counted %v, %d sessions", tt.why, got.Refused, got.Sessions)
		}
		first.Rest() // the node has closed it, so there is room
		again := sessiontest.Dial(t, n.address)
		again.Send("junk\n")
		again.Bytes(len("? junk\n"))
	}
}

// Limits change for a client that is connected, from its next line on.
func TestLimitsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startServer(t, newBlockingFinder())
		first, second := n.listener.Dial(t), n.listener.Dial(t)
		exchange := func(p *sessiontest.Client) string {
			go p.Send("junk\n")
			return p.Line()
		}
		exchange(first)
		exchange(second)
		synctest.Wait() // both wait for more
		limits := defaultLimits
		limits.Connections, limits.Rate, limits.Idle, limits.NewClients = 1, 2, time.Minute, 1
		n.config.Admit.SetLimits(limits)
		third := n.listener.Dial(t)
		if got := third.Line(); got != "EOF" {
			t.Errorf("one more than may come gets %q", got)
		}
		exchange(first)
		if got := first.AwaitEnd(); got != time.Minute {
			t.Errorf("an idle connection ends after %s", got)
		}
		go second.Send("IAMAT a +1+1 1\nIAMAT b +1+1 1\n")
		second.Line()
		second.Line()
		if got := second.Line(); got != "? IAMAT b +1+1 1\n" {
			t.Errorf("a second new client gets %q", got)
		}
		go second.Send("1\n2\n3\n")
		for _, want := range []string{"? 1\n", "? 2\n", "EOF"} {
			if got := second.Line(); got != want {
				t.Errorf("line of a client that sends too many: %q, want %q", got, want)
			}
		}
	})
}

// stoppingConn stops its server while a session sets the deadline of a read, which so replaces that of the stop.
type stoppingConn struct {
	net.Conn
	stop    func()
	drained chan struct{} // closed when the deadline of the stop is set
	once    sync.Once
}

func (c *stoppingConn) SetReadDeadline(t time.Time) error {
	if t.Equal(time.Unix(1, 0)) {
		defer close(c.drained)
	} else {
		c.once.Do(func() {
			c.stop()
			<-c.drained
		})
	}
	return c.Conn.SetReadDeadline(t)
}

// A server that stops waits for no client, also when a session sets a deadline of its own at this moment.
func TestStopWhileDeadlineIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ours := net.Pipe()
		ctx, stop := context.WithCancel(t.Context())
		began := time.Now()
		err := newServer(t, nil).ServeConn(ctx, &stoppingConn{Conn: ours, stop: stop, drained: make(chan struct{})})
		if took := time.Since(began); took > 0 || !errors.Is(err, ErrIncomplete) {
			t.Errorf("%v after %s", err, took)
		}
	})
}
