package pec

import (
	"errors"
	"fmt"
	"io"
)

// Envelope is what a provider will read off a message to be sent: whom it is
// from and to, and how it is to be certified.
type Envelope struct {
	// From is the one author, which is also the SMTP reverse path.
	From Address
	// To and Cc are the recipients, in the order of the fields. PEC tells
	// primary recipients from copies by these fields alone.
	To, Cc []Address
	// MessageID is the Message-ID, with its angle brackets.
	MessageID string
	// Subject is the subject, decoded.
	Subject string
	// ReceiptType is the form of delivery receipt asked for; empty if the
	// message asks for none in particular.
	ReceiptType ReceiptType
	// Size is how many bytes the message has.
	Size int64
	// Warnings are about what providers accept and some receivers stumble over.
	Warnings []*RuleError

	fewerPaths bool
}

// EnvelopeOptions says for whom a message is checked.
type EnvelopeOptions struct {
	// Account is the address of the account that sends. A message from anybody
	// else is refused; so is every message if Account is zero.
	Account Address
	// Profile is what is known of the account's provider. What is not known is
	// taken from [DefaultProfile], which allows one recipient.
	Profile Profile
	// FewerPaths lets [Envelope.CheckPaths] accept forward paths that leave out
	// addresses of To and Cc. RFC 6109 does not say whether providers must.
	FewerPaths bool
}

// ReadEnvelope reads a complete message, as it will be sent, and checks it
// against every rule that makes a provider refuse it, and against those that keep
// its receipts useful. RFC 6109, section 3.1.1. It reads the message once and
// needs little memory, whatever the size of the attachments. It opens no
// network connection.
//
// If the message breaks rules, the error joins a [*RuleError] for each breach
// found, so that errors.Is finds any of them; of a breach that repeats itself
// line after line, the first is told. An error of the reader ends the check and
// is returned with what was found before. The Envelope is nil then.
//
// The check looks at names of attachments, not into them: a provider may still
// refuse a file within an archive. Nested messages are attachments.
func ReadEnvelope(message io.Reader, opts EnvelopeOptions) (*Envelope, error) {
	c := newEnvelopeCheck(message, opts)
	if err := c.read(); err != nil {
		c.faults = append(c.faults, fmt.Errorf("pec: reading the message: %w", err))
	}
	if len(c.faults) > 0 {
		return nil, errors.Join(c.faults...)
	}
	return c.envelope, nil
}

// Recipients returns To and Cc together: the forward paths of the message.
func (e *Envelope) Recipients() []Address {
	all := make([]Address, 0, len(e.To)+len(e.Cc))
	return append(append(all, e.To...), e.Cc...)
}

// CheckPaths checks the SMTP paths against the message: the reverse path is the
// address in From, and the forward paths are the addresses in To and Cc, all of
// them unless [EnvelopeOptions.FewerPaths] was set, none besides and none twice.
// RFC 6109, section 3.1.1. The error joins a [*RuleError] for each breach.
func (e *Envelope) CheckPaths(reverse Address, forward []Address) error {
	var faults []error
	if reverse.IsZero() || !reverse.Equal(e.From) {
		faults = append(faults, newRuleError(ErrReversePath, "", 0, ""))
	}
	return errors.Join(append(faults, e.checkForward(forward)...)...)
}

func (e *Envelope) checkForward(forward []Address) (faults []error) {
	used := make(map[string]bool)
	for _, a := range e.Recipients() {
		used[a.Key()] = false
	}
	unused := len(used)
	for i, a := range forward {
		switch again, known := used[a.Key()]; {
		case !known:
			faults = append(faults, newRuleError(ErrForwardPath, "", 0, fmt.Sprintf("number %d is neither in To nor in Cc", i+1)))
		case again:
			faults = append(faults, newRuleError(ErrDuplicateRecipient, "", 0, fmt.Sprintf("forward path %d", i+1)))
		default:
			used[a.Key()] = true
			unused--
		}
	}
	switch {
	case len(forward) == 0:
		faults = append(faults, newRuleError(ErrForwardPath, "", 0, "there are none"))
	case unused > 0 && !e.fewerPaths:
		faults = append(faults, newRuleError(ErrForwardPath, "", 0, fmt.Sprintf("%d recipients have none", unused)))
	}
	return faults
}

// newRuleError makes the error for the breach of a rule.
func newRuleError(rule error, field string, line int, detail string) *RuleError {
	err := rule
	if detail != "" {
		err = fmt.Errorf("%w: %s", rule, detail)
	}
	return &RuleError{Rule: ruleSource(rule), Field: field, Line: line, Err: err}
}
