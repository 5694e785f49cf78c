package session

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"

	"herd/configs/secret"
)

// protocol is the name of the client protocol in ALPN.
const protocol = "herd"

// TLSFiles names the PEM files of TLS on the client port.
type TLSFiles struct {
	Cert string // the server's certificate, then those between it and a CA that clients trust
	Key  string // its private key, which nobody else may read
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
