package pectest_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

var present = time.Date(2026, time.September, 4, 8, 15, 30, 0, time.UTC)

func newAuthority(t testing.TB) *pectest.Authority {
	t.Helper()
	a, err := pectest.NewAuthority(pectest.AuthorityConfig{Time: present})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newProvider(t testing.TB, a *pectest.Authority, c pectest.ProviderConfig) *pectest.Provider {
	t.Helper()
	if c.Name == "" {
		c.Name, c.Domain = "Gestore Alfa S.p.A.", "pec.alfa.example"
	}
	p, err := a.NewProvider(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// dataOf returns valid certification data of a kind.
func dataOf(kind pec.Kind) pec.CertData {
	d := pec.CertData{
		Kind:       kind,
		Sender:     pec.MustParseAddress("studio@pec.alfa.example"),
		Recipients: []pec.Recipient{{Address: pec.MustParseAddress("comune@pec.alfa.example")}},
		Subject:    "Verbale \"A&B\" <1>",
		Time:       pectest.Rome(present),
		ID:         "alfa1.20260904101530.00001.1.1.1@pec.alfa.example",
		MessageID:  "<1@pec.alfa.example>",
	}
	switch kind {
	case pec.KindServerAcceptance:
		d.Taken = []pec.Address{d.Recipients[0].Address}
	case pec.KindDelivery:
		d.Delivery, d.ReceiptType = d.Recipients[0].Address, pec.ReceiptComplete
	case pec.KindDeliveryError, pec.KindDeliveryTimeout:
		d.Delivery, d.Error, d.ErrorDetail = d.Recipients[0].Address, pec.ErrorOther, "5.4.1 - Gestore - motivo"
	case pec.KindVirusDetection:
		d.Delivery, d.Error, d.ErrorDetail = d.Recipients[0].Address, pec.ErrorVirus, "EICAR-Test-File"
	case pec.KindNonAcceptance:
		d.Error, d.ErrorDetail = pec.ErrorOther, "Bcc"
	case pec.KindTransport:
		d.ReceiptType = pec.ReceiptComplete
	case pec.KindAnomaly:
		d.ErrorDetail = "firma assente"
	}
	return d
}

const submitted = "From: studio@pec.alfa.example\r\nTo: comune@pec.alfa.example\r\n" +
	"Subject: Verbale\r\nMessage-ID: <1@pec.alfa.example>\r\n\r\nText.\r\n"

func compose(t testing.TB, p *pectest.Provider, m pectest.Message) []byte {
	t.Helper()
	if m.Original == nil {
		m.Original = strings.NewReader(submitted)
	}
	var b bytes.Buffer
	if err := p.Compose(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func options(a *pectest.Authority) receipt.Options {
	return receipt.Options{Trust: a.Trust(), Directory: a.Directory(), Now: func() time.Time { return present }}
}

// program finds a program that none of us wrote. Where the environment variable
// GOPEC_REQUIRE_TOOLS is set, as in CI, it must be there.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("GOPEC_REQUIRE_TOOLS") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("NOT TESTED: %s is not installed", name)
	return ""
}

// opensslVerify has openssl verify a message, at a time.
func opensslVerify(openssl, ca string, raw []byte, at time.Time) error {
	cmd := exec.Command(openssl, "cms", "-verify", "-CAfile", ca, "-attime", fmt.Sprint(at.Unix()), "-out", os.DevNull)
	cmd.Stdin = bytes.NewReader(raw)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("openssl cms -verify: %v\n%s", err, out)
	}
	return nil
}

// TestOpenSSL has another program verify every kind in every dialect.
func TestOpenSSL(t *testing.T) {
	openssl := program(t, "openssl")
	a := newAuthority(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, append(a.RootPEM(), a.IssuerPEM()...), 0o600); err != nil {
		t.Fatal(err)
	}
	old := pectest.OPEC()
	old.Digest = crypto.SHA1
	dialects := []pectest.Dialect{pectest.OPEC(), old, pectest.JPEC()}
	for n, d := range dialects {
		for _, ecdsa := range []bool{false, true} {
			if ecdsa && d.Digest == crypto.SHA1 {
				continue // nobody signs so
			}
			p := newProvider(t, a, pectest.ProviderConfig{Name: fmt.Sprint("Gestore ", n, ecdsa), Domain: "pec.alfa.example", Dialect: d, ECDSA: ecdsa})
			for _, kind := range pec.Kinds() {
				t.Run(fmt.Sprintf("%s/%v/ecdsa=%v/%s", d.Name, d.Digest, ecdsa, kind), func(t *testing.T) {
					t.Parallel()
					raw := compose(t, p, pectest.Message{Data: dataOf(kind)})
					if err := opensslVerify(openssl, ca, raw, present); err != nil {
						t.Errorf("%v\n%s", err, raw)
					}
				})
			}
		}
	}
}

// TestTamper checks that each attack makes a message that is refused for what
// the attack is.
func TestTamper(t *testing.T) {
	a := newAuthority(t)
	alfa := newProvider(t, a, pectest.ProviderConfig{})
	evil := newProvider(t, newAuthority(t), pectest.ProviderConfig{})
	unlisted := newProvider(t, a, pectest.ProviderConfig{Name: "Gestore Alfa S.p.A.", Domain: "pec.alfa.example", Unlisted: true})
	expired := newProvider(t, a, pectest.ProviderConfig{Name: "Scaduto", Domain: "pec.alfa.example", Certificate: func(c *x509.Certificate) {
		c.NotAfter = present.Add(-time.Hour)
	}})
	tests := []struct {
		name   string
		by     *pectest.Provider
		tamper pectest.Tamper
		want   error
	}{
		{"other authority", evil, pectest.Tamper{}, receipt.Code(smime.ReasonIssuer)},
		{"not in the directory", unlisted, pectest.Tamper{}, receipt.CodeNotListed},
		{"expired", expired, pectest.Tamper{}, receipt.Code(smime.ReasonExpired)},
		{"header says another kind", alfa, pectest.Tamper{Header: func(f []pectest.Field) []pectest.Field {
			for i := range f {
				if f[i].Name == pec.HeaderReceipt {
					f[i].Value = "avvenuta-consegna"
				}
			}
			return f
		}}, receipt.CodeHeader},
		{"altered", alfa, pectest.Tamper{Altered: func(b []byte) []byte {
			return bytes.Replace(b, []byte("comune@"), []byte("sindaco@"), 1)
		}}, receipt.Code(smime.ReasonDigest)},
		{"certification data of another form", alfa, pectest.Tamper{CertData: func(b []byte) []byte {
			return bytes.Replace(b, []byte("accettazione"), []byte("assoluzione"), 1)
		}}, receipt.CodeCertData},
		{"two certification data", alfa, pectest.Tamper{Parts: []string{
			"Content-Type: application/xml; name=daticert.xml\r\n\r\n<postacert/>",
		}}, receipt.CodeTwoCertData},
		{"not signed", alfa, pectest.Tamper{Unsigned: true}, receipt.Code(smime.ReasonNotSigned)},
		{"signed a week later", alfa, pectest.Tamper{SigningTime: present.AddDate(0, 0, -7)}, receipt.CodeSigningTime},
		{"signature cut short", alfa, pectest.Tamper{Signature: func(b []byte) []byte { return b[:100] }}, receipt.Code(smime.ReasonCMS)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			raw := compose(t, test.by, pectest.Message{Data: dataOf(pec.KindAcceptance), Tamper: &test.tamper})
			if _, err := receipt.Verify(bytes.NewReader(raw), options(a)); !errors.Is(err, test.want) {
				t.Errorf("Verify: %v, want %v\n%s", err, test.want, raw)
			}
		})
	}
}

func TestSHA1Certificate(t *testing.T) {
	a, err := pectest.NewAuthority(pectest.AuthorityConfig{Time: time.Date(2014, 11, 14, 12, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider(t, a, pectest.ProviderConfig{Name: "Vecchio", Domain: "pec.alfa.example", Certificate: func(c *x509.Certificate) {
		c.SignatureAlgorithm = x509.SHA1WithRSA
	}})
	d := dataOf(pec.KindAcceptance)
	d.Time = pectest.Rome(time.Date(2014, 11, 14, 12, 0, 0, 0, time.UTC))
	raw := compose(t, p, pectest.Message{Data: d})
	opts := options(a)
	if _, err := receipt.Verify(bytes.NewReader(raw), opts); !errors.Is(err, receipt.Code(smime.ReasonLegacy)) {
		t.Errorf("Verify: %v, want %v", err, smime.ReasonLegacy)
	}
	opts.Legacy = true
	if _, err := receipt.Verify(bytes.NewReader(raw), opts); err != nil {
		t.Errorf("Verify with Legacy: %v, want no error", err)
	}
}

func TestRevocation(t *testing.T) {
	a := newAuthority(t)
	p := newProvider(t, a, pectest.ProviderConfig{})
	crl, err := a.CRL(present, x509.RevocationListEntry{
		SerialNumber:   p.Certificate().SerialNumber,
		RevocationTime: present.Add(-24 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := a.Anchor()
	if err != nil {
		t.Fatal(err)
	}
	opts := options(a)
	if opts.Trust, err = smime.NewTrust([]smime.Anchor{anchor}, crl); err != nil {
		t.Fatal(err)
	}
	raw := compose(t, p, pectest.Message{Data: dataOf(pec.KindAcceptance)})
	if _, err := receipt.Verify(bytes.NewReader(raw), opts); !errors.Is(err, receipt.Code(smime.ReasonRevoked)) {
		t.Errorf("Verify: %v, want %v", err, smime.ReasonRevoked)
	}
}

// TestCertificateProfile reads the certificate of a provider: RFC 6109, section
// 5.5.2, and the extended key usage that the real ones have.
func TestCertificateProfile(t *testing.T) {
	a := newAuthority(t)
	c := newProvider(t, a, pectest.ProviderConfig{}).Certificate()
	extensions := make(map[string]bool) // :: identifier → critical
	for _, e := range c.Extensions {
		extensions[e.Id.String()] = e.Critical
	}
	want := map[string]bool{
		"2.5.29.15": true,  // keyUsage
		"2.5.29.17": false, // subjectAltName
		"2.5.29.37": false, // extKeyUsage
		"2.5.29.14": false, // subjectKeyIdentifier
		"2.5.29.35": false, // authorityKeyIdentifier
		"2.5.29.32": false, // certificatePolicies
	}
	if !maps.Equal(extensions, want) {
		t.Errorf("extensions, and which are critical: %v, want %v (and no basicConstraints)", extensions, want)
	}
	if c.KeyUsage != x509.KeyUsageDigitalSignature || !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}) {
		t.Errorf("usages %v %v, want digitalSignature and emailProtection", c.KeyUsage, c.ExtKeyUsage)
	}
	if !slices.Equal(c.EmailAddresses, []string{"posta-certificata@pec.alfa.example"}) || c.Subject.CommonName != "Gestore Alfa S.p.A." {
		t.Errorf("addresses %q of %v, want the service address and the provider's name", c.EmailAddresses, c.Subject)
	}
	if key, ok := c.PublicKey.(*rsa.PublicKey); !ok || key.Size() != 256 || c.SignatureAlgorithm != x509.SHA256WithRSA {
		t.Errorf("%T, signed with %v, want 2048 bits of RSA and SHA-256", c.PublicKey, c.SignatureAlgorithm)
	}
	if i := a.Issuer(); !i.IsCA || i.MaxPathLen != 0 || !i.MaxPathLenZero || i.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("the issuer has usage %v and path length %d, want the form of AgID CA1", i.KeyUsage, i.MaxPathLen)
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.Root())
	intermediates.AddCert(a.Issuer())
	if _, err := c.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: present, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}); err != nil {
		t.Errorf("crypto/x509 verifies it up to the root: %v", err)
	}
}

func TestSignedDirectory(t *testing.T) {
	a := newAuthority(t)
	p := newProvider(t, a, pectest.ProviderConfig{})
	p7m, err := a.SignedLDIF()
	if err != nil {
		t.Fatal(err)
	}
	ldif, _, err := smime.VerifyOpaque(bytes.NewReader(p7m), smime.VerifyOptions{Trust: a.Trust(), Time: present})
	if err != nil {
		t.Fatalf("VerifyOpaque: %v", err)
	}
	records, err := pec.ReadLDIF(bytes.NewReader(ldif))
	if err != nil {
		t.Fatalf("ReadLDIF: %v\n%s", err, ldif)
	}
	if len(records) != 1 || !records[0].Lists(p.Certificate().Raw) || records[0].Name != p.Name() {
		t.Errorf("the directory holds %+v, want the one provider", records)
	}
}

// repeated gives a text again and again.
type repeated struct {
	text string
	left int64
}

func (r *repeated) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(int64(len(b)), r.left)], r.text)
	r.left -= int64(n)
	return n, nil
}

