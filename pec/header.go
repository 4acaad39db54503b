package pec

// Names of the header fields that PEC adds to Internet mail, in the spelling of
// RFC 6109, Appendix A. Field names are compared without regard to case: the
// spelling X-Tiporicevuta occurs too.
const (
	// HeaderReceipt tells the kind of a receipt or notice.
	HeaderReceipt = "X-Ricevuta"
	// HeaderTransport tells an envelope: [TransportCertified] or [TransportError].
	HeaderTransport = "X-Trasporto"
	// HeaderReference holds the Message-ID that the sender's client gave the
	// original, before the provider replaced it. RFC 6109, section 2.2.1.
	HeaderReference = "X-Riferimento-Message-ID"
	// HeaderReceiptType asks, in the original, for one of the three forms of the
	// delivery receipt. RFC 6109, section 3.3.2.
	HeaderReceiptType = "X-TipoRicevuta"
	// HeaderSecurityCheck marks a notice about malware. RFC 6109, section 2.1.1.1.3.
	HeaderSecurityCheck = "X-VerificaSicurezza"
	// HeaderSender names, between providers, the sender of an infected message.
	// RFC 6109, section 3.2.3.
	HeaderSender = "X-Mittente"
)

// Values of [HeaderTransport] and [HeaderSecurityCheck].
const (
	// TransportCertified marks a transport envelope (busta di trasporto).
	TransportCertified = "posta-certificata"
	// TransportError marks an anomaly envelope (busta di anomalia).
	TransportError = "errore"
	// SecurityCheckError is the only value of X-VerificaSicurezza.
	SecurityCheckError = "errore"
)

// ReceiptType is the form of delivery receipt that a sender asks for with
// X-TipoRicevuta. The zero value asks for nothing, which providers treat as
// [ReceiptComplete]. RFC 6109, section 3.3.2.
type ReceiptType string

const (
	// ReceiptComplete (ricevuta completa) carries the whole original. It alone
	// proves, by itself, what was delivered.
	ReceiptComplete ReceiptType = "completa"
	// ReceiptBrief (ricevuta breve) carries the original with each attachment
	// replaced by its hash. It proves what was delivered to whoever kept the
	// original.
	ReceiptBrief ReceiptType = "breve"
	// ReceiptConcise (ricevuta sintetica) carries nothing of the original.
	ReceiptConcise ReceiptType = "sintetica"
)

// Known reports whether t is one of the three forms.
func (t ReceiptType) Known() bool {
	return t == ReceiptComplete || t == ReceiptBrief || t == ReceiptConcise
}
