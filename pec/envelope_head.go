package pec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ceralacca/go-pec/internal/rawmime"
)

// envelopeCheck reads one message and gathers its faults.
type envelopeCheck struct {
	account  Address
	profile  Profile
	lines    *lineReader
	envelope *Envelope
	faults   []error
	told     map[error]bool // rules that are told of once
	head     *rawmime.Head
	parts    partChecker
}

func newEnvelopeCheck(message io.Reader, opts EnvelopeOptions) *envelopeCheck {
	c := &envelopeCheck{
		account:  opts.Account,
		profile:  opts.Profile.OrDefault(),
		envelope: &Envelope{fewerPaths: opts.FewerPaths},
		told:     make(map[error]bool),
	}
	c.lines = newLineReader(message, c.profile.MaxTotalBytes, c.faultOnce)
	return c
}

func (c *envelopeCheck) fault(rule error, field string, line int, detail string) {
	c.faults = append(c.faults, newRuleError(rule, field, line, detail))
}

// faultOnce is fault for what may repeat itself on every line.
func (c *envelopeCheck) faultOnce(rule error, line int) {
	if !c.told[rule] {
		c.told[rule] = true
		c.fault(rule, "", line, "")
	}
}

func (c *envelopeCheck) warn(rule error, field string, line int, detail string) {
	c.envelope.Warnings = append(c.envelope.Warnings, newRuleError(rule, field, line, detail))
}

// read reads the whole message. It returns errors of the reader alone.
func (c *envelopeCheck) read() error {
	err := c.readHead()
	if err == nil && c.head != nil {
		c.checkFields()
		c.checkOnce()
		c.checkAuthor()
		c.checkRecipients()
		c.checkRest()
		err = c.readBody()
	}
	if err == errMessageTooLong {
		c.fault(ErrTooLarge, "", 0, fmt.Sprintf("more than %d bytes", c.profile.MaxTotalBytes))
		return nil
	}
	return err
}

// readHead reads the head, up to the empty line. c.head stays nil if it is no
// head, which leaves nothing else to check.
func (c *envelopeCheck) readHead() error {
	var head bytes.Buffer
	for {
		text, whole, err := c.lines.next()
		if err != nil && err != io.EOF {
			return err
		}
		if err == io.EOF || len(text) == 0 {
			break
		}
		if !whole || head.Len() > maxHead {
			c.fault(ErrHead, "", c.lines.count, "too long")
			return nil
		}
		head.Write(text)
		head.WriteByte('\n') // how lines really end was judged already
	}
	parsed, err := rawmime.ParseHead(head.Bytes(), rawmime.HeadLimits{Bytes: maxHead})
	if err != nil {
		c.headFault(ErrHead, 0, err)
		return nil
	}
	c.head = parsed
	return nil
}

// maxHead is the most bytes of the head of a message or of a part.
const maxHead = 256 << 10

// headFault tells of a head that begins after a line and can't be read, unless
// it is for bytes that were told of already.
func (c *envelopeCheck) headFault(rule error, after int, err error) {
	badBytes := errors.Is(err, rawmime.ErrHeadNUL) || errors.Is(err, rawmime.ErrHeadLineEnds)
	if badBytes && (c.told[ErrNUL] || c.told[ErrLineEnd]) {
		return
	}
	var at *rawmime.HeadError
	if errors.As(err, &at) && at.Line > 0 {
		c.fault(rule, "", after+at.Line, at.Err.Error())
		return
	}
	c.fault(rule, "", after+1, err.Error())
}

// field returns the first field called name, or nil.
func field(h *rawmime.Head, name string) *rawmime.Field {
	for i := range h.Fields {
		if strings.EqualFold(h.Fields[i].Name, name) {
			return &h.Fields[i]
		}
	}
	return nil
}

// reservedFields are written by providers. A copy that a sender wrote would be
// inherited by the messages about his own. RFC 6109, section 2.1.1.
var reservedFields = []string{
	"Return-Path", HeaderReceipt, HeaderTransport, HeaderReference, HeaderSecurityCheck, HeaderSender,
}

// reservedPrefixes are reserved with every field whose name they begin. Their
// names are told without the rest, which a sender chose.
var reservedPrefixes = []string{"Resent-", "REM-"}

func (c *envelopeCheck) checkFields() {
	for _, f := range c.head.Fields {
		if strings.EqualFold(f.Name, "Bcc") {
			c.fault(ErrBcc, "Bcc", f.Line, "")
		}
		for _, name := range reservedFields {
			if strings.EqualFold(f.Name, name) {
				c.fault(ErrReservedField, name, f.Line, "")
			}
		}
		for _, prefix := range reservedPrefixes {
			if len(f.Name) >= len(prefix) && strings.EqualFold(f.Name[:len(prefix)], prefix) {
				c.fault(ErrReservedField, prefix+"*", f.Line, "")
			}
		}
	}
}

// onceFields may stand once in the head of a message. RFC 5322, section 3.6.
var onceFields = []string{
	"From", "Sender", "Reply-To", "To", "Cc", "Message-ID", "In-Reply-To", "References", "Subject", "Date",
	"MIME-Version", HeaderReceiptType,
}

func (c *envelopeCheck) checkOnce() {
	for _, name := range onceFields {
		c.repeated(c.head, name, 0)
	}
}

