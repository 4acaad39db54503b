package cms_test

import (
	"bytes"
	"crypto"
	_ "crypto/md5"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"

	"github.com/ceralacca/go-pec/internal/cms"
	"github.com/ceralacca/go-pec/internal/limit"
	"github.com/ceralacca/go-pec/internal/testpki"
)

var content = []byte("Content-Type: text/plain\r\n\r\nRicevuta di prova\r\n")

// verify checks every signature of der over content, as a caller would that
// trusts every certificate.
func verify(der, content []byte) error {
	sd, err := cms.Parse(der)
	if err != nil {
		return err
	}
	if sd.Content != nil {
		return errEmbedded
	}
	for _, s := range sd.Signers {
		digest := s.Digest.New()
		digest.Write(content)
		if err := s.CheckDigest(digest.Sum(nil)); err != nil {
			return err
		}
		cert, err := findCertificate(sd, s)
		if err != nil {
			return err
		}
		if err := s.CheckSignature(cert.PublicKey, 2048); err != nil {
			return err
		}
	}
	return nil
}

var (
	errEmbedded      = errors.New("embedded content")
	errNoCertificate = errors.New("no certificate, or two")
)

func findCertificate(sd *cms.SignedData, s *cms.Signer) (*x509.Certificate, error) {
	var found *x509.Certificate
	for _, der := range sd.Certificates {
		if !s.NamesDER(der) {
			continue
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		if !s.Names(cert) {
			continue
		}
		if found != nil {
			return nil, errNoCertificate
		}
		found = cert
	}
	if found == nil {
		return nil, errNoCertificate
	}
	return found, nil
}

// oracle is the second opinion. It must never see what the gate has not let pass:
// some encodings cost it the machine.
func oracle(der, content []byte) error {
	p7, err := pkcs7.Parse(der)
	if err != nil {
		return fmt.Errorf("parsing: %w", err)
	}
	p7.Content = content
	return p7.Verify()
}

// pki has what the cases are made of.
type pki struct {
	t              testing.TB
	ca, rsa, ec    *testpki.Certificate
	ec384, ec521   *testpki.Certificate
	short, ed25519 *testpki.Certificate
}

func newPKI(t testing.TB) *pki {
	ca := testpki.Authority(t, "p256 authority", nil)
	return &pki{
		t:       t,
		ca:      ca,
		rsa:     ca.Issue(t, "rsa2048", nil),
		ec:      ca.Issue(t, "p256", nil),
		ec384:   ca.Issue(t, "p384", nil),
		ec521:   ca.Issue(t, "p521", nil),
		short:   ca.Issue(t, "rsa1024", nil),
		ed25519: ca.Issue(t, "ed25519", nil),
	}
}

// signed returns a signature of one signer, SHA-256 if nothing else is said.
func (p *pki) signed(s testpki.Signer) testpki.SignedData {
	p.t.Helper()
	return testpki.SignedData{
		Certificates: [][]byte{s.Certificate.Raw},
		Signers:      [][]byte{p.signer(s)},
	}
}

func (p *pki) signer(s testpki.Signer) []byte {
	p.t.Helper()
	if s.Digest == 0 {
		s.Digest = crypto.SHA256
	}
	if s.Content == nil {
		s.Content = content
	}
	return s.Encode(p.t)
}

// der is signed, encoded.
func (p *pki) der(s testpki.Signer) []byte {
	p.t.Helper()
	return p.signed(s).Encode()
}

// digestOf is a messageDigest attribute with the digests of the given contents.
func digestOf(contents ...string) []byte {
	var values [][]byte
	for _, c := range contents {
		h := crypto.SHA256.New()
		h.Write([]byte(c))
		values = append(values, testpki.DER(0x04, h.Sum(nil)))
	}
	return testpki.Attribute(testpki.OIDMessageDigest, values...)
}

// with returns a change of the attributes: at the place of n stand others.
func with(n int, others ...[]byte) func([][]byte) [][]byte {
	return func(attrs [][]byte) [][]byte { return slices.Replace(attrs, n, n+1, others...) }
}

// The places of the attributes of a testpki.Signer.
const (
	atContentType = iota
	atMessageDigest
	atSigningTime
)

// protection is an attribute that binds SHA-256 and a signature algorithm.
func protection(signature string) []byte {
	return testpki.Attribute(testpki.OIDAlgorithmProtection, testpki.DER(0x30,
		testpki.Algorithm(testpki.DigestOIDs[crypto.SHA256]),
		testpki.DER(0xa1, testpki.OID(signature), []byte{5, 0})))
}

func pssAlgorithm(hash, mask crypto.Hash, salt int, more ...[]byte) []byte {
	fields := slices.Concat(
		testpki.DER(0xa0, testpki.Algorithm(testpki.DigestOIDs[hash])),
		testpki.DER(0xa1, testpki.DER(0x30, testpki.OID(testpki.OIDMGF1), testpki.Algorithm(testpki.DigestOIDs[mask]))),
		testpki.DER(0xa2, testpki.Int(salt)),
		slices.Concat(more...))
	return testpki.DER(0x30, testpki.OID(testpki.OIDPSS), testpki.DER(0x30, fields))
}

func pssOptions(h crypto.Hash, salt int) crypto.SignerOpts {
	return &rsa.PSSOptions{Hash: h, SaltLength: salt}
}

// matrixCase is one signature, and what is to become of it.
type matrixCase struct {
	name   string
	build  func(p *pki) []byte
	want   error // nil: verifies
	oracle bool  // the second opinion must agree that it verifies
	reason string
}

// The good ones.
var goodCases = []matrixCase{
	{"rsa sha256", func(p *pki) []byte { return p.der(testpki.Signer{Certificate: p.rsa}) }, nil, true, "the normal case"},
	{"rsa sha1", func(p *pki) []byte { return p.der(testpki.Signer{Certificate: p.rsa, Digest: crypto.SHA1}) }, nil, true, "providers up to 2024"},
	{"rsa sha384", func(p *pki) []byte { return p.der(testpki.Signer{Certificate: p.rsa, Digest: crypto.SHA384}) }, nil, true, "allowed"},
	{"rsa sha512", func(p *pki) []byte { return p.der(testpki.Signer{Certificate: p.rsa, Digest: crypto.SHA512}) }, nil, true, "allowed"},
	{"ecdsa p256 sha256", func(p *pki) []byte { return p.der(testpki.Signer{Certificate: p.ec}) }, nil, true, "allowed"},
	{"ecdsa p256 sha512", func(p *pki) []byte { return p.der(testpki.Signer{Certificate: p.ec, Digest: crypto.SHA512}) }, nil, true, "a digest longer than the curve is cut"},
	{"ecdsa p384 sha384", func(p *pki) []byte { return p.der(testpki.Signer{Certificate: p.ec384, Digest: crypto.SHA384}) }, nil, true, "allowed"},
	{"signature algorithm with digest", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, SignatureAlgorithm: testpki.Algorithm(testpki.OIDSHA256WithRSA)})
	}, nil, true, "providers since 2026"},
	{"sha1WithRSA", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Digest: crypto.SHA1, SignatureAlgorithm: testpki.Algorithm(testpki.OIDSHA1WithRSA)})
	}, nil, true, "the same, older"},
	{"sha384WithRSA", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Digest: crypto.SHA384, SignatureAlgorithm: testpki.Algorithm(testpki.OIDSHA384WithRSA)})
	}, nil, true, "allowed"},
	{"sha512WithRSA", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Digest: crypto.SHA512, SignatureAlgorithm: testpki.Algorithm(testpki.OIDSHA512WithRSA)})
	}, nil, true, "allowed"},
	{"no NULL parameters", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa,
			DigestAlgorithm:    testpki.DER(0x30, testpki.OID(testpki.DigestOIDs[crypto.SHA256])),
			SignatureAlgorithm: testpki.DER(0x30, testpki.OID(testpki.OIDRSA))})
	}, nil, true, "RFC 5754 wants them left out of digests"},
	{"PSS", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Options: pssOptions(crypto.SHA256, 32), SignatureAlgorithm: pssAlgorithm(crypto.SHA256, crypto.SHA256, 32)})
	}, nil, false, "RFC 4056; unknown to the oracle"},
	{"PSS with a long salt", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Digest: crypto.SHA512, Options: pssOptions(crypto.SHA512, 190),
			SignatureAlgorithm: pssAlgorithm(crypto.SHA512, crypto.SHA512, 190)})
	}, nil, false, "OpenSSL's default is as long as fits"},
	{"PSS with a trailer field", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Options: pssOptions(crypto.SHA256, 32),
			SignatureAlgorithm: pssAlgorithm(crypto.SHA256, crypto.SHA256, 32, testpki.DER(0xa3, testpki.Int(1)))})
	}, nil, false, "the default, written out"},
	{"BER of BouncyCastle", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Indefinite = true
		return d.Encode()
	}, nil, true, "providers written in Java"},
	{"BER with the issuer's certificate", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Indefinite, d.Certificates = true, append(d.Certificates, p.ca.Raw)
		return d.Encode()
	}, nil, true, "the same"},
	{"key identifier", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, KeyID: p.rsa.SubjectKeyId})
	}, nil, false, "the other way of naming a certificate; the oracle loses the signer"},
	{"certificate of another before", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Certificates = [][]byte{p.ca.Raw, p.ec.Raw, p.rsa.Raw}
		return d.Encode()
	}, nil, true, "the bag is a set"},
	{"the same serial number by another issuer", func(p *pki) []byte {
		other := testpki.Authority(p.t, "p256 rogue", func(c *x509.Certificate) { c.Subject.CommonName = "Altra autorità" })
		twin := other.Issue(p.t, "p256 decoy", func(c *x509.Certificate) { c.SerialNumber = p.rsa.SerialNumber })
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Certificates = [][]byte{twin.Raw, p.rsa.Raw}
		return d.Encode()
	}, nil, true, "numbers are unique by issuer only"},
	{"attribute certificate in the bag", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Certificates = append([][]byte{testpki.DER(0xa1, testpki.Int(1))}, d.Certificates...)
		return d.Encode()
	}, nil, false, "passed over; the oracle fails"},
	{"junk in the bag", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Certificates = append(d.Certificates, testpki.DER(0x30, testpki.DER(0x30, testpki.Int(7))))
		return d.Encode()
	}, nil, false, "nobody names it; the oracle fails"},
	{"CRL in the signature", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.CRLs = p.ca.CRL(p.t, nil).Raw
		return d.Encode()
	}, nil, true, "not signed, so not looked at"},
	{"unsigned attributes", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Unsigned: testpki.DER(0xa1, testpki.Attribute("1.2.840.113549.1.9.16.2.14", testpki.DER(0x30, testpki.Int(1))))})
	}, nil, true, "a time stamp, say"},
	{"CAdES", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: func(a [][]byte) [][]byte {
			return append(a, testpki.Attribute("1.2.840.113549.1.9.16.2.47", testpki.DER(0x30, testpki.DER(0x30, testpki.DER(0x30, testpki.DER(0x04, make([]byte, 32)))))))
		}})
	}, nil, true, "an attribute that is signed and means nothing here"},
	{"attribute of two values", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: func(a [][]byte) [][]byte {
			return append(a, testpki.Attribute("1.2.3.4", testpki.Int(1), testpki.Int(2)))
		}})
	}, nil, true, "only those that are known have one value"},
	{"algorithm protection", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: func(a [][]byte) [][]byte { return append(a, protection(testpki.OIDRSA)) }})
	}, nil, true, "RFC 6211"},
	{"no signing time", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atSigningTime)})
	}, nil, true, "not required at this level"},
	{"signing time after 2049", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atSigningTime, testpki.Attribute(testpki.OIDSigningTime, testpki.DER(0x18, []byte("20500101000000Z"))))})
	}, nil, false, "a GeneralizedTime; the oracle compares it with the certificate"},
	{"attributes sent and signed unsorted", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Unsorted: true, Attributes: func(a [][]byte) [][]byte { slices.Reverse(a); return a }})
	}, nil, false, "what is signed is what stands there; the oracle sorts first"},
	{"two signers of one certificate", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Signers = append(d.Signers, p.signer(testpki.Signer{Certificate: p.rsa, Digest: crypto.SHA512}))
		return d.Encode()
	}, nil, true, "both are good"},
	{"two signers", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Signers = append(d.Signers, p.signer(testpki.Signer{Certificate: p.ec}))
		d.Certificates = append(d.Certificates, p.ec.Raw)
		return d.Encode()
	}, nil, true, "both are good; whether two may sign is for the caller"},
	{"32 certificates and 4 signers", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.ec})
		d.Certificates = append(d.Certificates, slices.Repeat([][]byte{p.ca.Raw}, 31)...)
		d.Signers = slices.Repeat(d.Signers, 4)
		return d.Encode()
	}, nil, true, "as many as allowed"},
	{"64 attributes", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.ec, Attributes: manyAttributes(64)})
	}, nil, true, "as many as allowed"},
}

