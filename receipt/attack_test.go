package receipt_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// attack is a way to make a message say what no provider certified. It is tried
// on every kind of message, in every dialect.
type attack struct {
	name   string
	reason string // why it must be refused
	only   func(kindCase) bool
	// tamper changes the message while it is composed, raw afterwards.
	tamper func(*bench) pectest.Tamper
	raw    func(*bench, []byte) []byte
	want   refusal
}

// bench is where one attack is prepared.
type bench struct {
	testing.TB
	n *network
	c kindCase
}

// edit changes what is signed, before it is.
func edit(old, new string) func(*bench) pectest.Tamper {
	return func(b *bench) pectest.Tamper {
		return pectest.Tamper{Entity: func(entity []byte) []byte { return replace(b, entity, old, new) }}
	}
}

// editData changes daticert.xml, before it is signed.
func editData(old, new string) func(*bench) pectest.Tamper {
	return func(b *bench) pectest.Tamper {
		return pectest.Tamper{CertData: func(data []byte) []byte { return replace(b, data, old, new) }}
	}
}

// part signs one more part.
func part(lines ...string) func(*bench) pectest.Tamper {
	return func(*bench) pectest.Tamper { return pectest.Tamper{Parts: []string{strings.Join(lines, "\r\n")}} }
}

// header changes the header fields.
func header(change func([]pectest.Field) []pectest.Field) func(*bench) pectest.Tamper {
	return func(*bench) pectest.Tamper { return pectest.Tamper{Header: change} }
}

// swap changes the whole message, once composed.
func swap(old, new string) func(*bench, []byte) []byte {
	return func(b *bench, raw []byte) []byte { return replace(b, raw, old, new) }
}

// onTop puts a line above all others.
func onTop(line string) func(*bench, []byte) []byte {
	return func(_ *bench, raw []byte) []byte { return append([]byte(line+"\r\n"), raw...) }
}

// Which kinds an attack makes sense for.
func isReceipt(c kindCase) bool { return c.kind.IsReceipt() }
func isAnomaly(c kindCase) bool { return c.kind == pec.KindAnomaly }
func hasData(c kindCase) bool   { return !isAnomaly(c) }
func isFailure(c kindCase) bool { return strings.Contains(c.name, "failure") }

// outerBoundary returns the boundary of the multipart/signed.
func outerBoundary(t testing.TB, raw []byte) string {
	t.Helper()
	m := regexp.MustCompile(`multipart/signed;[^\n]*\n\tboundary="([^"]*)"`).FindSubmatch(raw)
	if m == nil {
		t.Fatalf("no outer boundary in\n%s", raw)
	}
	return string(m[1])
}

// outerParts cuts a message: its fields before those of MIME, the type of the
// multipart/signed, and its two parts.
func outerParts(t testing.TB, raw []byte) (fields, contentType, entity, signature string) {
	t.Helper()
	fields, rest, ok := strings.Cut(string(raw), "MIME-Version: 1.0\r\n")
	contentType, _, _ = strings.Cut(rest, "\r\n\r\n")
	parts := strings.Split(rest, "--"+outerBoundary(t, raw))
	if !ok || len(parts) != 4 {
		t.Fatalf("not a signed message:\n%s", raw)
	}
	return fields, contentType, strings.Trim(parts[1], "\r\n"), strings.Trim(parts[2], "\r\n")
}

const xmlPart = "Content-Type: application/xml; name=\"daticert.xml\"\r\n" +
	"Content-Transfer-Encoding: base64\r\n" +
	"Content-Disposition: inline; filename=\"daticert.xml\"\r\n"

var (
	badHead        = refusal{receipt.Malformed, codeOf(smime.ReasonHead), "header"}
	badInnerHead   = refusal{receipt.Malformed, codeOf(smime.ReasonHead), "signed part"}
	badInnerMIME   = refusal{receipt.Malformed, codeOf(smime.ReasonMIME), "signed part"}
	badMIME        = refusal{receipt.Malformed, codeOf(smime.ReasonMIME), "message"}
	altered        = refusal{receipt.Rejected, codeOf(smime.ReasonDigest), "signed part"}
	offProfile     = refusal{receipt.Rejected, codeOf(smime.ReasonProfile), "message"}
	notSigned      = refusal{receipt.Inconclusive, codeOf(smime.ReasonNotSigned), "header"}
	contradicted   = refusal{receipt.Rejected, receipt.CodeHeader, "header"}
	wrongFrom      = refusal{receipt.Rejected, receipt.CodeFrom, "header"}
	severalData    = refusal{receipt.Rejected, receipt.CodeTwoCertData, "signed part"}
	noData         = refusal{receipt.Rejected, receipt.CodeNoCertData, "signed part"}
	badData        = refusal{receipt.Rejected, receipt.CodeCertData, "daticert.xml"}
	unreadableData = refusal{receipt.Malformed, receipt.CodeCertData, "daticert.xml"}
)

// Threat model, rule 1: what is outside is not signed.
var hintAttacks = []attack{
	{name: "X-Ricevuta of another kind", reason: "a mail program would show an acceptance as a delivery", only: isReceipt,
		tamper: func(b *bench) pectest.Tamper {
			other := string(pec.KindDelivery)
			if b.c.kind == pec.KindDelivery {
				other = string(pec.KindAcceptance)
			}
			return pectest.Tamper{Header: setHeader(pec.HeaderReceipt, other)}
		}, want: contradicted},
	{name: "X-Ricevuta that contains the kind", reason: "values are compared whole: non-accettazione is not accettazione", only: isReceipt,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Header: setHeader(pec.HeaderReceipt, "non-"+string(b.c.kind))}
		}, want: contradicted},
	{name: "second X-Ricevuta", reason: "readers differ in which of the two they take", only: isReceipt,
		tamper: header(addHeader("x-ricevuta", "rilevazione-virus-x")), want: contradicted},
	{name: "envelope called a receipt", reason: "an envelope carries the same identifiers and proves no delivery",
		only:   func(c kindCase) bool { return c.kind == pec.KindTransport },
		tamper: header(addHeader(pec.HeaderReceipt, string(pec.KindDelivery))), want: contradicted},
	{name: "anomaly called a receipt", reason: "what a provider wrapped certifies nothing", only: isAnomaly,
		tamper: header(addHeader(pec.HeaderReceipt, string(pec.KindDelivery))), want: noData},
	{name: "receipt called an envelope", reason: "readers differ in which of the two fields they look at", only: isReceipt,
		tamper: header(addHeader(pec.HeaderTransport, pec.TransportCertified)), want: contradicted},
	{name: "called an anomaly", reason: "a genuine message would be shown as ordinary mail", only: hasData,
		tamper: header(addHeader(pec.HeaderTransport, pec.TransportError)), want: contradicted},
	{name: "X-Ricevuta in letters that fold to others", reason: "values are compared in ASCII", only: func(c kindCase) bool { return isReceipt(c) && strings.Contains(string(c.kind), "s") },
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Header: setHeader(pec.HeaderReceipt, strings.Replace(string(b.c.kind), "s", "\u017f", 1))}
		}, want: contradicted},
	{name: "anomaly called an envelope", reason: "ordinary mail would be shown as PEC", only: isAnomaly,
		tamper: header(setHeader(pec.HeaderTransport, pec.TransportCertified)), want: noData},
	{name: "reference to another message", reason: "the receipt would be counted for another send", only: hasData,
		tamper: header(setHeader(pec.HeaderReference, "<other@pec.mittente.example>")), want: contradicted},
	{name: "second reference", reason: "readers differ in which of the two they take", only: hasData,
		tamper: header(addHeader(pec.HeaderReference, "<other@pec.mittente.example>")), want: contradicted},
	{name: "reference in another case", reason: "identifiers are compared exactly", only: hasData,
		tamper: header(setHeader(pec.HeaderReference, "<6F1C0E@pec.mittente.example>")), want: contradicted},
	{name: "reference where none is certified", reason: "the message that it names is not the one that was certified", only: hasData,
		tamper: editData("<msgid>&lt;6f1c0e@pec.mittente.example&gt;</msgid>", ""), want: contradicted},
}

