// Package bustest is for tests: a bus in memory with faults, the tests that every implementation of a bus has to pass, and what
// these and other tests of the bus share.
package bustest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"herd/bus"
	"herd/bus/keys"
	"herd/bus/subject"
)

// Campus is the neighbours of each node in the tests.
var Campus = map[string][]string{
	"Goloman": {"Hands", "Holiday", "Wilkes"},
	"Hands":   {"Goloman", "Wilkes"},
	"Holiday": {"Goloman", "Welsh", "Wilkes"},
	"Welsh":   {"Holiday"},
	"Wilkes":  {"Goloman", "Hands", "Holiday"},
	"Hermit":  nil,
}

// Inbox is a Handler that keeps what it is called with.
type Inbox struct {
	Messages chan bus.Message
	Faults   chan error
	Block    chan struct{} // unless nil, Receive waits until it is closed
}

// NewInbox returns an empty inbox.
func NewInbox() *Inbox {
	return &Inbox{Messages: make(chan bus.Message, 100_000), Faults: make(chan error, 1000)}
}

// Receive keeps a message.
func (i *Inbox) Receive(m bus.Message) {
	if i.Block != nil {
		<-i.Block
	}
	i.Messages <- m
}

// Fault keeps an error, unless there are too many.
func (i *Inbox) Fault(err error) {
	select {
	case i.Faults <- err:
	default:
	}
}

// Next waits for a message and returns its kind, sender and payload as text.
func (i *Inbox) Next() string { return Text(<-i.Messages) }

// Text returns kind, sender and payload of a message.
func Text(m bus.Message) string { return fmt.Sprintf("%s from %s: %s", m.Kind, m.From, m.Payload) }

// Receiver is a Handler that ignores faults.
type Receiver func(bus.Message)

// Receive calls the function.
func (r Receiver) Receive(m bus.Message) { r(m) }

// Fault does nothing.
func (Receiver) Fault(error) {}

// Subscribed returns a dialer whose connections are subscribed to some neighbours from the start.
func Subscribed(d bus.Dialer, neighbours ...string) bus.Dialer { return subscribed{d, neighbours} }

// OnCampus returns a dialer of a node whose connections are subscribed to its neighbours on the campus.
func OnCampus(d bus.Dialer, node string) bus.Dialer { return subscribed{d, Campus[node]} }

type subscribed struct {
	bus.Dialer
	neighbours []string
}

// Dial dials and subscribes.
func (d subscribed) Dial(ctx context.Context, h bus.Handler) (bus.Conn, error) {
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

// Dial dials, and closes the connection when the test ends. It dials again after a time-out, as [bus.Run] does: a busy machine may need more
// than the second that a dial has.
func Dial(t testing.TB, d bus.Dialer, h bus.Handler) bus.Conn {
	t.Helper()
	ctx := Deadline(t)
	c, err := d.Dial(ctx, h)
	for ctx.Err() == nil {
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
			break
		}
		c, err = d.Dial(ctx, h)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Publish publishes a payload without a stamp.
func Publish(t testing.TB, c bus.Conn, kind subject.Kind, to, payload string) {
	t.Helper()
	if err := c.Publish(to, bus.Message{Kind: kind, Payload: []byte(payload)}); err != nil {
		t.Fatal(err)
	}
}

// Deadline returns a context that ends after a minute.
func Deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Plan is what the tests make keys for.
func Plan(adjust ...func(*keys.Plan)) keys.Plan {
	p := keys.Plan{
		Herd: "herd", Neighbours: Campus, Mode: keys.Nkeys, Observer: subject.ScopeFlood,
		Servers: []string{"nats"}, Hosts: []string{"127.0.0.1"}, Listen: "127.0.0.1:-1",
	}
	for _, a := range adjust {
		a(&p)
	}
	return p
}

// Mutual has a plan's nodes show certificates.
func Mutual(p *keys.Plan) { p.Mode = keys.MTLS }

// Encrypted adds TLS to a plan.
func Encrypted(p *keys.Plan) { p.TLS = true }

// Private keeps observers out of a plan's herd.
func Private(p *keys.Plan) { p.Observer = "" }

// MakeKeys makes the keys of a plan in a directory of the test.
func MakeKeys(t testing.TB, p keys.Plan) keys.Keyring {
	t.Helper()
	k := keys.Keyring(t.TempDir())
	if _, err := k.Make(p); err != nil {
		t.Fatal(err)
	}
	return k
}
