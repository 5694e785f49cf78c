package session

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"herd/node/admit"
	"herd/node/line"
)

const handshakeTime = 10 * time.Second // for a handshake, if limits set no time for a line

// tlsConn is a connection to a client over TLS; nil is one without TLS. Only the session's goroutine reads from it.
type tlsConn struct {
	*tls.Conn
	wire    *wireConn
	expires time.Time  // when the client's certificate is no longer valid; zero: it has shown none
	clients identities // the IDs for which it may report; nil: any
}

// wireConn is the connection below TLS. It tells an end that the peer has announced from one that anybody on the way can make, and
// limits the time for what TLS itself writes: a client that changes its keys and reads no answer would block the session's reads.
type wireConn struct {
	net.Conn
	cut     bool // the end came from below TLS
	limit   func() time.Duration
	limited atomic.Bool // a write of replies has set a deadline
}

func (w *wireConn) SetWriteDeadline(t time.Time) error {
	w.limited.Store(!t.IsZero())
	return w.Conn.SetWriteDeadline(t)
}

func (w *wireConn) Write(b []byte) (int, error) {
	if limit := w.limit(); limit > 0 && !w.limited.Load() {
		_ = w.Conn.SetWriteDeadline(time.Now().Add(limit)) // if it fails, so does Write
		defer func() { _ = w.Conn.SetWriteDeadline(time.Time{}) }()
	}
	return w.Conn.Write(b)
}

func (w *wireConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.cut = w.cut || errors.Is(err, io.EOF)
	return n, err
}

func newTLSConn(conn net.Conn, t *TLS, limit func() time.Duration) *tlsConn {
	w := &wireConn{Conn: conn, limit: limit}
	return &tlsConn{Conn: tls.Server(w, t.config), wire: w}
}

// Close ends the connection at once, without announcing it to the client, which can take time: session.linger does that.
func (c *tlsConn) Close() error { return c.wire.Close() }

// mayReport reports whether the client's certificate is for this ID.
func (c *tlsConn) mayReport(client []byte) bool {
	if c == nil || c.clients == nil {
		return true
	}
	_, ok := c.clients[string(client)]
	return ok
}

// truncated reports whether a last line without LF may be only the start of what the client sent.
func (c *tlsConn) truncated() bool { return c != nil && c.wire.cut }

// errExpired ends a session whose client's certificate is no longer valid.
var errExpired = errors.New("certificate expired")

// withExpiry returns a context that ends with ctx, or when the client's certificate expires.
func (c *tlsConn) withExpiry(ctx context.Context) (context.Context, context.CancelFunc) {
	if c == nil || c.expires.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadlineCause(ctx, c.expires, errExpired)
}

// handshake completes the TLS handshake in bounded time. An error ends the session.
func (s *session) handshake(ctx context.Context) error {
	c := s.client.tls
	if c == nil {
		return nil
	}
	within := cmp.Or(s.limits().Line, handshakeTime)
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := c.HandshakeContext(limited) // which closes the connection when the time is up
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		s.count(admit.HandshakeFailed, func() (string, any) {
			if limited.Err() != nil {
				return "error", "not completed in " + within.String()
			}
			text := err.Error() // has names from certificates that nobody has verified
			return "error", line.Printable(text[:min(len(text), maxLogged)])
		})
		return errLimit
	}
	state := c.ConnectionState()
	subject := ""
	if len(state.VerifiedChains) > 0 {
		leaf := state.VerifiedChains[0][0]
		c.expires, c.clients = validUntil(state.VerifiedChains), identitiesOf(leaf)
		subject = leaf.Subject.String()
	}
	if log := s.server.config.Log; log.Core().Enabled(zapcore.InfoLevel) {
		log.Info("secured", zap.String("peer", s.client.peer),
			zap.String("version", tls.VersionName(state.Version)), zap.String("certificate", line.Printable(subject)))
	}
	return nil
}

// validUntil returns when the last of these chains breaks, which it does when the first of its certificates expires: a connection
// lasts as long as its client could open another with the same certificate, so an expired CA ends it as well.
func validUntil(chains [][]*x509.Certificate) time.Time {
	var last time.Time
	for _, chain := range chains {
		first := chain[0].NotAfter
		for _, c := range chain[1:] {
			if c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(last) {
			last = first
		}
	}
	return last
}
