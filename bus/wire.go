package bus

import (
	"context"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"herd/bus/keys"

	"github.com/nats-io/nats.go"
)

// wire is a network connection that knows when it last read something.
type wire struct {
	net.Conn
	read   atomic.Int64 // when it last read something, in nanoseconds after began
	began  time.Time    // when it was made
	silent atomic.Bool  // closed for silence
}

func newWire(c net.Conn) *wire { return &wire{Conn: c, began: time.Now()} }

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.read.Store(int64(time.Since(w.began)))
	}
	return n, err
}

// watch closes the wire when it has been silent for too long, and returns then or when done is closed. It closes the wire itself because
// that ends a write that blocks, for which closing the NATS connection would wait.
func (w *wire) watch(done <-chan struct{}) {
	for {
		left := silence - (time.Since(w.began) - time.Duration(w.read.Load()))
		if left <= 0 {
			w.silent.Store(true)
			_ = w.Close()
			return
		}
		select {
		case <-done:
			return
		case <-time.After(left):
		}
	}
}

// dialer makes the wire of one connection.
type dialer struct {
	url         string
	server      nats.InProcessConnProvider // instead of url
	credentials *keys.Credentials
	connect     connect

	ctx    context.Context
	wire   *wire
	failed error // of the last attempt
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
	c, err := d.connect.again(d.ctx, network, address)
	if err != nil {
		d.failed = err
		return nil, err
	}
	d.wire = newWire(c)
	return d.wire, nil
}

// connect is how one connection is made over the network: [net.Dialer.DialContext].
type connect func(ctx context.Context, network, address string) (net.Conn, error)

// overNetwork connects with a resolver of its own. In a common resolver, concurrent lookups of one name share the query, and a lookup
// that starts after all others have timed out still waits for that query: 10 s if it was lost.
func overNetwork(ctx context.Context, network, address string) (net.Conn, error) {
	own := &net.Resolver{PreferGo: net.DefaultResolver.PreferGo, Dial: net.DefaultResolver.Dial}
	return (&net.Dialer{Resolver: own}).DialContext(ctx, network, address)
}

// again connects. While there is no answer it starts another attempt every synTime, beside the earlier ones: the system itself repeats a
// first packet that was lost only after a second. The first answer counts.
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

// InProcessConn connects within the process, for nats.InProcessServer.
func (d *dialer) InProcessConn() (net.Conn, error) {
	c, err := d.server.InProcessConn()
	if err != nil {
		return nil, err
	}
	d.wire = newWire(c)
	return d.wire, nil
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
