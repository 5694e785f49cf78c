package bus

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// What tests need of the inside.
const (
	PingTime   = pingTime
	Silence    = silence
	SynTime    = synTime
	MaxBackoff = maxBackoff
	BlockTime  = blockTime
)

// Options are what a node shows the server when it connects.
func (d *NATS) Options() []nats.Option { return credentialOptions(d.credentials.Load()) }

var Options = credentialOptions

// Through makes a node connect within the process by way of another provider of connections.
func (d *NATS) Through(wrap func(nats.InProcessConnProvider) nats.InProcessConnProvider) {
	d.server = wrap(d.server)
}

// Over makes a node connect to a URL, each attempt by a function unless that is nil. A name has some addresses, or is its own.
func (d *NATS) Over(url string, dial func(ctx context.Context, network, address string) (net.Conn, error), addresses ...string) {
	d.server, d.URL = nil, url
	if dial != nil {
		d.network = &network{dial: dial, lookup: func(_ context.Context, host string) ([]string, error) {
			if len(addresses) == 0 {
				return []string{host}, nil
			}
			return addresses, nil
		}}
	}
}

// TCP returns how a node connects from outside the process.
func (s *Server) TCP(node string) *NATS {
	d := s.Dialer(node)
	d.Over(s.URL(), nil)
	return d
}

// Inner is the NATS server.
func (s *Server) Inner() *server.Server { return s.nats }

// Inner is the NATS connection of a connection.
func Inner(c Conn) *nats.Conn { return c.(*natsConn).nc }

// LastRead returns when a connection last read something.
func LastRead(c Conn) time.Time {
	return c.(*natsConn).wire.lastRead()
}

// CloseBefore publishes the first message of a neighbour, and ends the connection as Close does, when NATS has taken the message from
// its queue and the Handler has not been called with it.
func CloseBefore(t testing.TB, c Conn, neighbour string, publish func()) {
	t.Helper()
	n := c.(*natsConn)
	n.receiving.Lock()
	defer n.receiving.Unlock()
	publish()
	for delivered := int64(0); delivered == 0; runtime.Gosched() {
		var err error
		if delivered, err = n.subscriptions[neighbour].Delivered(); err != nil {
			t.Fatal(err)
		}
	}
	n.closed = true
}

// Send writes to the server past the NATS connection.
func Send(c Conn, text string) { _, _ = c.(*natsConn).wire.Write([]byte(text)) }
