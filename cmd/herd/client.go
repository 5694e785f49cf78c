package main

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

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/process"
	"herd/configs"
	"herd/node/line"
)

const space = " \t\n\v\f\r" // white space of the client protocol

// target says which server a client talks to, and how long it puts up with its silence.
type target struct {
	node, addr string
	timeout    time.Duration
	secrecy    secrecy
}

// targetFlags adds the flags that fill a target.
func (p *program) targetFlags(c *cobra.Command) *target {
	t := new(target)
	p.nodeFlag(c, &t.node, "node", "`NAME` of the server to talk to (default: the first of the configuration)")
	c.Flags().StringVar(&t.addr, "addr", "", "`HOST:PORT` of the server to talk to, instead of --node")
	c.Flags().DurationVar(&t.timeout, "timeout", 5*time.Second, "how long to wait for a server that is silent")
	t.secrecy.flags(c)
	return t
}

// dial connects to the server that the flags, or else the configuration, name.
func (p *program) dial(c *cobra.Command, t *target) (*conversation, error) {
	if t.timeout <= 0 {
		return nil, &usageError{fmt.Errorf("--timeout %s is too short; write for example 5s", t.timeout)}
	}
	address, err := p.address(c, t)
	if err != nil {
		return nil, err
	}
	var secure *tls.Config
	if t.secrecy.wanted() {
		host, _, _ := net.SplitHostPort(address) // which has both
		if secure, err = t.secrecy.config(host); err != nil {
			return nil, err
		}
	}
	return converse(c.Context(), address, t.timeout, secure)
}

func (p *program) address(c *cobra.Command, t *target) (string, error) {
	switch {
	case t.addr != "" && t.node != "":
		return "", &usageError{errors.New("--node and --addr exclude each other; give one of them")}
	case t.addr != "":
		address, err := process.Reach(t.addr)
		if err != nil {
			return "", &usageError{fmt.Errorf("--addr: %w", err)}
		}
		return address, nil
	}
	config, err := p.load(c)
	if err != nil {
		return "", err
	}
	n := config.Nodes[0]
	if t.node != "" {
		if n, err = named(config, t.node); err != nil {
			return "", err
		}
	}
	address, err := process.Reach(n.Listen)
	if err != nil {
		return "", fmt.Errorf("node %s: %w; give its address with --addr", n.Name, err)
	}
	return address, nil
}

// named returns the node of that name, or an error about its use.
func named(config *configs.Config, name string) (configs.Node, error) {
	n, ok := config.Node(line.NodeName(name))
	if !ok {
		return n, &usageError{fmt.Errorf("no node is named %q; 'herd topology check' lists them", name)}
	}
	return n, nil
}

// conversation is a connection to a server, on which neither side may be silent for longer than timeout.
type conversation struct {
	conn    net.Conn
	address string
	timeout time.Duration
	in      *bufio.Reader
	stop    func() bool
}

// converse connects to a server, over TLS if secure says how. The conversation breaks off when ctx ends.
func converse(ctx context.Context, address string, timeout time.Duration, secure *tls.Config) (*conversation, error) {
	dialer := net.Dialer{Timeout: timeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("no node answers at %s: %s; is the herd running? start it with: herd up", address, reason(err))
	}
	c := &conversation{conn: conn, address: address, timeout: timeout}
	c.in = bufio.NewReaderSize(c, 64<<10)
	if secure != nil {
		if err := c.encrypt(ctx, secure); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	c.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return c, nil
}

func (c *conversation) Read(b []byte) (int, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.conn.Read(b)
}

func (c *conversation) Write(b []byte) (int, error) {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.conn.Write(b)
}

func (c *conversation) close() {
	c.stop()
	_ = c.conn.Close() // all replies that count have come
}

// reply copies the next reply to w, byte by byte as it comes, and reports whether the server refused the line: then the reply is
// that line after a question mark. Any other ends in an empty line.
func (c *conversation) reply(w io.Writer) (refused bool, err error) {
	first, begins := true, true
	for {
		l, err := c.in.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		switch {
		case err != nil && !long:
			return false, c.failure(err)
		case first && !bytes.HasPrefix(l, []byte("AT ")) && !bytes.HasPrefix(l, []byte("? ")):
			return false, fmt.Errorf("%s answers %.40q, which is not the client protocol; is that the address of a node?", c.address, l)
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

// failure says why a conversation broke off.
func (c *conversation) failure(err error) error {
	if said := c.alert(err); said != nil {
		return said
	}
	_, encrypted := c.conn.(*tls.Conn)
	switch {
	case errors.Is(err, net.ErrClosed):
		return errors.New("interrupted") // nobody else closes the connection
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s was silent for %s; give it more time with --timeout, or ask another node", c.address, c.timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		if !encrypted {
			return fmt.Errorf("%s closed the connection before it replied; it is stopping, hit a limit, or speaks only TLS (see --tls): see its log", c.address)
		}
		return fmt.Errorf("%s closed the connection before it replied; it is stopping, or hit a limit: see its log", c.address)
	}
	return fmt.Errorf("%s: %s", c.address, reason(err))
}

// reason returns the part of a network error that says what went wrong, without the addresses.
func reason(err error) string {
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