// Rule 2: what must be signed, and how.
var formAttacks = []attack{
	{name: "not signed", reason: "anyone can write the fields of PEC",
		tamper: func(*bench) pectest.Tamper { return pectest.Tamper{Unsigned: true} }, want: notSigned},
	{name: "forged X-Ricevuta on ordinary mail", reason: "the commonest forgery",
		raw: func(*bench, []byte) []byte {
			return []byte("From: posta-certificata@pec.alfa.example\r\nX-Ricevuta: avvenuta-consegna\r\n\r\nConsegnato.\r\n")
		}, want: notSigned},
	{name: "signed message inside an unsigned one", reason: "what is next to it was signed by nobody",
		raw: func(b *bench, raw []byte) []byte {
			fields, contentType, _, _ := outerParts(b, raw)
			_, body, _ := strings.Cut(string(raw), "\r\n\r\n")
			return []byte(fields + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=W\r\n\r\n" +
				"--W\r\nContent-Type: text/plain\r\n\r\nDear list,\r\n" +
				"--W\r\n" + contentType + "\r\n\r\n" + body + "\r\n--W--\r\n")
		}, want: notSigned},
	{name: "forwarded as an attachment", reason: "what carries it may claim anything",
		raw: func(b *bench, raw []byte) []byte {
			fields, _, _, _ := outerParts(b, raw)
			return []byte(fields + "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n" + string(raw))
		}, want: notSigned},
	{name: "text before the signed part", reason: "a text in front of it would be shown with it",
		raw: func(b *bench, raw []byte) []byte {
			mark := "\r\n--" + outerBoundary(b, raw) + "\r\n"
			return replace(b, raw, mark, mark+"Content-Type: text/plain\r\n\r\nHello.\r\n"+mark)
		}, want: refusal{receipt.Rejected, codeOf(smime.ReasonProfile), "signature"}},
	{name: "text after the signature", reason: "there are exactly two parts",
		raw: func(b *bench, raw []byte) []byte {
			end := "--" + outerBoundary(b, raw) + "--\r\n"
			return replace(b, raw, end, "--"+outerBoundary(b, raw)+"\r\n\r\nHello.\r\n"+end)
		}, want: offProfile},
	{name: "no signature part", reason: "nothing proves the content",
		raw: func(b *bench, raw []byte) []byte {
			delim := "--" + outerBoundary(b, raw)
			return append(raw[:bytes.LastIndex(raw[:len(raw)-len(delim)-10], []byte(delim))], (delim + "--\r\n")...)
		}, want: offProfile},
	{name: "signature before the content", reason: "the first part is what is signed",
		raw: func(b *bench, raw []byte) []byte {
			fields, contentType, entity, signature := outerParts(b, raw)
			delim := "\r\n--" + outerBoundary(b, raw)
			return []byte(fields + "MIME-Version: 1.0\r\n" + contentType + "\r\n" + delim + "\r\n" + signature + delim + "\r\n" + entity + delim + "--\r\n")
		}, want: refusal{receipt.Rejected, codeOf(smime.ReasonProfile), "signature"}},
	{name: "another protocol", reason: "PEC is signed with S/MIME",
		raw:  swap("pkcs7-signature\"; micalg", "pgp-signature\"; micalg"),
		want: refusal{receipt.Rejected, codeOf(smime.ReasonProfile), "header"}},
	{name: "opaque S/MIME", reason: "off the profile of PEC, and content that mail programs show differently",
		raw: func(b *bench, raw []byte) []byte {
			fields, _, _, signature := outerParts(b, raw)
			_, p7, _ := strings.Cut(signature, "\r\n\r\n")
			return []byte(fields + "MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\n" + p7)
		}, want: refusal{receipt.Rejected, codeOf(smime.ReasonProfile), "header"}},
	{name: "multipart/signed in base64", reason: "RFC 2045, section 6.4, forbids it, and what is signed would be open",
		raw:  swap("MIME-Version: 1.0\r\nContent-Type: multipart/signed", "Content-Transfer-Encoding: base64\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed"),
		want: refusal{receipt.Malformed, codeOf(smime.ReasonMIME), "header"}},
	{name: "signature not in base64", reason: "there is one way to send it",
		raw: func(b *bench, raw []byte) []byte {
			i := bytes.LastIndex(raw, []byte("Content-Transfer-Encoding: base64"))
			return append(raw[:i:i], replace(b, raw[i:], "base64", "8bit")...)
		}, want: refusal{receipt.Malformed, codeOf(smime.ReasonMIME), "signature"}},
}

// Rule 3: the octets that were signed, and no others.
var octetAttacks = []attack{
	{name: "trailing space lost", reason: "a changed octet is a change", raw: func(b *bench, raw []byte) []byte {
		return replace(b, raw, "Content-Transfer-Encoding: quoted-printable\r\n", "Content-Transfer-Encoding: quoted-printable \r\n")
	}, want: altered},
	{name: "field of the signed part folded anew", reason: "a changed octet is a change",
		raw: swap("Content-Type: multipart/mixed;\r\n\tboundary", "Content-Type: multipart/mixed;\r\n boundary"), want: altered},
	{name: "one more line end before the delimiter", reason: "only the last one belongs to the delimiter",
		raw: func(b *bench, raw []byte) []byte {
			i := bytes.LastIndex(raw, []byte("\r\n--"+outerBoundary(b, raw)+"\r\n"))
			return append(raw[:i:i], append([]byte("\r\n"), raw[i:]...)...)
		}, want: altered},
	{name: "lone CR", reason: "only a lone LF is a line end that was changed on the way",
		raw: func(b *bench, raw []byte) []byte {
			return replace(b, raw, "In data", "In\r data")
		}, want: altered},
	{name: "data altered after signing", reason: "the digest is over the data", only: hasData,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Altered: func(data []byte) []byte {
				return replace(b, data, "comune@pec.beta.example", "altro@pec.beta.example")
			}}
		}, want: altered},
	{name: "certified time altered", reason: "the digest is over the data", only: hasData,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Altered: func(data []byte) []byte { return replace(b, data, "10:15:30", "09:15:30") }}
		}, want: altered},
	{name: "original altered", reason: "the copy inside is what proves the content",
		only: func(c kindCase) bool {
			return isAnomaly(c) || c.kind == pec.KindTransport || c.name == "complete delivery"
		},
		raw: swap("Egregio Comune", "Spettabile Comune"), want: altered},
}

