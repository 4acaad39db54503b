package receipt_test

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// Who may issue a kind of message. Threat model, rule 18.
type competence string

const (
	ofSender    competence = "the sender's provider"
	ofRecipient competence = "the recipient's provider"
	ofEither    competence = "either"
	ofAnybody   competence = "any provider"
)

var competences = map[pec.Kind]competence{
	pec.KindAcceptance:       ofSender,
	pec.KindNonAcceptance:    ofSender,
	pec.KindDeliveryTimeout:  ofSender,
	pec.KindTransport:        ofSender,
	pec.KindServerAcceptance: ofRecipient,
	pec.KindDelivery:         ofRecipient,
	pec.KindVirusDetection:   ofRecipient,
	pec.KindDeliveryError:    ofEither,
	pec.KindAnomaly:          ofAnybody,
}

// three are the providers of the sender, of the recipients and of neither, with a
// directory of all three.
type three struct {
	*network
	gamma *pectest.Provider
}

func newThree(t testing.TB, dialect string) *three {
	t.Helper()
	shared := sharedNetwork(t, dialect)
	n := &network{authority: shared.authority, alfa: shared.alfa, beta: shared.beta}
	gamma := n.provider(t, pectest.ProviderConfig{Dialect: dialects()[dialect], ECDSA: dialect != "opec with SHA-1"}, "Gestore Gamma", "pec.gamma.example")
	n.directory = pec.NewDirectory([]pec.Provider{n.alfa.Record(), n.beta.Record(), gamma.Record()})
	return &three{n, gamma}
}

func TestCompetence(t *testing.T) {
	refused := refusal{receipt.Rejected, receipt.CodeNotCompetent, "certificate"}
	for _, dialect := range dialectNames {
		n := newThree(t, dialect)
		issuers := map[*pectest.Provider][]competence{
			n.alfa:  {ofSender, ofEither, ofAnybody},
			n.beta:  {ofRecipient, ofEither, ofAnybody},
			n.gamma: {ofAnybody},
		}
		for _, c := range allCases() {
			for issuer, may := range issuers {
				t.Run(fmt.Sprintf("%s/%s by %s", dialect, c.name, issuer.Name()), func(t *testing.T) {
					m, err := receipt.VerifyMessage(bytes.NewReader(n.forge(t, c, issuer, nil)), n.options())
					for _, x := range may {
						if x == competences[c.kind] {
							if err != nil {
								t.Errorf("VerifyMessage: %v, want it verified: it comes from %s", err, x)
							}
							return
						}
					}
					wantRefusal(t, m, err, refused)
				})
			}
		}
	}
}

