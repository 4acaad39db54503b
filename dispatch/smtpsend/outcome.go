package smtpsend

import (
	"errors"
	"fmt"

	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/dispatch"
)

// badSequence is the reply to a command out of turn.
const badSequence = 503

// beforeData says what an error means of a command before the message: it did
// not leave. What the server says to this session, and not to the message, is no
// refusal: another session does better. So it is with a command out of turn, and
// with a goodbye that came while nobody asked (RFC 5321, section 3.8), as from a
// server that is shut down.
func beforeData(command string, err error) dispatch.Result {
	var refused *smtp.SMTPError
	if errors.As(err, &refused) && refused.Code != badSequence {
		if result, ok := refusal(refused.Code, replyText(refused)); ok {
			return result
		}
	}
	return notSent(fmt.Errorf("%s: %w", command, withoutText(command, err)))
}

// withoutDot says what an error means that came within the message, before its
// final dot: it did not leave, and the connection can only be cut.
func withoutDot(err error) dispatch.Result {
	var unasked *unaskedError
	if errors.As(err, &unasked) && unasked.reply.err == nil {
		return unaskedRefusal(unasked)
	}
	result := notSent(err)
	if errors.Is(err, ErrMessage) {
		result.Outcome = dispatch.OutcomePermanent
	}
	return result
}

// afterDot says what an error means of the final dot. Unless a reply decides, or
// the dot was surely not written, nobody knows.
func afterDot(err error) dispatch.Result {
	var refused *smtp.SMTPError
	if errors.As(err, &refused) {
		if result, ok := refusal(refused.Code, replyText(refused)); ok {
			return result
		}
	}
	var unasked *unaskedError
	if errors.As(err, &unasked) {
		return withoutDot(err)
	}
	return dispatch.Result{
		Outcome: dispatch.OutcomeUnknown,
		Err:     fmt.Errorf("final dot: %w", withoutText("the final dot", err)),
		Broken:  true,
	}
}

// refusal returns the result of a reply that refuses; false if it does not.
func refusal(code int, text string) (dispatch.Result, bool) {
	result := dispatch.Result{Code: code, Reply: text, Broken: code == 421}
	switch code / 100 {
	case 4:
		result.Outcome = dispatch.OutcomeTemporary
	case 5:
		result.Outcome = dispatch.OutcomePermanent
	default:
		return dispatch.Result{}, false
	}
	return result, true
}

// unaskedRefusal is for what a server says before the message is complete: that
// it has had enough of it.
func unaskedRefusal(unasked *unaskedError) dispatch.Result {
	said := unasked.reply.refusal("").(*ReplyError)
	result, ok := refusal(said.Code, said.Reply)
	if !ok {
		return notSent(unasked)
	}
	result.Broken = true
	return result
}

func notSent(err error) dispatch.Result {
	return dispatch.Result{Outcome: dispatch.OutcomeNotSent, Err: err, Broken: true}
}
