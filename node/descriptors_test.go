package node

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

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

// Without descriptors, who comes is refused, who is there does not notice, and who comes later is let in.
func TestDescriptorsUsedUp(t *testing.T) {
	n := alone(t)
	served := func(c *client) {
		t.Helper()
		c.send("junk\n")
		if got := c.read(len("? junk\n")); got != "? junk\n" {
			t.Errorf("served %q", got)
		}
	}
	early := dial(t, n.address)
	served(early)
	unplug := plug(t, 1)
	late := dial(t, n.address) // takes the free one
	if got, err := late.in.ReadByte(); err == nil {
		t.Errorf("who comes too late gets %q", got)
	}
	served(early)
	unplug()
	served(dial(t, n.address))
	served(early)
	if got := n.Health().Refused["out of file descriptors"]; got == 0 {
		t.Error("not counted")
	}
}
