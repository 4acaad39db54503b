package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// SignRequest says what to sign and how. The zero values of the options give
// what RFC 5652 and RFC 8551 recommend; the others reproduce what deployed
// signers write.
type SignRequest struct {
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // goes along, nothing is checked
	Key         crypto.Signer       // RSA or ECDSA
	Digest      crypto.Hash
	// MessageDigest is the digest of the content.
	MessageDigest []byte
	SigningTime   time.Time
	// Content is embedded if it is not nil.
	Content []byte
	// Indefinite writes the outer structure in BER with indefinite lengths.
	Indefinite bool
	// PlainRSA names rsaEncryption as the signature algorithm, without digest.
	PlainRSA bool
	// NoProtection leaves out the attribute of RFC 6211.
	NoProtection bool
	// Capabilities adds an SMIMECapabilities attribute that names AES-256.
	Capabilities bool
}

var (
	oidCapabilities = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0f}
	oidAES256CBC    = []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a}
)

// Sign returns the ContentInfo of a SignedData with one signer.
func Sign(r SignRequest) ([]byte, error) {
	if err := r.checkKey(); err != nil {
		return nil, err
	}
	digestOID, sigOID, err := r.algorithms()
	if err != nil {
		return nil, err
	}
	attrs, err := r.attributes(digestOID, sigOID)
	if err != nil {
		return nil, err
	}
	h := r.Digest.New()
	h.Write(attrs)
	signature, err := r.Key.Sign(rand.Reader, h.Sum(nil), r.Digest)
	if err != nil {
		return nil, fmt.Errorf("using the key: %w", err)
	}
	signer, err := r.signerInfo(digestOID, sigOID, attrs, signature)
	if err != nil {
		return nil, err
	}
	return r.contentInfo(digestOID, signer)
}

// checkKey refuses a key that is not that of the certificate: nobody could verify
// the signature.
func (r *SignRequest) checkKey() error {
	key, ok := r.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !key.Equal(r.Certificate.PublicKey) {
		return fmt.Errorf("%w: it is not that of the certificate", ErrKey)
	}
	return nil
}

// algorithms picks the OIDs of digest and signature.
func (r *SignRequest) algorithms() (digest, signature []byte, err error) {
	for _, h := range hashOIDs {
		if h.hash == r.Digest {
			digest = h.oid
		}
	}
	var kind schemeKind
	switch r.Key.Public().(type) {
	case *rsa.PublicKey:
		kind = rsaPKCS1
	case *ecdsa.PublicKey:
		kind = ecdsaASN1
	default:
		return nil, nil, fmt.Errorf("%w: type", ErrKey)
	}
	for _, s := range signatureOIDs {
		if s.hash == r.Digest && s.kind == kind {
			signature = s.oid
		}
	}
	if r.PlainRSA && kind == rsaPKCS1 {
		signature = oidRSA
	}
	if digest == nil || signature == nil {
		return nil, nil, ErrAlgorithm
	}
	return digest, signature, nil
}

// attributes returns the signed attributes as a DER SET OF.
func (r *SignRequest) attributes(digestOID, sigOID []byte) ([]byte, error) {
	list := []attributeBuilder{
		{oidContentType, func(b *cryptobyte.Builder) { addOID(b, oidData) }},
		{oidSigningTime, func(b *cryptobyte.Builder) { addTime(b, r.SigningTime) }},
		{oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(r.MessageDigest) }},
	}
	if !r.NoProtection {
		list = append(list, attributeBuilder{oidAlgorithmProtection, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addAlgorithm(b, asn1.SEQUENCE, digestOID)
				addAlgorithm(b, asn1.Tag(1).ContextSpecific().Constructed(), sigOID)
			})
		}})
	}
	if r.Capabilities {
		list = append(list, attributeBuilder{oidCapabilities, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { addOID(b, oidAES256CBC) })
			})
		}})
	}
	return buildSet(list)
}

type attributeBuilder struct {
	oid   []byte
	value func(*cryptobyte.Builder)
}

// buildSet encodes attributes and sorts them, as DER wants a SET OF.
func buildSet(list []attributeBuilder) ([]byte, error) {
	encoded := make([][]byte, len(list))
	for i, a := range list {
		var b cryptobyte.Builder
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, a.oid)
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { a.value(b) })
		})
		var err error
		if encoded[i], err = b.Bytes(); err != nil {
			return nil, fmt.Errorf("encoding attributes: %w", err)
		}
	}
	slices.SortFunc(encoded, bytes.Compare)
	var b cryptobyte.Builder
	b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
		for _, e := range encoded {
			b.AddBytes(e)
		}
	})
	return b.Bytes()
}

func (r *SignRequest) signerInfo(digestOID, sigOID, attrs, signature []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(r.Certificate.RawIssuer)
			b.AddASN1BigInt(r.Certificate.SerialNumber)
		})
		addAlgorithm(b, asn1.SEQUENCE, digestOID)
		b.AddBytes(append([]byte{tagContext0}, attrs[1:]...))
		addAlgorithm(b, asn1.SEQUENCE, sigOID)
		b.AddASN1OctetString(signature)
	})
	return b.Bytes()
}

// contentInfo puts the outer structure around a SignerInfo.
func (r *SignRequest) contentInfo(digestOID, signer []byte) ([]byte, error) {
	var version, digests, content cryptobyte.Builder
	version.AddASN1Int64(1)
	digests.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { addAlgorithm(b, asn1.SEQUENCE, digestOID) })
	content.AddASN1OctetString(r.Content)
	pieces := make([][]byte, 3)
	for i, b := range []*cryptobyte.Builder{&version, &digests, &content} {
		var err error
		if pieces[i], err = b.Bytes(); err != nil {
			return nil, fmt.Errorf("encoding: %w", err)
		}
	}
	encap := [][]byte{encodeOID(oidData)}
	if r.Content != nil {
		encap = append(encap, r.wrap(tagContext0, pieces[2]))
	}
	certs := [][]byte{r.Certificate.Raw}
	for _, c := range r.Chain {
		certs = append(certs, c.Raw)
	}
	signedData := r.wrap(tagSequence,
		pieces[0],
		pieces[1],
		r.wrap(tagSequence, encap...),
		r.wrap(tagContext0, certs...),
		definite(tagSet, signer),
	)
	info := r.wrap(tagSequence, encodeOID(oidSignedData), r.wrap(tagContext0, signedData))
	if len(info) > MaxSize && r.Content == nil {
		return nil, tooLarge(MaxSize, "bytes of a signature")
	}
	return info, nil
}

// wrap makes a constructed object, with the kind of length that r asks for.
func (r *SignRequest) wrap(tag byte, children ...[]byte) []byte {
	if r.Indefinite {
		return slices.Concat([]byte{tag, 0x80}, slices.Concat(children...), []byte{0, 0})
	}
	return definite(tag, children...)
}

func definite(tag byte, children ...[]byte) []byte {
	content := slices.Concat(children...)
	n := len(content)
	if n < 0x80 {
		return append([]byte{tag, byte(n)}, content...)
	}
	var length []byte
	for ; n > 0; n >>= 8 {
		length = append([]byte{byte(n)}, length...)
	}
	return slices.Concat([]byte{tag, 0x80 | byte(len(length))}, length, content)
}

func encodeOID(oid []byte) []byte { return append([]byte{tagOID, byte(len(oid))}, oid...) }

func addOID(b *cryptobyte.Builder, oid []byte) { b.AddBytes(encodeOID(oid)) }

// addAlgorithm adds an AlgorithmIdentifier; RSA and digests carry a NULL
// (RFC 3370), ECDSA carries nothing.
func addAlgorithm(b *cryptobyte.Builder, tag asn1.Tag, oid []byte) {
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		addOID(b, oid)
		if !bytes.HasPrefix(oid, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d}) {
			b.AddASN1NULL()
		}
	})
}

// addTime adds a UTCTime up to 2049 and a GeneralizedTime after it (RFC 5652,
// section 11.3).
func addTime(b *cryptobyte.Builder, t time.Time) {
	t = t.UTC().Truncate(time.Second)
	if t.Year() < 2050 {
		b.AddASN1UTCTime(t)
	} else {
		b.AddASN1GeneralizedTime(t)
	}
}
