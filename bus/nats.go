package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"herd/bus/keys"
	"herd/bus/subject"
)

const (
	confirmTime = 15 * time.Second // in which the server has to confirm subscriptions
	blockTime   = 30 * time.Second // a connection on which data wait for so long, of which nothing is sent, is closed
	pingTime    = time.Second
	maxPings    = 60                      // unanswered ones after which the server counts as gone, even if other bytes come
	silence     = 3500 * time.Millisecond // a connection is silent that has given no sign of life for so long
	sampleTime  = 250 * time.Millisecond  // between two looks for signs of life

	maxPendingBytes = 32 << 20 // as MaxPending
	minPayload      = 4 << 10  // that a server must take in one message
	traceRoom       = 64       // bytes of a message with a trace, besides payload and trace
)

// MaxPending is how many messages of one neighbour wait for a Handler. Beyond it the newest are dropped: [ErrOverrun].
const MaxPending = 8192

// NATS dials one node of a herd on a NATS server.
type NATS struct {
	URL  string // of one or more servers, separated by commas
	Herd string
	Node string

	service     *Service // or nil
	credentials atomic.Pointer[keys.Credentials]
	server      nats.InProcessConnProvider // instead of URL
	network     *network                   // nil: the real one
	turns       rotation
}

// Identify sets the credentials that the node uses from the next connection on.
func (d *NATS) Identify(c *keys.Credentials) { d.credentials.Store(c) }

