// Package sessiontest has what tests of a server of clients need: a listener in memory, clients, and an authority that issues certificates.
package sessiontest

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Listener is a listener in memory, for tests in fake time.
type Listener struct {
	Conns  chan net.Conn // are accepted
	closed chan struct{}
	close  sync.Once
}

// NewListener returns a listener that is open.
func NewListener() *Listener {
	return &Listener{Conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.Conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (l *Listener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

// Addr returns the address "pipe".
func (l *Listener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// Client is a client's end of a connection.
type Client struct {
	net.Conn
	In *bufio.Reader // of Conn
	t  testing.TB
}

func newClient(t testing.TB, conn net.Conn) *Client {
	t.Cleanup(func() { _ = conn.Close() })
	return &Client{conn, bufio.NewReaderSize(conn, 1<<16), t}
}

// Dial connects in memory.
func (l *Listener) Dial(t testing.TB) *Client {
	ours, theirs := net.Pipe()
	l.Conns <- theirs
	return newClient(t, ours)
}

// DialTLS connects in memory, over TLS.
func (l *Listener) DialTLS(t testing.TB, config *tls.Config) *Client {
	t.Helper()
	conn := tls.Client(l.Dial(t).Conn, config)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &Client{conn, bufio.NewReaderSize(conn, 1<<16), t}
}

// Dial connects over TCP.
func Dial(t testing.TB, address string) *Client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

// DialTLS connects over TCP and TLS.
func DialTLS(t testing.TB, address string, config *tls.Config) (*Client, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return nil, err
	}
	return newClient(t, conn), nil
}

// Send writes text.
func (c *Client) Send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// CloseWrite ends what the client sends.
func (c *Client) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// Line returns the next line with its LF, or the error that came instead.
func (c *Client) Line() string {
	l, err := c.In.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return l
}

// Bytes returns the next n bytes.
func (c *Client) Bytes(n int) string {
	c.t.Helper()
	b := make([]byte, n)
	if n, err := io.ReadFull(c.In, b); err != nil {
		c.t.Fatalf("after %d bytes %q: %v", n, b[:n], err)
	}
	return string(b)
}

// Paragraph returns what comes up to and with the next empty line.
func (c *Client) Paragraph() string {
	c.t.Helper()
	var text strings.Builder
	for {
		l, err := c.In.ReadString('\n')
		text.WriteString(l)
		if err != nil {
			c.t.Fatalf("after %q: %v", text.String(), err)
		}
		if l == "\n" {
			return text.String()
		}
	}
}

// Rest closes the connection for writing, and returns everything that still comes.
func (c *Client) Rest() string {
	c.t.Helper()
	_ = c.CloseWrite() // fails if both sides have closed already
	b, err := io.ReadAll(c.In)
	if err != nil {
		c.t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// AwaitEnd waits for the server to close the connection, and returns how long that took.
func (c *Client) AwaitEnd() time.Duration {
	c.t.Helper()
	started := time.Now()
	if rest, err := io.ReadAll(c.In); err != nil {
		c.t.Fatalf("after %q: %v", rest, err)
	}
	return time.Since(started)
}
