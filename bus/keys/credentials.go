package keys

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"herd/configs/secret"

	"github.com/nats-io/nkeys"
)

// Names of the files in a directory of credentials. Those of TLS are what Kubernetes calls them in a secret.
const (
	seedFile = "seed"
	caFile   = "ca.crt"
	certFile = "tls.crt"
	keyFile  = "tls.key"
)

// Credentials are how a node or an observer authenticates to a NATS server, and the server to it.
type Credentials struct {
	Key nkeys.KeyPair // nil: none
	TLS *tls.Config   // nil: no TLS, unless the server's URL requires it

	// Authorities are those that the server's certificate must come from. Where nodes show certificates, theirs come from these too.
	Authorities []*x509.Certificate
}

// Load reads a directory: seed is the seed of an nkey; tls.crt and tls.key are a certificate and its private key; ca.crt
// has the authorities that the server's certificate must come from, and with it the connection must be encrypted. At least one of
// the three must be there. Seed and private key are secrets, see [secret.Read].
func Load(dir string) (*Credentials, error) {
	c := new(Credentials)
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	var err error
	if c.Key, err = loadSeed(filepath.Join(dir, seedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if c.TLS, c.Authorities, err = loadTLS(dir); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if c.Key == nil && c.TLS == nil {
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
