package pec_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ceralacca/go-pec/pec"
)

var account = pec.MustParseAddress("studio@pec.alfa.example")

// plain is a message that keeps every rule. Tests make others of it by replacing
// parts; lines end in \n here and in CR LF when they are read.
const plain = `From: "Studio Alfa" <studio@pec.alfa.example>
To: comune@pec.beta.example
Subject: Sollecito =?utf-8?q?perch=C3=A9?=
Date: Fri, 04 Sep 2026 10:15:30 +0200
Message-ID: <6f1c0e@pec.alfa.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Buongiorno.
.
`

// mixed has two attachments.
const mixed = `From: studio@pec.alfa.example
To: comune@pec.beta.example
Subject: Fatture
Date: Fri, 04 Sep 2026 10:15:30 +0200
Message-ID: <6f1c0e@pec.alfa.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="MIX"

This is a message in several parts.
--MIX
Content-Type: multipart/alternative;
 boundary=ALT

--ALT
Content-Type: text/plain

Buongiorno.
--ALT
Content-Type: text/html; charset=us-ascii

<p>Buongiorno.</p>
--ALT--

--MIX
Content-Type: application/pdf; name="fattura.pdf"
Content-Disposition: attachment; filename="fattura.pdf"
Content-Transfer-Encoding: base64

JVBERg==
--MIX
Content-Type: message/rfc822
Content-Disposition: attachment; filename*=utf-8''perch%C3%A9.eml

From: a@b.example

--NOBODY
--MIX-- ` + `
`

// pdf is the head of an attachment of mixed, from line 25 on.
const pdf = `Content-Type: application/pdf; name="fattura.pdf"
Content-Disposition: attachment; filename="fattura.pdf"`

// change replaces, in a message, each old text by the new one that follows it,
// and gives it its line ends.
func change(t testing.TB, message string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if strings.Count(message, pairs[i]) != 1 {
			t.Fatalf("change: %q is %d times in the message", pairs[i], strings.Count(message, pairs[i]))
		}
		message = strings.Replace(message, pairs[i], pairs[i+1], 1)
	}
	return strings.ReplaceAll(message, "\n", "\r\n")
}

// testOptions allows several recipients and blocks an extension.
func testOptions() pec.EnvelopeOptions {
	return pec.EnvelopeOptions{
		Account: account,
		Profile: pec.Profile{MaxRecipients: 3, MaxTotalBytes: 100_000, BlockedExtensions: []string{".exe"}},
	}
}

func readEnvelope(message string) (*pec.Envelope, error) {
	return pec.ReadEnvelope(strings.NewReader(message), testOptions())
}

func TestReadEnvelope(t *testing.T) {
	message := change(t, plain, "comune@pec.beta.example", `comune@pec.beta.example,
 "Sindaco, il" <Sindaco@pec.beta.example>`, "Subject:", "cc: copia@pec.beta.example\nX-Tiporicevuta: breve\nReply-To: Studio <x@pec.alfa.example>\nSender: STUDIO@pec.alfa.example\nX-Mailer: prova\nSubject:")
	e, err := readEnvelope(message)
	if err != nil {
		t.Fatalf("ReadEnvelope: %v", err)
	}
	to := []pec.Address{pec.MustParseAddress("comune@pec.beta.example"), pec.MustParseAddress("Sindaco@pec.beta.example")}
	cc := []pec.Address{pec.MustParseAddress("copia@pec.beta.example")}
	if e.From != account || !slices.Equal(e.To, to) || !slices.Equal(e.Cc, cc) || !slices.Equal(e.Recipients(), append(to, cc...)) {
		t.Errorf("From, To, Cc, Recipients() = %v, %v, %v, %v", e.From, e.To, e.Cc, e.Recipients())
	}
	if e.MessageID != "<6f1c0e@pec.alfa.example>" || e.Subject != "Sollecito perché" || e.ReceiptType != pec.ReceiptBrief {
		t.Errorf("MessageID, Subject, ReceiptType = %q, %q, %q", e.MessageID, e.Subject, e.ReceiptType)
	}
	if e.Size != int64(len(message)) || len(e.Warnings) > 0 {
		t.Errorf("Size, Warnings = %d, %v, want %d and none", e.Size, e.Warnings, len(message))
	}
}

