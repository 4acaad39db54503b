package cms_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"

	"github.com/ceralacca/go-pec/internal/cms"
	"github.com/ceralacca/go-pec/internal/testpki"
)

func request(c *testpki.Certificate, h crypto.Hash) cms.SignRequest {
	digest := h.New()
	digest.Write(content)
	return cms.SignRequest{Certificate: c.Certificate, Key: c.Key, Digest: h, MessageDigest: digest.Sum(nil), SigningTime: testpki.Now}
}

// What Sign writes verifies here, by the oracle and by OpenSSL.
func TestSign(t *testing.T) {
	p := newPKI(t)
	for _, c := range []struct {
		name   string
		cert   *testpki.Certificate
		digest crypto.Hash
		change func(*cms.SignRequest)
	}{
		{"RSA", p.rsa, crypto.SHA256, nil},
		{"RSA SHA-1", p.rsa, crypto.SHA1, nil},
		{"RSA SHA-384", p.rsa, crypto.SHA384, nil},
		{"RSA SHA-512", p.rsa, crypto.SHA512, nil},
		{"ECDSA", p.ec, crypto.SHA256, nil},
		{"ECDSA P-384", p.ec384, crypto.SHA384, nil},
		{"ECDSA SHA-512", p.ec, crypto.SHA512, nil},
		{"with chain", p.rsa, crypto.SHA256, func(r *cms.SignRequest) { r.Chain = []*x509.Certificate{p.ca.Certificate} }},
		{"BER", p.rsa, crypto.SHA256, func(r *cms.SignRequest) { r.Indefinite = true }},
		{"plain RSA", p.rsa, crypto.SHA256, func(r *cms.SignRequest) { r.PlainRSA = true }},
		{"without protection", p.rsa, crypto.SHA256, func(r *cms.SignRequest) { r.NoProtection = true }},
		{"with capabilities", p.rsa, crypto.SHA256, func(r *cms.SignRequest) { r.Capabilities = true }},
		{"long ago", p.rsa, crypto.SHA256, func(r *cms.SignRequest) { r.SigningTime = time.Date(1951, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"all at once", p.ec, crypto.SHA256, func(r *cms.SignRequest) {
			r.Indefinite, r.Capabilities, r.NoProtection = true, true, true
			r.Chain = []*x509.Certificate{p.ca.Certificate}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.cert, c.digest)
			if c.change != nil {
				c.change(&r)
			}
			der, err := cms.Sign(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(der, content); err != nil {
				t.Errorf("verify: %v", err)
			}
			sd, err := cms.Parse(der)
			if err != nil {
				t.Fatal(err)
			}
			if got := sd.Signers[0].SigningTime; !got.Equal(r.SigningTime) {
				t.Errorf("SigningTime = %v, want %v", got, r.SigningTime)
			}
			if got := len(sd.Certificates); got != 1+len(r.Chain) {
				t.Errorf("%d certificates, want %d", got, 1+len(r.Chain))
			}
			if c.name != "long ago" { // the oracle compares it with the certificate
				if err := oracle(der, content); err != nil {
					t.Errorf("the oracle: %v", err)
				}
			}
			t.Run("openssl", func(t *testing.T) { opensslVerify(t, der) })
		})
	}
}

// opensslVerify has OpenSSL check the signature, and not the certificate.
func opensslVerify(t *testing.T, der []byte) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "p7s", der)
	write(t, dir, "content", content)
	out, ok := testpki.OpenSSL(t, dir, "cms", "-verify", "-noverify", "-inform", "DER", "-in", "p7s", "-content", "content", "-binary", "-out", "out")
	if !ok {
		t.Fatalf("openssl: %s", out)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || !bytes.Equal(got, content) {
		t.Errorf("openssl wrote %q, %v, want the content", got, err)
	}
}

func write(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSignEmbedded(t *testing.T) {
	p := newPKI(t)
	for _, indefinite := range []bool{false, true} {
		for _, embedded := range []string{string(content), ""} {
			r := request(p.ec, crypto.SHA256)
			r.Content, r.Indefinite = []byte(embedded), indefinite
			der, err := cms.Sign(r)
			if err != nil {
				t.Fatal(err)
			}
			sd, err := cms.Parse(der)
			if err != nil {
				t.Fatal(err)
			}
			if sd.Content == nil || string(sd.Content) != embedded {
				t.Errorf("Content = %q, want %q", sd.Content, embedded)
			}
		}
	}
}

type failingKey struct{ crypto.Signer }

var errKey = errors.New("no card in the reader")

func (failingKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errKey }

// hidden is a key in hardware: nothing shows but its methods.
type hidden struct{ key crypto.Signer }

func (h hidden) Public() crypto.PublicKey { return h.key.Public() }
func (h hidden) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return h.key.Sign(r, digest, o)
}

func TestSignWithHiddenKey(t *testing.T) {
	r := request(newPKI(t).ec, crypto.SHA256)
	r.Key = hidden{r.Key}
	der, err := cms.Sign(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(der, content); err != nil {
		t.Error(err)
	}
}

func TestSignRefuses(t *testing.T) {
	p := newPKI(t)
	for _, c := range []struct {
		name   string
		change func(*cms.SignRequest)
		want   error
	}{
		{"another key", func(r *cms.SignRequest) { r.Key = p.ec384.Key }, cms.ErrKey},
		{"Ed25519", func(r *cms.SignRequest) { r.Key, r.Certificate = p.ed25519.Key, p.ed25519.Certificate }, cms.ErrKey},
		{"MD5", func(r *cms.SignRequest) { r.Digest = crypto.MD5 }, cms.ErrAlgorithm},
		{"no digest", func(r *cms.SignRequest) { r.Digest = 0 }, cms.ErrAlgorithm},
		{"ECDSA with SHA-1", func(r *cms.SignRequest) { r.Digest = crypto.SHA1 }, cms.ErrAlgorithm},
		{"key that fails", func(r *cms.SignRequest) { r.Key = failingKey{r.Key} }, errKey},
		{"chain too large", func(r *cms.SignRequest) {
			r.Chain = []*x509.Certificate{{Raw: testpki.DER(0x30, make([]byte, cms.MaxSize))}}
		}, cms.ErrTooLarge},
	} {
		r := request(p.ec, crypto.SHA256)
		c.change(&r)
		if der, err := cms.Sign(r); !errors.Is(err, c.want) || der != nil {
			t.Errorf("%s: %x, %v, want %v", c.name, der, err, c.want)
		}
	}
	r := request(p.ec, crypto.SHA256)
	r.SigningTime = time.Time{}
	if _, err := cms.Sign(r); err == nil {
		t.Error("signing in the year 1 succeeded; a UTCTime has no such year")
	}
}

// What the oracle signs verifies here.
func TestOracleSigns(t *testing.T) {
	p := newPKI(t)
	for _, c := range []*testpki.Certificate{p.rsa, p.ec, p.ec384} {
		sd, err := pkcs7.NewSignedData(content)
		if err != nil {
			t.Fatal(err)
		}
		sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
		if err := sd.AddSigner(c.Certificate, c.Key, pkcs7.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
		sd.Detach()
		der, err := sd.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(der, content); err != nil {
			t.Errorf("%T: %v", c.Key, err)
		}
	}
}

// What OpenSSL signs verifies here, or is refused for the right reason.
func TestOpenSSLSigns(t *testing.T) {
	p := newPKI(t)
	dir := t.TempDir()
	write(t, dir, "content", content)
	certs := map[string]*testpki.Certificate{
		"rsa": p.rsa, "short": p.short, "ec": p.ec, "ec384": p.ec384, "ec521": p.ec521, "ca": p.ca,
	}
	for name, c := range certs {
		c.WriteFiles(t, dir, name)
	}
	for _, c := range []struct {
		name, signer, args string
		want               error
		oracle             bool
	}{
		{"rsa2048-sha1", "rsa", "-md sha1", nil, true},
		{"rsa2048-sha256", "rsa", "-md sha256", nil, true},
		{"rsa2048-sha384", "rsa", "-md sha384", nil, true},
		{"rsa2048-sha512", "rsa", "-md sha512", nil, true},
		{"rsa2048-md5", "rsa", "-md md5", cms.ErrAlgorithm, false},
		{"rsa2048-sha224", "rsa", "-md sha224", cms.ErrAlgorithm, false},
		{"rsa1024-sha256", "short", "-md sha256", cms.ErrKey, false},
		{"ecp256-sha256", "ec", "-md sha256", nil, true},
		{"ecp384-sha384", "ec384", "-md sha384", nil, true},
		{"ecp521-sha512", "ec521", "-md sha512", cms.ErrKey, false},
		{"rsapss2048-sha256", "rsa", "-md sha256 -keyopt rsa_padding_mode:pss", nil, false},
		{"rsapss2048-sha512", "rsa", "-md sha512 -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:64", nil, false},
		{"rsapss2048-sha1mgf", "rsa", "-md sha256 -keyopt rsa_padding_mode:pss -keyopt rsa_mgf1_md:sha1", cms.ErrAlgorithm, false},
		{"keyid", "rsa", "-keyid", nil, false},
		{"cades", "rsa", "-cades", nil, true},
		{"nosmimecap", "rsa", "-nosmimecap", nil, true},
		{"noattr", "rsa", "-noattr", cms.ErrNoAttrs, false},
		{"noattr-ec", "ec", "-noattr", cms.ErrNoAttrs, false},
		{"nocerts", "rsa", "-nocerts", errNoCertificate, false},
		{"chain-with-inter", "rsa", "-certfile ca.pem", nil, true},
		{"opaque", "rsa", "-nodetach", errEmbedded, false},
		{"stream-opaque", "rsa", "-nodetach -stream", errEmbedded, false},
		{"twosigners", "rsa", "-signer ec.pem -inkey ec.key", nil, true},
		{"receipt-request", "rsa", "-receipt_request_all -receipt_request_to a@pec.alfa.example", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"cms", "-sign", "-binary", "-in", "content", "-outform", "DER", "-out", "p7s",
				"-signer", c.signer + ".pem", "-inkey", c.signer + ".key"}, strings.Fields(c.args)...)
			if out, ok := testpki.OpenSSL(t, dir, args...); !ok {
				t.Fatalf("openssl: %s", out)
			}
			der, err := os.ReadFile(filepath.Join(dir, "p7s"))
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(der, content); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("verify: %v, want %v", err, c.want)
			}
			if c.oracle {
				if err := oracle(der, content); err != nil {
					t.Errorf("the oracle: %v", err)
				}
			}
			if c.want == errEmbedded {
				sd, err := cms.Parse(der)
				if err != nil || !bytes.Equal(sd.Content, content) {
					t.Errorf("embedded content: %v", err)
				}
			}
		})
	}
}

