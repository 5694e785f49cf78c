package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"herd/node/line"
)

// ends waits for the node to close the connection, and returns after how long it did.
func (p *phone) ends() time.Duration {
	p.t.Helper()
	began := time.Now()
	if rest, err := io.ReadAll(p.in); err != nil {
		p.t.Fatalf("after %q: %v", rest, err)
	}
	return time.Since(began)
}

func TestIdleAndSlowClients(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := lonely(t, newOracle())
		idle, active := n.doors.dial(t), n.doors.dial(t)
		go func() {
			for range 100 { // a byte a second does not make a line in time
				if _, err := io.WriteString(active, "x"); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		}()
		if got := active.ends(); got != 30*time.Second {
			t.Errorf("a slow line ends its connection after %s", got)
		}
		<-time.After(29 * time.Minute)
		go idle.send("junk\n")
		idle.line()
		if got := idle.ends(); got != time.Hour {
			t.Errorf("an idle connection ends after %s", got)
		}
		want := map[string]uint64{"line not completed in time": 1, "idle for too long": 1, "invalid line": 1}
		if got := n.Health(); !maps.Equal(got.Refused, want) || got.Sessions != 0 {
			t.Errorf("counted %v and %d sessions, want %v", got.Refused, got.Sessions, want)
		}
	})
}

// A session that rests goes on as if it had not: with lines, with what was asked before, and to the end of the node.
func TestRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := newOracle()
		n := lonely(t, o, func(c *Config) { c.Limits.Places = time.Hour })
		speaks, asks, stays := n.doors.dial(t), n.doors.dial(t), n.doors.dial(t)
		for i := range 3 {
			go speaks.send(fmt.Sprintf("IAMAT kiwi %s %d\n", place, 1+i))
			if got := speaks.line() + speaks.line(); !strings.HasPrefix(got, "AT Goloman ") || !strings.HasSuffix(got, fmt.Sprintf(" %d\n\n", 1+i)) {
				t.Errorf("line %d gets %q", i, got)
			}
			<-time.After(2 * restTime)
		}
		go asks.send("WHATSAT kiwi 1 1\nju")
		<-time.After(restTime)
		go asks.send("nk\n")
		<-time.After(2 * restTime)
		close(o.speak)
		var got strings.Builder
		for !strings.HasSuffix(got.String(), "? junk\n") {
			got.WriteString(asks.line())
		}
		if !strings.HasSuffix(got.String(), "\n\n? junk\n") {
			t.Errorf("a question and a line that rested get %q", got.String())
		}
		stays.send("?")
		<-time.After(29 * time.Second)
		n.stop()
		if got := stays.line(); got != "EOF" {
			t.Errorf("the end of the node is %q", got)
		}
	})
}

// The time for a line begins with that line: neither with one before it that came in pieces, nor with one that was too long.
func TestLineTimeBeginsAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := lonely(t, newOracle())
		c := n.doors.dial(t)
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
			got = append(got, fmt.Sprintf("%.7s", c.line()))
		}
		if want := []string{"? one i", "? two i", "? xxxxx", "? three"}; !slices.Equal(got, want) || n.Health().Refused["line not completed in time"] != 0 {
			t.Errorf("replies %q, want %q; counted %v", got, want, n.Health().Refused)
		}
	})
}

// A client that does not take its replies is cut off after 30 s, whether they are late ones or not; others are not kept waiting.
func TestDeafClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := newOracle()
		n := lonely(t, o)
		deaf, deafer, other := n.doors.dial(t), n.doors.dial(t), n.doors.dial(t)
		began := time.Now()
		go other.send("IAMAT k " + place + " 1\n")
		got := other.line()
		deaf.send("junk\n")
		deafer.send("WHATSAT k 1 1\n")
		synctest.Wait() // its session awaits the next line: were it to await the lock on the replies, time would stand still
		close(o.speak)
		go other.send("IAMAT k " + place + " 2\n")
		got += other.line() + other.line()
		if want := "AT Goloman +946684799.000000000 k " + place + " 1\n\nAT Goloman +946684798.000000000 k " + place + " 2\n"; got != want || time.Since(began) != 0 {
			t.Errorf("another client gets %q after %s", got, time.Since(began))
		}
		<-time.After(30 * time.Second)
		synctest.Wait()
		if got := n.Health(); got.Refused["replies not taken in time"] != 2 || got.Sessions != 1 {
			t.Errorf("after %s: %v, %d sessions", time.Since(began), got.Refused, got.Sessions)
		}
	})
}

