package session

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"herd/configs/secret"
	"herd/node/admit"
	"herd/node/line"
)

// protocol is the name of the client protocol in ALPN.
const protocol = "herd"

// TLSFiles names the PEM files of TLS on the client port.
type TLSFiles struct {
	Cert string // the server's certificate, then those between it and a CA that clients trust
	Key  string // its private key, which no other user may read
	CA   string // the CAs that clients' certificates must come from; "": clients need none
}

// TLS is the certificate that servers show their clients, and what they require of them. Servers may share one.
type TLS struct {
	config *tls.Config
	cas    []*x509.Certificate // that clients' certificates must come from
}

// LoadTLS reads the files. Its errors name the one that is at fault.
func LoadTLS(files TLSFiles) (*TLS, error) {
	pair, err := secret.KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, fmt.Errorf("TLS %w", err)
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		// A client that announces another protocol is refused: a web page could have its visitor's browser, and certificate, send lines in the
		// body of a request. A client that announces none is accepted.
		NextProtos: []string{protocol},
	}
	if files.CA == "" {
		return &TLS{config: c}, nil
	}
	cas, err := loadCAs(files.CA)
	if err != nil {
		return nil, fmt.Errorf("TLS CA of clients: %w", err)
	}
	c.ClientCAs = secret.Pool(cas)
	c.ClientAuth = tls.RequireAndVerifyClientCert
	// A resumed TLS session relies on what an earlier handshake found. Without tickets every connection is checked against the present
	// CAs and time.
	c.SessionTicketsDisabled = true
	return &TLS{c, cas}, nil
}

// loadCAs returns the certificates of a file, all of which must be of CAs: any other would be trusted for itself.
func loadCAs(path string) ([]*x509.Certificate, error) {
	list, err := secret.Certificates(path)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		if !c.IsCA {
			return nil, fmt.Errorf("%s: the certificate of %q is not that of a CA; remove it", path, c.Subject)
		}
	}
	return list, nil
}

// Trusts reports whether clients' certificates may come from this CA.
func (t *TLS) Trusts(ca *x509.Certificate) bool {
	return t != nil && slices.ContainsFunc(t.cas, func(c *x509.Certificate) bool {
		return bytes.Equal(c.RawSubjectPublicKeyInfo, ca.RawSubjectPublicKeyInfo)
	})
}

// requiresCertificates reports whether clients need certificates.
func (t *TLS) requiresCertificates() bool {
	return t != nil && t.config.ClientAuth == tls.RequireAndVerifyClientCert
}

// clientURN starts the URIs that name a client in a certificate. Its ID follows, in which any byte may be written as %XX.
const clientURN = "urn:herd:client:"

// Parts of a subject alternative name (RFC 5280, 4.2.1.6).
var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

const (
	tagDNS = 2
	tagURI = 6
)

// identities are the IDs of the clients that a certificate is for.
type identities map[string]struct{}

// identitiesOf reads them from the certificate's bytes: x509 folds the case of a URI's scheme and drops an empty fragment, and an ID is
// compared byte for byte. The subject's common name counts for nothing.
func identitiesOf(leaf *x509.Certificate) identities {
	ids := make(identities)
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(subjectAltName) {
			continue
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(extension.Value, &names); err != nil {
			continue // x509 has parsed it, so this does not happen
		}
		for _, name := range names {
			id, ok := "", false
			switch {
			case name.Class != asn1.ClassContextSpecific:
			case name.Tag == tagDNS:
				id = string(name.Bytes)
				ok = !strings.Contains(id, "*") // a wildcard is neither an ID nor stands for any
			case name.Tag == tagURI:
				id, ok = clientOfURI(string(name.Bytes))
			}
			if ok && line.ValidClient(id) {
				ids[id] = struct{}{}
			}
		}
	}
	return ids
}

// clientOfURI returns the ID that a URI names, and whether it names one.
func clientOfURI(uri string) (id string, ok bool) {
	escaped, ours := strings.CutPrefix(uri, clientURN)
	if !ours || strings.ContainsAny(escaped, "?#") {
		return "", false
	}
	id, err := url.PathUnescape(escaped)
	return id, err == nil
}

const handshakeTime = 10 * time.Second // for a handshake, if limits set no time for a line

// tlsConn is a connection to a client over TLS; nil is one without TLS. Only the session's goroutine reads from it.
type tlsConn struct {
	*tls.Conn
	wire    *wireConn
	expires time.Time  // when the client's certificate is no longer valid; zero: it has shown none
	clients identities // the IDs for which it may report; nil: any
}

// wireConn is the connection below TLS. It distinguishes an end that the peer has announced from one that anybody on the way can make, and
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
			text := err.Error() // has names from certificates that are not verified
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
		first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		if first.NotAfter.After(last) {
			last = first.NotAfter
		}
	}
	return last
}
