package bus

import (
	"context"
	"errors"
)

// Kind says what a message is about. It is a token of the message's subject.
type Kind string

// The kinds of messages that neighbours exchange.
const (
	Propagate Kind = "propagate" // reports
	Digest    Kind = "digest"    // heartbeats
	Repair    Kind = "repair"    // anti-entropy: may carry whole registries
)

// Message is what a neighbour sent. The receiver owns the payload. Stamp and trace are as the sender wrote them, "" for none: whoever
// reads one must expect any text.
type Message struct {
	Kind    Kind
	From    string
	Stamp   string
	Payload []byte
	Trace   string
}

// Handler is who takes what arrives on a connection.
type Handler interface {
	// Message takes one message. Calls for messages of one neighbour come one after the other, in the order they were sent.
	Message(Message)

	// Trouble hears of what a connection lost or was denied without coming to an end: [ErrRefused], [ErrOverrun].
	Trouble(error)
}

// What can go wrong on a connection.
var (
	ErrRefused = errors.New("bus: not permitted")                        // the bus does not let this node do that
	ErrOverrun = errors.New("bus: messages lost to a receiver too slow") // a neighbour's messages outran the Handler
	ErrClosed  = errors.New("bus: connection closed")
	ErrSilent  = errors.New("bus: connection silent")
	ErrStamp   = errors.New("bus: stamp is not a row of tokens")

	ErrNotStarted = errors.New("bus: embedded NATS server")
)

// Dialer connects one node.
type Dialer interface {
	// Dial returns a connection on which nobody is heard yet.
	Dial(ctx context.Context, h Handler) (Conn, error)
}

// Conn is one node's connection. Its methods are safe for concurrent use, but for Hear.
type Conn interface {
	// Hear has the Handler hear exactly these neighbours from now on, and returns when the bus has confirmed that. Those heard
	// before go on being heard without a gap. One that the bus does not permit is not heard, and the Handler is told. After an
	// error the connection is of no more use: it is [ErrRefused] when none is permitted.
	Hear(ctx context.Context, neighbours []string) error

	// Publish sends a payload to a neighbour, and with it a stamp: tokens of A-Z, a-z, 0-9, _ and - with points between, 100 bytes
	// at most, the first longer than four; "" for none. Any other is [ErrStamp], and nothing is sent. Another error means that the
	// connection is of no more use; no error does not mean that anybody got it.
	Publish(kind Kind, to, stamp string, payload []byte) error

	// PublishTraced does what Publish does, and sends a trace, which is text in one line, beside the payload.
	PublishTraced(kind Kind, to, stamp, trace string, payload []byte) error

	// Flush returns when the bus has taken all that was published.
	Flush(ctx context.Context) error

	// Done is closed when the connection has come to an end, and Err tells why.
	Done() <-chan struct{}
	Err() error

	// Close ends the connection, and waits for the Handler to return.
	Close()
}