func TestRate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := lonely(t, newOracle(), func(c *Config) { c.Limits.Rate = 10 })
		c := n.doors.dial(t)
		for second := range 3 {
			for range 10 {
				go c.send("junk\n")
				if got := c.line(); got != "? junk\n" {
					t.Fatalf("second %d: %q", second, got)
				}
			}
			<-time.After(time.Second)
		}
		go func() { _, _ = io.WriteString(c, strings.Repeat("junk\n", 20)) }()
		for i := range 10 {
			if got := c.line(); got != "? junk\n" {
				t.Fatalf("line %d of a burst: %q", i, got)
			}
		}
		if c.ends() != 0 || n.Health().Refused["too many lines a second"] != 1 {
			t.Errorf("counted %v", n.Health().Refused)
		}
	})
}

// A client that sends on when the node ends the connection still gets its replies, and the end, not a reset.
func TestLastRepliesArrive(t *testing.T) {
	n := alone(t, func(c *Config) { c.Limits.Rate = 10 })
	c := dial(t, n.address)
	c.send(strings.Repeat("junk\n", 50_000))
	if got := c.rest(); got != strings.Repeat("? junk\n", 10) {
		t.Errorf("got %q", got)
	}
}

// halfPipe is a connection in memory whose node's end can be closed for writing, as far as the node knows.
type halfPipe struct{ net.Conn }

func (halfPipe) CloseWrite() error { return nil }

// A connection that the node ends is one of those that are limited until it is closed, for it costs a descriptor so long.
func TestLastRepliesCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := lonely(t, newOracle(), func(c *Config) { c.Limits.Rate = 1 })
		ours, theirs := net.Pipe()
		defer ours.Close()
		n.doors.conns <- halfPipe{theirs}
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
		before := n.Health().Sessions
		<-time.After(lingerTime + lingerPause)
		synctest.Wait()
		if after := n.Health().Sessions; before != 1 || after != 0 {
			t.Errorf("%d sessions while it lingers, %d when it is closed", before, after)
		}
		if got, most := <-sent, 10+13*lingerBytes; got != most {
			t.Errorf("%d bytes were read of a client that sends on, want %d", got, most)
		}
	})
}

// A line without an end is not a way around the rate: what it has too much counts as the lines it would fill.
func TestRateOfAnEndlessLine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := lonely(t, newOracle(), func(c *Config) { c.Limits.Rate = 10 })
		for _, tt := range []struct {
			lines int
			ended bool
		}{{10, false}, {11, true}} {
			c := n.doors.dial(t)
			go func() { _, _ = io.WriteString(c, strings.Repeat("x", tt.lines*line.MaxLine)+"\n") }()
			if got := c.line(); got != "? "+strings.Repeat("x", line.MaxLine)+"\n" {
				t.Errorf("%.20q", got)
			}
			synctest.Wait()
			if got := n.Health().Refused["too many lines a second"] == 1; got != tt.ended {
				t.Errorf("a line of %d × 4,096 bytes: ended %t", tt.lines, got)
			}
		}
	})
}

// What is refused does not fill the log, were the lines as long as they may be.
func TestRefusedLinesAreCutInTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := lonely(t, newOracle())
		c := n.doors.dial(t)
		go c.send(strings.Repeat("x", line.MaxLine) + "\n")
		c.line()
		want := []string{"refused | pipe | invalid line | " + strings.Repeat("x", 512)}
		if got := n.about("refused"); !slices.Equal(got, want) {
			t.Errorf("logged %q", got)
		}
	})
}