// Dial connects.
func (d *NATS) Dial(ctx context.Context, h Handler) (Conn, error) {
	a := &access{
		url: d.URL, server: d.server, credentials: d.credentials.Load(), network: *cmp.Or(d.network, &realNetwork), turns: &d.turns,
		name: "herd " + d.Herd + " node " + d.Node, fault: h.Fault,
	}
	c, err := a.first(ctx)
	if err != nil {
		return nil, err
	}
	c.herd, c.node, c.handler = d.Herd, d.Node, h
	if max := c.MaxPayload(); max < minPayload {
		err = fmt.Errorf("%w: %s takes messages of at most %d bytes, and herd needs %d: raise its max_payload", ErrServer, redact(c.nc.ConnectedUrl()), max, minPayload)
	}
	if version := c.nc.ConnectedServerVersion(); olderThan(version, OldestServer) {
		h.Fault(&VersionError{version})
	}
	if err == nil && d.service != nil {
		err = c.answer(d.service)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Subscribe asks the server for all subscriptions at once, and waits once.
func (c *natsConn) Subscribe(ctx context.Context, neighbours []string) error {
	var missing []wanted
	c.mu.Lock()
	for peer, sub := range c.subscriptions {
		if !slices.Contains(neighbours, peer) {
			_ = c.drop(peer, sub) // it fails only on a connection that has ended
		}
	}
	for _, peer := range neighbours {
		if c.subscriptions[peer] == nil {
			missing = append(missing, wanted{peer, subject.Of(c.herd, subject.Any, peer, c.node), func(m *nats.Msg) { c.receive(peer, m) }})
		}
	}
	c.mu.Unlock()
	if len(missing) == 0 {
		return nil
	}
	return c.subscribe(ctx, missing)
}

func (c *natsConn) receive(peer string, m *nats.Msg) {
	_, kind, _, _, err := subject.Parse(m.Subject)
	if err != nil {
		return
	}
	msg, err := message(kind, peer, m)
	if err != nil {
		c.handler.Fault(err)
	}
	c.handler.Receive(msg)
}

// traceHeader is the header of a message that holds its trace.
const traceHeader = "Herd-Trace"

// message returns a message that arrived. The error is a [StampError]: then the message has no stamp.
func message(kind subject.Kind, from string, m *nats.Msg) (msg Message, err error) {
	msg = Message{Kind: kind, From: from, Payload: m.Data, Trace: m.Header.Get(traceHeader)}
	if m.Reply != "" {
		if msg.Stamp, err = subject.ParseStamp(m.Reply); err != nil {
			err = &StampError{from, m.Reply}
		}
	}
	return msg, err
}

// natsConn is a connection to a NATS server that does not reconnect by itself.
type natsConn struct {
	herd, node string
	handler    Handler // nil: an observer's connection
	fault      func(error)
	nc         *nats.Conn
	wire       *wire
	done       chan struct{}
	silence    chan bool // one slot: whether the connection is silent, after that changed
	tasks      sync.WaitGroup

	mu            sync.Mutex
	subscriptions map[string]*nats.Subscription // by neighbour; without those that the server refused
	order         []string                      // their neighbours, in the order in which the server was asked
	refusal       error                         // of the last subscription that was refused
	noted         map[error]bool                // while Subscribe waits: errors of the server
	another       chan struct{}                 // one slot: there is another one

	receiving sync.RWMutex // read-locked while a message is received
	closed    bool         // guarded by receiving: no more messages are received
}

// credentialOptions give credentials, which may be nil, to a connection.
func credentialOptions(c *keys.Credentials) (options []nats.Option) {
	if c != nil && c.Key != nil {
		options = append(options, func(o *nats.Options) error {
			public, err := c.Key.PublicKey()
			if err != nil {
				return fmt.Errorf("nkey: %w", err)
			}
			return nats.Nkey(public, c.Key.Sign)(o)
		})
	}
	if c != nil && c.TLS != nil {
		options = append(options, nats.Secure(c.TLS.Clone()))
	}
	return options
}

// Publish sends the stamp as the subject to reply on, which has no subscriber, because a header costs more. A stamp begins with the
// 22 characters of an incarnation, so it is none of the short tokens that NATS keeps for itself there, such as _R_. The few messages
// with a trace have a header.
func (c *natsConn) Publish(to string, m Message) error {
	msg := nats.Msg{Subject: subject.Of(c.herd, m.Kind, c.node, to), Data: m.Payload}
	if m.Stamp != (subject.Stamp{}) {
		msg.Reply = string(m.Stamp.Append(make([]byte, 0, 44)))
	}
	if m.Trace != "" && len(m.Payload)+len(m.Trace)+traceRoom <= c.MaxPayload() {
		msg.Header = nats.Header{traceHeader: {m.Trace}}
	}
	if size, most := len(m.Payload), c.MaxPayload(); size > most {
		c.fault(fmt.Errorf("%w: a message of %d bytes to %s is not sent: the server's max_payload is %d", ErrServer, size, to, most))
		return nil
	}
	err := c.wire.await(context.Background(), maxUnsent) // the end of the connection ends it too
	if err == nil {
		err = c.nc.PublishMsg(&msg)
	}
	if err != nil {
		return fmt.Errorf("bus: publish to %s: %w", to, err)
	}
	return nil
}

func (c *natsConn) Writable(ctx context.Context) error { return c.wire.await(ctx, 0) }

func (c *natsConn) MaxPayload() int { return int(min(c.nc.MaxPayload(), math.MaxInt32)) }

func (c *natsConn) Flush(ctx context.Context) error { return c.nc.FlushWithContext(ctx) }

func (c *natsConn) Done() <-chan struct{} { return c.done }

func (c *natsConn) Silence() <-chan bool { return c.silence }

func (c *natsConn) Err() error {
	select {
	case <-c.done:
	default:
		return nil
	}
	switch err := c.wire.failure(); {
	case errors.Is(err, ErrBlocked):
		return err
	case err != nil:
		return fmt.Errorf("bus: %w", err)
	}
	if err := c.nc.LastError(); err != nil {
		return serverError(err)
	}
	return ErrClosed
}

func (c *natsConn) Close() {
	c.nc.Close()
	<-c.done
	c.tasks.Wait()
	c.receiving.Lock()
	c.closed = true
	c.receiving.Unlock()
}

// watch reports when the connection falls silent and when it is no longer, and closes it when what is sent stays for too long.
func (c *natsConn) watch() {
	s, silent := signs{wire: c.wire}, false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-timer.C:
		}
		now := time.Now()
		last, blocked := s.look(now)
		if is := now.Sub(last) >= silence; is != silent {
			silent = is
			select {
			case <-c.silence: // which nobody has learned of
			default:
				c.silence <- silent
			}
		}
		if blocked >= blockTime && !silent {
			_ = c.wire.fail(ErrBlocked)
			return
		}
		if next := last.Add(silence).Sub(now); next > 0 && next < sampleTime {
			timer.Reset(next)
		} else {
			timer.Reset(sampleTime)
		}
	}
}
