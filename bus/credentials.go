package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"herd/secret"

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
// encrypted. At least one of the three must be there. Seed and private key may not be readable by others, see [secret.Read].
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
	text, err := secret.Read(path)
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
	cas, err := secret.Certificates(filepath.Join(dir, caFile))
	switch {
	case err == nil:
		config.RootCAs = secret.Pool(cas)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	}
	if exists(dir, certFile) || exists(dir, keyFile) {
		certificate, err := secret.KeyPair(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
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