func TestReadEnvelopeAccepts(t *testing.T) {
	tests := []struct{ name, reason, message string }{
		{"plain", "the model", change(t, plain)},
		{"mixed", "the model", change(t, mixed)},
		{"no body", "RFC 5322 allows it", change(t, plain[:strings.Index(plain, "\n\n")+1])},
		{"empty body", "RFC 5322 allows it", change(t, plain[:strings.Index(plain, "\n\n")+2])},
		{"998 bytes", "the longest line", change(t, plain, "Buongiorno.", strings.Repeat("x", 998))},
		{"inline picture without name", "shown, not attached", change(t, mixed, pdf, "Content-Type: image/png\nContent-Disposition: inline")},
		{"same name in RFC 2047 and RFC 2231", "mailers write both", change(t, mixed, pdf, "Content-Type: application/pdf; name=\"=?utf-8?q?citt=C3=A0.pdf?=\"\nContent-Disposition: attachment; filename*=UTF-8''citt%C3%A0.pdf")},
		{"delimiter with blanks", "RFC 2046, section 5.1.1", change(t, mixed, "--ALT--", "--ALT-- \t")},
		{"longer boundary", "a delimiter is a whole line", change(t, mixed, "<p>Buongiorno.</p>", "--ALTER\n--MIXER--")},
		{"text after the end", "an epilogue is nothing", change(t, mixed) + "epilogue\r\n"},
		{"X-TipoRicevuta", "each of the three", change(t, plain, "Subject:", "X-TipoRicevuta: sintetica\nSubject:")},
		{"an extension elsewhere", "only the last one counts", change(t, mixed, pdf, "Content-Type: application/pdf; name=a.exe.pdf")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if e, err := readEnvelope(test.message); err != nil || len(e.Warnings) > 0 {
				t.Errorf("ReadEnvelope(%q) = %+v, %v, want no fault and no warning (%s)", test.message, e, err, test.reason)
			}
		})
	}
}

// rules returns the rules that err joins.
func rules(t *testing.T, err error) []*pec.RuleError {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("error %v does not join others", err)
	}
	var all []*pec.RuleError
	for _, err := range joined.Unwrap() {
		var rule *pec.RuleError
		if !errors.As(err, &rule) {
			t.Fatalf("error %v is no RuleError", err)
		}
		if rule.Rule == "" || strings.Contains(err.Error(), "example") || strings.Contains(err.Error(), "Sollecito") {
			t.Errorf("error %q names no rule, or repeats the message", err)
		}
		all = append(all, rule)
	}
	return all
}

