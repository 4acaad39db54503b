package receipt_test

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// certified is the instant that the messages of these tests certify.
var certified = pectest.Rome(time.Date(2026, time.September, 4, 8, 15, 30, 0, time.UTC))

// network is two providers of one authority, who write in one dialect.
type network struct {
	authority *pectest.Authority
	alfa      *pectest.Provider // the sender's
	beta      *pectest.Provider // the recipients'
	directory pec.Directory     // of these two

	mu       sync.Mutex
	messages map[string][]byte // :: name of a case → its message, as honest gives it
}

// testAuthority issues all certificates that tests do not want otherwise.
var testAuthority = sync.OnceValues(func() (*pectest.Authority, error) {
	return pectest.NewAuthority(pectest.AuthorityConfig{Time: certified})
})

// newNetwork makes two providers. config is what they have in common.
func newNetwork(t testing.TB, config pectest.ProviderConfig) *network {
	t.Helper()
	a, err := testAuthority()
	if err != nil {
		t.Fatal(err)
	}
	n := &network{authority: a}
	n.alfa = n.provider(t, config, "Gestore Alfa S.p.A.", "pec.alfa.example", "pec.mittente.example")
	n.beta = n.provider(t, config, "Gestore Beta S.r.l.", "pec.beta.example")
	n.directory = pec.NewDirectory([]pec.Provider{n.alfa.Record(), n.beta.Record()})
	return n
}

