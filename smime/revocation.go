package smime

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
)

// Revocation says how far revocation was checked.
type Revocation string

const (
	// RevocationUnchecked: there is no CRL of the issuer that covers the time.
	RevocationUnchecked Revocation = "not-checked"
	// RevocationGood: a CRL that covers the time does not list the certificate.
	RevocationGood Revocation = "good"
	// RevocationLater: the certificate was revoked after the time in question.
	RevocationLater Revocation = "revoked-later"
)

// revocations are what the CRLs of one anchor's name say.
type revocations struct {
	covered []period             // of each list: from its date to that of the next
	revoked map[string]time.Time // :: serial number → from when on
}

type period struct{ from, to time.Time }

var (
	oidAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCRLNumber      = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidReasonCode     = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidInvalidityDate = asn1.ObjectIdentifier{2, 5, 29, 24}
)

const reasonRemoveFromCRL = 8

// addCRL checks a CRL and files it under the anchors of its issuer's name: an
// authority with a new key lists what it issued with the old one too.
func (t *Trust) addCRL(crl *x509.RevocationList) error {
	var named []int
	signed := false
	for i, a := range t.anchors {
		if string(a.Subject) == string(crl.RawIssuer) {
			named = append(named, i)
			signed = signed || a.checkSignature(crl.SignatureAlgorithm, crl.RawTBSRevocationList, crl.Signature)
		}
	}
	if len(named) == 0 {
		return nil
	}
	if !signed {
		return errors.New("smime: CRL of an anchor's name that no anchor signed")
	}
	if id := notUnderstood(crl); id != nil {
		return fmt.Errorf("smime: CRL: critical extension %v is not understood", id)
	}
	for _, i := range named {
		t.revoked[i].add(crl)
	}
	return nil
}

// notUnderstood returns a critical extension that may change what the CRL means,
// such as one that makes it a partial list, or nil.
func notUnderstood(crl *x509.RevocationList) asn1.ObjectIdentifier {
	for _, e := range crl.Extensions {
		if e.Critical && !e.Id.Equal(oidAuthorityKeyID) && !e.Id.Equal(oidCRLNumber) {
			return e.Id
		}
	}
	for _, revoked := range crl.RevokedCertificateEntries {
		for _, e := range revoked.Extensions {
			if e.Critical && !e.Id.Equal(oidReasonCode) && !e.Id.Equal(oidInvalidityDate) {
				return e.Id
			}
		}
	}
	return nil
}

// add takes what a CRL says. A certificate that any list names stays revoked, if
// only suspended: when in doubt, refuse.
func (r *revocations) add(crl *x509.RevocationList) {
	if r.revoked == nil {
		r.revoked = make(map[string]time.Time)
	}
	r.covered = append(r.covered, period{crl.ThisUpdate, crl.NextUpdate})
	for _, e := range crl.RevokedCertificateEntries {
		if e.ReasonCode == reasonRemoveFromCRL {
			continue
		}
		from := invalidFrom(e)
		serial := string(e.SerialNumber.Bytes())
		if old, ok := r.revoked[serial]; !ok || from.Before(old) {
			r.revoked[serial] = from
		}
	}
}

// invalidFrom returns when a certificate stopped counting: when it was revoked,
// or earlier, when its key is known or feared to have been lost.
func invalidFrom(e x509.RevocationListEntry) time.Time {
	from := e.RevocationTime
	for _, ext := range e.Extensions {
		var lost time.Time
		if !ext.Id.Equal(oidInvalidityDate) {
			continue
		}
		if _, err := asn1.UnmarshalWithParams(ext.Value, &lost, "generalized"); err == nil && lost.Before(from) {
			from = lost
		}
	}
	return from
}

// check judges a certificate at a time.
func (r *revocations) check(cert *x509.Certificate, at time.Time) (Revocation, error) {
	if from, ok := r.revoked[string(cert.SerialNumber.Bytes())]; ok {
		if !at.Before(from) {
			return "", refusef(ReasonRevoked, partCertificate, "from %s on", instant(from))
		}
		return RevocationLater, nil
	}
	for _, list := range r.covered {
		// A CRL from after the certificate's end need not list it any more
		// (RFC 5280, section 3.3).
		if !list.to.Before(at) && !list.from.After(cert.NotAfter) {
			return RevocationGood, nil
		}
	}
	return RevocationUnchecked, nil
}
