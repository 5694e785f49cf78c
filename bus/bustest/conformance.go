package bustest

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"testing"

	"herd/bus"
	"herd/bus/subject"
)

// SampleText is the text of SampleStamp.
const SampleText = "q83vASNFZ4mrze8BI0VniQ.1234567"

// SampleStamp is any stamp.
var SampleStamp = subject.Stamp{
	Incarnation: subject.Incarnation{0xab, 0xcd, 0xef, 1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 1, 0x23, 0x45, 0x67, 0x89}, Number: 1234567,
}

// Conformance holds an implementation of a bus to what the package bus says of it. Each call of open opens a new bus on which the
// nodes of [Campus] may exchange messages with their neighbours, and returns its dialers.
func Conformance(t *testing.T, open func(t *testing.T) (dialer func(node string) bus.Dialer)) {
	for _, each := range []struct {
		name string
		test func(t *testing.T, dialer func(node string) bus.Dialer)
	}{
		{"delivers to one neighbour", delivers},
		{"keeps order across kinds", keepsOrder},
		{"refuses other nodes", refusesOthers},
		{"a node without neighbours", withoutNeighbours},
		{"slow neighbour", slowNeighbour},
		{"close and dial again", closeAndDialAgain},
		{"duplicate name", duplicateName},
		{"close waits", closeWaits},
		{"subscribe to others", subscribeToOthers},
		{"stamps", stamps},
	} {
		t.Run(each.name, func(t *testing.T) {
			dialer := open(t)
			each.test(t, func(node string) bus.Dialer { return OnCampus(dialer(node), node) })
		})
	}
}

func delivers(t *testing.T, dialer func(string) bus.Dialer) {
	hands, wilkes := NewInbox(), NewInbox()
	Dial(t, dialer("Hands"), hands)
	Dial(t, dialer("Wilkes"), wilkes)
	goloman := Dial(t, dialer("Goloman"), NewInbox())
	Publish(t, goloman, subject.Propagate, "Hands", "one\x00\xff\ntwo")
	Publish(t, goloman, subject.Heartbeat, "Wilkes", "")
	if got := hands.Next(); got != "propagate from Goloman: one\x00\xff\ntwo" {
		t.Errorf("Hands got %q", got)
	}
	if got := wilkes.Next(); got != "heartbeat from Goloman: " {
		t.Errorf("Wilkes got %q first", got)
	}
}

func keepsOrder(t *testing.T, dialer func(string) bus.Dialer) {
	hands := NewInbox()
	Dial(t, dialer("Hands"), hands)
	goloman := Dial(t, dialer("Goloman"), NewInbox())
	kinds := []subject.Kind{subject.Propagate, subject.Heartbeat, subject.Sync}
	payload := make([]byte, 0, 16) // changed after each Publish, which must have copied it
	const n = 3000
	for i := range n {
		payload = fmt.Append(payload[:0], i)
		if err := goloman.Publish("Hands", bus.Message{Kind: kinds[i%3], Payload: payload}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		want := fmt.Sprintf("%s from Goloman: %d", kinds[i%3], i)
		if got := hands.Next(); got != want {
			t.Fatalf("message %d is %q, want %q", i, got, want)
		}
	}
}

func refusesOthers(t *testing.T, dialer func(string) bus.Dialer) {
	welsh, holiday, goloman := NewInbox(), NewInbox(), NewInbox()
	Dial(t, dialer("Welsh"), welsh)
	toWelsh := Dial(t, dialer("Holiday"), holiday)
	c := Dial(t, dialer("Goloman"), goloman)
	Publish(t, c, subject.Propagate, "Welsh", "not a neighbour")
	if err := <-goloman.Faults; !errors.Is(err, bus.ErrRefused) {
		t.Errorf("fault %v, want ErrRefused", err)
	}
	// Welsh has not received it: its first message is what Holiday publishes now.
	Publish(t, toWelsh, subject.Propagate, "Welsh", "a neighbour")
	if got := welsh.Next(); got != "propagate from Holiday: a neighbour" {
		t.Errorf("Welsh got %q", got)
	}
}

func withoutNeighbours(t *testing.T, dialer func(string) bus.Dialer) {
	h := NewInbox()
	c := Dial(t, dialer("Hermit"), h)
	Publish(t, c, subject.Propagate, "Goloman", "x")
	if err := <-h.Faults; !errors.Is(err, bus.ErrRefused) {
		t.Errorf("fault %v, want ErrRefused", err)
	}
}

// A neighbour whose Handler does not return delays no other, and loses messages when too many wait.
func slowNeighbour(t *testing.T, dialer func(string) bus.Dialer) {
	slow, quick := NewInbox(), NewInbox()
	slow.Block = make(chan struct{})
	Dial(t, dialer("Hands"), slow)
	Dial(t, dialer("Wilkes"), quick)
	defer close(slow.Block)
	goloman := Dial(t, dialer("Goloman"), NewInbox())
	const n = bus.MaxPending + 1000
	for i := range n {
		Publish(t, goloman, subject.Propagate, "Hands", fmt.Sprint(i))
		Publish(t, goloman, subject.Propagate, "Wilkes", fmt.Sprint(i))
		if got := <-quick.Messages; string(got.Payload) != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, got.Payload)
		}
	}
	if err := <-slow.Faults; !errors.Is(err, bus.ErrOverrun) {
		t.Errorf("fault %v, want ErrOverrun", err)
	}
}

