package bus

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Names of the files in a directory of credentials. Those of TLS are what Kubernetes calls them in a secret.
const (
	seedFile = "seed"
	caFile   = "ca.crt"
	certFile = "tls.crt"
	keyFile  = "tls.key"
)

// Credentials are how a node or an observer shows a NATS server who it is, and knows the server.
type Credentials struct {
	key nkeys.KeyPair // nil: none
	tls *tls.Config   // nil: no TLS, unless the server's URL asks for it
	cas []*x509.Certificate
}

// Authorities are those that the server's certificate must come from, and on whose word nodes are let in where they show one.
func (c *Credentials) Authorities() []*x509.Certificate {
	if c == nil {
		return nil
	}
	return c.cas
}

// LoadCredentials reads a directory: seed is the seed of an nkey; tls.crt and tls.key are a certificate and its private
// key; ca.crt has the authorities that the server's certificate must come from, and with it the connection must be
// encrypted. At least one of the three must be there. Seed and private key may not be readable by others, see [ReadSecret].
func LoadCredentials(dir string) (*Credentials, error) {
	c := new(Credentials)
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	var err error
	if c.key, err = loadSeed(filepath.Join(dir, seedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if c.tls, c.cas, err = loadTLS(dir); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if c.key == nil && c.tls == nil {
		return nil, fmt.Errorf("credentials: %s has none of %s, %s and %s; make them with 'herd bus keys'", dir, seedFile, certFile, caFile)
	}
	return c, nil
}

func loadSeed(path string) (nkeys.KeyPair, error) {
	text, err := ReadSecret(path)
	if err != nil {
		return nil, err
	}
	key, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(text))))
	if err == nil {
		var public string
		if public, err = key.PublicKey(); err == nil && !nkeys.IsValidPublicUserKey(public) {
			err = errors.New("of another kind than a user's")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not a seed of an nkey: %w", path, err)
	}
	return key, nil
}

// loadTLS returns nil if the directory has nothing about TLS.
func loadTLS(dir string) (*tls.Config, []*x509.Certificate, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	cas, err := LoadCertificates(filepath.Join(dir, caFile))
	switch {
	case err == nil:
		config.RootCAs = x509.NewCertPool()
		for _, ca := range cas {
			config.RootCAs.AddCert(ca)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	}
	if exists(dir, certFile) || exists(dir, keyFile) {
		certificate, err := LoadCertificate(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
		if err != nil {
			return nil, nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	if config.RootCAs == nil && config.Certificates == nil {
		return nil, nil, nil
	}
	return config, cas, nil
}

func exists(dir, file string) bool {
	_, err := os.Stat(filepath.Join(dir, file))
	return err == nil
}

// LoadCertificate reads a chain of certificates and the private key of the first, both in PEM. The key may not be readable by
// others, see [ReadSecret].
func LoadCertificate(certificate, key string) (tls.Certificate, error) {
	var none tls.Certificate
	chain, err := os.ReadFile(certificate)
	if err == nil {
		_, err = parseCertificates(certificate, chain)
	}
	if err != nil {
		return none, fmt.Errorf("certificate: %w", err)
	}
	private, err := ReadSecret(key)
	if err != nil {
		return none, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, private)
	if err != nil {
		return none, fmt.Errorf("key: %s with the certificate %s: %w", key, certificate, err)
	}
	return pair, nil
}

// LoadCertificates reads all certificates of a PEM file, of which there must be at least one.
func LoadCertificates(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseCertificates(path, text)
}

// parseCertificates is LoadCertificates with what was read.
func parseCertificates(path string, text []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", path, len(list)+1, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: no certificate in PEM form", path)
	}
	return list, nil
}

// options give the credentials to a connection. Nil has none.
func (c *Credentials) options() []nats.Option {
	var options []nats.Option
	if c == nil {
		return nil
	}
	if c.key != nil {
		options = append(options, func(o *nats.Options) error {
			public, err := c.key.PublicKey()
			if err != nil {
				return fmt.Errorf("nkey: %w", err)
			}
			return nats.Nkey(public, c.key.Sign)(o)
		})
	}
	if c.tls != nil {
		options = append(options, nats.Secure(c.tls.Clone()))
	}
	return options
}
