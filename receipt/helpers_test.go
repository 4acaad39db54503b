package receipt_test

import (
	"bytes"
	"crypto"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// dialectNames are the keys of dialects, in order. For the race detector one will do.
var dialectNames = map[bool][]string{false: {"opec", "opec with SHA-1", "jpec"}, true: {"jpec"}}[underRace]

// shared are networks that tests do not change.
var shared struct {
	sync.Mutex
	networks map[sharedKind]*network
}

type sharedKind struct {
	dialect string
	ecdsa   bool
}

// sharedNetwork returns the network of a dialect, made when first asked for. Keys
// are on a curve where that can be, since making thousands of RSA signatures takes
// long; tests of kinds and proofs use RSA.
func sharedNetwork(t testing.TB, dialect string) *network {
	t.Helper()
	return share(t, sharedKind{dialect, dialects()[dialect].Digest != crypto.SHA1})
}

// rsaNetwork is sharedNetwork with RSA keys, as providers have them.
func rsaNetwork(t testing.TB, dialect string) *network {
	t.Helper()
	return share(t, sharedKind{dialect, false})
}

func share(t testing.TB, kind sharedKind) *network {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.networks == nil {
		shared.networks = make(map[sharedKind]*network)
	}
	if shared.networks[kind] == nil {
		shared.networks[kind] = newNetwork(t, pectest.ProviderConfig{Dialect: dialects()[kind.dialect], ECDSA: kind.ecdsa})
	}
	return shared.networks[kind]
}

// anomalyCase is the one kind that kindCases does not have.
var anomalyCase = kindCase{name: "anomaly envelope", kind: pec.KindAnomaly, byBeta: true, edit: func(d *pec.CertData) {
	d.ErrorDetail = "firma assente"
}}

// allCases are the messages of every kind.
func allCases() []kindCase { return append(kindCases[:len(kindCases):len(kindCases)], anomalyCase) }

// caseOf returns the case of that name.
func caseOf(t testing.TB, name string) kindCase {
	t.Helper()
	for _, c := range allCases() {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("no case %q", name)
	return kindCase{}
}

// issuer returns who issues a message.
func (n *network) issuer(c kindCase) *pectest.Provider {
	if c.byBeta {
		return n.beta
	}
	return n.alfa
}

// honest composes a message as its provider does, once: it is the same each time.
func (n *network) honest(t testing.TB, c kindCase) []byte {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.messages == nil {
		n.messages = make(map[string][]byte)
	}
	if n.messages[c.name] == nil {
		n.messages[c.name] = n.forge(t, c, n.issuer(c), nil)
	}
	return bytes.Clone(n.messages[c.name])
}

// forge composes a message, not as an honest provider would.
func (n *network) forge(t testing.TB, c kindCase, by *pectest.Provider, tamper *pectest.Tamper) []byte {
	t.Helper()
	d := n.data(c.kind)
	d.Issuer = n.issuer(c).Name()
	if c.edit != nil {
		c.edit(&d)
	}
	m := pectest.Message{Data: d, Original: strings.NewReader(sent), Tamper: tamper}
	if c.internal {
		m.To = n.alfa.ServiceMailbox()
	}
	var b bytes.Buffer
	if err := by.Compose(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// replace replaces text in b that must be there: an attack that changes nothing
// would prove nothing.
func replace(t testing.TB, b []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(b, []byte(old)) {
		t.Fatalf("nothing to replace: no %q in %.2000q", old, b)
	}
	return bytes.Replace(b, []byte(old), []byte(new), 1)
}

// setHeader replaces header fields, or adds one.
func setHeader(name, value string) func([]pectest.Field) []pectest.Field {
	return func(fields []pectest.Field) []pectest.Field {
		return append(dropHeader(name)(fields), pectest.Field{Name: name, Value: value})
	}
}

func addHeader(name, value string) func([]pectest.Field) []pectest.Field {
	return func(fields []pectest.Field) []pectest.Field {
		return append(fields, pectest.Field{Name: name, Value: value})
	}
}

func dropHeader(names ...string) func([]pectest.Field) []pectest.Field {
	return func(fields []pectest.Field) []pectest.Field {
		var kept []pectest.Field
		for _, f := range fields {
			drop := false
			for _, name := range names {
				drop = drop || strings.EqualFold(f.Name, name)
			}
			if !drop {
				kept = append(kept, f)
			}
		}
		return kept
	}
}

// refusal is what a refusal must say.
type refusal struct {
	verdict receipt.Verdict
	code    receipt.Code
	part    string
}

// codeOf is the code of a refusal of package smime.
func codeOf(r smime.Reason) receipt.Code { return receipt.Code(r) }

// wantRefusal checks everything about a refusal that callers rely on.
func wantRefusal(t testing.TB, m receipt.Message, err error, want refusal) {
	t.Helper()
	if err == nil {
		t.Fatalf("VerifyMessage gave a %s of kind %q, want %s", receipt.Verified, m.Kind(), want.code)
	}
	if m != nil {
		t.Errorf("VerifyMessage gave a message with the error %v", err)
	}
	var e *receipt.Error
	if !errors.As(err, &e) {
		t.Fatalf("VerifyMessage: %v, want a *receipt.Error", err)
	}
	if got := (refusal{e.Verdict, e.Code, e.Part}); got != want {
		t.Errorf("VerifyMessage: %v\n got %+v\nwant %+v", err, got, want)
	}
	if !errors.Is(err, want.code) || receipt.VerdictOf(err) != want.verdict {
		t.Errorf("errors.Is or VerdictOf do not find %+v in %v", want, err)
	}
	if !strings.HasPrefix(err.Error(), "receipt: "+want.part+": "+string(want.code)) {
		t.Errorf("error %q does not begin with package, part and code", err)
	}
	if strings.Contains(err.Error(), ".example") || strings.Contains(err.Error(), "Sollecito") {
		t.Errorf("error %q repeats the message", err)
	}
	var limit *smime.LimitError
	if got := errors.As(err, &limit); got != (want.code == codeOf(smime.ReasonLimit)) {
		t.Errorf("error %v holds a LimitError: %v", err, got)
	}
}

// dataOf returns the certification data of a verified message, nil if it has none.
func dataOf(m receipt.Message) *pec.CertData {
	switch m := m.(type) {
	case *receipt.Receipt:
		d := m.Data()
		return &d
	case *receipt.Transport:
		d := m.Data()
		return &d
	}
	return nil
}

// remarkCodes are the remarks of a message, without those that depend on the
// dialect and on CRLs.
func remarkCodes(m receipt.Message) string {
	var codes []string
	for _, r := range m.Remarks() {
		if r.Code != receipt.RemarkNotChecked && r.Code != receipt.RemarkWeakDigest {
			codes = append(codes, string(r.Code))
		}
	}
	return strings.Join(codes, " ")
}