// Rules 4 and 5: where the data are.
var placeAttacks = []attack{
	{name: "not multipart/mixed", reason: "RFC 6109, section 4.3",
		tamper: edit("multipart/mixed", "multipart/related"), want: refusal{receipt.Rejected, receipt.CodeSignedEntity, "signed part"}},
	{name: "a text only", reason: "RFC 6109, section 4.3",
		tamper: func(*bench) pectest.Tamper {
			return pectest.Tamper{Entity: func([]byte) []byte { return []byte("Content-Type: text/plain\r\n\r\nConsegnato.\r\n") }}
		}, want: refusal{receipt.Rejected, receipt.CodeSignedEntity, "signed part"}},
	{name: "daticert.xml itself", reason: "it must be a part of the multipart/mixed", only: hasData,
		tamper: func(*bench) pectest.Tamper {
			return pectest.Tamper{Entity: func(b []byte) []byte { return b[bytes.Index(b, []byte(xmlPart)):] }}
		}, want: refusal{receipt.Rejected, receipt.CodeSignedEntity, "signed part"}},
	{name: "multipart/mixed in base64", reason: "RFC 2045, section 6.4, forbids it",
		tamper: func(*bench) pectest.Tamper {
			return pectest.Tamper{Entity: func(b []byte) []byte {
				// OPEC labels it binary, which becomes base64; the others get the field.
				if old := []byte("Content-Transfer-Encoding: binary"); bytes.Contains(b, old) {
					return bytes.Replace(b, old, []byte("Content-Transfer-Encoding: base64"), 1)
				}
				return append([]byte("Content-Transfer-Encoding: base64\r\n"), b...)
			}}
		}, want: badInnerMIME},
	{name: "second daticert.xml", reason: "readers differ in which they take", only: hasData,
		tamper: part("Content-Type: application/xml; name=daticert.xml", "", "<postacert/>"), want: severalData},
	{name: "second daticert.xml by its file name", reason: "names stand in two places", only: hasData,
		tamper: part("Content-Type: text/xml", "Content-Disposition: attachment; filename=\"daticert.xml\"", "", "<postacert/>"), want: severalData},
	{name: "second daticert.xml by an extended name", reason: "RFC 2231, section 4", only: hasData,
		tamper: part("Content-Type: text/xml; name*=utf-8''daticert%2Exml", "", "<postacert/>"), want: severalData},
	{name: "second daticert.xml by a name in pieces", reason: "RFC 2231, section 3", only: hasData,
		tamper: part("Content-Type: text/xml", "Content-Disposition: attachment; filename*0=dati; filename*1*=cert%2E; filename*2=xml", "", "<postacert/>"), want: severalData},
	{name: "second daticert.xml in capitals", reason: "some file systems know no case", only: hasData,
		tamper: part("Content-Type: text/xml; name=DATICERT.XML", "", "<postacert/>"), want: severalData},
	{name: "second daticert.xml by an encoded word", reason: "mail programs decode them in names, against the rules", only: hasData,
		tamper: part("Content-Type: text/xml; name=\"=?utf-8?Q?daticert=2Exml?=\"", "", "<postacert/>"), want: severalData},
	{name: "second daticert.xml with a blank", reason: "mail programs drop it", only: hasData,
		tamper: part("Content-Type: text/xml; name=\"daticert.xml \"", "", "<postacert/>"), want: severalData},
	{name: "second daticert.xml by an encoded word of another charset", reason: "ASCII looks the same in it", only: hasData,
		tamper: part("Content-Type: text/xml; name=\"=?windows-1252?B?ZGF0aWNlcnQ=?= =?x-mac?Q?.xml?=\"", "", "<postacert/>"), want: badInnerMIME},
	{name: "second daticert.xml by an encoded word of a charset of Windows", reason: "ASCII looks the same in it", only: hasData,
		tamper: part("Content-Type: text/xml", "Content-Disposition: attachment; filename=\"=?windows-1252?B?ZGF0aWNlcnQueG1s?=\"", "", "<postacert/>"), want: severalData},
	{name: "second daticert.xml by an encoded word in UTF-16", reason: "only some readers know the charset", only: hasData,
		tamper: part("Content-Type: text/xml; name=\"=?utf-16be?B?AGQAYQB0AGkAYwBlAHIAdAAuAHgAbQBs?=\"", "", "<postacert/>"), want: badInnerMIME},
	{name: "second daticert.xml by an encoded word that is damaged", reason: "some readers decode it all the same", only: hasData,
		tamper: part("Content-Type: text/xml; name=\"=?utf-8?B?ZGF0aWNlcnQueG1s=?=\"", "", "<postacert/>"), want: badInnerMIME},
	{name: "second daticert.xml by an extended name in EBCDIC", reason: "only some readers know the charset", only: hasData,
		tamper: part("Content-Type: text/xml; name*=IBM037''%84%81%A3%89%83%85%99%A3K%A7%94%93", "", "<postacert/>"), want: badInnerMIME},
	{name: "second daticert.xml in a folder", reason: "mail programs drop folders", only: hasData,
		tamper: part("Content-Type: text/xml; name=\"C:\\\\posta\\\\daticert.xml\"", "", "<postacert/>"), want: severalData},
	{name: "second daticert.xml in a folder of Unix", reason: "mail programs drop folders", only: hasData,
		tamper: part("Content-Type: text/xml; name=x", "Content-Disposition: attachment; filename*=utf-8''..%2Fdaticert.xml", "", "<postacert/>"), want: severalData},
	{name: "second daticert.xml with a dot behind", reason: "some file systems drop it", only: hasData,
		tamper: part("Content-Type: text/xml; name=\"daticert.xml. .\"", "", "<postacert/>"), want: severalData},
	{name: "second daticert.xml by its name in the RFC", reason: "RFC 6109, section 4.3.3 says certdata.xml", only: hasData,
		tamper: part("Content-Type: text/xml; name=certdata.xml", "", "<postacert/>"), want: severalData},
	{name: "daticert.xml of another type", reason: "a part that is not XML by its type is not the data", only: hasData,
		tamper: edit("Content-Type: application/xml;", "Content-Type: text/plain;"), want: badData},
	{name: "daticert.xml that is a message", reason: "what is in it was written by anybody", only: hasData,
		tamper: part("Content-Type: message/rfc822; name=daticert.xml", "", "Subject: x", "", "<postacert/>"), want: badData},
	{name: "daticert.xml that is a reference", reason: "nothing is fetched", only: hasData,
		tamper: part("Content-Type: message/external-body; access-type=URL; URL=\"http://mail.example/\"; name=daticert.xml", "", "x"), want: badData},
	{name: "no daticert.xml", reason: "nothing says what was certified", only: hasData,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Entity: func(e []byte) []byte { return bytes.ReplaceAll(e, []byte("daticert.xml"), []byte("dati.xml")) }}
		}, want: noData},
	{name: "daticert.xml in the original", reason: "the sender wrote it: postacert.eml is never evidence", only: hasData,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{
				Entity: func(e []byte) []byte {
					e = bytes.ReplaceAll(e, []byte("daticert.xml"), []byte("dati.xml"))
					return bytes.ReplaceAll(e, []byte("DATICERT"), []byte("daticert.xml"))
				},
				Parts: []string{"Content-Type: message/rfc822; name=postacert2.eml\r\n\r\nContent-Type: application/xml; name=\"DATICERT\"\r\n\r\n<postacert/>"},
			}
		}, want: noData},
	{name: "daticert.xml one level too deep", reason: "parts are not searched for one that fits", only: hasData,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Entity: func(e []byte) []byte {
				e = replace(b, e, xmlPart, "Content-Type: multipart/mixed; boundary=D\r\n\r\n--D\r\n"+xmlPart)
				i := bytes.Index(e, []byte(xmlPart)) + len(xmlPart) + 2
				end := bytes.Index(e[i:], []byte("\r\n--"))
				return append(e[:i+end:i+end], append([]byte("\r\n--D--\r\n"), e[i+end:]...)...)
			}}
		}, want: noData},
	{name: "two originals", reason: "which one was delivered?",
		only:   func(c kindCase) bool { return c.name == "complete delivery" || c.kind == pec.KindTransport },
		tamper: part("Content-Type: message/rfc822; name=POSTACERT.EML", "", "Subject: x", "", "y"),
		want:   refusal{receipt.Rejected, receipt.CodeTwoOriginals, "signed part"}},
	{name: "original in base64", reason: "RFC 2046, section 5.2.1, forbids it",
		only: func(c kindCase) bool {
			return c.name == "complete delivery" || c.kind == pec.KindTransport || isAnomaly(c)
		},
		tamper: edit("Content-Transfer-Encoding: 7bit", "Content-Transfer-Encoding: base64"), want: badInnerMIME},
	{name: "anomaly with another part", reason: "RFC 6109, section 3.2.2 allows none", only: isAnomaly,
		tamper: part("Content-Type: text/plain", "", "x"), want: refusal{receipt.Rejected, receipt.CodeAnomalyForm, "signed part"}},
	{name: "anomaly without a message", reason: "there is nothing that it wraps", only: isAnomaly,
		tamper: edit("Content-Type: message/rfc822", "Content-Type: text/plain"), want: refusal{receipt.Rejected, receipt.CodeAnomalyForm, "signed part"}},
}