func TestReadEnvelopeRefuses(t *testing.T) {
	const id, date = "Message-ID: <6f1c0e@pec.alfa.example>\n", "Date: Fri, 04 Sep 2026 10:15:30 +0200\n"
	// with puts a field on line 3 of plain.
	with := func(field string) string { return change(t, plain, "Subject:", field+"\nSubject:") }
	// part replaces the fields of the part of mixed that begin on line 25.
	part := func(fields string) string { return change(t, mixed, pdf, fields) }
	manyParts := strings.Repeat("--MIX\n\n\n", 62)
	deep := ""
	for i := range 8 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%[1]d\n", i)
	}
	tests := []struct {
		name, reason, message string
		want                  error
		field                 string
		line                  int
	}{
		{"Bcc", "no hidden recipients", with("Bcc: x@y.example"), pec.ErrBcc, "Bcc", 3},
		{"empty Bcc", "not even so", with("bCC:"), pec.ErrBcc, "Bcc", 3},
		{"no From", "one author", change(t, plain, "From: \"Studio Alfa\" <studio@pec.alfa.example>\n", ""), pec.ErrFrom, "From", 0},
		{"two From", "one author", with("From: studio@pec.alfa.example"), pec.ErrRepeatedField, "From", 3},
		{"two authors", "one author", change(t, plain, `"Studio Alfa" <studio@`, "x@y.example, <studio@"), pec.ErrFrom, "From", 1},
		{"group author", "one address", change(t, plain, `"Studio Alfa" <studio@pec.alfa.example>`, "Studio: studio@pec.alfa.example;"), pec.ErrFrom, "From", 1},
		{"another author", "the account", change(t, plain, "<studio@pec", "<altro@pec"), pec.ErrAccount, "From", 1},
		{"author of a sub-domain", "the account", change(t, plain, "studio@pec", "studio@x.pec"), pec.ErrAccount, "From", 1},
		{"another Sender", "the author", with("Sender: altro@pec.alfa.example"), pec.ErrSender, "Sender", 3},
		{"empty Sender", "the author", with("Sender:"), pec.ErrSender, "Sender", 3},
		{"two Sender", "which one?", with("Sender: studio@pec.alfa.example\nSender: studio@pec.alfa.example"), pec.ErrRepeatedField, "Sender", 4},
		{"no To", "copies alone are not enough", change(t, plain, "To:", "Cc:"), pec.ErrNoTo, "To", 0},
		{"empty To", "copies alone are not enough", change(t, plain, "To: comune@pec.beta.example", "To:"), pec.ErrNoTo, "To", 0},
		{"group in To", "addresses", change(t, plain, "To: comune@pec.beta.example", "To: tutti: comune@pec.beta.example;"), pec.ErrAddress, "To", 2},
		{"semicolon in To", "commas separate", change(t, plain, "To: comune@pec.beta.example", "To: comune@pec.beta.example; x@y.example"), pec.ErrAddress, "To", 2},
		{"empty place in To", "RFC 5322, section 3.4", change(t, plain, "To: comune@pec.beta.example", "To: comune@pec.beta.example,, x@y.example"), pec.ErrAddress, "To", 2},
		{"comment in To", "addresses", change(t, plain, "To: comune@pec.beta.example", "To: comune@pec.beta.example (Comune)"), pec.ErrAddress, "To", 2},
		{"route in Cc", "addresses", with("Cc: <@x:a@b.example>"), pec.ErrAddress, "Cc", 3},
		{"empty Cc", "RFC 5322, section 3.6.3", with("Cc:"), pec.ErrAddress, "Cc", 3},
		{"international Reply-To", "providers build on it", with("Reply-To: a@città.example"), pec.ErrAddress, "Reply-To", 3},
		{"two To", "which one?", with("TO: x@y.example"), pec.ErrRepeatedField, "To", 3},
		{"a recipient twice", "primary or copy?", with("Cc: Comune@PEC.beta.example"), pec.ErrDuplicateRecipient, "", 0},
		{"too many recipients", "the provider's limit", with("Cc: a@b.example, b@b.example, c@b.example"), pec.ErrTooManyRecipients, "", 0},
		{"Return-Path", "the provider's", with("Return-Path: <x@y.example>"), pec.ErrReservedField, "Return-Path", 3},
		{"X-Ricevuta", "the provider's", with("x-ricevuta: accettazione"), pec.ErrReservedField, "X-Ricevuta", 3},
		{"X-Trasporto", "the provider's", with("X-Trasporto: errore"), pec.ErrReservedField, "X-Trasporto", 3},
		{"X-Riferimento-Message-ID", "the provider's", with("X-Riferimento-Message-ID: <x@y>"), pec.ErrReservedField, "X-Riferimento-Message-ID", 3},
		{"X-VerificaSicurezza", "the provider's", with("X-VerificaSicurezza: errore"), pec.ErrReservedField, "X-VerificaSicurezza", 3},
		{"X-Mittente", "the provider's", with("X-Mittente: x"), pec.ErrReservedField, "X-Mittente", 3},
		{"Resent-To", "of forwarding", with("Resent-To: x@y.example"), pec.ErrReservedField, "Resent-*", 3},
		{"Resent-Bcc", "of forwarding", with("resent-bcc: x@y.example"), pec.ErrReservedField, "Resent-*", 3},
		{"REM-MessageType", "of the successor", with("Rem-MessageType: x"), pec.ErrReservedField, "REM-*", 3},
		{"no Message-ID", "receipts are found by it", change(t, plain, id, ""), pec.ErrMessageID, "Message-ID", 0},
		{"bare Message-ID", "<left@right>", change(t, plain, id, "Message-ID: 6f1c0e@pec.alfa.example\n"), pec.ErrMessageID, "Message-ID", 5},
		{"Message-ID without @", "<left@right>", change(t, plain, id, "Message-ID: <6f1c0e>\n"), pec.ErrMessageID, "Message-ID", 5},
		{"Message-ID with two @", "<left@right>", change(t, plain, id, "Message-ID: <a@b@c>\n"), pec.ErrMessageID, "Message-ID", 5},
		{"Message-ID with a blank", "<left@right>", change(t, plain, id, "Message-ID: <a b@c>\n"), pec.ErrMessageID, "Message-ID", 5},
		{"two in Message-ID", "<left@right>", change(t, plain, id, "Message-ID: <a@b><c@d>\n"), pec.ErrMessageID, "Message-ID", 5},
		{"Message-ID without left", "<left@right>", change(t, plain, id, "Message-ID: <@bcd>\n"), pec.ErrMessageID, "Message-ID", 5},
		{"Message-ID without right", "<left@right>", change(t, plain, id, "Message-ID: <abc@>\n"), pec.ErrMessageID, "Message-ID", 5},
		{"long Message-ID", "998 bytes", change(t, plain, id, "Message-ID:\n <"+strings.Repeat("x", 995)+"@b>\n"), pec.ErrMessageID, "Message-ID", 5},
		{"two Message-ID", "which one?", with("Message-Id: <a@b>"), pec.ErrRepeatedField, "Message-ID", 6},
		{"no Date", "RFC 5322", change(t, plain, date, ""), pec.ErrDate, "Date", 0},
		{"bad Date", "RFC 5322", change(t, plain, date, "Date: domani\n"), pec.ErrDate, "Date", 4},
		{"two Date", "RFC 5322", with(strings.TrimSuffix(date, "\n")), pec.ErrRepeatedField, "Date", 5},
		{"two Subject", "RFC 5322", with("subject: altro"), pec.ErrRepeatedField, "Subject", 4},
		{"unknown receipt type", "one of three", with("X-TipoRicevuta: complet"), pec.ErrReceiptType, "X-TipoRicevuta", 3},
		{"receipt type in capitals", "exact", with("X-TipoRicevuta: Breve"), pec.ErrReceiptType, "X-TipoRicevuta", 3},
		{"empty receipt type", "or none", with("X-TipoRicevuta:"), pec.ErrReceiptType, "X-TipoRicevuta", 3},
		{"two receipt types", "which one?", with("X-TipoRicevuta: breve\nX-Tiporicevuta: breve"), pec.ErrRepeatedField, "X-TipoRicevuta", 4},

		{"8 bits in the head", "encode it", with("X-Città: no"), pec.ErrNotASCII, "", 3},
		{"8 bits in the subject", "encode it", change(t, plain, "Sollecito", "Città"), pec.ErrNotASCII, "", 3},
		{"8 bits in the body", "encode it", change(t, plain, "Buongiorno.", "Città"), pec.ErrNotASCII, "", 10},
		{"NUL in the head", "no character of mail", change(t, plain, "Sollecito", "a\x00b"), pec.ErrNUL, "", 3},
		{"NUL in the body", "no character of mail", change(t, plain, "Buongiorno.", "a\x00b"), pec.ErrNUL, "", 10},
		{"bare LF in the head", "CR LF", strings.Replace(change(t, plain), "\r\nSubject", "\nSubject", 1), pec.ErrLineEnd, "", 2},
		{"bare LF in the body", "CR LF", strings.Replace(change(t, plain), "giorno.\r\n", "giorno.\n", 1), pec.ErrLineEnd, "", 10},
		{"bare CR in the body", "CR LF", change(t, plain, "Buongiorno.", "Buon\rgiorno."), pec.ErrLineEnd, "", 10},
		{"CR CR LF", "CR LF", change(t, plain, "Buongiorno.", "Buongiorno.\r"), pec.ErrLineEnd, "", 10},
		{"bare CR in the head", "header injection", change(t, plain, "Sollecito", "Sollecito\rBcc: x@y.example"), pec.ErrLineEnd, "", 3},
		{"LF all over", "CR LF", plain, pec.ErrLineEnd, "", 1},
		{"no line end at the end", "a server would add one", strings.TrimSuffix(change(t, plain), "\r\n"), pec.ErrLineEnd, "", 11},
		{"CR at the end", "half a line end", strings.TrimSuffix(change(t, plain), "\n"), pec.ErrLineEnd, "", 11},
		{"999 bytes", "too long a line", change(t, plain, "Buongiorno.", strings.Repeat("x", 999)), pec.ErrLineTooLong, "", 10},
		{"999 bytes in the head", "too long a line", with("X-Long: " + strings.Repeat("x", 991)), pec.ErrLineTooLong, "", 3},
		{"a very long line", "too long a line", change(t, plain, "Buongiorno.", strings.Repeat("x", 70_000)), pec.ErrLineTooLong, "", 10},
		{"6 kB in the head", "what else is wrong is told too", with("X-Long: " + strings.Repeat("x", 6_000) + "\nX-TipoRicevuta: Breve"), pec.ErrReceiptType, "X-TipoRicevuta", 4},
		{"70 kB in the head", "bounded", with("X-Long: " + strings.Repeat("x", 70_000)), pec.ErrHead, "", 3},
		{"field without colon", "a head", with("Urgente"), pec.ErrHead, "", 3},
		{"blank before a colon", "a head", with("Urgent : 1"), pec.ErrHead, "", 3},
		{"line of blanks in the head", "where does it end?", with("X: 1\n \t"), pec.ErrHead, "", 4},
		{"fold before the head", "of what?", " x\r\n" + change(t, plain), pec.ErrHead, "", 1},
		{"too many lines in the head", "bounded", with(strings.TrimSuffix(strings.Repeat("X: 1\n", 2000), "\n")), pec.ErrHead, "", 2001},

		{"two Content-Type", "which one?", with("Content-Type: text/html"), pec.ErrRepeatedField, "Content-Type", 8},
		{"two encodings", "which one?", with("Content-Transfer-Encoding: base64"), pec.ErrRepeatedField, "Content-Transfer-Encoding", 9},
		{"unknown encoding of the message", "nobody can decode it", change(t, plain, "quoted-printable", "uuencode"), pec.ErrMIME, "Content-Transfer-Encoding", 8},
		{"unknown encoding of a part", "nobody can decode it", change(t, mixed, "Transfer-Encoding: base64", "Transfer-Encoding: x-base64"), pec.ErrMIME, "Content-Transfer-Encoding", 27},
		{"two encodings of a part", "which one?", change(t, mixed, "Transfer-Encoding: base64", "Transfer-Encoding: base64\nContent-Transfer-Encoding: base64"), pec.ErrRepeatedField, "Content-Transfer-Encoding", 28},
		{"bad Content-Type", "which parts has it?", change(t, plain, "text/plain; charset=utf-8", "text/plain; charset"), pec.ErrMIME, "Content-Type", 7},
		{"no boundary", "which parts has it?", change(t, mixed, `; boundary="MIX"`, ""), pec.ErrMIME, "Content-Type", 7},
		{"empty boundary", "every -- would be one", change(t, mixed, `"MIX"`, `""`), pec.ErrMIME, "Content-Type", 7},
		{"long boundary", "at most 70", change(t, mixed, `"MIX"`, `"`+strings.Repeat("x", 71)+`"`), pec.ErrMIME, "Content-Type", 7},
		{"encoded multipart", "RFC 2045, section 6.4", change(t, mixed, "Content-Type: multipart/mixed", "Content-Transfer-Encoding: base64\nContent-Type: multipart/mixed"), pec.ErrMIME, "Content-Transfer-Encoding", 7},
		{"encoded message", "RFC 2046, section 5.2.1", change(t, mixed, "Content-Type: message/rfc822", "Content-Transfer-Encoding: base64\nContent-Type: message/rfc822"), pec.ErrMIME, "Content-Transfer-Encoding", 31},
		{"the same boundary within", "whose delimiter?", change(t, mixed, "boundary=ALT", "boundary=MIX"), pec.ErrMIME, "Content-Type", 11},
		{"no last delimiter", "cut off?", change(t, mixed, "--MIX-- ", ""), pec.ErrMIME, "", 37},
		{"no last delimiter within", "cut off?", change(t, mixed, "--ALT--\n", ""), pec.ErrMIME, "", 23},
		{"no parts", "which parts has it?", change(t, mixed[:strings.Index(mixed, "--MIX")]+"--MIX--\n"), pec.ErrMIME, "", 10},
		{"bad head of a part", "a head", part("Urgente\nX: y"), pec.ErrMIME, "", 25},
		{"too many parts", "bounded", change(t, mixed, "--ALT--\n", "--ALT--\n"+manyParts), pec.ErrMIME, "", 30 + 3*62},
		{"too deep", "bounded", change(t, mixed, "Content-Type: text/html; charset=us-ascii\n\n", deep), pec.ErrMIME, "Content-Type", 19 + 3*6},

		{"attachment without name", "a hash needs one", part("Content-Type: application/pdf\nContent-Disposition: attachment"), pec.ErrAttachmentName, "", 25},
		{"file without name", "neither text nor inline", part("Content-Type: application/pdf\nX: y"), pec.ErrAttachmentName, "", 25},
		{"nested message without name", "a hash needs one", change(t, mixed, "; filename*=utf-8''perch%C3%A9.eml", ""), pec.ErrAttachmentName, "", 31},
		{"two names", "which one?", part("Content-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment; filename=b.pdf"), pec.ErrAttachmentName, "", 25},
		{"line end in a name", "header injection", part("Content-Type: application/pdf\nContent-Disposition: attachment; filename*=utf-8''a%0D%0Ab.pdf"), pec.ErrMIME, "Content-Disposition", 26},
		{"line end in an encoded name", "header injection", part("Content-Type: application/pdf; name=\"=?utf-8?q?a=0D=0Ab.pdf?=\"\nX: y"), pec.ErrAttachmentName, "", 25},
		{"the message as an attachment without name", "a hash needs one", change(t, plain, "text/plain; charset=utf-8", "application/pdf"), pec.ErrAttachmentName, "", 1},
		{"two of one name but for case", "which hash is whose?", change(t, mixed, pdf, "Content-Type: application/pdf; name=a.eml\nX: y", "filename*=utf-8''perch%C3%A9.eml", "filename=A.EML"), pec.ErrDuplicateAttachment, "", 31},
		{"blocked", "the provider refuses it", part("Content-Type: application/pdf; name=Setup.EXE\nX: y"), pec.ErrBlockedExtension, "", 25},
		{"blocked in disguise", "systems drop dots and blanks at the end", part("Content-Type: application/pdf; name=\"setup.exe. \"\nX: y"), pec.ErrBlockedExtension, "", 25},
		{"blocked by its second name", "encoded", part("Content-Type: application/pdf\nContent-Disposition: attachment; filename*=utf-8''setup%2Eexe"), pec.ErrBlockedExtension, "", 25},
		{"empty", "no message", "", pec.ErrFrom, "From", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e, err := readEnvelope(test.message)
			if e != nil || !errors.Is(err, test.want) {
				t.Fatalf("ReadEnvelope(%q) = %+v, %v, want %v (%s)", test.message, e, err, test.want, test.reason)
			}
			found := slices.ContainsFunc(rules(t, err), func(r *pec.RuleError) bool {
				return errors.Is(r, test.want) && r.Field == test.field && r.Line == test.line
			})
			if !found {
				t.Errorf("ReadEnvelope: %v, want %v at field %q, line %d (%s)", err, test.want, test.field, test.line, test.reason)
			}
		})
	}
}

