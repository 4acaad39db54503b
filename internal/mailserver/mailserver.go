// Package mailserver connects to mail servers: always encrypted, with the server
// verified. What SMTP and IMAP have in common there is here once.
package mailserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// Server says where a server is, and how it is reached.
type Server struct {
	Addr string      // host:port
	TLS  *tls.Config // nil: the defaults
	// StartTLS, if not nil, asks the server in clear text to begin with TLS.
	StartTLS func(raw net.Conn) error
	// Timeout is for connecting and encrypting together.
	Timeout time.Duration
}

// Check checks what can be checked without the server.
func (s Server) Check() error {
	host, port, err := net.SplitHostPort(s.Addr)
	switch {
	case err != nil || host == "" || port == "":
		return errors.New("no host:port in Addr")
	case s.TLS != nil && s.TLS.InsecureSkipVerify:
		return errors.New("TLSConfig would not verify the server")
	}
	return nil
}

// Dial connects and encrypts. It returns the connection beneath as well.
func (s Server) Dial(ctx context.Context) (encrypted *tls.Conn, raw net.Conn, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, errors.New("no connection in time"))
	defer cancel()
	// Idle connections are probed by default, so one whose other end is gone is noticed.
	raw, err = new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return nil, nil, Because(ctx, fmt.Errorf("connecting: %w", err))
	}
	encrypted, err = s.encrypt(ctx, raw)
	if err != nil {
		raw.Close()
		return nil, nil, Because(ctx, err)
	}
	return encrypted, raw, nil
}

func (s Server) encrypt(ctx context.Context, raw net.Conn) (*tls.Conn, error) {
	if s.StartTLS != nil {
		stop := context.AfterFunc(ctx, func() { raw.Close() })
		err := s.StartTLS(raw)
		if !stop() && err == nil {
			err = net.ErrClosed
		}
		if err != nil {
			return nil, fmt.Errorf("asking for TLS: %w", err)
		}
	}
	encrypted := tls.Client(raw, s.tlsConfig())
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return encrypted, nil
}

// tlsConfig returns what TLS is set up with. It always verifies.
func (s Server) tlsConfig() *tls.Config {
	t := s.TLS.Clone()
	if t == nil {
		t = new(tls.Config)
	}
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(s.Addr)
	}
	t.MinVersion = max(t.MinVersion, tls.VersionTLS12)
	return t
}

// Because puts the end of ctx before an error that it led to.
func Because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// SetDefault sets a duration that was left out.
func SetDefault(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}