// An embedded content in pieces is joined.
func TestContentInPieces(t *testing.T) {
	p := newPKI(t)
	long := bytes.Repeat(content, 1000)
	var pieces [][]byte
	for rest := long; len(rest) > 0; {
		n := min(1000, len(rest))
		pieces = append(pieces, testpki.DER(0x04, rest[:n]))
		rest = rest[n:]
	}
	d := p.signed(testpki.Signer{Certificate: p.ec, Content: long})
	for name, element := range map[string][]byte{
		"indefinite": testpki.Indefinite(0x24, pieces...),
		"definite":   testpki.DER(0x24, pieces...),
		"whole":      testpki.DER(0x04, long),
	} {
		d.Content = element
		sd, err := cms.Parse(d.Encode())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(sd.Content, long) {
			t.Errorf("%s: %d bytes of content, want %d", name, len(sd.Content), len(long))
		}
	}
	d.Content = testpki.Indefinite(0x24, testpki.DER(0x0c, content))
	if _, err := cms.Parse(d.Encode()); !errors.Is(err, cms.ErrStructure) {
		t.Errorf("pieces that are no octet strings: %v, want ErrStructure", err)
	}
	d.Content = testpki.Indefinite(0x24)
	if sd, err := cms.Parse(d.Encode()); err != nil || sd.Content == nil || len(sd.Content) > 0 {
		t.Errorf("no pieces: %v, want content that is empty and not nil", err)
	}
}

