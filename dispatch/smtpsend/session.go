package smtpsend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/internal/mailserver"
)

// session is a connection on which messages are handed over.
type session struct {
	client    *smtp.Client
	conn      *conn
	localName string
	used      time.Time // when it was used last
	broken    bool
}

// Submit implements dispatch.SubmitSession. See the package comment for what the
// outcomes mean. A message that is not fit to be sent is refused for good, as if
// by the server, with Err wrapping [ErrMessage].
func (s *session) Submit(ctx context.Context, sub dispatch.Submission, commit func() error) dispatch.Result {
	if err := s.check(ctx, sub); err != nil {
		return dispatch.Result{Outcome: dispatch.OutcomeNotSent, Err: fmt.Errorf("smtpsend: %w", err), Broken: s.broken}
	}
	stop := context.AfterFunc(ctx, s.conn.abort)
	if time.Since(s.used) > leftAlone {
		s.conn.overhear(leftAlone / 50)
	}
	result := s.transact(ctx, sub, commit)
	s.used = time.Now()
	if !stop() || s.conn.quiet() != nil {
		result.Broken = true
	}
	if result.Err != nil {
		result.Err = fmt.Errorf("smtpsend: %w", mailserver.Because(ctx, result.Err))
	}
	if result.Broken {
		s.broken = true
		s.conn.abort()
	}
	return result
}

// leftAlone is for how long a session must have been left alone for the server to
// be listened to before it is told anything: it may have closed, as it does with
// clients that do nothing.
const leftAlone = time.Second

// check looks at what must hold before the server is told anything.
func (s *session) check(ctx context.Context, sub dispatch.Submission) error {
	switch {
	case s.broken:
		return errors.New("session is over")
	case sub.From.IsZero() || sub.To.IsZero():
		return errors.New("no sender or no recipient") // <> would be a valid sender
	}
	return ctx.Err()
}

// transact is one mail transaction. RFC 5321, section 3.3.
func (s *session) transact(ctx context.Context, sub dispatch.Submission, commit func() error) dispatch.Result {
	if err := s.client.Mail(sub.From.String(), &smtp.MailOptions{Size: sub.Size}); err != nil {
		return beforeData("MAIL", err)
	}
	if err := s.client.Rcpt(sub.To.String(), nil); err != nil {
		return s.reset(beforeData("RCPT", err))
	}
	data, err := s.client.Data()
	if err != nil {
		return s.reset(beforeData("DATA", err))
	}
	s.conn.listen()
	// From here on the library would write the dot before any other command, so
	// none is given: the message is completed, or the connection cut.
	if err := s.prepare(ctx, data, sub, commit); err != nil {
		return withoutDot(err)
	}
	response, err := data.CloseWithResponse()
	if err != nil {
		// QUIRK: Postfix, when its rules for the end of data refuse a message, does
		// not end the transaction, and the next MAIL would be out of turn.
		return s.reset(afterDot(err))
	}
	return dispatch.Result{
		Outcome: dispatch.OutcomeSubmitted,
		Code:    250,
		Reply:   replyText(&smtp.SMTPError{Message: response.StatusText}),
	}
}

// prepare does all that comes before the final dot.
func (s *session) prepare(ctx context.Context, data *smtp.DataCommand, sub dispatch.Submission, commit func() error) error {
	if err := copyMessage(ctx, data, sub); err != nil {
		return err
	}
	if err := s.goodToGo(ctx); err != nil {
		return err
	}
	if err := commit(); err != nil {
		return fmt.Errorf("before the final dot: %w", err)
	}
	return s.goodToGo(ctx) // commit takes a while
}

// goodToGo returns an error if the message can't succeed any more. Each Unknown
// that is avoided saves a person a decision.
func (s *session) goodToGo(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.conn.quiet()
}

// reset makes the session ready for another message, after a refusal in the
// middle of a transaction.
func (s *session) reset(result dispatch.Result) dispatch.Result {
	if result.Broken {
		return result
	}
	// The library says EHLO again after RSET, with the next MAIL. Here it can't be
	// taken for a refusal of that.
	if s.client.Reset() != nil || s.client.Hello(s.localName) != nil {
		result.Broken = true
	}
	return result
}

// quitTimeout is how long the server has to say goodbye.
const quitTimeout = 5 * time.Second

// Close implements dispatch.SubmitSession.
func (s *session) Close() error {
	if !s.broken {
		s.client.CommandTimeout = min(s.client.CommandTimeout, quitTimeout)
		if s.client.Quit() != nil {
			s.broken = true // nothing is lost by that
		}
	}
	if s.broken {
		s.conn.abort()
	}
	s.broken = true
	s.conn.listeners.Wait()
	return nil
}
