package session

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"herd/node/session/sessiontest"
)

// exhausted is a listener that has run out of file descriptors a few times.
type exhausted struct {
	*sessiontest.Listener
	fail int
}

func (e *exhausted) Accept() (net.Conn, error) {
	if e.fail > 0 {
		e.fail--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return e.Listener.Accept()
}

// While not even the spare descriptor helps, the node pauses longer and longer.
func TestOutOfDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var doors *sessiontest.Listener
		n := startServer(t, newBlockingFinder(), func(c *config) {
			doors = c.Listener.(*sessiontest.Listener)
			c.Listener = &exhausted{doors, 6} // twice each time: the second call is with the spare descriptor
		})
		c := doors.Dial(t)
		go c.Send("junk\n")
		if got := c.Line(); got != "? junk\n" || time.Since(began) != (5+10+20)*time.Millisecond {
			t.Errorf("after %s: %q", time.Since(began), got)
		}
		if got := n.state().Refused["out of file descriptors"]; got != 3 {
			t.Errorf("counted %d", got)
		}
	})
}

// A client that comes when there are descriptors again is let in, though the node is still waiting for one to refuse.
func TestDescriptorsAreBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var doors *sessiontest.Listener
		n := startServer(t, newBlockingFinder(), func(c *config) {
			doors = c.Listener.(*sessiontest.Listener)
			c.Listener = &exhausted{doors, 1}
		})
		<-time.After(time.Hour)
		c := doors.Dial(t)
		go c.Send("junk\n")
		if got := c.Line(); got != "? junk\n" || len(n.state().Refused) != 1 {
			t.Errorf("%q, counted %v", got, n.state().Refused)
		}
	})
}

// plug takes all file descriptors that the process may have, but free of them.
func plug(t *testing.T, free int) (unplug func()) {
	t.Helper()
	var before, now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	highest, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	now = before
	now.Cur = uint64(highest.Fd()) + 100
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	plugs := []*os.File{highest}
	unplug = func() {
		for _, p := range plugs {
			_ = p.Close()
		}
		plugs = nil
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(unplug)
	for {
		p, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		plugs = append(plugs, p)
	}
	for range free {
		last := len(plugs) - 1
		_ = plugs[last].Close()
		plugs = plugs[:last]
	}
	return unplug
}

// Without descriptors, a new client is refused, those connected do not notice, and later clients are served.
func TestDescriptorsUsedUp(t *testing.T) {
	n := startTCP(t)
	served := func(c *sessiontest.Client) {
		t.Helper()
		c.Send("junk\n")
		if got := c.Bytes(len("? junk\n")); got != "? junk\n" {
			t.Errorf("served %q", got)
		}
	}
	early := sessiontest.Dial(t, n.address)
	served(early)
	unplug := plug(t, 1)
	late := sessiontest.Dial(t, n.address) // takes the free one
	if got, err := late.In.ReadByte(); err == nil {
		t.Errorf("who comes too late gets %q", got)
	}
	served(early)
	unplug()
	served(sessiontest.Dial(t, n.address))
	served(early)
	if got := n.state().Refused["out of file descriptors"]; got == 0 {
		t.Error("not counted")
	}
}