func manyAttributes(n int) func([][]byte) [][]byte {
	return func(a [][]byte) [][]byte {
		for i := len(a); i < n; i++ {
			a = append(a, testpki.Attribute(fmt.Sprintf("1.2.3.%d", i), testpki.Int(i)))
		}
		return a
	}
}

// The bad ones.
var badCases = []matrixCase{
	{"stripped attributes", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Wire: func([]byte) []byte { return nil }})
	}, cms.ErrNoAttrs, false, "the attributes of one signature, passed off as the content of another"},
	{"signed without attributes", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, NoAttributes: true})
	}, cms.ErrNoAttrs, false, "genuine, but open to that attack"},
	{"empty attribute set", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, NoAttributes: true, DigestAlgorithm: slices.Concat(testpki.Algorithm(testpki.DigestOIDs[crypto.SHA256]), testpki.DER(0xa0))})
	}, cms.ErrNoAttrs, false, "counts as no attributes for others"},
	{"no contentType", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atContentType)})
	}, cms.ErrAttributes, false, "RFC 5652, section 11.1"},
	{"another contentType", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atContentType, testpki.Attribute(testpki.OIDContentType, testpki.OID("1.2.840.113549.1.9.16.1.4")))})
	}, cms.ErrAttributes, false, "a time stamp token, say, signed for another purpose"},
	{"contentType of two values", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atContentType, testpki.Attribute(testpki.OIDContentType, testpki.OID(testpki.OIDData), testpki.OID(testpki.OIDSignedData)))})
	}, cms.ErrAttributes, false, "RFC 5652, section 11.1"},
	{"contentType twice", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atContentType, testpki.Attribute(testpki.OIDContentType, testpki.OID(testpki.OIDData)), testpki.Attribute(testpki.OIDContentType, testpki.OID(testpki.OIDData)))})
	}, cms.ErrAttributes, false, "RFC 5652, section 11.1"},
	{"contentType that is no OID", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atContentType, testpki.Attribute(testpki.OIDContentType, testpki.Int(1)))})
	}, cms.ErrAttributes, false, "malformed"},
	{"another eContentType", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.ContentType = "1.2.840.113549.1.9.16.1.4"
		return d.Encode()
	}, cms.ErrContentType, false, "not data"},
	{"no messageDigest", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atMessageDigest)})
	}, cms.ErrAttributes, false, "nothing would bind the content"},
	{"two messageDigests", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atMessageDigest, digestOf(string(content)), digestOf("another"))})
	}, cms.ErrAttributes, false, "others take the first"},
	{"messageDigest of two values", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atMessageDigest, digestOf(string(content), "another"))})
	}, cms.ErrAttributes, false, "others take the first"},
	{"messageDigest of no value", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atMessageDigest, digestOf())})
	}, cms.ErrAttributes, false, "nothing would bind the content"},
	{"messageDigest of another content", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atMessageDigest, digestOf("another"))})
	}, cms.ErrDigest, false, "the signature is good, for something else"},
	{"messageDigest too short", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atMessageDigest, testpki.Attribute(testpki.OIDMessageDigest, testpki.DER(0x04, make([]byte, 20))))})
	}, cms.ErrAttributes, false, "not of the digest algorithm"},
	{"empty messageDigest", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atMessageDigest, testpki.Attribute(testpki.OIDMessageDigest, testpki.DER(0x04)))})
	}, cms.ErrAttributes, false, "not of the digest algorithm"},
	{"two signing times", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atSigningTime, testpki.Attribute(testpki.OIDSigningTime, testpki.UTCTime(testpki.Now), testpki.UTCTime(testpki.NotAfter)))})
	}, cms.ErrAttributes, false, "which one?"},
	{"signing time that is none", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atSigningTime, testpki.Attribute(testpki.OIDSigningTime, testpki.DER(0x17, []byte("261399000000Z"))))})
	}, cms.ErrAttributes, false, "no thirteenth month"},
	{"unknown attribute twice", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: func(a [][]byte) [][]byte {
			return append(a, testpki.Attribute("1.2.3.4", testpki.Int(1)), testpki.Attribute("1.2.3.4", testpki.Int(2)))
		}})
	}, cms.ErrAttributes, false, "no attribute may stand twice"},
	{"attribute that is none", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: func(a [][]byte) [][]byte { return append(a, testpki.Int(1)) }})
	}, cms.ErrAttributes, false, "malformed"},
	{"attribute with more in it", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: func(a [][]byte) [][]byte {
			return append(a, testpki.DER(0x30, testpki.OID("1.2.3.4"), testpki.DER(0x31, testpki.Int(1)), testpki.Int(2)))
		}})
	}, cms.ErrAttributes, false, "malformed"},
	{"attributes in BER", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Wire: func(b []byte) []byte { return testpki.Indefinite(0xa0, b[2:]) }})
	}, cms.ErrAttributes, false, "RFC 5652, section 5.3: DER, even if the rest is not"},
	{"attribute in BER", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atSigningTime, testpki.DER(0x30, testpki.OID(testpki.OIDSigningTime), testpki.Indefinite(0x31, testpki.UTCTime(testpki.Now))))})
	}, cms.ErrAttributes, false, "the same, further inside"},
	{"digest in BER", func(p *pki) []byte {
		h := crypto.SHA256.New()
		h.Write(content)
		long := append([]byte{0x04, 0x81, 32}, h.Sum(nil)...)
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: with(atMessageDigest, testpki.Attribute(testpki.OIDMessageDigest, long))})
	}, cms.ErrAttributes, false, "a longer length than needed"},
	{"attributes changed", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Wire: func(b []byte) []byte {
			return bytes.Replace(b, []byte("260904081530Z"), []byte("260904081531Z"), 1)
		}})
	}, cms.ErrSignature, false, "one second later"},
	{"attributes sent unsorted, signed sorted", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Wire: swapFirstTwo})
	}, cms.ErrSignature, false, "what is signed is what stands there; the oracle sorts first"},
	{"protected digest differs", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Digest: crypto.SHA512, Attributes: func(a [][]byte) [][]byte { return append(a, protection(testpki.OIDRSA)) }})
	}, cms.ErrAttributes, false, "RFC 6211: SHA-256 was signed for"},
	{"protected signature algorithm differs", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: func(a [][]byte) [][]byte { return append(a, protection(testpki.OIDSHA256WithRSA)) }})
	}, cms.ErrAttributes, false, "RFC 6211: another was signed for"},
	{"protection with more in it", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Attributes: func(a [][]byte) [][]byte {
			return append(a, testpki.Attribute(testpki.OIDAlgorithmProtection, testpki.DER(0x30,
				testpki.Algorithm(testpki.DigestOIDs[crypto.SHA256]), testpki.DER(0xa1, testpki.OID(testpki.OIDRSA)), testpki.DER(0xa2, testpki.OID("1.2.3")))))
		}})
	}, cms.ErrAttributes, false, "a MAC algorithm, where there is no MAC"},
	{"65 attributes", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.ec, Attributes: manyAttributes(65)})
	}, cms.ErrAttributes, false, "one too many"},

	{"signature changed", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Signature: func(b []byte) []byte { b[10] ^= 1; return b }})
	}, cms.ErrSignature, false, "one bit"},
	{"ECDSA signature changed", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.ec, Signature: func(b []byte) []byte { b[10] ^= 1; return b }})
	}, cms.ErrSignature, false, "one bit"},
	{"ECDSA signature of zeros", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.ec, Signature: func([]byte) []byte { return testpki.DER(0x30, testpki.Int(0), testpki.Int(0)) }})
	}, cms.ErrSignature, false, "accepted by Java once"},
	{"ECDSA signature with bytes after it", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.ec, Signature: func(b []byte) []byte { return append(b, 0) }})
	}, cms.ErrSignature, false, "malleable"},
	{"empty signature", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Signature: func([]byte) []byte { return nil }})
	}, cms.ErrSignature, false, "nothing"},
	{"short RSA signature", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Signature: func(b []byte) []byte { return b[1:] }})
	}, cms.ErrSignature, false, "not as long as the key"},
	{"another key", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.ec, Key: testpki.Key(p.t, "p256 another")})
	}, cms.ErrSignature, false, "not that of the certificate"},
	{"RSA by an ECDSA key", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.ec, SignatureAlgorithm: testpki.Algorithm(testpki.OIDSHA256WithRSA)})
	}, cms.ErrAlgorithm, false, "algorithm and key disagree"},
	{"ECDSA by an RSA key", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, SignatureAlgorithm: testpki.DER(0x30, testpki.OID(testpki.ECDSAOIDs[crypto.SHA256]))})
	}, cms.ErrAlgorithm, false, "algorithm and key disagree"},
	{"PSS by an ECDSA key", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.ec, SignatureAlgorithm: pssAlgorithm(crypto.SHA256, crypto.SHA256, 32)})
	}, cms.ErrAlgorithm, false, "algorithm and key disagree"},
	{"digest and signature algorithm disagree", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Digest: crypto.SHA1, SignatureAlgorithm: testpki.Algorithm(testpki.OIDSHA256WithRSA)})
	}, cms.ErrAlgorithm, false, "which one was used for the attributes?"},
	{"digest and ECDSA disagree", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.ec, Digest: crypto.SHA512, SignatureAlgorithm: testpki.DER(0x30, testpki.OID(testpki.ECDSAOIDs[crypto.SHA256]))})
	}, cms.ErrAlgorithm, false, "the same"},
	{"ECDSA with SHA-1", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.ec, Digest: crypto.SHA1})
	}, cms.ErrAlgorithm, false, "no provider ever wrote that"},
	{"MD5", func(p *pki) []byte { return p.der(testpki.Signer{Certificate: p.rsa, Digest: crypto.MD5}) }, cms.ErrAlgorithm, false, "broken"},
	{"SHA-224", func(p *pki) []byte { return p.der(testpki.Signer{Certificate: p.rsa, Digest: crypto.SHA224}) }, cms.ErrAlgorithm, false, "not on the list"},
	{"Ed25519", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.ed25519, Options: crypto.Hash(0), Digest: crypto.SHA512, SignatureAlgorithm: testpki.DER(0x30, testpki.OID("1.3.101.112"))})
	}, cms.ErrAlgorithm, false, "not on the list"},
	{"Ed25519 key for RSA", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.ed25519, Options: crypto.Hash(0), Digest: crypto.SHA512, SignatureAlgorithm: testpki.Algorithm(testpki.OIDRSA)})
	}, cms.ErrKey, false, "not on the list"},
	{"P-521", func(p *pki) []byte { return p.der(testpki.Signer{Certificate: p.ec521}) }, cms.ErrKey, false, "not on the list"},
	{"RSA of 1024 bits", func(p *pki) []byte { return p.der(testpki.Signer{Certificate: p.short}) }, cms.ErrKey, false, "too short, unless the caller says otherwise"},
	{"digest algorithm in BER", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, DigestAlgorithm: testpki.DER(0x30, testpki.OID(testpki.DigestOIDs[crypto.SHA256]), []byte{0x05, 0x81, 0x00})})
	}, cms.ErrAlgorithm, false, "parameters that are not DER"},
	{"signature algorithm with more in it", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, SignatureAlgorithm: testpki.DER(0x30, testpki.OID(testpki.OIDRSA), []byte{5, 0}, []byte{5, 0})})
	}, cms.ErrStructure, false, "malformed"},
	{"PSS without parameters", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, SignatureAlgorithm: testpki.Algorithm(testpki.OIDPSS)})
	}, cms.ErrAlgorithm, false, "required, though all may be left out of them"},
	{"PSS with default parameters", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, SignatureAlgorithm: testpki.DER(0x30, testpki.OID(testpki.OIDPSS), testpki.DER(0x30))})
	}, cms.ErrAlgorithm, false, "SHA-1, which is not the digest"},
	{"PSS with another mask", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, SignatureAlgorithm: pssAlgorithm(crypto.SHA256, crypto.SHA1, 32)})
	}, cms.ErrAlgorithm, false, "OpenSSL's default once, but two digests"},
	{"PSS with another digest", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, SignatureAlgorithm: pssAlgorithm(crypto.SHA512, crypto.SHA512, 32)})
	}, cms.ErrAlgorithm, false, "two digests"},
	{"PSS with another salt", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Options: pssOptions(crypto.SHA256, 20), SignatureAlgorithm: pssAlgorithm(crypto.SHA256, crypto.SHA256, 32)})
	}, cms.ErrSignature, false, "the length is what the parameters say"},
	{"PSS without salt", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, SignatureAlgorithm: pssAlgorithm(crypto.SHA256, crypto.SHA256, 0)})
	}, cms.ErrAlgorithm, false, "crypto/rsa would take any"},
	{"PSS with a negative salt", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, SignatureAlgorithm: pssAlgorithm(crypto.SHA256, crypto.SHA256, -1)})
	}, cms.ErrAlgorithm, false, "crypto/rsa would take that of the digest"},
	{"PSS with another trailer", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, SignatureAlgorithm: pssAlgorithm(crypto.SHA256, crypto.SHA256, 32, testpki.DER(0xa3, testpki.Int(2)))})
	}, cms.ErrAlgorithm, false, "there is only one"},
	{"PSS with an unknown field", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, SignatureAlgorithm: pssAlgorithm(crypto.SHA256, crypto.SHA256, 32, testpki.DER(0xa4, testpki.Int(2)))})
	}, cms.ErrAlgorithm, false, "malformed"},
	{"PKCS #1 called PSS", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, SignatureAlgorithm: pssAlgorithm(crypto.SHA256, crypto.SHA256, 32)})
	}, cms.ErrSignature, false, "the padding is another"},

	{"no signer", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Signers = nil
		return d.Encode()
	}, cms.ErrNoSigner, false, "a bag of certificates"},
	{"certificates only", func(p *pki) []byte {
		return testpki.SignedData{Certificates: [][]byte{p.rsa.Raw, p.ca.Raw}}.Encode()
	}, cms.ErrNoSigner, false, "the same"},
	{"two signers, one bad", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Signers = append(d.Signers, p.signer(testpki.Signer{Certificate: p.ec, Content: []byte("another")}))
		d.Certificates = append(d.Certificates, p.ec.Raw)
		return d.Encode()
	}, cms.ErrDigest, false, "every one must be good"},
	{"two signers, one without attributes", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Signers = append(d.Signers, p.signer(testpki.Signer{Certificate: p.rsa, NoAttributes: true}))
		return d.Encode()
	}, cms.ErrNoAttrs, false, "every one must be good"},
	{"5 signers", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Signers = slices.Repeat(d.Signers, 5)
		return d.Encode()
	}, cms.ErrTooLarge, false, "one too many"},
	{"33 certificates", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Certificates = slices.Repeat(d.Certificates, 33)
		return d.Encode()
	}, cms.ErrTooLarge, false, "one too many"},
	{"huge certificate", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Certificates = append(d.Certificates, testpki.DER(0x30, testpki.DER(0x04, make([]byte, 64<<10))))
		return d.Encode()
	}, cms.ErrTooLarge, false, "a key of half a million bits fits in it"},
	{"no certificate", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Certificates = nil
		return d.Encode()
	}, errNoCertificate, false, "RFC 6109, section 2.1 wants it inside"},
	{"certificate of another", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Certificates = [][]byte{p.ec.Raw}
		return d.Encode()
	}, errNoCertificate, false, "the serial number differs"},
	{"decoy with the same issuer and serial number", func(p *pki) []byte {
		decoy := p.decoy()
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Certificates = [][]byte{decoy.Raw, p.rsa.Raw}
		return d.Encode()
	}, errNoCertificate, false, "two fit"},
	{"only the decoy", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Certificates = [][]byte{p.decoy().Raw}
		return d.Encode()
	}, cms.ErrAlgorithm, false, "its key is another, of another type even"},
	{"another key identifier", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, KeyID: []byte("id of nobody")})
	}, errNoCertificate, false, "no certificate fits"},
	{"part of the key identifier", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, KeyID: p.rsa.SubjectKeyId[:5]})
	}, errNoCertificate, false, "it must be the whole one"},
	{"empty key identifier", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, KeyID: []byte{}})
	}, cms.ErrStructure, false, "it would fit every certificate without one"},
	{"certificate in BER", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		header := 4
		d.Certificates = [][]byte{testpki.Indefinite(0x30, p.rsa.Raw[header:])}
		return d.Encode()
	}, cms.ErrBER, false, "what was signed is DER"},

	{"embedded content", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Content = testpki.DER(0x04, content)
		return d.Encode()
	}, errEmbedded, false, "for the caller to refuse"},
	{"embedded empty content", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Content = testpki.DER(0x04)
		return d.Encode()
	}, errEmbedded, false, "empty is not absent"},
	{"embedded content that is no octet string", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Content = testpki.DER(0x0c, content)
		return d.Encode()
	}, cms.ErrStructure, false, "malformed"},
	{"two embedded contents", func(p *pki) []byte {
		d := p.signed(testpki.Signer{Certificate: p.rsa})
		d.Content = slices.Concat(testpki.DER(0x04, content), testpki.DER(0x04, content))
		return d.Encode()
	}, cms.ErrStructure, false, "malformed"},
	{"bytes after it", func(p *pki) []byte {
		return append(p.der(testpki.Signer{Certificate: p.rsa}), "garbage"...)
	}, cms.ErrBER, false, "one input is one object"},
	{"zeros after it", func(p *pki) []byte {
		return append(p.der(testpki.Signer{Certificate: p.rsa}), 0, 0)
	}, cms.ErrBER, false, "the same"},
	{"not a SignedData", func(p *pki) []byte {
		return testpki.DER(0x30, testpki.OID("1.2.840.113549.1.7.3"), testpki.DER(0xa0, testpki.DER(0x30, testpki.Int(0))))
	}, cms.ErrStructure, false, "enveloped data"},
	{"more after the unsigned attributes", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Unsigned: slices.Concat(testpki.DER(0xa1), testpki.Int(1))})
	}, cms.ErrStructure, false, "malformed"},
	{"unsigned attributes twice", func(p *pki) []byte {
		return p.der(testpki.Signer{Certificate: p.rsa, Unsigned: slices.Concat(testpki.DER(0xa1), testpki.DER(0xa1))})
	}, cms.ErrStructure, false, "malformed"},
	{"a certificate", func(p *pki) []byte { return p.rsa.Raw }, cms.ErrStructure, false, "another structure"},
	{"an integer", func(p *pki) []byte { return testpki.Int(1) }, cms.ErrStructure, false, "another structure"},
	{"an empty sequence", func(p *pki) []byte { return testpki.DER(0x30) }, cms.ErrStructure, false, "another structure"},
	{"content info without content", func(p *pki) []byte { return testpki.DER(0x30, testpki.OID(testpki.OIDSignedData)) }, cms.ErrStructure, false, "another structure"},
	{"content info with more in it", func(p *pki) []byte {
		der := p.der(testpki.Signer{Certificate: p.ec})
		return testpki.DER(0x30, der[bytes.Index(der, testpki.OID(testpki.OIDSignedData)):], testpki.Int(1))
	}, cms.ErrStructure, false, "malformed"},
	{"1 MiB and a byte", func(p *pki) []byte { return testpki.DER(0x04, make([]byte, cms.MaxSize)) }, cms.ErrTooLarge, false, "too large to be looked at"},
}