// TestReadEnvelopeTellsAll checks that one reading finds what there is to find.
func TestReadEnvelopeTellsAll(t *testing.T) {
	message := change(t, mixed, "From: studio@", "Bcc:\nFrom: altro@", "To: comune@", "To: comune", "Message-ID: <6f1c0e@", "Message-ID: <6f1c0e",
		"Date: Fri, 04", "X-Ricevuta: accettazione\nDate: Ven, 04", "<p>Buongiorno.</p>", "<p>Perché\x00</p>", pdf, "Content-Disposition: attachment", "--MIX-- ", "")
	_, err := readEnvelope(message)
	for _, want := range []error{
		pec.ErrBcc, pec.ErrAccount, pec.ErrAddress, pec.ErrMessageID, pec.ErrReservedField, pec.ErrDate,
		pec.ErrNotASCII, pec.ErrNUL, pec.ErrAttachmentName, pec.ErrMIME,
	} {
		if !errors.Is(err, want) {
			t.Errorf("%v is not told in %v", want, err)
		}
	}
	if n := len(rules(t, err)); n != 10 {
		t.Errorf("got %d errors, want 10: %v", n, err)
	}
	// What repeats itself on every line is told once.
	_, err = readEnvelope(plain + strings.Repeat("perché\r\n", 1000))
	if n := len(rules(t, err)); n != 2 {
		t.Errorf("got %d errors, want one for line ends and one for bytes: %v", n, err)
	}
}

