// Package smtpsend hands messages to a PEC provider by SMTP. Its [Submitter] is
// a dispatch.Submitter.
//
// A PEC message is a legal act: sent twice, it happens twice. So this package
// has one concern beyond the protocol, which is to know, of every way in which
// a submission can end, whether the message left:
//
//   - Until the final dot of DATA is written, it did not, whatever the server
//     says or fails to say. A session that is given up before is cut, not ended,
//     so that no dot can slip out and no server can take the part for the whole.
//   - From then on, a complete reply decides: 250 took it; 4xx and 5xx refused it.
//   - Anything else, be it a timeout, a cut connection or half a reply, is
//     dispatch.OutcomeUnknown. Only a receipt can tell.
//
// Replies are matched to their commands. What the server says unasked, before the
// dot, ends the session; and after anything but a complete reply a connection is
// not used again: a late 250 to one message must not be taken for the answer to
// the next.
//
// The connection is encrypted and the server verified, always.
package smtpsend

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/internal/mailserver"
)

// Submitter opens sessions with a provider. It may be used by several goroutines.
type Submitter struct {
	config Config // without the login
	// login is a function also because fmt prints what a struct holds, and this
	// holds a password.
	login func(context.Context, *smtp.Client) error
}

var _ dispatch.Submitter = (*Submitter)(nil)

// New returns a Submitter. It connects to nothing yet; an error is about c.
func New(c Config) (*Submitter, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("smtpsend: %w", err)
	}
	c = c.withDefaults()
	login := c.login
	c.Username, c.Password = "", ""
	return &Submitter{config: c, login: login}, nil
}

// Open connects and logs in. If the login was refused, the error wraps
// dispatch.ErrAuth. If the server answered, it is, or wraps, a [*ReplyError].
func (s *Submitter) Open(ctx context.Context) (dispatch.SubmitSession, error) {
	session, err := s.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("smtpsend: %w", err)
	}
	return session, nil
}

func (s *Submitter) open(ctx context.Context) (*session, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	client := smtp.NewClient(conn)
	client.CommandTimeout = s.config.CommandTimeout
	client.SubmissionTimeout = s.config.FinalTimeout

	stop := context.AfterFunc(ctx, conn.abort)
	err = s.greet(ctx, client)
	if !stop() && err == nil {
		err = net.ErrClosed
	}
	if err != nil {
		conn.abort()
		return nil, mailserver.Because(ctx, err)
	}
	return &session{client: client, conn: conn, localName: s.config.LocalName, used: time.Now()}, nil
}

// greet makes a new connection ready for messages.
func (s *Submitter) greet(ctx context.Context, client *smtp.Client) error {
	if err := client.Hello(s.config.LocalName); err != nil {
		return fmt.Errorf("greeting: %w", withoutText("EHLO", err))
	}
	return s.login(ctx, client)
}

// dial connects and encrypts.
func (s *Submitter) dial(ctx context.Context) (*conn, error) {
	encrypted, raw, err := s.config.server().Dial(ctx)
	if err != nil {
		return nil, err
	}
	c := newConn(encrypted, raw, s.config.WriteTimeout)
	if s.config.TLS == TLSStart {
		// The greeting was in clear text and is not believed, but the library
		// begins by reading one.
		c.rest = reply{code: 220, lines: []string{"encrypted"}}.wire()
	}
	return c, nil
}
