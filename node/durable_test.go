package node

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/zap"

	"herd/bus"
	"herd/node/line"
	"herd/node/store"
)

// platter is a disk in memory whose syncs take a while, and that can fail.
type platter struct {
	*vfs.MemFS
	mu    sync.Mutex
	takes time.Duration
	fault error
	left  int // changes until one fails, if above 0
}

func newPlatter() *platter { return &platter{MemFS: vfs.NewCrashableMem()} }

// set has every sync take so long, and every change fail with that error, if it is one.
func (p *platter) set(takes time.Duration, fault error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.takes, p.fault = takes, fault
}

// MaybeError is called before every operation.
func (p *platter) MaybeError(op errorfs.Op) error {
	p.mu.Lock()
	takes, fault := p.takes, p.fault
	change := op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose
	if change && p.left > 0 {
		if p.left--; p.left == 0 {
			fault = syscall.EIO
		}
	}
	p.mu.Unlock()
	if op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSync {
		time.Sleep(takes)
	}
	if change {
		return fault
	}
	return nil
}

// failAt has the n-th change from now on fail, and reports whether the one that was to fail before has failed.
func (p *platter) failAt(n int) (failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	failed, p.left = p.left == 0, n
	return failed
}

func (p *platter) String() string { return "platter" }

func openStore(t testing.TB, name line.NodeName, fs vfs.FS) *store.Store {
	t.Helper()
	s, err := store.Open(store.Config{Dir: "data", Herd: "herd", Node: name, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// on has a node use the platter.
func (p *platter) on(t testing.TB, always bool) func(*Config) {
	return func(c *Config) {
		c.Store, c.Always = openStore(t, c.Name, errorfs.Wrap(p.MemFS, p)), always
	}
}

// survivors returns what is there when the power fails now.
func (p *platter) survivors(t testing.TB) map[line.ClientID]string {
	t.Helper()
	s := openStore(t, "Goloman", p.CrashClone(vfs.CrashCloneCfg{}))
	held := make(map[line.ClientID]string)
	for r, err := range s.All() {
		if err != nil {
			t.Fatal(err)
		}
		held[r.Client()] = r.String()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return held
}

// report sends a report and returns what the node says it holds.
func (p *phone) report(client string, at int) string {
	p.t.Helper()
	go p.send(fmt.Sprintf("IAMAT %s %s %d\n", client, place, at))
	reply := p.line() + p.line()
	text, ok := strings.CutPrefix(strings.TrimSuffix(reply, "\n\n"), "AT ")
	if !ok {
		p.t.Fatalf("reply %q", reply)
	}
	return text
}

// In mode interval what was acknowledged more than 100 ms ago survives, on disks that keep up.
func TestInterval(t *testing.T) {
	for _, takes := range []time.Duration{0, 5 * time.Millisecond, 45 * time.Millisecond} {
		bubble(t, func(t *testing.T) {
			p := newPlatter()
			n := lonely(t, newOracle(), p.on(t, false))
			p.set(takes, nil)
			c := n.doors.dial(t)
			rnd := rand.New(rand.NewPCG(uint64(takes), 0))
			acknowledged := make(map[string]time.Time)
			last := make(map[line.ClientID][]string)
			oldest := time.Duration(0) // of what a crash loses
			for at := range 600 {
				client := fmt.Sprint(rnd.IntN(100))
				text := c.report(client, at)
				acknowledged[text] = time.Now()
				last[line.ClientID(client)] = append(last[line.ClientID(client)], text)
				time.Sleep(time.Duration(rnd.IntN(5)) * time.Millisecond)
				if at%5 > 0 {
					continue
				}
				survived := p.survivors(t)
				for client, texts := range last {
					if lost := slices.Index(texts, survived[client]) + 1; lost < len(texts) {
						oldest = max(oldest, time.Since(acknowledged[texts[lost]]))
					}
				}
			}
			t.Logf("a sync takes %s: the oldest lost was acknowledged %s before", takes, oldest)
			if oldest == 0 || oldest > 100*time.Millisecond {
				t.Errorf("a sync takes %s: lost what was acknowledged %s before", takes, oldest)
			}
			p.set(0, nil)
		})
	}
}

// In mode always whatever a client is told survives, be it new, old, or learned from a neighbour.
func TestAlways(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlatter()
		m := bus.NewMemory()
		n := startFake(t, "Goloman", []line.NodeName{"Hands"}, m.Dialer("Goloman"), newOracle(), p.on(t, true))
		hands := hear(t, m.Dialer("Hands"), deaf{}, "Goloman")
		p.set(20*time.Millisecond, nil)
		c := n.doors.dial(t)
		told := func(text string) {
			t.Helper()
			if held := slices.Collect(maps.Values(p.survivors(t))); !slices.Contains(held, text) {
				t.Errorf("told of %q, but there is %q", text, held)
			}
		}
		for at := 1; at <= 50; at++ {
			client := fmt.Sprint(at % 7)
			told(c.report(client, at))
			c.report(client, at-1) // what is held is on disk; this is not
			told(n.held(client))

			from := fmt.Sprintf("Hands +0.000000000 learned %s %d", place, at)
			if err := hands.Publish(bus.Propagate, "Goloman", []byte("PROPAGATE Hands "+from)); err != nil {
				t.Fatal(err)
			}
			for n.held("learned") != from {
				time.Sleep(time.Microsecond)
			}
			go c.send("WHATSAT learned 0 0\n")
			if got := c.line(); got != "AT "+from+"\n" {
				t.Fatalf("reply %q", got)
			}
			told(from)
			for c.line() != "\n" {
			}
		}
		p.set(0, nil)
	})
}

// held returns what a node holds of a client.
func (f *fake) held(client string) string {
	r, _ := f.Registry().Get(line.ClientID(client))
	return r.String()
}

// deaf is a neighbour that does not listen.
type deaf struct{}

func (deaf) Message(bus.Message) {}
func (deaf) Trouble(error)       {}

// Many replies wait for one sync, and those without a report for none.
func TestGroupCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlatter()
		n := lonely(t, newOracle(), p.on(t, true))
		p.set(20*time.Millisecond, nil)
		began := time.Now()
		var clients sync.WaitGroup
		for i := range 20 {
			clients.Go(func() {
				c := n.doors.dial(t)
				var lines strings.Builder
				for j := range 50 {
					fmt.Fprintf(&lines, "IAMAT %d-%d %s 1\n", i, j, place)
				}
				go c.send(lines.String())
				for range 100 {
					c.line()
				}
			})
		}
		refused := n.doors.dial(t)
		go refused.send("junk\n")
		if got := refused.line(); got != "? junk\n" || time.Since(began) != 0 {
			t.Errorf("reply %q after %s", got, time.Since(began))
		}
		clients.Wait()
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("1,000 reports took %s", took)
		}
		if got := len(p.survivors(t)); got != 1000 {
			t.Errorf("%d of 1000 are on disk", got)
		}
		p.set(0, nil)
	})
}