// Rules 6 and 7: what two readers could understand in two ways.
var ambiguityAttacks = []attack{
	{name: "Content-Type twice", reason: "readers differ in which they take", raw: onTop("Content-Type: text/plain"), want: badHead},
	{name: "Content-Transfer-Encoding twice", reason: "readers differ in which they take",
		raw: onTop("Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64"), want: badHead},
	{name: "parameter twice", reason: "readers differ in which they take",
		raw: swap("multipart/signed;", "multipart/signed; boundary=x;"), want: badHead},
	{name: "parameter also extended", reason: "readers differ in whether they know RFC 2231",
		raw: swap("multipart/signed;", "multipart/signed; boundary*=utf-8''x;"), want: badHead},
	{name: "blank before the colon", reason: "some readers take it for the field, some do not",
		raw: onTop("X-Ricevuta : accettazione"), want: badHead},
	{name: "NUL in a field", reason: "it ends the text for some readers", raw: onTop("Subject: a\x00b"), want: badHead},
	{name: "lone CR in a field", reason: "a line end for some readers", raw: onTop("Subject: a\rFrom: x"), want: badHead},
	{name: "line of blanks", reason: "some readers end the head here", raw: onTop("Subject: a\r\n \t"), want: badHead},
	{name: "lone LF in the head", reason: "mixed line ends", raw: onTop("Subject: a\nX-A: b"), want: badHead},
	{name: "not a field", reason: "some readers end the head here", raw: onTop("Hello"), want: badHead},

	{name: "signed Content-Type twice", reason: "readers differ in which they take",
		tamper: edit("Content-Type: multipart/mixed", "Content-Type: text/plain\r\nContent-Type: multipart/mixed"), want: badInnerHead},
	{name: "signed boundary twice", reason: "readers differ in which they take",
		tamper: edit("multipart/mixed;", "multipart/mixed; boundary=x;"), want: badInnerMIME},
	{name: "Content-Type of a part twice", reason: "readers differ in whether it is the data", only: hasData,
		tamper: edit(xmlPart, "Content-Type: text/plain\r\n"+xmlPart), want: badInnerHead},
	{name: "Content-Disposition of a part twice", reason: "readers differ in its name", only: hasData,
		tamper: edit(xmlPart, xmlPart+"Content-Disposition: inline; filename=a.xml\r\n"), want: badInnerHead},
	{name: "Content-Transfer-Encoding of a part twice", reason: "readers differ in what the data are", only: hasData,
		tamper: edit(xmlPart, xmlPart+"Content-Transfer-Encoding: 8bit\r\n"), want: badInnerHead},
	{name: "two names that conflict", reason: "readers differ in its name", only: hasData,
		tamper: edit("name=\"daticert.xml\"", "name=\"daticert.xml\"; name*=utf-8''a.xml"), want: badInnerMIME},
	{name: "unknown transfer encoding", reason: "some readers take it for none", only: hasData,
		tamper: edit(xmlPart, strings.Replace(xmlPart, "base64", "x-uuencode", 1)), want: badInnerMIME},
	{name: "base64 with more after its end", reason: "some readers read on", only: hasData,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Entity: func(e []byte) []byte {
				return regexp.MustCompile(`(?s)(daticert\.xml"\r\n\r\n)`).ReplaceAll(e, []byte("${1}QUI=\r\n"))
			}}
		}, want: refusal{receipt.Malformed, codeOf(smime.ReasonMIME), "daticert.xml"}},
	{name: "base64 with foreign characters", reason: "some readers skip them", only: hasData,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Entity: func(e []byte) []byte {
				return regexp.MustCompile(`(?s)(daticert\.xml"\r\n\r\n)`).ReplaceAll(e, []byte("${1}!"))
			}}
		}, want: refusal{receipt.Malformed, codeOf(smime.ReasonMIME), "daticert.xml"}},
	{name: "base64 labelled quoted-printable", reason: "= that escapes nothing", only: hasData,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Entity: func(e []byte) []byte {
				e = replace(b, e, xmlPart, strings.Replace(xmlPart, "base64", "quoted-printable", 1))
				return regexp.MustCompile(`(?s)(daticert\.xml"\r\n\r\n)`).ReplaceAll(e, []byte("${1}=zz"))
			}}
		}, want: refusal{receipt.Malformed, codeOf(smime.ReasonMIME), "daticert.xml"}},
	{name: "signature with more after its end", reason: "some readers read on",
		raw: func(b *bench, raw []byte) []byte {
			delim := "\r\n--" + outerBoundary(b, raw) + "--"
			return replace(b, raw, delim, "QUI=\r\nQUJD"+delim)
		}, want: refusal{receipt.Malformed, codeOf(smime.ReasonMIME), "signature"}},
	{name: "close delimiter missing", reason: "a message cut short must not pass for a whole one",
		raw: func(b *bench, raw []byte) []byte {
			return replace(b, raw, "--"+outerBoundary(b, raw)+"--\r\n", "")
		}, want: badMIME},
	{name: "close delimiter of the signed part missing", reason: "the same, inside",
		tamper: func(*bench) pectest.Tamper {
			return pectest.Tamper{Entity: func(e []byte) []byte { return e[:bytes.LastIndex(e, []byte("\r\n--"))] }}
		}, want: badInnerMIME},
	{name: "delimiter that goes on", reason: "a delimiter is a whole line",
		raw: func(b *bench, raw []byte) []byte {
			delim := "--" + outerBoundary(b, raw)
			return bytes.ReplaceAll(raw, []byte("\r\n"+delim+"\r\n"), []byte("\r\n"+delim+"B\r\n"))
		}, want: refusal{receipt.Malformed, codeOf(smime.ReasonMIME), "message"}},
	{name: "another first part, behind a lone CR", reason: "a line begins there for some readers, who would see what nobody signed",
		raw: func(b *bench, raw []byte) []byte {
			delim := "\r--" + outerBoundary(b, raw)
			return replace(b, raw, "This is an S/MIME signed message", "x"+delim+"\r\nContent-Type: text/plain\r\n\r\nConsegnato.")
		}, want: badMIME},
	{name: "another first part, before a lone CR", reason: "a line ends there for some readers",
		raw: func(b *bench, raw []byte) []byte {
			delim := "\r\n--" + outerBoundary(b, raw)
			return replace(b, raw, "This is an S/MIME signed message", "x"+delim+"\r\r\nContent-Type: text/plain\r\n\r\nConsegnato.")
		}, want: badMIME},
	{name: "another first part, by an escape in the boundary", reason: "readers differ in whether they undo it",
		raw: func(b *bench, raw []byte) []byte {
			outer := outerBoundary(b, raw)
			other := outer[:4] + "\\" + outer[4:]
			raw = replace(b, raw, "\tboundary=\""+outer, "\tboundary=\""+other)
			return replace(b, raw, "This is an S/MIME signed message", "--"+other+"\r\nContent-Type: text/plain\r\n\r\nConsegnato.")
		}, want: badHead},
	{name: "one boundary for both multiparts", reason: "readers differ in which of the two ends",
		raw: func(b *bench, raw []byte) []byte {
			outer := outerBoundary(b, raw)
			inner := regexp.MustCompile(`multipart/mixed;\r\n\tboundary="([^"]*)"`).FindSubmatch(raw)
			return bytes.ReplaceAll(raw, inner[1], []byte(outer))
		}, want: badMIME},
	{name: "boundary given by a continued parameter that lacks a piece", reason: "readers differ in what is left of it",
		raw: swap("\tboundary=", "\tboundary*1="), want: badHead},
	{name: "no boundary", reason: "parts can't be told apart",
		raw: swap("\tboundary=", "\tborder="), want: refusal{receipt.Malformed, codeOf(smime.ReasonMIME), "header"}},
	{name: "part that is a head only", reason: "readers differ in where it ends",
		tamper: part("Content-Type: text/plain"), want: badInnerMIME},
}

// from sets From, in which %s is the address of the signer.
func from(format string) func(*bench) pectest.Tamper {
	return func(b *bench) pectest.Tamper {
		return pectest.Tamper{Header: setHeader("From", fmt.Sprintf(format, b.n.issuer(b.c).Service()))}
	}
}

