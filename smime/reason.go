package smime

import (
	"errors"
	"fmt"

	"github.com/ceralacca/go-pec/internal/cms"
	"github.com/ceralacca/go-pec/internal/limit"
)

// Reason says, in a word that stays the same from release to release, why a
// message was refused. A Reason is an error, so that errors.Is finds it:
//
//	errors.Is(err, smime.ReasonDigest)
type Reason string

// Error implements error: the reason, with the name of the package in front.
func (r Reason) Error() string { return "smime: " + string(r) }

// Reasons that Parse gives: the message can't be read as what it should be.
const (
	// ReasonNotSigned: the message is not multipart/signed. Nothing is wrong
	// with it; there is nothing to judge.
	ReasonNotSigned Reason = "not-signed"
	// ReasonHead: a head that readers could understand in two ways.
	ReasonHead Reason = "bad-head"
	// ReasonMIME: parts that can't be told apart for sure.
	ReasonMIME Reason = "bad-mime"
	// ReasonCMS: the signature can't be decoded.
	ReasonCMS Reason = "bad-cms"
	// ReasonLimit: something is larger than the [Limits] allow.
	ReasonLimit Reason = "limit"
)

// Reasons that Parse and Verify give: the message was judged and refused.
const (
	// ReasonProfile: signed in a way that is not the one of this package, such as
	// an opaque signature, another protocol, or more than two parts.
	ReasonProfile Reason = "off-profile"
	// ReasonEmbedded: the signature carries content of its own.
	ReasonEmbedded Reason = "embedded-content"
	// ReasonAttributes: signed attributes missing, repeated or wrong.
	ReasonAttributes Reason = "signed-attributes"
	// ReasonAlgorithm: an algorithm that is not accepted, or two that disagree.
	ReasonAlgorithm Reason = "algorithm"
	// ReasonWeakDigest: a SHA-1 digest, refused by the caller's date.
	ReasonWeakDigest Reason = "weak-digest"
	// ReasonKey: a key that is too short or of a type not accepted.
	ReasonKey Reason = "weak-key"
	// ReasonNoCertificate: nobody signed, no certificate fits the signature, or two
	// do.
	ReasonNoCertificate Reason = "signer-certificate"
	// ReasonDigest: the content is not the content that was signed.
	ReasonDigest Reason = "content-altered"
	// ReasonSignature: the signature does not verify.
	ReasonSignature Reason = "bad-signature"
	// ReasonNoAnchor: the caller gave no issuer to judge by.
	ReasonNoAnchor Reason = "no-anchor"
	// ReasonIssuer: the certificate was issued by nobody the caller trusts.
	ReasonIssuer Reason = "untrusted-issuer"
	// ReasonExpired: the certificate, or its issuer, was not valid at the time.
	ReasonExpired Reason = "certificate-not-valid-then"
	// ReasonUsage: the certificate is not one for signing mail.
	ReasonUsage Reason = "certificate-usage"
	// ReasonConstraints: the certificate names what its issuer may not vouch for.
	ReasonConstraints Reason = "name-constraints"
	// ReasonLegacy: the certificate is signed with SHA-1 or has a short key, and
	// such certificates were not allowed, or not at that time.
	ReasonLegacy Reason = "legacy-certificate"
	// ReasonRevoked: the certificate was revoked by then.
	ReasonRevoked Reason = "revoked"
	// ReasonSigners: several signatures, by different signers.
	ReasonSigners Reason = "several-signers"
)

// Error is a refusal.
type Error struct {
	// Reason says why, for programs.
	Reason Reason
	// Part is what of the message it is about: "header", "signed part",
	// "signature", "certificate".
	Part string
	// Err says more. It may be nil.
	Err error
}

// Error gives part, reason and detail. It repeats nothing of the message.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("smime: %s: %s", e.Part, string(e.Reason))
	}
	return fmt.Sprintf("smime: %s: %s: %v", e.Part, string(e.Reason), e.Err)
}

// Unwrap gives Err, and the Reason for errors.Is.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// Names of parts in errors.
const (
	partHeader      = "header"
	partMessage     = "message"
	partSigned      = "signed part"
	partSignature   = "signature"
	partCertificate = "certificate"
)

func refuse(r Reason, part string, err error) *Error {
	return &Error{Reason: r, Part: part, Err: err}
}

func refusef(r Reason, part, format string, args ...any) *Error {
	return refuse(r, part, fmt.Errorf(format, args...))
}

// reasons translates the causes of the packages below, first match first.
var reasons = []struct {
	cause  error
	reason Reason
}{
	{cms.ErrAttributes, ReasonAttributes},
	{cms.ErrAlgorithm, ReasonAlgorithm},
	{cms.ErrKey, ReasonKey},
	{cms.ErrDigest, ReasonDigest},
	{cms.ErrSignature, ReasonSignature},
	{cms.ErrContentType, ReasonAttributes},
	{cms.ErrNoSigner, ReasonNoCertificate},
	{cms.ErrBER, ReasonCMS},
	{cms.ErrStructure, ReasonCMS},
}

// explain wraps a cause from below; def is its Reason if no other fits.
func explain(err error, def Reason, part string) error {
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	var passed *limit.Error
	if errors.As(err, &passed) {
		return refuse(ReasonLimit, part, &LimitError{passed.What, passed.Max})
	}
	for _, r := range reasons {
		if errors.Is(err, r.cause) {
			return refuse(r.reason, part, err)
		}
	}
	return refuse(def, part, err)
}
