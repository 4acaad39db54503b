package receipt_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// causeTable is causes.json, as anybody may read it.
type causeTable struct {
	Causes  []receipt.Cause `json:"causes"`
	Notices []causeRule     `json:"notices"`
	Replies []causeRule     `json:"replies"`
}

type causeRule struct {
	Cause   receipt.CauseCode `json:"cause"`
	Kinds   []pec.Kind        `json:"kinds"`
	Errors  []pec.ErrorCode   `json:"errors"`
	Replies []string          `json:"replies"`
	Status  []string          `json:"status"`
	Words   []string          `json:"words"`
}

func readCauses(t *testing.T) causeTable {
	t.Helper()
	b, err := os.ReadFile("causes.json")
	if err != nil {
		t.Fatal(err)
	}
	var table causeTable
	in := json.NewDecoder(bytes.NewReader(b))
	in.DisallowUnknownFields()
	if err := in.Decode(&table); err != nil {
		t.Fatal(err)
	}
	return table
}

// TestCauseTable checks that the table is whole: whoever reads it relies on it.
func TestCauseTable(t *testing.T) {
	table := readCauses(t)
	if !slices.Equal(receipt.Causes(), table.Causes) {
		t.Error("Causes() is not the table of causes.json")
	}
	known := make(map[receipt.CauseCode]bool)
	for _, c := range table.Causes {
		if known[c.Code] || c.Code == "" {
			t.Errorf("cause %q stands twice, or has no name", c.Code)
		}
		known[c.Code] = true
		if !slices.Contains([]receipt.Retry{receipt.RetryNever, receipt.RetryAfterChange, receipt.RetryLater, receipt.RetryWait}, c.Retry) {
			t.Errorf("%s: advice %q is not one of the four", c.Code, c.Retry)
		}
		if !slices.Contains([]receipt.Fault{receipt.FaultSender, receipt.FaultRecipient, receipt.FaultProvider, receipt.FaultUnknown}, c.Fault) {
			t.Errorf("%s: fault %q is not one of the four", c.Code, c.Fault)
		}
		if !strings.HasSuffix(c.Text, ".") || c.Source == "" {
			t.Errorf("%s: no sentence or no source", c.Code)
		}
	}
	for _, code := range []receipt.CauseCode{
		receipt.CauseVirusAtSender, receipt.CauseVirus, receipt.CauseNoSuchAddress, receipt.CauseNoSuchDomain, receipt.CauseMailboxFull,
		receipt.CauseTimeout12h, receipt.CauseTimeout24h, receipt.CauseThrottled, receipt.CauseAuth, receipt.CauseSenderMailboxFull, receipt.CauseOther,
	} {
		if !known[code] {
			t.Errorf("the constant %q is not in the table", code)
		}
	}
	used := make(map[receipt.CauseCode]bool)
	for _, rules := range [][]causeRule{table.Notices, table.Replies} {
		for i, r := range rules {
			used[r.Cause] = true
			checkRule(t, r)
			if !known[r.Cause] {
				t.Errorf("a rule names the cause %q, which is not in the table", r.Cause)
			}
			isLast := len(r.Kinds)+len(r.Errors)+len(r.Replies)+len(r.Status)+len(r.Words) == 0
			if isLast != (i == len(rules)-1) {
				t.Errorf("rule %d, of %q: the last rule and no other fits everything", i+1, r.Cause)
			}
		}
	}
	for code := range known {
		if !used[code] {
			t.Errorf("no rule leads to %q", code)
		}
	}
}

func checkRule(t *testing.T, r causeRule) {
	t.Helper()
	for _, k := range r.Kinds {
		if !k.Known() {
			t.Errorf("rule of %q: unknown kind %q", r.Cause, k)
		}
	}
	for _, e := range r.Errors {
		if !e.Known() {
			t.Errorf("rule of %q: unknown errore %q", r.Cause, e)
		}
	}
	for _, s := range r.Status {
		if strings.HasSuffix(s, ".") {
			s += strings.Repeat("0.", 2-strings.Count(s, ".")) + "0"
		}
		if receipt.StatusCode(s) != s {
			t.Errorf("rule of %q: %q is no status code", r.Cause, s)
		}
	}
	for _, w := range r.Words {
		if w == "" || strings.ToLower(w) != w {
			t.Errorf("rule of %q: %q would never be found", r.Cause, w)
		}
	}
}