// Rule 17: who signed, and who seems to have.
var fromAttacks = []attack{
	{name: "no From", reason: "mail programs would show Sender, or nothing", tamper: header(dropHeader("From")), want: wrongFrom},
	{name: "two fields From", reason: "readers differ in which they take",
		tamper: header(addHeader("From", "gestore@mail.example")), want: wrongFrom},
	{name: "From of another", reason: "the signer is not whom the message is from",
		tamper: header(setHeader("From", "posta-certificata@pec.gamma.example")), want: wrongFrom},
	{name: "From of a sub-domain", reason: "domains are compared whole",
		tamper: header(setHeader("From", "posta-certificata@mail.pec.alfa.example")), want: wrongFrom},
	{name: "two mailboxes in From", reason: "readers differ in which they show", tamper: func(b *bench) pectest.Tamper {
		own := b.n.issuer(b.c).Service().String()
		return pectest.Tamper{Header: setHeader("From", own+", gestore@mail.example")}
	}, want: wrongFrom},
	{name: "the address as display name", reason: "a display name is no identity", tamper: func(b *bench) pectest.Tamper {
		own := b.n.issuer(b.c).Service().String()
		return pectest.Tamper{Header: setHeader("From", "\""+own+"\" <gestore@mail.example>")}
	}, want: wrongFrom},
	{name: "the address as comment", reason: "a comment is no identity", tamper: func(b *bench) pectest.Tamper {
		own := b.n.issuer(b.c).Service().String()
		return pectest.Tamper{Header: setHeader("From", "gestore@mail.example ("+own+")")}
	}, want: wrongFrom},
	{name: "the address in a group", reason: "a group is no identity", tamper: func(b *bench) pectest.Tamper {
		own := b.n.issuer(b.c).Service().String()
		return pectest.Tamper{Header: setHeader("From", "Gestori: "+own+";")}
	}, want: wrongFrom},
	{name: "the address in an encoded word", reason: "readers differ in whether they decode it", tamper: func(b *bench) pectest.Tamper {
		own := b.n.issuer(b.c).Service().String()
		return pectest.Tamper{Header: setHeader("From", "=?utf-8?Q?"+own+"?=")}
	}, want: wrongFrom},
	{name: "From with a route", reason: "a route is no identity", tamper: from("<@mail.example:%s>"), want: wrongFrom},
	{name: "From twice in one", reason: "there is one address", tamper: from("%[1]s, %[1]s"), want: wrongFrom},
	{name: "two mailboxes in angle brackets", reason: "readers differ in which they take", tamper: from("<%s> <gestore@mail.example>"), want: wrongFrom},
	{name: "angle brackets in angle brackets", reason: "readers differ in which they take", tamper: from("<gestore@mail.example<%s>>"), want: wrongFrom},
	{name: "two mailboxes with a semicolon", reason: "some readers take it for a comma", tamper: from("%s; gestore@mail.example"), want: wrongFrom},
	{name: "two mailboxes with a blank", reason: "some readers take it for a comma", tamper: from("gestore@mail.example %s"), want: wrongFrom},
	{name: "two mailboxes on two lines", reason: "folded lines are one", tamper: from("%s\r\n ,gestore@mail.example"), want: wrongFrom},
	{name: "comment in the address", reason: "readers differ in whether they drop it", tamper: from("%s(mail.example)"), want: wrongFrom},
	{name: "comment before the address", reason: "readers differ in whether they drop it", tamper: from("(gestore@mail.example) %s"), want: wrongFrom},
	{name: "nothing after the address but a dot", reason: "a domain is compared whole", tamper: from("%s."), want: wrongFrom},
	{name: "sub-address", reason: "an address is compared whole", tamper: from("x+%s"), want: wrongFrom},
	{name: "no-break space in front", reason: "some readers drop it", tamper: from("\u00a0%s"), want: wrongFrom},
	{name: "zero-width space behind", reason: "nobody sees it", tamper: from("%s\u200b"), want: wrongFrom},
	{name: "brackets in an encoded word", reason: "readers differ in when they decode", tamper: from("=?utf-8?Q?=3Cgestore=40mail=2Eexample=3E,?= %s, <x@mail.example>"), want: wrongFrom},
	{name: "empty From", reason: "it is from nobody", tamper: header(setHeader("From", "")), want: wrongFrom},
	{name: "empty group", reason: "it is from nobody", tamper: header(setHeader("From", "undisclosed:;")), want: wrongFrom},
	{name: "address in letters of another script", reason: "it only looks the same", tamper: func(b *bench) pectest.Tamper {
		own := strings.Replace(b.n.issuer(b.c).Service().String(), "c", "\u0441", 1)
		return pectest.Tamper{Header: setHeader("From", own)}
	}, want: wrongFrom},
	{name: "address in a quoted local part", reason: "readers differ in what they drop", tamper: func(b *bench) pectest.Tamper {
		local, domain, _ := strings.Cut(b.n.issuer(b.c).Service().String(), "@")
		return pectest.Tamper{Header: setHeader("From", "\""+local+"\"@"+domain)}
	}, want: wrongFrom},
	{name: "From with bytes of no charset", reason: "readers differ in what they make of them, and a provider has no need of any", tamper: func(b *bench) pectest.Tamper {
		own := b.n.issuer(b.c).Service().String()
		return pectest.Tamper{Header: setHeader("From", "\"Per conto di: citt\xe0\" <"+own+">")}
	}, want: wrongFrom},
	{name: "From after a NUL in an encoded word", reason: "a classic of mail spoofing", tamper: func(b *bench) pectest.Tamper {
		own := b.n.issuer(b.c).Service().String()
		return pectest.Tamper{Header: setHeader("From", "=?utf-8?Q?x=00?= <"+own+">")}
	}, want: wrongFrom},
}

// Rules 19 to 23: the data. The reader has tests of its own; these are about the
// message.
var dataAttacks = []attack{
	{name: "entity declared", reason: "entities give the text another meaning", only: hasData,
		tamper: editData("<postacert", "<!DOCTYPE postacert [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><postacert"), want: badData},
	{name: "parameter entity", reason: "the same, from outside", only: hasData,
		tamper: editData("<postacert", "<!DOCTYPE postacert [<!ENTITY % a SYSTEM \"http://mail.example/a.dtd\"> %a;]><postacert"), want: badData},
	{name: "attribute default of one's own", reason: "only those of the RFC are known to every reader", only: hasData,
		tamper: editData("<postacert", "<!DOCTYPE postacert [<!ATTLIST destinatari tipo CDATA \"esterno\">]><postacert"), want: badData},
	{name: "second root", reason: "readers differ in which they take", only: hasData,
		tamper: editData("</postacert>", "</postacert><postacert/>"), want: unreadableData},
	{name: "not XML", reason: "not readable as what it claims to be", only: hasData,
		tamper: editData("<intestazione>", "<intestazione"), want: unreadableData},
	{name: "attribute twice", reason: "readers differ in which they take", only: hasData,
		tamper: editData("<postacert tipo=", "<postacert tipo=\"accettazione\" tipo="), want: unreadableData},
	{name: "namespace", reason: "the DTD has none", only: hasData,
		tamper: editData("<postacert ", "<postacert xmlns=\"http://mail.example/\" "), want: badData},
	{name: "sender twice", reason: "the last wins for some readers", only: hasData,
		tamper: editData("</mittente>", "</mittente><mittente>altro@pec.mittente.example</mittente>"), want: badData},
	{name: "element of another place", reason: "readers look for it anywhere", only: hasData,
		tamper: editData("<oggetto>", "<consegna>comune@pec.beta.example</consegna><oggetto>"), want: badData},
	{name: "unknown element", reason: "the DTD does not know it", only: hasData,
		tamper: editData("</dati>", "<nota>x</nota></dati>"), want: badData},
	{name: "text split by a comment", reason: "readers differ in what the text is", only: hasData,
		tamper: editData("<mittente>studio@", "<mittente>altro@pec.gamma.example<!-- -->studio@"), want: badData},
	{name: "date that is none", reason: "readers make another date of it", only: hasData,
		tamper: editData("04/09/2026", "31/09/2026"), want: badData},
	{name: "date in digits of another script", reason: "some readers take them for digits", only: hasData,
		tamper: editData("04/09/2026", "\u0660\u0664/\u0660\u0669/\u0662\u0660\u0662\u0666"), want: badData},
	{name: "address in letters of another script", reason: "it only looks the same", only: hasData,
		tamper: editData("<mittente>studio@", "<mittente>studi\u043e@"), want: badData},
	{name: "at sign of full width", reason: "some readers take it for one", only: hasData,
		tamper: editData("<mittente>studio@", "<mittente>studio\uff20"), want: badData},
	{name: "entities that grow", reason: "a kilobyte becomes a gigabyte", only: hasData,
		tamper: editData("<postacert", "<!DOCTYPE postacert [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]><postacert"), want: badData},
	{name: "included from elsewhere", reason: "nothing is fetched", only: hasData,
		tamper: editData("<dati>", "<xi:include href=\"http://mail.example/\"/><dati>"), want: badData},
	{name: "UTF-16", reason: "not an encoding of certification data", only: hasData,
		tamper: editData("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "<?xml version=\"1.0\" encoding=\"UTF-16\"?>"), want: unreadableData},
	{name: "UTF-7", reason: "markup in it is no markup to others", only: hasData,
		tamper: editData("encoding=\"UTF-8\"", "encoding=\"UTF-7\""), want: unreadableData},
	{name: "time without zone", reason: "an hour more or less", only: hasData,
		tamper: editData("zona=\"+0200\"", "zona=\"\""), want: badData},
	{name: "two addresses in one", reason: "one recipient, one element", only: hasData,
		tamper: editData("<destinatari tipo=\"certificato\">comune@pec.beta.example", "<destinatari tipo=\"certificato\">comune@pec.beta.example, x@pec.beta.example"), want: badData},
	{name: "unknown kind", reason: "nothing is known of what it certifies", only: hasData,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{
				CertData: func(d []byte) []byte {
					return replace(b, d, "tipo=\""+string(b.c.kind)+"\"", "tipo=\"avvenuta-lettura\"")
				},
				Header: setHeader(pec.HeaderReceipt, "avvenuta-lettura"),
			}
		}, want: badData},
	{name: "success with an error", reason: "a delivery that failed?",
		only: func(c kindCase) bool {
			return c.kind == pec.KindDelivery || c.kind == pec.KindAcceptance || c.kind == pec.KindTransport || c.kind == pec.KindServerAcceptance
		},
		tamper: editData("errore=\"nessuno\"", "errore=\"altro\""), want: badData},
	{name: "failure without an error", reason: "a failure that is none?", only: isFailure,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{CertData: func(d []byte) []byte {
				return regexp.MustCompile(`errore="[a-z-]*"`).ReplaceAll(d, []byte(`errore="nessuno"`))
			}}
		}, want: badData},
	{name: "delivery to nobody", reason: "the recipient is consegna and nothing else",
		only:   func(c kindCase) bool { return c.kind == pec.KindDelivery },
		tamper: editData("<consegna>comune@pec.beta.example</consegna>", ""), want: badData},
	{name: "delivery to somebody else", reason: "he is not among the recipients",
		only:   func(c kindCase) bool { return c.kind == pec.KindDelivery || isFailure(c) },
		tamper: editData("<consegna>comune@", "<consegna>altro@"), want: badData},
	{name: "acceptance that names a delivery", reason: "the kind does not have it",
		only:   func(c kindCase) bool { return c.kind == pec.KindAcceptance },
		tamper: editData("</msgid>", "</msgid><consegna>comune@pec.beta.example</consegna>"), want: badData},
}

