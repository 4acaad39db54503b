package pec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/internal/limit"
)

// Limits of one daticert.xml. A document within them is read in time and memory
// proportional to its length; elements can't be nested deeper than the DTD nests
// them, which is four levels.
const (
	maxCertData     = 1 << 20  // bytes
	maxRecipients   = 10_000   // elements destinatari, and elements ricezione
	maxCertDataText = 64 << 10 // bytes of one field
	maxMessageID    = 998      // bytes of msgid and of identificativo
	maxXMLDepth     = 8        // brackets in a content model of a DTD
)

// passedLimit says that a document passes a limit: ErrCertDataLimit and a
// [limit.Error].
func passedLimit(most int, what string) error {
	return fmt.Errorf("%w: %w", ErrCertDataLimit, limit.Passed(most, what))
}

// Causes that a [CertDataError] wraps.
var (
	// ErrCertDataLimit: longer, deeper or more than this package reads.
	ErrCertDataLimit = errors.New("too much")
	// ErrCertDataXML: not well-formed XML 1.0 in UTF-8, US-ASCII or ISO-8859-1.
	ErrCertDataXML = errors.New("not well-formed XML")
	// ErrCertDataEntity: a DTD in the document, or a reference to it, that could
	// give the text another meaning.
	ErrCertDataEntity = errors.New("entity, notation or attribute default")
	// ErrCertDataForm: an element or attribute that is missing, unknown, in the
	// wrong place or repeated, or a value that is not of its form.
	ErrCertDataForm = errors.New("not in the form of certification data")
	// ErrCertDataKind: tipo is not one of the eight known kinds.
	ErrCertDataKind = errors.New("unknown kind")
	// ErrCertDataConflict: parts that contradict each other, such as a delivery
	// with an error, or to somebody who is not a recipient.
	ErrCertDataConflict = errors.New("contradiction")
)

// CertDataError says what is wrong with a daticert.xml, and where. Its text
// repeats nothing of the document.
type CertDataError struct {
	// Line and Column, both from 1, are where the fault is: the value, the tag
	// or the attribute at fault, or the place where something is missing. A
	// column counts characters; a byte order mark is none. Both are 0 if the
	// document could not be read, or is too long.
	Line, Column int
	// Element is the element, by its name in the DTD, that was being read or
	// looked for; "" outside the root.
	Element string
	// Err is the cause. It wraps one of the causes above, or is the error of the
	// reader that the document came from.
	Err error
}

// Error gives line, column, element and cause.
func (e *CertDataError) Error() string {
	var where strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&where, ", line %d, column %d", e.Line, e.Column)
	}
	if e.Element != "" {
		where.WriteString(", element " + e.Element)
	}
	return fmt.Sprintf("pec: daticert.xml%s: %v", &where, e.Err)
}

// Unwrap gives the cause.
func (e *CertDataError) Unwrap() error { return e.Err }

// ReadCertData reads one daticert.xml, to the end of r. Every error is a
// [*CertDataError].
//
// It is strict, since what it returns may become evidence: the document is
// well-formed XML with nothing after its root; every element and attribute is
// where the DTD of RFC 6109, section 4.4, has it and as often, and none is
// unknown; dates, offsets and addresses are real; and the parts agree with the
// kind: a delivery has no error and names one of its recipients, a failure has
// an error. White space around dates, addresses and identifiers is dropped, free
// text is kept as it is. Nothing that the document refers to is ever fetched.
//
// What is read here is evidence only if r holds the part of a message whose
// signature was verified.
func ReadCertData(r io.Reader) (*CertData, error) {
	var raw bytes.Buffer
	raw.Grow(2 << 10) // enough for most
	if _, err := raw.ReadFrom(io.LimitReader(r, maxCertData+1)); err != nil {
		return nil, &CertDataError{Err: fmt.Errorf("reading: %w", err)}
	}
	if raw.Len() > maxCertData {
		return nil, &CertDataError{Err: passedLimit(maxCertData, "bytes")}
	}
	c := certDataReader{xmlScanner: newXMLScanner(raw.String()), data: new(CertData)}
	c.document()
	if c.err != nil {
		return nil, c.err
	}
	return c.data, nil
}