func TestParseLarge(t *testing.T) {
	p := newPKI(t)
	d := p.signed(testpki.Signer{Certificate: p.ec})
	d.Content = testpki.DER(0x04, make([]byte, cms.MaxSize))
	der := d.Encode()
	if _, err := cms.Parse(der); !errors.Is(err, cms.ErrTooLarge) {
		t.Errorf("Parse: %v, want ErrTooLarge", err)
	}
	if _, err := cms.ParseLarge(der, len(der)); err != nil {
		t.Errorf("ParseLarge: %v", err)
	}
	if _, err := cms.ParseLarge(der, len(der)-1); !errors.Is(err, cms.ErrTooLarge) {
		t.Errorf("ParseLarge, one byte less: %v, want ErrTooLarge", err)
	}
}

func FuzzParse(f *testing.F) {
	p := newPKI(f)
	for _, c := range slices.Concat(goodCases, badCases) {
		if der := c.build(p); len(der) < 4096 {
			f.Add(der)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		sd, err := cms.Parse(der)
		if err != nil {
			if sd != nil {
				t.Errorf("an error and a SignedData: %v", err)
			}
			return
		}
		for _, s := range sd.Signers {
			if len(s.MessageDigest) != s.Digest.Size() {
				t.Errorf("digest of %d bytes", len(s.MessageDigest))
			}
			for _, c := range sd.Certificates {
				s.NamesDER(c)
			}
			digest := s.Digest.New()
			fmt.Fprint(digest, "never signed")
			if s.CheckSignature(p.ec.Key.Public(), 2048) == nil && s.CheckDigest(digest.Sum(nil)) == nil {
				t.Error("a content that was never signed is accepted")
			}
		}
	})
}
