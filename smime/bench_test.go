package smime_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/smime"
)

// receipt20KB is a message of the usual size: RSA-2048, SHA-256, 20 KB.
func receipt20KB(b *testing.B) ([]byte, smime.VerifyOptions) {
	b.Helper()
	ca := testpki.Authority(b, "rsa2048 authority", nil)
	leaf := ca.Issue(b, "rsa2048", nil)
	text := entity + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 260)
	m := sign(b, text, smime.SignOptions{Certificate: leaf.Certificate, Key: leaf.Key, Time: testpki.Now})
	return m, smime.VerifyOptions{Trust: trustIn(b, ca), Time: testpki.Now}
}

func BenchmarkParse(b *testing.B) {
	m, _ := receipt20KB(b)
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := smime.Parse(bytes.NewReader(m), smime.ParseOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	m, o := receipt20KB(b)
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verify(m, o); err != nil {
			b.Fatal(err)
		}
	}
}
