package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"herd/bus/keys"
)

const (
	dialTime      = 6 * time.Second        // in which a server has to accept a TCP connection
	synTime       = 750 * time.Millisecond // between two attempts within dialTime
	handshakeTime = 15 * time.Second       // for TLS and NATS on a TCP connection that was accepted
	minPatience   = time.Second            // with a handshake in which no byte comes, before another connection is begun beside it
	maxPatience   = 4 * time.Second
	muteTime      = 3*minPatience - sampleTime // in which the first byte has to come, before a fourth connection is begun
	maxAttempts   = 4                          // that run at a time
)

// connect is how a connection is made: [net.Dialer.DialContext].
type connect func(ctx context.Context, network, address string) (net.Conn, error)

// network is where servers are.
type network struct {
	lookup func(ctx context.Context, host string) (addresses []string, err error)
	dial   connect // one address
}

// realNetwork looks names up with a resolver of its own each time. In a common resolver, concurrent lookups of one name share the query, and a
// lookup that starts after all others have timed out still waits for that query: 10 s if it was lost.
var realNetwork = network{
	lookup: func(ctx context.Context, host string) ([]string, error) {
		own := &net.Resolver{PreferGo: net.DefaultResolver.PreferGo, Dial: net.DefaultResolver.Dial}
		return own.LookupHost(ctx, host)
	},
	dial: (&net.Dialer{}).DialContext,
}

// rotation has each of several take its turn: next is the one that had it the longest ago, or never.
type rotation struct {
	mu   sync.Mutex
	past []string // the last that had a turn, the latest last
}

// remembered is how many a rotation remembers.
const remembered = 64

// next returns one of several, and that it has its turn now.
func (r *rotation) next(of []string) (next string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	turn := len(r.past)
	for _, i := range rand.Perm(len(of)) {
		if at := slices.Index(r.past, of[i]); at < turn {
			next, turn = of[i], at
		}
	}
	r.past = append(slices.DeleteFunc(r.past, func(s string) bool { return s == next }), next)
	r.past = r.past[max(0, len(r.past)-remembered):]
	return next
}

// again connects. While there is no answer it starts another attempt every synTime, beside the earlier ones: the system itself repeats a
// first packet that was lost after one second and after three. The first answer counts.
func (dial connect) again(ctx context.Context, network, address string) (net.Conn, error) {
	type answer struct {
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	answers := make(chan answer, dialTime/synTime)
	var attempts sync.WaitGroup
	defer func() {
		cancel()
		attempts.Wait()
		close(answers)
		for late := range answers {
			if late.err == nil {
				_ = late.conn.Close()
			}
		}
	}()
	repeat := time.NewTicker(synTime)
	defer repeat.Stop()
	for left := cap(answers); ; left-- {
		if left > 0 {
			attempts.Go(func() {
				c, err := dial(ctx, network, address)
				answers <- answer{c, err}
			})
		}
		select {
		case first := <-answers:
			return first.conn, first.err
		case <-repeat.C:
		}
	}
}

// access is how to connect to one of the servers of a bus.
type access struct {
	url         string                     // of one or more servers, separated by commas
	server      nats.InProcessConnProvider // instead of url
	credentials *keys.Credentials          // nil: none
	network     network
	turns       *rotation   // of servers, and of the addresses of each
	name        string      // which the server shows
	fault       func(error) // is called with what goes wrong on the connection
}

// ended is how an attempt to connect ended.
type ended struct {
	dialer *dialer
	conn   *natsConn
	err    error
}

// first connects to one server after the other. When nothing came from a server for some time it begins with the next beside, or with the
// same one anew, since a connection that was made just before a link was cut may be dead. The first one that is ready counts. The error is the
// last, after each server has had its turn.
func (a *access) first(ctx context.Context) (*natsConn, error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan ended, maxAttempts)
	var attempts sync.WaitGroup
	defer func() {
		cancel()
		attempts.Wait()
		close(results)
		for late := range results {
			if late.err == nil {
				late.conn.Close()
			}
		}
	}()
	servers := strings.Split(a.url, ",")
	var running []*dialer
	begin := func() {
		d := &dialer{access: a, url: strings.TrimSpace(a.turns.next(servers)), ctx: ctx, began: time.Now(), alone: len(servers) == 1}
		running = append(running, d)
		attempts.Go(func() {
			c, err := d.handshake()
			results <- ended{d, c, err}
		})
	}
	begin()
	look := time.NewTicker(sampleTime)
	defer look.Stop()
	var mute []string // addresses
	hope := func(d *dialer) bool { return d.responded() || !slices.Contains(mute, d.address()) }
	for failed := 0; ; {
		select {
		case one := <-results:
			if one.err == nil {
				return one.conn, nil
			}
			running = slices.DeleteFunc(running, func(d *dialer) bool { return d == one.dialer })
			if one.dialer.mute.Load() {
				mute = append(mute, one.dialer.address())
			}
			switch failed++; {
			case one.dialer.mute.Load() && failed >= len(servers) && !slices.ContainsFunc(running, hope):
				return nil, one.err // those that were begun beside it have not been waited for as long, but wait for the same
			case len(running) > 0:
			case failed >= len(servers) || ctx.Err() != nil:
				return nil, one.err
			default:
				begin()
			}
		case now := <-look.C:
			if len(running) < maxAttempts && !slices.ContainsFunc(running, func(d *dialer) bool { return d.due().After(now) }) {
				begin()
			}
		}
	}
}

