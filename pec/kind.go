package pec

// Kind says what a PEC message is: one of the receipts and notices that
// providers issue, or one of the two envelopes that they wrap mail in.
//
// The values are the exact words that appear on the wire, in the header field
// X-Ricevuta and in the attribute tipo of daticert.xml; [KindAnomaly] alone has
// no such word and carries a label of this package. A Kind read from a message
// may hold a word that this package does not know; it is kept as it was, and
// [Kind.Known] is then false.
//
// Source: RFC 6109, section 3 and Appendix A; the Italian names are those of the
// technical rules of 2 November 2005.
type Kind string

const (
	// KindAcceptance (ricevuta di accettazione): the sender's provider took the
	// message and forwards it. One for each submission; it says of each
	// recipient whether it is a PEC mailbox. RFC 6109, section 3.1.4.
	KindAcceptance Kind = "accettazione"

	// KindNonAcceptance (avviso di non accettazione): the sender's provider
	// refused the message, because a formal check failed or, with
	// [ErrorVirus], because malware was found. RFC 6109, sections 3.1.2 and 3.1.3.
	KindNonAcceptance Kind = "non-accettazione"

	// KindServerAcceptance (ricevuta di presa in carico): the recipient's
	// provider took charge. Sent between providers only. RFC 6109, section 3.2.1.
	KindServerAcceptance Kind = "presa-in-carico"

	// KindDelivery (ricevuta di avvenuta consegna): the message is in one
	// recipient's mailbox. One for each recipient. RFC 6109, section 3.3.2.
	KindDelivery Kind = "avvenuta-consegna"

	// KindDeliveryError (avviso di mancata consegna): the message could not be
	// delivered to one recipient; with [ErrorVirus] because malware was found on
	// the way. RFC 6109, sections 3.3.3 and 3.2.4.
	KindDeliveryError Kind = "errore-consegna"

	// KindDeliveryTimeout (avviso di mancata consegna per superamento dei tempi
	// massimi): nothing was heard within 12 hours, or within 24. Either notice
	// may come alone; header, subject and tipo are the same for both, but only
	// the notice of hour 24 is final. RFC 6109, section 3.1.6.
	KindDeliveryTimeout Kind = "preavviso-errore-consegna"

	// KindVirusDetection (avviso di rilevazione virus informatico): the
	// recipient's provider found malware in an envelope. Sent between providers
	// only, one for each recipient. RFC 6109, section 3.2.3.
	KindVirusDetection Kind = "rilevazione-virus"

	// KindTransport (busta di trasporto): the envelope that carries the
	// original message to its recipients. A message, not a receipt.
	// RFC 6109, section 3.1.5.
	KindTransport Kind = "posta-certificata"

	// KindAnomaly (busta di anomalia): the envelope in which a provider hands
	// over mail that is not valid PEC. It has no daticert.xml and certifies
	// nothing; on the wire it is told by "X-Trasporto: errore".
	// RFC 6109, section 3.2.2.
	KindAnomaly Kind = "anomalia"
)

// kindFacts is what the technical rules fix for a kind.
type kindFacts struct {
	kind        Kind
	legalName   string
	virusName   string // the name when errore is "virus", where that has one
	prefix      string // what the provider puts before the subject
	virusPrefix string
	receipt     bool // answers a submission or relays between providers
	internal    bool // travels between providers only
}

var kindTable = [...]kindFacts{
	{kind: KindAcceptance, receipt: true,
		legalName: "ricevuta di accettazione", prefix: "ACCETTAZIONE:"},
	{kind: KindNonAcceptance, receipt: true,
		legalName: "avviso di non accettazione", prefix: "AVVISO DI NON ACCETTAZIONE:",
		virusName: "avviso di non accettazione per virus informatico", virusPrefix: "AVVISO DI NON ACCETTAZIONE PER VIRUS:"},
	{kind: KindServerAcceptance, receipt: true, internal: true,
		legalName: "ricevuta di presa in carico", prefix: "PRESA IN CARICO:"},
	{kind: KindDelivery, receipt: true,
		legalName: "ricevuta di avvenuta consegna", prefix: "CONSEGNA:"},
	{kind: KindDeliveryError, receipt: true,
		legalName: "avviso di mancata consegna", prefix: "AVVISO DI MANCATA CONSEGNA:",
		virusName: "avviso di mancata consegna per virus informatico", virusPrefix: "AVVISO DI MANCATA CONSEGNA PER VIRUS:"},
	{kind: KindDeliveryTimeout, receipt: true,
		legalName: "avviso di mancata consegna per superamento dei tempi massimi", prefix: "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO:"},
	{kind: KindVirusDetection, receipt: true, internal: true,
		legalName: "avviso di rilevazione virus informatico", prefix: "PROBLEMA DI SICUREZZA:"},
	{kind: KindTransport,
		legalName: "busta di trasporto", prefix: "POSTA CERTIFICATA:"},
	{kind: KindAnomaly,
		legalName: "busta di anomalia", prefix: "ANOMALIA MESSAGGIO:"},
}

func (k Kind) facts() kindFacts {
	for _, f := range kindTable {
		if f.kind == k {
			return f
		}
	}
	return kindFacts{}
}

// Kinds returns every kind this package knows, in the order of a message's life.
func Kinds() []Kind {
	kinds := make([]Kind, len(kindTable))
	for i, f := range kindTable {
		kinds[i] = f.kind
	}
	return kinds
}

// Known reports whether k is one of the kinds of this package.
func (k Kind) Known() bool { return k.facts().kind != "" }

// IsReceipt reports whether k answers a message that was sent. Envelopes are
// messages and are not receipts, though they carry the same identifiers.
func (k Kind) IsReceipt() bool { return k.facts().receipt }

// IsInternal reports whether k travels between providers only and is not
// foreseen in a user's mailbox. RFC 6109, section 2.2.5.
func (k Kind) IsInternal() bool { return k.facts().internal }

// LegalName returns the Italian legal name of a message of kind k whose
// daticert.xml carries the error e, or "" if k is not known.
func (k Kind) LegalName(e ErrorCode) string {
	f := k.facts()
	if e == ErrorVirus && f.virusName != "" {
		return f.virusName
	}
	return f.legalName
}

// SubjectPrefix returns what the provider puts before the subject of the
// original, without the blank that follows. Subjects are not signed: the prefix
// serves to compose messages and to warn, never to tell what a message is.
// RFC 6109, section 3.
func (k Kind) SubjectPrefix(e ErrorCode) string {
	f := k.facts()
	if e == ErrorVirus && f.virusPrefix != "" {
		return f.virusPrefix
	}
	return f.prefix
}
