package main

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

	"github.com/spf13/cobra"

	"herd/secret"
)

// secrecy is what a client was told about TLS.
type secrecy struct {
	tls           bool
	ca, cert, key string // PEM files, or ""
}

func (s *secrecy) flags(c *cobra.Command) {
	c.Flags().BoolVar(&s.tls, "tls", false, "speak TLS with the server")
	c.Flags().StringVar(&s.ca, "ca", "", "PEM `FILE` of the CAs that the server's certificate may come from (default: those of this machine); implies --tls")
	c.Flags().StringVar(&s.cert, "cert", "", "PEM `FILE` of the certificate to show the server; implies --tls")
	c.Flags().StringVar(&s.key, "key", "", "PEM `FILE` of the private key to --cert, which nobody else may read")
}

func (s *secrecy) wanted() bool { return s.tls || s.ca != "" || s.cert != "" || s.key != "" }

// config returns how to speak TLS with the server on a host.
func (s *secrecy) config(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if s.ca != "" {
		cas, err := secret.Certificates(s.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		c.RootCAs = secret.Pool(cas)
	}
	switch {
	case (s.cert == "") != (s.key == ""):
		return nil, &usageError{errors.New("--cert and --key belong together; give both")}
	case s.cert == "":
		return c, nil
	}
	pair, err := secret.KeyPair(s.cert, s.key)
	if err != nil {
		return nil, fmt.Errorf("--cert, --key: %w", err)
	}
	// Shown also to a server that asks for certificates of other CAs: so it says what it has against this one.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return c, nil
}

// encrypt shakes hands with the server, and speaks TLS with it from then on.
func (c *conversation) encrypt(ctx context.Context, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn := tls.Client(c.conn, config)
	c.conn = conn
	err := conn.HandshakeContext(ctx)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Errorf("%s does not speak TLS; leave out --tls, --ca, --cert and --key, or ask another node", c.address)
	}
	if why, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%s is not trusted: %w", c.address, distrust(why.Err))
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s completed no TLS handshake in %s; does it speak TLS? if not, leave out --tls, --ca, --cert and --key", c.address, c.timeout)
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%s closed the connection in the TLS handshake; it is stopping, hit a limit, or does not speak TLS: see its log", c.address)
	}
	return c.failure(err)
}

// distrust says what is wrong with the certificate of a server, and what to do.
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

// alert returns what the server said in TLS about why it ends a conversation, or nil. In TLS 1.3 it says what it has against a
// certificate only after the handshake.
func (c *conversation) alert(err error) error {
	said, ok := errors.AsType[*net.OpError](err)
	if !ok || said.Op != "remote error" {
		return nil
	}
	text := strings.TrimPrefix(said.Err.Error(), "tls: ")
	switch {
	case text == "certificate required":
		return fmt.Errorf("%s takes only clients with a certificate; give one with --cert and --key", c.address)
	case strings.Contains(text, "certificate"):
		return fmt.Errorf("%s does not accept the certificate of --cert: %s", c.address, text)
	}
	return fmt.Errorf("%s refused to speak TLS: %s; see its log", c.address, text)
}