func closeAndDialAgain(t *testing.T, dialer func(string) bus.Dialer) {
	hands := NewInbox()
	first := Dial(t, dialer("Hands"), hands)
	goloman := Dial(t, dialer("Goloman"), NewInbox())
	Publish(t, goloman, subject.Propagate, "Hands", "1")
	<-hands.Messages
	if err := first.Err(); err != nil {
		t.Errorf("a good connection has error %v", err)
	}
	first.Close()
	<-first.Done()
	if first.Err() == nil || first.Publish("Goloman", bus.Message{Kind: subject.Propagate}) == nil || first.Flush(Deadline(t)) == nil {
		t.Error("a closed connection has no error, or publishes or flushes without one")
	}
	Publish(t, goloman, subject.Propagate, "Hands", "lost")
	if err := goloman.Flush(Deadline(t)); err != nil {
		t.Fatal(err)
	}
	second := NewInbox()
	Dial(t, dialer("Hands"), second)
	Publish(t, goloman, subject.Propagate, "Hands", "2")
	if got := second.Next(); got != "propagate from Goloman: 2" {
		t.Errorf("after dialling again: %q", got)
	}
	if len(hands.Messages) > 0 {
		t.Error("a closed connection got a message")
	}
}

// Two connections under one name, a node's old and new one or those of two nodes, both get everything, each in a payload of its
// own. The end of one, be it the older or the newer, leaves the other.
func duplicateName(t *testing.T, dialer func(string) bus.Dialer) {
	older, newer, third := NewInbox(), NewInbox(), NewInbox()
	old := Dial(t, dialer("Hands"), older)
	Dial(t, dialer("Hands"), newer)
	wilkes := NewInbox()
	Dial(t, dialer("Wilkes"), wilkes)
	goloman := Dial(t, dialer("Goloman"), NewInbox())
	send := func(what string, receivers ...*Inbox) {
		t.Helper()
		Publish(t, goloman, subject.Propagate, "Hands", what)
		for i, h := range receivers {
			m := <-h.Messages
			if got := Text(m); got != "propagate from Goloman: "+what {
				t.Errorf("receiver %d got %q, want %q", i, got, what)
			}
			clear(m.Payload)
		}
	}
	send("both", older, newer)
	Publish(t, old, subject.Propagate, "Wilkes", "from the older")
	if got := wilkes.Next(); got != "propagate from Hands: from the older" {
		t.Errorf("Wilkes got %q", got)
	}
	old.Close()
	send("without the older", newer)
	last := Dial(t, dialer("Hands"), third)
	send("both again", newer, third)
	last.Close()
	send("without the newest", newer)
	if len(older.Messages)+len(newer.Messages)+len(third.Messages) > 0 {
		t.Error("a connection got something twice, or after its end")
	}
}

