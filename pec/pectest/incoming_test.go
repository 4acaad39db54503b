package pectest_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
)

// TestIncomingPoint hands an incoming point what may reach it from outside: RFC
// 6109, section 2.2.2. What is no valid PEC arrives in an anomaly envelope that
// says why, or is refused where a provider takes no ordinary mail.
func TestIncomingPoint(t *testing.T) {
	n := pectest.New(t, pectest.Config{Start: present, Frozen: true})
	beta := n.Provider("pec.beta.example")
	unlisted := newProvider(t, n.Authority(), pectest.ProviderConfig{Name: "Gestore Beta S.r.l.", Domain: "pec.beta.example", Unlisted: true})
	expired := newProvider(t, n.Authority(), pectest.ProviderConfig{Name: "Scaduto", Domain: "pec.beta.example", Unlisted: true, Certificate: func(c *x509.Certificate) {
		c.NotAfter = present.Add(-time.Hour)
	}})
	stranger := newProvider(t, newAuthority(t), pectest.ProviderConfig{Name: "Gestore Beta S.r.l.", Domain: "pec.beta.example"})
	replaceData := func(old, replacement string) *pectest.Tamper {
		return &pectest.Tamper{CertData: func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(replacement), 1) }}
	}
	tests := []struct {
		name   string
		by     *pectest.Provider // ordinary mail if nil
		tamper *pectest.Tamper
		want   string // reason; empty for a message that goes through as it is
	}{
		{"receipt", beta, nil, ""},
		{"ordinary mail", nil, nil, "messaggio di posta ordinaria"},
		{"not signed", beta, &pectest.Tamper{Unsigned: true}, "messaggio di posta ordinaria"},
		{"altered", beta, &pectest.Tamper{Altered: func(b []byte) []byte { return bytes.Replace(b, []byte("comune@"), []byte("sindaco@"), 1) }}, "firma non valida"},
		{"signer of another authority", stranger, nil, "firma non appartenente a un gestore"},
		{"signer not in the directory", unlisted, nil, "firma non appartenente a un gestore"},
		{"certificate expired", expired, nil, "certificato di firma scaduto o revocato"},
		{"of a provider, with another form", beta, replaceData("avvenuta-consegna", "consegna"), "formato del messaggio non valido"},
		{"of a provider, with two certified data", beta, &pectest.Tamper{Parts: []string{"Content-Type: application/xml; name=daticert.xml\r\n\r\n<postacert/>"}}, "formato del messaggio non valido"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			to := fmt.Sprintf("casella%d@pec.alfa.example", i)
			raw := mail{id: "ordinary", from: privato, to: []string{to}}.bytes()
			if test.by != nil {
				raw = compose(t, test.by, pectest.Message{Data: incomingData(to), Tamper: test.tamper})
			}
			if err := n.Submit(n.Account(privato), []string{to}, bytes.NewReader(raw)); err != nil {
				t.Fatal(err)
			}
			settle(t, n)
			arrived := messages(n, to)
			if len(arrived) != 1 {
				t.Fatalf("%d messages arrived, want one\n%s", len(arrived), journal(n))
			}
			if !bytes.Contains(arrived[0], raw) {
				t.Errorf("what arrived does not hold the message as it was:\n%s", arrived[0])
			}
			if test.want == "" {
				if !bytes.HasSuffix(arrived[0], raw) {
					t.Errorf("the receipt was changed:\n%s", arrived[0])
				}
				return
			}
			if m := readIssued(t, arrived[0]); m.header.Get("X-Trasporto") != "errore" || !strings.Contains(m.plain, "motivo: "+test.want) {
				t.Errorf("X-Trasporto: %s, text %q: want an anomaly envelope because of %q", m.header.Get("X-Trasporto"), m.plain, test.want)
			}
		})
	}
	if got := count(n, ofKind(pectest.EventNotice)) + count(n, ofKind(pectest.EventReceipt)); got != 0 {
		t.Errorf("the providers issued %d receipts and notices about mail that nobody certified\n%s", got, journal(n))
	}
}

// incomingData is what a receipt of delivery to somebody certifies. Its
// transmission is of another day.
func incomingData(to string) pec.CertData {
	d := dataOf(pec.KindDelivery)
	d.Sender = pec.MustParseAddress(to)
	d.Recipients = []pec.Recipient{{Address: pec.MustParseAddress(comune)}}
	d.Delivery = d.Recipients[0].Address
	return d
}

func messages(n *pectest.Network, address string) [][]byte {
	var list [][]byte
	for raw := range n.Messages(address) {
		list = append(list, raw)
	}
	return list
}

// TestExpiredProvider has the certificate of one provider of a network run out:
// what it issues is ordinary mail to the others.
func TestExpiredProvider(t *testing.T) {
	sites := []pectest.SiteConfig{
		{ProviderConfig: pectest.ProviderConfig{Name: "Gestore Alfa S.p.A.", Domain: "pec.alfa.example"}},
		{ProviderConfig: pectest.ProviderConfig{Name: "Gestore Beta S.r.l.", Domain: "pec.beta.example", Certificate: func(c *x509.Certificate) {
			c.NotAfter = present.Add(-time.Hour)
		}}},
	}
	n := pectest.New(t, pectest.Config{Start: present, Frozen: true, Sites: sites})
	send(t, n, mail{id: "expired", to: []string{comune}})
	wantInbox(t, n, studio, "accettazione nessuno", "anomaly")
	wantInbox(t, n, "ricevute@pec.alfa.example", "anomaly")
	n.Advance(24 * time.Hour)
	wantInbox(t, n, studio, "accettazione nessuno", "anomaly",
		"preavviso-errore-consegna altro "+comune+" 4.4.1", "preavviso-errore-consegna altro "+comune+" 5.4.1")
}

// TestVirusInEnvelope has malware pass the sender's provider, and the recipients'
// find it: it takes charge, and then tells the sender's provider of each
// recipient. RFC 6109, sections 2.2.2 and 3.2.3.
func TestVirusInEnvelope(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{Checks: map[pectest.Check]pectest.Response{pectest.CheckVirus: pectest.RespondNothing}})
	send(t, n, mail{id: "virus", to: []string{comune, sindaco}, body: eicar})
	wantInAnyOrder(t, n, "ricevute@pec.alfa.example", "presa-in-carico nessuno",
		"rilevazione-virus virus "+comune+" EICAR-Test-File", "rilevazione-virus virus "+sindaco+" EICAR-Test-File")
	wantInAnyOrder(t, n, studio, "accettazione nessuno",
		"errore-consegna virus "+comune+" EICAR-Test-File", "errore-consegna virus "+sindaco+" EICAR-Test-File")
	wantInbox(t, n, comune)
	wantInbox(t, n, sindaco)
	n.Advance(24 * time.Hour)
	if got := len(inbox(t, n, studio)); got != 3 {
		t.Errorf("after a day the sender has %d messages, want no notice more than 3\n%s", got, journal(n))
	}
}
