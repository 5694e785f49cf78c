package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"herd/bus/bustest"
	"herd/node/line"
	"herd/node/session/sessiontest"
)

// In mode interval a disk that fails is said to, and when it is well again, everything is on it.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatter()
		n := startAlone(t, newBlockingFinder(), p.on(t, false))
		c := n.listener.Dial(t)
		want := make(map[line.ClientID]string)
		for episode := range 3 {
			report := func(at int) {
				client := fmt.Sprint(episode, "-", at%20)
				want[line.ClientID(client)] = report(t, c, client, at)
			}
			report(0)
			p.set(0, syscall.ENOSPC)
			for at := range 100 {
				report(at + 1)
				time.Sleep(time.Second / 2)
			}
			h := n.Health()
			if state := "store data: no space left on device; make room there"; h.Store.State != state || h.Store.LagSeconds < 45 || !h.Ready {
				t.Errorf("health %+v", h.Store)
			}
			p.set(0, nil)
			time.Sleep(maxRetryDelay + time.Second)
			if got := p.survivors(t); !maps.Equal(got, want) {
				t.Errorf("%d reports are on disk, want %d", len(got), len(want))
			}
			if h := n.Health().Store; h.State != "ok" || h.LagSeconds != 0 || h.WaitingReports != 0 {
				t.Errorf("health %+v", h)
			}
		}
		var all []string
		for range 3 {
			all = append(all, "store failed; going on from memory", "store works again; it holds everything")
		}
		if got := n.logged("store failed; going on from memory", "store works again; it holds everything", "store does not keep up"); !slices.Equal(got, all) {
			t.Errorf("logged %q", got)
		}
	})
}

// config is that of a node on the platter.
func (p *platter) config(t testing.TB, doors *sessiontest.Listener, always bool) Config {
	c := Config{
		Name: "Goloman", Topology: starTopology(t, "Goloman"), Listener: doors, Bus: bustest.NewMemory().Dialer("Goloman"), Places: newBlockingFinder(),
		Limits: defaultLimits, Log: zap.NewNop(),
	}
	p.on(t, always)(&c)
	return c
}

// In mode always a disk that fails ends the node: nothing is acknowledged that is not on it.
func TestStoreFailsAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatter()
		doors := sessiontest.NewListener()
		c := p.config(t, doors, true)
		n := New(c)
		ended := make(chan error, 1)
		go func() { ended <- n.Run(context.Background()) }()
		one, other := doors.Dial(t), doors.Dial(t)
		report(t, one, "a", 1)
		p.set(0, syscall.EIO)
		go one.Send("IAMAT b " + place + " 2\n")
		if got := one.Line(); got != "EOF" {
			t.Errorf("told %q", got)
		}
		if got := other.Line(); got != "EOF" {
			t.Errorf("told %q", got)
		}
		if err := <-ended; err == nil || err.Error() != "store data: input/output error; see to the disk" {
			t.Errorf("ended with %v", err)
		}
		if got := p.survivors(t); len(got) != 1 || got["a"] == "" {
			t.Errorf("there is %q", got)
		}
	})
}

// In mode always a disk that fails while the node is ending is an error as well.
func TestStoreFailsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatter()
		doors := sessiontest.NewListener()
		c := p.config(t, doors, true)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- New(c).Run(ctx) }()
		first, second := doors.Dial(t), doors.Dial(t)
		p.set(300*time.Millisecond, nil)
		go first.Send("IAMAT a " + place + " 1\n")
		time.Sleep(10 * time.Millisecond)
		go second.Send("IAMAT b " + place + " 1\n") // for the next round, which fails
		time.Sleep(10 * time.Millisecond)
		stop()
		p.set(0, syscall.EIO)
		first.Line() // acknowledged or not, for its report may have come after its batch started
		if got := second.Line(); got != "EOF" {
			t.Errorf("told %q", got)
		}
		if err := <-ended; err == nil || err.Error() != "store data: input/output error; see to the disk" {
			t.Errorf("ended with %v", err)
		}
	})
}

