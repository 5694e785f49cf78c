package sessiontest

import (
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

// CA is an authority that issues certificates.
type CA struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	chain [][]byte // of it, up to but without the root CA
}

// NewCA returns a CA with a certificate of issuer or, without one, of its own. It lasts ten years.
func NewCA(t testing.TB, name string, issuer *CA, adjust ...func(*x509.Certificate)) *CA {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
	}
	for _, a := range adjust {
		a(template)
	}
	cert, key := sign(t, template, issuer)
	ca := &CA{cert: cert, key: key}
	if issuer != nil {
		ca.chain = append([][]byte{cert.Raw}, issuer.chain...)
	}
	return ca
}

// sign makes a key, and a certificate of issuer for it or, without one, of its own.
func sign(t testing.TB, template *x509.Certificate, issuer *CA) (*x509.Certificate, *ecdsa.PrivateKey) {
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

// Issue returns a certificate for these DNS names. It is valid from an hour ago for a day.
func (ca *CA) Issue(t testing.TB, names []string, adjust ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "a client"}, DNSNames: names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	for _, f := range adjust {
		f(template)
	}
	cert, key := sign(t, template, ca)
	return tls.Certificate{Certificate: append([][]byte{cert.Raw}, ca.chain...), PrivateKey: key, Leaf: cert}
}

// Files writes a certificate for a server, its key, and the certificates of the CAs that clients' certificates must come from, if any. It
// returns the paths.
func (ca *CA) Files(t testing.TB, clients ...*CA) (cert, key, clientCAs string) {
	t.Helper()
	server := ca.Issue(t, []string{"localhost"}, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IPAddresses = "a server", []net.IP{net.IPv4(127, 0, 0, 1)}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	var cas [][]byte
	for _, ca := range clients {
		cas = append(cas, ca.cert.Raw)
	}
	dir := t.TempDir()
	cert, key = WritePair(t, dir, "cert.pem", "key.pem", server)
	if len(cas) > 0 {
		clientCAs = WritePEM(t, dir, "ca.pem", "CERTIFICATE", cas...)
	}
	return cert, key, clientCAs
}

// Write writes the certificate of the CA, and returns its path.
func (ca *CA) Write(t testing.TB, dir, name string) string {
	t.Helper()
	return WritePEM(t, dir, name, "CERTIFICATE", ca.cert.Raw)
}

// WritePair writes a certificate and its key, and returns their paths.
func WritePair(t testing.TB, dir, certName, keyName string, pair tls.Certificate) (cert, key string) {
	t.Helper()
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return WritePEM(t, dir, certName, "CERTIFICATE", pair.Certificate...), WritePEM(t, dir, keyName, "PRIVATE KEY", private)
}

// WritePEM writes a file of PEM blocks, and returns its path.
func WritePEM(t testing.TB, dir, name, kind string, blocks ...[]byte) string {
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

// Trust returns how clients connect to servers of this CA, with a certificate of their own or none.
func (ca *CA) Trust(own ...tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	return &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: own}
}