func attacks() map[string][]attack {
	return map[string][]attack{
		"rule 1":     hintAttacks,
		"rule 2":     formAttacks,
		"rule 3":     octetAttacks,
		"rule 4-5":   placeAttacks,
		"rule 6-7":   ambiguityAttacks,
		"rule 17":    fromAttacks,
		"rule 19-23": dataAttacks,
	}
}

// TestAttacks tries every attack on every kind of message, in every dialect.
func TestAttacks(t *testing.T) {
	t.Parallel()
	for rule, list := range attacks() {
		for _, a := range list {
			t.Run(rule+"/"+a.name, func(t *testing.T) {
				tried := false
				for _, dialect := range dialectNames {
					n := sharedNetwork(t, dialect)
					for _, c := range allCases() {
						if a.only == nil || a.only(c) {
							tried = true
							t.Run(dialect+"/"+c.name, func(t *testing.T) { a.try(&bench{t, n, c}) })
						}
					}
				}
				if !tried || a.reason == "" {
					t.Error("the attack was tried on nothing, or says no reason")
				}
			})
		}
	}
}

// tampered composes a message that somebody tampered with, if tamper is not nil.
func tampered(b *bench, tamper func(*bench) pectest.Tamper) []byte {
	if tamper == nil {
		return b.n.honest(b, b.c)
	}
	t := tamper(b)
	change := t.Header
	if t.Header = nil; change != nil && reflect.ValueOf(t).IsZero() {
		return changeHeader(b, b.n.honest(b, b.c), change) // the header is not signed
	}
	t.Header = change
	return b.n.forge(b, b.c, b.n.issuer(b.c), &t)
}

// changeHeader changes the header fields of a message, but for those of MIME.
func changeHeader(b *bench, raw []byte, change func([]pectest.Field) []pectest.Field) []byte {
	header, rest, ok := strings.Cut(string(raw), "MIME-Version: 1.0\r\n")
	if !ok {
		b.Fatalf("no MIME-Version in\n%s", raw)
	}
	var fields []pectest.Field
	for line := range strings.Lines(header) {
		line = strings.TrimSuffix(line, "\r\n")
		name, value, ok := strings.Cut(line, ": ")
		if line[0] == ' ' || line[0] == '\t' {
			fields[len(fields)-1].Value += "\r\n" + line
		} else if fields = append(fields, pectest.Field{Name: name, Value: value}); !ok {
			b.Fatalf("not a header field: %q", line)
		}
	}
	var changed strings.Builder
	for _, f := range change(fields) {
		fmt.Fprintf(&changed, "%s: %s\r\n", f.Name, f.Value)
	}
	return []byte(changed.String() + "MIME-Version: 1.0\r\n" + rest)
}

func (a *attack) try(b *bench) {
	raw := tampered(b, a.tamper)
	if a.raw != nil {
		raw = a.raw(b, raw)
	}
	m, err := receipt.VerifyMessage(bytes.NewReader(raw), b.n.options())
	wantRefusal(b, m, err, a.want)
	if b.Failed() {
		b.Log(a.reason)
	}
	if rec, err := receipt.Verify(bytes.NewReader(raw), b.n.options()); rec != nil || err == nil {
		b.Errorf("Verify gave %v, %v, want an error", rec, err)
	}
}

