// Package imapbox reads the mailbox in which a PEC provider delivers receipts,
// by IMAP. Its [Mailbox] is a dispatch.Mailbox.
//
// The mailbox belongs to people and to other programs too. So folders are opened
// by EXAMINE, which changes nothing, messages are fetched by BODY.PEEK, which
// marks nothing as read, and how far a folder was read is the caller's to
// remember, by UID. Only Remove, which is asked to, deletes.
//
// Servers hang, and lines break in the middle of a message. Each command ends
// with its context, or when the server says nothing for too long, and a message
// is complete only if all bytes came that were announced and the server then
// said that all is well. Any other end ends the session too: open another one.
package imapbox

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/ceralacca/go-pec/dispatch"
)

// Mailbox opens sessions with a mailbox. It may be used by several goroutines.
type Mailbox struct {
	config Config // without the login
	// login is a function also because fmt prints what a struct holds, and this
	// holds a password.
	login func(context.Context, *imapclient.Client) error
}

var _ dispatch.Mailbox = (*Mailbox)(nil)

// New returns a Mailbox. It connects to nothing yet; an error is about c.
func New(c Config) (*Mailbox, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("imapbox: %w", err)
	}
	c = c.withDefaults()
	login := c.login
	c.Username, c.Password = "", ""
	return &Mailbox{config: c, login: login}, nil
}

// Open connects and logs in. If the login was refused, the error wraps
// dispatch.ErrAuth. If the server answered, it wraps a [*ReplyError].
func (m *Mailbox) Open(ctx context.Context) (dispatch.MailboxSession, error) {
	conn, err := m.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("imapbox: %w", err)
	}
	s := newSession(conn, m.config.CommandTimeout, m.config.PollInterval)
	o := s.begin(ctx)
	err = o.end("logging in", m.greet(ctx, s))
	if err != nil {
		s.cut(err)
		s.Close()
		return nil, err
	}
	return s, nil
}

// greet makes a new connection ready for commands.
func (m *Mailbox) greet(ctx context.Context, s *session) error {
	if err := waitGreeting(s.client); err != nil {
		return err
	}
	if err := m.login(ctx, s.client); err != nil {
		return err
	}
	s.caps = s.client.Caps()
	if s.caps == nil {
		return errors.New("server does not say what it can do")
	}
	return nil
}

// waitGreeting waits for the greeting. If the server says BYE and closes, the
// library tosses a coin over which of the two to report; the BYE says why.
func waitGreeting(client *imapclient.Client) error {
	err := client.WaitGreeting()
	for range 30 {
		var bye *imap.Error
		if err == nil || errors.As(err, &bye) {
			break
		}
		err = client.WaitGreeting()
	}
	return err
}

// keepAlive is how often an idle connection is probed, so that one whose other
// end is gone is noticed.
const keepAlive = 30 * time.Second

// dial connects and encrypts.
func (m *Mailbox) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.config.ConnectTimeout, errors.New("no connection in time"))
	defer cancel()
	dialer := net.Dialer{KeepAlive: keepAlive}
	raw, err := dialer.DialContext(ctx, "tcp", m.config.Addr)
	if err != nil {
		return nil, because(ctx, fmt.Errorf("connecting: %w", err))
	}
	encrypted, err := m.encrypt(ctx, raw)
	if err != nil {
		raw.Close()
		return nil, because(ctx, err)
	}
	c := &conn{Conn: encrypted, raw: raw}
	if m.config.TLS == TLSStart {
		// The greeting was in clear text and is not believed, but the library
		// begins by reading one.
		c.greeting = []byte("* OK encrypted\r\n")
	}
	return c, nil
}

func (m *Mailbox) encrypt(ctx context.Context, raw net.Conn) (*tls.Conn, error) {
	if m.config.TLS == TLSStart {
		stop := context.AfterFunc(ctx, func() { raw.Close() })
		err := startTLS(raw)
		if !stop() && err == nil {
			err = net.ErrClosed
		}
		if err != nil {
			return nil, fmt.Errorf("asking for TLS: %w", err)
		}
	}
	encrypted := tls.Client(raw, m.config.tlsConfig())
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return encrypted, nil
}

// because puts the end of ctx before an error that it led to.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
