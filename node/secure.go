package node

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
)

const (
	handshakeTime = 10 * time.Second // for a handshake, when limits set no time for a line
	maxComplaint  = 512              // bytes of what is logged about one that failed
)

// secure is a connection to a client over TLS. Only the session's goroutine reads from it.
type secure struct {
	*tls.Conn
	wire  *wire
	until time.Time  // when the client's certificate is no longer valid; zero if it has shown none
	ids   identities // of the clients for which it may report; nil: any
}

// wire is what TLS is spoken over. It tells an end that the peer has announced from one that anybody on the way can make, and
// limits the time for what TLS itself has to write: a client that changes its keys and takes no answer would hold up who reads.
type wire struct {
	net.Conn
	cut     bool // the end came from below TLS
	limit   func() time.Duration
	limited atomic.Bool // by who writes replies
}

func (w *wire) SetWriteDeadline(t time.Time) error {
	w.limited.Store(!t.IsZero())
	return w.Conn.SetWriteDeadline(t)
}

func (w *wire) Write(b []byte) (int, error) {
	if limit := w.limit(); limit > 0 && !w.limited.Load() {
		_ = w.Conn.SetWriteDeadline(time.Now().Add(limit)) // if it fails, so does Write
		defer func() { _ = w.Conn.SetWriteDeadline(time.Time{}) }()
	}
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.cut = w.cut || errors.Is(err, io.EOF)
	return n, err
}

func newSecure(conn net.Conn, t *TLS, limit func() time.Duration) *secure {
	w := &wire{Conn: conn, limit: limit}
	return &secure{Conn: tls.Server(w, t.config), wire: w}
}

// Close ends the connection at once. To take leave first, which can take time, is for session.linger.
func (c *secure) Close() error { return c.wire.Close() }

// mayReport reports whether the client has shown that it may speak for this ID. On a plain connection everybody may.
func (c *secure) mayReport(client []byte) bool {
	if c == nil || c.ids == nil {
		return true
	}
	_, ok := c.ids[string(client)]
	return ok
}

// torn reports whether a last line without LF may be only the beginning of what the client sent.
func (c *secure) torn() bool { return c != nil && c.wire.cut }

// errExpired ends a session whose client's certificate is no longer valid.
var errExpired = errors.New("certificate expired")

// shake completes the handshake in bounded time. An error ends the session.
func (s *session) shake(ctx context.Context) error {
	if s.secure == nil {
		return nil
	}
	within := cmp.Or(s.node.limits.Load().Line, handshakeTime)
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := s.secure.HandshakeContext(limited) // which closes the connection when it is too late
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		s.node.refusals.note(handshakeFailed, s.host, func() zap.Field {
			if limited.Err() != nil {
				return zap.String("error", "not completed in "+within.String())
			}
			text := err.Error() // names what is in certificates that nobody has verified
			return zap.String("error", quoted(text[:min(len(text), maxComplaint)]))
		})
		return errClosing
	}
	state := s.secure.ConnectionState()
	who := ""
	if len(state.VerifiedChains) > 0 {
		leaf := state.VerifiedChains[0][0]
		s.secure.until, s.secure.ids = validUntil(state.VerifiedChains), identitiesOf(leaf)
		who = leaf.Subject.String()
	}
	if s.node.Log.Core().Enabled(zap.InfoLevel) {
		s.node.Log.Info("secured", zap.String("peer", s.peer),
			zap.String("version", tls.VersionName(state.Version)), zap.String("certificate", quoted(who)))
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

// lifetime returns a context that ends with ctx, or when the client's certificate expires.
func (s *session) lifetime(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.secure == nil || s.secure.until.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadlineCause(ctx, s.secure.until, errExpired)
}

// linger takes leave: it tells the client that nothing more comes, and lets it read its last replies. Closing a connection on which
// it still sends would make them vanish. What it sends is thrown away, not faster than is needed for that.
func (s *session) linger() {
	conn := s.conn
	timer := time.AfterFunc(lingerTime, func() { _ = s.conn.Close() })
	defer timer.Stop()
	if s.secure != nil {
		_ = s.secure.CloseWrite() // does nothing without a handshake
		conn = s.secure.wire.Conn // what still comes is of no interest
	}
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || conn.SetReadDeadline(time.Time{}) != nil {
		return
	}
	for {
		if n, err := io.CopyN(io.Discard, conn, lingerBytes); n < lingerBytes || err != nil {
			return // it has closed its side, or the time is up
		}
		time.Sleep(lingerPause)
	}
}