// TestDirectories looks one delivery up in directories that say different things.
func TestDirectories(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	alfa, beta := n.alfa.Record(), n.beta.Record()
	with := func(change func(*pec.Provider)) pec.Directory {
		p := n.beta.Record()
		change(&p)
		return pec.NewDirectory([]pec.Provider{alfa, p})
	}
	notListed := refusal{receipt.Rejected, receipt.CodeNotListed, "certificate"}
	notCompetent := refusal{receipt.Rejected, receipt.CodeNotCompetent, "certificate"}
	tests := []struct {
		name      string
		reason    string
		directory pec.Directory
		want      refusal
	}{
		{"both", "as it should be", pec.NewDirectory([]pec.Provider{alfa, beta}), refusal{}},
		{"domains in capitals", "case is no difference", with(func(p *pec.Provider) { p.Domains = []string{"PEC.Beta.EXAMPLE"} }), refusal{}},
		{"certificate by its hash", "a directory may list the hash alone", with(func(p *pec.Provider) {
			p.Hashes = [][sha1.Size]byte{sha1.Sum(p.Certificates[0])}
			p.Certificates = nil
		}), refusal{}},
		{"domain in a secondary environment", "the secondary environments of a provider are that provider", pec.NewDirectory([]pec.Provider{
			alfa, {Name: beta.Name, Certificates: beta.Certificates, Domains: []string{"pec.altro.example"}},
			{Name: beta.Name, Unit: "due", Domains: beta.Domains},
		}), refusal{}},
		{"empty", "nobody is listed", pec.NewDirectory(nil), notListed},
		{"the zero index", "nobody is listed", &pec.ProviderIndex{}, notListed},
		{"without the certificate", "another key of the provider signed", with(func(p *pec.Provider) { p.Certificates = nil }), notListed},
		{"another certificate", "another key of the provider signed", with(func(p *pec.Provider) { p.Certificates = alfa.Certificates }), notListed},
		{"without the domain", "nobody runs the recipient's domain", with(func(p *pec.Provider) { p.Domains = nil }), notCompetent},
		{"a domain above", "domains are compared whole", with(func(p *pec.Provider) { p.Domains = []string{"beta.example", "example"} }), notCompetent},
		{"a domain below", "domains are compared whole", with(func(p *pec.Provider) { p.Domains = []string{"x.pec.beta.example"} }), notCompetent},
		{"the domain is another's", "the recipient's provider is another", pec.NewDirectory([]pec.Provider{
			alfa, {Name: beta.Name, Certificates: beta.Certificates}, {Name: "Gestore Gamma", Domains: beta.Domains},
		}), notCompetent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opts := n.options()
			opts.Directory = test.directory
			m, err := receipt.VerifyMessage(bytes.NewReader(n.forge(t, caseOf(t, "complete delivery"), n.beta, nil)), opts)
			if test.want != (refusal{}) {
				wantRefusal(t, m, err, test.want)
			} else if err != nil || remarkCodes(m) != "" {
				t.Errorf("VerifyMessage: %v, want it verified without remarks: %s", err, test.reason)
			}
		})
	}
}

// TestEveryRecipientTaken checks all recipients that a provider says it took
// charge of: one that is another's makes the message a lie.
func TestEveryRecipientTaken(t *testing.T) {
	n := sharedNetwork(t, "opec")
	for _, kind := range []pec.Kind{pec.KindServerAcceptance, pec.KindVirusDetection} {
		c := kindCase{name: "taken", kind: kind, byBeta: true, internal: true, edit: func(d *pec.CertData) {
			if d.Kind == pec.KindVirusDetection {
				d.Error = pec.ErrorVirus
			}
			d.Taken = []pec.Address{comune, pec.MustParseAddress("info@mail.example")}
		}}
		m, err := receipt.VerifyMessage(bytes.NewReader(n.forge(t, c, n.beta, nil)), n.options())
		wantRefusal(t, m, err, refusal{receipt.Rejected, receipt.CodeNotCompetent, "certificate"})

		own := c.edit
		c.edit = func(d *pec.CertData) { own(d); d.Taken = d.Taken[:1] }
		if _, err := receipt.VerifyMessage(bytes.NewReader(n.forge(t, c, n.beta, nil)), n.options()); err != nil {
			t.Errorf("%s, of its own recipient: %v, want it verified", kind, err)
		}
	}
}

// TestWithoutDirectory checks that the result says how far it was checked.
func TestWithoutDirectory(t *testing.T) {
	for _, dialect := range dialectNames {
		n := newThree(t, dialect)
		opts := n.options()
		opts.Directory = nil
		for _, c := range allCases() {
			m, err := receipt.VerifyMessage(bytes.NewReader(n.forge(t, c, n.gamma, nil)), opts)
			if err != nil {
				t.Errorf("%s, %s: %v, want it verified: no directory says otherwise", dialect, c.name, err)
			} else if got := remarkCodes(m); got != "directory-not-consulted" {
				t.Errorf("%s, %s: remarks %q, want that no directory was consulted", dialect, c.name, got)
			}
		}
	}
}

