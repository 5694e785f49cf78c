package session

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"herd/node/session/sessiontest"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestLoadTLSFaults(t *testing.T) {
	ca := sessiontest.NewCA(t, "CA", nil)
	good, other := tlsFiles(t, ca, ca), tlsFiles(t, ca, nil)
	dir := t.TempDir()
	junk := sessiontest.WritePEM(t, dir, "junk.pem", "CERTIFICATE", []byte("junk"))
	if err := os.Chmod(other.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "half.pem")
	whole, err := os.ReadFile(good.CA)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(half, append(whole, "-----BEGIN CERTIFICATE-----\nanVuaw==\n-----END CERTIFICATE-----\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		files TLSFiles
		want  string
	}{
		{good, ""},
		{TLSFiles{Cert: "nowhere.pem", Key: good.Key}, "TLS certificate: open nowhere.pem: no such file or directory"},
		{TLSFiles{Cert: good.Key, Key: good.Key}, "TLS certificate: " + good.Key + ": no certificate in PEM form"},
		{TLSFiles{Cert: junk, Key: good.Key}, "TLS certificate: " + junk + ": certificate 1: x509: malformed certificate"},
		{TLSFiles{Cert: good.Cert, Key: "nowhere.pem"}, "TLS key: open nowhere.pem: no such file or directory"},
		{TLSFiles{Cert: other.Cert, Key: other.Key}, "TLS key: " + other.Key + " can be read by others (mode 0644); run chmod"},
		{TLSFiles{Cert: other.Cert, Key: good.Key}, "TLS key: " + good.Key + " with the certificate " + other.Cert + ": tls: private key does not match public key"},
		{TLSFiles{Cert: good.Cert, Key: good.Cert}, "TLS key: " + good.Cert + " with the certificate " + good.Cert + ": tls: found a certificate rather than a key"},
		{TLSFiles{Cert: good.Cert, Key: good.Key, CA: "nowhere.pem"}, "TLS CA of clients: open nowhere.pem: no such file or directory"},
		{TLSFiles{Cert: good.Cert, Key: good.Key, CA: half}, "TLS CA of clients: " + half + ": certificate 2: x509: malformed certificate"},
		{TLSFiles{Cert: good.Cert, Key: good.Key, CA: good.Cert}, "TLS CA of clients: " + good.Cert + `: the certificate of "CN=a server" is not that of a CA; remove it`},
	} {
		loaded, err := LoadTLS(test.files)
		switch {
		case test.want == "" && err == nil && loaded != nil:
		case test.want == "" || err == nil || loaded != nil || !strings.HasPrefix(err.Error(), test.want):
			t.Errorf("%+v:\ngot  %v\nwant %s", test.files, err, test.want)
		}
	}
}

// A client that is refused gets the reason, is counted and logged, and the others do not notice.
func TestHandshakeFails(t *testing.T) {
	ca, busCA := sessiontest.NewCA(t, "client CA", nil), sessiontest.NewCA(t, "bus CA", nil)
	server := serverTLS(t, ca, ca)
	issued := func(adjust ...func(*x509.Certificate)) []tls.Certificate {
		return []tls.Certificate{ca.Issue(t, []string{"kiwi"}, adjust...)}
	}
	for _, test := range []struct {
		name       string
		own        []tls.Certificate
		adjust     func(*tls.Config)
		shown, log string // at the client, and in the log
	}{
		{
			name:  "no certificate",
			shown: "remote error: tls: certificate required", log: "tls: client didn't provide a certificate",
		},
		{
			name: "no certificate, TLS 1.2", adjust: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
			shown: "remote error: tls: handshake failure", log: "tls: client didn't provide a certificate",
		},
		{
			name: "certificate of the bus", own: []tls.Certificate{busCA.Issue(t, []string{"kiwi"})},
			shown: "remote error: tls: unknown certificate authority",
			log:   "tls: failed to verify certificate: x509: certificate signed by unknown authority",
		},
		{
			name: "expired", own: issued(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }),
			shown: "remote error: tls: expired certificate",
			log:   "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time ",
		},
		{
			name: "not yet valid", own: issued(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }),
			shown: "remote error: tls: expired certificate",
			log:   "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time ",
		},
		{
			name: "for servers only", own: issued(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			shown: "remote error: tls: bad certificate",
			log:   "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage",
		},
		{
			name: "TLS 1.1", own: issued(), adjust: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
			shown: "remote error: tls: protocol version not supported", log: "tls: client offered only unsupported versions: [302 301]",
		},
		{
			name: "a browser", own: issued(), adjust: func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} },
			shown: "remote error: tls: no application protocol", log: `tls: client requested unsupported application protocols (["h2" "http/1.1"])`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zapcore.WarnLevel)
			n := startTCP(t, func(c *config) { c.TLS, c.Log = server, zap.New(core) })
			n.trust = ca.Trust(issued()...)
			inside := n.dial(t)
			config := ca.Trust(test.own...)
			if len(test.own) > 0 { // also one of another CA than those the server names
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &test.own[0], nil }
			}
			if test.adjust != nil {
				test.adjust(config)
			}
			wire := sessiontest.Dial(t, n.address)
			conn := tls.Client(wire.Conn, config)
			err := conn.Handshake()
			if err == nil { // in TLS 1.3 the client has done before the server has judged
				if _, err := io.WriteString(conn, "IAMAT kiwi "+place+" 1\n"); err != nil {
					t.Fatal(err)
				}
				_ = conn.CloseWrite() // where the server does not refuse, it ends
				_, err = io.ReadAll(conn)
			}
			if err == nil || err.Error() != test.shown {
				t.Errorf("the client is told %v, want %s", err, test.shown)
			}
			if got := wire.Rest(); got != "" {
				t.Errorf("then comes %q", got)
			}
			inside.Send("junk\n")
			inside.Bytes(len("? junk\n"))
			if got, want := n.state(), map[string]uint64{"TLS handshake failed": 1, "invalid line": 1}; !maps.Equal(got.Refused, want) || got.Clients != 0 {
				t.Errorf("counted %v, %d clients", got.Refused, got.Clients)
			}
			entry := logs.All()[0]
			if got := entry.ContextMap(); entry.Message != "refused" || got["peer"] != "127.0.0.1" || got["reason"] != "TLS handshake failed" ||
				!strings.HasPrefix(got["error"].(string), test.log) {
				t.Errorf("logged %s %v, want the error %s", entry.Message, got, test.log)
			}
			n.stop()
			if got := n.state().Sessions; got != 0 {
				t.Errorf("%d sessions in the end", got)
			}
		})
	}
}

