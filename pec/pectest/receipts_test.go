package pectest_test

import (
	"bytes"
	"crypto"
	"fmt"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

const withAttachment = "--b\r\nContent-Type: text/plain\r\n\r\nEgregio,\r\n--b\r\n" +
	"Content-Type: application/pdf; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nUERG\r\n--b--\r\n"

// TestReceiptTypes asks for each form of delivery receipt.
func TestReceiptTypes(t *testing.T) {
	tests := []struct {
		name, header string
		want         pec.ReceiptType
		proof        receipt.Proof
	}{
		{"default", "", pec.ReceiptComplete, receipt.Proof{Result: receipt.Proven, Method: receipt.ProofByCopy}},
		{"complete", "X-TipoRicevuta: completa\r\n", pec.ReceiptComplete, receipt.Proof{Result: receipt.Proven, Method: receipt.ProofByCopy}},
		{"brief", "X-Tiporicevuta: Breve\r\n", pec.ReceiptBrief, receipt.Proof{Result: receipt.Proven, Method: receipt.ProofByHashes, Reading: receipt.HashDecoded}},
		{"concise", "X-TipoRicevuta: sintetica\r\n", pec.ReceiptConcise, receipt.Proof{Result: receipt.NoProof}},
		{"no form", "X-TipoRicevuta: complet\r\n", pec.ReceiptComplete, receipt.Proof{Result: receipt.Proven, Method: receipt.ProofByCopy}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := newTestNetwork(t, pectest.Scenario{})
			m := mail{id: "type", to: []string{comune}, header: test.header + "Content-Type: multipart/mixed; boundary=b\r\n", body: withAttachment}
			send(t, n, m)
			raw := deliveryIn(t, n, studio)
			r, err := receipt.Verify(bytes.NewReader(raw), n.VerifyOptions())
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Data().ReceiptType; got != test.want {
				t.Errorf("ricevuta tipo = %q, want %q", got, test.want)
			}
			got, err := r.Prove(bytes.NewReader(raw), bytes.NewReader(m.bytes()))
			if err != nil {
				t.Fatal(err)
			}
			got = receipt.Proof{Result: got.Result, Method: got.Method, Reading: got.Reading}
			if got != test.proof {
				t.Errorf("Prove = %+v, want %+v", got, test.proof)
			}
		})
	}
}

// TestWhoGetsTheOriginalBack goes through the table of RFC 6109, section 3.3.2: the
// form of the receipt depends on what was asked for and on where the recipient
// stands. In doubt the sender gets the original back.
func TestWhoGetsTheOriginalBack(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{Checks: map[pectest.Check]pectest.Response{
		pectest.CheckRecipients: pectest.RespondNothing, pectest.CheckAddressees: pectest.RespondNothing,
	}})
	const whole, hashes, nothing = "whole", "hashes", "nothing"
	for _, asked := range []struct {
		form                   string
		inTo, inCc, both, none string
	}{
		{"", whole, nothing, whole, whole},
		{"completa", whole, nothing, whole, whole},
		{"breve", hashes, nothing, hashes, hashes},
		{"sintetica", nothing, nothing, nothing, nothing},
	} {
		for _, place := range []struct {
			name   string
			to, cc []string
			want   string
		}{
			{"to", []string{comune}, []string{vicino}, asked.inTo},
			{"cc", []string{vicino}, []string{comune}, asked.inCc},
			{"both", []string{comune}, []string{comune}, asked.both},
			{"neither", []string{vicino}, nil, asked.none},
		} {
			m := mail{id: asked.form + place.name, to: place.to, cc: place.cc, rcpt: []string{comune},
				header: "Content-Type: multipart/mixed; boundary=b\r\n", body: withAttachment}
			if asked.form != "" {
				m.header += "X-TipoRicevuta: " + asked.form + "\r\n"
			}
			send(t, n, m)
			var r *issued
			for raw := range n.Messages(studio) {
				r = readIssued(t, raw) // the last one
			}
			got := whole
			switch {
			case r.original == nil:
				got = nothing
			case bytes.Contains(r.original, []byte("a.pdf.hash")):
				got = hashes
			}
			if got != place.want || r.header.Get("X-Ricevuta") != "avvenuta-consegna" || r.data.Type[0].Value != m.receiptType() {
				t.Errorf("asked for %q of a recipient in %s: %s with %s, ricevuta tipo=%q, want %s", asked.form, place.name,
					r.header.Get("X-Ricevuta"), got, r.data.Type[0].Value, place.want)
			}
		}
	}
}

