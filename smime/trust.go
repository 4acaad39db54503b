package smime

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ceralacca/go-pec/internal/cms"
	"github.com/ceralacca/go-pec/internal/limit"
)

// Anchor is an issuer whose certificates are trusted: facts about a certificate
// authority, not a certificate. An authority outlives its certificates, which
// are re-issued around one key, and a certificate that somebody else wrapped
// around that key must change nothing.
type Anchor struct {
	// Name is for people and reports.
	Name string
	// Subject is the DER of the authority's distinguished name, as it stands, byte
	// for byte, in the certificates that it issues.
	Subject []byte
	// PublicKey is an *rsa.PublicKey or *ecdsa.PublicKey.
	PublicKey any
	// NotBefore and NotAfter bound the times for which the anchor counts.
	NotBefore, NotAfter time.Time
	// Constraints bound what it may vouch for. Nil is no bound.
	Constraints *Constraints
}

// AnchorFromCertificate takes the facts from the certificate of an issuing
// authority that the caller trusts. Who signed that certificate is not looked at.
func AnchorFromCertificate(cert *x509.Certificate) (Anchor, error) {
	fail := func(format string, args ...any) (Anchor, error) {
		return Anchor{}, fmt.Errorf("smime: certificate of an authority: "+format, args...)
	}
	if !cert.BasicConstraintsValid || !cert.IsCA {
		return fail("it is not one")
	}
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fail("its key may not sign certificates")
	}
	if !mayProtectMail(cert) {
		return fail("it may not vouch for mail")
	}
	constraints, err := constraintsOf(cert)
	if err != nil {
		return fail("%w", err)
	}
	for _, id := range cert.UnhandledCriticalExtensions {
		if !id.Equal(oidNameConstraints) { // those were just read
			return fail("critical extension %v is not understood", id)
		}
	}
	return Anchor{
		Name:        cert.Subject.CommonName,
		Subject:     cert.RawSubject,
		PublicKey:   cert.PublicKey,
		NotBefore:   cert.NotBefore,
		NotAfter:    cert.NotAfter,
		Constraints: constraints,
	}, nil
}

// Trust is a set of anchors and what they revoked. It never changes, may be used
// by many goroutines, and remembers the certificates that it found good, since
// senders sign everything with a handful. A nil *Trust trusts nobody.
type Trust struct {
	anchors []Anchor
	revoked []revocations // of the anchor with the same index

	mu    sync.Mutex
	known map[string]*issued // :: a certificate in DER → what is known of it
}

// maxKnown bounds the memory of a Trust. Only certificates that an anchor issued
// enter it.
const maxKnown = 1024

// NewTrust returns the trust in anchors, which must not be changed afterwards.
// Several may have one subject, with one key or with different ones: a
// certificate is good if any of them vouches for it. CRLs of these anchors are
// checked and used; CRLs of others are ignored.
func NewTrust(anchors []Anchor, crls ...*x509.RevocationList) (*Trust, error) {
	t := &Trust{
		anchors: slices.Clone(anchors),
		revoked: make([]revocations, len(anchors)),
		known:   make(map[string]*issued),
	}
	for _, a := range t.anchors {
		if err := checkAnchorKey(a.PublicKey); err != nil {
			return nil, fmt.Errorf("smime: anchor %q: %w", a.Name, err)
		}
	}
	for _, crl := range crls {
		if err := t.addCRL(crl); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func checkAnchorKey(key any) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return fmt.Errorf("RSA key of %d bits", key.N.BitLen())
		}
	case *ecdsa.PublicKey:
	default:
		return errors.New("key of a type not accepted")
	}
	return nil
}

// Anchors returns the anchors of t, in order.
func (t *Trust) Anchors() []Anchor {
	if t == nil {
		return nil
	}
	return slices.Clone(t.anchors)
}

// issued is a certificate, and who issued it: what does not change with time.
type issued struct {
	cert    *x509.Certificate
	anchors []int // indices of those whose key signed it; empty if none did
	legacy  bool  // signed with SHA-1, or with a short key
}

const (
	minRSABits       = 2048
	minLegacyRSABits = 1024
)

