package pec_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// write returns the document of d.
func write(d *pec.CertData) (string, error) {
	var b strings.Builder
	n, err := d.WriteTo(&b)
	if err == nil && n != int64(b.Len()) {
		err = errors.New("WriteTo returned another length than it wrote")
	}
	return b.String(), err
}

func TestCertDataWriteTo(t *testing.T) {
	acceptance := &pec.CertData{
		Kind:   pec.KindAcceptance,
		Sender: pec.MustParseAddress("studio@pec.alfa.example"),
		Recipients: []pec.Recipient{
			{Address: pec.MustParseAddress("comune@pec.beta.example")},
			{Address: pec.MustParseAddress("info@mail.example"), Type: pec.RecipientOrdinary},
		},
		ReplyTo:   "studio@pec.alfa.example",
		Subject:   `Perché <urgente> & "vero"`,
		Issuer:    "Gestore Alfa S.p.A.",
		Time:      time.Date(2026, 1, 4, 10, 15, 30, 999, time.FixedZone("x", -12600)),
		ID:        "alfa1.1@pec.alfa.example",
		MessageID: "<6f1c0e@pec.alfa.example>",
	}
	const want = `<?xml version="1.0" encoding="UTF-8"?>
<postacert tipo="accettazione" errore="nessuno">
  <intestazione>
    <mittente>studio@pec.alfa.example</mittente>
    <destinatari tipo="certificato">comune@pec.beta.example</destinatari>
    <destinatari tipo="esterno">info@mail.example</destinatari>
    <risposte>studio@pec.alfa.example</risposte>
    <oggetto>Perché &lt;urgente&gt; &amp; &quot;vero&quot;</oggetto>
  </intestazione>
  <dati>
    <gestore-emittente>Gestore Alfa S.p.A.</gestore-emittente>
    <data zona="-0330"><giorno>04/01/2026</giorno><ora>10:15:30</ora></data>
    <identificativo>alfa1.1@pec.alfa.example</identificativo>
    <msgid>&lt;6f1c0e@pec.alfa.example&gt;</msgid>
  </dati>
</postacert>
`
	if got, err := write(acceptance); got != want || err != nil {
		t.Errorf("WriteTo = %s, %v, want %s", got, err, want)
	}
	got, err := write(wantDelivery())
	if err != nil || !strings.Contains(got, "    <ricevuta tipo=\"completa\"/>\n    <consegna>comune@pec.beta.example</consegna>\n") {
		t.Errorf("WriteTo = %s, %v, want ricevuta and consegna after msgid", got, err)
	}
}

// TestCertDataRoundTrip writes documents of every kind and reads them back.
func TestCertDataRoundTrip(t *testing.T) {
	recipient := pec.MustParseAddress("comune@pec.beta.example")
	tests := map[string]func(d *pec.CertData){
		"delivery": func(d *pec.CertData) {},
		"failure": func(d *pec.CertData) {
			d.Kind, d.Error, d.ReceiptType, d.ErrorDetail = pec.KindDeliveryError, pec.ErrorOther, "", "5.2.2 - Gestore Beta - casella piena"
		},
		"timeout": func(d *pec.CertData) {
			d.Kind, d.ReceiptType, d.ErrorDetail = pec.KindDeliveryTimeout, "", "5.4.1 - Gestore Alfa - ventiquattro ore"
		},
		"acceptance": func(d *pec.CertData) {
			d.Kind, d.ReceiptType, d.Delivery = pec.KindAcceptance, "", pec.Address{}
		},
		"non-acceptance": func(d *pec.CertData) {
			d.Kind, d.Error, d.ReceiptType, d.Delivery = pec.KindNonAcceptance, pec.ErrorVirus, "", pec.Address{}
		},
		"taking charge": func(d *pec.CertData) {
			d.Kind, d.ReceiptType, d.Delivery, d.Taken = pec.KindServerAcceptance, "", pec.Address{}, []pec.Address{recipient}
		},
		"virus": func(d *pec.CertData) {
			d.Kind, d.Error, d.ReceiptType, d.ErrorDetail = pec.KindVirusDetection, pec.ErrorVirus, "", "EICAR-Test-File"
		},
		"transport": func(d *pec.CertData) {
			d.Kind, d.ReceiptType, d.Delivery = pec.KindTransport, pec.ReceiptConcise, pec.Address{}
		},
		"odd text": func(d *pec.CertData) {
			d.Subject, d.Issuer, d.ReplyTo = "]]> \t\r\r\n\n<!-- &lt; \u0085\u2028\U0001f4e8", " ", "<a&b>"
		},
		"little": func(d *pec.CertData) { d.Subject, d.ReplyTo, d.MessageID, d.Issuer, d.ReceiptType = "", "", "", "", "" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			d := wantDelivery()
			change(d)
			doc, err := write(d)
			if err != nil {
				t.Fatalf("WriteTo(%+v): %v", d, err)
			}
			if back, err := read(doc); err != nil || !sameCertData(d, back) {
				t.Errorf("ReadCertData(%s) = %+v, %v, want %+v", doc, back, err, d)
			}
		})
	}
}

