package smime_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/smime"
)

// A message of about 2 KB, changed at every place in many ways: it may still
// verify, for not all of it is signed, but never with another content.
func TestTamper(t *testing.T) {
	w := newWorld(t)
	m := sign(t, entity, smime.SignOptions{Certificate: w.leaf.Certificate, Key: w.leaf.Key, Time: testpki.Now})
	if len(m) < 1500 || len(m) > 3000 {
		t.Errorf("the message has %d bytes, want about 2 KB", len(m))
	}
	still := 0
	check := func(what string, b []byte) {
		var content bytes.Buffer
		sig, err := smime.Verify(bytes.NewReader(b), &content, w.now())
		if err != nil {
			return
		}
		still++
		if got := canonical(content.Bytes()); string(got) != entity {
			t.Errorf("%s: verified with the content %q", what, got)
		}
		if !sig.Certificate().Equal(w.leaf.Certificate) || !sig.SigningTime().Equal(testpki.Now) {
			t.Errorf("%s: verified as signed by another or at another time", what)
		}
	}
	for i := range m {
		b := bytes.Clone(m)
		for bit := range 8 {
			b[i] = m[i] ^ 1<<bit
			check(fmt.Sprintf("bit %d of byte %d flipped", bit, i), b)
		}
		for _, c := range []byte("\x00\r\n -=") {
			b[i] = c
			check(fmt.Sprintf("byte %d made %q", i, c), b)
			check(fmt.Sprintf("%q put before byte %d", c, i), slices.Insert(bytes.Clone(m), i, c))
		}
		check(fmt.Sprintf("byte %d taken out", i), slices.Delete(bytes.Clone(m), i, i+1))
		check(fmt.Sprintf("40 bytes from %d on doubled", i), slices.Insert(bytes.Clone(m), i, m[i:min(i+40, len(m))]...))
	}
	if still == 0 {
		t.Error("nothing verified: the test tries nothing")
	}
	t.Logf("%d changes left the message verified", still)
}

// A message cut short is refused, unless only its last line end is missing.
func TestTruncated(t *testing.T) {
	w := newWorld(t)
	m := sign(t, entity, smime.SignOptions{Certificate: w.leaf.Certificate, Key: w.leaf.Key, Time: testpki.Now})
	for n := range len(m) - len("\r\n") {
		if _, err := verify(m[:n], w.now()); err == nil {
			t.Errorf("the first %d bytes of %d verify", n, len(m))
		}
	}
	if _, err := verify(m[:len(m)-2], w.now()); err != nil {
		t.Errorf("without the last line end: %v", err)
	}
}

// hostile are messages of about 1 MiB that are meant to cost much more.
func hostile(t testing.TB) map[string][]byte {
	w := newWorld(t)
	const size = 1 << 20
	fill := func(unit string) string { return strings.Repeat(unit, size/len(unit)) }
	with := func(change func(*message)) []byte {
		m := signed(t, w.leaf)
		change(m)
		return m.bytes()
	}
	p7s := func(b []byte) []byte { return with(func(m *message) { m.p7s = b }) }
	decoys := func(n int, extra func(*x509.Certificate)) []byte {
		s := signer(w.leaf)
		s.KeyID = w.leaf.SubjectKeyId
		d := testpki.SignedData{Signers: slices.Repeat([][]byte{s.Encode(t)}, 4)}
		for range n {
			// The identifier stands in it, but not as its own.
			c := w.ca.Issue(t, "p256 decoy", func(c *x509.Certificate) {
				c.Subject.CommonName = string(w.leaf.SubjectKeyId)
				extra(c)
			})
			d.Certificates = append(d.Certificates, c.Raw)
		}
		d.Certificates = append(d.Certificates, w.leaf.Raw)
		return d.Encode()
	}
	var names []string
	for i := range 10_000 {
		names = append(names, fmt.Sprintf("%c%c", 'a'+i%26, 'a'+i/26%26))
	}
	return map[string][]byte{
		"one long head line":  []byte("A: " + fill("x")),
		"head of folds":       []byte("A: 1\r\n" + strings.Repeat(" "+strings.Repeat("x", 120)+"\r\n", 1999) + "\r\n" + fill("x")),
		"head of short lines": []byte(fill("A:\r\n")),
		"head without an end": []byte(fill("A: b\r\n")),
		"long media type": with(func(m *message) {
			m.contentTy = "multipart/signed; a=" + strings.Repeat("x", 250<<10)
			m.entity = fill("x")
		}),
		"long micalg":              with(func(m *message) { m.micalg = "\"" + strings.Repeat("sha1,", 50_000) + "\"" }),
		"many pieces of a name":    with(func(m *message) { m.contentTy = "multipart/signed" + strings.Repeat("; a*0=\"\"", 30_000) }),
		"preamble of dashes":       with(func(m *message) { m.preamble = fill("--\r\n") }),
		"preamble of CRs":          with(func(m *message) { m.preamble = "--" + fill("\r") + "\r\n" }),
		"preamble of delimiters":   with(func(m *message) { m.preamble = fill("--SIGG\r\n") }),
		"content of LF":            with(func(m *message) { m.entity = "A: b\n\n" + fill("\n") }),
		"content of CR":            with(func(m *message) { m.entity = "A: b\n\n--" + fill("\r") }),
		"content of dashes":        with(func(m *message) { m.entity = "A: b\n\n" + fill("-\n") }),
		"content with a long head": with(func(m *message) { m.entity = fill("A: b\r\n") }),
		"signature of line ends":   with(func(m *message) { m.raw = fill("\r\n") }),
		"signature of zeros":       p7s(make([]byte, size*3/4)),
		"signature of one object":  p7s(testpki.DER(0x04, make([]byte, size*3/4))),
		"signature of NULLs":       p7s(testpki.DER(0x30, bytes.Repeat([]byte{5, 0}, 19_000))),
		"signature of many NULLs":  p7s(testpki.DER(0x30, bytes.Repeat([]byte{5, 0}, size*3/8))),
		"signature of nesting":     p7s(bytes.Repeat([]byte{0x30, 0x80}, size*3/8)),
		"content in pieces": p7s(testpki.SignedData{
			Content: testpki.Indefinite(0x24, slices.Repeat([][]byte{testpki.DER(0x04, make([]byte, 40))}, 15_000)...),
			Signers: [][]byte{signer(w.leaf).Encode(t)}}.Encode()),
		"many attributes": p7s(signature(t, func() testpki.Signer {
			s := signer(w.leaf)
			s.Attributes = func(a [][]byte) [][]byte {
				return append(a, slices.Repeat([][]byte{testpki.Attribute("1.2.3.4", testpki.Int(1))}, 4500)...)
			}
			return s
		}())),
		"certificates with many names": p7s(decoys(14, func(c *x509.Certificate) { c.DNSNames = names })),
		"certificates with many extensions": p7s(decoys(10, func(c *x509.Certificate) {
			for i := range 1500 {
				c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: []int{1, 2, 3, i}, Value: []byte{5, 0}})
			}
		})),
		"certificate with a huge key": p7s(hugeKey(t)),
	}
}

// hugeKey is a signature by a certificate with an RSA key of 400,000 bits: to use
// it once takes longer than anybody should wait.
func hugeKey(t testing.TB) []byte {
	t.Helper()
	w := newWorld(t)
	n := new(big.Int).Lsh(big.NewInt(1), 400_000)
	n.SetBit(n, 0, 1)
	modulus := testpki.DER(0x02, n.Bytes())
	key := testpki.DER(0x30, testpki.Algorithm(testpki.OIDRSA), testpki.DER(0x03, []byte{0}, testpki.DER(0x30, modulus, testpki.Int(1<<31-1))))
	der := bytes.Replace(w.leaf.RawTBSCertificate, w.leaf.RawSubjectPublicKeyInfo, key, 1)
	content := der[4:] // its header has two bytes of length
	if der[1] == 0x81 {
		content = der[3:]
	}
	cert := testpki.DER(0x30, testpki.DER(0x30, content), testpki.DER(0x30, testpki.OID(testpki.ECDSAOIDs[crypto.SHA256])), testpki.DER(0x03, []byte{0, 1}))
	if _, err := x509.ParseCertificate(cert); err != nil {
		t.Fatalf("the certificate is not even read: %v", err)
	}
	s := signer(w.leaf)
	s.SignatureAlgorithm = testpki.Algorithm(testpki.OIDRSA)
	s.Signature = func([]byte) []byte { return make([]byte, n.BitLen()/8+1) }
	return testpki.SignedData{Certificates: [][]byte{cert}, Signers: [][]byte{s.Encode(t)}}.Encode()
}

