package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"herd/configs/secret"
)

// TLS is how to speak TLS with a server, as flags give it.
type TLS struct {
	On            bool
	CA, Cert, Key string // PEM files, or ""; each implies On
}

// Wanted reports whether the connection is to be encrypted.
func (s *TLS) Wanted() bool { return s.On || s.CA != "" || s.Cert != "" || s.Key != "" }

// config returns the configuration of TLS with the server at an address, or nil for plain TCP.
func (s *TLS) config(address string) (*tls.Config, error) {
	if !s.Wanted() {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if s.CA != "" {
		cas, err := secret.Certificates(s.CA)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		c.RootCAs = secret.Pool(cas)
	}
	if s.Cert == "" {
		return c, nil
	}
	pair, err := secret.KeyPair(s.Cert, s.Key)
	if err != nil {
		return nil, fmt.Errorf("--cert, --key: %w", err)
	}
	// It is shown also to a server that wants certificates of other CAs, which then says why it refuses this one.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return c, nil
}

// encrypt makes the TLS handshake with the server.
func (c *Conn) encrypt(ctx context.Context, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn := tls.Client(c.conn, config)
	c.conn = conn
	err := conn.HandshakeContext(ctx)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Errorf("%s does not speak TLS; leave out --tls, --ca, --cert and --key, or connect to another node", c.Address)
	}
	if why, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%s is not trusted: %w", c.Address, distrust(why.Err))
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s completed no TLS handshake in %s; does it speak TLS? if not, leave out --tls, --ca, --cert and --key", c.Address, c.Timeout)
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%s closed the connection in the TLS handshake; it is stopping, hit a limit, or does not speak TLS: see its log", c.Address)
	}
	return c.Failure(err)
}

// distrust returns what is wrong with the certificate of a server, and what to do.
func distrust(err error) error {
	text := strings.TrimPrefix(err.Error(), "x509: ")
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return errors.New("its certificate comes from an unknown CA; name the file of that CA with --ca")
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Errorf("%s; connect to a name that is in it with --addr", text)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return fmt.Errorf("%s; have it renewed, or check the clock", text)
	}
	return fmt.Errorf("%s; have another made for it", text)
}

// alert returns the reason that the server gave in TLS for closing the connection, or nil. In TLS 1.3 it refuses a certificate only after
// the handshake.
func (c *Conn) alert(err error) error {
	alert, ok := errors.AsType[*net.OpError](err)
	if !ok || alert.Op != "remote error" {
		return nil
	}
	text := strings.TrimPrefix(alert.Err.Error(), "tls: ")
	switch {
	case text == "certificate required":
		return fmt.Errorf("%s takes only clients with a certificate; give one with --cert and --key", c.Address)
	case strings.Contains(text, "certificate"):
		return fmt.Errorf("%s does not accept the certificate of --cert: %s", c.Address, text)
	}
	return fmt.Errorf("%s refused to speak TLS: %s; see its log", c.Address, text)
}