// The disk fails once, at each change in turn, in both modes.
func TestStoreFailsAnywhere(t *testing.T) {
	for _, always := range []bool{false, true} {
		failures := 0
		for at, more := 1, true; more; at++ {
			synctest.Test(t, func(t *testing.T) {
				p := newPlatter()
				c := p.config(t, sessiontest.NewListener(), always)
				n := New(c)
				ctx, stop := context.WithCancel(context.Background())
				ended := make(chan error, 1)
				go func() { ended <- n.Run(ctx) }()
				phone := c.Listener.(*sessiontest.Listener).Dial(t)
				p.failAt(at)
				want := make(map[line.ClientID]string)
				for at := range 6 {
					client := fmt.Sprint("client-", at%3)
					go func() { _, _ = phone.Write(fmt.Appendf(nil, "IAMAT %s %s %d\n", client, place, at)) }()
					reply := phone.Line()
					text, acknowledged := strings.CutPrefix(reply, "AT ")
					if !acknowledged {
						break
					}
					phone.Line()
					want[line.ClientID(client)] = strings.TrimSuffix(text, "\n")
					time.Sleep(50 * time.Millisecond)
				}
				time.Sleep(maxRetryDelay)
				stop()
				<-ended // also an error when all is on disk but the store could not be closed
				more = p.failAt(0)
				if more {
					failures++
				}
				if !always && len(want) != 3 {
					t.Errorf("change %d: a client got no reply", at)
				}
				got := p.survivors(t)
				for client, text := range want {
					if got[client] != text {
						t.Errorf("always %v, change %d: told of %q, but there is %q", always, at, text, got[client])
					}
				}
			})
		}
		t.Logf("always %v: %d failures", always, failures)
		if failures < 10 {
			t.Errorf("always %v: only %d changes failed", always, failures)
		}
	}
}

// A disk that takes too long is said to, once, and so is that it keeps up again; meanwhile clients are answered at once.
func TestStoreLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatter()
		n := startAlone(t, newBlockingFinder(), p.on(t, false))
		c := n.listener.Dial(t)
		p.set(3*time.Second, nil)
		for at := range 100 {
			began := time.Now()
			report(t, c, "kiwi", at)
			if took := time.Since(began); took != 0 {
				t.Fatalf("answered after %s", took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if h := n.Health().Store; h.State != "behind" || h.LagSeconds < 1 || h.LagSeconds > 6.1 || h.WaitingReports > 61 {
			t.Errorf("health %+v", h)
		}
		p.set(0, nil)
		time.Sleep(10 * time.Second)
		if h := n.Health().Store; h.State != "ok" || h.LagSeconds != 0 {
			t.Errorf("health %+v", h)
		}
		events := []string{"store does not keep up", "store keeps up again"}
		var got []string
		for _, e := range n.logs.All() {
			if strings.HasPrefix(e.Message, "store") {
				got = append(got, e.Message)
			}
		}
		if !slices.Equal(got, events) {
			t.Errorf("logged %q", got)
		}
	})
}

// A node that ends while its store fails tries once more to write everything.
func TestStoreWorksAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatter()
		c := p.config(t, sessiontest.NewListener(), false)
		n := New(c)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		phone := c.Listener.(*sessiontest.Listener).Dial(t)
		want := map[line.ClientID]string{"before": report(t, phone, "before", 1)}
		time.Sleep(time.Second)
		p.set(0, syscall.ENOSPC)
		want["during"] = report(t, phone, "during", 1)
		time.Sleep(maxRetryDelay) // the next attempt is seconds away
		p.set(0, nil)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
		if got := p.survivors(t); !maps.Equal(got, want) {
			t.Errorf("the store holds %q, want %q", got, want)
		}
	})
}