func TestReadEnvelopeWarnings(t *testing.T) {
	const subject = "Subject: Sollecito =?utf-8?q?perch=C3=A9?=\n"
	tests := []struct {
		name, reason, message string
		want                  error
		field                 string
		line                  int
	}{
		{"no subject", "some receivers stumble", change(t, plain, subject, ""), pec.ErrSubject, "Subject", 0},
		{"empty subject", "some receivers stumble", change(t, plain, subject, "Subject:\n"), pec.ErrSubject, "Subject", 3},
		{"256 characters", "some receivers stumble", change(t, plain, "Sollecito =?", strings.Repeat("x", 249)+" =?"), pec.ErrSubject, "Subject", 3},
		{"line end in the subject", "encoded", change(t, plain, "perch=C3=A9", "a=0Ab"), pec.ErrSubject, "Subject", 3},
		{"daticert.xml", "weak readers take it for the real one", change(t, mixed, pdf, "Content-Type: application/xml; name=Daticert.xml"), pec.ErrConfusingName, "", 25},
		{"postacert.eml", "weak readers take it for the real one", change(t, mixed, "perch%C3%A9", "postacert"), pec.ErrConfusingName, "", 31},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e, err := readEnvelope(test.message)
			if err != nil {
				t.Fatalf("ReadEnvelope: %v, want a warning only (%s)", err, test.reason)
			}
			if len(e.Warnings) != 1 || !errors.Is(e.Warnings[0], test.want) || e.Warnings[0].Field != test.field || e.Warnings[0].Line != test.line {
				t.Errorf("Warnings = %v, want %v at field %q, line %d (%s)", e.Warnings, test.want, test.field, test.line, test.reason)
			}
		})
	}
	if e, err := readEnvelope(change(t, plain, "Sollecito =?", strings.Repeat("x", 248)+" =?")); err != nil || len(e.Warnings) > 0 {
		t.Errorf("a subject of 255 characters: %+v, %v, want no warning", e, err)
	}
}

