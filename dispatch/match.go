package dispatch

import (
	"errors"
	"fmt"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// match is the send that a notice is about.
type match struct {
	send    Send
	attempt int
}

// errNoMatch is the error of a verified notice that is about nothing known here,
// or not about what it seems to be.
var errNoMatch = errors.New("dispatch: no send fits")

// maxSkew is how far the clocks of dispatcher and provider may be apart.
const maxSkew = 5 * time.Minute

// findMatch finds the send that a verified notice is about, by what is signed in
// it alone: our Message-ID, our address, the recipient of that send, and a time
// that is not before its batch was made. Any one of these can be had by somebody
// else: a Message-ID that was seen once can be used again.
//
// When it left would be a closer bound, and a worse one: the machine's clock may
// have been ahead just then.
func findMatch(tx Tx, account pec.Address, data pec.CertData) (match, error) {
	if !data.Sender.Equal(account) {
		return match{}, fmt.Errorf("%w: about another sender", errNoMatch)
	}
	id, attempt, err := tx.SendByMessageID(pec.BareMessageID(data.MessageID))
	if errors.Is(err, ErrNotFound) || data.MessageID == "" {
		return match{}, fmt.Errorf("%w: unknown Message-ID", errNoMatch)
	}
	if err != nil {
		return match{}, err
	}
	send, err := tx.Send(id)
	if err != nil {
		return match{}, err
	}
	if !data.Delivery.IsZero() && !data.Delivery.Equal(send.Recipient) {
		return match{}, fmt.Errorf("%w: about another recipient", errNoMatch)
	}
	batch, err := tx.Batch(id.Batch)
	if err != nil {
		return match{}, err
	}
	if data.Time.Before(batch.Created.Add(-maxSkew)) {
		return match{}, fmt.Errorf("%w: from before it was made", errNoMatch)
	}
	return match{send, attempt}, nil
}

// noticeOf says what a verified receipt tells of a send to the recipient.
func noticeOf(rec *receipt.Receipt, recipient pec.Address) *Notice {
	data := rec.Data()
	n := &Notice{
		Kind:      noticeKinds[data.Kind],
		Instant:   data.Time,
		TimeBasis: rec.TimeBasis(),
		Issuer:    data.Issuer,
		Signer:    rec.Signer().Address,
		ID:        data.ID,
		MessageID: data.MessageID,
		Recipient: data.Delivery,
		Timeout:   rec.Timeout(),
		Detail:    data.ErrorDetail,
		Signed:    rec.SignedDigest(),
	}
	if cause, ok := rec.Cause(); ok {
		n.Cause = cause.Code
	}
	if listed, ok := data.Recipient(recipient); ok && n.Kind == NoticeAcceptance {
		n.RecipientType = listed.Type
	}
	return n
}

// prefetchMessageIDs tells a transaction what it will be asked for; see [Prefetcher].
func prefetchMessageIDs(tx Tx, messageIDs []string) error {
	if p, ok := tx.(Prefetcher); ok && len(messageIDs) > 1 {
		return p.PrefetchMessageIDs(messageIDs)
	}
	return nil
}

// prefetchSends does so too.
func prefetchSends(tx Tx, messageIDs []string) error {
	if p, ok := tx.(Prefetcher); ok && len(messageIDs) > 1 {
		return p.PrefetchSends(messageIDs)
	}
	return nil
}
