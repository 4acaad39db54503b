package receipt_test

import (
	"bytes"
	"crypto"
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// delivered composes the receipt of a delivery of original, and verifies it.
func (n *network) delivered(t testing.TB, m pectest.Message, original string) (*receipt.Receipt, []byte) {
	t.Helper()
	if m.Data.Kind == "" {
		m.Data = n.data(pec.KindDelivery)
		m.Data.Delivery, m.Data.ReceiptType = comune, m.Form
	}
	m.Original = strings.NewReader(original)
	var b bytes.Buffer
	if err := n.beta.Compose(&b, m); err != nil {
		t.Fatal(err)
	}
	r, err := receipt.Verify(bytes.NewReader(b.Bytes()), n.options())
	if err != nil {
		t.Fatalf("Verify: %v\n%s", err, b.Bytes())
	}
	return r, b.Bytes()
}

func prove(t testing.TB, r *receipt.Receipt, raw []byte, sent string) receipt.Proof {
	t.Helper()
	p, err := r.Prove(bytes.NewReader(raw), strings.NewReader(sent))
	if err != nil {
		t.Fatalf("Prove: %v", err)
	}
	if (p.Result == receipt.Proven) != (p.Reason == "") || (p.Method == "") != (p.Result == receipt.NoProof) ||
		(p.Reading != "") != (p.Result == receipt.Proven && p.Method == receipt.ProofByHashes) || (p.Reading != "") != (p.Hash != 0) {
		t.Errorf("Prove = %+v, which is no whole answer", p)
	}
	if strings.Contains(p.Reason, ".example") || strings.Contains(p.Reason, "Egregio") {
		t.Errorf("Prove: the reason %q repeats the message", p.Reason)
	}
	return p
}

// proofByHashes is the answer of a provider that keeps to the first reading.
var proofByHashes = receipt.Proof{Result: receipt.Proven, Method: receipt.ProofByHashes, Reading: receipt.HashDecoded, Hash: crypto.SHA1}

// differences are changes of the message sent, as somebody would claim it.
var differences = []struct {
	name     string
	old, new string
	want     receipt.ProofResult // by both forms of receipt
	breve    receipt.ProofResult // where a brief receipt proves less
}{
	{name: "nothing", want: receipt.Proven},
	{name: "fields in another order", old: "MIME-Version: 1.0\r\n", new: "", want: receipt.Disproven},
	{name: "subject folded", old: "Subject: =?utf-8?Q?Sollecito_n=C2=B0_17?=", new: "Subject:\r\n =?utf-8?Q?Sollecito_n=C2=B0_17?=", want: receipt.Proven},
	{name: "addresses folded", old: "comune@pec.beta.example, info@mail.example", new: "comune@pec.beta.example,\r\n\tinfo@mail.example", want: receipt.Proven},
	{name: "trace of its own", old: "From: ", new: "X-Mailer: x\r\nFrom: ", want: receipt.Proven},
	{name: "name of a field in capitals", old: "Subject: ", new: "SUBJECT: ", want: receipt.Proven},
	{name: "Message-ID without brackets", old: "<6f1c0e@pec.mittente.example>", new: "6f1c0e@pec.mittente.example", want: receipt.Proven},
	{name: "no final line end", old: "The end.\r\n", new: "The end.", want: receipt.Proven},

	{name: "another message", old: "6f1c0e@", new: "6f1c0f@", want: receipt.Disproven},
	{name: "no Message-ID", old: "Message-ID: <6f1c0e@pec.mittente.example>\r\n", new: "", want: receipt.Disproven},
	{name: "sender", old: "From: Studio Rossi", new: "From: Studio Bianchi", want: receipt.Disproven},
	{name: "recipient", old: "To: comune@", new: "To: altro@", want: receipt.Disproven},
	{name: "recipient in copy", old: "Cc: Sindaco", new: "Cc: Vicesindaco", want: receipt.Disproven},
	{name: "no recipient in copy", old: "Cc: Sindaco <sindaco@pec.beta.example>\r\n", new: "", want: receipt.Disproven},
	{name: "subject", old: "B0_17", new: "B0_18", want: receipt.Disproven},
	{name: "second subject", old: "Subject: ", new: "Subject: x\r\nSubject: ", want: receipt.Disproven},
	{name: "date", old: "10:15:29", new: "10:15:28", want: receipt.Disproven},
	{name: "type of the body", old: "multipart/mixed", new: "multipart/related", want: receipt.Disproven},
	{name: "encoding of the body", old: "MIME-Version: 1.0\r\n", new: "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n", want: receipt.Disproven},
	{name: "place of the body", old: "MIME-Version: 1.0\r\n", new: "MIME-Version: 1.0\r\nContent-Location: http://mail.example/\r\n", want: receipt.Disproven},
	{name: "text", old: "Egregio Comune", new: "Egregio Comune!", want: receipt.Disproven},
	{name: "encoding of the text", old: "quoted-printable\r\n\r\nEgregio", new: "7bit\r\n\r\nEgregio", want: receipt.Disproven},
	{name: "charset of the text", old: "charset=utf-8", new: "charset=latin1", want: receipt.Disproven},
	{name: "line that is almost a delimiter", old: "--b1 is how", new: "--b1 is hew", want: receipt.Disproven},
	{name: "attachment", old: "JVBERi0xLjQ", new: "JVBERi0xLjU", want: receipt.Disproven},
	{name: "attachment that is not encoded", old: "1,2\r\n", new: "1,3\r\n", want: receipt.Disproven},
	{name: "message in the message", old: "Hello.", new: "Goodbye.", want: receipt.Disproven},
	{name: "extra part", old: "--b1--\r\n", new: "--b1\r\n\r\nMore.\r\n--b1--\r\n", want: receipt.Disproven},
	{name: "extra attachment", old: "--b1--\r\n", new: "--b1\r\nContent-Type: image/png; name=a.png\r\n\r\nMore.\r\n--b1--\r\n", want: receipt.Disproven},
	{name: "missing part", old: "--b1\r\nContent-Type: message/rfc822\r\n\r\nSubject: a message in the message\r\n\r\nHello.\r\n", new: "", want: receipt.Disproven},
	{name: "missing part of a part", old: "--b1-2\r\nContent-Type: text/plain\r\n\r\n--b1 is how a part begins\r\n", new: "", want: receipt.Disproven},
	{name: "part moved out", old: "\r\n--b1-2--\r\n", new: "\r\n", want: receipt.Disproven},

	// A brief receipt says nothing of these: whoever reads the message does not
	// see the first two, and the last is a name.
	{name: "text outside of all parts", old: "A message in parts.", new: "A message.", want: receipt.Disproven, breve: receipt.Proven},
	{name: "text after all parts", old: "The end.", new: "The End.", want: receipt.Disproven, breve: receipt.Proven},
	{name: "type of an attachment", old: "application/pdf", new: "application/zip", want: receipt.Disproven, breve: receipt.Proven},
}

func TestProveDifferences(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	for _, form := range []pec.ReceiptType{pec.ReceiptComplete, pec.ReceiptBrief} {
		r, raw := n.delivered(t, pectest.Message{Form: form}, sent)
		for _, d := range differences {
			t.Run(string(form)+"/"+d.name, func(t *testing.T) {
				claimed := string(replace(t, []byte(sent), d.old, d.new))
				want := d.want
				if form == pec.ReceiptBrief && d.breve != "" {
					want = d.breve
				}
				if p := prove(t, r, raw, claimed); p.Result != want {
					t.Errorf("Prove = %+v, want %s", p, want)
				}
				if p := prove(t, r, raw, strings.ReplaceAll(claimed, "\r\n", "\n")); p.Result != want {
					t.Errorf("Prove of a message stored with LF = %+v, want %s", p, want)
				}
			})
		}
	}
}

// TestProveStoredWithLF verifies and proves a receipt that a mail store changed.
func TestProveStoredWithLF(t *testing.T) {
	for _, dialect := range dialectNames {
		n := sharedNetwork(t, dialect)
		for _, form := range []pec.ReceiptType{pec.ReceiptComplete, pec.ReceiptBrief} {
			_, raw := n.delivered(t, pectest.Message{Form: form}, sent)
			raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
			r, err := receipt.Verify(bytes.NewReader(raw), n.options())
			if err != nil {
				t.Fatal(err)
			}
			for _, claimed := range []string{sent, strings.ReplaceAll(sent, "\r\n", "\n")} {
				if p := prove(t, r, raw, claimed); p.Result != receipt.Proven {
					t.Errorf("%s, %s: Prove = %+v, want it proven", dialect, form, p)
				}
			}
			if p := prove(t, r, raw, strings.Replace(sent, "Egregio", "Gentile", 1)); p.Result != receipt.Disproven {
				t.Errorf("%s, %s: Prove of another text = %+v, want it disproven", dialect, form, p)
			}
		}
	}
}

// TestProveWhatProvidersAdd delivers messages with the fields that providers and
// mail stores put on top.
func TestProveWhatProvidersAdd(t *testing.T) {
	n := sharedNetwork(t, "opec")
	added := "Return-Path: <studio@pec.mittente.example>\r\nReceived: from a by b;\r\n\tFri, 04 Sep 2026 10:15:29 +0200\r\n" +
		"Delivered-To: x@pec.beta.example\r\nX-Vendor: y\r\nContent-Length: 1234\r\n"
	r, raw := n.delivered(t, pectest.Message{Form: pec.ReceiptComplete}, added+sent)
	if p := prove(t, r, raw, sent); p.Result != receipt.Proven {
		t.Errorf("Prove = %+v, want it proven", p)
	}
	r, raw = n.delivered(t, pectest.Message{Form: pec.ReceiptComplete}, "Cc: altro@pec.gamma.example\r\n"+sent)
	if p := prove(t, r, raw, sent); p.Result != receipt.Disproven {
		t.Errorf("Prove of a message with one more recipient = %+v, want it disproven", p)
	}
}

// TestProveWithoutMessageID proves a message whose sender gave it no Message-ID.
func TestProveWithoutMessageID(t *testing.T) {
	n := sharedNetwork(t, "opec")
	anonymous := strings.Replace(sent, "Message-ID: <6f1c0e@pec.mittente.example>\r\n", "", 1)
	d := n.data(pec.KindDelivery)
	d.Delivery, d.MessageID = comune, ""
	r, raw := n.delivered(t, pectest.Message{Data: d, Form: pec.ReceiptComplete}, anonymous)
	if p := prove(t, r, raw, anonymous); p.Result != receipt.Proven {
		t.Errorf("Prove = %+v, want it proven", p)
	}
	if p := prove(t, r, raw, sent); p.Result != receipt.Disproven {
		t.Errorf("Prove of a message with a Message-ID = %+v, want it disproven", p)
	}
}

// TestProveAnotherID refuses an original whose identifiers are not those that the
// receipt certifies.
func TestProveAnotherID(t *testing.T) {
	n := sharedNetwork(t, "opec")
	for old, new := range map[string]string{
		"Message-ID: <alfa1":                     "Message-ID: <alfa2",
		pec.HeaderReference + ": <6f1c0e":        pec.HeaderReference + ": <6f1c0f",
		pec.HeaderReference + ": <6f1c0e@pec.mi": "X-Other: <6f1c0e@pec.mi",
	} {
		r, raw := n.delivered(t, pectest.Message{Form: pec.ReceiptComplete, Tamper: &pectest.Tamper{
			Entity: func(b []byte) []byte { return replace(t, b, old, new) },
		}}, sent)
		if p := prove(t, r, raw, sent); p.Result != receipt.Disproven {
			t.Errorf("%s for %s: Prove = %+v, want it disproven", new, old, p)
		}
	}
}

// TestNoProof asks receipts that can't answer.
func TestNoProof(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	none := func(name string, r *receipt.Receipt, raw []byte, claimed string) {
		t.Helper()
		if p := prove(t, r, raw, claimed); p.Result != receipt.NoProof {
			t.Errorf("%s: Prove = %+v, want %s", name, p, receipt.NoProof)
		}
	}
	r, raw := n.delivered(t, pectest.Message{Form: pec.ReceiptConcise}, sent)
	none("concise", r, raw, sent)

	d := n.data(pec.KindDelivery)
	d.Delivery, d.ReceiptType = pec.MustParseAddress("sindaco@pec.beta.example"), pec.ReceiptBrief
	r, raw = n.delivered(t, pectest.Message{Data: d, Form: pec.ReceiptConcise}, sent)
	none("recipient in copy", r, raw, sent)

	for _, c := range kindCases {
		if c.kind == pec.KindDelivery || c.kind == pec.KindTransport {
			continue
		}
		raw := n.honest(t, c)
		r, err := receipt.Verify(bytes.NewReader(raw), n.options())
		if err != nil {
			t.Fatal(err)
		}
		none(c.name, r, raw, sent)
	}

	odd := strings.Replace(sent, "MIME-Version: 1.0\r\n", "MIME-Version: 1.0\r\nX-Odd : a\r\n", 1)
	r, raw = n.delivered(t, pectest.Message{Form: pec.ReceiptBrief}, sent)
	none("head that can't be read", r, raw, odd)
	none("head that is too long", r, raw, "X: "+strings.Repeat("x", 300_000)+"\r\n"+sent)
	none("head of a part that can't be read", r, raw, strings.Replace(sent, "Content-Type: message/rfc822", "Content-Type : message/rfc822", 1))

	// Parts within parts, one level more than is looked at.
	deep := "Content-Type: application/pdf; name=a.pdf\r\n\r\nx\r\n"
	for i := range 25 {
		deep = fmt.Sprintf("Content-Type: multipart/mixed; boundary=d%d\r\n\r\n--d%d\r\n%s\r\n--d%d--\r\n", i, i, deep, i)
	}
	head, _, _ := strings.Cut(sent, "Content-Type:")
	whole := head + deep
	r, raw = n.delivered(t, pectest.Message{Form: pec.ReceiptComplete}, whole)
	none("too deep", r, raw, strings.Replace(whole, "\r\n\r\nx", "\r\n\r\ny", 1))
	if p := prove(t, r, raw, whole); p.Result != receipt.Proven {
		t.Errorf("a whole copy, however deep: Prove = %+v, want it proven", p)
	}
	many := head + "Content-Type: multipart/mixed; boundary=m\r\n\r\n" + strings.Repeat("--m\r\n\r\nx\r\n", 1100) + "--m--\r\n"
	r, raw = n.delivered(t, pectest.Message{Form: pec.ReceiptComplete}, many)
	none("too many parts", r, raw, strings.Replace(many, "\r\n\r\nx\r\n--m--", "\r\n\r\ny\r\n--m--", 1))
}

// handmade is a brief receipt written by hand: the message sent in a head and a
// body, and the body that the receipt holds.
type handmade struct {
	name     string
	head     string // Content-Type and so on
	sent     string
	received string
	newHead  string // where the receipt has another
	want     receipt.Proof
}

func sumOf(h crypto.Hash, text string) string {
	d := h.New()
	io.WriteString(d, text)
	return hex.EncodeToString(d.Sum(nil))
}

// TestProveByHand tries forms of brief receipt that the simulator does not write.
func TestProveByHand(t *testing.T) {
	const mixed = "Content-Type: multipart/mixed; boundary=b\r\n"
	pdf := "--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nUERG\r\nUERG\r\n"
	csv := "--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\n1,2\r\n"
	hashPart := func(name, body string, fields ...string) string {
		return "--b\r\nContent-Type: text/plain; name=" + name + ".hash\r\n" + strings.Join(fields, "") + "\r\n" + body + "\r\n"
	}
	sha1OfPDF := sumOf(crypto.SHA1, "PDFPDF")
	disproven := func(method receipt.ProofMethod) receipt.Proof {
		return receipt.Proof{Result: receipt.Disproven, Method: method}
	}
	several := proofByHashes
	several.Reading = receipt.HashSeveral
	tests := []handmade{
		{name: "hash in capitals", head: mixed, sent: pdf + "--b--", received: hashPart("a.pdf", strings.ToUpper(sha1OfPDF)) + "--b--", want: proofByHashes},
		{name: "hash on a line", head: mixed, sent: pdf + "--b--", received: hashPart("a.pdf", sha1OfPDF+"\r\n") + "--b--", want: proofByHashes},
		{name: "hash in base64", head: mixed, sent: pdf + "--b--",
			received: hashPart("a.pdf", base64.StdEncoding.EncodeToString([]byte(sha1OfPDF)), "Content-Transfer-Encoding: base64\r\n") + "--b--", want: proofByHashes},
		{name: "hash in quoted-printable", head: mixed, sent: pdf + "--b--",
			received: hashPart("a.pdf", sha1OfPDF[:20]+"=\r\n"+sha1OfPDF[20:], "Content-Transfer-Encoding: Quoted-Printable\r\n") + "--b--", want: proofByHashes},
		{name: "hash named by Content-Disposition", head: mixed, sent: pdf + "--b--",
			received: "--b\r\nContent-Disposition: attachment; filename=\"A.PDF.HASH\"\r\n\r\n" + sha1OfPDF + "\r\n--b--", want: proofByHashes},
		{name: "two readings", head: mixed, sent: pdf + csv + pdf + "--b--",
			received: hashPart("a.pdf", sha1OfPDF) + hashPart("a.csv", sumOf(crypto.SHA1, "1,2")) + hashPart("a.pdf", sumOf(crypto.SHA1, "UERG\nUERG")) + "--b--", want: several},
		{name: "two algorithms", head: mixed, sent: pdf + csv + "--b--",
			received: hashPart("a.pdf", sumOf(crypto.SHA256, "PDFPDF")) + hashPart("a.csv", sumOf(crypto.SHA1, "1,2")) + "--b--", want: proofByHashes},
		{name: "one attachment only was hashed", head: mixed, sent: pdf + csv + "--b--",
			received: hashPart("a.pdf", sha1OfPDF) + csv + "--b--", want: proofByHashes},
		{name: "the other attachment differs", head: mixed, sent: pdf + csv + "--b--",
			received: hashPart("a.pdf", sha1OfPDF) + strings.Replace(csv, "1,2", "1,3", 1) + "--b--", want: disproven(receipt.ProofByHashes)},
		{name: "hash of another file", head: mixed, sent: pdf + "--b--", received: hashPart("a.pdf", sumOf(crypto.SHA1, "x")) + "--b--", want: disproven(receipt.ProofByHashes)},
		{name: "hash with the name of another file", head: mixed, sent: pdf + "--b--", received: hashPart("b.pdf", sha1OfPDF) + "--b--", want: receipt.Proof{Result: receipt.NoProof}},
		{name: "hash with a name beyond ASCII, in another form", head: mixed, sent: strings.Replace(pdf, "name=a.pdf", "name*=utf-8''citt%C3%A0.pdf", 1) + "--b--",
			received: "--b\r\nContent-Type: text/plain; name*=iso-8859-1''citt%E0.pdf.hash\r\n\r\n" + sha1OfPDF + "\r\n--b--", want: proofByHashes},
		{name: "hash where a text was", head: mixed, sent: "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--",
			received: hashPart("a.txt", sumOf(crypto.SHA1, "x")) + "--b--", want: disproven(receipt.ProofByCopy)},
		{name: "hash of no known length", head: mixed, sent: pdf + "--b--", received: hashPart("a.pdf", "abcd") + "--b--", want: receipt.Proof{Result: receipt.NoProof}},
		{name: "hash that is none", head: mixed, sent: pdf + "--b--", received: hashPart("a.pdf", strings.Repeat("x", 40)) + "--b--", want: receipt.Proof{Result: receipt.NoProof}},
		{name: "no hash at all", head: mixed, sent: pdf + "--b--", received: hashPart("a.pdf", "") + "--b--", want: receipt.Proof{Result: receipt.NoProof}},
		{name: "hash with much behind it", head: mixed, sent: pdf + "--b--", received: hashPart("a.pdf", sha1OfPDF+strings.Repeat(" ", 5000)+"x") + "--b--", want: proofByHashes},
		{name: "one part less", head: mixed, sent: pdf + csv + "--b--", received: hashPart("a.pdf", sha1OfPDF) + "--b--", want: disproven(receipt.ProofByHashes)},
		{name: "one part more", head: mixed, sent: pdf + "--b--", received: hashPart("a.pdf", sha1OfPDF) + csv + "--b--", want: disproven(receipt.ProofByHashes)},
		{name: "cut short alike", head: mixed, sent: pdf, received: hashPart("a.pdf", sha1OfPDF), want: proofByHashes},
		{name: "cut short in one", head: mixed, sent: pdf + "--b--", received: hashPart("a.pdf", sha1OfPDF), want: disproven(receipt.ProofByHashes)},
		{name: "a delimiter with words", head: mixed, sent: pdf + "--b x\r\n--b--", received: hashPart("a.pdf", sha1OfPDF) + "--b x\r\n--b--", want: receipt.Proof{Result: receipt.NoProof}},
		{name: "delimiters with blanks", head: mixed, sent: pdf + "--b--", received: strings.ReplaceAll(hashPart("a.pdf", sha1OfPDF), "--b\r\n", "--b \t\r\n") + "--b-- ", want: proofByHashes},
		{name: "base64 that is none, hashed as it is", head: mixed, sent: strings.Replace(pdf, "UERG\r\n", "U!RG\r\n", 1) + "--b--",
			received: hashPart("a.pdf", sumOf(crypto.SHA1, "U!RG\r\nUERG")) + "--b--",
			want:     receipt.Proof{Result: receipt.Proven, Method: receipt.ProofByHashes, Reading: receipt.HashEncoded, Hash: crypto.SHA1}},

		{name: "the message is one file", head: "Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n", sent: "UERG\r\n",
			newHead: "Content-Type: text/plain; name=a.pdf.hash\r\n", received: sumOf(crypto.SHA1, "PDF") + "\r\n", want: proofByHashes},
		{name: "the message is another file", head: "Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n", sent: "UERH\r\n",
			newHead: "Content-Type: text/plain; name=a.pdf.hash\r\n", received: sumOf(crypto.SHA1, "PDF") + "\r\n", want: disproven(receipt.ProofByCopy)},
		{name: "opaque S/MIME", head: "Content-Type: application/pkcs7-mime; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n", sent: "MIAG\r\n", received: "MIAG\r\n",
			want: receipt.Proof{Result: receipt.Proven, Method: receipt.ProofByCopy}},
		{name: "a text", head: "", sent: "Hello.\r\n", received: "Hello.\r\n", want: receipt.Proof{Result: receipt.Proven, Method: receipt.ProofByCopy}},
		{name: "another text", head: "", sent: "Hello.\r\n", received: "Hello!\r\n", want: disproven(receipt.ProofByCopy)},
		{name: "a longer text", head: "", sent: "Hello.\r\n", received: "Hello.\r\n\r\nBye.\r\n", want: disproven(receipt.ProofByCopy)},
		{name: "two line ends more", head: "", sent: "Hello.", received: "Hello.\r\n\r\n", want: disproven(receipt.ProofByCopy)},
		{name: "a message without a body", head: "", sent: "", received: "", want: receipt.Proof{Result: receipt.Proven, Method: receipt.ProofByCopy}},
		{name: "lone CR", head: "", sent: "a\rb\r\r\n", received: "a\rb\r\r\n", want: receipt.Proof{Result: receipt.Proven, Method: receipt.ProofByCopy}},
		{name: "lone CR that was dropped", head: "", sent: "a\rb", received: "ab", want: disproven(receipt.ProofByCopy)},
		{name: "multipart without boundary", head: "Content-Type: multipart/mixed\r\n", sent: "a", received: "b", want: receipt.Proof{Result: receipt.NoProof}},
		{name: "Content-Type that can't be read", head: "Content-Type: text/plain; charset\r\n", sent: "a", received: "b", want: receipt.Proof{Result: receipt.NoProof}},
	}
	n := sharedNetwork(t, "jpec")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fields, _, _ := strings.Cut(sent, "Content-Type:")
			newHead := test.newHead
			if newHead == "" {
				newHead = test.head
			}
			r, raw := n.delivered(t, pectest.Message{Form: pec.ReceiptComplete}, fields+newHead+"\r\n"+test.received)
			got := prove(t, r, raw, fields+test.head+"\r\n"+test.sent)
			got.Reason = ""
			if test.newHead != "" && test.want.Result == receipt.Disproven {
				got.Method = test.want.Method // both are true
			}
			if got != test.want {
				t.Errorf("Prove = %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestProveSigned sends a message that its sender signed. Only its first part is
// hashed, and the signature is kept.
func TestProveSigned(t *testing.T) {
	n := sharedNetwork(t, "opec")
	head, body, _ := strings.Cut(sent, "\r\n\r\n")
	fields, contentType, _ := strings.Cut(head, "Content-Type:")
	signed := fields + "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=S\r\n\r\n" +
		"--S\r\nContent-Type:" + contentType + "\r\n\r\n" + body +
		"\r\n--S\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\nMIAGCSqGSIb3DQEHAqCA\r\n--S--\r\n"
	r, raw := n.delivered(t, pectest.Message{Form: pec.ReceiptBrief}, signed)
	if !bytes.Contains(raw, []byte("MIAGCSqGSIb3DQEHAqCA")) || bytes.Contains(raw, []byte("smime.p7s.hash")) {
		t.Fatal("the simulator did not keep the signature of the sender")
	}
	if p := prove(t, r, raw, signed); p != proofByHashes {
		t.Errorf("Prove = %+v, want %+v", p, proofByHashes)
	}
	for old, new := range map[string]string{
		"MIAGCSqGSIb3": "MIAGCSqGSIb4", // the signature
		"JVBERi0xLjQ":  "JVBERi0xLjU",  // a file
		"Egregio":      "Gentile",      // the text
		"sha-256":      "sha-512",      // the head
	} {
		if p := prove(t, r, raw, strings.Replace(signed, old, new, 1)); p.Result != receipt.Disproven {
			t.Errorf("%s for %s: Prove = %+v, want it disproven", new, old, p)
		}
	}
}

// TestProveOfSomethingElse gives bytes that are not those that were verified: what
// they hold was not signed.
func TestProveOfSomethingElse(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	r, raw := n.delivered(t, pectest.Message{Form: pec.ReceiptComplete}, sent)
	forged := strings.Replace(sent, "Egregio", "Gentile", 1)
	for name, changed := range map[string][]byte{
		"original replaced": replace(t, raw, "Egregio", "Gentile"),
		"cut short":         raw[:len(raw)/2],
		"empty":             nil,
		"one byte in front": append([]byte(" "), raw...),
	} {
		if p, err := r.Prove(bytes.NewReader(changed), strings.NewReader(forged)); err == nil {
			t.Errorf("%s: Prove = %+v, want an error", name, p)
		}
	}

	// Verified from the middle of a file, and proven from there.
	file := append([]byte("From MAILER 1\n"), raw...)
	section := io.NewSectionReader(bytes.NewReader(file), 14, int64(len(raw)))
	r, err := receipt.Verify(section, n.options())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := r.Prove(section, strings.NewReader(sent)); err != nil || p.Result != receipt.Proven {
		t.Errorf("Prove of a part of a file = %+v, %v, want it proven", p, err)
	}
}

// failingAt fails to read from an offset on.
type failingAt struct {
	in   string
	from int64
}

var errDisk = errors.New("disk on fire")

func (f failingAt) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) <= f.from {
		return strings.NewReader(f.in).ReadAt(p, at)
	}
	if at >= f.from {
		return 0, errDisk
	}
	n, _ := strings.NewReader(f.in).ReadAt(p[:f.from-at], at)
	return n, errDisk
}

// TestProveReadErrors checks that a fault of the disk is no answer.
func TestProveReadErrors(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	for _, form := range []pec.ReceiptType{pec.ReceiptComplete, pec.ReceiptBrief} {
		r, raw := n.delivered(t, pectest.Message{Form: form}, sent)
		for from := int64(0); from < int64(len(sent)); from += 37 {
			if p, err := r.Prove(bytes.NewReader(raw), failingAt{sent, from}); !errors.Is(err, errDisk) {
				t.Errorf("%s: Prove of a message that can't be read from byte %d on = %+v, %v, want %v", form, from, p, err, errDisk)
			}
		}
		if _, err := r.Prove(failingAt{string(raw), 1000}, strings.NewReader(sent)); !errors.Is(err, errDisk) {
			t.Errorf("%s: Prove of a receipt that can't be read: %v, want %v", form, err, errDisk)
		}
	}
}

// TestProveLarge proves a message of 10 MB, or 100 MB if there is time, in memory
// that does not depend on it.
func TestProveLarge(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("large")
	}
	size := int64(10_000_000)
	if isLong() {
		size = 100_000_000
	}
	fields, _, _ := strings.Cut(sent, "Content-Type:")
	head := fields + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	line := strings.Repeat("AbCd", 19) + "\r\n"
	tail := "\r\n--b--\r\n"
	message := func(last string) io.Reader {
		return io.MultiReader(strings.NewReader(head), &repeated{text: line, left: size / 78 * 78}, strings.NewReader(last+tail))
	}
	write := func(name string, to func(io.Writer) error) *os.File {
		file, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		if err := to(file); err != nil {
			t.Fatal(err)
		}
		return file
	}
	mine := write("sent.eml", func(w io.Writer) error { _, err := io.Copy(w, message("QUJD")); return err })
	n := sharedNetwork(t, "jpec")
	for _, form := range []pec.ReceiptType{pec.ReceiptComplete, pec.ReceiptBrief} {
		for last, want := range map[string]receipt.ProofResult{"QUJD": receipt.Proven, "QUJE": receipt.Disproven} {
			if form == pec.ReceiptBrief && want == receipt.Disproven {
				continue // the simulator takes long to hash
			}
			d := n.data(pec.KindDelivery)
			d.Delivery = comune
			raw := write("receipt.eml", func(w io.Writer) error {
				return n.beta.Compose(w, pectest.Message{Data: d, Form: form, Original: message(last)})
			})
			opts := n.options()
			opts.Limits.Message = 2 * size
			r, err := receipt.Verify(io.NewSectionReader(raw, 0, 2*size), opts)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			p, err := r.Prove(raw, mine)
			runtime.ReadMemStats(&after)
			if err != nil || p.Result != want {
				t.Errorf("%s: Prove = %+v, %v, want %s", form, p, err, want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
				t.Errorf("%s: proving %d bytes allocated %d in all, want at most 2 MiB", form, size, used)
			}
		}
	}
}
