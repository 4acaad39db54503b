package pec

import "strings"

// Header is the head of a message. net/textproto's MIMEHeader has this method,
// and so have the headers of the usual mail packages.
type Header interface {
	// Values returns the values, unfolded, of all fields called name, whatever
	// its case, in the order in which they stand.
	Values(name string) []string
}

// Category is the first thing to know of a message found in a mailbox.
type Category string

const (
	// CategoryReceipt: a receipt or notice, by its X-Ricevuta.
	CategoryReceipt Category = "receipt"
	// CategoryTransport: a transport envelope, with somebody's message in it.
	CategoryTransport Category = "transport"
	// CategoryAnomaly: an anomaly envelope. Whatever is in it came as ordinary
	// mail, however much it looks like a receipt.
	CategoryAnomaly Category = "anomaly"
	// CategoryREM: a message of the European successor of PEC, ETSI EN 319 532.
	CategoryREM Category = "rem"
	// CategoryDSN: a report of an ordinary mail system, such as a bounce.
	CategoryDSN Category = "dsn"
	// CategoryOrdinary: anything else.
	CategoryOrdinary Category = "ordinary"
)

// Class is what the head of a message says that the message is. Anyone can write
// such a head: a Class serves to route a message and to show it, and proves
// nothing.
type Class struct {
	// Category is the first thing to know.
	Category Category
	// Kind is the word of X-Ricevuta in lower case, known to this package or
	// not, or the kind of the envelope; empty in other categories.
	Kind Kind
	// Suspicious is set if the head contradicts itself: it claims a receipt and
	// an envelope at once, gives one of the fields that count here twice with
	// different values, or calls a receipt what is none.
	Suspicious bool
	// MessageID is the Message-ID as it stands. For a transport envelope it is
	// the provider's identifier of the transmission.
	MessageID string
	// Reference is X-Riferimento-Message-ID as it stands: the Message-ID under
	// which a client sent the message that this one is about.
	Reference string
}

// Classify says what a message is by the fields of its top-level head alone. It
// never fails: what it does not understand is [CategoryOrdinary].
//
// Values are compared whole, without regard to case and to white space around
// them: "non-accettazione" holds the word "accettazione" and means the opposite.
// The subject plays no part.
func Classify(h Header) Class {
	r := headReader{header: h}
	receipt, isReceipt := r.word(HeaderReceipt)
	transport, isTransport := r.word(HeaderTransport)
	_, isREM := r.word("REM-MessageType")
	contentType, _ := r.word("Content-Type")

	class := Class{Category: CategoryOrdinary, MessageID: r.id("Message-ID"), Reference: r.id(HeaderReference)}
	switch {
	case isReceipt:
		class.Category, class.Kind = CategoryReceipt, Kind(receipt)
	case transport == TransportCertified:
		class.Category, class.Kind = CategoryTransport, KindTransport
	case transport == TransportError:
		class.Category, class.Kind = CategoryAnomaly, KindAnomaly
	case isREM:
		class.Category = CategoryREM
	case isReport(contentType):
		class.Category = CategoryDSN
	}
	misnamed := isReceipt && class.Kind.Known() && !class.Kind.IsReceipt()
	class.Suspicious = r.contradiction || misnamed || isReceipt && isTransport
	return class
}

// isReport reports whether a Content-Type in lower case is multipart/report. A
// parameter that can't be read must not hide it.
func isReport(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.TrimSpace(mediaType) == "multipart/report"
}

// headReader reads fields that are meant to stand once.
type headReader struct {
	header        Header
	contradiction bool // a field stands twice, with different values
}

// id returns the first value of a field, and whether there is one.
func (r *headReader) id(name string) string {
	value, _ := r.first(name, func(s string) string { return s })
	return value
}

// word is id for a field whose case does not matter.
func (r *headReader) word(name string) (string, bool) { return r.first(name, lowerASCII) }

func (r *headReader) first(name string, fold func(string) string) (string, bool) {
	values := r.header.Values(name)
	if len(values) == 0 {
		return "", false
	}
	value := fold(strings.TrimSpace(values[0]))
	for _, other := range values[1:] {
		if fold(strings.TrimSpace(other)) != value {
			r.contradiction = true
		}
	}
	return value, true
}
