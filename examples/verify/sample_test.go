package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

var update = flag.Bool("update", false, "make the samples, and what is expected of them, anew")

func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		if err := makeSamples("sample"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

const original = "From: \"Studio Alfa\" <studio@pec.alfa.example>\r\n" +
	"To: Comune di Beta <comune@pec.beta.example>, info@mail.example\r\n" +
	"Subject: Sollecito n. 17\r\n" +
	"Date: Thu, 04 Sep 2025 10:15:28 +0200\r\n" +
	"Message-ID: <6f1c0e2a@pec.alfa.example>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=\"parts\"\r\n\r\n" +
	"--parts\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n" +
	"Egregio Comune,\r\n\r\nsi sollecita il pagamento della fattura allegata.\r\n" +
	"--parts\r\nContent-Type: application/pdf; name=\"fattura.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
	"JVBERi0xLjQKJSBub3QgcmVhbGx5IGEgUERGIGZpbGUK\r\n--parts--\r\n"

const bounce = "From: MAILER-DAEMON@mail.example\r\nTo: studio@pec.alfa.example\r\n" +
	"Subject: Undelivered mail\r\nDate: Thu, 04 Sep 2025 10:16:02 +0200\r\nMessage-ID: <bounce-1@mail.example>\r\n\r\n" +
	"The address info@mail.example does not exist.\r\n"

// sampleMessages are what a sender and a recipient get to see.
func sampleMessages() map[string]struct {
	by     string
	change func(*pectest.Message)
} {
	comune := pec.MustParseAddress("comune@pec.beta.example")
	at := func(m *pectest.Message, seconds int) {
		m.Data.Time = m.Data.Time.Add(time.Duration(seconds) * time.Second)
	}
	type sample = struct {
		by     string
		change func(*pectest.Message)
	}
	return map[string]sample{
		"1-acceptance.eml": {"alfa", func(m *pectest.Message) { m.Data.Kind = pec.KindAcceptance }},
		"2-transport-envelope.eml": {"alfa", func(m *pectest.Message) {
			m.Data.Kind, m.Data.ReceiptType = pec.KindTransport, pec.ReceiptComplete
		}},
		"3-delivery.eml": {"beta", func(m *pectest.Message) {
			m.Data.Kind, m.Data.ReceiptType, m.Data.Delivery = pec.KindDelivery, pec.ReceiptComplete, comune
			at(m, 4)
		}},
		"4-delivery-brief.eml": {"beta", func(m *pectest.Message) {
			m.Data.Kind, m.Data.ReceiptType, m.Data.Delivery = pec.KindDelivery, pec.ReceiptBrief, comune
			at(m, 4)
		}},
		"5-failure.eml": {"beta", func(m *pectest.Message) {
			m.Data.Kind, m.Data.Error, m.Data.Delivery = pec.KindDeliveryError, pec.ErrorOther, comune
			m.Data.ErrorDetail = "5.2.2 - Gestore Beta S.r.l. - casella piena"
			at(m, 5)
		}},
		"6-delay.eml": {"alfa", func(m *pectest.Message) {
			m.Data.Kind, m.Data.Error, m.Data.Delivery = pec.KindDeliveryTimeout, pec.ErrorOther, comune
			m.Data.ErrorDetail = "4.4.1 - Gestore Alfa S.p.A. - nessun esito nelle prime dodici ore"
			at(m, 12*60*60)
		}},
		"7-anomaly-envelope.eml": {"alfa", func(m *pectest.Message) {
			m.Data.Kind, m.Data.ErrorDetail, m.Data.Subject = pec.KindAnomaly, "messaggio di posta ordinaria", "Undelivered mail"
			m.Data.Sender = pec.MustParseAddress("MAILER-DAEMON@mail.example")
			m.Data.Recipients = []pec.Recipient{{Address: pec.MustParseAddress("studio@pec.alfa.example"), Type: pec.RecipientCertified}}
			m.Original = strings.NewReader(bounce)
			at(m, 35)
		}},
	}
}

// makeSamples writes the samples. The keys of their authority exist only here.
func makeSamples(dir string) error {
	at := time.Date(2025, time.September, 4, 8, 15, 30, 0, time.UTC)
	authority, err := pectest.NewAuthority(pectest.AuthorityConfig{Name: "Authority of the samples", Time: at})
	if err != nil {
		return err
	}
	providers := make(map[string]*pectest.Provider)
	for key, config := range map[string]pectest.ProviderConfig{
		"alfa": {Name: "Gestore Alfa S.p.A.", Domain: "pec.alfa.example"},
		"beta": {Name: "Gestore Beta S.r.l.", Domain: "pec.beta.example", Dialect: pectest.JPEC()},
	} {
		if providers[key], err = authority.NewProvider(config); err != nil {
			return err
		}
	}
	ldif, err := authority.LDIF()
	if err != nil {
		return err
	}
	files := map[string][]byte{"issuers.pem": authority.IssuerPEM(), "directory.ldif": ldif}
	for name, sample := range sampleMessages() {
		m := pectest.Message{
			Data: pec.CertData{
				Sender: pec.MustParseAddress("studio@pec.alfa.example"),
				Recipients: []pec.Recipient{
					{Address: pec.MustParseAddress("comune@pec.beta.example"), Type: pec.RecipientCertified},
					{Address: pec.MustParseAddress("info@mail.example"), Type: pec.RecipientOrdinary},
				},
				ReplyTo:   "studio@pec.alfa.example",
				Subject:   "Sollecito n. 17",
				Time:      pectest.Rome(at),
				ID:        "opec00017.20250904101530.00042.117.1.1@pec.alfa.example",
				MessageID: "<6f1c0e2a@pec.alfa.example>",
			},
			Original: strings.NewReader(original),
		}
		sample.change(&m)
		var b bytes.Buffer
		if err := providers[sample.by].Compose(&b, m); err != nil {
			return err
		}
		files[name] = b.Bytes()
	}
	files["altered/delivery.eml"] = bytes.Replace(files["3-delivery.eml"], []byte("si sollecita il pagamento"), []byte("si conferma il pagamento"), 1)
	if err := os.MkdirAll(filepath.Join(dir, "altered"), 0o755); err != nil {
		return err
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// TestSamples checks that the samples are those of the generator, and verify at
// any time.
func TestSamples(t *testing.T) {
	want := sampleMessages()
	for _, now := range []time.Time{time.Now(), time.Date(2045, 1, 1, 0, 0, 0, 0, time.UTC)} {
		opts := receipt.Options{Now: func() time.Time { return now }}
		messages, err := samples(&opts)
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) != len(want) {
			t.Errorf("%d samples, want %d", len(messages), len(want))
		}
		for _, m := range messages {
			sample, ok := want[m.name]
			if !ok {
				t.Errorf("%s is a sample of nothing", m.name)
				continue
			}
			r := m.verify(opts)
			if r.err != nil {
				t.Errorf("%s, in %d: %v", m.name, now.Year(), r.err)
				continue
			}
			var composed pectest.Message
			sample.change(&composed)
			if r.message.Kind() != composed.Data.Kind {
				t.Errorf("%s is a %s, want a %s", m.name, r.message.Kind(), composed.Data.Kind)
			}
		}
	}
}