// rootElement is the name of the root.
const rootElement = "postacert"

// presence says whether something stands in the document of a kind.
type presence int8

const (
	never presence = iota
	maybe
	always
)

// certDataRules is what the document of one kind holds beyond what all hold.
type certDataRules struct {
	err         presence // an errore other than nessuno
	receiptType presence // ricevuta
	delivery    presence // consegna
	taken       presence // ricezione
	detail      presence // errore-esteso
}

// rulesOf returns the rules of a kind, and whether it has certification data.
// RFC 6109, section 4.4, in the comments of the DTD, and section 3.
func rulesOf(kind Kind) (certDataRules, bool) {
	switch kind {
	case KindAcceptance:
		return certDataRules{}, true
	case KindNonAcceptance:
		return certDataRules{err: always, detail: maybe}, true
	case KindServerAcceptance:
		return certDataRules{taken: always}, true
	case KindTransport:
		return certDataRules{receiptType: maybe}, true
	case KindDelivery:
		return certDataRules{receiptType: maybe, delivery: always}, true
	case KindDeliveryError:
		return certDataRules{err: always, delivery: always, detail: maybe}, true
	case KindDeliveryTimeout:
		// No source fixes the errore of a timeout.
		return certDataRules{err: maybe, delivery: always, detail: maybe}, true
	case KindVirusDetection:
		// QUIRK: older rules named the recipient in ricezione instead of
		// consegna. One of the two must be there, which dati checks.
		return certDataRules{err: always, delivery: maybe, taken: maybe, detail: maybe}, true
	}
	return certDataRules{}, false
}

// certDataReader walks through a document in the order of the DTD.
type certDataReader struct {
	xmlScanner
	data  *CertData
	rules certDataRules
}

func (c *certDataReader) document() {
	c.misc()
	c.doctype()
	c.misc()
	c.postacert()
	c.element = ""
	c.misc()
	if c.pos < len(c.doc) {
		c.fail(c.pos, ErrCertDataXML, "something after the root")
	}
}

func (c *certDataReader) postacert() {
	tag := c.begin(rootElement, "tipo", "errore")
	c.kind(tag)
	c.errorCode(tag)
	c.intestazione()
	c.dati()
	c.end(rootElement)
}

func (c *certDataReader) kind(tag startTag) {
	tipo := tag.attributes[0]
	if !tipo.given {
		c.fail(tag.at, ErrCertDataForm, "no tipo")
	}
	c.data.Kind = Kind(tipo.value)
	rules, ok := rulesOf(c.data.Kind)
	if !ok {
		c.fail(tipo.at, ErrCertDataKind, "tipo")
	}
	c.rules = rules
}

func (c *certDataReader) errorCode(tag startTag) {
	c.data.Error = ErrorNone
	at := tag.at
	if errore := tag.attributes[1]; errore.given {
		c.data.Error = ErrorCode(errore.value)
		at = errore.at
	}
	switch {
	case !c.data.Error.Known():
		c.fail(at, ErrCertDataForm, "an errore that is not of the list")
	case c.data.Error != ErrorNone && c.rules.err == never:
		c.fail(at, ErrCertDataConflict, "an errore in a kind that reports success")
	case c.data.Error == ErrorNone && c.rules.err == always:
		c.fail(at, ErrCertDataConflict, "no errore in a kind that reports a failure")
	}
}

func (c *certDataReader) intestazione() {
	c.begin("intestazione")
	c.data.Sender = c.address(c.open("mittente"))
	c.destinatari()
	c.data.ReplyTo = c.field(c.open("risposte"), maxCertDataText)
	if c.nextElement("oggetto") {
		c.data.Subject = c.field(c.open("oggetto"), maxCertDataText)
	}
	c.end("intestazione")
}

