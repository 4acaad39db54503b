package pec_test

import (
	"net/textproto"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/internal/rawmime"
	"github.com/ceralacca/go-pec/pec"
)

// rawmime.Head and net/textproto's headers can be classified as they are.
var (
	_ pec.Header = (*rawmime.Head)(nil)
	_ pec.Header = textproto.MIMEHeader(nil)
)

// head parses lines into a header.
func head(t testing.TB, lines ...string) *rawmime.Head {
	t.Helper()
	h, err := rawmime.ParseHead([]byte(strings.Join(lines, "\r\n")+"\r\n"), rawmime.HeadLimits{})
	if err != nil {
		t.Fatalf("ParseHead(%q): %v", lines, err)
	}
	return h
}

func TestClassify(t *testing.T) {
	tests := []struct {
		name   string
		reason string
		head   []string
		want   pec.Class
	}{
		{
			"receipt", "the usual head of a receipt",
			[]string{"Message-ID: <r1@pec.alfa.example>", "X-Ricevuta: avvenuta-consegna", "X-Riferimento-Message-ID: <m1@pec.alfa.example>", "Content-Type: multipart/signed"},
			pec.Class{Category: pec.CategoryReceipt, Kind: pec.KindDelivery, MessageID: "<r1@pec.alfa.example>", Reference: "<m1@pec.alfa.example>"},
		},
		{
			"refusal", "the word of an acceptance stands in that of a refusal",
			[]string{"X-Ricevuta: non-accettazione"},
			pec.Class{Category: pec.CategoryReceipt, Kind: pec.KindNonAcceptance},
		},
		{
			"acceptance", "and the other way round",
			[]string{"X-Ricevuta: accettazione"},
			pec.Class{Category: pec.CategoryReceipt, Kind: pec.KindAcceptance},
		},
		{
			"case and blanks", "values are trimmed and folded, names too",
			[]string{"x-RICEVUTA: \t Accettazione  "},
			pec.Class{Category: pec.CategoryReceipt, Kind: pec.KindAcceptance},
		},
		{
			"unknown word", "a kind of tomorrow is a receipt all the same, and keeps its word",
			[]string{"X-Ricevuta: Presa-Visione"},
			pec.Class{Category: pec.CategoryReceipt, Kind: "presa-visione"},
		},
		{
			"whole values", "more than one word is none of them",
			[]string{"X-Ricevuta: accettazione avvenuta-consegna"},
			pec.Class{Category: pec.CategoryReceipt, Kind: "accettazione avvenuta-consegna"},
		},
		{
			"empty word", "the field is there",
			[]string{"X-Ricevuta:"},
			pec.Class{Category: pec.CategoryReceipt},
		},
		{
			"transport", "somebody's message",
			[]string{"X-Trasporto: posta-certificata", "Message-ID: <p1@pec.alfa.example>"},
			pec.Class{Category: pec.CategoryTransport, Kind: pec.KindTransport, MessageID: "<p1@pec.alfa.example>"},
		},
		{
			"anomaly", "told by one word, whatever lies in it",
			[]string{"X-Trasporto: errore", "Content-Type: multipart/signed"},
			pec.Class{Category: pec.CategoryAnomaly, Kind: pec.KindAnomaly},
		},
		{
			"unknown transport", "neither word: not an envelope",
			[]string{"X-Trasporto: posta"},
			pec.Class{Category: pec.CategoryOrdinary},
		},
		{
			"receipt and transport", "the receipt comes first, and the head contradicts itself",
			[]string{"X-Trasporto: errore", "X-Ricevuta: accettazione"},
			pec.Class{Category: pec.CategoryReceipt, Kind: pec.KindAcceptance, Suspicious: true},
		},
		{
			"an envelope's word in X-Ricevuta", "no receipt is called so",
			[]string{"X-Ricevuta: posta-certificata"},
			pec.Class{Category: pec.CategoryReceipt, Kind: pec.KindTransport, Suspicious: true},
		},
		{
			"this package's label in X-Ricevuta", "it stands on no wire",
			[]string{"X-Ricevuta: anomalia"},
			pec.Class{Category: pec.CategoryReceipt, Kind: pec.KindAnomaly, Suspicious: true},
		},
		{
			"two different words", "the first counts, with suspicion",
			[]string{"X-Ricevuta: accettazione", "X-Ricevuta: errore-consegna"},
			pec.Class{Category: pec.CategoryReceipt, Kind: pec.KindAcceptance, Suspicious: true},
		},
		{
			"the same word twice", "no contradiction",
			[]string{"X-Ricevuta: accettazione", "X-Ricevuta: ACCETTAZIONE"},
			pec.Class{Category: pec.CategoryReceipt, Kind: pec.KindAcceptance},
		},
		{
			"two references", "which one is answered?",
			[]string{"X-Ricevuta: accettazione", "X-Riferimento-Message-ID: <a@x>", "X-Riferimento-Message-ID: <A@x>"},
			pec.Class{Category: pec.CategoryReceipt, Kind: pec.KindAcceptance, Reference: "<a@x>", Suspicious: true},
		},
		{
			"two Message-IDs", "identifiers are told apart by case too",
			[]string{"Message-ID: <b@x>", "Message-ID: <B@x>"},
			pec.Class{Category: pec.CategoryOrdinary, MessageID: "<b@x>", Suspicious: true},
		},
		{
			"REM", "the successor",
			[]string{"REM-MessageType: http://uri.etsi.org/19522/v1#/ERDMessageType/receipt"},
			pec.Class{Category: pec.CategoryREM},
		},
		{
			"PEC before REM", "a provider in transition adds fields of both",
			[]string{"REM-MessageType: x", "X-Ricevuta: accettazione"},
			pec.Class{Category: pec.CategoryReceipt, Kind: pec.KindAcceptance},
		},
		{
			"bounce", "not wrapped, with an empty return path and an author without address",
			[]string{"Return-Path: <>", "From: MAILER-DAEMON", "Content-Type: Multipart/Report ; report-type=delivery-status; boundary=x"},
			pec.Class{Category: pec.CategoryDSN},
		},
		{
			"bounce with a bad parameter", "which must not hide it",
			[]string{`Content-Type: multipart/report; boundary="`},
			pec.Class{Category: pec.CategoryDSN},
		},
		{
			"not quite a bounce", "whole values again",
			[]string{"Content-Type: multipart/report-extra; x=multipart/report"},
			pec.Class{Category: pec.CategoryOrdinary},
		},
		{
			"empty return path alone", "answering machines have it too",
			[]string{"Return-Path: <>", "From: a@b.example"},
			pec.Class{Category: pec.CategoryOrdinary},
		},
		{
			"subject", "it plays no part",
			[]string{"Subject: ACCETTAZIONE: prova", "From: posta-certificata@pec.alfa.example"},
			pec.Class{Category: pec.CategoryOrdinary},
		},
		{
			"nothing", "an empty head is ordinary mail",
			[]string{"Subject:"},
			pec.Class{Category: pec.CategoryOrdinary},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := pec.Classify(head(t, test.head...)); got != test.want {
				t.Errorf("Classify(%q) = %+v, want %+v (%s)", test.head, got, test.want, test.reason)
			}
		})
	}
}

