package receipt

import (
	"errors"
	"fmt"

	"github.com/ceralacca/go-pec/smime"
)

// Verdict is the outcome of verifying a message. The zero value is no verdict
// and proves nothing.
type Verdict string

const (
	// Verified: everything holds.
	Verified Verdict = "verified"
	// Rejected: judged, and refused.
	Rejected Verdict = "rejected"
	// Inconclusive: there was nothing to judge (ordinary mail, no signature), or
	// nobody to judge by (no anchors). Whatever the message says is a claim.
	Inconclusive Verdict = "parsed-but-unverified"
	// Malformed: not readable as what it claims to be.
	Malformed Verdict = "malformed"
)

// VerdictOf returns the verdict that an outcome of [Verify] stands for: Verified
// for nil, that of the [*Error] otherwise, and "" for errors of another kind,
// such as those of reading the input.
func VerdictOf(err error) Verdict {
	if err == nil {
		return Verified
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Verdict
	}
	return ""
}

// Code says why a message was not verified, in a word that stays the same from
// release to release. A Code is an error, so that errors.Is finds it:
//
//	errors.Is(err, receipt.CodeHeader)
//
// The reasons of package smime are codes too, with the same words.
type Code string

// Error implements error: the code, with the name of the package in front.
func (c Code) Error() string { return "receipt: " + string(c) }

const (
	// CodeNotPEC: ordinary mail, which says nothing of PEC.
	CodeNotPEC Code = "not-pec"
	// CodeREM: a message of the European successor of PEC, which this package
	// does not verify yet.
	CodeREM Code = "rem"
	// CodeNotReceipt: a verified envelope where a receipt was asked for.
	CodeNotReceipt Code = "not-a-receipt"
	// CodeSignedEntity: what is signed is not the multipart/mixed of PEC.
	CodeSignedEntity Code = "signed-entity"
	// CodeNoCertData: what is signed has no daticert.xml.
	CodeNoCertData Code = "no-certification-data"
	// CodeTwoCertData: what is signed has several.
	CodeTwoCertData Code = "several-certification-data"
	// CodeCertData: daticert.xml can't be read, or says what it must not.
	CodeCertData Code = "bad-certification-data"
	// CodeTwoOriginals: several parts could be the original message.
	CodeTwoOriginals Code = "several-originals"
	// CodeAnomalyForm: an anomaly envelope with more or less in it than one
	// message.
	CodeAnomalyForm Code = "anomaly-form"
	// CodeSigner: the certificate does not name one plain mail address.
	CodeSigner Code = "signer-address"
	// CodeFrom: From is missing, repeated, or not the signer's address.
	CodeFrom Code = "from"
	// CodeHeader: a header field contradicts what is signed.
	CodeHeader Code = "header-contradiction"
	// CodeSigningTime: certified and signing time are days apart.
	CodeSigningTime Code = "signing-time"
	// CodeFuture: certified or signed in the future.
	CodeFuture Code = "future"
	// CodeNotListed: the directory does not list the certificate.
	CodeNotListed Code = "signer-not-listed"
	// CodeNotCompetent: the provider is not the one that may issue this.
	CodeNotCompetent Code = "provider-not-competent"
)

// Error is the refusal of a message.
type Error struct {
	// Verdict is never [Verified].
	Verdict Verdict
	// Code says why, for programs.
	Code Code
	// Part is the part of the message it is about: "header", "signed part",
	// "daticert.xml", "signature", "certificate", or "message" for all of it.
	Part string
	// Section is the rule that was broken: "RFC 6109, section 4.3"; "" where it is a
	// limit of this package.
	Section string
	// Err says more; it may be nil. It holds a *[smime.Error] or a
	// *[pec.CertDataError] (with line and column) where one of these packages
	// found the fault, and a *[smime.LimitError] where a limit was passed.
	Err error
}

// Error gives part, code, detail and section. It repeats nothing of the message.
func (e *Error) Error() string {
	s := fmt.Sprintf("receipt: %s: %s", e.Part, string(e.Code))
	if detail := e.Detail(); detail != "" {
		s += ": " + detail
	}
	if e.Section != "" {
		s += " (" + e.Section + ")"
	}
	return s
}