// In mode interval a disk that fails is said to, and when it is well again, everything is on it.
func TestDiskFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlatter()
		n := lonely(t, newOracle(), p.on(t, false))
		c := n.doors.dial(t)
		want := make(map[line.ClientID]string)
		for episode := range 3 {
			report := func(at int) {
				client := fmt.Sprint(episode, "-", at%20)
				want[line.ClientID(client)] = c.report(client, at)
			}
			report(0)
			p.set(0, syscall.ENOSPC)
			for at := range 100 {
				report(at + 1)
				time.Sleep(time.Second / 2)
			}
			h := n.Health()
			if state := "store data: no space left on device; make room there"; h.Store.State != state || h.Store.Lag < 45 || !h.Ready {
				t.Errorf("health %+v", h.Store)
			}
			p.set(0, nil)
			time.Sleep(maxDiskPause + time.Second)
			if got := p.survivors(t); !maps.Equal(got, want) {
				t.Errorf("%d reports are on disk, want %d", len(got), len(want))
			}
			if h := n.Health().Store; h.State != "ok" || h.Lag != 0 || h.Waiting != 0 {
				t.Errorf("health %+v", h)
			}
		}
		var all []string
		for range 3 {
			all = append(all, "disk failed; going on from memory", "disk is well again; all that is known is on it")
		}
		if got := n.about("disk failed; going on from memory", "disk is well again; all that is known is on it", "disk does not keep up"); !slices.Equal(got, all) {
			t.Errorf("logged %q", got)
		}
	})
}

