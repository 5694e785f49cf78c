// Package client is a client of one node: over TCP or TLS, with a limit to the silence of the server, for one line or a stream
// of reports.
package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Conn is a connection to a server, on which neither side may be silent for longer than its timeout.
type Conn struct {
	conn    net.Conn // a *tls.Conn if it is encrypted
	Address string   // of the server
	Timeout time.Duration
	in      *bufio.Reader // reads from this Conn, so with the timeout
	stop    func() bool   // ends closing with the context
}

// Dial connects to a server. The connection is closed when ctx ends.
func Dial(ctx context.Context, address string, timeout time.Duration, secure TLS) (*Conn, error) {
	config, err := secure.config(address)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: timeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("no node answers at %s: %s; is the herd running? start it with: herd up", address, Reason(err))
	}
	c := New(conn, address, timeout)
	if config != nil {
		if err := c.encrypt(ctx, config); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	c.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return c, nil
}

// New returns a Conn on a connection to the server at an address.
func New(conn net.Conn, address string, timeout time.Duration) *Conn {
	c := &Conn{conn: conn, Address: address, Timeout: timeout, stop: func() bool { return true }}
	c.in = bufio.NewReaderSize(c, 64<<10)
	return c
}

// Detach returns the connection itself, which no longer closes when the context of [Dial] ends. Nothing may have been read.
func (c *Conn) Detach() net.Conn {
	c.stop()
	return c.conn
}

func (c *Conn) Read(b []byte) (int, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(c.Timeout)); err != nil {
		return 0, err
	}
	return c.conn.Read(b)
}

func (c *Conn) Write(b []byte) (int, error) {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.Timeout)); err != nil {
		return 0, err
	}
	return c.conn.Write(b)
}

// Close closes the connection.
func (c *Conn) Close() {
	c.stop()
	_ = c.conn.Close() // all replies have come or are of no interest
}

// Reply copies the next reply to w, byte by byte as it comes, and reports whether the server refused the line: then the reply is
// that line after a question mark. Any other ends in an empty line.
func (c *Conn) Reply(w io.Writer) (refused bool, err error) {
	first, begins := true, true
	for {
		l, err := c.in.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		switch {
		case err != nil && !long:
			return false, c.Failure(err)
		case first && !bytes.HasPrefix(l, []byte("AT ")) && !bytes.HasPrefix(l, []byte("? ")):
			return false, fmt.Errorf("%s answers %.40q, which is not the client protocol; is that the address of a node?", c.Address, l)
		case first:
			refused, first = l[0] == '?', false
		}
		if _, err := w.Write(l); err != nil {
			return false, fmt.Errorf("write standard output: %w", err)
		}
		if !long && (refused || begins && len(l) == 1) {
			return refused, nil
		}
		begins = !long
	}
}

// Failure returns what an error of the connection means for the user.
func (c *Conn) Failure(err error) error {
	if alert := c.alert(err); alert != nil {
		return alert
	}
	_, encrypted := c.conn.(*tls.Conn)
	switch {
	case errors.Is(err, net.ErrClosed):
		return errors.New("interrupted") // nobody else closes the connection
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s was silent for %s; give it more time with --timeout, or connect to another node", c.Address, c.Timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		if !encrypted {
			return fmt.Errorf("%s closed the connection before it replied; it is stopping, hit a limit, or speaks only TLS (see --tls): see its log", c.Address)
		}
		return fmt.Errorf("%s closed the connection before it replied; it is stopping, or hit a limit: see its log", c.Address)
	}
	return fmt.Errorf("%s: %s", c.Address, Reason(err))
}

// Reason returns the part of a network error that says what went wrong, without the addresses.
func Reason(err error) string {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number.Error()
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		return name.Err
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "no answer in time"
	}
	return err.Error()
}