// TestWhoItIsAbout checks that recipients are those of the signed data: consegna
// of a delivery, ricezione of taking charge. Threat model, rule 22.
func TestWhoItIsAbout(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	for _, c := range kindCases {
		r, err := receipt.VerifyMessage(bytes.NewReader(n.forge(t, c, n.issuer(c), nil)), n.options())
		if err != nil {
			t.Fatal(err)
		}
		d := dataOf(r)
		names := !d.Delivery.IsZero()
		wantName := c.kind == pec.KindDelivery || c.kind == pec.KindDeliveryError || c.kind == pec.KindDeliveryTimeout || c.kind == pec.KindVirusDetection
		if names != wantName || names && !d.Delivery.Equal(comune) {
			t.Errorf("%s: Delivery is set: %v, want %v", c.name, names, wantName)
		}
		if took := len(d.Taken) > 0; took != (c.kind == pec.KindServerAcceptance) {
			t.Errorf("%s: Taken is set: %v", c.name, took)
		}
		if len(d.Recipients) != 3 {
			t.Errorf("%s: %d recipients, want the whole list of 3", c.name, len(d.Recipients))
		}
	}
}

// TestDataIsACopy checks that nobody can change what was verified.
func TestDataIsACopy(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	for _, name := range []string{"taking in charge", "transport envelope"} {
		c := caseOf(t, name)
		m, err := receipt.VerifyMessage(bytes.NewReader(n.forge(t, c, n.issuer(c), nil)), n.options())
		if err != nil {
			t.Fatal(err)
		}
		d := dataOf(m)
		evil := pec.MustParseAddress("altro@pec.gamma.example")
		d.Recipients[0].Address = evil
		for i := range d.Taken {
			d.Taken[i] = evil
		}
		if o := m.Original(); o != nil {
			o.Offset = 0
		}
		for i := range m.Remarks() {
			m.Remarks()[i].Code = "evil"
		}
		again := dataOf(m)
		if again.Recipients[0].Address.Equal(evil) || len(again.Taken) > 0 && again.Taken[0].Equal(evil) {
			t.Errorf("%s: certified data can be changed from outside", name)
		}
		if o := m.Original(); o != nil && o.Offset == 0 {
			t.Errorf("%s: the place of the original can be changed from outside", name)
		}
		for _, r := range m.Remarks() {
			if r.Code == "evil" {
				t.Errorf("%s: remarks can be changed from outside", name)
			}
		}
	}
}

// TestFreeTextIsKept checks that text which attackers choose comes through as it
// was certified, and into no error. Threat model, rule 24.
func TestFreeTextIsKept(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	const evil = "=cmd|' /C calc'!A0 \r\nX-Ricevuta: accettazione <script>\u202e]]>&amp;\ttab"
	c := caseOf(t, "failure, no such mailbox")
	own := c.edit
	c.edit = func(d *pec.CertData) { own(d); d.Subject, d.ErrorDetail, d.ReplyTo = evil, evil, evil }
	raw := n.forge(t, c, n.beta, &pectest.Tamper{Header: dropHeader("Subject")})
	r, err := receipt.Verify(bytes.NewReader(raw), n.options())
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(evil, "\r\n", "\n") // XML 1.0, section 2.11
	for name, got := range map[string]string{"Subject": r.Data().Subject, "ErrorDetail": r.Data().ErrorDetail, "ReplyTo": r.Data().ReplyTo} {
		if got != want && got != evil {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	raw = n.forge(t, c, n.beta, &pectest.Tamper{
		Header:   dropHeader("Subject"),
		CertData: func(b []byte) []byte { return bytes.Replace(b, []byte("<dati>"), []byte("<dato>"), 1) },
	})
	_, err = receipt.Verify(bytes.NewReader(raw), n.options())
	if err == nil || strings.Contains(err.Error(), "cmd") || strings.ContainsAny(err.Error(), "\r\n\t\x1b") {
		t.Errorf("Verify: %q, want an error that repeats nothing", err)
	}
}
