// Package cms reads CMS SignedData (RFC 5652), the structure inside an S/MIME
// signature, and checks its signatures.
//
// It judges nothing but the cryptography and the form: whose the key is, and
// whether to trust it, is for the caller. Input comes from anybody. [Parse]
// first walks the whole encoding in bounded time and memory; everything after
// that works on slices known to be sound.
package cms

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ceralacca/go-pec/internal/limit"
)

// Limits on what a SignedData holds.
const (
	MaxSize         = 1 << 20
	MaxCertificates = 32
	MaxSigners      = 4

	maxCertificate = 64 << 10 // bytes
)

// Reasons for which a SignedData is not read. [ErrBER] is the other one.
var (
	ErrTooLarge    = errors.New("too large")
	ErrStructure   = errors.New("not a SignedData")
	ErrContentType = errors.New("content is not of type data")
	ErrNoSigner    = errors.New("no signer")
	ErrAttributes  = errors.New("bad signed attributes")
	ErrNoAttrs     = fmt.Errorf("%w: none", ErrAttributes)
	ErrAlgorithm   = errors.New("algorithm not accepted")
)

// SignedData is a parsed signature. Nothing in it is verified.
type SignedData struct {
	// Content is the embedded content, nil if the signature is detached.
	Content []byte
	// Certificates are the DER certificates, in the order found. Other kinds of
	// certificate are left out.
	Certificates [][]byte
	Signers      []*Signer
}

// Signer is one SignerInfo.
type Signer struct {
	// Digest is the algorithm of the digest of the content.
	Digest crypto.Hash
	// MessageDigest is what the signer says the digest is.
	MessageDigest []byte
	// SigningTime is the signer's claim of when it signed, in UTC; zero if it made
	// none.
	SigningTime time.Time

	issuer, serial []byte // DER of the name, content of the integer
	keyID          []byte // the other way of naming a certificate
	attrs          []byte // signed attributes as a DER SET OF
	scheme         scheme
	signature      []byte
}

var (
	oidSignedData          = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}
	oidData                = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01}
	oidContentType         = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03}
	oidMessageDigest       = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04}
	oidSigningTime         = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x05}
	oidAlgorithmProtection = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x34}
)

// Parse reads a ContentInfo that holds a SignedData, and nothing after it.
func Parse(b []byte) (*SignedData, error) { return ParseLarge(b, MaxSize) }

// ParseLarge is Parse with another limit than [MaxSize], for signatures that
// carry their content.
func ParseLarge(b []byte, maxSize int) (*SignedData, error) {
	maxSize = min(maxSize, math.MaxInt32)
	if len(b) > maxSize {
		return nil, tooLarge(maxSize, "bytes of a signature")
	}
	t, err := parseBER(b)
	if err != nil {
		return nil, err
	}
	if t.nodes[0].tag != tagSequence {
		return nil, ErrStructure
	}
	info := t.children(0)
	if oid := info.body(tagOID, "content type"); info.err == nil && !bytes.Equal(oid, oidSignedData) {
		return nil, ErrStructure
	}
	explicit := info.take(tagContext0, "content")
	if err := info.done("ContentInfo"); err != nil {
		return nil, err
	}
	outer := t.children(explicit)
	body := outer.take(tagSequence, "SignedData")
	if err := outer.done("content"); err != nil {
		return nil, err
	}
	return t.signedData(body)
}

// tooLarge says that a SignedData passes a limit: ErrTooLarge and a [limit.Error].
func tooLarge(most int, what string) error {
	return fmt.Errorf("%w: %w", ErrTooLarge, limit.Passed(most, what))
}

func (t *tree) signedData(index int) (*SignedData, error) {
	sd := &SignedData{}
	c := t.children(index)
	c.body(tagInteger, "version")
	c.take(tagSet, "digestAlgorithms")
	content := c.take(tagSequence, "encapContentInfo")
	if c.err != nil {
		return nil, c.err
	}
	if err := t.content(content, sd); err != nil {
		return nil, err
	}
	if c.peek() == tagContext0 {
		if err := t.certificates(c.take(tagContext0, "certificates"), sd); err != nil {
			return nil, err
		}
	}
	if c.peek() == tagContext1 {
		c.take(tagContext1, "crls") // not signed: anyone could have put them there
	}
	signers := c.take(tagSet, "signerInfos")
	if err := c.done("SignedData"); err != nil {
		return nil, err
	}
	if err := t.signers(signers, sd); err != nil {
		return nil, err
	}
	return sd, nil
}

// content reads the EncapsulatedContentInfo.
func (t *tree) content(index int, sd *SignedData) error {
	c := t.children(index)
	oid := c.body(tagOID, "eContentType")
	if c.err == nil && !bytes.Equal(oid, oidData) {
		return ErrContentType
	}
	if c.peek() == tagContext0 {
		e := t.children(c.take(tagContext0, "eContent"))
		octets, err := t.octets(e, "eContent")
		if err != nil {
			return err
		}
		if err := e.done("eContent"); err != nil {
			return err
		}
		sd.Content = octets
	}
	return c.done("encapContentInfo")
}