func (c *certDataReader) destinatari() {
	const name = "destinatari"
	for first := true; first || c.nextElement(name); first = false {
		tag := c.open(name, "tipo")
		recipient := Recipient{Type: RecipientCertified}
		if tipo := tag.attributes[0]; tipo.given {
			recipient.Type = RecipientType(tipo.value)
			if recipient.Type != RecipientCertified && recipient.Type != RecipientOrdinary {
				c.fail(tipo.at, ErrCertDataForm, "a tipo that is not of the list")
			}
		}
		if len(c.data.Recipients) == maxRecipients {
			c.passed(tag.at, maxRecipients, "recipients")
		}
		recipient.Address = c.address(tag)
		c.data.Recipients = append(c.data.Recipients, recipient)
	}
}

func (c *certDataReader) dati() {
	c.begin("dati")
	c.data.Issuer = c.field(c.open("gestore-emittente"), maxCertDataText)
	c.data.Time = c.instant()
	tag := c.open("identificativo")
	c.data.ID = c.identifier(tag)
	if c.data.ID == "" {
		c.fail(tag.at, ErrCertDataForm, "no identifier")
	}
	if c.nextElement("msgid") {
		c.data.MessageID = c.identifier(c.open("msgid"))
	}
	if c.has("ricevuta", c.rules.receiptType) {
		c.data.ReceiptType = c.ricevuta()
	}
	if c.has("consegna", c.rules.delivery) {
		c.data.Delivery = c.consegna()
	}
	if c.has("ricezione", c.rules.taken) {
		c.data.Taken = c.ricezione()
	}
	if c.data.Kind == KindVirusDetection && c.data.Delivery.IsZero() == (len(c.data.Taken) == 0) {
		c.element = "dati"
		c.fail(c.pos, ErrCertDataConflict, "this kind needs either consegna or ricezione")
	}
	if c.has("errore-esteso", c.rules.detail) {
		c.data.ErrorDetail = c.field(c.open("errore-esteso"), maxCertDataText)
	}
	c.end("dati")
}

// has reports whether an element that not every kind has comes next, and refuses
// a document in which it is missing or out of place.
func (c *certDataReader) has(name string, expected presence) bool {
	there := c.nextElement(name)
	switch {
	case there && expected == never:
		c.element = name
		c.fail(c.pos, ErrCertDataConflict, "this kind does not have it")
	case !there && expected == always:
		c.element = name
		c.fail(c.pos, ErrCertDataConflict, "this kind needs it, and it is not here")
	}
	return there
}

func (c *certDataReader) ricevuta() ReceiptType {
	tag := c.open("ricevuta", "tipo")
	tipo := tag.attributes[0]
	kind := ReceiptType(tipo.value)
	switch {
	case !tipo.given:
		c.fail(tag.at, ErrCertDataForm, "no tipo")
	case !kind.Known():
		c.fail(tipo.at, ErrCertDataForm, "a tipo that is not of the list")
	}
	if !tag.empty {
		c.endTag("ricevuta")
	}
	return kind
}

func (c *certDataReader) consegna() Address {
	tag := c.open("consegna")
	a := c.address(tag)
	if _, ok := c.data.Recipient(a); !ok {
		c.fail(tag.at, ErrCertDataConflict, "not one of destinatari")
	}
	return a
}

func (c *certDataReader) ricezione() []Address {
	const name = "ricezione"
	recipients := make(map[string]bool, len(c.data.Recipients))
	for _, r := range c.data.Recipients {
		recipients[r.Address.Key()] = true
	}
	var taken []Address
	for c.nextElement(name) {
		tag := c.open(name)
		if len(taken) == maxRecipients {
			c.passed(tag.at, maxRecipients, "recipients")
		}
		a := c.address(tag)
		if !recipients[a.Key()] {
			c.fail(tag.at, ErrCertDataConflict, "not one of destinatari")
		}
		taken = append(taken, a)
	}
	return taken
}

