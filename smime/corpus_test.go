package smime_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/smime"
)

// The messages of real people: read where they lie, and never printed.
const corpus = "../../shared/corpus"

func corpusFiles(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(corpus, pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("SKIPPED: there is no %s/%s, so no genuine message was tried", corpus, pattern)
	}
	return files
}

// realTrust has the authorities of the corpus as anchors.
func realTrust(t *testing.T) *smime.Trust {
	t.Helper()
	files := corpusFiles(t, "trust/signers/AgID_CA1__*.pem")
	files = append(files, corpusFiles(t, "trust/agid-ca1-repo/*AgID*CA1*.pem")...)
	files = append(files, corpusFiles(t, "trust/digitpa-ca1/*.pem")...)
	var anchors []smime.Anchor
	for _, file := range files {
		a, err := smime.AnchorFromCertificate(readCertificate(t, file))
		if err != nil {
			t.Fatalf("%s: %v", filepath.Base(file), err)
		}
		anchors = append(anchors, a)
	}
	return mustTrust(t, anchors)
}

func readCertificate(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b[max(bytes.Index(b, []byte("-----BEGIN")), 0):])
	if block == nil {
		t.Fatalf("%s is not PEM", filepath.Base(file))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatalf("%s: %v", filepath.Base(file), err)
	}
	return cert
}

// endOfSHA1 is when the last certificates of DigitPA CA1 ended.
var endOfSHA1 = date(2017, 3, 1)

func TestCorpusIntact(t *testing.T) {
	trust := realTrust(t)
	for _, file := range corpusFiles(t, "intact/*.eml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			of2014 := strings.Contains(file, "_2014_")
			for how, open := range readers {
				var content bytes.Buffer
				u, err := smime.Parse(open(m), smime.ParseOptions{Content: &content})
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if !bytes.Equal(content.Bytes(), m[u.ContentOffset():][:u.ContentSize()]) {
					t.Errorf("%s: offset and size don't slice the content", how)
				}
				o := smime.VerifyOptions{Trust: trust, Time: u.SigningTime()}
				if of2014 {
					_, err = u.Verify(o)
					wantReason(t, err, smime.ReasonLegacy)
					o.LegacyBefore = endOfSHA1
				}
				sig, err := u.Verify(o)
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if sig.Legacy() != of2014 || sig.Digest() != crypto.SHA1 {
					t.Errorf("%s: legacy %v, digest %v", how, sig.Legacy(), sig.Digest())
				}
				wantReason(t, sig.CheckAt(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), map[bool]smime.Reason{true: smime.ReasonLegacy, false: smime.ReasonExpired}[of2014])
			}
			if err := secondOpinion(m); err != nil {
				t.Errorf("go.mozilla.org/pkcs7: %v", err)
			}
			t.Run("openssl", func(t *testing.T) {
				u, err := smime.Parse(bytes.NewReader(m), smime.ParseOptions{})
				if err != nil {
					t.Fatal(err)
				}
				want := canonical(m[u.ContentOffset():][:u.ContentSize()])
				if got := opensslContent(t, canonical(m)); got != string(want) {
					t.Errorf("openssl read %d bytes, want the %d that were signed", len(got), len(want))
				}
			})
		})
	}
}

func TestCorpusBroken(t *testing.T) {
	trust := realTrust(t)
	for _, file := range corpusFiles(t, "broken/*.eml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			u, err := smime.Parse(bytes.NewReader(m), smime.ParseOptions{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = u.Verify(smime.VerifyOptions{Trust: trust, Time: u.SigningTime(), LegacyBefore: endOfSHA1})
			wantReason(t, err, smime.ReasonDigest)
		})
	}
}

// Redacted messages, dummies and test messages of others: never verified.
func TestCorpusOthers(t *testing.T) {
	trust := realTrust(t)
	files := corpusFiles(t, "structure/*.eml")
	files = append(files, corpusFiles(t, "rem/*/*.eml")...)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []time.Time{date(2014, 11, 14), date(2018, 11, 13), date(2026, 9, 1)} {
				if _, err := verify(m, smime.VerifyOptions{Trust: trust, Time: at, LegacyBefore: endOfSHA1}); err == nil {
					t.Errorf("verified at %v", at)
				} else {
					t.Log(err)
				}
			}
		})
	}
}

// canonical is b with every line end as CRLF.
func canonical(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

// signatureOf returns the decoded signature of a message that was parsed, the
// plain way: its base64 is what stands before the last delimiter.
func signatureOf(m []byte) []byte {
	m = bytes.ReplaceAll(m, []byte("\r\n"), []byte("\n"))
	end := bytes.LastIndex(m, []byte("\n--"))
	begin := bytes.LastIndex(m[:end], []byte("\n\n"))
	for begin >= 0 && len(bytes.TrimSpace(m[begin:end])) == 0 {
		end = begin
		begin = bytes.LastIndex(m[:end], []byte("\n\n"))
	}
	der, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(m[begin:end])))
	if err != nil {
		return nil
	}
	return der
}
