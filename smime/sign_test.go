package smime_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"go.mozilla.org/pkcs7"

	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/smime"
)

func sign(t testing.TB, text string, o smime.SignOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := smime.Sign(&b, strings.NewReader(text), o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// hidden is a key in hardware: nothing shows but its methods.
type hidden struct{ key crypto.Signer }

func (h hidden) Public() crypto.PublicKey { return h.key.Public() }
func (h hidden) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return h.key.Sign(r, digest, o)
}

// What Sign writes verifies here, under OpenSSL and by go.mozilla.org/pkcs7.
func TestSign(t *testing.T) {
	ca := testpki.Authority(t, "p256 authority", nil)
	trust := trustIn(t, ca)
	rsa, ec, ec384 := ca.Issue(t, "rsa2048", nil), ca.Issue(t, "p256", nil), ca.Issue(t, "p384", nil)
	for _, c := range []struct {
		name string
		cert *testpki.Certificate
		o    smime.SignOptions
	}{
		{"RSA", rsa, smime.SignOptions{}},
		{"RSA SHA-1", rsa, smime.SignOptions{Digest: crypto.SHA1}},
		{"RSA SHA-384", rsa, smime.SignOptions{Digest: crypto.SHA384}},
		{"RSA SHA-512", rsa, smime.SignOptions{Digest: crypto.SHA512}},
		{"ECDSA", ec, smime.SignOptions{}},
		{"ECDSA P-384", ec384, smime.SignOptions{Digest: crypto.SHA384}},
		{"hidden RSA key", rsa, smime.SignOptions{Key: hidden{rsa.Key}}},
		{"hidden ECDSA key", ec, smime.SignOptions{Key: hidden{ec.Key}}},
		{"with chain", ec, smime.SignOptions{Chain: []*x509.Certificate{ca.Certificate}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Certificate, c.o.Time = c.cert.Certificate, testpki.Now
			if c.o.Key == nil {
				c.o.Key = c.cert.Key
			}
			m := sign(t, entity, c.o)
			var content bytes.Buffer
			sig, err := smime.Verify(onlyReader{bytes.NewReader(m)}, &content, smime.VerifyOptions{Trust: trust, Time: testpki.Now})
			if err != nil {
				t.Fatalf("%v\n%s", err, m)
			}
			want := c.o.Digest
			if want == 0 {
				want = crypto.SHA256
			}
			if sig.Digest() != want || !sig.SigningTime().Equal(testpki.Now) || content.String() != entity {
				t.Errorf("signed with %v at %v: %q", sig.Digest(), sig.SigningTime(), content.String())
			}
			checkWire(t, m)
			if err := secondOpinion(m); err != nil {
				t.Errorf("go.mozilla.org/pkcs7: %v", err)
			}
			t.Run("openssl", func(t *testing.T) {
				if got := opensslContent(t, m); got != entity {
					t.Errorf("openssl read %q, want %q", got, entity)
				}
			})
		})
	}
}

// checkWire checks what a mail server wants of the bytes.
func checkWire(t *testing.T, m []byte) {
	t.Helper()
	for line := range bytes.Lines(m) {
		if !bytes.HasSuffix(line, []byte("\r\n")) || bytes.Count(line, []byte("\r")) != 1 || len(line) > 80 {
			t.Errorf("line %q", line)
		}
	}
}

// secondOpinion verifies with go.mozilla.org/pkcs7. It is given only what was
// parsed here before: some encodings cost it the machine.
func secondOpinion(m []byte) error {
	u, err := smime.Parse(bytes.NewReader(m), smime.ParseOptions{})
	if err != nil {
		return err
	}
	p7, err := pkcs7.Parse(signatureOf(m))
	if err != nil {
		return err
	}
	p7.Content = canonical(m[u.ContentOffset():][:u.ContentSize()])
	return p7.Verify()
}

// opensslContent has OpenSSL verify a message, but for the certificate, and
// returns the content that it read.
func opensslContent(t *testing.T, m []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "in.eml"), m, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, ok := testpki.OpenSSL(t, dir, "cms", "-verify", "-noverify", "-in", "in.eml", "-out", "out"); !ok {
		t.Fatalf("openssl: %s", out)
	}
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// OpenSSL checks the certificate too.
func TestOpenSSLTrusts(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	w.ca.WriteFiles(t, dir, "ca")
	m := sign(t, entity, smime.SignOptions{Certificate: w.leaf.Certificate, Key: w.leaf.Key, Time: testpki.Now})
	if err := os.WriteFile(filepath.Join(dir, "in.eml"), m, 0o600); err != nil {
		t.Fatal(err)
	}
	out, ok := testpki.OpenSSL(t, dir, "cms", "-verify", "-CAfile", "ca.pem", "-attime", fmt.Sprint(testpki.Now.Unix()), "-purpose", "smimesign", "-in", "in.eml")
	if !ok {
		t.Errorf("openssl: %s", out)
	}
}

// What OpenSSL writes verifies here.
func TestOpenSSLSigns(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	w.leaf.WriteFiles(t, dir, "leaf")
	if err := os.WriteFile(filepath.Join(dir, "content"), []byte(entity), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"", "-md sha512", "-keyid", "-nosmimecap"} {
		list := append([]string{"cms", "-sign", "-in", "content", "-signer", "leaf.pem", "-inkey", "leaf.key", "-out", "out.eml"}, strings.Fields(args)...)
		if out, ok := testpki.OpenSSL(t, dir, list...); !ok {
			t.Fatalf("openssl: %s", out)
		}
		m, err := os.ReadFile(filepath.Join(dir, "out.eml"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = verify(m, w.now())
		wantReason(t, err, "")
	}
}

func TestSignCanonicalises(t *testing.T) {
	w := newWorld(t)
	o := smime.SignOptions{Certificate: w.leaf.Certificate, Key: w.leaf.Key, Time: testpki.Now}
	for _, c := range []struct{ name, in, want string }{
		{"CRLF", "A: b\r\n\r\n1\r\n2\r\n", "A: b\r\n\r\n1\r\n2\r\n"},
		{"LF", "A: b\n\n1\n2\n", "A: b\r\n\r\n1\r\n2\r\n"},
		{"mixed", "A: b\n\r\n1\n2\r\n", "A: b\r\n\r\n1\r\n2\r\n"},
		{"lone CR", "A: b\r\n\r\n1\r2\r\r\n", "A: b\r\n\r\n1\r2\r\r\n"},
		{"no line end at the end", "A: b\n\n1", "A: b\r\n\r\n1"},
		{"empty lines at the end", "A: b\n\n\n\n", "A: b\r\n\r\n\r\n\r\n"},
	} {
		for how, open := range readers {
			var m, content bytes.Buffer
			if err := smime.Sign(&m, open([]byte(c.in)), o); err != nil {
				t.Fatal(err)
			}
			if _, err := smime.Verify(&m, &content, w.now()); err != nil {
				t.Errorf("%s, %s: %v", c.name, how, err)
			}
			if content.String() != c.want {
				t.Errorf("%s, %s: signed %q, want %q", c.name, how, content.String(), c.want)
			}
		}
	}
}

func TestSignTimeIsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		time.Sleep(time.Until(testpki.Now))
		m := sign(t, entity, smime.SignOptions{Certificate: w.leaf.Certificate, Key: w.leaf.Key})
		sig, err := verify(m, w.now())
		if err != nil || !sig.SigningTime().Equal(testpki.Now) {
			t.Errorf("signed now: %v, %v", sig, err)
		}
	})
}

func TestSignErrors(t *testing.T) {
	w := newWorld(t)
	own := errors.New("own")
	good := smime.SignOptions{Certificate: w.leaf.Certificate, Key: w.leaf.Key, Time: testpki.Now}
	with := func(change func(*smime.SignOptions)) smime.SignOptions {
		o := good
		change(&o)
		return o
	}
	for _, c := range []struct {
		name string
		w    io.Writer
		r    io.Reader
		o    smime.SignOptions
		want error // nil: any
	}{
		{"no certificate", io.Discard, strings.NewReader(entity), with(func(o *smime.SignOptions) { o.Certificate = nil }), nil},
		{"no key", io.Discard, strings.NewReader(entity), with(func(o *smime.SignOptions) { o.Key = nil }), nil},
		{"MD5", io.Discard, strings.NewReader(entity), with(func(o *smime.SignOptions) { o.Digest = crypto.MD5 }), nil},
		{"another key", io.Discard, strings.NewReader(entity), with(func(o *smime.SignOptions) { o.Key = w.ca.Key }), nil},
		{"reader that fails", io.Discard, iotest.ErrReader(own), good, own},
		{"writer that fails", &failingWriter{err: own}, strings.NewReader(entity), good, own},
		{"writer that fails late", &failingWriter{after: 1000, err: own}, strings.NewReader(entity), good, own},
		{"writer that fails in the middle", &failingWriter{after: 5000, err: own}, strings.NewReader(strings.Repeat(entity, 100)), good, own},
	} {
		err := smime.Sign(c.w, c.r, c.o)
		if err == nil || !strings.HasPrefix(err.Error(), "smime: ") || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: err = %v, want %v", c.name, err, c.want)
		}
	}
}

func TestVerifyOpaque(t *testing.T) {
	w := newWorld(t)
	ldif := []byte("version: 1\n\ndn: o=postacert\n")
	s := testpki.Signer{Certificate: w.leaf, Digest: crypto.SHA256, Content: ldif}
	encoded := s.Encode(t)
	data := func(content []byte, signers ...[]byte) []byte {
		return testpki.SignedData{Content: content, Certificates: [][]byte{w.leaf.Raw}, Signers: signers}.Encode()
	}
	pieces := testpki.Indefinite(0x24, testpki.DER(0x04, ldif[:5]), testpki.DER(0x04, ldif[5:]))
	set := testpki.DER(0x31, ldif)
	ofSet := s
	ofSet.Content = set
	for _, c := range []struct {
		name string
		b    []byte
		want smime.Reason
		why  string
	}{
		{"good", data(testpki.DER(0x04, ldif), encoded), "", "the content is what was signed"},
		{"in pieces", data(pieces, encoded), "", "joined"},
		{"two signers", data(testpki.DER(0x04, ldif), encoded, encoded), "", "the same"},
		{"altered", data(testpki.DER(0x04, bytes.ToUpper(ldif)), encoded), smime.ReasonDigest, "letters"},
		{"detached", data(nil, encoded), smime.ReasonProfile, "nothing to return"},
		{"empty", data(testpki.DER(0x04), encoded), smime.ReasonDigest, "empty is not what was signed"},
		{"a SET", data(testpki.DER(0x04, set), ofSet.Encode(t)), smime.ReasonAttributes, "attributes passed off as content"},
		{"not CMS", ldif, smime.ReasonCMS, "plain text"},
		{"too large", make([]byte, 64<<20+1), smime.ReasonLimit, "64 MiB at most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			content, sig, err := smime.VerifyOpaque(bytes.NewReader(c.b), w.now())
			t.Logf("%s: %v", c.why, err)
			wantReason(t, err, c.want)
			if err == nil && (!bytes.Equal(content, ldif) || !sig.Certificate().Equal(w.leaf.Certificate)) {
				t.Errorf("content = %q", content)
			}
			if err != nil && (content != nil || sig != nil) {
				t.Errorf("content %q and signature %v beside an error", content, sig)
			}
		})
	}
	_, _, err := smime.VerifyOpaque(bytes.NewReader(data(testpki.DER(0x04, ldif), encoded)), smime.VerifyOptions{Time: testpki.Now})
	wantReason(t, err, smime.ReasonNoAnchor)
	own := errors.New("own")
	if _, _, err := smime.VerifyOpaque(iotest.ErrReader(own), w.now()); !errors.Is(err, own) {
		t.Errorf("the reader fails: %v", err)
	}
}
