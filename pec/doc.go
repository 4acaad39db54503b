// Package pec holds the words and the rules of PEC, Italian certified e-mail
// (posta elettronica certificata, RFC 6109), and nothing that opens a network
// connection or judges a signature.
//
// PEC is Internet mail between mailboxes of accredited providers, with the legal
// effect of a registered letter. The sender's provider checks a message and
// answers with a receipt of acceptance; the recipient's provider puts it into the
// mailbox and answers with a receipt of delivery, or a notice says why it could
// not. Each of these messages is signed by its provider and holds a small
// document, daticert.xml, that says who sent what to whom and when: that document
// is the certified truth, and everything around it is ordinary mail, which anyone
// can write.
//
// The central types, in the order in which a message meets them:
//
//   - [Address] is a mailbox that PEC can certify; [ParseAddressList] reads what
//     people type.
//   - [Profile] is what is known of a provider's limits, as dated data.
//   - [Envelope] is what a provider will read off a message to be sent.
//     [ReadEnvelope] checks the message against every rule that would make the
//     provider refuse it, before there is any network.
//   - [Classify] says, by the head alone, what a message found in a mailbox claims
//     to be, and [Kind] names the receipts, notices and envelopes there are.
//   - [CertData] is the content of daticert.xml. [ReadCertData] refuses what two
//     readers could understand in two ways. It becomes evidence when it comes out
//     of a verified signature, which is the business of package receipt.
//   - [Directory] knows which provider manages a domain and signs with which
//     certificate; [ReadLDIF] reads the providers' own.
//
// To check a message before it is sent:
//
//	account := pec.MustParseAddress("studio@pec.alfa.example")
//	e, err := pec.ReadEnvelope(message, pec.EnvelopeOptions{Account: account})
//	if errors.Is(err, pec.ErrBcc) {
//		// PEC has no hidden recipients: send one message to each.
//	}
//
// Identifiers are English, from the RFC; the values that stand on the wire are the
// Italian words, unchanged. Errors never repeat an address, a subject or a text,
// since errors end up in logs.
package pec