// maxCandidates is the most certificates of one signature that are parsed because
// they look like the signer's. One does in a message that nobody tampered with.
const maxCandidates = 4

// issuedBy finds the signer's certificate among those of a signature, and the
// anchor that issued it.
func (t *Trust) issuedBy(certs [][]byte, s *cms.Signer, keys *keyBudget) (*issued, error) {
	var found *issued
	candidates := 0
	for _, der := range certs {
		if !s.NamesDER(der) {
			continue
		}
		if candidates++; candidates > maxCandidates {
			return nil, explain(limit.Passed(maxCandidates, "certificates that look like the signer's"), ReasonLimit, partCertificate)
		}
		candidate, err := t.lookUp(der)
		if err != nil {
			// err may quote names from the certificate.
			return nil, refusef(ReasonNoCertificate, partCertificate, "the signer's certificate can't be read")
		}
		if !s.Names(candidate.cert) {
			continue
		}
		if found != nil && !found.cert.Equal(candidate.cert) {
			return nil, refusef(ReasonNoCertificate, partCertificate, "two certificates fit the signer")
		}
		found = candidate
	}
	if found == nil {
		return nil, refusef(ReasonNoCertificate, partCertificate, "the signer's certificate is not in the signature")
	}
	if len(found.anchors) == 0 {
		if err := t.findAnchors(found, keys); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// maxKeyOperations is the most operations with public keys that one message may
// cost. One or two do, unless many anchors have the same name.
const maxKeyOperations = 64

// keyBudget counts them.
type keyBudget struct{ left int }

func (b *keyBudget) spend() error {
	if b.left == 0 {
		return explain(limit.Passed(maxKeyOperations, "operations with public keys"), ReasonLimit, partCertificate)
	}
	b.left--
	return nil
}

// lookUp returns what is known of a certificate, or the certificate without
// anchors: looking for them costs operations with their keys.
func (t *Trust) lookUp(der []byte) (*issued, error) {
	t.mu.Lock()
	known := t.known[string(der)]
	t.mu.Unlock()
	if known != nil {
		return known, nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &issued{cert: cert}, nil
}

// findAnchors finds out which anchors issued a certificate, and remembers them.
func (t *Trust) findAnchors(i *issued, keys *keyBudget) error {
	var anchors []int
	for n, a := range t.anchors {
		if string(a.Subject) != string(i.cert.RawIssuer) {
			continue
		}
		if err := keys.spend(); err != nil {
			return err
		}
		if a.signed(i.cert) {
			anchors = append(anchors, n)
		}
	}
	if len(anchors) == 0 {
		return nil
	}
	i.anchors = anchors
	i.legacy = i.cert.SignatureAlgorithm == x509.SHA1WithRSA || isShortKey(i.cert.PublicKey)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.known) >= maxKnown {
		clear(t.known)
	}
	t.known[string(i.cert.Raw)] = i
	return nil
}

// signed reports whether the anchor's key signed cert.
func (a Anchor) signed(cert *x509.Certificate) bool {
	switch cert.SignatureAlgorithm {
	case x509.SHA1WithRSA:
		// crypto/x509 refuses these in chains, and may come to refuse them at all.
		return verifySHA1WithRSA(a.PublicKey, cert.RawTBSCertificate, cert.Signature)
	case x509.ECDSAWithSHA1:
		return false // no authority of old used it
	}
	return a.checkSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature)
}

func (a Anchor) checkSignature(algorithm x509.SignatureAlgorithm, signed, signature []byte) bool {
	issuer := &x509.Certificate{PublicKey: a.PublicKey, PublicKeyAlgorithm: keyAlgorithm(a.PublicKey)}
	return issuer.CheckSignature(algorithm, signed, signature) == nil
}

func keyAlgorithm(key any) x509.PublicKeyAlgorithm {
	if _, ok := key.(*rsa.PublicKey); ok {
		return x509.RSA
	}
	return x509.ECDSA
}

func isShortKey(key any) bool {
	k, ok := key.(*rsa.PublicKey)
	return ok && k.N.BitLen() < minRSABits
}