func TestReadEnvelopeSize(t *testing.T) {
	message := change(t, plain, "To: comune@pec.beta.example", "To: comune@pec.beta.example, b@pec.beta.example")
	message += strings.Repeat(strings.Repeat("x", 98)+"\r\n", (50_000-len(message))/100)
	message += strings.Repeat("x", 50_000-len(message)-2) + "\r\n"
	if e, err := readEnvelope(message); err != nil || e.Size != 50_000 {
		t.Errorf("ReadEnvelope of 50,000 bytes for two = %+v, %v, want all the provider takes", e, err)
	}
	if _, err := readEnvelope(message + "\r\n"); !errors.Is(err, pec.ErrTooLarge) {
		t.Errorf("ReadEnvelope of 50,002 bytes for two: %v, want ErrTooLarge", err)
	}
	opts := pec.EnvelopeOptions{Account: account}
	if _, err := pec.ReadEnvelope(strings.NewReader(message), opts); !errors.Is(err, pec.ErrTooManyRecipients) {
		t.Errorf("ReadEnvelope for two, of an unknown provider: %v, want ErrTooManyRecipients", err)
	}
}

func TestReadEnvelopeWithoutAccount(t *testing.T) {
	if _, err := pec.ReadEnvelope(strings.NewReader(change(t, plain)), pec.EnvelopeOptions{}); !errors.Is(err, pec.ErrAccount) {
		t.Errorf("ReadEnvelope for no account: %v, want ErrAccount", err)
	}
}

