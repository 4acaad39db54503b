package smime

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"time"

	"github.com/ceralacca/go-pec/internal/cms"
)

// VerifyOptions are the options of [Unverified.Verify] and [Verify].
type VerifyOptions struct {
	// Trust says whose certificates count. Nil refuses everything.
	Trust *Trust
	// Time is the time at which the certificate must have been good. Zero means
	// now.
	Time time.Time
	// LegacyBefore admits certificates that are signed with SHA-1 or have an RSA
	// key of 1024 to 2047 bits, for times before it. Zero admits none.
	LegacyBefore time.Time
	// RefuseSHA1From refuses SHA-1 digests for times from it on. Zero refuses
	// none; [Signature.Digest] tells.
	RefuseSHA1From time.Time
}

// Signature is the proof that a message's content was signed. Only verification
// makes one; the zero value is proof of nothing.
type Signature struct {
	certificate *x509.Certificate
	anchor      string
	digest      crypto.Hash
	signingTime time.Time
	time        time.Time
	revocation  Revocation

	// To check at another time.
	trust        *Trust
	issued       *issued
	legacyBefore time.Time
}

// Certificate returns the certificate of the signer.
func (s *Signature) Certificate() *x509.Certificate { return s.certificate }

// Anchor returns the name of the anchor that issued the certificate.
func (s *Signature) Anchor() string { return s.anchor }

// Digest returns the algorithm of the digest. SHA-1 is weak.
func (s *Signature) Digest() crypto.Hash { return s.digest }

// SigningTime returns when the signer says it signed, in UTC; zero if it does
// not say. It is a claim, not a trusted time stamp.
func (s *Signature) SigningTime() time.Time { return s.signingTime }

// Time returns the time at which the certificate was judged.
func (s *Signature) Time() time.Time { return s.time }

// Revocation returns how far revocation was checked.
func (s *Signature) Revocation() Revocation { return s.revocation }

// Legacy reports whether the certificate was admitted only by LegacyBefore.
func (s *Signature) Legacy() bool { return s.issued != nil && s.issued.legacy }

// CheckAt checks that the certificate was good at another time too: valid, and
// not revoked. Errors are [*Error] values.
func (s *Signature) CheckAt(t time.Time) error {
	if s.issued == nil {
		return refuse(ReasonNoAnchor, partCertificate, nil)
	}
	_, _, err := s.trust.checkTime(s.issued, t, s.legacyBefore)
	return err
}

// Verify parses and verifies in one: it reads a message from r, writes the
// signed entity to content, which may be nil, and verifies it. What was written
// counts only if there is no error.
func Verify(r io.Reader, content io.Writer, opts VerifyOptions) (*Signature, error) {
	u, err := Parse(r, ParseOptions{Content: content})
	if err != nil {
		return nil, err
	}
	return u.Verify(opts)
}

// SigningTime returns when the first signer says it signed, in UTC; zero if it
// does not say. Nothing is proven.
func (u *Unverified) SigningTime() time.Time {
	if u.data == nil {
		return time.Time{}
	}
	return u.data.Signers[0].SigningTime
}

// Verify checks that the content is what was signed, that the signature is the
// certificate's, and that an anchor issued that certificate and it was good at
// the time of the options. Errors are [*Error] values.
func (u *Unverified) Verify(opts VerifyOptions) (*Signature, error) {
	if u.data == nil {
		return nil, refuse(ReasonNotSigned, partMessage, nil)
	}
	if u.data.Content != nil {
		return nil, refuse(ReasonEmbedded, partSignature, nil)
	}
	if u.isDERSet {
		return nil, refusef(ReasonAttributes, partSigned, "the content could be the attributes of a signature")
	}
	return verifyData(u.data, u.digests, opts)
}

// verifyData checks every signature: one that fails, or is another signer's, or
// was made at another time, makes the message ambiguous.
func verifyData(data *cms.SignedData, digests map[crypto.Hash][]byte, opts VerifyOptions) (*Signature, error) {
	if opts.Time.IsZero() {
		opts.Time = time.Now()
	}
	var first *Signature
	keys := keyBudget{left: maxKeyOperations}
	for _, s := range data.Signers {
		sig, err := verifySigner(data, s, digests[s.Digest], opts, &keys)
		if err != nil {
			return nil, err
		}
		switch {
		case first == nil:
			first = sig
		case !bytes.Equal(first.certificate.Raw, sig.certificate.Raw):
			return nil, refuse(ReasonSigners, partSignature, nil)
		case !first.signingTime.Equal(sig.signingTime):
			return nil, refusef(ReasonSigners, partSignature, "one signer at two times")
		}
	}
	return first, nil
}

func verifySigner(data *cms.SignedData, s *cms.Signer, digest []byte, opts VerifyOptions, keys *keyBudget) (*Signature, error) {
	if err := s.CheckDigest(digest); err != nil {
		return nil, explain(err, ReasonDigest, partSigned)
	}
	t := opts.Trust
	if t == nil || len(t.anchors) == 0 {
		return nil, refuse(ReasonNoAnchor, partCertificate, nil)
	}
	i, err := t.issuedBy(data.Certificates, s, keys)
	if err != nil {
		return nil, err
	}
	if err := keys.spend(); err != nil {
		return nil, err
	}
	if err := s.CheckSignature(i.cert.PublicKey, minLegacyRSABits); err != nil {
		return nil, explain(err, ReasonSignature, partSignature)
	}
	if len(i.anchors) == 0 {
		return nil, refuse(ReasonIssuer, partCertificate, nil)
	}
	if s.Digest == crypto.SHA1 && !opts.RefuseSHA1From.IsZero() && !opts.Time.Before(opts.RefuseSHA1From) {
		return nil, refusef(ReasonWeakDigest, partSignature, "SHA-1 at %s", instant(opts.Time))
	}
	anchor, revocation, err := t.checkTime(i, opts.Time, opts.LegacyBefore)
	if err != nil {
		return nil, err
	}
	return &Signature{
		certificate:  i.cert,
		anchor:       anchor.Name,
		digest:       s.Digest,
		signingTime:  s.SigningTime,
		time:         opts.Time,
		revocation:   revocation,
		trust:        t,
		issued:       i,
		legacyBefore: opts.LegacyBefore,
	}, nil
}

// maxOpaque bounds the input of [VerifyOpaque].
const maxOpaque = 64 << 20

// VerifyOpaque verifies a CMS SignedData in DER or BER that carries its content
// (a .p7m file, such as the signed directory of the providers) and returns the
// content.
func VerifyOpaque(r io.Reader, opts VerifyOptions) ([]byte, *Signature, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxOpaque+1))
	if err != nil {
		return nil, nil, fmt.Errorf("smime: reading signed data: %w", err)
	}
	data, err := cms.ParseLarge(b, maxOpaque)
	if err != nil {
		return nil, nil, explain(err, ReasonCMS, partSignature)
	}
	if data.Content == nil {
		return nil, nil, refusef(ReasonProfile, partSignature, "it carries no content")
	}
	if isDERSet(data.Content[:min(maxSetHeader, len(data.Content))], int64(len(data.Content))) {
		return nil, nil, refusef(ReasonAttributes, partSigned, "the content could be the attributes of a signature")
	}
	digests := make(map[crypto.Hash][]byte, 1)
	for _, s := range data.Signers {
		if digests[s.Digest] == nil {
			h := s.Digest.New()
			h.Write(data.Content)
			digests[s.Digest] = h.Sum(nil)
		}
	}
	sig, err := verifyData(data, digests, opts)
	if err != nil {
		return nil, nil, err
	}
	return data.Content, sig, nil
}