// What is no TLS is closed without a word.
func TestPlainClientOnTLS(t *testing.T) {
	ca := sessiontest.NewCA(t, "CA", nil)
	n := startTCP(t, func(c *config) { c.TLS = serverTLS(t, ca, nil) })
	for i, text := range []string{example, "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff", "x", ""} {
		c := sessiontest.Dial(t, n.address)
		c.Send(text)
		if got := c.Rest(); strings.HasPrefix(got, "?") || strings.HasPrefix(got, "AT") {
			t.Errorf("%q gets %q", text, got)
		}
		if got := n.state(); got.Refused["TLS handshake failed"] != uint64(i+1) || len(got.Refused) != 1 || got.Clients != 0 {
			t.Errorf("after %q: counted %v", text, got.Refused)
		}
	}
	n.stop()
	if got := n.state().Sessions; got != 0 {
		t.Errorf("%d sessions in the end", got)
	}
}

// A certificate that is replaced while the node runs is for connections to come.
func TestSetTLS(t *testing.T) {
	first, second := sessiontest.NewCA(t, "first", nil), sessiontest.NewCA(t, "second", nil)
	n := startTCP(t, func(c *config) { c.TLS = serverTLS(t, first, first) })
	config := first.Trust(first.Issue(t, []string{"kiwi"}))
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	n.trust = config
	var before *sessiontest.Client
	for range 2 {
		c := n.dial(t)
		before = c
		c.Send("junk\n")
		c.Bytes(len("? junk\n")) // and a ticket, if there were one
		if c.Conn.(*tls.Conn).ConnectionState().DidResume {
			t.Error("a session was resumed, past the certificates")
		}
	}
	if err := n.SetTLS(serverTLS(t, second, second)); err != nil {
		t.Fatal(err)
	}
	if _, err := sessiontest.DialTLS(t, n.address, config); !isUntrusted(err) {
		t.Errorf("with the old CA: %v", err)
	}
	n.trust = second.Trust(second.Issue(t, []string{"emu"}))
	after := n.dial(t)
	for c, id := range map[*sessiontest.Client]string{before: "kiwi", after: "emu"} {
		c.Send("IAMAT " + id + " " + place + " 1\n")
		if got := c.Paragraph(); !strings.HasPrefix(got, "AT Goloman ") {
			t.Errorf("%s gets %q", id, got)
		}
	}

	const want = "TLS on the client port can only be turned on or off by a restart"
	if err := n.SetTLS(nil); err == nil || err.Error() != want {
		t.Errorf("turned off: %v", err)
	}
	plain := startTCP(t)
	if err := plain.SetTLS(serverTLS(t, second, nil)); err == nil || err.Error() != want {
		t.Errorf("turned on: %v", err)
	}
	if err := plain.SetTLS(nil); err != nil {
		t.Errorf("left off: %v", err)
	}
	plain.iamat(t, "kiwi "+place+" 1")
}

func isUntrusted(err error) bool {
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	return ok
}

// The chain of a server reaches clients that know only the root.
func TestChain(t *testing.T) {
	root := sessiontest.NewCA(t, "root", nil)
	n := startTCP(t, func(c *config) { c.TLS = serverTLS(t, sessiontest.NewCA(t, "between", root), nil) })
	n.trust = root.Trust()
	n.iamat(t, "kiwi "+place+" 1")
	if state := n.dial(t).Conn.(*tls.Conn).ConnectionState(); len(state.PeerCertificates) != 2 || state.Version != tls.VersionTLS13 {
		t.Errorf("%d certificates, version %x", len(state.PeerCertificates), state.Version)
	}
}

// Two nodes share what was loaded, and a client may resume its session at either: without certificates there is nothing to judge anew.
func TestResume(t *testing.T) {
	ca := sessiontest.NewCA(t, "CA", nil)
	server := serverTLS(t, ca, nil)
	trust := ca.Trust()
	trust.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	var resumed []bool
	for range 2 {
		n := startTCP(t, func(c *config) { c.TLS = server })
		n.trust = trust
		c := n.dial(t)
		c.Send("junk\n")
		c.Bytes(len("? junk\n")) // and the ticket before it
		resumed = append(resumed, c.Conn.(*tls.Conn).ConnectionState().DidResume)
	}
	if !slices.Equal(resumed, []bool{false, true}) {
		t.Errorf("resumed: %v", resumed)
	}
}
