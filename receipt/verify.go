package receipt

import (
	"crypto"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/smime"
)

// Verify reads one message and verifies that it is a receipt or notice of a PEC
// provider. It returns a Receipt only if everything holds; otherwise the error
// is an [*Error], or an error of r.
//
// It takes one pass and constant memory, whatever the size; see [smime.Parse]
// for the one case in which it reads twice. r may stand anywhere in a larger
// input: offsets are relative to where r stood.
func Verify(r io.Reader, opts Options) (*Receipt, error) {
	m, err := VerifyMessage(r, opts)
	if err != nil {
		return nil, err
	}
	rec, ok := m.(*Receipt)
	if !ok {
		return nil, reject(CodeNotReceipt, partSigned, "it is a %s", m.Kind().LegalName(pec.ErrorNone))
	}
	return rec, nil
}

// VerifyMessage is [Verify] for any PEC message: it tells receipts from
// envelopes, which carry the same identifiers and are not receipts.
func VerifyMessage(r io.Reader, opts Options) (Message, error) {
	v := verification{opts: &opts}
	v.content = newContent(opts.Limits.withDefaults())
	u, err := smime.Parse(r, smime.ParseOptions{
		Header:  v.header,
		Content: v.content,
		Limits:  opts.Limits.withDefaults().smime(),
	})
	if err != nil {
		return nil, v.explain(err)
	}
	v.signed = u
	return v.judge()
}

// verification is the state of verifying one message.
type verification struct {
	opts    *Options
	class   pec.Class
	content *content
	formErr error         // what is wrong with the signed part
	data    *pec.CertData // nil if there is none to be read, which dataErr explains
	dataErr error
	signed  *smime.Unverified
	sig     *smime.Signature
	remarks []Remark
}

// header looks at the top-level header, before anything else was read.
func (v *verification) header(h smime.Header) error {
	v.class = pec.Classify(h)
	if v.class.Category == pec.CategoryREM {
		return &Error{Verdict: Inconclusive, Code: CodeREM, Part: partHeader}
	}
	return nil
}

// explain turns an error of parsing into one of this package. Mail that says
// nothing of PEC is not at fault for having no signature, or one of another kind.
func (v *verification) explain(err error) error {
	err = fromSMIME(err)
	if verdict := VerdictOf(err); verdict == Inconclusive || verdict == Rejected {
		if v.read(); v.isOrdinary() && !errors.Is(err, CodeREM) {
			return notPEC()
		}
	}
	return err
}

// isPEC reports whether a message says that it is one of PEC.
func isPEC(c pec.Category) bool {
	return c == pec.CategoryReceipt || c == pec.CategoryTransport || c == pec.CategoryAnomaly
}

func notPEC() error { return &Error{Verdict: Inconclusive, Code: CodeNotPEC, Part: partHeader} }

// judge decides. What is signed is read first, since it says as of when the
// signature counts; but whether the signature is good is told before what is
// wrong with the content.
func (v *verification) judge() (Message, error) {
	v.read()
	if v.isOrdinary() {
		return nil, notPEC()
	}
	if err := v.verifySignature(); err != nil {
		return nil, err
	}
	if v.formErr != nil {
		return nil, v.formErr
	}
	original, err := v.content.theOriginal()
	if err != nil {
		return nil, err
	}
	if original != nil {
		original.Offset += v.signed.ContentOffset()
	}
	if v.noData() && v.isAnomaly() {
		return v.anomaly(original)
	}
	if v.dataErr != nil {
		return nil, v.dataErr
	}
	return v.certified(original)
}

// read takes from what is signed what it is about.
func (v *verification) read() {
	if v.formErr = v.content.finish(); v.formErr == nil {
		v.data, v.dataErr = v.content.readCertData()
	}
}

// noData reports whether there is no daticert.xml.
func (v *verification) noData() bool { return errors.Is(v.dataErr, CodeNoCertData) }

// isOrdinary reports whether a signed message is somebody's mail: neither its
// header nor what is signed says anything of PEC.
func (v *verification) isOrdinary() bool {
	return !isPEC(v.class.Category) && (v.formErr != nil || v.noData())
}

// reference returns the instant as of which the message is judged: the certified
// one, or, where there is none to read, the signer's.
func (v *verification) reference() time.Time {
	if v.data != nil {
		return v.data.Time
	}
	if t := v.signed.SigningTime(); !t.IsZero() {
		return t
	}
	return v.opts.now()
}

// verifySignature checks the signature as of the certified instant, and what
// else is said of time.
func (v *verification) verifySignature() error {
	reference := v.reference()
	sig, err := v.signed.Verify(v.opts.smime(reference))
	if err != nil {
		return fromSMIME(err)
	}
	v.sig = sig
	v.remarks = signatureRemarks(sig)
	return v.checkTimes(reference)
}

// Bounds on how far apart instants may lie.
const (
	maxFuture       = time.Hour
	signingRemark   = 5 * time.Minute
	signingRefusal  = 3 * 24 * time.Hour
	outerDateRemark = 5 * time.Minute
)