// decoy is a certificate that somebody else made with the issuer's name and the
// serial number of p.rsa.
func (p *pki) decoy() *testpki.Certificate {
	rogue := testpki.Authority(p.t, "p256 rogue", nil)
	return rogue.Issue(p.t, "p256 decoy", func(c *x509.Certificate) { c.SerialNumber = p.rsa.SerialNumber })
}

// swapFirstTwo exchanges the first two attributes of an encoded set.
func swapFirstTwo(set []byte) []byte {
	header := 2
	if set[1] == 0x81 {
		header = 3
	}
	list := set[header:]
	first := 2 + int(list[1])
	second := 2 + int(list[first+1])
	return slices.Concat(set[:header], list[first:first+second], list[:first], list[first+second:])
}

func TestMatrix(t *testing.T) {
	p := newPKI(t)
	for _, c := range slices.Concat(goodCases, badCases) {
		t.Run(c.name, func(t *testing.T) {
			p.t = t
			der := c.build(p)
			err := verify(der, content)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("verify: %v, want %v (%s)", err, c.want, c.reason)
			}
			if err == nil && c.oracle {
				if err := oracle(der, content); err != nil {
					t.Errorf("verified, but not by the oracle: %v (%s)", err, c.reason)
				}
			}
			if err == nil && verify(der, []byte("another")) == nil {
				t.Error("verifies over another content too")
			}
		})
	}
}

