package smime

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"slices"
	"time"
)

// checkTime judges a certificate that anchors issued: that it is one for signing
// mail, and that one of them vouches for it at the given time. It returns that
// one. RFC 5280, section 6, as far as a path of one certificate goes.
func (t *Trust) checkTime(i *issued, at, legacyBefore time.Time) (*Anchor, Revocation, error) {
	if i.legacy && !at.Before(legacyBefore) {
		return nil, "", refusef(ReasonLegacy, partCertificate, "signed with SHA-1 or with a short key")
	}
	if err := checkUsage(i.cert); err != nil {
		return nil, "", err
	}
	var first error
	for _, n := range i.anchors {
		a := &t.anchors[n]
		err := a.vouches(i.cert, at)
		if err == nil {
			revocation, err := t.revoked[n].check(i.cert, at)
			return a, revocation, err
		}
		if first == nil {
			first = err
		}
	}
	return nil, "", first
}

// vouches checks that an anchor may vouch for what a certificate that it issued
// names, and that both were valid at the given time.
func (a *Anchor) vouches(cert *x509.Certificate, at time.Time) error {
	if err := a.Constraints.check(cert); err != nil {
		return refuse(ReasonConstraints, partCertificate, err)
	}
	if at.Before(cert.NotBefore) || at.After(cert.NotAfter) {
		return refusef(ReasonExpired, partCertificate, "valid from %s to %s, not at %s",
			instant(cert.NotBefore), instant(cert.NotAfter), instant(at))
	}
	if at.Before(a.NotBefore) || at.After(a.NotAfter) {
		return refusef(ReasonExpired, partCertificate, "its issuer counts from %s to %s, not at %s",
			instant(a.NotBefore), instant(a.NotAfter), instant(at))
	}
	return nil
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkUsage refuses certificates that are not for signing mail.
func checkUsage(cert *x509.Certificate) error {
	switch {
	case cert.IsCA:
		return refusef(ReasonUsage, partCertificate, "it is an authority's")
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return refusef(ReasonUsage, partCertificate, "its key is not for signatures")
	case !mayProtectMail(cert):
		return refusef(ReasonUsage, partCertificate, "it is not for mail")
	case len(cert.UnhandledCriticalExtensions) > 0:
		return refusef(ReasonUsage, partCertificate, "critical extension %v is not understood", cert.UnhandledCriticalExtensions[0])
	}
	return nil
}

// mayProtectMail reports whether the extended key usage, where there is one,
// includes e-mail protection.
func mayProtectMail(cert *x509.Certificate) bool {
	if len(cert.ExtKeyUsage) == 0 && len(cert.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageEmailProtection)
}

// verifySHA1WithRSA checks the signature of a certificate from before 2017.
func verifySHA1WithRSA(key any, signed, signature []byte) bool {
	k, ok := key.(*rsa.PublicKey)
	if !ok {
		return false
	}
	digest := sha1.Sum(signed)
	return rsa.VerifyPKCS1v15(k, crypto.SHA1, digest[:], signature) == nil
}