// field reads the text and the end tag of an element that was opened.
func (c *certDataReader) field(tag startTag, most int) string {
	text := c.text(tag)
	if len(text) > most {
		c.passed(tag.at, most, "bytes of text")
	}
	return text
}

// token is field for a value that can't hold white space: what stands around it
// is layout.
func (c *certDataReader) token(tag startTag, most int) string {
	return strings.Trim(c.field(tag, most), " \t\r\n")
}

func (c *certDataReader) address(tag startTag) Address {
	a, err := ParseAddress(c.field(tag, maxCertDataText))
	var passed *limit.Error
	switch {
	case errors.As(err, &passed):
		c.passed(tag.at, int(passed.Max), passed.What)
	case err != nil:
		c.fail(tag.at, ErrCertDataForm, bareError(err))
	}
	return a
}

// identifier reads identificativo or msgid: printable ASCII without a blank.
func (c *certDataReader) identifier(tag startTag) string {
	id := c.token(tag, maxMessageID)
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			c.fail(tag.at, ErrCertDataForm, "an identifier that is not printable ASCII without blanks")
			break
		}
	}
	return id
}

// instant reads data with its giorno, ora and zona.
func (c *certDataReader) instant() time.Time {
	tag := c.begin("data", "zona")
	zona := tag.attributes[0]
	offset, ok := parseOffset(zona.value)
	if !zona.given || !ok {
		c.fail(max(tag.at, zona.at), ErrCertDataForm, "no zona of the form +hhmm")
	}
	dayTag := c.open("giorno")
	year, month, day, ok := parseDay(c.token(dayTag, maxCertDataText))
	if !ok {
		c.fail(dayTag.at, ErrCertDataForm, "not a real date of the form dd/mm/yyyy")
	}
	clockTag := c.open("ora")
	hour, minute, second, ok := parseClock(c.token(clockTag, maxCertDataText))
	if !ok {
		c.fail(clockTag.at, ErrCertDataForm, "not a time of day of the form hh:mm:ss")
	}
	c.end("data")
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.FixedZone("", offset))
	if t.IsZero() {
		c.element = "giorno"
		c.fail(dayTag.at, ErrCertDataForm, "the zero instant")
	}
	return t
}

// parseOffset reads [+-]hhmm and returns seconds east of UTC.
func parseOffset(s string) (seconds int, ok bool) {
	if len(s) != len("+hhmm") || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hours, minutes := twoDigits(s[1:]), twoDigits(s[3:])
	seconds = hours*3600 + minutes*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, 0 <= hours && hours <= 14 && 0 <= minutes && minutes < 60
}

// parseDay reads dd/mm/yyyy.
func parseDay(s string) (year, month, day int, ok bool) {
	if len(s) != len("dd/mm/yyyy") || s[2] != '/' || s[5] != '/' {
		return 0, 0, 0, false
	}
	day, month = twoDigits(s), twoDigits(s[3:])
	century, rest := twoDigits(s[6:]), twoDigits(s[8:])
	if day < 1 || month < 1 || century < 0 || rest < 0 {
		return 0, 0, 0, false
	}
	year = century*100 + rest
	// A date that does not exist comes back as another one.
	real := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	return year, month, day, year > 0 && real.Day() == day && real.Month() == time.Month(month)
}

// parseClock reads hh:mm:ss. A leap second counts as the second before it.
func parseClock(s string) (hour, minute, second int, ok bool) {
	if len(s) != len("hh:mm:ss") || s[2] != ':' || s[5] != ':' {
		return 0, 0, 0, false
	}
	hour, minute, second = twoDigits(s), twoDigits(s[3:]), twoDigits(s[6:])
	ok = 0 <= hour && hour < 24 && 0 <= minute && minute < 60 && 0 <= second && second <= 60
	return hour, minute, min(second, 59), ok
}

// twoDigits returns the number that s begins with, or a negative one.
func twoDigits(s string) int {
	if s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return -1
	}
	return int(s[0]-'0')*10 + int(s[1]-'0')
}
