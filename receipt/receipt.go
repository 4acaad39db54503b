package receipt

import (
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/smime"
)

// Message is a verified PEC message: a [*Receipt], a [*Transport] or an
// [*Anomaly]. Only this package makes one.
type Message interface {
	// Kind says what it is.
	Kind() pec.Kind
	// Signer is the provider's certificate that signed it.
	Signer() Signer
	// SignedDigest is the SHA-256 digest of the signed part, with its line ends
	// as CRLF. It is the identity of the message: the same receipt fetched twice,
	// from other folders or under other headers, has the same.
	SignedDigest() [sha256.Size]byte
	// TimeBasis says how far its certified time can be relied on.
	TimeBasis() TimeBasis
	// Remarks are what is odd about it but proves nothing against it.
	Remarks() []Remark
	// Original is where the original message is in what was verified, as it was
	// received; nil if it holds none.
	Original() *Section

	sealed()
}

// Signer is whoever signed a message.
type Signer struct {
	// Address is the mail address in the certificate.
	Address pec.Address
	// Certificate is the certificate itself.
	Certificate *x509.Certificate
	// Anchor is the name of the authority that issued it.
	Anchor string
	// SigningTime is when the signer says it signed, in UTC; zero if it does not
	// say. It is a claim, not a trusted time stamp.
	SigningTime time.Time
}

// TimeBasis says what the verification rests on as to time. PEC signatures carry
// no time stamp of a third party: the certified instant is the provider's word.
type TimeBasis string

const (
	// TimeClaimed: judged as of the instant that the message itself certifies.
	TimeClaimed TimeBasis = "claimed"
	// TimeArrival: judged as of its arrival too.
	TimeArrival TimeBasis = "arrival"
)

// verified is what all verified messages have.
type verified struct {
	signer    Signer
	signed    Section
	digest    [sha256.Size]byte
	timeBasis TimeBasis
	remarks   []Remark
	original  *Section
}

// Signer implements [Message].
func (v *verified) Signer() Signer { return v.signer }

// SignedDigest implements [Message].
func (v *verified) SignedDigest() [sha256.Size]byte { return v.digest }

// TimeBasis implements [Message].
func (v *verified) TimeBasis() TimeBasis { return v.timeBasis }

// Remarks implements [Message].
func (v *verified) Remarks() []Remark { return slices.Clone(v.remarks) }

func (v *verified) sealed() {}

// Original implements [Message].
func (v *verified) Original() *Section {
	if v.original == nil {
		return nil
	}
	section := *v.original
	return &section
}

// Receipt is a verified receipt or notice of a PEC provider. Only [Verify] and
// [VerifyMessage] make one, and everything it tells was signed. The zero value
// certifies nothing and is of no kind.
type Receipt struct {
	verified
	data pec.CertData
}

// Kind says what the receipt is.
func (r *Receipt) Kind() pec.Kind { return r.data.Kind }

// Data returns the certification data.
func (r *Receipt) Data() pec.CertData { return copyData(r.data) }

// Transport is a verified transport envelope (busta di trasporto): a message
// that arrived by PEC. It is not a receipt, though it carries the same data.
type Transport struct {
	verified
	data pec.CertData
}

// Kind returns [pec.KindTransport].
func (t *Transport) Kind() pec.Kind { return t.data.Kind }

// Data returns the certification data.
func (t *Transport) Data() pec.CertData { return copyData(t.data) }

// Anomaly is a verified anomaly envelope (busta di anomalia): ordinary mail that
// a provider wrapped. The signature proves that the provider wrapped it, and
// nothing of what is inside, even if that is a PEC message itself.
type Anomaly struct {
	verified
}

// Kind returns [pec.KindAnomaly].
func (a *Anomaly) Kind() pec.Kind { return pec.KindAnomaly }

func copyData(d pec.CertData) pec.CertData {
	d.Recipients = slices.Clone(d.Recipients)
	d.Taken = slices.Clone(d.Taken)
	return d
}

// Remark is something odd about a verified message.
type Remark struct {
	// Code names it, for programs.
	Code RemarkCode
	// Text says it in words, and repeats nothing of the message.
	Text string
}

// RemarkCode names a remark, in a word that stays the same from release to
// release.
type RemarkCode string

const (
	// RemarkWeakDigest: digested with SHA-1.
	RemarkWeakDigest RemarkCode = "weak-digest"
	// RemarkLegacy: the certificate was admitted by Options.Legacy.
	RemarkLegacy RemarkCode = "legacy-certificate"
	// RemarkTimeClaimed: judged as of the instant that the message certifies.
	RemarkTimeClaimed RemarkCode = "time-claimed"
	// RemarkNoSigningTime: the signature says nothing of when it was made.
	RemarkNoSigningTime RemarkCode = "no-signing-time"
	// RemarkSigningTime: signed more than five minutes from the certified instant.
	RemarkSigningTime RemarkCode = "signing-time"
	// RemarkNoDirectory: no directory was consulted, so whether the provider is
	// the right one was not checked.
	RemarkNoDirectory RemarkCode = "directory-not-consulted"
	// RemarkNotChecked: no revocation list covers the time.
	RemarkNotChecked RemarkCode = "revocation-not-checked"
	// RemarkRevokedLater: the certificate was revoked afterwards.
	RemarkRevokedLater RemarkCode = "revoked-later"
	// RemarkSubject: the subject on the outside is not that of the signed data.
	RemarkSubject RemarkCode = "subject"
	// RemarkTo: the addressees on the outside are not the sender of the original,
	// or, of an envelope, not among its recipients.
	RemarkTo RemarkCode = "to"
	// RemarkDate: the date on the outside is not the certified one.
	RemarkDate RemarkCode = "date"
)

// signatureRemarks says what is odd about a signature.
func signatureRemarks(sig *smime.Signature) []Remark {
	var remarks []Remark
	if sig.Digest().Size() <= 20 {
		remarks = append(remarks, Remark{RemarkWeakDigest, "digested with SHA-1, which is weak"})
	}
	if sig.Legacy() {
		remarks = append(remarks, Remark{RemarkLegacy, "the certificate is signed with SHA-1 or has a short key"})
	}
	switch sig.Revocation() {
	case smime.RevocationUnchecked:
		remarks = append(remarks, Remark{RemarkNotChecked, "no revocation list of the issuer covers the time"})
	case smime.RevocationLater:
		remarks = append(remarks, Remark{RemarkRevokedLater, "the certificate was revoked afterwards"})
	}
	return remarks
}