// TestReadEnvelopeEndless reads messages that never end, in every place where a
// reader could wait for the end of something.
func TestReadEnvelopeEndless(t *testing.T) {
	model := change(t, plain)
	for name, message := range map[string]io.Reader{
		"body":         io.MultiReader(strings.NewReader(model), repeat("x\r\n")),
		"line of body": io.MultiReader(strings.NewReader(model), repeat("x")),
		"line of head": repeat("x"),
		"parts":        io.MultiReader(strings.NewReader(change(t, mixed[:strings.Index(mixed, "--MIX")])), repeat("--MIX\r\n")),
	} {
		_, err := pec.ReadEnvelope(message, testOptions())
		if !errors.Is(err, pec.ErrTooLarge) {
			t.Errorf("%s: ReadEnvelope = %v, want ErrTooLarge", name, err)
		}
	}
	if _, err := pec.ReadEnvelope(repeat("X-Long: "+strings.Repeat("y", 200)+"\r\n"), pec.EnvelopeOptions{Account: account}); !errors.Is(err, pec.ErrHead) {
		t.Errorf("endless head: %v, want ErrHead", err)
	}
}

func TestReadEnvelopeLongHeads(t *testing.T) {
	long := strings.TrimSuffix(strings.Repeat("X: "+strings.Repeat("y", 900)+"\n", 300), "\n")
	opts := pec.EnvelopeOptions{Account: account}
	if _, err := pec.ReadEnvelope(strings.NewReader(change(t, plain, "Subject:", long+"\nSubject:")), opts); !errors.Is(err, pec.ErrHead) {
		t.Errorf("a head of 270 kB: %v, want ErrHead", err)
	}
	if _, err := pec.ReadEnvelope(strings.NewReader(change(t, mixed, pdf, long)), opts); !errors.Is(err, pec.ErrMIME) {
		t.Errorf("a part with a head of 270 kB: %v, want ErrMIME", err)
	}
}

// TestReadEnvelopeMemory reads 30 MB and allocates little: attachments are not
// kept.
func TestReadEnvelopeMemory(t *testing.T) {
	body := io.LimitReader(repeat(strings.Repeat("QUJD", 19)+"\r\n"), 78*380_000)
	message := io.MultiReader(strings.NewReader(change(t, plain)), body)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := pec.ReadEnvelope(message, pec.EnvelopeOptions{Account: account})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("ReadEnvelope of 30 MB allocated %d bytes, want less than 1 MiB", used)
	}
}

func TestReadEnvelopeReaderError(t *testing.T) {
	broken := errors.New("broken")
	model := change(t, plain)
	for _, at := range []int{0, 10, strings.Index(model, "\r\n\r\n"), len(model)} {
		_, err := pec.ReadEnvelope(io.MultiReader(strings.NewReader(model[:at]), iotest.ErrReader(broken)), testOptions())
		if !errors.Is(err, broken) {
			t.Errorf("ReadEnvelope of a reader that breaks after %d bytes: %v, want its error", at, err)
		}
	}
	if e, err := pec.ReadEnvelope(iotest.OneByteReader(strings.NewReader(model)), testOptions()); err != nil || e.Size != int64(len(model)) {
		t.Errorf("ReadEnvelope byte by byte = %+v, %v", e, err)
	}
}

