package smime_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/smime"
)

// reasonCases change a message that is good, or the way in which it is verified.
var reasonCases = []struct {
	name   string
	change func(t *testing.T, w *world, m *message, o *smime.VerifyOptions)
	want   smime.Reason
	why    string
}{
	{"nothing", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {}, "", "the message is good"},

	// The header.
	{"plain text", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.contentTy = "text/plain" }, smime.ReasonNotSigned, "nothing to judge"},
	{"no Content-Type", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.contentTy = "\r\nX: y" }, smime.ReasonNotSigned, "that is plain text"},
	{"mixed", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.contentTy = "multipart/mixed; boundary=SIG"
	}, smime.ReasonNotSigned, "a signature deeper inside is not searched for"},
	{"opaque", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.contentTy = "application/pkcs7-mime; smime-type=signed-data"
	}, smime.ReasonProfile, "another form of S/MIME"},
	{"OpenPGP", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.protocol = "application/pgp-signature"
	}, smime.ReasonProfile, "another protocol"},
	{"no protocol", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.contentTy = "multipart/signed; micalg=sha-256; boundary=SIG"
	}, smime.ReasonProfile, "RFC 1847, section 2.1 wants one"},
	{"x-protocol", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.protocol, m.sigType = "Application/X-PKCS7-signature", "application/x-pkcs7-signature"
	}, "", "the name that providers use"},
	{"two Content-Types", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.fields += "Content-Type: text/plain\r\n"
	}, smime.ReasonHead, "which one?"},
	{"two boundaries", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.contentTy = "multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=SIG; boundary=SIG"
	}, smime.ReasonHead, "which one?"},
	{"33 parameters", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.contentTy = "multipart/signed" + strings.Repeat("; a=b", 33)
	}, smime.ReasonLimit, "one too many"},
	{"space before a colon", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.fields += "Subject : a\r\n"
	}, smime.ReasonHead, "readers differ"},
	{"NUL", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.fields += "Subject: a\x00\r\n" }, smime.ReasonHead, "readers differ"},
	{"mixed line ends", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.fields += "Subject: a\n" }, smime.ReasonHead, "readers differ"},
	{"base64 multipart", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.fields += "Content-Transfer-Encoding: base64\r\n"
	}, smime.ReasonMIME, "RFC 2045, section 6.4"},
	{"two transfer encodings", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.fields += "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: 7bit\r\n"
	}, smime.ReasonHead, "which one?"},
	{"binary multipart", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.fields += "Content-Transfer-Encoding: Binary\r\n"
	}, "", "providers write it"},
	{"no boundary", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.contentTy = "multipart/signed; protocol=\"application/pkcs7-signature\""
	}, smime.ReasonMIME, "nothing to cut at"},

	// The parts.
	{"preamble and epilogue", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.preamble, m.epilogue = "This is signed.\r\n", "--SIG\r\n\r\nmore\r\n--SIG--\r\n"
	}, "", "they are nothing"},
	{"third part", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.closing, m.epilogue = "\r\n", "\r\nmore\r\n--SIG--\r\n"
	}, smime.ReasonProfile, "exactly two parts"},
	{"one part", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.entity += "\r\n--SIG--"
	}, smime.ReasonProfile, "no signature"},
	{"another part before", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.preamble = "--SIG\r\n\r\nnot signed\r\n"
	}, smime.ReasonProfile, "the signature is not second"},
	{"no close delimiter", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.closing = "-" }, smime.ReasonMIME, "cut short"},
	{"no delimiter", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.contentTy = "multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=OTHER"
	}, smime.ReasonMIME, "not a multipart"},
	{"signature of another type", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.sigType = "application/octet-stream; name=\"smime.p7s\""
	}, smime.ReasonProfile, "its name does not count"},
	{"signature without type", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.sigType = "" }, smime.ReasonProfile, "that is text"},
	{"bad head of the signature", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.sigCTE = "base64\r\nX : y"
	}, smime.ReasonHead, "readers differ"},
	{"bad type of the signature", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.sigType += "; name=a" }, smime.ReasonHead, "a name twice"},
	{"two encodings of the signature", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.sigCTE = "base64\r\nContent-Transfer-Encoding: 7bit"
	}, smime.ReasonHead, "which one?"},
	{"signature in quoted-printable", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.sigCTE = "quoted-printable" }, smime.ReasonMIME, "not in use"},
	{"bad base64", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.raw = "*" + wrapped(m.p7s)[1:] }, smime.ReasonMIME, "not base64"},
	{"blank in base64", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.raw = wrapped(m.p7s) + " " }, smime.ReasonMIME, "not base64"},
	{"data after the padding", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.raw = padded(t, w) + "\r\nAAAA"
	}, smime.ReasonMIME, "readers stop or go on"},
	{"bits after the data", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.raw = padded(t, w)
		last := strings.IndexByte(m.raw, '=') - 1
		const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
		m.raw = m.raw[:last] + digits[strings.IndexByte(digits, m.raw[last])|1:][:1] + m.raw[last+1:]
	}, smime.ReasonMIME, "two texts for one signature"},
	{"empty signature", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.raw = "\r\n" }, smime.ReasonCMS, "nothing to decode"},
	{"LF in base64", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.raw = "\n" + strings.ReplaceAll(wrapped(m.p7s), "\r\n", "\n") + "\n\n"
	}, "", "line ends don't matter there"},

	// The signature.
	{"not BER", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.p7s = []byte("0123456789") }, smime.ReasonCMS, "not an object"},
	{"not a SignedData", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.p7s = w.leaf.Raw }, smime.ReasonCMS, "another object"},
	{"bytes after the signature", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { m.p7s = append(m.p7s, 0) }, smime.ReasonCMS, "one object"},
	{"nested deep", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = bytes.Repeat([]byte{0x30, 0x80}, 100)
	}, smime.ReasonLimit, "30 levels"},
	{"33 certificates", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = testpki.SignedData{Certificates: slices.Repeat([][]byte{w.leaf.Raw}, 33), Signers: [][]byte{signer(w.leaf).Encode(t)}}.Encode()
	}, smime.ReasonLimit, "32 at most"},
	{"5 signers", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = testpki.SignedData{Certificates: [][]byte{w.leaf.Raw}, Signers: slices.Repeat([][]byte{signer(w.leaf).Encode(t)}, 5)}.Encode()
	}, smime.ReasonLimit, "4 at most"},
	{"embedded content", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = testpki.SignedData{Content: testpki.DER(0x04, []byte(entity)), Certificates: [][]byte{w.leaf.Raw}, Signers: [][]byte{signer(w.leaf).Encode(t)}}.Encode()
	}, smime.ReasonEmbedded, "two contents, if only the same"},
	{"content that is not data", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = testpki.SignedData{ContentType: "1.2.3", Certificates: [][]byte{w.leaf.Raw}, Signers: [][]byte{signer(w.leaf).Encode(t)}}.Encode()
	}, smime.ReasonAttributes, "the attribute says data"},
	{"no attributes", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		s := signer(w.leaf)
		s.NoAttributes = true
		m.p7s = signature(t, s)
	}, smime.ReasonAttributes, "off by default, and there is no switch"},
	{"content that is a SET", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.entity = string(testpki.DER(0x31, []byte("A: b\r\n\r\n"), make([]byte, 4)))
		s := signer(w.leaf)
		s.Content = []byte(m.entity)
		m.p7s = signature(t, s)
	}, smime.ReasonAttributes, "attributes of a signature, passed off as content"},
	{"content that is a SET of many bytes", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.entity = string(testpki.DER(0x31, []byte("A: b\r\n\r\n"), make([]byte, 0xfff)))
		s := signer(w.leaf)
		s.Content = []byte(m.entity)
		m.p7s = signature(t, s)
	}, smime.ReasonAttributes, "the same, with a long length"},
	{"content that begins like a SET", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.entity = "1: b\r\n\r\nhello"
		s := signer(w.leaf)
		s.Content = []byte(m.entity)
		m.p7s = signature(t, s)
	}, "", "but is none"},
	{"MD5", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		s := signer(w.leaf)
		s.DigestAlgorithm = testpki.Algorithm(testpki.DigestOIDs[crypto.MD5])
		m.p7s = signature(t, s)
	}, smime.ReasonAlgorithm, "not on the list"},
	{"no certificate", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = testpki.SignedData{Signers: [][]byte{signer(w.leaf).Encode(t)}}.Encode()
	}, smime.ReasonNoCertificate, "RFC 6109, section 2.1"},
	{"no signer", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = testpki.SignedData{Certificates: [][]byte{w.leaf.Raw}}.Encode()
	}, smime.ReasonNoCertificate, "nobody signed"},
	{"certificate that can't be read", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		broken := bytes.Replace(w.leaf.Raw, []byte("\x06\x03\x55\x1d\x0f"), []byte("\x06\x03\x55\x1d\x25"), 1) // an extension twice
		m.p7s = testpki.SignedData{Certificates: [][]byte{broken}, Signers: [][]byte{signer(w.leaf).Encode(t)}}.Encode()
	}, smime.ReasonNoCertificate, "the signer's"},
	{"decoy", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		decoy := testpki.Authority(t, "p256 rogue", nil).Issue(t, "p256 rogue leaf", func(c *x509.Certificate) { c.SerialNumber = w.leaf.SerialNumber })
		m.p7s = testpki.SignedData{Certificates: [][]byte{decoy.Raw, w.leaf.Raw}, Signers: [][]byte{signer(w.leaf).Encode(t)}}.Encode()
	}, smime.ReasonNoCertificate, "two fit"},
	{"certificate twice", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = testpki.SignedData{Certificates: [][]byte{w.leaf.Raw, w.leaf.Raw}, Signers: [][]byte{signer(w.leaf).Encode(t)}}.Encode()
	}, "", "the same one"},
	{"five certificates that fit", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = testpki.SignedData{Certificates: slices.Repeat([][]byte{w.leaf.Raw}, 5), Signers: [][]byte{signer(w.leaf).Encode(t)}}.Encode()
	}, smime.ReasonLimit, "each costs time to read"},
	{"key identifier", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		s := signer(w.leaf)
		s.KeyID = w.leaf.SubjectKeyId
		m.p7s = signature(t, s)
	}, "", "the other way of naming a certificate"},
	{"content altered", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.entity = strings.Replace(m.entity, "prova", "Prova", 1)
	}, smime.ReasonDigest, "one letter"},
	{"trailing blank added", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.entity = strings.Replace(m.entity, "prova", "prova ", 1)
	}, smime.ReasonDigest, "one blank"},
	{"signature tampered with", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		s := signer(w.leaf)
		s.Signature = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
		m.p7s = signature(t, s)
	}, smime.ReasonSignature, "one bit"},
	{"another's key", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		s := signer(w.leaf)
		s.Key = testpki.Key(t, "p256 another")
		m.p7s = signature(t, s)
	}, smime.ReasonSignature, "the certificate is genuine"},
	{"P-521", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = signature(t, signer(w.ca.Issue(t, "p521", nil)))
	}, smime.ReasonKey, "not on the list"},
	{"SHA-1 digest", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		s := signer(w.ca.Issue(t, "rsa2048", nil))
		s.Digest = crypto.SHA1
		m.p7s, m.micalg = signature(t, s), "sha1"
	}, "", "weak, and up to the caller"},
	{"SHA-1 digest after the date", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		s := signer(w.ca.Issue(t, "rsa2048", nil))
		s.Digest = crypto.SHA1
		m.p7s, m.micalg, o.RefuseSHA1From = signature(t, s), "sha1", testpki.Now
	}, smime.ReasonWeakDigest, "from the caller's date on"},
	{"SHA-1 digest before the date", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		s := signer(w.ca.Issue(t, "rsa2048", nil))
		s.Digest = crypto.SHA1
		m.p7s, m.micalg, o.RefuseSHA1From = signature(t, s), "sha1", testpki.Now.Add(1)
	}, "", "up to the caller's date"},
	{"SHA-256 digest after the date", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		o.RefuseSHA1From = testpki.NotBefore
	}, "", "it is about SHA-1"},
	{"one signer twice", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = testpki.SignedData{Certificates: [][]byte{w.leaf.Raw}, Signers: [][]byte{signer(w.leaf).Encode(t), signer(w.leaf).Encode(t)}}.Encode()
	}, "", "both are good and by one certificate"},
	{"one signer at two times", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		later := signer(w.leaf)
		later.Time = testpki.Now.Add(1e9)
		m.p7s = testpki.SignedData{Certificates: [][]byte{w.leaf.Raw}, Signers: [][]byte{signer(w.leaf).Encode(t), later.Encode(t)}}.Encode()
	}, smime.ReasonSigners, "their order is not signed, so neither is which time comes first"},
	{"two signers", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		other := w.ca.Issue(t, "p256 another", nil)
		m.p7s = testpki.SignedData{Certificates: [][]byte{w.leaf.Raw, other.Raw}, Signers: [][]byte{signer(w.leaf).Encode(t), signer(other).Encode(t)}}.Encode()
	}, smime.ReasonSigners, "whose message is it?"},
	{"two signers, one bad", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		bad := signer(w.leaf)
		bad.Content = []byte("another")
		m.p7s = testpki.SignedData{Certificates: [][]byte{w.leaf.Raw}, Signers: [][]byte{signer(w.leaf).Encode(t), bad.Encode(t)}}.Encode()
	}, smime.ReasonDigest, "every one must be good"},

	// The certificate.
	{"no trust", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { o.Trust = nil }, smime.ReasonNoAnchor, "nil fails closed"},
	{"empty trust", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { o.Trust = trustIn(t) }, smime.ReasonNoAnchor, "so does none"},
	{"zero trust", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { o.Trust = new(smime.Trust) }, smime.ReasonNoAnchor, "so does the zero value"},
	{"another's trust", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		o.Trust = trustIn(t, testpki.Authority(t, "p256 other authority", func(c *x509.Certificate) { c.Subject.CommonName = "Altra autorità" }))
	}, smime.ReasonIssuer, "not issued by it"},
	{"another of the same name", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		o.Trust = trustIn(t, testpki.Authority(t, "p256 other authority", nil))
	}, smime.ReasonIssuer, "the key counts, not the name"},
	{"self-signed", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		self := testpki.Authority(t, "p256 self", func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage, c.EmailAddresses = false, x509.KeyUsageDigitalSignature, w.leaf.EmailAddresses
		})
		m.p7s = signature(t, signer(self))
	}, smime.ReasonIssuer, "issued by nobody"},
	{"before the certificate", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		o.Time = testpki.NotBefore.Add(-1e9)
	}, smime.ReasonExpired, "not yet"},
	{"with the certificate", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { o.Time = testpki.NotBefore }, "", "its first second"},
	{"up to the certificate's end", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) { o.Time = testpki.NotAfter }, "", "its last second"},
	{"after the certificate", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		o.Time = testpki.NotAfter.Add(1e9)
	}, smime.ReasonExpired, "whatever signingTime says"},
	{"an authority's certificate", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		sub := w.ca.Issue(t, "p256 sub", func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign
		})
		m.p7s = signature(t, signer(sub))
	}, smime.ReasonUsage, "authorities sign certificates"},
	{"basic constraints that say no", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = signature(t, signer(w.ca.Issue(t, "p256", func(c *x509.Certificate) { c.BasicConstraintsValid = true })))
	}, "", "RFC 6109, section 5.5.2 has none, certificates of 2014 have them"},
	{"key for encryption", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = signature(t, signer(w.ca.Issue(t, "p256", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })))
	}, smime.ReasonUsage, "not for signatures"},
	{"key for anything", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = signature(t, signer(w.ca.Issue(t, "p256", func(c *x509.Certificate) { c.KeyUsage = 0 })))
	}, "", "no key usage, no bound"},
	{"a server's certificate", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = signature(t, signer(w.ca.Issue(t, "p256", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })))
	}, smime.ReasonUsage, "not for mail"},
	{"a server's and for mail", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = signature(t, signer(w.ca.Issue(t, "p256", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageEmailProtection}
		})))
	}, "", "for mail too"},
	{"unknown usage only", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = signature(t, signer(w.ca.Issue(t, "p256", func(c *x509.Certificate) {
			c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 2, 3}}
		})))
	}, smime.ReasonUsage, "not for mail"},
	{"no extended usage", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = signature(t, signer(w.ca.Issue(t, "p256", func(c *x509.Certificate) { c.ExtKeyUsage = nil })))
	}, "", "as in 2014"},
	{"unknown critical extension", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = signature(t, signer(w.ca.Issue(t, "p256", extension(true))))
	}, smime.ReasonUsage, "who knows what it forbids"},
	{"unknown extension", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = signature(t, signer(w.ca.Issue(t, "p256", extension(false))))
	}, "", "it forbids nothing"},
	{"name not permitted", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		a := o.Trust.Anchors()
		a[0].Constraints = &smime.Constraints{Mail: []string{"pec.beta.example"}}
		o.Trust = mustTrust(t, a)
	}, smime.ReasonConstraints, "its issuer may not vouch for it"},
	{"RSA-1024", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		m.p7s = signature(t, signer(w.ca.Issue(t, "rsa1024", nil)))
	}, smime.ReasonLegacy, "too short, unless the caller says until when"},
	{"revoked", func(t *testing.T, w *world, m *message, o *smime.VerifyOptions) {
		o.Trust = mustTrust(t, o.Trust.Anchors(), w.ca.CRL(t, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: w.leaf.SerialNumber, RevocationTime: testpki.Now}}
		}))
	}, smime.ReasonRevoked, "the CRL says so"},
}

