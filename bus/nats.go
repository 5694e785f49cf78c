package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"herd/bus/keys"
	"herd/bus/subject"
)

const (
	dialTime    = time.Second
	synTime     = 250 * time.Millisecond // between two attempts within dialTime
	confirmTime = 2 * time.Second        // in which the server has to confirm a subscription
	writeTime   = 2 * time.Second        // a write that takes longer ends the connection; by default nats.go waits for a minute
	pingTime    = time.Second
	silence     = 3500 * time.Millisecond // a connection on which no byte arrives for so long, pongs included, is closed

	maxPendingBytes = 32 << 20 // as MaxPending
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
	connect     connect                    // nil: over the network
}

// Identify sets the credentials that the node uses from the next connection on.
func (d *NATS) Identify(c *keys.Credentials) { d.credentials.Store(c) }

// Dial connects.
func (d *NATS) Dial(ctx context.Context, h Handler) (Conn, error) {
	c := &natsConn{
		herd: d.Herd, node: d.Node, handler: h, subscriptions: make(map[string]*nats.Subscription), done: make(chan struct{}),
	}
	err := c.connect(ctx, &dialer{url: d.URL, server: d.server, credentials: d.credentials.Load(), connect: d.connect}, "node "+d.Node, h.Fault)
	if err == nil && d.service != nil {
		err = c.answer(d.service)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Subscribe subscribes to each neighbour, and has the server confirm that.
func (c *natsConn) Subscribe(ctx context.Context, neighbours []string) error {
	for peer, sub := range c.subscriptions {
		if !slices.Contains(neighbours, peer) {
			if err := sub.Unsubscribe(); err != nil {
				return fmt.Errorf("bus: unsubscribe from %s: %w", peer, err)
			}
			delete(c.subscriptions, peer)
		}
	}
	var refused error
	for _, peer := range neighbours {
		if c.subscriptions[peer] != nil {
			continue
		}
		// One by one: a refusal is no reply, and only its time and text say what was refused.
		sub, err := c.subscribe(ctx, subject.Of(c.herd, subject.Any, peer, c.node), func(m *nats.Msg) { c.receive(peer, m) })
		switch {
		case err == nil:
			c.subscriptions[peer] = sub
		case errors.Is(err, ErrRefused):
			refused = err
		default:
			return err
		}
	}
	if len(c.subscriptions) == 0 {
		return refused
	}
	return nil
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

// reportFault calls fault with an asynchronous error, but not with those that end the connection: Err returns these.
func reportFault(fault func(error), sub *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		fault(fmt.Errorf("%w: %w", ErrRefused, err))
	case errors.Is(err, nats.ErrSlowConsumer) && sub != nil:
		dropped, _ := sub.Dropped()
		fault(fmt.Errorf("%w: %d on %s so far", ErrOverrun, dropped, sub.Subject))
	}
}

// natsConn is a connection to a NATS server that does not reconnect by itself.
type natsConn struct {
	herd, node    string
	handler       Handler                       // nil: an observer's connection
	subscriptions map[string]*nats.Subscription // by neighbour
	nc            *nats.Conn
	wire          *wire
	done          chan struct{}
	watch         sync.WaitGroup // of the goroutine that watches the wire

	receiving sync.RWMutex // read-locked while a message is received
	closed    bool         // guarded by receiving: no more messages are received
}

// connect dials as who; fault is called with what goes wrong later.
func (c *natsConn) connect(ctx context.Context, dial *dialer, who string, fault func(error)) error {
	dial.ctx = ctx
	if dial.connect == nil {
		dial.connect = overNetwork
	}
	options := []nats.Option{
		nats.Name("herd " + c.herd + " " + who),
		nats.NoReconnect(),
		nats.SkipHostLookup(), // the dialer does that, in limited time
		nats.SetCustomDialer(dial),
		nats.Timeout(dialTime),
		nats.FlusherTimeout(writeTime),
		nats.ReconnectOnFlusherError(), // as it does not reconnect, it closes
		nats.PingInterval(pingTime),
		nats.MaxPingsOutstanding(int(silence/pingTime) + 1), // more than the wire allows, which closes the connection earlier
		nats.ClosedHandler(func(*nats.Conn) { close(c.done) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { reportFault(fault, sub, err) }),
	}
	if dial.server != nil {
		options = append(options, nats.InProcessServer(dial))
	}
	options = append(options, credentialOptions(dial.credentials)...)
	nc, err := nats.Connect(dial.url, options...)
	if errors.Is(err, nats.ErrNoServers) && dial.failed != nil {
		err = dial.failed // which has the reason
	}
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return fmt.Errorf("%w: connect to %s: %w", ErrRefused, dial.place(), err)
	case err != nil:
		return fmt.Errorf("bus: connect to %s: %w", dial.place(), err)
	}
	c.nc, c.wire = nc, dial.wire
	c.watch.Go(func() { c.wire.watch(c.done) })
	return nil
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

// subscribe calls receive with each message on a subject until the connection ends. It returns when the server has confirmed that.
func (c *natsConn) subscribe(ctx context.Context, on string, receive func(*nats.Msg)) (*nats.Subscription, error) {
	before := c.nc.LastError()
	sub, err := c.nc.Subscribe(on, func(m *nats.Msg) {
		c.receiving.RLock()
		defer c.receiving.RUnlock()
		if !c.closed {
			receive(m)
		}
	})
	if err == nil {
		err = sub.SetPendingLimits(MaxPending, maxPendingBytes)
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTime)
	defer cancel()
	if err == nil {
		err = c.nc.FlushWithContext(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("bus: subscribe to %s: %w", on, err)
	}
	last := c.nc.LastError()
	if last != before && errors.Is(last, nats.ErrPermissionViolation) && strings.Contains(last.Error(), strconv.Quote(on)) {
		_ = sub.Unsubscribe() // the server has none
		return nil, fmt.Errorf("%w: %w", ErrRefused, last)
	}
	return sub, nil
}

// Publish sends the stamp as the subject to reply on, which has no subscriber, because a header costs more. A stamp begins with the
// 22 characters of an incarnation, so it is none of the short tokens that NATS keeps for itself there, such as _R_. The few messages
// with a trace have a header.
func (c *natsConn) Publish(to string, m Message) error {
	msg := nats.Msg{Subject: subject.Of(c.herd, m.Kind, c.node, to), Data: m.Payload}
	if m.Stamp != (subject.Stamp{}) {
		msg.Reply = string(m.Stamp.Append(make([]byte, 0, 43)))
	}
	if m.Trace != "" {
		msg.Header = nats.Header{traceHeader: {m.Trace}}
	}
	if err := c.nc.PublishMsg(&msg); err != nil {
		return fmt.Errorf("bus: publish to %s: %w", to, err)
	}
	return nil
}

func (c *natsConn) Flush(ctx context.Context) error { return c.nc.FlushWithContext(ctx) }

func (c *natsConn) Done() <-chan struct{} { return c.done }

func (c *natsConn) Err() error {
	select {
	case <-c.done:
	default:
		return nil
	}
	if c.wire.silent.Load() {
		return fmt.Errorf("%w for %s", ErrSilent, silence)
	}
	if err := c.nc.LastError(); err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	return ErrClosed
}

func (c *natsConn) Close() {
	c.nc.Close()
	<-c.done
	c.watch.Wait()
	c.receiving.Lock()
	c.closed = true
	c.receiving.Unlock()
}
