package node

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"herd/secret"
)

// protocol is what the client protocol is called in ALPN.
const protocol = "herd"

// TLSFiles names the PEM files behind TLS on the client port.
type TLSFiles struct {
	Cert string // the server's certificate, then those between it and a CA that clients trust
	Key  string // its private key, which nobody else may read
	CA   string // the CAs that clients' certificates must come from; "": clients need none
}

// TLS is what a node shows its clients, and what it asks of them. Nodes may share one.
type TLS struct {
	config *tls.Config
	cas    []*x509.Certificate // that clients' certificates must come from
}

// Trusts reports whether this is the authority of clients.
func (t *TLS) Trusts(ca *x509.Certificate) bool {
	return t != nil && slices.ContainsFunc(t.cas, func(c *x509.Certificate) bool {
		return bytes.Equal(c.RawSubjectPublicKeyInfo, ca.RawSubjectPublicKeyInfo)
	})
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
		// Who announces another protocol is refused: a web page could have its visitor's browser, and certificate, send lines in the
		// body of a request. Who announces none is welcome.
		NextProtos: []string{protocol},
	}
	if files.CA == "" {
		return &TLS{config: c}, nil
	}
	cas, err := authorities(files.CA)
	if err != nil {
		return nil, fmt.Errorf("TLS CA of clients: %w", err)
	}
	c.ClientCAs = secret.Pool(cas)
	c.ClientAuth = tls.RequireAndVerifyClientCert
	// A session that is resumed goes by what an earlier handshake has found. Without tickets every connection is judged by the
	// CAs and the time of now.
	c.SessionTicketsDisabled = true
	return &TLS{c, cas}, nil
}

// requires reports whether clients need certificates.
func (t *TLS) requires() bool {
	return t != nil && t.config.ClientAuth == tls.RequireAndVerifyClientCert
}

// authorities returns the certificates of a file, all of which must be of CAs: any other would be trusted for itself.
func authorities(path string) ([]*x509.Certificate, error) {
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

// SetTLS has new connections use t; those that there are stay as they are. Whether there is TLS at all cannot change while the
// node runs: its clients could not know which of the two to speak.
func (n *Node) SetTLS(t *TLS) error {
	if (t == nil) != (n.tls.Load() == nil) {
		return errors.New("TLS on the client port can only be turned on or off by a restart")
	}
	n.tls.Store(t)
	return nil
}
