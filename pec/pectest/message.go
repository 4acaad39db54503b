package pectest

import (
	"io"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// Message says what [Provider.Compose] is to write: one of the receipts, notices
// and envelopes that providers issue.
type Message struct {
	// Data is what the message certifies. Kind, Sender, Recipients, Time and,
	// but for an anomaly envelope, ID are required; the rest is as the kind
	// wants it (RFC 6109, section 4.4). Issuer is the provider's name if empty.
	// Texts and header fields show the same data; the offset of Time is kept.
	//
	// An anomaly envelope has no daticert.xml: the data serve for its text, with
	// the reason in ErrorDetail. A timeout notice is the second, final one if
	// ErrorDetail begins with 5.4.1.
	Data pec.CertData
	// Original is the original message, which the envelopes and the complete and
	// brief delivery receipts carry. It is read once, and never held in memory.
	// Whether its Message-ID was replaced already does not matter.
	Original io.Reader
	// Form is, of a delivery receipt, how much of the original it holds, whatever
	// Data.ReceiptType says was asked for: a recipient in Cc gets a receipt
	// without the original. Empty means Data.ReceiptType, and [pec.ReceiptComplete]
	// if that is empty too.
	Form pec.ReceiptType
	// To is the addressee; zero means the sender of the original. Set it to the
	// service mailbox of the sender's provider for what goes between providers.
	// Envelopes keep the To of the original.
	To pec.Address
	// Tamper, if not nil, makes the message one that no honest provider writes.
	Tamper *Tamper
}

// Tamper says in what a message is not what an honest provider would write. The
// zero value changes nothing. Other attacks need no help: compose with a provider
// of another [Authority], or with one whose certificate is not in order, or put
// what you like into the original.
type Tamper struct {
	// Header changes the header fields on the outside, which are not signed.
	Header func([]Field) []Field
	// CertData changes daticert.xml before it is signed.
	CertData func([]byte) []byte
	// Altered changes daticert.xml after it was signed.
	Altered func([]byte) []byte
	// Parts are whole MIME parts, head and body, that are signed too. They stand
	// after the others.
	Parts []string
	// Entity changes all that is to be signed, head and body, before it is. It
	// does not go together with Altered.
	Entity func([]byte) []byte
	// SigningTime is the signing time to claim, instead of Data.Time.
	SigningTime time.Time
	// Unsigned leaves the signature out: the message is what would be signed.
	Unsigned bool
	// Signature changes the signature, a CMS structure.
	Signature func([]byte) []byte
}

// Field is a header field.
type Field struct {
	Name string
	// Value is encoded and folded as it is to be written, without the last line
	// end.
	Value string
}