func TestClassifyTextprotoHeader(t *testing.T) {
	h := textproto.MIMEHeader{}
	h.Add("X-Trasporto", "posta-certificata")
	h.Add("X-Riferimento-Message-ID", "<m1@pec.alfa.example>")
	want := pec.Class{Category: pec.CategoryTransport, Kind: pec.KindTransport, Reference: "<m1@pec.alfa.example>"}
	if got := pec.Classify(h); got != want {
		t.Errorf("Classify(%v) = %+v, want %+v", h, got, want)
	}
}

func FuzzClassify(f *testing.F) {
	for _, seed := range []string{
		"X-Ricevuta: accettazione\r\n", "X-Ricevuta: non-accettazione\r\nX-Trasporto: errore\r\n",
		"X-Trasporto: posta-certificata\r\nMessage-ID: <a@b>\r\n", "REM-MessageType: x\n",
		"Content-Type: multipart/report\r\n", "Content-Type: ;\r\n", "\r\n", "X-Ricevuta:\r\n \taccettazione\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := rawmime.ParseHead(raw, rawmime.HeadLimits{})
		if err != nil {
			return
		}
		class := pec.Classify(h)
		isReceipt := h.Count("X-Ricevuta") > 0
		if isReceipt != (class.Category == pec.CategoryReceipt) {
			t.Errorf("Classify(%q) = %+v: X-Ricevuta decides what is a receipt", raw, class)
		}
		if !isReceipt && class.Kind.IsReceipt() {
			t.Errorf("Classify(%q) = %+v: a kind of receipt without X-Ricevuta", raw, class)
		}
		if isReceipt && h.Count("X-Trasporto") > 0 && !class.Suspicious {
			t.Errorf("Classify(%q) = %+v, want it suspicious", raw, class)
		}
		if class.Category == pec.CategoryReceipt && class.Kind == pec.KindAcceptance &&
			!strings.EqualFold(strings.TrimSpace(h.Values("X-Ricevuta")[0]), "accettazione") {
			t.Errorf("Classify(%q) = %+v: an acceptance by another word", raw, class)
		}
	})
}
