package bus

import (
	"context"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// wire is a network connection that knows when it last heard something.
type wire struct {
	net.Conn
	heard  atomic.Int64 // nanoseconds after began
	began  time.Time
	silent atomic.Bool // closed for silence
}

func newWire(c net.Conn) *wire { return &wire{Conn: c, began: time.Now()} }

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.heard.Store(int64(time.Since(w.began)))
	}
	return n, err
}

// watch closes the wire when it has been silent for too long, and returns then or when done is closed. Closing the wire itself ends a
// write that is stuck in it, behind which closing the NATS connection would wait.
func (w *wire) watch(done <-chan struct{}) {
	for {
		left := silence - (time.Since(w.began) - time.Duration(w.heard.Load()))
		if left <= 0 {
			w.silent.Store(true)
			_ = w.Close()
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-done:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// dialer makes the wire of one connection.
type dialer struct {
	url         string
	server      nats.InProcessConnProvider // instead of url
	credentials *Credentials

	ctx    context.Context
	wire   *wire
	failed error // the last that kept it from connecting
}

// place is where the dialer connects, for errors.
func (d *dialer) place() string {
	if d.server != nil {
		return "the embedded NATS server"
	}
	return redact(d.url)
}

// Dial connects over the network, for nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, dialTime)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		d.failed = err
		return nil, err
	}
	d.wire = newWire(c)
	return d.wire, nil
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
