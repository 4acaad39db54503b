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
	"errors"
	"fmt"

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

// dial connects and encrypts.
func (m *Mailbox) dial(ctx context.Context) (*conn, error) {
	encrypted, raw, err := m.config.server().Dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: encrypted, raw: raw}
	if m.config.TLS == TLSStart {
		// The greeting was in clear text and is not believed, but the library
		// begins by reading one.
		c.greeting = []byte("* OK encrypted\r\n")
	}
	return c, nil
}