// harmless are changes that prove nothing against a message: it must verify, with
// the same data, and with the remarks named.
var harmless = []struct {
	name    string
	reason  string
	only    func(kindCase) bool
	tamper  func(*bench) pectest.Tamper
	raw     func(*bench, []byte) []byte
	remarks string
	resigns bool // what is signed changes, and so does its digest
}{
	{name: "nothing", reason: "the message as it is"},
	{name: "no hints", reason: "absence proves nothing", only: hasData,
		tamper: header(dropHeader(pec.HeaderReceipt, pec.HeaderTransport, pec.HeaderReference, "Subject", "To", "Date"))},
	{name: "hints in other case", reason: "field names and words know no case", only: isReceipt,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Header: setHeader("x-RICEVUTA", " "+strings.ToUpper(string(b.c.kind)))}
		}},
	{name: "the same hint twice", reason: "no contradiction", only: isReceipt,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Header: addHeader(pec.HeaderReceipt, string(b.c.kind))}
		}},
	{name: "reference without brackets", reason: "the same identifier", only: hasData,
		tamper: header(setHeader(pec.HeaderReference, "\r\n 6f1c0e@pec.mittente.example"))},
	{name: "other subject", reason: "providers write subjects in ways of their own", only: hasData,
		tamper: header(setHeader("Subject", "CONSEGNA: Disdetta")), remarks: "subject"},
	{name: "second subject", reason: "readers differ in which they show", only: hasData,
		tamper: header(addHeader("Subject", "CONSEGNA: Disdetta")), remarks: "subject"},
	{name: "other addressee", reason: "mail is forwarded", only: func(c kindCase) bool { return hasData(c) && !c.internal },
		tamper: header(setHeader("To", "archivio@pec.gamma.example")), remarks: "to"},
	{name: "addressee that can't be read", reason: "it can't be compared", only: func(c kindCase) bool { return hasData(c) && !c.internal },
		tamper: header(setHeader("To", "undisclosed recipients")), remarks: "to"},
	{name: "other date", reason: "clocks differ", only: hasData,
		tamper: header(setHeader("Date", "Fri, 04 Sep 2026 10:20:31 +0200")), remarks: "date"},
	{name: "date that can't be read", reason: "it can't be compared", only: hasData,
		tamper: header(setHeader("Date", "gestern")), remarks: "date"},
	{name: "date a little off, in words of old", reason: "clocks differ by minutes", only: hasData,
		tamper: header(setHeader("Date", "Fri, 4 Sep 2026 08:20:30 GMT (heure d'hiver)"))},
	{name: "other outer Message-ID and trace", reason: "nothing is derived from them",
		tamper: header(func(f []pectest.Field) []pectest.Field {
			f = setHeader("Message-ID", "<x@mail.example>")(f)
			f = addHeader("Return-Path", "<x@mail.example>")(f)
			return addHeader("Sender", "x@mail.example")(f)
		})},
	{name: "From with a display name", reason: "a display name is no identity", tamper: func(b *bench) pectest.Tamper {
		own := strings.ToUpper(b.n.issuer(b.c).Service().String())
		return pectest.Tamper{Header: setHeader("From", "\"gestore@mail.example\" <"+own+">")}
	}},
	{name: "text before the first delimiter", reason: "preamble and epilogue are nothing",
		raw: func(b *bench, raw []byte) []byte {
			return replace(b, raw, "This is an S/MIME signed message", "X-Ricevuta: accettazione\r\n\r\nConsegnato!\r\n--other")
		}},
	{name: "second message after the end", reason: "one input is one message",
		raw: func(b *bench, raw []byte) []byte {
			other := b.n.forge(b, caseOf(b, "failure, no such domain"), b.n.alfa, nil)
			return append(raw[:len(raw):len(raw)], other...)
		}},
	{name: "lines end in LF", reason: "mail stores keep LF",
		raw: func(_ *bench, raw []byte) []byte { return bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")) }},
	{name: "no line end at the very end", reason: "nothing is missing",
		raw: func(_ *bench, raw []byte) []byte { return bytes.TrimRight(raw, "\r\n") }},
	{name: "blanks after delimiters", reason: "RFC 2046, section 5.1.1",
		raw: func(b *bench, raw []byte) []byte {
			delim := "\r\n--" + outerBoundary(b, raw)
			return bytes.ReplaceAll(raw, []byte(delim+"\r\n"), []byte(delim+" \t\r\n"))
		}},
	{name: "micalg of another digest", reason: "micalg is a hint",
		raw: func(_ *bench, raw []byte) []byte {
			return regexp.MustCompile(`micalg=[^;]*;`).ReplaceAll(raw, []byte("micalg=sha-512;"))
		}},
	{name: "extra part", reason: "providers add some", only: hasData, resigns: true,
		tamper: part("Content-Type: application/pdf; name=daticert.xml.pdf", "Content-Transfer-Encoding: base64", "", "JVBERg==")},
	{name: "extra part that looks like data", reason: "its name is another", only: hasData, resigns: true,
		tamper: part("Content-Type: application/xml; name=xdaticert.xml", "", "<postacert/>")},
	{name: "parts in another order", reason: "only the text is first", resigns: true,
		only: func(c kindCase) bool { return c.name == "complete delivery" || c.kind == pec.KindTransport },
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Entity: func(e []byte) []byte {
				m := regexp.MustCompile(`boundary="([^"]*)"`).FindSubmatch(e)
				parts := bytes.Split(e, append([]byte("--"), m[1]...))
				parts[2], parts[3] = parts[3], parts[2]
				return bytes.Join(parts, append([]byte("--"), m[1]...))
			}}
		}},
	{name: "name of the RFC", reason: "RFC 6109, section 4.3.3", only: hasData, resigns: true,
		tamper: func(b *bench) pectest.Tamper {
			return pectest.Tamper{Entity: func(e []byte) []byte {
				return bytes.ReplaceAll(e, []byte("daticert.xml"), []byte("certdata.xml"))
			}}
		}},
	{name: "text/xml, named by Content-Disposition only", reason: "both occur", only: hasData, resigns: true,
		tamper: edit("Content-Type: application/xml; name=\"daticert.xml\"", "Content-Type: text/xml")},
	{name: "DTD that defines nothing", reason: "it occurs in real mail", only: hasData, resigns: true,
		tamper: editData("<postacert", "<!DOCTYPE postacert SYSTEM \"daticert.dtd\"><postacert")},
	{name: "data without encoding", reason: "7bit is what it is", only: hasData, resigns: true,
		tamper: func(b *bench) pectest.Tamper {
			var data []byte
			return pectest.Tamper{
				CertData: func(d []byte) []byte {
					data = []byte(strings.NewReplacer("°", "&#176;", "\n", "\r\n").Replace(string(d)))
					return data
				},
				Entity: func(e []byte) []byte {
					i := bytes.Index(e, []byte(xmlPart))
					end := bytes.Index(e[i:], []byte("\r\n--"))
					plain := append([]byte("Content-Type: text/xml; name=daticert.xml\r\n\r\n"), data...)
					return append(e[:i:i], append(plain, e[i+end:]...)...)
				},
			}
		}},
	{name: "data in quoted-printable", reason: "another encoding", only: hasData, resigns: true,
		tamper: func(b *bench) pectest.Tamper {
			var data []byte
			return pectest.Tamper{
				CertData: func(d []byte) []byte { data = d; return d },
				Entity: func(e []byte) []byte {
					i := bytes.Index(e, []byte(xmlPart))
					end := bytes.Index(e[i:], []byte("\r\n--"))
					qp := strings.NewReplacer("=", "=3D", "°", "=C2=B0", "\n", "=0A=\r\n").Replace(string(data))
					plain := "Content-Type: text/xml; name=daticert.xml\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\n" + qp
					return append(e[:i:i], append([]byte(plain), e[i+end:]...)...)
				},
			}
		}},
}

// TestHarmless checks that what proves nothing does not refuse, and fills no
// field.
func TestHarmless(t *testing.T) {
	t.Parallel()
	for _, h := range harmless {
		t.Run(h.name, func(t *testing.T) {
			for _, dialect := range dialectNames {
				n := sharedNetwork(t, dialect)
				for _, c := range allCases() {
					if h.only != nil && !h.only(c) {
						continue
					}
					t.Run(dialect+"/"+c.name, func(t *testing.T) {
						b := &bench{t, n, c}
						honest := n.honest(t, c)
						want, err := receipt.VerifyMessage(bytes.NewReader(honest), n.options())
						if err != nil {
							t.Fatal(err)
						}
						raw := tampered(b, h.tamper)
						if h.raw != nil {
							raw = h.raw(b, raw)
						}
						got, err := receipt.VerifyMessage(bytes.NewReader(raw), n.options())
						if err != nil {
							t.Fatalf("VerifyMessage: %v, want it verified: %s", err, h.reason)
						}
						if diff := diffData(dataOf(want), dataOf(got)); diff != "" || got.Kind() != want.Kind() {
							t.Errorf("data (-honest +changed):\n%s", diff)
						}
						if got := remarkCodes(got); got != h.remarks {
							t.Errorf("remarks %q, want %q", got, h.remarks)
						}
					})
				}
			}
		})
	}
}

// TestReplay sends the signed body of a receipt again, under other headers: it
// is the same receipt, which its digest tells.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, dialect := range dialectNames {
		n := sharedNetwork(t, dialect)
		for _, c := range allCases() {
			raw := n.honest(t, c)
			m, err := receipt.VerifyMessage(bytes.NewReader(raw), n.options())
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(raw), "MIME-Version: 1.0\r\n")
			fields := "Received: from x by y\r\nFrom: " + m.Signer().Address.String() +
				"\r\nTo: altro@pec.gamma.example\r\nSubject: CONSEGNA: Altro\r\nMessage-ID: <other@mail.example>\r\nDate: " +
				time.Now().Format(time.RFC1123Z) + "\r\n"
			if isAnomaly(c) {
				fields += "X-Trasporto: errore\r\n"
			}
			again := strings.ReplaceAll(fields+rest, "\r\n", "\n")
			m2, err := receipt.VerifyMessage(strings.NewReader(again), n.options())
			if err != nil {
				t.Fatalf("%s, %s, sent again: %v", dialect, c.name, err)
			}
			if m2.SignedDigest() != m.SignedDigest() {
				t.Errorf("%s, %s: the digest of the signed part changed", dialect, c.name)
			}
			if diff := diffData(dataOf(m), dataOf(m2)); diff != "" {
				t.Errorf("%s, %s: data (-first +again):\n%s", dialect, c.name, diff)
			}
		}
	}
}

// TestAnomalyIsNeverPromoted wraps a perfect receipt in an anomaly envelope, as a
// provider does with whatever comes as ordinary mail.
func TestAnomalyIsNeverPromoted(t *testing.T) {
	for _, dialect := range dialectNames {
		n := sharedNetwork(t, dialect)
		perfect := n.forge(t, caseOf(t, "complete delivery"), n.beta, nil)
		d := n.data(pec.KindAnomaly)
		d.ErrorDetail = "firma assente"
		var b bytes.Buffer
		if err := n.beta.Compose(&b, pectest.Message{Data: d, Original: bytes.NewReader(perfect)}); err != nil {
			t.Fatal(err)
		}
		m, err := receipt.VerifyMessage(bytes.NewReader(b.Bytes()), n.options())
		if _, ok := m.(*receipt.Anomaly); !ok || m.Kind() != pec.KindAnomaly {
			t.Errorf("%s: VerifyMessage = %T, %v, want an *Anomaly", dialect, m, err)
		}
		_, err = receipt.Verify(bytes.NewReader(b.Bytes()), n.options())
		wantRefusal(t, nil, err, refusal{receipt.Rejected, receipt.CodeNotReceipt, "signed part"})
		o := m.Original().Of(bytes.NewReader(b.Bytes()))
		inner, err := receipt.Verify(o, n.options())
		if err != nil || inner.Kind() != pec.KindDelivery {
			t.Errorf("%s: the message inside is %v, %v, want the receipt that was wrapped", dialect, inner, err)
		}

		// Nor does it become one when its header is made that of a receipt.
		forged := replace(t, b.Bytes(), "X-Trasporto: errore", "X-Ricevuta: avvenuta-consegna")
		m, err = receipt.VerifyMessage(bytes.NewReader(forged), n.options())
		wantRefusal(t, m, err, noData)
		bare := replace(t, b.Bytes(), "X-Trasporto: errore", "X-Nothing: x")
		m, err = receipt.VerifyMessage(bytes.NewReader(bare), n.options())
		wantRefusal(t, m, err, refusal{receipt.Inconclusive, receipt.CodeNotPEC, "header"})
	}
}

// TestEnvelopeIsNoReceipt asks for a receipt and gives an envelope, which carries
// the same identifiers.
func TestEnvelopeIsNoReceipt(t *testing.T) {
	for _, dialect := range dialectNames {
		n := sharedNetwork(t, dialect)
		raw := n.forge(t, caseOf(t, "transport envelope"), n.alfa, nil)
		_, err := receipt.Verify(bytes.NewReader(raw), n.options())
		wantRefusal(t, nil, err, refusal{receipt.Rejected, receipt.CodeNotReceipt, "signed part"})
	}
}

// TestOrdinaryMail checks that mail that says nothing of PEC is not called bad.
func TestOrdinaryMail(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	notPEC := refusal{receipt.Inconclusive, receipt.CodeNotPEC, "header"}
	signed := n.forge(t, caseOf(t, "acceptance"), n.alfa, &pectest.Tamper{
		Header: func([]pectest.Field) []pectest.Field { return []pectest.Field{{Name: "From", Value: "a@mail.example"}} },
		Entity: func([]byte) []byte { return []byte("Content-Type: text/plain\r\n\r\nHello.\r\n") },
	})
	tests := []struct{ name, reason, in string }{
		{"text", "nothing to judge", "From: a@mail.example\r\n\r\nHello.\r\n"},
		{"head only", "a message without a body", "Subject: x\r\n"},
		{"bounce", "a report of an ordinary mail system", "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\n\r\n--b--\r\n"},
		{"PGP", "signed by other means", "Content-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=b\r\n\r\n--b--\r\n"},
		{"opaque S/MIME", "signed in a way that PEC does not use", "Content-Type: application/pkcs7-mime\r\n\r\nMII=\r\n"},
		{"signed by a person", "S/MIME, and not PEC", string(signed)},
		{"talks of PEC", "a subject says nothing", "Subject: ACCETTAZIONE: x\r\nX-TipoRicevuta: breve\r\n\r\nHello.\r\n"},
	}
	// A person's signature, made in ways that are not those of PEC.
	person := testpki.Authority(t, "p256 person", func(c *x509.Certificate) { c.IsCA = false })
	const note = "Content-Type: text/plain\r\n\r\nHello.\r\n"
	for name, change := range map[string]func(*testpki.Signer){
		"signed by a person, without attributes":     func(s *testpki.Signer) { s.NoAttributes = true },
		"signed by a person, with another digest":    func(s *testpki.Signer) { s.DigestAlgorithm = testpki.Algorithm(testpki.DigestOIDs[crypto.SHA224]) },
		"signed by a person, with another algorithm": func(s *testpki.Signer) { s.SignatureAlgorithm = testpki.DER(0x30, testpki.OID("1.3.101.112")) },
		"signed by a person, by an unknown issuer":   func(*testpki.Signer) {},
	} {
		signer := testpki.Signer{Certificate: person, Digest: crypto.SHA256, Content: []byte(note)}
		change(&signer)
		raw := n.forge(t, caseOf(t, "acceptance"), n.alfa, &pectest.Tamper{
			Header: func([]pectest.Field) []pectest.Field { return []pectest.Field{{Name: "From", Value: "a@mail.example"}} },
			Entity: func([]byte) []byte { return []byte(note) },
			Signature: func([]byte) []byte {
				return testpki.SignedData{Certificates: [][]byte{person.Raw}, Signers: [][]byte{signer.Encode(t)}}.Encode()
			},
		})
		tests = append(tests, struct{ name, reason, in string }{name, "not PEC, so nobody to judge", string(raw)})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := receipt.VerifyMessage(strings.NewReader(test.in), n.options())
			wantRefusal(t, m, err, notPEC)
			if t.Failed() {
				t.Log(test.reason)
			}
		})
	}
}

// TestNoMessage gives what is no message at all.
func TestNoMessage(t *testing.T) {
	for _, in := range []string{"", "\r\n", "\n\nSubject: x", "Hello.\r\n", "\x00\x01\x02", "From MAILER Fri Sep  4 10:15:30 2026\nSubject: x\n\n"} {
		m, err := receipt.VerifyMessage(strings.NewReader(in), receipt.Options{})
		wantRefusal(t, m, err, badHead)
		if u, err := receipt.Parse(strings.NewReader(in), receipt.Limits{}); u != nil || receipt.VerdictOf(err) != receipt.Malformed {
			t.Errorf("Parse(%q) = %v, %v, want it malformed", in, u, err)
		}
	}
}

func TestREM(t *testing.T) {
	in := "From: a@mail.example\r\nREM-MessageType: http://uri.etsi.org/19522/v1#/ERDMessageType/dispatch\r\n\r\n"
	m, err := receipt.VerifyMessage(strings.NewReader(in), receipt.Options{})
	wantRefusal(t, m, err, refusal{receipt.Inconclusive, receipt.CodeREM, "header"})
}

// failingReader fails after some bytes.
type failingReader struct {
	in  *bytes.Reader
	err error
}

func (r *failingReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p[:min(len(p), 100)])
	if err != nil {
		return n, r.err
	}
	return n, nil
}

// TestReadErrors checks that a fault of the input is no judgement.
func TestReadErrors(t *testing.T) {
	n := sharedNetwork(t, "opec")
	raw := n.forge(t, caseOf(t, "acceptance"), n.alfa, nil)
	broken := fmt.Errorf("disk on fire")
	for _, size := range []int{0, 50, 400, len(raw) / 2, len(raw) - 200} {
		_, err := receipt.VerifyMessage(&failingReader{bytes.NewReader(raw[:size]), broken}, n.options())
		if err != broken || receipt.VerdictOf(err) != "" {
			t.Errorf("VerifyMessage of a reader that fails after %d bytes: %v, verdict %q, want its error and none", size, err, receipt.VerdictOf(err))
		}
		if _, err := receipt.Parse(&failingReader{bytes.NewReader(raw[:size]), broken}, receipt.Limits{}); err != broken {
			t.Errorf("Parse of a reader that fails after %d bytes: %v, want its error", size, err)
		}
	}
}
