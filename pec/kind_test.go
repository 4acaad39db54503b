package pec_test

import (
	"testing"

	"github.com/ceralacca/go-pec/pec"
)

// TestKinds holds the table of kinds against RFC 6109, section 3, written out a
// second time.
func TestKinds(t *testing.T) {
	tests := []struct {
		kind              pec.Kind
		word              string
		receipt, internal bool
		prefix, virus     string // subject prefixes
	}{
		{pec.KindAcceptance, "accettazione", true, false, "ACCETTAZIONE:", "ACCETTAZIONE:"},
		{pec.KindNonAcceptance, "non-accettazione", true, false, "AVVISO DI NON ACCETTAZIONE:", "AVVISO DI NON ACCETTAZIONE PER VIRUS:"},
		{pec.KindServerAcceptance, "presa-in-carico", true, true, "PRESA IN CARICO:", "PRESA IN CARICO:"},
		{pec.KindDelivery, "avvenuta-consegna", true, false, "CONSEGNA:", "CONSEGNA:"},
		{pec.KindDeliveryError, "errore-consegna", true, false, "AVVISO DI MANCATA CONSEGNA:", "AVVISO DI MANCATA CONSEGNA PER VIRUS:"},
		{pec.KindDeliveryTimeout, "preavviso-errore-consegna", true, false, "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO:", "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO:"},
		{pec.KindVirusDetection, "rilevazione-virus", true, true, "PROBLEMA DI SICUREZZA:", "PROBLEMA DI SICUREZZA:"},
		{pec.KindTransport, "posta-certificata", false, false, "POSTA CERTIFICATA:", "POSTA CERTIFICATA:"},
		{pec.KindAnomaly, "anomalia", false, false, "ANOMALIA MESSAGGIO:", "ANOMALIA MESSAGGIO:"},
	}
	if got := len(pec.Kinds()); got != len(tests) {
		t.Fatalf("Kinds() has %d kinds, want %d", got, len(tests))
	}
	for i, test := range tests {
		k := test.kind
		if pec.Kinds()[i] != k || string(k) != test.word || !k.Known() || k.IsReceipt() != test.receipt || k.IsInternal() != test.internal {
			t.Errorf("%q: place %d is %q, Known %v, IsReceipt %v, IsInternal %v, want %+v", k, i, pec.Kinds()[i], k.Known(), k.IsReceipt(), k.IsInternal(), test)
		}
		if got := k.SubjectPrefix(pec.ErrorNone); got != test.prefix {
			t.Errorf("%q.SubjectPrefix(nessuno) = %q, want %q", k, got, test.prefix)
		}
		if got := k.SubjectPrefix(pec.ErrorVirus); got != test.virus {
			t.Errorf("%q.SubjectPrefix(virus) = %q, want %q", k, got, test.virus)
		}
		if k.LegalName(pec.ErrorNone) == "" || (k.LegalName(pec.ErrorNone) != k.LegalName(pec.ErrorVirus)) != (test.prefix != test.virus) {
			t.Errorf("%q: legal names %q and, for a virus, %q", k, k.LegalName(pec.ErrorNone), k.LegalName(pec.ErrorVirus))
		}
	}
	for _, k := range []pec.Kind{"", "Accettazione", " accettazione", "letta"} {
		if k.Known() || k.IsReceipt() || k.IsInternal() || k.LegalName(pec.ErrorNone) != "" || k.SubjectPrefix(pec.ErrorNone) != "" {
			t.Errorf("%q is taken for a kind", k)
		}
	}
}

func TestKnownWords(t *testing.T) {
	for word, want := range map[string]bool{"completa": true, "breve": true, "sintetica": true, "": false, "Breve": false, "complet": false} {
		if got := pec.ReceiptType(word).Known(); got != want {
			t.Errorf("ReceiptType(%q).Known() = %v, want %v", word, got, want)
		}
	}
	for word, want := range map[string]bool{"nessuno": true, "no-dest": true, "no-dominio": true, "virus": true, "altro": true, "": false, "Virus": false} {
		if got := pec.ErrorCode(word).Known(); got != want {
			t.Errorf("ErrorCode(%q).Known() = %v, want %v", word, got, want)
		}
	}
}
