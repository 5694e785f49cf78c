package node

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"herd/bus"
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
type TLS struct{ config *tls.Config }

// LoadTLS reads the files. Its errors name the one that is at fault.
func LoadTLS(files TLSFiles) (*TLS, error) {
	_, chain, err := certificates(files.Cert)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	key, err := bus.ReadSecret(files.Key)
	if err != nil {
		return nil, fmt.Errorf("TLS key: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("TLS key: %s with the certificate %s: %w", files.Key, files.Cert, err)
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		// Who announces another protocol is refused: a web page could have its visitor's browser, and certificate, send lines in the
		// body of a request. Who announces none is welcome.
		NextProtos: []string{protocol},
	}
	if files.CA == "" {
		return &TLS{c}, nil
	}
	if c.ClientCAs, err = authorities(files.CA); err != nil {
		return nil, fmt.Errorf("TLS CA of clients: %w", err)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	// A session that is resumed goes by what an earlier handshake has found. Without tickets every connection is judged by the
	// CAs and the time of now.
	c.SessionTicketsDisabled = true
	return &TLS{c}, nil
}

// authorities returns the certificates of a file, all of which must be of CAs: any other would be trusted for itself.
func authorities(path string) (*x509.CertPool, error) {
	list, _, err := certificates(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range list {
		if !c.IsCA {
			return nil, fmt.Errorf("%s: the certificate of %q is not that of a CA; remove it", path, c.Subject)
		}
		pool.AddCert(c)
	}
	return pool, nil
}

// certificates returns those in a PEM file, of which there is at least one, and its content.
func certificates(path string) (list []*x509.Certificate, content []byte, err error) {
	if content, err = os.ReadFile(path); err != nil {
		return nil, nil, err
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: certificate %d: %w", path, len(list)+1, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("%s: no certificate in PEM form", path)
	}
	return list, content, nil
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
