package testpki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/asn1"
	"slices"
	"testing"
	"time"
)

// SignedData is a CMS signature that is encoded as it says, right or wrong.
type SignedData struct {
	ContentType  string   // OID of the content; data if ""
	Content      []byte   // an element to embed; nil for a detached signature
	Certificates [][]byte // elements of the bag; nil for no bag
	CRLs         []byte   // content of the bag of CRLs; nil for none
	Signers      [][]byte // SignerInfo elements, from [Signer.Encode]
	Indefinite   bool     // outer structure with indefinite lengths
}

// Encode returns the ContentInfo.
func (d SignedData) Encode() []byte {
	wrap := DER
	if d.Indefinite {
		wrap = Indefinite
	}
	contentType := d.ContentType
	if contentType == "" {
		contentType = OIDData
	}
	encap := [][]byte{OID(contentType)}
	if d.Content != nil {
		encap = append(encap, wrap(0xa0, d.Content))
	}
	body := [][]byte{Int(1), DER(0x31), wrap(0x30, encap...)}
	if d.Certificates != nil {
		body = append(body, wrap(0xa0, d.Certificates...))
	}
	if d.CRLs != nil {
		body = append(body, DER(0xa1, d.CRLs))
	}
	body = append(body, DER(0x31, d.Signers...))
	return wrap(0x30, OID(OIDSignedData), wrap(0xa0, wrap(0x30, body...)))
}

// Signer makes a SignerInfo. Certificate, Digest and Content are required, the
// rest says what to do differently.
type Signer struct {
	Certificate *Certificate
	Digest      crypto.Hash
	Content     []byte // what is signed

	Key                crypto.Signer // not the certificate's
	Options            crypto.SignerOpts
	KeyID              []byte // name the certificate by this
	Time               time.Time
	DigestAlgorithm    []byte // element
	SignatureAlgorithm []byte // element
	// Attributes changes the signed attributes, which are contentType,
	// messageDigest and signingTime, before they are sorted and signed.
	Attributes func([][]byte) [][]byte
	Unsorted   bool
	// NoAttributes signs the content itself.
	NoAttributes bool
	// Wire changes the element that holds the attributes after they were signed.
	Wire func([]byte) []byte
	// Signature changes the signature.
	Signature func([]byte) []byte
	Unsigned  []byte // element that follows the signature
}

// Encode returns the SignerInfo.
func (s Signer) Encode(tb testing.TB) []byte {
	tb.Helper()
	if s.Key == nil {
		s.Key = s.Certificate.Key
	}
	if s.Options == nil {
		s.Options = s.Digest
	}
	if s.Time.IsZero() {
		s.Time = Now
	}
	if s.DigestAlgorithm == nil {
		s.DigestAlgorithm = Algorithm(DigestOIDs[s.Digest])
	}
	if s.SignatureAlgorithm == nil {
		s.SignatureAlgorithm = s.defaultAlgorithm()
	}
	signed, attributes := s.Content, []byte(nil)
	if !s.NoAttributes {
		signed = DER(0x31, s.attributes()...)
		attributes = append([]byte{0xa0}, signed[1:]...)
		if s.Wire != nil {
			attributes = s.Wire(attributes)
		}
	}
	signature, err := s.Key.Sign(rand.Reader, sum(s.Digest, signed), s.Options)
	if err != nil {
		tb.Fatalf("signing: %v", err)
	}
	if s.Signature != nil {
		signature = s.Signature(signature)
	}
	sid, version := DER(0x30, s.Certificate.RawIssuer, integer(s.Certificate.SerialNumber)), 1
	if s.KeyID != nil {
		sid, version = DER(0x80, s.KeyID), 3
	}
	return DER(0x30, Int(version), sid, s.DigestAlgorithm, attributes, s.SignatureAlgorithm, DER(0x04, signature), s.Unsigned)
}

// attributes returns the elements of the signed attributes.
func (s Signer) attributes() [][]byte {
	list := [][]byte{
		Attribute(OIDContentType, OID(OIDData)),
		Attribute(OIDMessageDigest, DER(0x04, sum(s.Digest, s.Content))),
		Attribute(OIDSigningTime, UTCTime(s.Time)),
	}
	if s.Attributes != nil {
		list = s.Attributes(list)
	}
	if !s.Unsorted {
		slices.SortFunc(list, bytes.Compare)
	}
	return list
}

