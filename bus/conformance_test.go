package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"herd/bus/subject"
)

// inbox is a Handler that keeps what it gets.
type inbox struct {
	messages chan Message
	troubles chan error
	block    chan struct{} // if set, Message waits for it to close
}

func newInbox() *inbox {
	return &inbox{messages: make(chan Message, 100_000), troubles: make(chan error, 1000)}
}

func (i *inbox) Receive(m Message) {
	if i.block != nil {
		<-i.block
	}
	i.messages <- m
}

func (i *inbox) Fault(err error) {
	select {
	case i.troubles <- err:
	default:
	}
}

// campus is who talks to whom in the tests.
var campus = map[string][]string{
	"Goloman": {"Hands", "Holiday", "Wilkes"},
	"Hands":   {"Goloman", "Wilkes"},
	"Holiday": {"Goloman", "Welsh", "Wilkes"},
	"Welsh":   {"Holiday"},
	"Wilkes":  {"Goloman", "Hands", "Holiday"},
	"Hermit":  nil,
}

type silentLog struct{}

func (silentLog) Noticef(string, ...any) {}
func (silentLog) Warnf(string, ...any)   {}
func (silentLog) Fatalf(string, ...any)  {}
func (silentLog) Errorf(string, ...any)  {}
func (silentLog) Debugf(string, ...any)  {}
func (silentLog) Tracef(string, ...any)  {}