func TestNewClients(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := lonely(t, newOracle(), func(c *Config) { c.Limits.NewClients = 2 })
		c := n.doors.dial(t)
		report := func(client string, at int) string {
			l := fmt.Sprintf("IAMAT %s %s %d\n", client, place, at)
			go c.send(l)
			reply := c.line()
			if reply == "? "+l {
				return "refused"
			}
			return strings.Fields(reply + c.line())[0]
		}
		var got []string
		for i, id := range []string{"a", "b", "c", "a", "b", "c"} {
			got = append(got, report(id, i))
		}
		<-time.After(time.Minute)
		got = append(got, report("c", 9), report("d", 9), report("e", 9))
		want := []string{"AT", "AT", "refused", "AT", "AT", "refused", "AT", "AT", "refused"}
		if !slices.Equal(got, want) || n.Health().Refused["too many new clients from one address"] != 3 {
			t.Errorf("replies %q, want %q; counted %v", got, want, n.Health().Refused)
		}
	})
}

func TestConnections(t *testing.T) {
	for _, tt := range []struct {
		why    string
		adjust func(*Config)
	}{
		{"too many connections", func(c *Config) { c.Limits.Connections = 2 }},
		{"too many connections from one address", func(c *Config) { c.Limits.PerAddress = 2 }},
	} {
		n := alone(t, tt.adjust)
		first, second := dial(t, n.address), dial(t, n.address)
		for _, c := range []*client{first, second} {
			c.send("junk\n")
			c.read(len("? junk\n"))
		}
		third := dial(t, n.address)
		if rest, err := io.ReadAll(third.in); err != nil || len(rest) > 0 {
			t.Errorf("%s: a third connection gets %q, %v", tt.why, rest, err)
		}
		if got := n.Health(); got.Refused[tt.why] != 1 || got.Sessions != 2 {
			t.Errorf("%s: counted %v, %d sessions", tt.why, got.Refused, got.Sessions)
		}
		first.rest() // the node has closed it, so there is room
		again := dial(t, n.address)
		again.send("junk\n")
		again.read(len("? junk\n"))
	}
}

func TestHosts(t *testing.T) {
	for _, tt := range []struct{ address, want string }{
		{"192.0.2.1:7", "192.0.2.1"},
		{"[::ffff:192.0.2.1]:7", "192.0.2.1"},
		{"[2001:db8:1:2:3:4:5:6]:7", "2001:db8:1:2::/64"},
		{"[2001:db8:1:2:ffff::]:7", "2001:db8:1:2::/64"},
		{"[2001:db8:1:3::1]:7", "2001:db8:1:3::/64"},
		{"[fe80::1%eth0]:7", "fe80::/64"},
	} {
		if got := hostOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(tt.address))); got != tt.want {
			t.Errorf("%s is of %s, want %s", tt.address, got, tt.want)
		}
	}
}

// A quota remembers no more hosts than it has room for; those beyond share what one has.
func TestQuotaRemembersFewHosts(t *testing.T) {
	q, now := new(quota), time.Now()
	for i := range 2 * maxHosts {
		if got, want := q.take(fmt.Sprint(i), 2, now), i < maxHosts+2; got != want {
			t.Fatalf("host %d: %t, want %t", i, got, want)
		}
	}
	if !q.take("0", 2, now) || q.take("0", 2, now) || len(q.used) != maxHosts+1 {
		t.Errorf("%d hosts, and the first is no longer told apart", len(q.used))
	}
}

// A node whose listener fails ends with that error, and its clients with it.
func TestListenerFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		broken := errors.New("broken")
		doors := newPipes()
		n := New(Config{Topology: around(t, "Goloman"), Listener: &mortal{pipes: doors, lives: 3, err: broken}, Bus: nobody{}, Limits: defaultLimits, Log: zapNop})
		ended := make(chan error)
		began := time.Now()
		go func() { ended <- n.Run(t.Context()) }()
		doors.dial(t)
		doors.dial(t)
		if err := <-ended; !errors.Is(err, broken) || time.Since(began) != 0 {
			t.Errorf("ended after %s with %v", time.Since(began), err)
		}
	})
}

// mortal is a listener that fails for good after a few calls, one of which fails for a connection that is gone.
type mortal struct {
	*pipes
	lives int
	err   error
}

func (m *mortal) Accept() (net.Conn, error) {
	switch m.lives--; m.lives {
	case 1:
		return nil, &net.OpError{Op: "accept", Err: syscall.ECONNABORTED}
	case -1:
		return nil, m.err
	}
	return m.pipes.Accept()
}

type failing struct {
	*pipes
	err error
}

func (f failing) Accept() (net.Conn, error) { return nil, f.err }