// Detail says what is wrong in words, without code, part and section; it may be
// empty.
func (e *Error) Detail() string {
	var inner *smime.Error
	switch {
	case errors.As(e.Err, &inner):
		if inner.Err == nil {
			return ""
		}
		return inner.Err.Error()
	case e.Err != nil:
		return e.Err.Error()
	}
	return ""
}

// Unwrap gives Err, and the Code for errors.Is.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// Names of parts in errors.
const (
	partHeader      = "header"
	partSigned      = "signed part"
	partCertData    = "daticert.xml"
	partCertificate = "certificate"
)

// reject returns the refusal of a message that was judged.
func reject(c Code, part string, format string, args ...any) *Error {
	return &Error{Verdict: Rejected, Code: c, Part: part, Section: sections[c], Err: fmt.Errorf(format, args...)}
}

// sections are the rules behind the codes.
var sections = map[Code]string{
	CodeSignedEntity: "RFC 6109, section 4.3",
	CodeNoCertData:   "RFC 6109, section 4.3.3",
	CodeTwoCertData:  "RFC 6109, section 4.3.3",
	CodeCertData:     "RFC 6109, section 4.4",
	CodeTwoOriginals: "RFC 6109, section 4.3.2",
	CodeAnomalyForm:  "RFC 6109, section 3.2.2",
	CodeSigner:       "RFC 6109, section 5.5.2",
	CodeFrom:         "RFC 6109, section 2.1",
	CodeHeader:       "RFC 6109, section 2.1.1",
	CodeSigningTime:  "RFC 6109, section 4.1",
	CodeFuture:       "RFC 6109, section 4.1",
	CodeNotListed:    "RFC 6109, section 4.5",
	CodeNotCompetent: "RFC 6109, section 3",

	Code(smime.ReasonHead):          "RFC 5322, section 2.2",
	Code(smime.ReasonMIME):          "RFC 2046, section 5.1",
	Code(smime.ReasonCMS):           "RFC 5652",
	Code(smime.ReasonProfile):       "RFC 8551, section 3.5.3",
	Code(smime.ReasonEmbedded):      "RFC 8551, section 3.5.3.1",
	Code(smime.ReasonAttributes):    "RFC 5652, section 11",
	Code(smime.ReasonAlgorithm):     "RFC 8551, section 2",
	Code(smime.ReasonWeakDigest):    "RFC 8551, section 2.1",
	Code(smime.ReasonKey):           "RFC 8551, section 4.3",
	Code(smime.ReasonNoCertificate): "RFC 6109, section 2.1",
	Code(smime.ReasonDigest):        "RFC 5652, section 5.4",
	Code(smime.ReasonSignature):     "RFC 5652, section 5.6",
	Code(smime.ReasonIssuer):        "RFC 6109, section 2.2.2",
	Code(smime.ReasonExpired):       "RFC 5280, section 6.1.3",
	Code(smime.ReasonUsage):         "RFC 6109, section 5.5.2",
	Code(smime.ReasonConstraints):   "RFC 5280, section 4.2.1.10",
	Code(smime.ReasonLegacy):        "RFC 8551, section 4.3",
	Code(smime.ReasonRevoked):       "RFC 5280, section 5",
	Code(smime.ReasonSigners):       "RFC 6109, section 2.1",
}

// fromSMIME turns a refusal of package smime into one of this package.
func fromSMIME(err error) error {
	var e *smime.Error
	if !errors.As(err, &e) {
		return err
	}
	code := Code(e.Reason)
	verdict := Rejected
	switch e.Reason {
	case smime.ReasonHead, smime.ReasonMIME, smime.ReasonCMS, smime.ReasonLimit:
		verdict = Malformed
	case smime.ReasonNotSigned, smime.ReasonNoAnchor:
		verdict = Inconclusive
	}
	return &Error{Verdict: verdict, Code: code, Part: e.Part, Section: sections[code], Err: err}
}
