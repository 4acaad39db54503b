package dispatch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// Fact is one thing that is known of a send. Facts are added and never changed
// or removed; what a send's state is follows from the set of them, whatever the
// order in which they came and however often ([StatusOf]).
type Fact struct {
	// Key is what makes two facts one: a receipt that is found in two folders, or
	// a result that is written again after a crash, has the key of the first.
	Key string `json:"key"`
	// Kind says which of the fields below count.
	Kind FactKind `json:"kind"`
	// At is when it happened, in UTC: the certified instant of a notice, the
	// dispatcher's clock otherwise.
	At time.Time `json:"at"`
	// Attempt and Try number what the fact is about, from 1. A new attempt has a
	// new Message-ID and is a person's decision; a new try of the same attempt
	// follows a definite refusal. They are 0 where they do not apply.
	Attempt int `json:"attempt,omitempty"`
	Try     int `json:"try,omitempty"`

	// MessageID is the Message-ID of a FactAttempt, in angle brackets.
	MessageID string `json:"messageID,omitempty"`
	// Content is the digest of the bytes of a FactAttempt.
	Content Digest `json:"content,omitzero"`
	// Outcome, Code and Reply are how a try of FactOutcome ended: the SMTP reply,
	// or, with Code 0, the error in its place.
	Outcome Outcome `json:"outcome,omitempty"`
	Code    int     `json:"code,omitempty"`
	Reply   string  `json:"reply,omitempty"`
	// Notice is what a FactNotice or, unproven, a FactClaim says.
	Notice *Notice `json:"notice,omitempty"`
	// Raw is the digest of the message that a notice, claim or bounce was read
	// from, as it was received. It names a blob of the [Store].
	Raw Digest `json:"raw,omitzero"`
	// Actor is who decided, in a FactAttempt after the first or a FactCancel, and
	// Reason is what they gave as their reason.
	Actor  string `json:"actor,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// FactKind says what a [Fact] is about.
type FactKind string

const (
	// FactAttempt: there are bytes to be sent, under a Message-ID. The first
	// comes with the send.
	FactAttempt FactKind = "attempt"
	// FactTry: everything was handed to the provider but the final dot, which may
	// have followed. From here on, and until more is known, the message may have
	// been sent.
	FactTry FactKind = "try"
	// FactOutcome: how a try ended.
	FactOutcome FactKind = "outcome"
	// FactNotice: a verified receipt or notice.
	FactNotice FactKind = "notice"
	// FactClaim: a message that claims to be a receipt or notice and was not
	// verified. It changes nothing.
	FactClaim FactKind = "claim"
	// FactBounce: a report of an ordinary mail system about the message.
	FactBounce FactKind = "bounce"
	// FactCancel: a person took the send back before it left.
	FactCancel FactKind = "cancel"
)

// Outcome is how a try to hand a message to the provider ended.
type Outcome string

const (
	// OutcomeSubmitted: the provider answered that it took the message. It has
	// not accepted it yet: the acceptance receipt says that.
	OutcomeSubmitted Outcome = "submitted"
	// OutcomeTemporary: refused for now.
	OutcomeTemporary Outcome = "temporary"
	// OutcomePermanent: refused for good.
	OutcomePermanent Outcome = "permanent"
	// OutcomeNotSent: given up before the final dot; the message surely did not
	// leave.
	OutcomeNotSent Outcome = "not-sent"
	// OutcomeUnknown: the final dot may have gone out, and no answer came. Only a
	// receipt can tell.
	OutcomeUnknown Outcome = "unknown"
)

// Notice is what a provider tells of a send, in terms that do not depend on how
// it is written, so that the receipts of REM, the successor of PEC, fit too.
type Notice struct {
	Kind NoticeKind `json:"kind"`
	// Instant is the certified instant, in the offset that the notice gives.
	Instant time.Time `json:"instant"`
	// TimeBasis says what the verification rests on as to time.
	TimeBasis receipt.TimeBasis `json:"timeBasis,omitempty"`
	// Issuer names the provider that issued it.
	Issuer string `json:"issuer,omitempty"`
	// Signer is the mail address in the certificate that signed it.
	Signer pec.Address `json:"signer,omitzero"`
	// ID is the provider's identifier of the transmission (identificativo).
	ID string `json:"id,omitempty"`
	// MessageID is the Message-ID that the notice names.
	MessageID string `json:"messageID,omitempty"`
	// Recipient is the recipient that it is about; zero if it is about all.
	Recipient pec.Address `json:"recipient,omitzero"`
	// RecipientType is, in an acceptance, what the provider knows of the
	// recipient; empty if it does not list it.
	RecipientType pec.RecipientType `json:"recipientType,omitempty"`
	// Timeout is which notice of delay it is by its own words.
	Timeout receipt.Timeout `json:"timeout,omitempty"`
	// Cause is why a refusal, failure or delay happened, Detail the provider's
	// own words.
	Cause  receipt.CauseCode `json:"cause,omitempty"`
	Detail string            `json:"detail,omitempty"`
	// Proof is, of a delivery, whether it proves what was delivered, and Reading
	// what of the attachments was hashed.
	Proof       receipt.ProofResult `json:"proof,omitempty"`
	ProofMethod receipt.ProofMethod `json:"proofMethod,omitempty"`
	ProofDetail string              `json:"proofDetail,omitempty"`
	// Signed is the digest of the signed part: the identity of the notice.
	Signed Digest `json:"signed,omitzero"`
}

// NoticeKind says what a provider tells.
type NoticeKind string

const (
	// NoticeAcceptance (ricevuta di accettazione).
	NoticeAcceptance NoticeKind = "acceptance"
	// NoticeNonAcceptance (avviso di non accettazione).
	NoticeNonAcceptance NoticeKind = "non-acceptance"
	// NoticeDelivery (ricevuta di avvenuta consegna).
	NoticeDelivery NoticeKind = "delivery"
	// NoticeFailure (avviso di mancata consegna).
	NoticeFailure NoticeKind = "failure"
	// NoticeTimeout (avviso di mancata consegna per superamento dei tempi
	// massimi), of hour 12 or of hour 24.
	NoticeTimeout NoticeKind = "timeout"
)

// noticeKinds are the notices that say something of a send. Others travel
// between providers.
var noticeKinds = map[pec.Kind]NoticeKind{
	pec.KindAcceptance:      NoticeAcceptance,
	pec.KindNonAcceptance:   NoticeNonAcceptance,
	pec.KindDelivery:        NoticeDelivery,
	pec.KindDeliveryError:   NoticeFailure,
	pec.KindDeliveryTimeout: NoticeTimeout,
}

// Digest is a SHA-256 digest.
type Digest [sha256.Size]byte

// String returns the digest in hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is no digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("dispatch: a digest has %d hexadecimal digits", hex.EncodedLen(len(d)))
	}
	if _, err := hex.Decode(d[:], text); err != nil {
		return fmt.Errorf("dispatch: reading a digest: %w", err)
	}
	return nil
}

// Keys of facts.

func attemptKey(attempt int) string      { return fmt.Sprintf("attempt/%d", attempt) }
func tryKey(attempt, try int) string     { return fmt.Sprintf("try/%d/%d", attempt, try) }
func outcomeKey(attempt, try int) string { return fmt.Sprintf("outcome/%d/%d", attempt, try) }
func noticeKey(signed Digest) string     { return "notice/" + signed.String() }
func claimKey(raw Digest) string         { return "claim/" + raw.String() }
func bounceKey(raw Digest) string        { return "bounce/" + raw.String() }

const cancelKey = "cancel"