// repeated reports whether a field stands twice in a head that begins after a
// line, and if so tells of the second.
func (c *envelopeCheck) repeated(h *rawmime.Head, name string, after int) bool {
	n := 0
	for _, f := range h.Fields {
		if !strings.EqualFold(f.Name, name) {
			continue
		}
		if n++; n == 2 {
			c.fault(ErrRepeatedField, name, after+f.Line, "")
		}
	}
	return n > 1
}

// checkAuthor checks From and Sender.
func (c *envelopeCheck) checkAuthor() {
	from := field(c.head, "From")
	if from == nil {
		c.fault(ErrFrom, "From", 0, "")
		return
	}
	list, err := parseHeaderList(from.Value)
	switch {
	case err != nil:
		c.fault(ErrFrom, "From", from.Line, bareError(err))
		return
	case len(list) > 1:
		c.fault(ErrFrom, "From", from.Line, "")
		return
	}
	c.envelope.From = list[0].Address
	if c.account.IsZero() || !c.account.Equal(c.envelope.From) {
		c.fault(ErrAccount, "From", from.Line, "")
	}
	if sender := field(c.head, "Sender"); sender != nil {
		m, err := ParseMailbox(sender.Value)
		if err != nil || !m.Address.Equal(c.envelope.From) {
			c.fault(ErrSender, "Sender", sender.Line, "")
		}
	}
}

func (c *envelopeCheck) checkRecipients() {
	if to := field(c.head, "To"); to == nil || to.Value == "" {
		c.fault(ErrNoTo, "To", 0, "")
	} else {
		c.envelope.To = c.addresses("To")
	}
	c.envelope.Cc = c.addresses("Cc")
	c.addresses("Reply-To")
	seen := make(map[string]bool)
	for i, a := range c.envelope.Recipients() {
		if seen[a.Key()] {
			c.fault(ErrDuplicateRecipient, "", 0, fmt.Sprintf("number %d of To and Cc", i+1))
		}
		seen[a.Key()] = true
	}
	if n := len(c.envelope.Recipients()); n > c.profile.MaxRecipients {
		c.fault(ErrTooManyRecipients, "", 0, fmt.Sprintf("%d, at most %d", n, c.profile.MaxRecipients))
	}
}

// addresses reads a field with addresses, if it is there.
func (c *envelopeCheck) addresses(name string) []Address {
	f := field(c.head, name)
	if f == nil {
		return nil
	}
	list, err := parseHeaderList(f.Value)
	if err != nil {
		c.faults = append(c.faults, &RuleError{Rule: ruleSource(ErrAddress), Field: name, Line: f.Line, Err: err})
		return nil
	}
	addresses := make([]Address, len(list))
	for i, m := range list {
		addresses[i] = m.Address
	}
	return addresses
}

// checkRest checks the fields that are not addresses.
func (c *envelopeCheck) checkRest() {
	e := c.envelope
	if id := field(c.head, "Message-ID"); id == nil || !isMessageID(id.Value) {
		c.fault(ErrMessageID, "Message-ID", lineOf(id), "")
	} else {
		e.MessageID = id.Value
	}
	date := field(c.head, "Date")
	if date == nil {
		c.fault(ErrDate, "Date", 0, "")
	} else if _, err := mail.ParseDate(date.Value); err != nil {
		c.fault(ErrDate, "Date", date.Line, "")
	}
	if f := field(c.head, HeaderReceiptType); f != nil {
		e.ReceiptType = ReceiptType(f.Value)
		if !e.ReceiptType.Known() {
			c.fault(ErrReceiptType, HeaderReceiptType, f.Line, "")
		}
	}
	c.checkSubject()
}

// maxSubject is how many characters of a subject every receiver can handle.
const maxSubject = 255

func (c *envelopeCheck) checkSubject() {
	f := field(c.head, "Subject")
	if f != nil {
		c.envelope.Subject = decodeWords(f.Value)
	}
	s := c.envelope.Subject
	if s == "" || utf8.RuneCountInString(s) > maxSubject || strings.IndexFunc(s, unicode.IsControl) >= 0 {
		c.warn(ErrSubject, "Subject", lineOf(f), "")
	}
}

// lineOf returns the line of a field that may be missing.
func lineOf(f *rawmime.Field) int {
	if f == nil {
		return 0
	}
	return f.Line
}

// isMessageID reports whether s is <left@right> in printable ASCII, which
// providers can repeat without changing it.
func isMessageID(s string) bool {
	if len(s) > maxMessageID || len(s) < len("<a@b>") || s[0] != '<' || s[len(s)-1] != '>' {
		return false
	}
	s = s[1 : len(s)-1]
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '<' || s[i] == '>' {
			return false
		}
	}
	left, right, _ := strings.Cut(s, "@")
	return left != "" && right != "" && !strings.Contains(right, "@")
}

// readBody reads the rest of the message.
func (c *envelopeCheck) readBody() error {
	c.parts.begin(c)
	for {
		text, _, err := c.lines.next()
		if err == io.EOF {
			c.parts.end()
			c.checkSize()
			return nil
		}
		if err != nil {
			return err
		}
		c.parts.line(text, c.lines.count)
	}
}

func (c *envelopeCheck) checkSize() {
	e := c.envelope
	e.Size = c.lines.size
	recipients := int64(max(1, len(e.To)+len(e.Cc)))
	if e.Size > c.profile.MaxTotalBytes/recipients {
		c.fault(ErrTooLarge, "", 0, fmt.Sprintf("%d bytes for each of %d recipients, at most %d in all", e.Size, recipients, c.profile.MaxTotalBytes))
	}
}
