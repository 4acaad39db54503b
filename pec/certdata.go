package pec

import "time"

// CertData is the content of daticert.xml, the certification data (dati di
// certificazione) that a provider puts into every receipt, notice and transport
// envelope. RFC 6109, section 4.4.
//
// A CertData is evidence only when it was taken from a message whose signature
// was verified: see package receipt. Free text (Subject, Issuer, ReplyTo,
// ErrorDetail) was chosen by senders and may hold control characters.
type CertData struct {
	// Kind is the attribute tipo.
	Kind Kind
	// Error is the attribute errore; [ErrorNone] where the document has none.
	Error ErrorCode
	// Sender (mittente) is the sender of the original.
	Sender Address
	// Recipients (destinatari) are all recipients of the original, To and Cc,
	// in the order of the document, which need not be that of the message.
	Recipients []Recipient
	// ReplyTo (risposte) is where replies go; providers also leave it empty.
	ReplyTo string
	// Subject (oggetto) is the decoded subject of the original.
	Subject string
	// Issuer (gestore-emittente) names, in free text, the provider that issued
	// this document, which for a delivery is not the sender's.
	Issuer string
	// Time (data) is the certified instant, in the fixed offset that the
	// document gives, to the second.
	Time time.Time
	// ID (identificativo) is the identifier that the sender's provider gave the
	// transmission, without angle brackets. Every receipt of one transmission
	// carries the same.
	ID string
	// MessageID (msgid) is the Message-ID that the sender's client gave the
	// original, as the document has it: with angle brackets at every provider
	// seen. It is empty if the client gave none. Compare with [SameMessageID].
	MessageID string
	// ReceiptType (ricevuta) is the form of delivery receipt that was asked
	// for; empty in kinds that do not carry it. It does not say what the
	// receipt contains.
	ReceiptType ReceiptType
	// Delivery (consegna) is the one recipient that a delivery, a failure or a
	// timeout is about; zero in other kinds.
	Delivery Address
	// Taken (ricezione) are the recipients that a provider took charge of.
	Taken []Address
	// ErrorDetail (errore-esteso) is a short text about the error, by custom
	// beginning with a status code: "5.1.1 - Provider - text".
	ErrorDetail string
}

// ErrorCode is the attribute errore of daticert.xml. It is coarse: a full
// mailbox is [ErrorOther], and a missing one is ErrorNoRecipient at some
// providers and ErrorOther at others; package receipt combines it with the
// status code in the text. RFC 6109, section 4.4.
type ErrorCode string

const (
	// ErrorNone (nessuno): no error.
	ErrorNone ErrorCode = "nessuno"
	// ErrorNoRecipient (no-dest): the recipient is wrong.
	ErrorNoRecipient ErrorCode = "no-dest"
	// ErrorNoDomain (no-dominio): the domain is wrong.
	ErrorNoDomain ErrorCode = "no-dominio"
	// ErrorVirus (virus): malware.
	ErrorVirus ErrorCode = "virus"
	// ErrorOther (altro): anything else.
	ErrorOther ErrorCode = "altro"
)

// Known reports whether c is one of the values that the DTD allows.
func (c ErrorCode) Known() bool {
	switch c {
	case ErrorNone, ErrorNoRecipient, ErrorNoDomain, ErrorVirus, ErrorOther:
		return true
	}
	return false
}

// Recipient is one element destinatari.
type Recipient struct {
	// Address is the recipient's.
	Address Address
	// Type is the attribute tipo; [RecipientCertified] where the document has none.
	Type RecipientType
}

// RecipientType says what the sender's provider knows of a recipient.
type RecipientType string

const (
	// RecipientCertified (certificato): a PEC mailbox, which will answer with a
	// delivery receipt or a failure.
	RecipientCertified RecipientType = "certificato"
	// RecipientOrdinary (esterno): an ordinary mailbox. Nothing beyond the
	// acceptance will ever certify it.
	RecipientOrdinary RecipientType = "esterno"
)

// Recipient returns the entry of d.Recipients with the address a.
func (d *CertData) Recipient(a Address) (Recipient, bool) {
	for _, r := range d.Recipients {
		if r.Address.Equal(a) {
			return r, true
		}
	}
	return Recipient{}, false
}