func (s Signer) defaultAlgorithm() []byte {
	if _, ok := s.Key.Public().(*ecdsa.PublicKey); ok {
		return DER(0x30, OID(ECDSAOIDs[s.Digest]))
	}
	return Algorithm(OIDRSA)
}

func sum(h crypto.Hash, b []byte) []byte {
	digest := h.New()
	digest.Write(b)
	return digest.Sum(nil)
}

// Object identifiers, as dotted numbers.
const (
	OIDData                = "1.2.840.113549.1.7.1"
	OIDSignedData          = "1.2.840.113549.1.7.2"
	OIDContentType         = "1.2.840.113549.1.9.3"
	OIDMessageDigest       = "1.2.840.113549.1.9.4"
	OIDSigningTime         = "1.2.840.113549.1.9.5"
	OIDAlgorithmProtection = "1.2.840.113549.1.9.52"
	OIDRSA                 = "1.2.840.113549.1.1.1"
	OIDSHA1WithRSA         = "1.2.840.113549.1.1.5"
	OIDMGF1                = "1.2.840.113549.1.1.8"
	OIDPSS                 = "1.2.840.113549.1.1.10"
	OIDSHA256WithRSA       = "1.2.840.113549.1.1.11"
	OIDSHA384WithRSA       = "1.2.840.113549.1.1.12"
	OIDSHA512WithRSA       = "1.2.840.113549.1.1.13"
)

// DigestOIDs name the digests.
var DigestOIDs = map[crypto.Hash]string{
	crypto.MD5:    "1.2.840.113549.2.5",
	crypto.SHA1:   "1.3.14.3.2.26",
	crypto.SHA224: "2.16.840.1.101.3.4.2.4",
	crypto.SHA256: "2.16.840.1.101.3.4.2.1",
	crypto.SHA384: "2.16.840.1.101.3.4.2.2",
	crypto.SHA512: "2.16.840.1.101.3.4.2.3",
}

// ECDSAOIDs name the signatures with ECDSA.
var ECDSAOIDs = map[crypto.Hash]string{
	crypto.SHA1:   "1.2.840.10045.4.1",
	crypto.SHA256: "1.2.840.10045.4.3.2",
	crypto.SHA384: "1.2.840.10045.4.3.3",
	crypto.SHA512: "1.2.840.10045.4.3.4",
}

// Attribute returns an attribute with the given values.
func Attribute(oid string, values ...[]byte) []byte {
	return DER(0x30, OID(oid), DER(0x31, values...))
}

// Algorithm returns an AlgorithmIdentifier with NULL for parameters.
func Algorithm(oid string) []byte { return DER(0x30, OID(oid), []byte{0x05, 0}) }

// DER returns an element of definite length.
func DER(tag byte, children ...[]byte) []byte {
	content := slices.Concat(children...)
	length := []byte{byte(len(content))}
	if n := len(content); n >= 0x80 {
		length = []byte{0x83, byte(n >> 16), byte(n >> 8), byte(n)}
		for length[1] == 0 {
			length = append([]byte{length[0] - 1}, length[2:]...)
		}
	}
	return slices.Concat([]byte{tag}, length, content)
}

// Indefinite returns an element of indefinite length.
func Indefinite(tag byte, children ...[]byte) []byte {
	return slices.Concat([]byte{tag, 0x80}, slices.Concat(children...), []byte{0, 0})
}

// Int returns an INTEGER.
func Int(n int) []byte { return mustMarshal(n) }

func integer(n any) []byte { return mustMarshal(n) }

// OID returns an OBJECT IDENTIFIER.
func OID(dotted string) []byte {
	var oid asn1.ObjectIdentifier
	n := 0
	for _, c := range dotted + "." {
		if c == '.' {
			oid, n = append(oid, n), 0
		} else {
			n = 10*n + int(c-'0')
		}
	}
	return mustMarshal(oid)
}

// UTCTime returns a time.
func UTCTime(t time.Time) []byte { return DER(0x17, []byte(t.UTC().Format("060102150405Z"))) }

func mustMarshal(v any) []byte {
	b, err := asn1.Marshal(v)
	if err != nil {
		panic(err) // a constant of a test is wrong
	}
	return b
}
