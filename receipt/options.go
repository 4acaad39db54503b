package receipt

import (
	"errors"
	"time"

	"github.com/ceralacca/go-pec/internal/limit"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/smime"
)

// Options are the options of [Verify]. With the zero value nothing is ever
// verified, since nobody is trusted.
type Options struct {
	// Trust says which authorities' certificates count, and what they revoked.
	// [smime.NewTrust] of [Anchors] trusts the real ones. Use one Trust for many
	// messages: it remembers certificates.
	Trust *smime.Trust
	// Directory, if not nil, is the directory of the providers. Then the signer
	// must be listed, and be the provider that may issue the message: the
	// sender's for an acceptance, the recipient's for a delivery. Without it, the
	// result carries [RemarkNoDirectory].
	Directory pec.Directory
	// At, if not zero, is when the message arrived: the certificate must have
	// been good then too, which makes the verification independent of the
	// signer's clock ([TimeArrival]). If zero, the message is judged as of the
	// instant that it certifies itself ([TimeClaimed]), which is all that can be
	// done years later: certificates expire, receipts are kept.
	At time.Time
	// Now tells the present. Nothing may lie in its future by more than an hour,
	// nor in that of At. Nil means time.Now.
	Now func() time.Time
	// Legacy admits certificates that are signed with SHA-1 or have a key of 1024
	// bits, for messages certified before 1 March 2017: the providers' of that
	// time.
	Legacy bool
	// RefuseSHA1From refuses messages digested with SHA-1 that are certified at
	// that time or later. Zero refuses none: providers used SHA-1 at the end of
	// 2024. They carry [RemarkWeakDigest].
	RefuseSHA1From time.Time
	// Limits bound what a message may cost.
	Limits Limits
}

// legacyBefore is the end of the certificates of DigitPA CA1.
var legacyBefore = time.Date(2017, time.March, 1, 0, 0, 0, 0, time.UTC)

func (o *Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

func (o *Options) smime(at time.Time) smime.VerifyOptions {
	v := smime.VerifyOptions{Trust: o.Trust, Time: at, RefuseSHA1From: o.RefuseSHA1From}
	if o.Legacy {
		v.LegacyBefore = legacyBefore
	}
	return v
}

// Limits bound what a message may cost. A zero field means its default, so the
// zero value is safe to use on mail from anybody. What goes over a limit is
// [Malformed], with the code "limit" and a [*smime.LimitError] inside.
type Limits struct {
	// Message is the most bytes of a whole message; default 100 MiB.
	Message int64
	// Head is the most bytes of one head, HeadLines the most lines of it;
	// defaults 256 KiB and 2,000.
	Head, HeadLines int
	// Parts is the most parts of the signed multipart; default 64.
	Parts int
	// CertData is the most bytes of daticert.xml, decoded; default, and the most
	// there can be, 1 MiB.
	CertData int
	// Signature is the most bytes of the decoded signature; default, and the most
	// there can be, 1 MiB.
	Signature int
}

func (l Limits) withDefaults() Limits {
	set := func(n *int, def int) {
		if *n <= 0 {
			*n = def
		}
	}
	set(&l.Head, 256<<10)
	set(&l.HeadLines, 2000)
	set(&l.Parts, 64)
	set(&l.CertData, 1<<20)
	return l
}

func (l Limits) smime() smime.Limits {
	return smime.Limits{Message: l.Message, Head: l.Head, HeadLines: l.HeadLines, Signature: l.Signature}
}

// overLimit returns the refusal of a part in which a parser passed a limit, or nil
// if err is of another kind.
func overLimit(part string, err error) *Error {
	var passed *limit.Error
	if !errors.As(err, &passed) {
		return nil
	}
	return &Error{Verdict: Malformed, Code: Code(smime.ReasonLimit), Part: part, Err: limitError{err, passed}}
}

// limitError is a [*smime.LimitError] that keeps what its finder had to say, such
// as line and column.
type limitError struct {
	error
	passed *limit.Error
}

func (e limitError) Unwrap() []error {
	return []error{e.error, &smime.LimitError{What: e.passed.What, Limit: e.passed.Max}}
}

// tooLarge refuses a daticert.xml over its limit.
func tooLarge(most int) *Error {
	return overLimit(partCertData, limit.Passed(most, "bytes of daticert.xml"))
}