func TestLimitsAreTyped(t *testing.T) {
	p := newPKI(t)
	for name, want := range map[string]int64{
		"5 signers": cms.MaxSigners, "33 certificates": cms.MaxCertificates, "huge certificate": 64 << 10,
		"65 attributes": 64, "1 MiB and a byte": cms.MaxSize,
	} {
		i := slices.IndexFunc(badCases, func(c matrixCase) bool { return c.name == name })
		_, err := cms.Parse(badCases[i].build(p))
		var passed *limit.Error
		if !errors.As(err, &passed) || passed.Max != want {
			t.Errorf("%s: %v, want the limit of %d", name, err, want)
		}
	}
}

func TestKeysOfSize(t *testing.T) {
	p := newPKI(t)
	sd, err := cms.Parse(p.der(testpki.Signer{Certificate: p.short}))
	if err != nil {
		t.Fatal(err)
	}
	s := sd.Signers[0]
	good := p.short.PublicKey.(*rsa.PublicKey)
	huge := new(rsa.PublicKey)
	huge.N, huge.E = new(big.Int).Lsh(big.NewInt(1), 8192), 65537
	for _, c := range []struct {
		name string
		key  any
		min  int
		want error
	}{
		{"as short as the caller allows", good, 1024, nil},
		{"shorter", good, 1025, cms.ErrKey},
		{"longer than 8192 bits", huge, 1024, cms.ErrKey},
		{"exponent 1", &rsa.PublicKey{N: good.N, E: 1}, 1024, cms.ErrKey},
		{"exponent 2", &rsa.PublicKey{N: good.N, E: 2}, 1024, cms.ErrKey},
		{"exponent 3", &rsa.PublicKey{N: good.N, E: 3}, 1024, cms.ErrSignature},
		{"exponent 0", &rsa.PublicKey{N: good.N}, 1024, cms.ErrKey},
		{"no key", nil, 1024, cms.ErrKey},
	} {
		if err := s.CheckSignature(c.key, c.min); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestSignerFields(t *testing.T) {
	p := newPKI(t)
	rome := time.FixedZone("", 2*60*60)
	attrs := with(atSigningTime, testpki.Attribute(testpki.OIDSigningTime, testpki.DER(0x17, []byte("260904101530+0200"))))
	sd, err := cms.Parse(p.der(testpki.Signer{Certificate: p.ec, Attributes: attrs}))
	if err != nil {
		t.Fatal(err)
	}
	want := time.Date(2026, 9, 4, 10, 15, 30, 0, rome)
	if got := sd.Signers[0].SigningTime; !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("SigningTime = %v, want %v in UTC", got, want)
	}
	if got := sd.Signers[0].Digest; got != crypto.SHA256 {
		t.Errorf("Digest = %v, want SHA-256", got)
	}
}

// Every prefix of a signature is refused as cut short.
func TestTruncated(t *testing.T) {
	p := newPKI(t)
	for _, indefinite := range []bool{false, true} {
		d := p.signed(testpki.Signer{Certificate: p.ec})
		d.Indefinite = indefinite
		der := d.Encode()
		for n := range len(der) {
			if _, err := cms.Parse(der[:n]); !errors.Is(err, cms.ErrBER) {
				t.Errorf("first %d bytes of %d: %v, want ErrBER", n, len(der), err)
			}
		}
	}
}

// Whatever bit of a signature is changed, it is never good for another content,
// and where it is still good, the changed bit was one that is not signed.
func TestFlippedBits(t *testing.T) {
	p := newPKI(t)
	der := p.der(testpki.Signer{Certificate: p.ec})
	still := 0
	for i := range len(der) * 8 {
		flipped := bytes.Clone(der)
		flipped[i/8] ^= 1 << (i % 8)
		if verify(flipped, []byte("another")) == nil {
			t.Fatalf("bit %d changed: good for another content", i)
		}
		if verify(flipped, content) != nil {
			continue
		}
		still++
		if !sameKey(flipped, p.ec) {
			t.Errorf("bit %d changed: good, by another key", i)
		}
	}
	t.Logf("%d of %d bits are not covered: versions, NULL parameters, and what of the certificate only its issuer vouches for", still, len(der)*8)
}

func sameKey(der []byte, c *testpki.Certificate) bool {
	sd, err := cms.Parse(der)
	if err != nil {
		return false
	}
	cert, err := findCertificate(sd, sd.Signers[0])
	return err == nil && c.Key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(cert.PublicKey)
}
