package dispatch

import (
	"context"
	"errors"
	"io"

	"github.com/ceralacca/go-pec/pec"
)

// ErrAuth is the error of a [Submitter] or [Mailbox] whose login was refused.
// The account is suspended until a person resumes it: trying again would lock it.
var ErrAuth = errors.New("dispatch: login refused")

// Submitter opens sessions in which an account hands messages to its provider.
// Package dispatch/smtpsend is one for SMTP.
type Submitter interface {
	// Open connects and logs in. An error wraps [ErrAuth] if the login was
	// refused.
	Open(ctx context.Context) (SubmitSession, error)
}

// SubmitSession hands messages over, one after another.
type SubmitSession interface {
	// Submit hands one message over. When all of it was written but the final
	// dot, it calls commit, once, and sends the dot only if commit returns nil:
	// then, and only then, may the message have left.
	//
	// Canceling ctx ends it at once, with whatever outcome that leaves.
	Submit(ctx context.Context, s Submission, commit func() error) Result
	// Close ends the session.
	Close() error
}

// Submission is one message for one recipient.
type Submission struct {
	From, To pec.Address
	// Size is how many bytes Message has. Fewer or more are not sent.
	Size int64
	// Message are the final bytes: 7-bit, lines ended by CRLF.
	Message io.Reader
}

// Result is what became of a submission.
type Result struct {
	// Outcome is [OutcomeNotSent] if the dot surely did not go out, and
	// [OutcomeUnknown] if it may have and no reply tells. It is
	// [OutcomePermanent], with Err and without a reply, if Message is not in the
	// form in which it must be sent.
	Outcome Outcome
	// Code and Reply are the SMTP reply that decided; Code is 0 if there was none.
	Code  int
	Reply string
	// Err says why, when there was no reply: an error of the connection, or of
	// commit.
	Err error
	// Broken means that the session is of no more use and must be closed.
	Broken bool
}
