package receipt_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// TestParse reads every kind in every dialect, which proves nothing.
func TestParse(t *testing.T) {
	categories := map[pec.Kind]pec.Category{pec.KindTransport: pec.CategoryTransport, pec.KindAnomaly: pec.CategoryAnomaly}
	for _, dialect := range dialectNames {
		n := sharedNetwork(t, dialect)
		for _, c := range allCases() {
			t.Run(dialect+"/"+c.name, func(t *testing.T) {
				raw := n.honest(t, c)
				m, err := receipt.VerifyMessage(bytes.NewReader(raw), n.options())
				if err != nil {
					t.Fatal(err)
				}
				u, err := receipt.Parse(bytes.NewReader(raw), receipt.Limits{})
				if err != nil || u.Problem() != nil {
					t.Fatalf("Parse: %v, %v", err, u.Problem())
				}
				category := categories[c.kind]
				if category == "" {
					category = pec.CategoryReceipt
				}
				if got := u.Class(); got.Category != category || got.Kind != c.kind || got.Suspicious {
					t.Errorf("Class() = %+v, want category %s and kind %s", got, category, c.kind)
				}
				if diff := diffData(dataOf(m), u.Claims()); diff != "" {
					t.Errorf("Claims() (-verified +claimed):\n%s", diff)
				}
			})
		}
	}
}

// TestParseTakesAnything parses messages that do not verify.
func TestParseTakesAnything(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	acceptance := caseOf(t, "acceptance")
	forge := func(tamper pectest.Tamper) string { return string(n.forge(t, acceptance, n.alfa, &tamper)) }
	altered := forge(pectest.Tamper{Altered: func(b []byte) []byte {
		return bytes.Replace(b, []byte("comune@"), []byte("sindac@"), 1)
	}})
	honest := forge(pectest.Tamper{})
	tests := []struct {
		name, in string
		category pec.Category
		claims   bool
		problem  receipt.Code // none if ""
		reason   string
	}{
		{"altered", altered, pec.CategoryReceipt, true, "", "nobody looks at the signature"},
		{"other header", strings.Replace(honest, "X-Ricevuta: accettazione", "X-Ricevuta: avvenuta-consegna", 1), pec.CategoryReceipt, true, "", "a claim against a claim"},
		{"no header of PEC", strings.Replace(honest, "X-Ricevuta: accettazione\r\n", "", 1), pec.CategoryOrdinary, true, "", "what it carries says what it claims"},
		{"not signed", forge(pectest.Tamper{Unsigned: true}), pec.CategoryReceipt, false, "not-signed", "nothing is read of what nobody signed"},
		{"cut short", honest[:len(honest)-300], pec.CategoryReceipt, false, "bad-mime", "where does it end?"},
		{"no data", forge(pectest.Tamper{Entity: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("daticert.xml"), []byte("x.xml")) }}), pec.CategoryReceipt, false, receipt.CodeNoCertData, "nothing to claim"},
		{"two data", forge(pectest.Tamper{Parts: []string{xmlPart + "\r\nPGE+"}}), pec.CategoryReceipt, false, receipt.CodeTwoCertData, "which one?"},
		{"data that can't be read", forge(pectest.Tamper{CertData: func([]byte) []byte { return []byte("<a>") }}), pec.CategoryReceipt, false, receipt.CodeCertData, "not certification data"},
		{"not multipart/mixed", forge(pectest.Tamper{Entity: func([]byte) []byte { return []byte("\r\nHello.") }}), pec.CategoryReceipt, false, receipt.CodeSignedEntity, "not the form of PEC"},
		{"S/MIME of a person", forge(pectest.Tamper{
			Header: dropHeader(pec.HeaderReceipt), Entity: func([]byte) []byte { return []byte("\r\nHello.") },
		}), pec.CategoryOrdinary, false, receipt.CodeNotPEC, "ordinary mail, signed"},
		{"S/MIME of a person, in parts", forge(pectest.Tamper{
			Header: dropHeader(pec.HeaderReceipt), Entity: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("daticert.xml"), []byte("x.xml")) },
		}), pec.CategoryOrdinary, false, receipt.CodeNotPEC, "ordinary mail, signed"},
		{"ordinary mail", "Subject: x\r\n\r\nHello.\r\n", pec.CategoryOrdinary, false, receipt.CodeNotPEC, "nothing of PEC"},
		{"bounce", "Content-Type: multipart/report; boundary=b\r\n\r\n--b--\r\n", pec.CategoryDSN, false, receipt.CodeNotPEC, "nothing of PEC"},
		{"REM", "REM-MessageType: x\r\n\r\n", pec.CategoryREM, false, receipt.CodeREM, "the successor of PEC"},
		{"receipt and envelope at once", "X-Ricevuta: accettazione\r\nX-Trasporto: errore\r\n\r\n", pec.CategoryReceipt, false, "not-signed", "suspicious"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u, err := receipt.Parse(strings.NewReader(test.in), receipt.Limits{})
			if err != nil {
				t.Fatalf("Parse: %v, want %s", err, test.reason)
			}
			if got := u.Class().Category; got != test.category {
				t.Errorf("category %s, want %s", got, test.category)
			}
			if got := u.Claims() != nil; got != test.claims {
				t.Errorf("there are claims: %v, want %v", got, test.claims)
			}
			if test.problem == "" && u.Problem() != nil || test.problem != "" && !errors.Is(u.Problem(), test.problem) {
				t.Errorf("Problem() = %v, want %q: %s", u.Problem(), test.problem, test.reason)
			}
		})
	}
}

// TestParseWithoutHeader gives what has no header to be read.
func TestParseWithoutHeader(t *testing.T) {
	for name, in := range map[string]string{
		"not a field":     "Hello\r\n\r\n",
		"mixed line ends": "A: b\r\nC: d\n\r\n",
		"too long":        "A: " + strings.Repeat("b", 300<<10) + "\r\n\r\n",
	} {
		u, err := receipt.Parse(strings.NewReader(in), receipt.Limits{})
		if u != nil || receipt.VerdictOf(err) != receipt.Malformed {
			t.Errorf("%s: Parse = %v, %v, want an error that says %s", name, u, err, receipt.Malformed)
		}
	}
}
