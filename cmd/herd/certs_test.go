package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// issued is a certificate and its key, which can issue others if it is that of a CA.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue writes a new certificate of ca, or of its own if that is nil, and its key as NAME.pem and NAME.key.
func issue(dir, name string, ca *issued, adjust func(*x509.Certificate)) (*issued, error) {
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
	adjust(template)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if ca == nil {
		ca = &issued{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	for suffix, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	cert, err := x509.ParseCertificate(der)
	return &issued{cert, key}, err
}

func forCA(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }

func forServer(c *x509.Certificate) {
	c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

func forKiwi(c *x509.Certificate) {
	c.DNSNames, c.ExtKeyUsage = []string{"kiwi"}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// certs is the command of scripts that writes
//
//	ca, otherca          CAs
//	server, otherserver  of ca and otherca, for localhost and 127.0.0.1
//	kiwi, uri            of ca, for the clients kiwi, as a DNS name, and 50%küwi, as a URI
//	stranger, expired    of otherca, and of ca but of the past, both for the client kiwi
func (h *scriptHerd) certs(ts *testscript.TestScript, _ []string) {
	made := func(name string, ca *issued, adjust func(*x509.Certificate)) *issued {
		i, err := issue(ts.MkAbs("."), name, ca, adjust)
		ts.Check(err)
		return i
	}
	ca, other := made("ca", nil, forCA), made("otherca", nil, forCA)
	made("server", ca, forServer)
	made("otherserver", other, forServer)
	made("kiwi", ca, forKiwi)
	made("uri", ca, func(c *x509.Certificate) {
		forKiwi(c)
		c.DNSNames, c.URIs = nil, []*url.URL{{Scheme: "urn", Opaque: "herd:client:50%25k%C3%BCwi"}}
	})
	made("stranger", other, forKiwi)
	made("expired", ca, func(c *x509.Certificate) {
		forKiwi(c)
		c.NotAfter = time.Now().Add(-time.Minute)
	})
}

// A client says what it has against the certificate of a server.
func TestDistrust(t *testing.T) {
	dir := t.TempDir()
	ca, err := issue(dir, "ca", nil, forCA)
	if err != nil {
		t.Fatal(err)
	}
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
		{"client", forKiwi, "certificate specifies an incompatible key usage; have another made for it"},
	} {
		_, err := issue(dir, test.name, ca, func(c *x509.Certificate) {
			forServer(c)
			test.adjust(c)
		})
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, test.name+".pem"), filepath.Join(dir, test.name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		address := impostor(t, func(_ *bufio.Reader, conn net.Conn) {
			_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake()
		})
		code, _, stderr := herd(t, "", "iamat", "k", "+1+1", "1", "--addr", address, "--ca", filepath.Join(dir, "ca.pem"))
		want := fmt.Sprintf("herd: %s is not trusted: %s", address, test.want)
		if code != exitFailed || len(stderr) < len(want) || stderr[:len(want)] != want {
			t.Errorf("%s: exit code %d, error %q, want %q", test.name, code, stderr, want)
		}
	}
}
