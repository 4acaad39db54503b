package pec

import (
	"errors"
	"fmt"
)

// RuleError is one rule that a message breaks. Its text holds no address and
// nothing else of the message.
type RuleError struct {
	// Rule is where the rule comes from, such as "RFC 6109, section 3.1.1".
	Rule string
	// Field is the header field at fault; "" if it is not about one.
	Field string
	// Line is the line of the message, from 1, on which the fault begins; 0 if
	// something is missing, or the fault is about the whole message.
	Line int
	// Err wraps one of the errors below.
	Err error
}

// Error gives line, field, cause and source.
func (e *RuleError) Error() string {
	where := ""
	if e.Line > 0 {
		where += fmt.Sprintf("line %d: ", e.Line)
	}
	if e.Field != "" {
		where += e.Field + ": "
	}
	return fmt.Sprintf("pec: %s%s (%s)", where, bareError(e.Err), e.Rule)
}

// Unwrap gives the cause.
func (e *RuleError) Unwrap() error { return e.Err }

// Rules that a message must keep, each by the error that tells of its breach;
// [ErrAddress] stands for an address field that can't be read.
var (
	// ErrHead: the head can't be read, or two readers could understand it in two
	// ways.
	ErrHead = errors.New("head that can't be read")
	// ErrRepeatedField: a field that may stand once stands twice.
	ErrRepeatedField = errors.New("field given more than once")
	// ErrReservedField: a field that only providers write.
	ErrReservedField = errors.New("field reserved to providers")
	// ErrBcc: a Bcc field, even an empty one. PEC has no hidden recipients.
	ErrBcc = errors.New("hidden recipients do not exist in PEC")
	// ErrFrom: not exactly one author.
	ErrFrom = errors.New("not exactly one address")
	// ErrAccount: the author is not the account that sends.
	ErrAccount = errors.New("not the address of the account")
	// ErrSender: a Sender other than the author.
	ErrSender = errors.New("not the address in From")
	// ErrNoTo: no primary recipient; copies alone are not enough.
	ErrNoTo = errors.New("no recipient in To")
	// ErrDuplicateRecipient: one address twice, in To and Cc together or among
	// the forward paths.
	ErrDuplicateRecipient = errors.New("recipient given twice")
	// ErrTooManyRecipients: more recipients than the provider takes.
	ErrTooManyRecipients = errors.New("too many recipients")
	// ErrTooLarge: the size of the message, times its recipients, is more than
	// the provider takes.
	ErrTooLarge = errors.New("message too large")
	// ErrMessageID: no Message-ID, or not one such as <left@right>.
	ErrMessageID = errors.New("no usable Message-ID")
	// ErrDate: no Date, or not a real one.
	ErrDate = errors.New("no usable date")
	// ErrReceiptType: X-TipoRicevuta with an unknown word.
	ErrReceiptType = errors.New("not a form of receipt")
	// ErrLineEnd: a line that does not end in CR LF, or one of the two alone.
	ErrLineEnd = errors.New("line end other than CR LF")
	// ErrLineTooLong: a line of more than 998 bytes.
	ErrLineTooLong = errors.New("line longer than 998 bytes")
	// ErrNotASCII: a byte above 127. What needs it must be encoded.
	ErrNotASCII = errors.New("byte above 127")
	// ErrNUL: a NUL byte.
	ErrNUL = errors.New("NUL byte")
	// ErrMIME: a structure that can't be read, or two readers could understand
	// in two ways.
	ErrMIME = errors.New("MIME structure that can't be read")
	// ErrAttachmentName: an attachment without name, or with two.
	ErrAttachmentName = errors.New("attachment without one usable name")
	// ErrDuplicateAttachment: two attachments of one name.
	ErrDuplicateAttachment = errors.New("two attachments with the same name")
	// ErrBlockedExtension: a kind of attachment that the provider refuses.
	ErrBlockedExtension = errors.New("attachment of a kind that the provider refuses")
	// ErrReversePath: the SMTP reverse path is not the address in From.
	ErrReversePath = errors.New("reverse path other than the address in From")
	// ErrForwardPath: the SMTP forward paths are not the addresses in To and Cc.
	ErrForwardPath = errors.New("forward paths other than the addresses in To and Cc")

	// ErrSubject, a warning: no subject, one of more than 255 characters, or one
	// with control characters. Some receivers can't handle it.
	ErrSubject = errors.New("subject that is empty, very long or has control characters")
	// ErrConfusingName, a warning: an attachment named like a part of a receipt,
	// which misleads weak readers.
	ErrConfusingName = errors.New("attachment named like a part of a receipt")
)

// ruleSource returns where the rule of an error comes from.
func ruleSource(err error) string {
	switch err {
	case ErrBcc:
		return "RFC 6109, sections 2.1 and 3.1.1"
	case ErrFrom, ErrAccount, ErrNoTo, ErrTooLarge, ErrReversePath, ErrForwardPath:
		return "RFC 6109, section 3.1.1"
	case ErrSender:
		return "RFC 6109, section 2.1"
	case ErrReservedField:
		return "RFC 6109, section 2.1.1"
	case ErrReceiptType:
		return "RFC 6109, section 3.3.2"
	case ErrDuplicateRecipient:
		return "RFC 6109, section 3.3.2.1"
	case ErrMessageID:
		return "RFC 6109, section 2.2.1"
	case ErrAttachmentName, ErrDuplicateAttachment:
		return "RFC 6109, section 3.3.2.2"
	case ErrHead, ErrRepeatedField, ErrDate:
		return "RFC 5322, section 3.6"
	case ErrAddress:
		return "RFC 6109, section 4.5.4"
	case ErrLineEnd, ErrLineTooLong:
		return "RFC 5322, section 2.3"
	case ErrNotASCII, ErrNUL:
		return "RFC 6109, section 4.3"
	case ErrMIME:
		return "RFC 2046, section 5.1"
	case ErrTooManyRecipients, ErrBlockedExtension:
		return "profile of the provider"
	}
	return "good practice"
}
