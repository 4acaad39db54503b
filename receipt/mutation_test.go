package receipt_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// smallest are, for each dialect, a kind whose messages hold no original.
var smallest = map[string]string{"opec": "acceptance", "opec with SHA-1": "concise delivery", "jpec": "acceptance"}

// wantSame checks that a changed message, if it verifies at all, says what the
// honest one says: the change was to bytes that nobody signed and nobody reads.
func wantSame(t *testing.T, what string, honest receipt.Message, changed []byte, opts receipt.Options) (verified bool) {
	t.Helper()
	m, err := receipt.VerifyMessage(bytes.NewReader(changed), opts)
	if err != nil {
		if receipt.VerdictOf(err) == "" {
			t.Errorf("%s: %v, which is no judgement", what, err)
		}
		return false
	}
	switch {
	case m.Kind() != honest.Kind(), m.SignedDigest() != honest.SignedDigest(),
		!m.Signer().Certificate.Equal(honest.Signer().Certificate),
		!m.Signer().SigningTime.Equal(honest.Signer().SigningTime),
		m.Signer().Address.Key() != honest.Signer().Address.Key(),
		diffData(dataOf(honest), dataOf(m)) != "":
		t.Errorf("%s: verified, and says something else", what)
	}
	return true
}

// isLong asks for every change of every byte, which takes a minute.
func isLong() bool { return os.Getenv("GOPEC_LONG") != "" }

// byteChanges are what is done to a byte.
var byteChanges = []struct {
	name  string
	apply func(b []byte, i int) []byte
}{
	{"lowest bit", func(b []byte, i int) []byte { b[i] ^= 1; return b }},
	{"case", func(b []byte, i int) []byte { b[i] ^= 0x20; return b }},
	{"highest bit", func(b []byte, i int) []byte { b[i] ^= 0x80; return b }},
	{"line end", func(b []byte, i int) []byte { b[i] = '\n'; return b }},
	{"drop", func(b []byte, i int) []byte { return slices.Delete(b, i, i+1) }},
	{"double", func(b []byte, i int) []byte { return slices.Insert(b, i, b[i]) }},
	{"blank", func(b []byte, i int) []byte { return slices.Insert(b, i, ' ') }},
}

// TestEveryByteCounts changes, drops and doubles every byte of a message in each
// dialect: in one way, the next byte in another, and what no digest protects of one
// dialect in every way.
func TestEveryByteCounts(t *testing.T) {
	for _, dialect := range dialectNames {
		n := sharedNetwork(t, dialect)
		c := caseOf(t, smallest[dialect])
		raw := n.honest(t, c)
		honest, err := receipt.VerifyMessage(bytes.NewReader(raw), n.options())
		if err != nil {
			t.Fatal(err)
		}
		signedFrom := bytes.Index(raw, []byte("\r\nContent-Type: multipart/mixed")) + 2
		signedTo := bytes.LastIndex(raw, []byte("\r\n--"+outerBoundary(t, raw)+"\r\n"))
		for turn, change := range byteChanges {
			t.Run(dialect+"/"+change.name, func(t *testing.T) {
				t.Parallel()
				verified := 0
				for i := range raw {
					isSigned := signedFrom <= i && i < signedTo && !isLineEnd(raw, i)
					inTurn := isSigned || dialect != "jpec" // the others are written much the same
					if inTurn && i%len(byteChanges) != turn && !isLong() || underRace && i%16 != turn {
						continue
					}
					changed := change.apply(slices.Clone(raw), i)
					if bytes.Equal(changed, raw) {
						continue
					}
					if !wantSame(t, fmt.Sprintf("%s of byte %d", change.name, i), honest, changed, n.options()) {
						continue
					}
					verified++
					if isSigned {
						t.Errorf("%s of byte %d, which is signed: verified", change.name, i)
					}
				}
				if verified == 0 {
					t.Error("nothing verified, though the subject is not signed: the test proves nothing")
				}
			})
		}
	}
}

// isLineEnd reports whether a byte is half of a line end: CRLF and LF are the same
// to a signature, so a CR may go.
func isLineEnd(raw []byte, i int) bool { return raw[i] == '\r' && raw[i+1] == '\n' }

// TestEveryLengthCounts cuts a message short at every place.
func TestEveryLengthCounts(t *testing.T) {
	for _, dialect := range dialectNames {
		n := sharedNetwork(t, dialect)
		for _, c := range []kindCase{caseOf(t, smallest[dialect]), caseOf(t, "complete delivery"), caseOf(t, "transport envelope"), anomalyCase} {
			raw := n.honest(t, c)
			honest, err := receipt.VerifyMessage(bytes.NewReader(raw), n.options())
			if err != nil {
				t.Fatal(err)
			}
			step := 1
			switch {
			case underRace:
				step = 61
			case c.name != smallest[dialect] && !isLong():
				step = 5
			}
			t.Run(dialect+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				end := bytes.LastIndex(raw, []byte("--")) + 2
				for size := 0; size < len(raw); size += step {
					if wantSame(t, fmt.Sprintf("%d bytes of %d", size, len(raw)), honest, raw[:size], n.options()) && size < end {
						t.Errorf("verified without its end, with %d bytes of %d", size, len(raw))
					}
				}
			})
		}
	}
}