// TestEveryCauseRule gives each rule what it waits for, in each of its forms: a
// rule that stands behind one that always comes first is of no use.
func TestEveryCauseRule(t *testing.T) {
	table := readCauses(t)
	texts := func(r causeRule) []string {
		var texts []string
		for _, s := range r.Status {
			if strings.HasSuffix(s, ".") {
				s += strings.Repeat("99.", 2-strings.Count(s, ".")) + "99"
			}
			texts = append(texts, s+" - Gestore - testo")
		}
		for _, w := range r.Words {
			texts = append(texts, "Gestore: "+strings.ToUpper(w)+"!")
		}
		if len(texts) == 0 {
			texts = []string{"testo"}
		}
		return texts
	}
	for _, r := range table.Notices {
		kinds, errors := r.Kinds, r.Errors
		if len(kinds) == 0 {
			kinds = []pec.Kind{pec.KindDeliveryError}
		}
		if len(errors) == 0 {
			errors = []pec.ErrorCode{pec.ErrorOther}
		}
		for _, kind := range kinds {
			for _, code := range errors {
				for _, text := range texts(r) {
					if got := receipt.CauseOfNotice(kind, code, text); got.Code != r.Cause {
						t.Errorf("CauseOfNotice(%s, %s, %q) = %s, want %s", kind, code, text, got.Code, r.Cause)
					}
				}
			}
		}
	}
	for _, r := range table.Replies {
		replies := r.Replies
		if len(replies) == 0 {
			replies = []string{"550"}
		}
		for _, reply := range replies {
			code, err := strconv.Atoi((reply + "5100")[:max(3, len(reply))])
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range texts(r) {
				if got := receipt.CauseOfReply(code, text); got.Code != r.Cause {
					t.Errorf("CauseOfReply(%d, %q) = %s, want %s", code, text, got.Code, r.Cause)
				}
			}
		}
	}
}