// slow is a Handler that takes its time.
type slow struct {
	entered  chan struct{}
	finished atomic.Bool
}

func (s *slow) Receive(bus.Message) {
	close(s.entered)
	for range 10_000 {
		runtime.Gosched()
	}
	s.finished.Store(true)
}

func (*slow) Fault(error) {}

// Close waits for the Handler to return.
func closeWaits(t *testing.T, dialer func(string) bus.Dialer) {
	h := &slow{entered: make(chan struct{})}
	hands := Dial(t, dialer("Hands"), h)
	Publish(t, Dial(t, dialer("Goloman"), NewInbox()), subject.Propagate, "Hands", "x")
	<-h.entered
	hands.Close()
	if !h.finished.Load() {
		t.Error("the Handler outlives the connection")
	}
}

// Subscriptions can change on a connection, without a gap for neighbours that stay.
func subscribeToOthers(t *testing.T, dialer func(string) bus.Dialer) {
	inbox := NewInbox()
	holiday := Dial(t, dialer("Holiday"), inbox)
	send := func(from, what string) {
		t.Helper()
		c := Dial(t, dialer(from), NewInbox())
		Publish(t, c, subject.Propagate, "Holiday", what)
		if err := c.Flush(Deadline(t)); err != nil {
			t.Fatal(err)
		}
	}
	subscribe := func(neighbours ...string) {
		t.Helper()
		if err := holiday.Subscribe(Deadline(t), neighbours); err != nil {
			t.Fatal(err)
		}
	}
	received := func(want string) {
		t.Helper()
		if got := inbox.Next(); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
	subscribe("Welsh")
	send("Goloman", "not subscribed to")
	send("Welsh", "1")
	received("propagate from Welsh: 1")
	subscribe("Goloman", "Welsh")
	send("Wilkes", "not subscribed to")
	send("Goloman", "2")
	received("propagate from Goloman: 2")
	subscribe("Goloman", "Welsh") // is no change
	send("Welsh", "3")
	received("propagate from Welsh: 3")
	subscribe("Wilkes")
	send("Welsh", "not subscribed to")
	send("Wilkes", "4")
	received("propagate from Wilkes: 4")
	if len(inbox.Messages) > 0 {
		t.Errorf("received %q as well", inbox.Next())
	}
	holiday.Close()
	if holiday.Subscribe(Deadline(t), []string{"Welsh"}) == nil {
		t.Error("a closed connection subscribes")
	}
}

// A stamp arrives as it was sent, and none as none, with a trace and without.
func stamps(t *testing.T, dialer func(string) bus.Dialer) {
	hands := NewInbox()
	Dial(t, dialer("Hands"), hands)
	goloman := Dial(t, dialer("Goloman"), NewInbox())
	for _, stamp := range []subject.Stamp{{}, SampleStamp, {}, {Number: 1}, {Incarnation: SampleStamp.Incarnation, Number: math.MaxUint64}} {
		for _, trace := range []string{"", "0 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"} {
			if err := goloman.Publish("Hands", bus.Message{Kind: subject.Sync, Stamp: stamp, Payload: []byte("x"), Trace: trace}); err != nil {
				t.Fatal(err)
			}
			if m := <-hands.Messages; m.Stamp != stamp || m.Trace != trace || Text(m) != "sync from Goloman: x" {
				t.Errorf("stamp %v arrived as %v with %q and trace %q", stamp, m.Stamp, Text(m), m.Trace)
			}
		}
	}
	if len(hands.Faults) > 0 {
		t.Error(<-hands.Faults)
	}
}
