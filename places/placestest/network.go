package placestest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// Network connects clients to one server in memory. It may be used in a bubble of testing/synctest, whose clock it then follows.
type Network struct {
	server http.Server
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
	done   chan struct{} // closed once the server has ended

	mu   sync.Mutex
	open map[net.Conn]bool
}

// NewNetwork starts a server with that handler, which runs until Close.
func NewNetwork(h http.Handler) *Network {
	n := &Network{
		conns: make(chan net.Conn), closed: make(chan struct{}), done: make(chan struct{}), open: make(map[net.Conn]bool),
	}
	n.server.Handler = h
	n.server.ConnState = func(c net.Conn, s http.ConnState) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if s == http.StateNew {
			n.open[c] = true
		}
		if s == http.StateClosed || s == http.StateHijacked {
			delete(n.open, c)
		}
	}
	go func() {
		defer close(n.done)
		_ = n.server.Serve(listener{n}) // its error says that the server was closed
	}()
	return n
}

// Transport returns a transport that reaches the server under every host name.
func (n *Network) Transport() *http.Transport {
	return &http.Transport{DialContext: n.dial, MaxIdleConnsPerHost: 100}
}

// Open returns the number of open connections.
func (n *Network) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.open)
}

// Close ends the server and waits for it.
func (n *Network) Close() {
	_ = n.server.Close()
	<-n.done
}

func (n *Network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case n.conns <- far:
		return near, nil
	case <-n.closed:
		return nil, errors.New("the server is closed")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listener accepts the connections of a Network.
type listener struct{ *Network }

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l listener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }
