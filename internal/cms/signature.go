package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"

	// The digests that signatures may use.
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Reasons for which a signature does not verify.
var (
	ErrDigest    = errors.New("content differs from what was signed")
	ErrSignature = errors.New("signature does not verify")
	ErrKey       = errors.New("key not accepted")
)

// scheme is a signature algorithm, already matched with the digest.
type scheme struct {
	kind schemeKind
	salt int // of PSS, in bytes; never 0, which crypto/rsa takes for "any"
}

type schemeKind int

const (
	rsaPKCS1 schemeKind = iota
	rsaPSS
	ecdsaASN1
)

var hashOIDs = []struct {
	oid  []byte
	hash crypto.Hash
}{
	{[]byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01}, crypto.SHA256},
	{[]byte{0x2b, 0x0e, 0x03, 0x02, 0x1a}, crypto.SHA1},
	{[]byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02}, crypto.SHA384},
	{[]byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03}, crypto.SHA512},
}

func hashByOID(oid []byte) (crypto.Hash, error) {
	for _, h := range hashOIDs {
		if bytes.Equal(h.oid, oid) {
			return h.hash, nil
		}
	}
	return 0, fmt.Errorf("%w: digest", ErrAlgorithm)
}

var (
	oidRSA  = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01}
	oidMGF1 = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08}
	oidPSS  = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a}
)

// signatureOIDs name a digest together with a key type.
var signatureOIDs = []struct {
	oid  []byte
	hash crypto.Hash
	kind schemeKind
}{
	{[]byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b}, crypto.SHA256, rsaPKCS1},
	{[]byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c}, crypto.SHA384, rsaPKCS1},
	{[]byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d}, crypto.SHA512, rsaPKCS1},
	{[]byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05}, crypto.SHA1, rsaPKCS1},
	{[]byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}, crypto.SHA256, ecdsaASN1},
	{[]byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03}, crypto.SHA384, ecdsaASN1},
	{[]byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04}, crypto.SHA512, ecdsaASN1},
}

// schemeByOID finds the signature algorithm; it must agree with the digest.
// rsaEncryption, which names no digest, is normal.
func schemeByOID(oid, params []byte, digest crypto.Hash) (scheme, error) {
	if bytes.Equal(oid, oidRSA) {
		return scheme{kind: rsaPKCS1}, nil
	}
	if bytes.Equal(oid, oidPSS) {
		return pssScheme(params, digest)
	}
	for _, s := range signatureOIDs {
		if bytes.Equal(s.oid, oid) {
			if s.hash != digest {
				return scheme{}, fmt.Errorf("%w: signature and digest disagree", ErrAlgorithm)
			}
			return scheme{kind: s.kind}, nil
		}
	}
	return scheme{}, fmt.Errorf("%w: signature", ErrAlgorithm)
}

// pssScheme reads RSASSA-PSS-params (RFC 4055, section 3.1). Digest and mask
// must use the digest of the content; the defaults are those of SHA-1.
func pssScheme(params []byte, digest crypto.Hash) (scheme, error) {
	in := cryptobyte.String(params)
	var r pssReader
	r.bad = !in.ReadASN1(&r.rest, asn1.SEQUENCE) || !in.Empty()
	hash := r.hash(r.field(0))
	mask := r.mask(r.field(1))
	salt := r.integer(r.field(2), 20)
	trailer := r.integer(r.field(3), 1)
	if r.bad || !r.rest.Empty() || hash != digest || mask != digest || trailer != 1 || salt < 1 || salt > 512 {
		return scheme{}, fmt.Errorf("%w: PSS parameters", ErrAlgorithm)
	}
	return scheme{kind: rsaPSS, salt: salt}, nil
}

// pssReader reads the fields of RSASSA-PSS-params, in order.
type pssReader struct {
	rest cryptobyte.String
	bad  bool
}

// field returns the content of the field with a tag, nil if it is left out.
func (r *pssReader) field(tag uint8) cryptobyte.String {
	var field cryptobyte.String
	var present bool
	if !r.rest.ReadOptionalASN1(&field, &present, asn1.Tag(tag).ContextSpecific().Constructed()) {
		r.bad = true
	}
	if present && field.Empty() {
		r.bad = true
	}
	return field
}

// hash reads an AlgorithmIdentifier that names a digest.
func (r *pssReader) hash(field cryptobyte.String) crypto.Hash {
	if field.Empty() {
		return crypto.SHA1
	}
	var alg, oid cryptobyte.String
	if !field.ReadASN1(&alg, asn1.SEQUENCE) || !field.Empty() || !alg.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) {
		r.bad = true
	}
	hash, err := hashByOID(oid)
	r.bad = r.bad || err != nil
	return hash
}

// mask reads an AlgorithmIdentifier that names MGF1, and returns its digest.
func (r *pssReader) mask(field cryptobyte.String) crypto.Hash {
	if field.Empty() {
		return crypto.SHA1
	}
	var alg, oid cryptobyte.String
	if !field.ReadASN1(&alg, asn1.SEQUENCE) || !field.Empty() ||
		!alg.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || !bytes.Equal(oid, oidMGF1) || alg.Empty() {
		r.bad = true
	}
	return r.hash(alg)
}

func (r *pssReader) integer(field cryptobyte.String, def int) int {
	if field.Empty() {
		return def
	}
	var n int
	if !field.ReadASN1Integer(&n) || !field.Empty() {
		r.bad = true
	}
	return n
}

// Names reports whether the signer names the certificate as its own, by issuer
// and serial number or by key identifier.
func (s *Signer) Names(cert *x509.Certificate) bool {
	if s.keyID != nil {
		return bytes.Equal(s.keyID, cert.SubjectKeyId)
	}
	return s.NamesDER(cert.Raw)
}

// NamesDER is [Signer.Names] for a certificate that was not parsed: it finds out
// cheaply whether that is worth while. It may say yes wrongly, never no.
func (s *Signer) NamesDER(der []byte) bool {
	if s.keyID != nil {
		return bytes.Contains(der, s.keyID)
	}
	var cert, tbs, serial, issuer cryptobyte.String
	in := cryptobyte.String(der)
	return in.ReadASN1(&cert, asn1.SEQUENCE) &&
		cert.ReadASN1(&tbs, asn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(asn1.Tag(0).ContextSpecific().Constructed()) && // version
		tbs.ReadASN1(&serial, asn1.INTEGER) && bytes.Equal(serial, s.serial) &&
		tbs.SkipASN1(asn1.SEQUENCE) && // algorithm
		tbs.ReadASN1Element(&issuer, asn1.SEQUENCE) && bytes.Equal(issuer, s.issuer)
}

// CheckDigest compares the digest of the content with what was signed.
func (s *Signer) CheckDigest(digest []byte) error {
	if subtle.ConstantTimeCompare(digest, s.MessageDigest) != 1 {
		return ErrDigest
	}
	return nil
}

// maxRSABits bounds what a key from anybody may cost: the work grows with the
// square of its length.
const maxRSABits = 8192

// CheckSignature checks the signature over the signed attributes with a public
// key. RSA keys have at least minRSABits.
func (s *Signer) CheckSignature(key any, minRSABits int) error {
	h := s.Digest.New()
	h.Write(s.attrs)
	digest := h.Sum(nil)
	switch key := key.(type) {
	case *rsa.PublicKey:
		return s.checkRSA(key, digest, minRSABits)
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return fmt.Errorf("%w: curve", ErrKey)
		}
		if s.scheme.kind != ecdsaASN1 {
			return fmt.Errorf("%w: signature and key disagree", ErrAlgorithm)
		}
		if !ecdsa.VerifyASN1(key, digest, s.signature) {
			return ErrSignature
		}
		return nil
	}
	return fmt.Errorf("%w: type", ErrKey)
}

func (s *Signer) checkRSA(key *rsa.PublicKey, digest []byte, minBits int) error {
	if bits := key.N.BitLen(); bits < minBits || bits > maxRSABits {
		return fmt.Errorf("%w: RSA of %d bits", ErrKey, bits)
	}
	if key.E < 3 || key.E%2 == 0 {
		return fmt.Errorf("%w: RSA exponent", ErrKey)
	}
	var err error
	switch s.scheme.kind {
	case rsaPKCS1:
		err = rsa.VerifyPKCS1v15(key, s.Digest, digest, s.signature)
	case rsaPSS:
		err = rsa.VerifyPSS(key, s.Digest, digest, s.signature, &rsa.PSSOptions{SaltLength: s.scheme.salt})
	default:
		return fmt.Errorf("%w: signature and key disagree", ErrAlgorithm)
	}
	if err != nil {
		return ErrSignature
	}
	return nil
}