func TestCheckPaths(t *testing.T) {
	a, b, c := pec.MustParseAddress("a@pec.beta.example"), pec.MustParseAddress("b@pec.beta.example"), pec.MustParseAddress("c@pec.beta.example")
	strict := &pec.Envelope{From: account, To: []pec.Address{a}, Cc: []pec.Address{b}}
	opts := testOptions()
	opts.FewerPaths = true
	fewer, err := pec.ReadEnvelope(strings.NewReader(change(t, plain, "To: comune@pec.beta.example", "To: a@pec.beta.example\nCc: b@pec.beta.example")), opts)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, reason string
		reverse      pec.Address
		forward      []pec.Address
		want         error // of a strict check
		wantFewer    error
	}{
		{"equal", "the rule", account, []pec.Address{a, b}, nil, nil},
		{"other order", "a set", account, []pec.Address{b, a}, nil, nil},
		{"other case", "the same mailboxes", pec.MustParseAddress("STUDIO@pec.alfa.example"), []pec.Address{pec.MustParseAddress("A@PEC.beta.example"), b}, nil, nil},
		{"another sender", "F4 of the technical rules", a, []pec.Address{a, b}, pec.ErrReversePath, pec.ErrReversePath},
		{"no sender", "a bounce is no PEC message", pec.Address{}, []pec.Address{a, b}, pec.ErrReversePath, pec.ErrReversePath},
		{"hidden recipient", "not in the fields", account, []pec.Address{a, b, c}, pec.ErrForwardPath, pec.ErrForwardPath},
		{"one missing", "in the fields alone", account, []pec.Address{a}, pec.ErrForwardPath, nil},
		{"one twice", "a set", account, []pec.Address{a, b, a}, pec.ErrDuplicateRecipient, pec.ErrDuplicateRecipient},
		{"nobody", "no recipient", account, nil, pec.ErrForwardPath, pec.ErrForwardPath},
		{"zero address", "no recipient", account, []pec.Address{a, b, {}}, pec.ErrForwardPath, pec.ErrForwardPath},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := strict.CheckPaths(test.reverse, test.forward); !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Errorf("CheckPaths = %v, want %v (%s)", err, test.want, test.reason)
			}
			if err := fewer.CheckPaths(test.reverse, test.forward); !errors.Is(err, test.wantFewer) || test.wantFewer == nil && err != nil {
				t.Errorf("CheckPaths with FewerPaths = %v, want %v (%s)", err, test.wantFewer, test.reason)
			}
		})
	}
	if n := len(rules(t, strict.CheckPaths(c, []pec.Address{c, c}))); n != 4 {
		t.Errorf("CheckPaths told %d faults, want 4: the sender, two strangers, two left out", n)
	}
	if err := new(pec.Envelope).CheckPaths(pec.Address{}, nil); !errors.Is(err, pec.ErrReversePath) {
		t.Errorf("CheckPaths of the zero Envelope = %v, want ErrReversePath", err)
	}
}

func FuzzEnvelope(f *testing.F) {
	for _, seed := range []string{
		"", change(f, plain), change(f, mixed), plain, mixed, change(f, plain, "Subject:", "Bcc:\nSubject:"),
		"To: a@b\r\n\r\n", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n--x--\r\n", "\r\r\n\n\x00\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := readEnvelope(string(raw))
		if err != nil {
			if e != nil || len(rules(t, err)) == 0 {
				t.Errorf("ReadEnvelope(%q) = %+v, %v", raw, e, err)
			}
			return
		}
		text := string(raw)
		head, _, _ := strings.Cut(text, "\r\n\r\n")
		lower := "\r\n" + strings.ToLower(head)
		switch {
		case strings.Contains(lower, "\r\nbcc:"), strings.Contains(lower, "\r\nx-ricevuta:"), strings.Contains(lower, "\r\nrem-"):
			t.Errorf("ReadEnvelope(%q) lets a field pass that must not", raw)
		case strings.Count(text, "\r") != strings.Count(text, "\n"), strings.Count(text, "\r\n") != strings.Count(text, "\n"):
			t.Errorf("ReadEnvelope(%q) lets a line end pass that must not", raw)
		case !e.From.Equal(account), len(e.To) == 0, len(e.Recipients()) > 3, e.Size != int64(len(raw)), e.MessageID == "":
			t.Errorf("ReadEnvelope(%q) = %+v", raw, e)
		}
		for _, line := range strings.Split(text, "\r\n") {
			if len(line) > 998 {
				t.Errorf("ReadEnvelope lets a line of %d bytes pass", len(line))
			}
		}
		if err := e.CheckPaths(account, e.Recipients()); err != nil {
			t.Errorf("CheckPaths with the recipients of %q: %v", raw, err)
		}
	})
}