// octets reads an OCTET STRING, which BER may cut into pieces. It is not nil
// unless there is an error.
func (t *tree) octets(c *cursor, what string) ([]byte, error) {
	if c.peek() != tagOctetString|constructed {
		content := c.body(tagOctetString, what)
		if c.err == nil && content == nil {
			content = []byte{}
		}
		return content, c.err
	}
	whole := c.take(tagOctetString|constructed, what)
	joined := make([]byte, 0, len(t.body(whole)))
	for pieces := t.children(whole); pieces.pos < pieces.end; {
		joined = append(joined, pieces.body(tagOctetString, what)...)
		if pieces.err != nil {
			return nil, pieces.err
		}
	}
	return joined, nil
}

func (t *tree) certificates(index int, sd *SignedData) error {
	for c := t.children(index); c.pos < c.end; c.pos = t.after(c.pos) {
		if t.nodes[c.pos].tag != tagSequence {
			continue // an attribute certificate or another format
		}
		if !t.nodes[c.pos].der {
			return fmt.Errorf("%w: certificate that is not DER", ErrBER)
		}
		if len(sd.Certificates) == MaxCertificates {
			return tooLarge(MaxCertificates, "certificates")
		}
		raw := t.raw(c.pos)
		if len(raw) > maxCertificate {
			return tooLarge(maxCertificate, "bytes of a certificate")
		}
		sd.Certificates = append(sd.Certificates, raw)
	}
	return nil
}

func (t *tree) signers(index int, sd *SignedData) error {
	for c := t.children(index); c.pos < c.end; {
		if len(sd.Signers) == MaxSigners {
			return tooLarge(MaxSigners, "signers")
		}
		i := c.take(tagSequence, "SignerInfo")
		if c.err != nil {
			return c.err
		}
		s, err := t.signer(i)
		if err != nil {
			return err
		}
		sd.Signers = append(sd.Signers, s)
	}
	if len(sd.Signers) == 0 {
		return ErrNoSigner
	}
	return nil
}

func (t *tree) signer(index int) (*Signer, error) {
	s := &Signer{}
	c := t.children(index)
	c.body(tagInteger, "version")
	if err := t.signerID(c, s); err != nil {
		return nil, err
	}
	digestOID, _, err := t.algorithm(c, "digestAlgorithm")
	if err != nil {
		return nil, err
	}
	if s.Digest, err = hashByOID(digestOID); err != nil {
		return nil, err
	}
	attrs, err := t.signedAttrs(c)
	if err != nil {
		return nil, err
	}
	sigOID, sigParams, err := t.algorithm(c, "signatureAlgorithm")
	if err != nil {
		return nil, err
	}
	if s.scheme, err = schemeByOID(sigOID, sigParams, s.Digest); err != nil {
		return nil, err
	}
	if s.signature, err = t.octets(c, "signature"); err != nil {
		return nil, err
	}
	if c.peek() == tagContext1 {
		c.take(tagContext1, "unsignedAttrs")
	}
	if err := c.done("SignerInfo"); err != nil {
		return nil, err
	}
	// What is signed is the same set with another tag (RFC 5652, section 5.4).
	s.attrs = append([]byte{tagSet}, t.raw(attrs)[1:]...)
	if err := s.readAttributes(t.body(attrs), digestOID, sigOID); err != nil {
		return nil, err
	}
	return s, nil
}

// signerID reads how the signer names its certificate.
func (t *tree) signerID(c *cursor, s *Signer) error {
	if c.peek() == tagPrimitive0 {
		if s.keyID = c.body(tagPrimitive0, "subjectKeyIdentifier"); len(s.keyID) == 0 {
			return fmt.Errorf("%w: empty subjectKeyIdentifier", ErrStructure)
		}
		return c.err
	}
	sid := c.take(tagSequence, "sid")
	if c.err != nil {
		return c.err
	}
	names := t.children(sid)
	issuer := names.take(tagSequence, "issuer")
	s.serial = names.body(tagInteger, "serialNumber")
	if err := names.done("issuerAndSerialNumber"); err != nil {
		return err
	}
	s.issuer = t.raw(issuer)
	return nil
}

// signedAttrs returns the index of the signed attributes, which are DER even
// where the rest is not (RFC 5652, section 5.3).
func (t *tree) signedAttrs(c *cursor) (int, error) {
	if c.peek() != tagContext0 {
		// Without attributes, the attributes of another signature could be
		// passed off as content.
		return -1, ErrNoAttrs
	}
	attrs := c.take(tagContext0, "signedAttrs")
	if !t.nodes[attrs].der {
		return -1, fmt.Errorf("%w: not DER", ErrAttributes)
	}
	return attrs, nil
}

// algorithm reads an AlgorithmIdentifier: its OID, and the DER of its
// parameters, nil if there are none or NULL.
func (t *tree) algorithm(c *cursor, what string) (oid, params []byte, err error) {
	index := c.take(tagSequence, what)
	if c.err != nil {
		return nil, nil, c.err
	}
	in := t.children(index)
	oid = in.body(tagOID, "algorithm")
	if in.peek() != 0 {
		if !t.nodes[in.pos].der {
			return nil, nil, fmt.Errorf("%w: parameters that are not DER", ErrAlgorithm)
		}
		if t.nodes[in.pos].tag != tagNull {
			params = t.raw(in.pos)
		}
		in.pos = t.after(in.pos)
	}
	return oid, params, in.done("AlgorithmIdentifier")
}
