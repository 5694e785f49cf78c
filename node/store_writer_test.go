package node

import (
	"errors"
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

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/subject"
	"herd/node/line"
	"herd/node/session/sessiontest"
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

// ReuseForWrite does what that of MemFS does, without the read lock around it that Rename takes again: with both, a copy of the disk
// that is wanted in between waits for ever, and so does Rename.
func (p *platter) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := p.Rename(from, to); err != nil {
		return nil, err
	}
	return p.OpenReadWrite(to, category)
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
		c.Store, c.Always = openStore(t, c.Name, errorfs.Wrap(p, p)), always
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
func report(t testing.TB, c *sessiontest.Client, client string, at int) string {
	t.Helper()
	go c.Send(fmt.Sprintf("IAMAT %s %s %d\n", client, place, at))
	reply := c.Line() + c.Line()
	text, ok := strings.CutPrefix(strings.TrimSuffix(reply, "\n\n"), "AT ")
	if !ok {
		t.Fatalf("reply %q", reply)
	}
	return text
}

// In mode interval what was acknowledged more than 100 ms ago survives, on disks that keep up.
func TestInterval(t *testing.T) {
	for _, takes := range []time.Duration{0, 5 * time.Millisecond, 45 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlatter()
			n := startAlone(t, newBlockingFinder(), p.on(t, false))
			p.set(takes, nil)
			c := n.listener.Dial(t)
			rnd := rand.New(rand.NewPCG(uint64(takes), 0))
			acknowledged := make(map[string]time.Time)
			last := make(map[line.ClientID][]string)
			oldest := time.Duration(0) // of what a crash loses
			for at := range 600 {
				client := fmt.Sprint(rnd.IntN(100))
				text := report(t, c, client, at)
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

// In mode always whatever is acknowledged to a client survives, be it new, stale, or received from a neighbour.
func TestAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatter()
		m := bustest.NewMemory()
		n := startNode(t, "Goloman", []line.NodeName{"Hands"}, m.Dialer("Goloman"), newBlockingFinder(), p.on(t, true))
		hands := dialBus(t, m.Dialer("Hands"), deaf{}, "Goloman")
		p.set(20*time.Millisecond, nil)
		c := n.listener.Dial(t)
		acknowledged := func(text string) {
			t.Helper()
			if held := slices.Collect(maps.Values(p.survivors(t))); !slices.Contains(held, text) {
				t.Errorf("told of %q, but there is %q", text, held)
			}
		}
		for at := 1; at <= 50; at++ {
			client := fmt.Sprint(at % 7)
			acknowledged(report(t, c, client, at))
			report(t, c, client, at-1) // what is held is on disk; this is not
			acknowledged(n.held(client))

			from := fmt.Sprintf("Hands +0.000000000 learned %s %d", place, at)
			if err := hands.Publish("Goloman", bus.Message{Kind: subject.Propagate, Payload: []byte("PROPAGATE Hands " + from)}); err != nil {
				t.Fatal(err)
			}
			for n.held("learned") != from {
				time.Sleep(time.Microsecond)
			}
			go c.Send("WHATSAT learned 0 0\n")
			if got := c.Line(); got != "AT "+from+"\n" {
				t.Fatalf("reply %q", got)
			}
			acknowledged(from)
			for c.Line() != "\n" {
			}
		}
		p.set(0, nil)
	})
}

// held returns what a node holds of a client.
func (f *testNode) held(client string) string {
	r, _ := f.Registry().Get(line.ClientID(client))
	return r.String()
}

// deaf is a neighbour that does not listen.
type deaf struct{}

func (deaf) Receive(bus.Message) {}
func (deaf) Fault(error)         {}

// Many replies wait for one sync, and those without a report for none.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatter()
		n := startAlone(t, newBlockingFinder(), p.on(t, true))
		p.set(20*time.Millisecond, nil)
		began := time.Now()
		var clients sync.WaitGroup
		for i := range 20 {
			clients.Go(func() {
				c := n.listener.Dial(t)
				var lines strings.Builder
				for j := range 50 {
					fmt.Fprintf(&lines, "IAMAT %d-%d %s 1\n", i, j, place)
				}
				go c.Send(lines.String())
				for range 100 {
					c.Line()
				}
			})
		}
		refused := n.listener.Dial(t)
		go refused.Send("junk\n")
		if got := refused.Line(); got != "? junk\n" || time.Since(began) != 0 {
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

// A node that starts holds what it held, and sends it to no neighbour.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatter()
		first := startAlone(t, newBlockingFinder(), p.on(t, false))
		want := report(t, first.listener.Dial(t), "kiwi", 7)
		first.stop()

		m := bustest.NewMemory()
		second := startNode(t, "Goloman", []line.NodeName{"Hands"}, m.Dialer("Goloman"), newBlockingFinder(), p.on(t, false))
		dialBus(t, m.Dialer("Hands"), deaf{}, "Goloman")
		if got := second.held("kiwi"); got != want {
			t.Errorf("holds %q, want %q", got, want)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if l := second.Health().Links[0]; l.ReportsSent != 0 || l.ReportsOwed != 0 {
			t.Errorf("told %+v", l)
		}
		if got := report(t, second.listener.Dial(t), "kiwi", 6); got == want {
			t.Error("an older report is answered with what is held")
		}
		if got := second.held("kiwi"); got != want {
			t.Errorf("holds %q after an older report, want %q", got, want)
		}
	})
}

