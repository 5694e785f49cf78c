// Package bus carries bytes between neighbours. It knows nodes by name and messages by kind, and does not look into payloads.
//
// A node has one connection at a time, which [Run] keeps: dial, subscribe, serve until an error, back off, again. Each neighbour
// is one subscription, so messages of a neighbour arrive in the order in which they were published, whatever their kinds.
// Delivery is at most once: what is published while the other side is away is lost, and the sender gets no error.
//
// [NATS] connects to a NATS server; [Server] is one within the process. The package bustest has a bus in memory that behaves
// alike, and the tests that hold every implementation to this behaviour.
//
// # Blocking and ownership
//
// Publish copies its payload and never waits for a neighbour. A [Handler] is called from one goroutine per neighbour; while
// it runs, that neighbour's messages wait in a bounded queue. After Close has returned it is not called any more.
package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"herd/bus/subject"
)

// Message is what one node sends to a neighbour.
type Message struct {
	Kind    subject.Kind  // of a received message: any text
	From    string        // the sender, whose name the bus vouches for; Publish ignores it
	Stamp   subject.Stamp // zero: none
	Payload []byte        // belongs to the receiver
	Trace   string        // one line of text, of a received message any; "": none
}

// Handler receives what arrives on a connection.
type Handler interface {
	// Receive is called with the messages of one neighbour one after the other, in the order in which they were published.
	Receive(Message)

	// Fault is called with what a connection lost, was denied or could not read, and outlasts: [ErrRefused], [ErrOverrun],
	// [StampError].
	Fault(error)
}

// What can go wrong on a connection.
var (
	ErrRefused = errors.New("bus: not permitted")                        // the bus does not let this node do that
	ErrOverrun = errors.New("bus: messages lost to a receiver too slow") // a neighbour's messages outran the Handler
	ErrClosed  = errors.New("bus: connection closed")
	ErrSilent  = errors.New("bus: connection silent")

	ErrNotStarted = errors.New("bus: embedded NATS server")
)

// StampError says that a neighbour's message has a stamp that cannot be read. The message is received without one.
type StampError struct {
	From string // the neighbour
	Text string // what stands there instead of a stamp: any text
}

func (e *StampError) Error() string {
	return fmt.Sprintf("bus: malformed stamp %.100q from %s", e.Text, e.From)
}

// Dialer connects one node.
type Dialer interface {
	// Dial returns a connection that is subscribed to no neighbour yet.
	Dial(ctx context.Context, h Handler) (Conn, error)
}

// Conn is one node's connection. Its methods are safe for concurrent use, but for Subscribe.
type Conn interface {
	// Subscribe has the Handler receive the messages of exactly these neighbours from now on, and returns when the bus has
	// confirmed that. Neighbours that were subscribed to before stay so without a gap. One that the bus does not permit is left
	// out, and the Handler's Fault is called. After an error the connection is of no more use: it is [ErrRefused] when none is
	// permitted.
	Subscribe(ctx context.Context, neighbours []string) error

	// Publish sends a message to a neighbour. An error means that the connection is of no more use; no error does not mean that
	// the message arrives.
	Publish(to string, m Message) error

	// Flush returns when the bus has all that was published.
	Flush(ctx context.Context) error

	// Done is closed when the connection has ended, and Err says why.
	Done() <-chan struct{}
	Err() error

	// Close ends the connection, and waits for the Handler to return.
	Close()
}

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 500 * time.Millisecond
	lasting    = time.Second // after a connection that lasted so long the pauses are short again
	flushTime  = 500 * time.Millisecond
)

// Run keeps one node connected until ctx ends: it dials, calls serve with the connection, and dials again when serve returns,
// after a random pause of at most 50 ms at first and 500 ms in the end. First start, restart and reconnection are the same. The
// context of serve ends with the connection. Before each pause but the last, Run calls lost with the reason why there is no
// connection: what serve returned, or else the connection's own error.
func Run(ctx context.Context, d Dialer, h Handler, serve func(context.Context, Conn) error, lost func(error)) {
	ceiling := minBackoff
	for ctx.Err() == nil {
		began := time.Now()
		c, err := d.Dial(ctx, h)
		if err == nil {
			err = hold(ctx, c, serve)
		}
		if ctx.Err() != nil {
			return
		}
		lost(err)
		if time.Since(began) >= lasting && c != nil {
			ceiling = minBackoff
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(ceiling)):
		}
		ceiling = min(2*ceiling, maxBackoff)
	}
}

// hold serves a connection to its end, and returns why it ended.
func hold(ctx context.Context, c Conn, serve func(context.Context, Conn) error) error {
	serving, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		defer stop()
		select {
		case <-c.Done():
		case <-serving.Done():
		}
	})
	err := serve(serving, c)
	stop()
	watch.Wait()
	if ctx.Err() != nil {
		// The node stops: what it has published is still sent.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
		defer cancel()
		_ = c.Flush(last) // if it fails, the connection was lost, which does not matter to a node that stops
	}
	c.Close() // before Err: what failed first may have been a Publish
	if err != nil {
		return err
	}
	return c.Err()
}