// TestLargeOriginal composes a receipt around 100 MB and watches the memory.
func TestLargeOriginal(t *testing.T) {
	if testing.Short() {
		t.Skip("large")
	}
	p := newProvider(t, newAuthority(t), pectest.ProviderConfig{})
	for _, form := range []pec.ReceiptType{pec.ReceiptComplete, pec.ReceiptBrief} {
		head := "From: studio@pec.alfa.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: text/plain; name=a.txt\r\n\r\n"
		line := strings.Repeat("x", 998) + "\r\n"
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := p.Compose(io.Discard, pectest.Message{
			Data:     dataOf(pec.KindDelivery),
			Form:     form,
			Original: io.MultiReader(strings.NewReader(head), &repeated{line, 100_000_000}),
		})
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
			t.Errorf("composing a %s receipt of 100 MB allocated %d bytes in all, want at most 4 MiB", form, used)
		}
	}
}

// TestBriefReplacements looks at what stands in a brief receipt in place of what.
func TestBriefReplacements(t *testing.T) {
	digest := func(s string) string {
		sum := sha1.Sum([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	pdf := "Content-Type: application/pdf; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nUERG\r\n"
	hashOf := func(name, text string) string {
		return "Content-Type: text/plain; name=" + name + ".hash\r\nContent-Transfer-Encoding: 7bit\r\n" +
			"Content-Disposition: attachment; filename=" + name + ".hash\r\n\r\n" + digest(text)
	}
	tests := []struct {
		name, head, in, want string
	}{
		{"attachment", "multipart/mixed; boundary=b", "--b\r\n" + pdf + "\r\n--b--\r\n", "--b\r\n" + hashOf("a.pdf", "PDF") + "\r\n--b--\r\n"},
		{"text without a name stays", "multipart/mixed; boundary=b", "pre\r\n--b\r\n\r\ntext\r\n\r\n--b--\r\nepilogue", "pre\r\n--b\r\n\r\ntext\r\n\r\n--b--\r\nepilogue"},
		{"a line that is almost a delimiter", "multipart/mixed; boundary=b", "--b\r\n\r\n--b c\r\n--bc\r\n--b--\r\n", "--b\r\n\r\n--b c\r\n--bc\r\n--b--\r\n"},
		{"message", "multipart/mixed; boundary=b", "--b\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\nc\r\n--b--\r\n", "--b\r\n" + hashOf("message.eml", "A: b\r\n\r\nc") + "\r\n--b--\r\n"},
		{"signed: only in the first part", "multipart/signed; boundary=s", "--s\r\n" + pdf + "\r\n--s\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n\r\nMII=\r\n--s--\r\n",
			"--s\r\n" + hashOf("a.pdf", "PDF") + "\r\n--s\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n\r\nMII=\r\n--s--\r\n"},
		{"enveloped stays whole", "application/pkcs7-mime; name=smime.p7m", "MII=\r\n", "MII=\r\n"},
		{"no close delimiter", "multipart/mixed; boundary=b", "--b\r\n" + pdf, "--b\r\n" + hashOf("a.pdf", "PDF")},
		{"inner multipart cut by the outer delimiter", "multipart/mixed; boundary=b",
			"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n" + pdf + "\r\n--b\r\n\r\nx\r\n--b--\r\n",
			"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n" + hashOf("a.pdf", "PDF") + "\r\n--b\r\n\r\nx\r\n--b--\r\n"},
		{"part without a body", "multipart/mixed; boundary=b", "--b\r\nContent-Type: text/plain\r\n--b--\r\n", "--b\r\nContent-Type: text/plain\r\n--b--\r\n"},
	}
	p := newProvider(t, newAuthority(t), pectest.ProviderConfig{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			head := "Content-Type: " + test.head + "\r\n"
			raw := string(compose(t, p, pectest.Message{
				Data:     dataOf(pec.KindDelivery),
				Form:     pec.ReceiptBrief,
				Original: strings.NewReader(head + "\r\n" + test.in),
			}))
			_, got, _ := strings.Cut(raw, pec.HeaderReference+": <1@pec.alfa.example>\r\n\r\n")
			if !strings.HasPrefix(got, test.want+"\r\n------") {
				t.Errorf("the brief copy of\n%s\nis\n%s\nwant\n%s", test.in, got, test.want)
			}
		})
	}
}

func TestRome(t *testing.T) {
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Skip("NOT TESTED: this machine has no time zone database")
	}
	for year := 1996; year < 2050; year++ {
		for _, at := range []time.Time{
			time.Date(year, 3, 25, 0, 0, 0, 0, time.UTC), time.Date(year, 10, 25, 0, 0, 0, 0, time.UTC),
		} {
			for range 8 * 24 * 4 {
				at = at.Add(15 * time.Minute)
				const layout = "2006-01-02 15:04:05 -0700 MST"
				if got, want := pectest.Rome(at).Format(layout), at.In(rome).Format(layout); got != want {
					t.Fatalf("Rome(%v) = %s, want %s", at, got, want)
				}
			}
		}
	}
}