// TestCauses names what providers write, or are said to write.
func TestCauses(t *testing.T) {
	tests := []struct {
		kind   pec.Kind
		code   pec.ErrorCode
		detail string
		want   receipt.CauseCode
		reason string
	}{
		{pec.KindDeliveryError, pec.ErrorOther, "5.1.1 - ARUBA PEC S.p.A. - indirizzo non valido", receipt.CauseNoSuchAddress, "Aruba, 2026: a missing mailbox is altro"},
		{pec.KindDeliveryError, pec.ErrorNoRecipient, "5.1.1 - Gestore Beta - indirizzo non valido", receipt.CauseNoSuchAddress, "others: the same is no-dest"},
		{pec.KindDeliveryError, pec.ErrorNoRecipient, "casella del destinatario inesistente", receipt.CauseNoSuchAddress, "Actalis, of old: no code"},
		{pec.KindDeliveryError, pec.ErrorNoDomain, "dominio non raggiungibile", receipt.CauseNoSuchDomain, "by errore"},
		{pec.KindDeliveryError, pec.ErrorOther, "5.1.2 - Gestore - dominio inesistente", receipt.CauseNoSuchDomain, "by code"},
		{pec.KindDeliveryError, pec.ErrorOther, "5.2.2 - Gestore - testo", receipt.CauseMailboxFull, "by code"},
		{pec.KindDeliveryError, pec.ErrorNoRecipient, "5.2.2 - Gestore - testo", receipt.CauseMailboxFull, "the code says more than errore"},
		{pec.KindDeliveryError, pec.ErrorOther, "La casella del destinatario: CASELLA PIENA", receipt.CauseMailboxFull, "by its words"},
		{pec.KindDeliveryError, pec.ErrorOther, "552 mailbox over quota", receipt.CauseMailboxFull, "by its words"},
		{pec.KindDeliveryError, pec.ErrorOther, "5.2.1 - Gestore - casella disattivata", "mailbox-disabled", "by code"},
		{pec.KindDeliveryError, pec.ErrorOther, "5.3.4 - Gestore - testo", "too-large", "by code"},
		{pec.KindDeliveryError, pec.ErrorOther, "5.7.1 - Gestore - testo", "policy", "by the beginning of the code"},
		{pec.KindDeliveryError, pec.ErrorVirus, "EICAR-Test-File", receipt.CauseVirus, "by errore"},
		{pec.KindVirusDetection, pec.ErrorVirus, "EICAR-Test-File", receipt.CauseVirus, "between providers"},
		{pec.KindNonAcceptance, pec.ErrorVirus, "EICAR-Test-File", receipt.CauseVirusAtSender, "nothing was sent"},
		{pec.KindNonAcceptance, pec.ErrorOther, "destinatario in copia nascosta non ammesso", "formal-bcc", "by its words"},
		{pec.KindNonAcceptance, pec.ErrorOther, "superata la dimensione massima", "formal-size", "by its words"},
		{pec.KindNonAcceptance, pec.ErrorOther, "tipo di allegato non consentito", "formal-attachment", "by its words"},
		{pec.KindNonAcceptance, pec.ErrorOther, "mittente non valido", "formal-sender", "by its words"},
		{pec.KindNonAcceptance, pec.ErrorOther, "", "formal", "nothing more is said"},
		{pec.KindDeliveryTimeout, pec.ErrorNone, "", "timeout", "the notice does not say which"},
		{pec.KindDeliveryTimeout, pec.ErrorOther, "4.4.1 - Gestore - prime dodici ore", receipt.CauseTimeout12h, "a passing failure"},
		{pec.KindDeliveryTimeout, pec.ErrorOther, "5.4.1 - InfoCert S.p.A. - il messaggio non è stato consegnato nelle ventiquattro ore", receipt.CauseTimeout24h, "InfoCert"},
		{pec.KindDeliveryTimeout, pec.ErrorNoRecipient, "5.1.1 - x", "timeout", "a timeout is a timeout"},
		{pec.KindDeliveryError, pec.ErrorOther, "6.6.6 - x", receipt.CauseOther, "no code that is known of"},
		{pec.KindDeliveryError, pec.ErrorCode("nuovo"), "", receipt.CauseOther, "an errore of tomorrow"},
		{"", "", "", receipt.CauseOther, "nothing"},
	}
	for _, test := range tests {
		if got := receipt.CauseOfNotice(test.kind, test.code, test.detail); got.Code != test.want {
			t.Errorf("CauseOfNotice(%s, %s, %q) = %s, want %s: %s", test.kind, test.code, test.detail, got.Code, test.want, test.reason)
		}
	}
	replies := []struct {
		code   int
		text   string
		want   receipt.CauseCode
		reason string
	}{
		{550, "MAIL from: <x> blocked \"Class Of Service\" - Too much traffic from this sender", receipt.CauseThrottled, "Legalmail"},
		{421, "try again", receipt.CauseThrottled, "the connection is closed"},
		{535, "5.7.8 Error: authentication failed", receipt.CauseAuth, "RFC 4954"},
		{553, "5.7.1 <x>: Sender address rejected: not owned by user", "sender-address", "Aruba"},
		{452, "4.2.2 mailbox full", receipt.CauseSenderMailboxFull, "the sender's own"},
		{552, "5.2.2 over quota", receipt.CauseSenderMailboxFull, "the sender's own"},
		{552, "message too large", "formal-size", "RFC 5321"},
		{550, "5.1.1 no such user", receipt.CauseNoSuchAddress, "by code"},
		{451, "please wait", "temporary", "RFC 5321"},
		{554, "no", "permanent", "RFC 5321"},
	}
	for _, test := range replies {
		if got := receipt.CauseOfReply(test.code, test.text); got.Code != test.want {
			t.Errorf("CauseOfReply(%d, %q) = %s, want %s: %s", test.code, test.text, got.Code, test.want, test.reason)
		}
	}
}

