package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"herd/node/session/sessiontest"
)

func forServer(c *x509.Certificate) {
	c.Subject.CommonName, c.IPAddresses = "server", []net.IP{net.IPv4(127, 0, 0, 1)}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

// certs is the command of scripts that writes
//
//	ca, otherca          CAs
//	server, otherserver  of ca and otherca, for localhost and 127.0.0.1
//	kiwi, uri            of ca, for the clients kiwi, as a DNS name, and 50%küwi, as a URI
//	unknown, expired     of otherca, and of ca but of the past, both for the client kiwi
func (h *scriptHerd) certs(ts *testscript.TestScript, _ []string) {
	dir, local, kiwi := ts.MkAbs("."), []string{"localhost"}, []string{"kiwi"}
	ca, other := sessiontest.NewCA(h.t, "ca", nil), sessiontest.NewCA(h.t, "otherca", nil)
	ca.Write(h.t, dir, "ca.pem")
	other.Write(h.t, dir, "otherca.pem")
	for name, pair := range map[string]tls.Certificate{
		"server":      ca.Issue(h.t, local, forServer),
		"otherserver": other.Issue(h.t, local, forServer),
		"kiwi":        ca.Issue(h.t, kiwi),
		"uri":         ca.Issue(h.t, nil, func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "urn", Opaque: "herd:client:50%25k%C3%BCwi"}} }),
		"unknown":     other.Issue(h.t, kiwi),
		"expired":     ca.Issue(h.t, kiwi, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
	} {
		sessiontest.WritePair(h.t, dir, name+".pem", name+".key", pair)
	}
}

// A client says what it has against the certificate of a server.
func TestDistrust(t *testing.T) {
	ca := sessiontest.NewCA(t, "ca", nil)
	trusted := ca.Write(t, t.TempDir(), "ca.pem")
	for _, test := range []struct {
		name   string
		adjust func(*x509.Certificate)
		want   string
	}{
		{
			"elsewhere", func(c *x509.Certificate) { c.IPAddresses = nil },
			"cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs; connect to a name that is in it with --addr",
		},
		{
			"past", func(c *x509.Certificate) { c.NotAfter = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
			"certificate has expired or is not yet valid: current time ",
		},
		{"client", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "certificate specifies an incompatible key usage; have another made for it"},
	} {
		pair := ca.Issue(t, []string{"localhost"}, forServer, test.adjust)
		address := impostor(t, func(_ *bufio.Reader, conn net.Conn) {
			_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake()
		})
		code, _, stderr := herd(t, "", "iamat", "k", "+1+1", "1", "--addr", address, "--ca", trusted)
		want := fmt.Sprintf("herd: %s is not trusted: %s", address, test.want)
		if code != exitFailed || len(stderr) < len(want) || stderr[:len(want)] != want {
			t.Errorf("%s: exit code %d, error %q, want %q", test.name, code, stderr, want)
		}
	}
}