func (v *verification) checkTimes(certified time.Time) error {
	latest := v.opts.now()
	if at := v.opts.At; !at.IsZero() && at.Before(latest) {
		latest = at // nothing arrives before it was made
	}
	latest = latest.Add(maxFuture)
	signing := v.sig.SigningTime()
	if certified.After(latest) || signing.After(latest) {
		return reject(CodeFuture, partSigned, "certified at %s and signed at %s, which is in the future", instant(certified), instant(signing))
	}
	if signing.IsZero() {
		v.remark(RemarkNoSigningTime, "the signature does not say when it was made")
	} else {
		apart := signing.Sub(certified).Abs()
		if apart > signingRefusal {
			return reject(CodeSigningTime, partSigned, "certified at %s, but signed at %s", instant(certified), instant(signing))
		}
		if apart > signingRemark {
			v.remark(RemarkSigningTime, "certified at "+instant(certified)+", signed at "+instant(signing))
		}
		if !signing.Equal(certified) {
			if err := v.sig.CheckAt(signing); err != nil {
				return fromSMIME(err)
			}
		}
	}
	if v.opts.At.IsZero() {
		v.remark(RemarkTimeClaimed, "judged as of the instant that the message certifies itself")
		return nil
	}
	if err := v.sig.CheckAt(v.opts.At); err != nil {
		return fromSMIME(err)
	}
	return nil
}

func (v *verification) remark(code RemarkCode, text string) {
	v.remarks = append(v.remarks, Remark{code, text})
}

// isAnomaly reports whether the message says it is an anomaly envelope.
func (v *verification) isAnomaly() bool {
	return v.class.Category == pec.CategoryAnomaly
}

// anomaly accepts an anomaly envelope: a text, and the message that was wrapped
// as the only other part. RFC 6109, section 3.2.2.
func (v *verification) anomaly(original *Section) (Message, error) {
	if original == nil || v.content.parts != 2 {
		return nil, reject(CodeAnomalyForm, partSigned, "%d parts, of which %d are messages", v.content.parts, len(v.content.originals))
	}
	signer, err := v.checkSigner()
	if err != nil {
		return nil, err
	}
	if err := v.checkListed(); err != nil {
		return nil, err
	}
	if err := v.checkHints(pec.KindAnomaly); err != nil {
		return nil, err
	}
	return &Anomaly{v.result(signer, original)}, nil
}

// certified accepts a message with certification data.
func (v *verification) certified(original *Section) (Message, error) {
	signer, err := v.checkSigner()
	if err != nil {
		return nil, err
	}
	if err := v.checkCompetence(); err != nil {
		return nil, err
	}
	if err := v.checkHints(v.data.Kind); err != nil {
		return nil, err
	}
	v.remarkHints()
	switch v.data.Kind {
	case pec.KindTransport:
		return &Transport{v.result(signer, original), *v.data}, nil
	case pec.KindDelivery:
	default:
		original = nil // no other receipt carries one
	}
	return &Receipt{v.result(signer, original), *v.data}, nil
}

func (v *verification) result(signer pec.Address, original *Section) verified {
	out := verified{
		signer: Signer{
			Address:     signer,
			Certificate: v.sig.Certificate(),
			Anchor:      v.sig.Anchor(),
			SigningTime: v.sig.SigningTime(),
		},
		signed:    Section{Offset: v.signed.ContentOffset(), Size: v.signed.ContentSize()},
		timeBasis: TimeArrival,
		remarks:   v.remarks,
		original:  original,
	}
	copy(out.digest[:], v.signed.Digest(crypto.SHA256))
	if v.opts.At.IsZero() {
		out.timeBasis = TimeClaimed
	}
	return out
}

// checkSigner finds the one plain address in the certificate and compares it
// with From, as mail programs do. RFC 6109, sections 2.1 and 5.5.1.
func (v *verification) checkSigner() (pec.Address, error) {
	names := v.sig.Certificate().EmailAddresses
	if len(names) != 1 {
		return pec.Address{}, reject(CodeSigner, partCertificate, "it has %d mail addresses", len(names))
	}
	signer, err := pec.ParseAddress(names[0])
	if err != nil || signer.String() != names[0] || strings.Contains(names[0], "*") {
		return pec.Address{}, reject(CodeSigner, partCertificate, "its mail address is not a plain one")
	}
	from := v.signed.Header().Values("From")
	if len(from) != 1 {
		return pec.Address{}, reject(CodeFrom, partHeader, "%d fields From", len(from))
	}
	if from[0] == names[0] {
		return signer, nil
	}
	mailbox, err := pec.ParseMailbox(from[0])
	if err != nil {
		return pec.Address{}, reject(CodeFrom, partHeader, "reading From: %w", err)
	}
	if !mailbox.Address.Equal(signer) {
		return pec.Address{}, reject(CodeFrom, partHeader, "From is not the address in the signer's certificate")
	}
	return signer, nil
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }
