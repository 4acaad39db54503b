package smime_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/smime"
)

// entity is what most tests sign.
const entity = "Content-Type: multipart/mixed; boundary=\"M\"\r\n" +
	"\r\n" +
	"--M\r\n" +
	"Content-Type: text/plain\r\n" +
	"\r\n" +
	"Ricevuta di prova\r\n" +
	"--M--\r\n"

// message is a multipart/signed message, to be written as it says.
type message struct {
	fields    string // of the top-level header, before the Content-Type
	protocol  string
	micalg    string
	boundary  string
	preamble  string
	entity    string
	sigType   string
	sigCTE    string
	p7s       []byte // in base64 unless raw is set
	raw       string
	closing   string // after "--" and the boundary
	epilogue  string
	contentTy string // in place of all of the Content-Type
}

func newMessage(p7s []byte) *message {
	return &message{
		fields:   "From: posta-certificata@pec.alfa.example\r\nMIME-Version: 1.0\r\n",
		protocol: "application/pkcs7-signature",
		micalg:   "sha-256",
		boundary: "SIG",
		entity:   entity,
		sigType:  "application/pkcs7-signature; name=\"smime.p7s\"",
		sigCTE:   "base64",
		p7s:      p7s,
		closing:  "--\r\n",
	}
}

func (m *message) bytes() []byte {
	var b bytes.Buffer
	contentType := m.contentTy
	if contentType == "" {
		contentType = fmt.Sprintf("multipart/signed; protocol=%q; micalg=%s;\r\n\tboundary=%q", m.protocol, m.micalg, m.boundary)
	}
	fmt.Fprintf(&b, "%sContent-Type: %s\r\n\r\n%s--%s\r\n%s\r\n--%s\r\n", m.fields, contentType, m.preamble, m.boundary, m.entity, m.boundary)
	fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", m.sigType, m.sigCTE)
	body := m.raw
	if body == "" {
		body = wrapped(m.p7s)
	}
	fmt.Fprintf(&b, "%s\r\n--%s%s%s", body, m.boundary, m.closing, m.epilogue)
	return b.Bytes()
}

// wrapped is base64 in lines.
func wrapped(b []byte) string {
	text := base64.StdEncoding.EncodeToString(b)
	var lines []string
	for len(text) > 76 {
		lines = append(lines, text[:76])
		text = text[76:]
	}
	return strings.Join(append(lines, text), "\r\n")
}

// signer signs the entity with SHA-256.
func signer(c *testpki.Certificate) testpki.Signer {
	return testpki.Signer{Certificate: c, Digest: crypto.SHA256, Content: []byte(entity)}
}

// signature is a CMS signature by one signer.
func signature(t testing.TB, s testpki.Signer) []byte {
	t.Helper()
	return testpki.SignedData{
		Certificates: [][]byte{s.Certificate.Raw},
		Signers:      [][]byte{s.Encode(t)},
	}.Encode()
}

// signed is a message signed by c.
func signed(t testing.TB, c *testpki.Certificate) *message {
	t.Helper()
	return newMessage(signature(t, signer(c)))
}

// world is an authority, a certificate that it issued, and the trust in it.
type world struct {
	ca, leaf *testpki.Certificate
	trust    *smime.Trust
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ca := testpki.Authority(t, "p256 authority", nil)
	return &world{ca: ca, leaf: ca.Issue(t, "p256", nil), trust: trustIn(t, ca)}
}

func trustIn(t testing.TB, cas ...*testpki.Certificate) *smime.Trust {
	t.Helper()
	var anchors []smime.Anchor
	for _, ca := range cas {
		a, err := smime.AnchorFromCertificate(ca.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		anchors = append(anchors, a)
	}
	trust, err := smime.NewTrust(anchors)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

// now are options that trust w at testpki.Now.
func (w *world) now() smime.VerifyOptions {
	return smime.VerifyOptions{Trust: w.trust, Time: testpki.Now}
}

func verify(b []byte, opts smime.VerifyOptions) (*smime.Signature, error) {
	return smime.Verify(bytes.NewReader(b), nil, opts)
}

// wantReason checks that err is a refusal with a reason, or nil if that is "".
func wantReason(t testing.TB, err error, want smime.Reason) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	var refusal *smime.Error
	if !errors.Is(err, want) || !errors.As(err, &refusal) || refusal.Reason != want {
		t.Errorf("err = %v, want %q", err, string(want))
		return
	}
	if !strings.HasPrefix(err.Error(), "smime: ") {
		t.Errorf("error %q does not begin with the package", err)
	}
	var limit *smime.LimitError
	if got := errors.As(err, &limit); got != (want == smime.ReasonLimit) {
		t.Errorf("error %v holds a LimitError: %v", err, got)
	}
}

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}