// dialer makes one connection.
type dialer struct {
	*access
	url   string // of the server
	alone bool   // there is no other server
	ctx   context.Context
	began time.Time

	wire   atomic.Pointer[wire] // once the TCP connection is there
	failed error                // why there is none
	mute   atomic.Bool          // nothing came over it for muteTime
}

// responded reports whether anything has come from the server.
func (d *dialer) responded() bool {
	w := d.wire.Load()
	return w != nil && w.read.Load() > 0
}

// address is that of the server once the TCP connection is there.
func (d *dialer) address() string {
	if w := d.wire.Load(); w != nil {
		return w.RemoteAddr().String()
	}
	return ""
}

// due returns when another connection is to be begun beside this one.
func (d *dialer) due() time.Time {
	w := d.wire.Load()
	switch {
	case w != nil:
		return w.lastRead().Add(min(max(3*w.took, minPatience), maxPatience))
	case d.alone:
		return d.began.Add(dialTime + synTime) // it repeats its attempts itself
	default:
		return d.began.Add(minPatience)
	}
}

// place is the address for errors.
func (d *dialer) place() string {
	if d.server != nil {
		return "the embedded NATS server"
	}
	return redact(d.url)
}

// Dial connects over the network, for nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	began := time.Now()
	c, err := connect(d.reach).again(d.ctx, network, address)
	if err != nil {
		d.failed = err
		return nil, err
	}
	return d.keep(c, time.Since(began)), nil
}

// reach connects to one of the addresses of a host: to the next where one fails at once.
func (d *dialer) reach(ctx context.Context, network, address string) (c net.Conn, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addresses, err := d.network.lookup(ctx, host)
	for range addresses {
		c, err = d.network.dial(ctx, network, net.JoinHostPort(d.turns.next(addresses), port))
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return c, err
}

// InProcessConn connects within the process, for nats.InProcessServer.
func (d *dialer) InProcessConn() (net.Conn, error) {
	c, err := d.server.InProcessConn()
	if err != nil {
		return nil, err
	}
	return d.keep(c, 0), nil
}

// keep returns the wire of a connection. When ctx ends before the handshake does, the wire is closed.
func (d *dialer) keep(c net.Conn, took time.Duration) *wire {
	w := newWire(c, took)
	d.wire.Store(w)
	end := func() { _ = w.Close() }
	ended := context.AfterFunc(d.ctx, end)
	mute := time.AfterFunc(muteTime, func() {
		if w.read.Load() == 0 {
			d.mute.Store(true)
			end()
		}
	})
	w.abort = func() bool {
		mute.Stop()
		return ended()
	}
	return w
}

// handshake connects.
func (d *dialer) handshake() (*natsConn, error) {
	c := &natsConn{
		fault: d.fault, done: make(chan struct{}), silence: make(chan bool, 1),
		subscriptions: make(map[string]*nats.Subscription), another: make(chan struct{}, 1),
	}
	options := []nats.Option{
		nats.Name(d.name),
		nats.NoReconnect(),
		nats.SkipHostLookup(), // the dialer does that, in limited time
		nats.SetCustomDialer(d),
		nats.Timeout(handshakeTime),
		nats.FlusherTimeout(0), // no write waits: see wire
		nats.PingInterval(pingTime),
		nats.MaxPingsOutstanding(maxPings),
		nats.ClosedHandler(func(*nats.Conn) { close(c.done) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { c.failed(sub, err) }),
	}
	if d.server != nil {
		options = append(options, nats.InProcessServer(d))
	}
	options = append(options, credentialOptions(d.credentials)...)
	nc, err := nats.Connect(d.url, options...)
	switch {
	case err != nil && d.mute.Load():
		err = fmt.Errorf("nothing came from it in %s", muteTime)
	case errors.Is(err, nats.ErrNoServers) && d.failed != nil:
		err = d.failed // which has the reason
	}
	if w := d.wire.Load(); err == nil && !w.abort() {
		nc.Close()
		err = d.ctx.Err()
	}
	if err != nil {
		return nil, serverError(fmt.Errorf("connect to %s: %w", d.place(), err))
	}
	c.nc, c.wire = nc, d.wire.Load()
	c.tasks.Go(c.watch)
	return c, nil
}

// redact takes user and password out of the URLs of servers.
func redact(servers string) string {
	list := strings.Split(servers, ",")
	for i, s := range list {
		if u, err := url.Parse(strings.TrimSpace(s)); err == nil && u.User != nil {
			u.User = nil
			list[i] = u.String()
		}
	}
	return strings.Join(list, ",")
}