// In mode always a disk that fails ends the node: nobody is told what is not on it.
func TestDiskFailsAlways(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlatter()
		doors := newPipes()
		c := Config{Name: "Goloman", Listener: doors, Bus: bus.NewMemory().Dialer("Goloman"), Places: newOracle(), Limits: defaultLimits, Log: zap.NewNop()}
		p.on(t, true)(&c)
		n := New(c)
		ended := make(chan error, 1)
		go func() { ended <- n.Run(context.Background()) }()
		one, other := doors.dial(t), doors.dial(t)
		one.report("a", 1)
		p.set(0, syscall.EIO)
		go one.send("IAMAT b " + place + " 2\n")
		if got := one.line(); got != "EOF" {
			t.Errorf("told %q", got)
		}
		if got := other.line(); got != "EOF" {
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

// The disk fails once, at each change in turn, in both modes.
func TestDiskFailsAnywhere(t *testing.T) {
	for _, always := range []bool{false, true} {
		failures := 0
		for at, more := 1, true; more; at++ {
			bubble(t, func(t *testing.T) {
				p := newPlatter()
				c := Config{Name: "Goloman", Listener: newPipes(), Bus: bus.NewMemory().Dialer("Goloman"), Places: newOracle(), Limits: defaultLimits, Log: zap.NewNop()}
				p.on(t, always)(&c)
				n := New(c)
				ctx, stop := context.WithCancel(context.Background())
				ended := make(chan error, 1)
				go func() { ended <- n.Run(ctx) }()
				phone := c.Listener.(*pipes).dial(t)
				p.failAt(at)
				want := make(map[line.ClientID]string)
				for at := range 6 {
					client := fmt.Sprint("client-", at%3)
					go func() { _, _ = phone.Write([]byte(fmt.Sprintf("IAMAT %s %s %d\n", client, place, at))) }()
					reply := phone.line()
					text, told := strings.CutPrefix(reply, "AT ")
					if !told {
						break
					}
					phone.line()
					want[line.ClientID(client)] = strings.TrimSuffix(text, "\n")
					time.Sleep(50 * time.Millisecond)
				}
				time.Sleep(maxDiskPause)
				stop()
				_ = <-ended // also an error when all is on disk but the store could not be closed
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
func TestDiskLags(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlatter()
		n := lonely(t, newOracle(), p.on(t, false))
		c := n.doors.dial(t)
		p.set(3*time.Second, nil)
		for at := range 100 {
			began := time.Now()
			c.report("kiwi", at)
			if took := time.Since(began); took != 0 {
				t.Fatalf("answered after %s", took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if h := n.Health().Store; h.State != "behind" || h.Lag < 1 || h.Lag > 6.1 || h.Waiting > 1 {
			t.Errorf("health %+v", h)
		}
		p.set(0, nil)
		time.Sleep(10 * time.Second)
		if h := n.Health().Store; h.State != "ok" || h.Lag != 0 {
			t.Errorf("health %+v", h)
		}
		events := []string{"disk does not keep up", "disk keeps up again"}
		var got []string
		for _, e := range n.logs.All() {
			if strings.HasPrefix(e.Message, "disk") {
				got = append(got, e.Message)
			}
		}
		if !slices.Equal(got, events) {
			t.Errorf("logged %q", got)
		}
	})
}

// A node that starts knows what it knew, and tells nobody.
func TestRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPlatter()
		first := lonely(t, newOracle(), p.on(t, false))
		want := first.doors.dial(t).report("kiwi", 7)
		first.stop()

		m := bus.NewMemory()
		second := startFake(t, "Goloman", []line.NodeName{"Hands"}, m.Dialer("Goloman"), newOracle(), p.on(t, false))
		hear(t, m.Dialer("Hands"), deaf{}, "Goloman")
		if got := second.held("kiwi"); got != want {
			t.Errorf("holds %q, want %q", got, want)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if l := second.Health().Links[0]; l.Told != 0 || l.Queued != 0 {
			t.Errorf("told %+v", l)
		}
		if got := second.doors.dial(t).report("kiwi", 6); got == want {
			t.Error("an older report is answered with what is held")
		}
		if got := second.held("kiwi"); got != want {
			t.Errorf("holds %q after an older report, want %q", got, want)
		}
	})
}

// limits.future refuses what a client says of the future, and nothing else.
func TestFuture(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := bus.NewMemory()
		n := startFake(t, "Goloman", []line.NodeName{"Hands"}, m.Dialer("Goloman"), newOracle(), func(c *Config) { c.Limits.Future = time.Minute })
		hands := hear(t, m.Dialer("Hands"), deaf{}, "Goloman")
		c := n.doors.dial(t)
		say := func(at string) string {
			l := "IAMAT kiwi " + place + " " + at + "\n"
			go c.send(l)
			reply := c.line()
			if reply == "? "+l {
				return "refused"
			}
			return strings.Fields(reply + c.line())[0]
		}
		in := func(d time.Duration) string {
			at := time.Now().Add(d)
			return fmt.Sprintf("%d.%09d", at.Unix(), at.Nanosecond())
		}
		got := []string{say(in(0)), say(in(time.Minute)), say(in(time.Minute + 1)), say("9223372036.854775807"), say("1")}
		limits := defaultLimits
		limits.Future = 0
		n.Limit(limits)
		got = append(got, say("9223372036"))
		if want := []string{"AT", "AT", "refused", "refused", "AT", "AT"}; !slices.Equal(got, want) {
			t.Errorf("replies %q, want %q", got, want)
		}
		if got := n.Health().Refused; !maps.Equal(got, map[string]uint64{"time too far ahead": 2}) {
			t.Errorf("counted %v", got)
		}
		limits.Future = time.Second
		n.Limit(limits)
		from := "Hands +0.000000000 emu " + place + " 9223372036"
		if err := hands.Publish(bus.Propagate, "Goloman", []byte("PROPAGATE Hands "+from)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := n.held("emu"); got != from {
			t.Errorf("of a neighbour's report it holds %q", got)
		}
	})
}