// A hostile message asks for less than ten times its size in memory, or less than
// 3 MiB if it is small, counting even what was freed again.
func TestHostile(t *testing.T) {
	w := newWorld(t)
	for name, m := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := verify(m, w.now())
			runtime.ReadMemStats(&after)
			allocated := int(after.TotalAlloc - before.TotalAlloc)
			t.Logf("%d bytes, %d allocated: %v", len(m), allocated, err)
			// Some verify, and may: what precedes the first part is nothing.
			if most := max(10*len(m), 3<<20); allocated > most {
				t.Errorf("%d bytes allocated for a message of %d, want at most %d", allocated, len(m), most)
			}
		})
	}
}

// A message costs the same memory whatever its size.
func TestConstantMemory(t *testing.T) {
	w := newWorld(t)
	body := strings.Repeat("0123456789012345678901234567890123456789\r\n", 25_000)
	cost := func(n int) int {
		text := entity + strings.Repeat(body, n)
		s := signer(w.leaf)
		s.Content = []byte(text)
		m := newMessage(signature(t, s))
		m.entity = text
		b := m.bytes()
		if _, err := smime.Verify(onlyReader{bytes.NewReader(b)}, nil, w.now()); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := smime.Verify(onlyReader{bytes.NewReader(b)}, nil, w.now()); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return int(after.TotalAlloc - before.TotalAlloc)
	}
	small, large := cost(1), cost(20)
	t.Logf("%d bytes allocated for 1 MB, %d for 20 MB", small, large)
	if large > 2*small || large > 1<<20 {
		t.Errorf("%d bytes allocated for 1 MB, %d for 20 MB, want the same", small, large)
	}
}

func FuzzParse(f *testing.F) {
	w := newWorld(f)
	good := signed(f, w.leaf)
	f.Add(good.bytes())
	f.Add(bytes.ReplaceAll(good.bytes(), []byte("\r\n"), []byte("\n")))
	for _, c := range []func(*message){
		func(m *message) { m.preamble, m.epilogue = "x\r\n", "y" },
		func(m *message) { m.micalg = "sha1" },
		func(m *message) { m.closing = "-" },
		func(m *message) { m.raw = base64.StdEncoding.EncodeToString([]byte{0x30, 0x80, 0, 0}) },
		func(m *message) { m.contentTy = "text/plain" },
	} {
		m := *good
		c(&m)
		f.Add(m.bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var content bytes.Buffer
		u, err := smime.Parse(bytes.NewReader(b), smime.ParseOptions{Content: &content})
		streamed, streamedErr := smime.Parse(onlyReader{bytes.NewReader(b)}, smime.ParseOptions{})
		if err != nil {
			if u != nil || streamedErr == nil {
				t.Errorf("Parse: %v; streamed: %v", err, streamedErr)
			}
			return
		}
		if !bytes.Equal(content.Bytes(), b[u.ContentOffset():][:u.ContentSize()]) {
			t.Errorf("content %q is not at %d+%d", content.Bytes(), u.ContentOffset(), u.ContentSize())
		}
		if streamedErr == nil && streamed.ContentOffset() != u.ContentOffset() {
			t.Errorf("content at %d, streamed at %d", u.ContentOffset(), streamed.ContentOffset())
		}
		digest := crypto.SHA256.New()
		digest.Write(canonical(content.Bytes()))
		if got := u.Digest(crypto.SHA256); !bytes.Equal(got, digest.Sum(nil)) {
			t.Errorf("Digest of %q = %x", content.Bytes(), got)
		}
		if _, err := u.Verify(w.now()); err == nil && string(canonical(content.Bytes())) != entity {
			t.Errorf("verified with the content %q", content.Bytes())
		}
	})
}