// TestReceiptCause asks verified receipts of every kind.
func TestReceiptCause(t *testing.T) {
	want := map[string]receipt.CauseCode{
		"non-acceptance":             "formal-bcc",
		"non-acceptance for malware": receipt.CauseVirusAtSender,
		"failure, no such mailbox":   receipt.CauseNoSuchAddress,
		"failure, no such domain":    receipt.CauseNoSuchDomain,
		"failure for malware":        receipt.CauseVirus,
		"malware found":              receipt.CauseVirus,
		"first timeout":              receipt.CauseTimeout12h,
		"second timeout":             receipt.CauseTimeout24h,
	}
	timeouts := map[string]receipt.Timeout{"first timeout": receipt.Timeout12h, "second timeout": receipt.Timeout24h}
	for _, dialect := range dialectNames {
		n := sharedNetwork(t, dialect)
		for _, c := range kindCases {
			if c.kind == pec.KindTransport {
				continue
			}
			r, err := receipt.Verify(bytes.NewReader(n.forge(t, c, n.issuer(c), nil)), n.options())
			if err != nil {
				t.Fatal(err)
			}
			cause, failed := r.Cause()
			if cause.Code != want[c.name] || failed != (want[c.name] != "") {
				t.Errorf("%s: Cause() = %q, %v, want %q", c.name, cause.Code, failed, want[c.name])
			}
			if r.Timeout() != timeouts[c.name] {
				t.Errorf("%s: Timeout() = %q, want %q", c.name, r.Timeout(), timeouts[c.name])
			}
		}
	}
}

// TestTimeout tells the two notices apart by what they say themselves.
func TestTimeout(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	for detail, want := range map[string]receipt.Timeout{
		"5.4.1 - Gestore - testo":    receipt.Timeout24h,
		" \n5.4.1":                   receipt.Timeout24h,
		"4.4.1 - Gestore - testo":    receipt.Timeout12h,
		"4.4.7 testo":                receipt.Timeout12h,
		"":                           receipt.TimeoutUndetermined,
		"24 ore":                     receipt.TimeoutUndetermined,
		"5.4.10 - Gestore - testo":   receipt.TimeoutUndetermined,
		"5.4.1.2 - Gestore - testo":  receipt.TimeoutUndetermined,
		"15.4.1 - Gestore - testo":   receipt.TimeoutUndetermined,
		"Errore 5.4.1 - come sopra":  receipt.TimeoutUndetermined,
		"5.1.1 - Gestore - altro":    receipt.TimeoutUndetermined,
		"2.0.0 - Gestore - successo": receipt.TimeoutUndetermined,
	} {
		c := kindCase{name: "timeout", kind: pec.KindDeliveryTimeout, edit: failure(pec.ErrorOther, detail)}
		r, err := receipt.Verify(bytes.NewReader(n.forge(t, c, n.alfa, nil)), n.options())
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Timeout(); got != want {
			t.Errorf("Timeout() of %q = %q, want %q", detail, got, want)
		}
		cause, _ := r.Cause()
		if (cause.Code == receipt.CauseTimeout24h) != (want == receipt.Timeout24h) || (cause.Code == receipt.CauseTimeout12h) != (want == receipt.Timeout12h) {
			t.Errorf("Cause() of %q = %s, which is not what Timeout says", detail, cause.Code)
		}
	}
}

func TestStatusCode(t *testing.T) {
	for detail, want := range map[string]string{
		"5.1.1":                       "5.1.1",
		"5.1.1 - Gestore - testo":     "5.1.1",
		"\t 4.4.1: testo":             "4.4.1",
		"2.1.5":                       "2.1.5",
		"5.1.1. Utente sconosciuto":   "5.1.1",
		"5.7.999-x":                   "5.7.999",
		"5.1.1x":                      "5.1.1",
		"5.1.1.1":                     "",
		"5.1.1..":                     "",
		"5.1.1111":                    "",
		"5.1":                         "",
		"3.1.1":                       "",
		"x 5.1.1":                     "",
		"550 5.1.1 no such user":      "",
		"5 .1.1":                      "",
		"":                            "",
		"\u0665.\u0661.\u0661 arabic": "",
	} {
		if got := receipt.StatusCode(detail); got != want {
			t.Errorf("StatusCode(%q) = %q, want %q", detail, got, want)
		}
	}
}