// padded is a signature in base64 that ends in padding.
func padded(t *testing.T, w *world) string {
	t.Helper()
	s := signer(w.leaf)
	p7s := signature(t, s)
	for len(p7s)%3 == 0 { // some signatures are a byte shorter than others
		p7s = signature(t, s)
	}
	return wrapped(p7s)
}

func extension(critical bool) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: critical, Value: []byte{5, 0}}}
	}
}

func mustTrust(t testing.TB, anchors []smime.Anchor, crls ...*x509.RevocationList) *smime.Trust {
	t.Helper()
	trust, err := smime.NewTrust(anchors, crls...)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func TestReasons(t *testing.T) {
	w := newWorld(t)
	for _, c := range reasonCases {
		t.Run(c.name, func(t *testing.T) {
			m, o := signed(t, w.leaf), w.now()
			c.change(t, w, m, &o)
			sig, err := verify(m.bytes(), o)
			t.Logf("%s: %v", c.why, err)
			wantReason(t, err, c.want)
			if (sig == nil) != (err != nil) {
				t.Errorf("Signature %v beside the error %v", sig, err)
			}
		})
	}
}

// Every Reason that reason.go declares is the outcome of a case above.
func TestEveryReasonIsReached(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		declared++
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range reasonCases {
			if c.want == smime.Reason(value) {
				return true
			}
		}
		t.Errorf("no case is refused for %s", spec.Names[0].Name)
		return true
	})
	if declared < 20 {
		t.Errorf("only %d reasons were found in reason.go", declared)
	}
}

func TestErrorTexts(t *testing.T) {
	if got, want := smime.ReasonDigest.Error(), "smime: content-altered"; got != want {
		t.Errorf("Reason as an error: %q, want %q", got, want)
	}
	err := &smime.Error{Reason: smime.ReasonLimit, Part: "header", Err: &smime.LimitError{What: "lines of a head", Limit: 2000}}
	if got, want := err.Error(), "smime: header: limit: lines of a head over the limit of 2000"; got != want {
		t.Errorf("Error: %q, want %q", got, want)
	}
}
