package smime

import (
	"crypto/x509"
	"encoding/asn1"
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

// revocations are the CRLs of one anchor.
type revocations struct {
	lists   []*x509.RevocationList
	revoked map[string]time.Time // :: serial number → from when on
}

var (
	oidAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCRLNumber      = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidInvalidityDate = asn1.ObjectIdentifier{2, 5, 29, 24}
)

const reasonRemoveFromCRL = 8

// addCRL checks a CRL and files it under the anchor that issued it.
func (t *Trust) addCRL(crl *x509.RevocationList) error {
	named := false
	for i, a := range t.anchors {
		if string(a.Subject) != string(crl.RawIssuer) {
			continue
		}
		named = true
		issuer := &x509.Certificate{PublicKey: a.PublicKey, PublicKeyAlgorithm: keyAlgorithm(a.PublicKey)}
		if issuer.CheckSignature(crl.SignatureAlgorithm, crl.RawTBSRevocationList, crl.Signature) != nil {
			continue
		}
		for _, e := range crl.Extensions {
			if e.Critical && !e.Id.Equal(oidAuthorityKeyID) && !e.Id.Equal(oidCRLNumber) {
				return fmt.Errorf("smime: CRL of %q: critical extension %v is not understood", a.Name, e.Id)
			}
		}
		t.revoked[i].add(crl)
		return nil
	}
	if named {
		return fmt.Errorf("smime: CRL of an anchor's name that no anchor signed")
	}
	return nil
}

func (r *revocations) add(crl *x509.RevocationList) {
	if r.revoked == nil {
		r.revoked = make(map[string]time.Time)
	}
	r.lists = append(r.lists, crl)
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
	for _, crl := range r.lists {
		// A CRL from after the certificate's end need not list it any more
		// (RFC 5280, section 3.3).
		if !crl.NextUpdate.Before(at) && !crl.ThisUpdate.After(cert.NotAfter) {
			return RevocationGood, nil
		}
	}
	return RevocationUnchecked, nil
}