func startServer(t testing.TB, listen string) *Server {
	t.Helper()
	s, err := StartServer(ServerConfig{Herd: "herd", Neighbours: campus, Listen: listen, Log: silentLog{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// tcp returns how a node connects to s from outside the process.
func (s *Server) tcp(node string) *NATS {
	d := s.Dialer(node)
	d.server, d.URL = nil, s.URL()
	return d
}

// hearing is a Dialer whose connections hear some neighbours from the start.
type hearing struct {
	Dialer
	neighbours []string
}

func (d hearing) Dial(ctx context.Context, h Handler) (Conn, error) {
	c, err := d.Dialer.Dial(ctx, h)
	if err != nil {
		return nil, err
	}
	if err := c.Subscribe(ctx, d.neighbours); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// buses are the implementations that must behave alike. Each gives the dialers of a new bus.
var buses = map[string]func(t *testing.T) (dialer func(string) Dialer){
	"memory": func(*testing.T) func(string) Dialer {
		m := NewMemory()
		return func(node string) Dialer { return hearing{m.Dialer(node), campus[node]} }
	},
	"NATS in process": func(t *testing.T) func(string) Dialer {
		s := startServer(t, "")
		return func(node string) Dialer { return hearing{s.Dialer(node), campus[node]} }
	},
	"NATS over TCP": func(t *testing.T) func(string) Dialer {
		s := startServer(t, "127.0.0.1:0")
		return func(node string) Dialer { return hearing{s.tcp(node), campus[node]} }
	},
}

func everyBus(t *testing.T, test func(t *testing.T, dialer func(string) Dialer)) {
	for name, open := range buses {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func dial(t testing.TB, d Dialer, h Handler) Conn {
	t.Helper()
	c, err := d.Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func publish(t testing.TB, c Conn, kind subject.Kind, to, payload string) {
	t.Helper()
	if err := c.Publish(to, Message{Kind: kind, Payload: []byte(payload)}); err != nil {
		t.Fatal(err)
	}
}

func (m Message) String() string { return fmt.Sprintf("%s from %s: %s", m.Kind, m.From, m.Payload) }

func TestDeliversToOneNeighbour(t *testing.T) {
	everyBus(t, func(t *testing.T, dialer func(string) Dialer) {
		hands, wilkes := newInbox(), newInbox()
		dial(t, dialer("Hands"), hands)
		dial(t, dialer("Wilkes"), wilkes)
		goloman := dial(t, dialer("Goloman"), newInbox())
		publish(t, goloman, subject.Propagate, "Hands", "one\x00\xff\ntwo")
		publish(t, goloman, subject.Digest, "Wilkes", "")
		if got := (<-hands.messages).String(); got != "propagate from Goloman: one\x00\xff\ntwo" {
			t.Errorf("Hands got %q", got)
		}
		if got := (<-wilkes.messages).String(); got != "digest from Goloman: " {
			t.Errorf("Wilkes got %q first", got)
		}
	})
}

func TestKeepsOrderAcrossKinds(t *testing.T) {
	everyBus(t, func(t *testing.T, dialer func(string) Dialer) {
		hands := newInbox()
		dial(t, dialer("Hands"), hands)
		goloman := dial(t, dialer("Goloman"), newInbox())
		kinds := []subject.Kind{subject.Propagate, subject.Digest, subject.Repair}
		payload := make([]byte, 0, 16) // changed after each Publish, which must have copied it
		const n = 3000
		for i := range n {
			payload = fmt.Append(payload[:0], i)
			if err := goloman.Publish("Hands", Message{Kind: kinds[i%3], Payload: payload}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n {
			want := fmt.Sprintf("%s from Goloman: %d", kinds[i%3], i)
			if got := (<-hands.messages).String(); got != want {
				t.Fatalf("message %d is %q, want %q", i, got, want)
			}
		}
	})
}

func TestRefusesStrangers(t *testing.T) {
	everyBus(t, func(t *testing.T, dialer func(string) Dialer) {
		welsh, holiday, goloman := newInbox(), newInbox(), newInbox()
		dial(t, dialer("Welsh"), welsh)
		toWelsh := dial(t, dialer("Holiday"), holiday)
		c := dial(t, dialer("Goloman"), goloman)
		publish(t, c, subject.Propagate, "Welsh", "not a neighbour")
		if err := <-goloman.troubles; !errors.Is(err, ErrRefused) {
			t.Errorf("trouble %v, want ErrRefused", err)
		}
		// Welsh has not heard it: what it hears first is what Holiday sends now.
		publish(t, toWelsh, subject.Propagate, "Welsh", "a neighbour")
		if got := (<-welsh.messages).String(); got != "propagate from Holiday: a neighbour" {
			t.Errorf("Welsh got %q", got)
		}
	})
}

func TestHermit(t *testing.T) {
	everyBus(t, func(t *testing.T, dialer func(string) Dialer) {
		h := newInbox()
		c := dial(t, dialer("Hermit"), h)
		publish(t, c, subject.Propagate, "Goloman", "x")
		if err := <-h.troubles; !errors.Is(err, ErrRefused) {
			t.Errorf("trouble %v, want ErrRefused", err)
		}
	})
}

// A neighbour that does not take its messages delays nobody, and loses messages when too many wait.
func TestSlowNeighbour(t *testing.T) {
	everyBus(t, func(t *testing.T, dialer func(string) Dialer) {
		slow, quick := newInbox(), newInbox()
		slow.block = make(chan struct{})
		dial(t, dialer("Hands"), slow)
		dial(t, dialer("Wilkes"), quick)
		defer close(slow.block)
		goloman := dial(t, dialer("Goloman"), newInbox())
		const n = pendingMessages + 1000
		for i := range n {
			publish(t, goloman, subject.Propagate, "Hands", fmt.Sprint(i))
			publish(t, goloman, subject.Propagate, "Wilkes", fmt.Sprint(i))
			if got := <-quick.messages; string(got.Payload) != fmt.Sprint(i) {
				t.Fatalf("message %d is %q", i, got)
			}
		}
		if err := <-slow.troubles; !errors.Is(err, ErrOverrun) {
			t.Errorf("trouble %v, want ErrOverrun", err)
		}
	})
}

func TestCloseAndDialAgain(t *testing.T) {
	everyBus(t, func(t *testing.T, dialer func(string) Dialer) {
		hands := newInbox()
		first := dial(t, dialer("Hands"), hands)
		goloman := dial(t, dialer("Goloman"), newInbox())
		publish(t, goloman, subject.Propagate, "Hands", "1")
		<-hands.messages
		if err := first.Err(); err != nil {
			t.Errorf("a good connection has error %v", err)
		}
		first.Close()
		<-first.Done()
		if first.Err() == nil || first.Publish("Goloman", Message{Kind: subject.Propagate}) == nil || first.Flush(deadline(t)) == nil {
			t.Error("a closed connection has no error, or publishes or flushes without one")
		}
		publish(t, goloman, subject.Propagate, "Hands", "lost")
		if err := goloman.Flush(deadline(t)); err != nil {
			t.Fatal(err)
		}
		second := newInbox()
		dial(t, dialer("Hands"), second)
		publish(t, goloman, subject.Propagate, "Hands", "2")
		if got := (<-second.messages).String(); got != "propagate from Goloman: 2" {
			t.Errorf("after dialling again: %q", got)
		}
		if len(hands.messages) > 0 {
			t.Error("a closed connection got a message")
		}
	})
}

// Two connections under one name, a node's old and new one or those of two nodes, both get everything, each in a payload of its
// own. The end of one, be it the older or the newer, leaves the other.
func TestTwins(t *testing.T) {
	everyBus(t, func(t *testing.T, dialer func(string) Dialer) {
		older, newer, third := newInbox(), newInbox(), newInbox()
		old := dial(t, dialer("Hands"), older)
		dial(t, dialer("Hands"), newer)
		wilkes := newInbox()
		dial(t, dialer("Wilkes"), wilkes)
		goloman := dial(t, dialer("Goloman"), newInbox())
		say := func(what string, hearers ...*inbox) {
			t.Helper()
			publish(t, goloman, subject.Propagate, "Hands", what)
			for i, h := range hearers {
				m := <-h.messages
				if got := m.String(); got != "propagate from Goloman: "+what {
					t.Errorf("hearer %d got %q, want %q", i, got, what)
				}
				clear(m.Payload)
			}
		}
		say("both", older, newer)
		publish(t, old, subject.Propagate, "Wilkes", "a twin")
		if got := (<-wilkes.messages).String(); got != "propagate from Hands: a twin" {
			t.Errorf("Wilkes got %q", got)
		}
		old.Close()
		say("without the older", newer)
		last := dial(t, dialer("Hands"), third)
		say("both again", newer, third)
		last.Close()
		say("without the newest", newer)
		if len(older.messages)+len(newer.messages)+len(third.messages) > 0 {
			t.Error("a twin got something twice, or after its end")
		}
	})
}

// slow is a Handler that takes its time.
type slow struct {
	entered  chan struct{}
	finished atomic.Bool
}

func (s *slow) Receive(Message) {
	close(s.entered)
	for range 10_000 {
		runtime.Gosched()
	}
	s.finished.Store(true)
}

func (*slow) Fault(error) {}

// Close waits for the Handler to return.
func TestCloseWaits(t *testing.T) {
	everyBus(t, func(t *testing.T, dialer func(string) Dialer) {
		h := &slow{entered: make(chan struct{})}
		hands := dial(t, dialer("Hands"), h)
		publish(t, dial(t, dialer("Goloman"), newInbox()), subject.Propagate, "Hands", "x")
		<-h.entered
		hands.Close()
		if !h.finished.Load() {
			t.Error("the Handler outlives the connection")
		}
	})
}

// Who is heard can change on a connection that stays, without a gap for those that stay.
func TestHearOthers(t *testing.T) {
	everyBus(t, func(t *testing.T, dialer func(string) Dialer) {
		heard := newInbox()
		holiday := dial(t, dialer("Holiday"), heard)
		say := func(from, what string) {
			t.Helper()
			c := dial(t, dialer(from), newInbox())
			publish(t, c, subject.Propagate, "Holiday", what)
			if err := c.Flush(deadline(t)); err != nil {
				t.Fatal(err)
			}
		}
		hear := func(neighbours ...string) {
			t.Helper()
			if err := holiday.Subscribe(deadline(t), neighbours); err != nil {
				t.Fatal(err)
			}
		}
		heardIs := func(want string) {
			t.Helper()
			if got := (<-heard.messages).String(); got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		}
		hear("Welsh")
		say("Goloman", "not heard")
		say("Welsh", "1")
		heardIs("propagate from Welsh: 1")
		hear("Goloman", "Welsh")
		say("Wilkes", "not heard")
		say("Goloman", "2")
		heardIs("propagate from Goloman: 2")
		hear("Goloman", "Welsh") // is no change
		say("Welsh", "3")
		heardIs("propagate from Welsh: 3")
		hear("Wilkes")
		say("Welsh", "not heard")
		say("Wilkes", "4")
		heardIs("propagate from Wilkes: 4")
		if len(heard.messages) > 0 {
			t.Errorf("heard %q as well", <-heard.messages)
		}
		holiday.Close()
		if holiday.Subscribe(deadline(t), []string{"Welsh"}) == nil {
			t.Error("a closed connection hears")
		}
	})
}

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestSubjects(t *testing.T) {
	s := subject.Of("herd", subject.Propagate, "Goloman", "Hands")
	herd, kind, from, to, err := subject.Parse(s)
	if got := []string{s, herd, string(kind), from, to}; err != nil ||
		!slices.Equal(got, []string{"herd.propagate.Goloman.Hands", "herd", "propagate", "Goloman", "Hands"}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "herd.propagate.a", "herd.propagate.a.b.c"} {
		if _, _, _, _, err := subject.Parse(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("subject %q: %v", bad, err)
		}
	}
}
