package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"herd/configs/secret"
)

const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 365 * 24 * time.Hour
	renewal         = certificateLife / 3 // a certificate is issued anew so long before it expires
	clockSkew       = time.Hour           // another machine's clock may be so far behind
)

// authority issues the certificates of the bus. Those of clients on TLS ports must come from another: a client could pass for a node.
type authority struct {
	certificate *x509.Certificate
	key         any
	text        []byte // of the certificate, in PEM
}

// openAuthority returns the authority in a directory, which it makes if there is none. No group can read its key: with it, anybody could
// pass for any node.
func openAuthority(dir, herd string) (*authority, error) {
	certificate, key := filepath.Join(dir, caFile), filepath.Join(dir, "ca.key")
	pair, err := secret.KeyPair(certificate, key)
	if errors.Is(err, fs.ErrNotExist) && exists(dir, caFile) {
		// Another authority would be the end of all certificates there are.
		return nil, fmt.Errorf("%w; put back the private key of %s, or remove that as well to begin anew", err, certificate)
	}
	if errors.Is(err, fs.ErrNotExist) {
		template := &x509.Certificate{
			Subject:  pkix.Name{CommonName: "bus of herd " + herd},
			NotAfter: time.Now().Add(authorityLife),
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			IsCA:     true, MaxPathLenZero: true,
		}
		if err := sign(new(writer), template, nil, certificate, key); err != nil {
			return nil, err
		}
		pair, err = secret.KeyPair(certificate, key)
	}
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(certificate)
	return &authority{pair.Leaf, pair.PrivateKey, text}, err
}

// writeTo writes the authority's certificate to a directory.
func (a *authority) writeTo(w *writer, dir string) error {
	path := filepath.Join(dir, caFile)
	if text, err := os.ReadFile(path); err == nil && bytes.Equal(text, a.text) {
		return nil
	}
	return w.write(path, a.text)
}

// issue writes to a directory a certificate for name, its key and the authority's certificate. A server's certificate is for hosts as
// well. It reports whether the certificate is new: one that is there is kept if it is valid, says the same and does not expire soon.
func (a *authority) issue(w *writer, dir, name string, hosts []string) (issued bool, err error) {
	if err := a.writeTo(w, dir); err != nil {
		return false, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		NotAfter:    time.Now().Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if hosts != nil { // servers are clients of each other
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range append([]string{name}, hosts...) {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	certificate, key := filepath.Join(dir, certFile), filepath.Join(dir, keyFile)
	if pair, err := secret.KeyPair(certificate, key); err == nil && a.keeps(pair, template) {
		return false, nil
	}
	return true, sign(w, template, a, certificate, key)
}

// keeps reports whether a certificate is this authority's, has the names of wanted, and does not expire soon.
func (a *authority) keeps(pair tls.Certificate, wanted *x509.Certificate) bool {
	leaf := pair.Leaf
	return leaf.CheckSignatureFrom(a.certificate) == nil &&
		slices.Equal(leaf.DNSNames, wanted.DNSNames) &&
		slices.EqualFunc(leaf.IPAddresses, wanted.IPAddresses, net.IP.Equal) &&
		time.Until(leaf.NotAfter) > renewal
}

// sign completes and writes a certificate and its new key; without an authority it signs itself.
func sign(w *writer, template *x509.Certificate, a *authority, certificate, key string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template.NotBefore = time.Now().Add(-clockSkew)
	template.BasicConstraintsValid = true
	parent, signer := template, any(private)
	if a != nil {
		parent, signer = a.certificate, a.key
		if template.NotAfter.After(parent.NotAfter) {
			template.NotAfter = parent.NotAfter
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", certificate, err)
	}
	secretKey, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	// The certificate comes last: if it is missing, both are made again.
	if err := w.write(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secretKey})); err != nil {
		return err
	}
	return w.write(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
