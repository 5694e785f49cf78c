// Package secret reads secrets, certificates and their private keys from files, and refuses secrets that others may read.
package secret

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

const maxSecret = 1 << 20 // bytes; what is longer is no key

// Read returns the content of a file that nobody else may read: a seed, a private key, a password or a token. It follows
// the rule of PostgreSQL for its keys: the file belongs to the user of this process and to nobody else (mode 0600 or less), or to root,
// who may share it with a group (0640 or less).
func Read(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // does not wait for the other end of a pipe
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := guarded(path, info); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, maxSecret))
}

// guarded returns an error if others may read a file.
func guarded(path string, info fs.FileInfo) error {
	mode := info.Mode()
	allowed := fs.FileMode(0o600)
	owner, ok := info.Sys().(*syscall.Stat_t)
	if ok && owner.Uid == 0 {
		allowed = 0o640
	}
	switch {
	case !mode.IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case ok && owner.Uid != 0 && int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user (%d); run chown %d %s", path, owner.Uid, os.Geteuid(), path)
	case mode.Perm()&^allowed&^0o100 != 0:
		return fmt.Errorf("%s can be read by others (mode %#o); run chmod %o %s", path, mode.Perm(), allowed, path)
	}
	return nil
}

// KeyPair reads a chain of certificates and the private key of the first, both in PEM. The key is a secret, see [Read].
func KeyPair(certificate, key string) (tls.Certificate, error) {
	var none tls.Certificate
	chain, err := os.ReadFile(certificate)
	if err == nil {
		_, err = parse(certificate, chain)
	}
	if err != nil {
		return none, fmt.Errorf("certificate: %w", err)
	}
	private, err := Read(key)
	if err != nil {
		return none, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, private)
	if err != nil {
		return none, fmt.Errorf("key: %s with the certificate %s: %w", key, certificate, err)
	}
	return pair, nil
}

// Certificates reads all certificates of a PEM file, of which there must be at least one.
func Certificates(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text)
}

// parse returns the certificates in the text of a PEM file.
func parse(path string, text []byte) ([]*x509.Certificate, error) {
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

// Pool returns a pool of certificates.
func Pool(list []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range list {
		pool.AddCert(c)
	}
	return pool
}