// fuzzSeeds are messages of every kind in every dialect, and what they certify.
// Their keys are the same in every process, as fuzzing runs in several.
func fuzzSeeds(t testing.TB) (seeds [][]byte, certified []pec.CertData, opts receipt.Options) {
	t.Helper()
	ca := testpki.Authority(t, "p256 fuzz authority", nil)
	for _, dialect := range []string{"opec", "jpec"} {
		n := sharedNetwork(t, dialect)
		for _, c := range allCases() {
			address := n.issuer(c).Service().String()
			leaf := ca.Issue(t, "p256 fuzz "+address, func(c *x509.Certificate) { c.EmailAddresses = []string{address} })
			tamper := byHand(ca, leaf, func(s *signing) []byte { return s.with(s.signer()) }, t)
			raw := n.forge(t, c, n.issuer(c), tamper)
			opts = n.options()
			opts.Trust, opts.Directory = trustIn(t, nil, ca.Certificate), nil
			m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
			if err != nil {
				t.Fatalf("a seed of fuzzing, %s, %s: %v", dialect, c.name, err)
			}
			seeds = append(seeds, raw)
			if d := dataOf(m); d != nil {
				certified = append(certified, *d)
			}
		}
	}
	if len(seeds) == 0 || len(certified) == 0 {
		t.Fatal("no seeds")
	}
	return seeds, certified, opts
}

// FuzzVerify looks for a message that verifies and says what no provider
// certified, and for a panic.
func FuzzVerify(f *testing.F) {
	seeds, certified, opts := fuzzSeeds(f)
	for _, seed := range seeds {
		f.Add(seed)
		f.Add(bytes.ReplaceAll(seed, []byte("\r\n"), []byte("\n")))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
		if err != nil {
			if m != nil || receipt.VerdictOf(err) == "" {
				t.Errorf("VerifyMessage = %v, %v: a message with an error, or an error that is no judgement", m, err)
			}
			return
		}
		d := dataOf(m)
		if d == nil {
			return // an anomaly envelope certifies nothing
		}
		if !slices.ContainsFunc(certified, func(want pec.CertData) bool { return diffData(&want, d) == "" }) {
			t.Errorf("verified data that nobody certified: %+v", d)
		}
		u, err := receipt.Parse(bytes.NewReader(raw), receipt.Limits{})
		if err != nil || u.Problem() != nil || diffData(u.Claims(), d) != "" {
			t.Errorf("Parse of a message that verifies: %v, %v", u, err)
		}
	})
}

// FuzzParse looks for a panic, and for claims next to a problem.
func FuzzParse(f *testing.F) {
	seeds, _, _ := fuzzSeeds(f)
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		u, err := receipt.Parse(bytes.NewReader(raw), receipt.Limits{})
		if err != nil {
			if u != nil || receipt.VerdictOf(err) == "" {
				t.Errorf("Parse = %v, %v: a message with an error, or an error of another kind", u, err)
			}
			return
		}
		if u.Claims() != nil && u.Problem() != nil {
			t.Errorf("claims %+v next to a problem: %v", u.Claims(), u.Problem())
		}
		if u.Problem() != nil && receipt.VerdictOf(u.Problem()) == "" {
			t.Errorf("Problem() = %v, want an *Error", u.Problem())
		}
	})
}

// FuzzStatusCode checks what is taken for a status code.
func FuzzStatusCode(f *testing.F) {
	for _, seed := range []string{"5.1.1 - Gestore - testo", "5.1.1", " 4.4.1-x", "5.1.1.1", "2.0.0 ok", "9.9.9", "5.1", "", "\n5.10.200\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, detail string) {
		code := receipt.StatusCode(detail)
		if code == "" {
			return
		}
		var class, subject, number int
		if _, err := fmt.Sscanf(code, "%d.%d.%d", &class, &subject, &number); err != nil ||
			class != 2 && class != 4 && class != 5 || subject > 999 || number > 999 {
			t.Errorf("StatusCode(%q) = %q, which is none", detail, code)
		}
		if receipt.StatusCode(code) != code {
			t.Errorf("StatusCode(%q) = %q, want it unchanged", code, receipt.StatusCode(code))
		}
	})
}