// TestHashReadings has providers read the rules about hashes in each of the ways
// that they can be read, and the receipt prove the message all the same.
func TestHashReadings(t *testing.T) {
	body := strings.Replace(withAttachment, "UERG", "UERG\r\nUERG", 1)
	texts := map[receipt.HashReading]string{
		receipt.HashDecoded: "PDFPDF", receipt.HashEncoded: "UERG\r\nUERG", receipt.HashEncodedFinal: "UERG\r\nUERG\r\n",
		receipt.HashEncodedLF: "UERG\nUERG", receipt.HashEncodedLFFinal: "UERG\nUERG\n", receipt.HashEncodedJoined: "UERGUERG",
	}
	for reading, text := range texts {
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
			t.Run(fmt.Sprint(reading, " ", hash), func(t *testing.T) {
				t.Parallel()
				sites := fastSites()
				sites[1].HashOf, sites[1].Hash = reading, hash
				n := newNetwork(t, pectest.Config{Sites: sites})
				m := mail{id: "hash", to: []string{comune}, header: "X-TipoRicevuta: breve\r\nContent-Type: multipart/mixed; boundary=b\r\n", body: body}
				send(t, n, m)
				raw := deliveryIn(t, n, studio)
				h := hash.New()
				h.Write([]byte(text))
				if want := fmt.Sprintf("\r\n\r\n%x\r\n", h.Sum(nil)); !bytes.Contains(raw, []byte(want)) {
					t.Errorf("the receipt does not hold %s:\n%s", want, raw)
				}
				r, err := receipt.Verify(bytes.NewReader(raw), n.VerifyOptions())
				if err != nil {
					t.Fatal(err)
				}
				proof, err := r.Prove(bytes.NewReader(raw), bytes.NewReader(m.bytes()))
				if err != nil || proof.Result != receipt.Proven || proof.Reading != reading {
					t.Errorf("Prove = %+v, %v, want it proven by the reading %s", proof, err, reading)
				}
			})
		}
	}
}

// deliveryIn returns the receipt of delivery in a mailbox.
func deliveryIn(t *testing.T, n *pectest.Network, address string) []byte {
	t.Helper()
	for raw := range n.Messages(address) {
		if bytes.Contains(raw, []byte(pec.HeaderReceipt+": "+string(pec.KindDelivery))) {
			return raw
		}
	}
	t.Fatalf("no receipt of delivery\n%s", journal(n))
	return nil
}

// TestBetweenProviders looks at what providers tell each other of malware.
func TestBetweenProviders(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultVirusAtRecipient, Recipient: sindaco}}})
	send(t, n, mail{id: "between", to: []string{comune, sindaco}})
	wantInAnyOrder(t, n, n.Provider("pec.alfa.example").ServiceMailbox().String(),
		"presa-in-carico nessuno", "rilevazione-virus virus "+sindaco+" EICAR-Test-File")
	for raw := range n.Messages(n.Provider("pec.alfa.example").ServiceMailbox().String()) {
		if bytes.Contains(raw, []byte("rilevazione-virus")) && !bytes.Contains(raw, []byte("\r\n"+pec.HeaderSender+": "+studio+"\r\n")) {
			t.Errorf("the notice does not name the sender:\n%s", raw)
		}
	}
	wantInbox(t, n, sindaco)
}

// TestAnswer checks what an answer by PEC refers to: the identifier, which is all
// that its author saw.
func TestAnswer(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{})
	send(t, n, mail{id: "question", to: []string{comune}})
	var seen string
	for raw := range n.Messages(comune) {
		m, err := receipt.VerifyMessage(bytes.NewReader(raw), n.VerifyOptions())
		if err != nil {
			t.Fatal(err)
		}
		seen = m.(*receipt.Transport).Data().ID
	}
	for raw := range n.Messages(comune) {
		// Once on the envelope, and once in the original inside.
		if got := strings.Count(string(raw), "Message-ID: <"+seen+">\r\n"); got != 2 {
			t.Errorf("the identifier stands %d times as a Message-ID, want 2\n%s", got, raw)
		}
	}
}

// FuzzBrief composes brief receipts of anything: they verify, and what is well
// formed is proven by them.
func FuzzBrief(f *testing.F) {
	a := newAuthority(f)
	p := newProvider(f, a, pectest.ProviderConfig{Name: "Gestore Alfa S.p.A.", Domain: "pec.alfa.example", ECDSA: true})
	for _, seed := range []string{
		"", "\r\n", submitted, "a\n\nb\rc\r\n", "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + withAttachment,
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b--",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n--b\r\n--c--\r\n--b--\r\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/x; name=n\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=3\r\n--b--\r\n",
	} {
		f.Add([]byte(seed))
	}
	d := dataOf(pec.KindDelivery)
	f.Fuzz(func(t *testing.T, sent []byte) {
		var b bytes.Buffer
		if err := p.Compose(&b, pectest.Message{Data: d, Form: pec.ReceiptBrief, Original: bytes.NewReader(sent)}); err != nil {
			t.Fatalf("Compose: %v", err)
		}
		if bytes.ContainsAny(sent, "\r\x00") && bytes.Contains(bytes.ReplaceAll(sent, []byte("\r\n"), nil), []byte("\r")) {
			t.Skip() // bare CRs are refused, in a head at least
		}
		if _, err := receipt.Verify(bytes.NewReader(b.Bytes()), options(a)); err != nil {
			t.Fatalf("Verify: %v\n%q", err, b.Bytes())
		}
	})
}