// What a node has forgotten for its age is deleted from its disk as well, within a minute or so.
func TestExpiredInStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatter()
		n := startAlone(t, newBlockingFinder(), p.on(t, false), func(c *Config) { c.Retention = time.Hour })
		c := n.listener.Dial(t)
		report(t, c, "old", 1)
		time.Sleep(30 * time.Minute)
		young := report(t, c, "young", 2)
		time.Sleep(28 * time.Minute)
		if got := len(p.survivors(t)); got != 2 {
			t.Errorf("%d reports on disk, want 2", got)
		}
		time.Sleep(6 * time.Minute)
		want := map[line.ClientID]string{"young": young}
		if got := p.survivors(t); !maps.Equal(got, want) {
			t.Errorf("on disk is %q, want %q", got, want)
		}
		if got := n.held("old"); got != "" {
			t.Errorf("holds %q", got)
		}
	})
}

// What became too old while the node was away is deleted as well.
func TestExpiredWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatter()
		s := openStore(t, "Goloman", p.MemFS)
		if err := errors.Join(s.Write([]byte("Goloman +0.000000000 old "+place+" 1\n")), s.Close()); err != nil {
			t.Fatal(err)
		}
		startAlone(t, newBlockingFinder(), p.on(t, false), func(c *Config) { c.Retention = time.Hour })
		time.Sleep(2 * expiryInterval)
		if got := p.survivors(t); len(got) > 0 {
			t.Errorf("on disk is %q", got)
		}
	})
}

// A store without work does not lag, however long ago it had some; what waits is late from then on.
func TestIdleStoreDoesNotLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, apply := newTestWriter(t)
		lag := func() time.Duration { return time.Duration(w.health().LagSeconds * float64(time.Second)) }
		time.Sleep(time.Hour)
		apply(1, 1) // the writer has not noticed it yet
		if got := w.health(); got.LagSeconds != 0 || got.State != storeOK || got.WaitingReports != 1 {
			t.Errorf("a moment after an idle hour: %+v", got)
		}
		time.Sleep(maxStoreLag + time.Second)
		if got := w.health(); lag() != maxStoreLag+time.Second || got.State != storeBehind {
			t.Errorf("%s after work came: %+v", maxStoreLag+time.Second, got)
		}
		if err := w.append(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		apply(2, 2)
		for _, when := range []string{"while a batch is written", "while more of it is"} {
			if got := w.health(); lag() != maxStoreLag+2*time.Second || got.WaitingReports != 2 {
				t.Errorf("%s: %+v", when, got)
			}
			if err := w.append(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.writeBatch(false); err != nil {
			t.Fatal(err)
		}
		if got := w.health(); got.LagSeconds != 0 || got.WaitingReports != 0 {
			t.Errorf("after a batch: %+v", got)
		}
	})
}
