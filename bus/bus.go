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
// Publish copies its payload and never waits for a neighbour; it waits for the bus when a MiB of what was published is not sent yet. A [Handler] is called from one goroutine per neighbour; while
// it runs, that neighbour's messages wait in a bounded queue. After Close has returned it is not called any more.
package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
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
	ErrServer  = errors.New("bus: error of the NATS server")             // another error that the server reports, such as a limit that was reached
	ErrOverrun = errors.New("bus: messages lost to a receiver too slow") // a neighbour's messages outran the Handler
	ErrClosed  = errors.New("bus: connection closed")
	ErrSilent  = fmt.Errorf("bus: connection silent for %s", silence)
	ErrBlocked = fmt.Errorf("bus: the server has taken nothing for %s", blockTime)

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
	// the message arrives: of one with more than MaxPayload the Handler's Fault is called.
	Publish(to string, m Message) error

	// Writable returns when a message that is published now is sent at once, as far as this side knows.
	Writable(ctx context.Context) error

	// MaxPayload is the most bytes in the payload of a message.
	MaxPayload() int

	// Silence yields true when the connection has given no sign of life for 3.5 s, and false when it has given one again.
	Silence() <-chan bool

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
	lasting    = time.Second     // after a connection that lasted so long the pauses are short again
	flushTime  = 2 * time.Second // in which the bus takes what a node that stops has published
)

// Run keeps one node connected until ctx ends: it dials, calls serve with the connection, and dials again when serve returns. First start,
// restart and reconnection are the same. The context of serve ends with the connection.
//
// Between two dials is a random pause of at most 50 ms at first and 500 ms in the end, less the time that a dial took in vain.
//
// Beside a connection that is silent Run dials another one. If the first gives a sign of life before the other is ready, it stays; else it
// is closed, and serve is called with the other one. If the first ends before, serve is called with the other one when that is ready.
//
// Run calls lost with the reason why there is no connection, before each pause but the last: what serve returned, or else the connection's
// own error; and with [ErrSilent] when a connection falls silent, and with nil when that one stays.
func Run(ctx context.Context, d Dialer, h Handler, serve func(context.Context, Conn) error, lost func(error)) {
	k := keeper{dialer: d, handler: h, serve: serve, lost: lost}
	defer func() {
		if k.second != nil {
			k.second.drop()
		}
	}()
	var c Conn
	for {
		if c == nil {
			c = k.connect(ctx)
		}
		if c == nil {
			return
		}
		began := time.Now()
		next, err := k.hold(ctx, c)
		if ctx.Err() != nil {
			if next != nil {
				next.Close()
			}
			return
		}
		if time.Since(began) >= lasting {
			k.ceiling = minBackoff
		}
		if c = next; c != nil {
			continue
		}
		if lost(err); k.second == nil {
			k.pause(ctx, 0)
		}
	}
}

// keeper keeps one node connected.
type keeper struct {
	dialer  Dialer
	handler Handler
	serve   func(context.Context, Conn) error
	lost    func(error)
	ceiling time.Duration // of the next pause
	second  *second       // what was dialled beside the last connection when that ended; or nil
}

// second is a connection that is being dialled beside one that is silent.
type second struct {
	ready  chan Conn // yields the connection, or nil after cancel
	cancel context.CancelFunc
	alone  atomic.Bool // the first one has ended
}

// drop ends a connection that is not wanted.
func (s *second) drop() {
	s.cancel()
	if c := <-s.ready; c != nil {
		c.Close()
	}
}

// connect waits for what was dialled beside the last connection, or else dials. It returns nil when ctx has ended.
func (k *keeper) connect(ctx context.Context) Conn {
	s := k.second
	if s == nil {
		return k.dial(ctx, k.lost)
	}
	k.second = nil
	defer s.cancel()
	s.alone.Store(true)
	return <-s.ready
}

// dial dials until there is a connection, and calls failed before each pause. It returns nil when ctx has ended.
func (k *keeper) dial(ctx context.Context, failed func(error)) Conn {
	for ctx.Err() == nil {
		began := time.Now()
		c, err := k.dialer.Dial(ctx, k.handler)
		if err == nil {
			return c
		}
		if ctx.Err() == nil {
			failed(err)
			k.pause(ctx, time.Since(began))
		}
	}
	return nil
}

// pause waits for a random time, of which some has passed already.
func (k *keeper) pause(ctx context.Context, passed time.Duration) {
	k.ceiling = min(max(k.ceiling, minBackoff), maxBackoff)
	select {
	case <-ctx.Done():
	case <-time.After(rand.N(k.ceiling) - passed):
	}
	k.ceiling *= 2
}

// hold serves a connection to its end. It returns the connection that takes its place, or nil and why it ended.
func (k *keeper) hold(ctx context.Context, c Conn) (next Conn, err error) {
	serving, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		defer stop()
		if next = k.successor(ctx, serving.Done(), c); next != nil {
			c.Close() // before serve ends: a Publish may wait for it
		}
	})
	err = k.serve(serving, c)
	stop()
	watch.Wait()
	if ctx.Err() != nil {
		// The node stops: what it has published is still sent.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
		defer cancel()
		_ = c.Flush(last) // if it fails, the connection was lost, which does not matter to a node that stops
	}
	c.Close() // before Err: what failed first may have been a Publish
	if err == nil {
		err = c.Err()
	}
	return next, err
}

// successor waits for the end of a connection or of serving, and returns nil; or it returns the connection that is to take its place because
// it was ready while the first one was silent.
func (k *keeper) successor(ctx context.Context, served <-chan struct{}, c Conn) Conn {
	for {
		select {
		case <-c.Done():
			return nil
		case <-served:
			return nil
		case silent := <-c.Silence():
			if !silent {
				continue
			}
		}
		k.lost(ErrSilent)
		next, stays := k.beside(ctx, served, c)
		if !stays {
			return next
		}
		k.lost(nil)
	}
}

// beside dials beside a connection that is silent. It returns the other connection, or true if the silent one stays. If the silent one ends
// before, [keeper.connect] gets what is being dialled: the link may just have returned, with the news that the server has ended the connection.
func (k *keeper) beside(ctx context.Context, served <-chan struct{}, c Conn) (next Conn, stays bool) {
	ctx, cancel := context.WithCancel(ctx)
	s := &second{ready: make(chan Conn, 1), cancel: cancel}
	own := keeper{dialer: k.dialer, handler: k.handler}
	go func() {
		s.ready <- own.dial(ctx, func(err error) {
			if s.alone.Load() {
				k.lost(err)
			}
		})
	}()
	select {
	case next = <-s.ready:
		cancel()
		return next, false
	case <-c.Silence():
		s.drop()
		return nil, true
	case <-c.Done():
	case <-served:
	}
	k.second = s
	return nil, false
}