func TestCertDataWriteToRefuses(t *testing.T) {
	tests := []struct {
		name, reason string
		change       func(d *pec.CertData)
		want         error
	}{
		{"zero value", "nothing is filled in for the caller", func(d *pec.CertData) { *d = pec.CertData{} }, pec.ErrCertDataKind},
		{"no sender", "required", func(d *pec.CertData) { d.Sender = pec.Address{} }, pec.ErrCertDataForm},
		{"no recipients", "at least one", func(d *pec.CertData) { d.Recipients = nil }, pec.ErrCertDataForm},
		{"no time", "required", func(d *pec.CertData) { d.Time = time.Time{} }, pec.ErrCertDataForm},
		{"far future", "years have four digits", func(d *pec.CertData) { d.Time = d.Time.AddDate(9000, 0, 0) }, pec.ErrCertDataForm},
		{"offset with seconds", "zona has minutes", func(d *pec.CertData) { d.Time = d.Time.In(time.FixedZone("", 2996)) }, pec.ErrCertDataForm},
		{"no identifier", "required", func(d *pec.CertData) { d.ID = "" }, pec.ErrCertDataForm},
		{"blanks around an identifier", "a reader drops them", func(d *pec.CertData) { d.ID += " " }, pec.ErrCertDataForm},
		{"blanks around a Message-ID", "a reader drops them", func(d *pec.CertData) { d.MessageID = "\n" + d.MessageID }, pec.ErrCertDataForm},
		{"blank Message-ID", "a reader takes it for none", func(d *pec.CertData) { d.MessageID = " " }, pec.ErrCertDataForm},
		{"control character", "no character of XML", func(d *pec.CertData) { d.Subject = "\x1b[2J" }, pec.ErrCertDataXML},
		{"not UTF-8", "not text", func(d *pec.CertData) { d.Issuer = "\xe9" }, pec.ErrCertDataXML},
		{"quote in errore", "escaped, and unknown", func(d *pec.CertData) { d.Error = `nessuno" x="` }, pec.ErrCertDataForm},
		{"delivery to nobody", "the kind needs it", func(d *pec.CertData) { d.Delivery = pec.Address{} }, pec.ErrCertDataConflict},
		{"delivery with an error", "the kind has none", func(d *pec.CertData) { d.Error = pec.ErrorOther }, pec.ErrCertDataConflict},
		{"delivery to a stranger", "one of the recipients", func(d *pec.CertData) { d.Delivery = d.Sender }, pec.ErrCertDataConflict},
		{"long subject", "a reader would refuse it", func(d *pec.CertData) { d.Subject = strings.Repeat("x", 64<<10+1) }, pec.ErrCertDataLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := wantDelivery()
			test.change(d)
			doc, err := write(d)
			var at *pec.CertDataError
			if doc != "" || !errors.Is(err, test.want) || !errors.As(err, &at) {
				t.Errorf("WriteTo(%+v) wrote %q, error %v, want nothing written and %v (%s)", d, doc, err, test.want, test.reason)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := wantDelivery().WriteTo(brokenWriter{broken}); !errors.Is(err, broken) {
		t.Errorf("WriteTo a broken writer: %v, want its error", err)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

var _ io.WriterTo = (*pec.CertData)(nil)
