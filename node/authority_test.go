package node

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is a CA that tests make.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	chain [][]byte // of it, up to but without the CA that nobody issued
}

// newAuthority returns a CA with a certificate of issuer or, without one, of its own. It lasts ten years.
func newAuthority(t testing.TB, name string, issuer *authority, adjust ...func(*x509.Certificate)) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
	}
	for _, a := range adjust {
		a(template)
	}
	cert, key := sign(t, template, issuer)
	ca := &authority{cert: cert, key: key}
	if issuer != nil {
		ca.chain = append([][]byte{cert.Raw}, issuer.chain...)
	}
	return ca
}

// sign makes a key, and a certificate of issuer for it or, without one, of its own.
func sign(t testing.TB, template *x509.Certificate, issuer *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, by := template, key
	if issuer != nil {
		parent, by = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// issue returns a certificate for these DNS names. It is valid from an hour ago for a day.
func (a *authority) issue(t testing.TB, names []string, adjust ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "a client"}, DNSNames: names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	for _, f := range adjust {
		f(template)
	}
	cert, key := sign(t, template, a)
	return tls.Certificate{Certificate: append([][]byte{cert.Raw}, a.chain...), PrivateKey: key, Leaf: cert}
}

// files writes a certificate for a server, its key, and the CAs that clients must come from, if any.
func (a *authority) files(t testing.TB, clients ...*authority) TLSFiles {
	t.Helper()
	server := a.issue(t, []string{"localhost"}, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IPAddresses = "a server", []net.IP{net.IPv4(127, 0, 0, 1)}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var cas [][]byte
	for _, ca := range clients {
		cas = append(cas, ca.cert.Raw)
	}
	dir := t.TempDir()
	files := TLSFiles{
		Cert: writePEM(t, dir, "cert.pem", "CERTIFICATE", server.Certificate...),
		Key:  writePEM(t, dir, "key.pem", "PRIVATE KEY", key),
	}
	if len(cas) > 0 {
		files.CA = writePEM(t, dir, "ca.pem", "CERTIFICATE", cas...)
	}
	return files
}

func writePEM(t testing.TB, dir, name, kind string, blocks ...[]byte) string {
	t.Helper()
	var text []byte
	for _, b := range blocks {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})...)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve returns what a server with a certificate of this CA shows, and asks of its clients: one of another CA, or nothing.
func (a *authority) serve(t testing.TB, clients *authority) *TLS {
	t.Helper()
	var cas []*authority
	if clients != nil {
		cas = append(cas, clients)
	}
	loaded, err := LoadTLS(a.files(t, cas...))
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// trust returns how clients connect to servers of this CA, with a certificate of their own or none.
func (a *authority) trust(own ...tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: own}
}

func dialTLS(t testing.TB, address string, config *tls.Config) (*client, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t, conn, bufio.NewReader(conn)}, nil
}

// dialTLS connects in memory.
func (p *pipes) dialTLS(t testing.TB, config *tls.Config) *phone {
	t.Helper()
	conn := tls.Client(p.dial(t).Conn, config)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &phone{t, conn, bufio.NewReaderSize(conn, 1<<16)}
}