func (n *network) provider(t testing.TB, config pectest.ProviderConfig, name string, domains ...string) *pectest.Provider {
	t.Helper()
	config.Name, config.Domain, config.Domains = name, domains[0], domains
	p, err := n.authority.NewProvider(config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (n *network) options() receipt.Options {
	return receipt.Options{
		Trust:     n.authority.Trust(),
		Directory: n.directory,
		At:        certified.Add(time.Second),
		Now:       func() time.Time { return certified.Add(time.Minute) },
	}
}

// sent is the message that the receipts are about.
const sent = "From: Studio Rossi <studio@pec.mittente.example>\r\n" +
	"To: comune@pec.beta.example, info@mail.example\r\n" +
	"Cc: Sindaco <sindaco@pec.beta.example>\r\n" +
	"Subject: =?utf-8?Q?Sollecito_n=C2=B0_17?=\r\n" +
	"Date: Fri, 04 Sep 2026 10:15:29 +0200\r\n" +
	"Message-ID: <6f1c0e@pec.mittente.example>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=\"b1\"\r\n" +
	"\r\n" +
	"A message in parts.\r\n" +
	"--b1\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"Content-Transfer-Encoding: quoted-printable\r\n" +
	"\r\n" +
	"Egregio Comune,\r\n\r\n.perch=C3=A9?\r\n" +
	"--b1\r\n" +
	"Content-Type: application/pdf; name=\"fattura.pdf\"\r\n" +
	"Content-Transfer-Encoding: base64\r\n" +
	"Content-Disposition: attachment; filename=\"fattura.pdf\"\r\n" +
	"\r\n" +
	"JVBERi0xLjQKJSBub3QgcmVhbGx5IGEgUERGIGZpbGUsIGJ1dCBsb25nIGVub3VnaCBmb3IgdHdv\r\n" +
	"IGxpbmVzIG9mIHRleHQK\r\n" +
	"--b1\r\n" +
	"Content-Type: multipart/alternative; boundary=\"b1-2\"\r\n" +
	"\r\n" +
	"--b1-2\r\n" +
	"Content-Type: text/plain\r\n" +
	"\r\n" +
	"--b1 is how a part begins\r\n" +
	"--b1-2\r\n" +
	"Content-Type: text/csv\r\n" +
	"Content-Disposition: attachment; filename*=utf-8''t%C3%A0bella.csv\r\n" +
	"\r\n" +
	"a,b\r\n1,2\r\n" +
	"\r\n" +
	"--b1-2--\r\n" +
	"\r\n" +
	"--b1\r\n" +
	"Content-Type: message/rfc822\r\n" +
	"\r\n" +
	"Subject: a message in the message\r\n" +
	"\r\n" +
	"Hello.\r\n" +
	"--b1--\r\n" +
	"The end.\r\n"

// data returns certification data of a kind, about the message sent.
func (n *network) data(kind pec.Kind) pec.CertData {
	address := pec.MustParseAddress
	return pec.CertData{
		Kind:   kind,
		Error:  pec.ErrorNone,
		Sender: address("studio@pec.mittente.example"),
		Recipients: []pec.Recipient{
			{Address: address("comune@pec.beta.example"), Type: pec.RecipientCertified},
			{Address: address("info@mail.example"), Type: pec.RecipientOrdinary},
			{Address: address("sindaco@pec.beta.example"), Type: pec.RecipientCertified},
		},
		ReplyTo:   "studio@pec.mittente.example",
		Subject:   "Sollecito n° 17",
		Issuer:    n.alfa.Name(),
		Time:      certified,
		ID:        "alfa1.20260904101530.00001.1.1.1@pec.alfa.example",
		MessageID: "<6f1c0e@pec.mittente.example>",
	}
}

// a kindCase is one of the messages that a provider issues.
type kindCase struct {
	name     string
	kind     pec.Kind
	byBeta   bool
	internal bool // goes to the provider of the sender
	edit     func(*pec.CertData)
}

var comune = pec.MustParseAddress("comune@pec.beta.example")

func failure(code pec.ErrorCode, detail string) func(*pec.CertData) {
	return func(d *pec.CertData) { d.Error, d.ErrorDetail, d.Delivery = code, detail, comune }
}

func delivery(form pec.ReceiptType) func(*pec.CertData) {
	return func(d *pec.CertData) { d.ReceiptType, d.Delivery = form, comune }
}

// kindCases are all kinds of RFC 6109, section 3, but for the anomaly envelope.
var kindCases = []kindCase{
	{name: "acceptance", kind: pec.KindAcceptance},
	{name: "non-acceptance", kind: pec.KindNonAcceptance, edit: func(d *pec.CertData) {
		d.Error, d.ErrorDetail = pec.ErrorOther, "destinatario in copia nascosta non ammesso"
	}},
	{name: "non-acceptance for malware", kind: pec.KindNonAcceptance, edit: func(d *pec.CertData) {
		d.Error, d.ErrorDetail = pec.ErrorVirus, "EICAR-Test-File"
	}},
	{name: "taking in charge", kind: pec.KindServerAcceptance, byBeta: true, internal: true, edit: func(d *pec.CertData) {
		d.Taken = []pec.Address{comune, pec.MustParseAddress("sindaco@pec.beta.example")}
	}},
	{name: "complete delivery", kind: pec.KindDelivery, byBeta: true, edit: delivery(pec.ReceiptComplete)},
	{name: "brief delivery", kind: pec.KindDelivery, byBeta: true, edit: delivery(pec.ReceiptBrief)},
	{name: "concise delivery", kind: pec.KindDelivery, byBeta: true, edit: delivery(pec.ReceiptConcise)},
	{name: "failure, no such mailbox", kind: pec.KindDeliveryError, byBeta: true, edit: failure(pec.ErrorNoRecipient, "5.1.1 - Gestore Beta S.r.l. - casella inesistente")},
	{name: "failure, no such domain", kind: pec.KindDeliveryError, edit: failure(pec.ErrorNoDomain, "5.1.2 - Gestore Alfa S.p.A. - dominio inesistente")},
	{name: "failure for malware", kind: pec.KindDeliveryError, edit: failure(pec.ErrorVirus, "EICAR-Test-File")},
	{name: "malware found", kind: pec.KindVirusDetection, byBeta: true, internal: true, edit: failure(pec.ErrorVirus, "EICAR-Test-File")},
	{name: "first timeout", kind: pec.KindDeliveryTimeout, edit: failure(pec.ErrorOther, "4.4.1 - Gestore Alfa S.p.A. - nessun esito nelle prime dodici ore")},
	{name: "second timeout", kind: pec.KindDeliveryTimeout, edit: failure(pec.ErrorOther, "5.4.1 - Gestore Alfa S.p.A. - nessun esito in ventiquattro ore")},
	{name: "transport envelope", kind: pec.KindTransport, edit: func(d *pec.CertData) { d.ReceiptType = pec.ReceiptComplete }},
}

func (n *network) compose(t testing.TB, c kindCase) ([]byte, pec.CertData) {
	t.Helper()
	d := n.data(c.kind)
	issuer := n.alfa
	if c.byBeta {
		issuer = n.beta
		d.Issuer = n.beta.Name()
	}
	if c.edit != nil {
		c.edit(&d)
	}
	m := pectest.Message{Data: d, Original: strings.NewReader(sent)}
	if c.internal {
		m.To = n.alfa.ServiceMailbox()
	}
	var b bytes.Buffer
	if err := issuer.Compose(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), d
}

// dialects are the ways of writing that are known of.
func dialects() map[string]pectest.Dialect {
	old := pectest.OPEC()
	old.Digest = crypto.SHA1
	return map[string]pectest.Dialect{"opec": pectest.OPEC(), "opec with SHA-1": old, "jpec": pectest.JPEC()}
}

func TestEveryKindInEveryDialect(t *testing.T) {
	t.Parallel()
	for _, name := range dialectNames {
		n := rsaNetwork(t, name)
		for _, c := range kindCases {
			t.Run(name+"/"+c.name, func(t *testing.T) { n.checkKind(t, c) })
		}
	}
}

func (n *network) checkKind(t *testing.T, c kindCase) {
	raw, want := n.compose(t, c)
	m, err := receipt.VerifyMessage(bytes.NewReader(raw), n.options())
	if err != nil {
		t.Fatalf("VerifyMessage: %v\n%s", err, raw)
	}
	if m.Kind() != c.kind {
		t.Errorf("Kind() = %q, want %q", m.Kind(), c.kind)
	}
	var got pec.CertData
	switch m := m.(type) {
	case *receipt.Receipt:
		got = m.Data()
	case *receipt.Transport:
		got = m.Data()
	}
	if diff := diffData(&want, &got); diff != "" {
		t.Errorf("certified data (-composed +verified):\n%s", diff)
	}
	if m.TimeBasis() != receipt.TimeArrival {
		t.Errorf("TimeBasis() = %q, want %q", m.TimeBasis(), receipt.TimeArrival)
	}
	checkRemarks(t, n, m.Remarks())
}

// diffData says how certification data differ.
func diffData(want, got *pec.CertData) string {
	return cmp.Diff(want, got, cmp.Comparer(pec.Address.Equal), cmp.Comparer(time.Time.Equal))
}

// checkRemarks allows the remarks that these messages deserve, and no other.
func checkRemarks(t *testing.T, n *network, remarks []receipt.Remark) {
	t.Helper()
	for _, r := range remarks {
		if r.Code != receipt.RemarkNotChecked && r.Code != receipt.RemarkWeakDigest {
			t.Errorf("remark %s: %s", r.Code, r.Text)
		}
	}
}

func TestAnomalyEnvelope(t *testing.T) {
	t.Parallel()
	const ordinary = "Received: from mail.example by mx\r\n" +
		"From: \"Someone\" <someone@mail.example>\r\nTo: comune@pec.beta.example\r\n" +
		"Subject: Re: =?utf-8?q?citt=C3=A0?=\r\nMessage-ID: <1@mail.example>\r\n\r\nHello.\r\n"
	for _, name := range dialectNames {
		t.Run(name, func(t *testing.T) {
			n := rsaNetwork(t, name)
			d := n.data(pec.KindAnomaly)
			d.Sender = pec.MustParseAddress("someone@mail.example")
			d.Subject, d.ErrorDetail = "Re: città", "firma assente"
			var b bytes.Buffer
			if err := n.beta.Compose(&b, pectest.Message{Data: d, Original: strings.NewReader(ordinary)}); err != nil {
				t.Fatal(err)
			}
			raw := b.Bytes()
			m, err := receipt.VerifyMessage(bytes.NewReader(raw), n.options())
			if err != nil {
				t.Fatalf("VerifyMessage: %v\n%s", err, raw)
			}
			if _, ok := m.(*receipt.Anomaly); !ok {
				t.Fatalf("VerifyMessage gave a %T, want an *Anomaly", m)
			}
			checkRemarks(t, n, m.Remarks())
			if o := m.Original(); o == nil {
				t.Error("Original() = nil, want the message received")
			} else if got := raw[o.Offset : o.Offset+o.Size]; string(got) != ordinary {
				t.Errorf("Original() is\n%s\nwant the message received", got)
			}
		})
	}
}

// TestProofOfContent proves the message sent by every form of delivery receipt,
// whatever the provider took the hashes of.
func TestProofOfContent(t *testing.T) {
	t.Parallel()
	readings := []receipt.HashReading{
		receipt.HashDecoded, receipt.HashEncoded, receipt.HashEncodedFinal,
		receipt.HashEncodedLF, receipt.HashEncodedLFFinal, receipt.HashEncodedJoined,
	}
	for _, reading := range readings {
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
			n := newNetwork(t, pectest.ProviderConfig{Dialect: pectest.JPEC(), HashOf: reading, Hash: hash, ECDSA: true})
			for form, want := range map[pec.ReceiptType]receipt.Proof{
				pec.ReceiptComplete: {Result: receipt.Proven, Method: receipt.ProofByCopy},
				pec.ReceiptBrief:    {Result: receipt.Proven, Method: receipt.ProofByHashes, Reading: reading, Hash: hash},
				pec.ReceiptConcise:  {Result: receipt.NoProof},
			} {
				t.Run(fmt.Sprintf("%s/%v/%s", reading, hash, form), func(t *testing.T) {
					raw, _ := n.compose(t, kindCase{kind: pec.KindDelivery, byBeta: true, edit: delivery(form)})
					r, err := receipt.Verify(bytes.NewReader(raw), n.options())
					if err != nil {
						t.Fatal(err)
					}
					got, err := r.Prove(bytes.NewReader(raw), strings.NewReader(sent))
					if err != nil {
						t.Fatal(err)
					}
					if want.Result == receipt.NoProof {
						got.Reason = ""
					}
					if got != want {
						t.Errorf("Prove = %+v, want %+v\n%s", got, want, raw)
					}
				})
			}
		}
	}
}

// TestOriginalInDelivery checks that the original in a complete receipt is the
// message sent, but for what the provider must change.
func TestOriginalInDelivery(t *testing.T) {
	n := rsaNetwork(t, "jpec")
	raw, d := n.compose(t, kindCase{kind: pec.KindDelivery, byBeta: true, edit: delivery(pec.ReceiptComplete)})
	m, err := receipt.Verify(bytes.NewReader(raw), n.options())
	if err != nil {
		t.Fatal(err)
	}
	o := m.Original()
	got := string(raw[o.Offset : o.Offset+o.Size])
	want := strings.Replace(sent, d.MessageID, "<"+d.ID+">", 1)
	want = strings.Replace(want, "\r\n\r\n", "\r\n"+pec.HeaderReference+": "+d.MessageID+"\r\n\r\n", 1)
	if got != want {
		t.Errorf("the original is\n%s\nwant\n%s", got, want)
	}
}

func TestKindCasesAreComplete(t *testing.T) {
	for _, kind := range pec.Kinds() {
		if kind != pec.KindAnomaly && !slices.ContainsFunc(kindCases, func(c kindCase) bool { return c.kind == kind }) {
			t.Errorf("no case of kind %q", kind)
		}
	}
}

// TestZeroValues checks that what nobody verified says nothing.
func TestZeroValues(t *testing.T) {
	var r receipt.Receipt
	p, err := r.Prove(strings.NewReader(""), strings.NewReader(""))
	if _, failed := r.Cause(); failed || r.Kind().Known() || r.Timeout() != "" || r.Original() != nil || p.Result != receipt.NoProof || err != nil {
		t.Errorf("the zero Receipt says something: %v, %v", p, err)
	}
	if v := receipt.Verdict(""); v == receipt.Verified || receipt.VerdictOf(fmt.Errorf("anything")) != v {
		t.Error("no verdict passes for one")
	}
	if m, err := receipt.VerifyMessage(strings.NewReader(""), receipt.Options{}); m != nil || err == nil {
		t.Errorf("VerifyMessage of nothing, with no options: %v, %v", m, err)
	}
}
