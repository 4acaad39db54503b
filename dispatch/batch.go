package dispatch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// ErrBatch is the error of an act that the phase of a batch does not allow.
var ErrBatch = errors.New("dispatch: the batch does not allow that")

// Batch returns a batch; [ErrNotFound] if there is none of that name.
func (d *Dispatcher) Batch(ctx context.Context, account pec.Address, name string) (Batch, error) {
	var b Batch
	err := d.cfg.Store.View(ctx, AccountName(account), func(tx Tx) (err error) {
		b, err = tx.Batch(name)
		return err
	})
	return b, err
}

// Batches returns the batches of an account, by name.
func (d *Dispatcher) Batches(ctx context.Context, account pec.Address) ([]Batch, error) {
	var list []Batch
	err := d.cfg.Store.View(ctx, AccountName(account), func(tx Tx) (err error) {
		list, err = tx.Batches()
		return err
	})
	return list, err
}

// Approve signs a batch off in the name of the context's actor. The digest is
// that of the batch as the actor saw it: if it is not the batch's, nothing is
// signed. validFor is how long the sign-off counts; 0 is for ever. The batch leaves
// as soon as the policy lets it, which may be later, and without anybody's doing:
// when the hour has come that it waits for.
func (d *Dispatcher) Approve(ctx context.Context, account pec.Address, name string, digest Digest, validFor time.Duration) error {
	return d.act(ctx, account, name, "approve", func(t *transaction, b *Batch) error {
		if b.Phase != PhaseReady && b.Phase != PhaseApproved {
			return fmt.Errorf("%w: it is %s", ErrBatch, b.Phase)
		}
		if digest != b.Digest {
			return fmt.Errorf("%w: the sign-off is for other content", ErrNotApproved)
		}
		a := Approval{Actor: t.actor, At: t.now, Digest: digest}
		if validFor > 0 {
			a.Expires = t.now.Add(validFor)
		}
		b.Approvals = append(b.Approvals, a)
		if d.cfg.Policy(*b, t.now) == nil {
			b.Phase = PhaseApproved
		}
		return nil
	})
}

// Pause keeps what has not left from leaving, until Resume.
func (d *Dispatcher) Pause(ctx context.Context, account pec.Address, name string) error {
	return d.act(ctx, account, name, "pause", func(_ *transaction, b *Batch) error {
		b.Paused = true
		return nil
	})
}

// Resume ends a Pause.
func (d *Dispatcher) Resume(ctx context.Context, account pec.Address, name string) error {
	return d.act(ctx, account, name, "resume", func(_ *transaction, b *Batch) error {
		b.Paused = false
		return nil
	})
}

// Cancel takes back what has not left, for good. What left can't be called back.
func (d *Dispatcher) Cancel(ctx context.Context, account pec.Address, name string) error {
	return d.act(ctx, account, name, "cancel", func(_ *transaction, b *Batch) error {
		if b.Phase == PhaseCanceled {
			return nil
		}
		b.Phase = PhaseCanceled
		if n := b.Counts[Prepared]; n > 0 {
			b.Counts[Canceled] += n
			delete(b.Counts, Prepared)
		}
		return nil
	})
}

// act changes a batch in the name of the context's actor, and writes it into the
// audit trail; a refusal is written there too.
func (d *Dispatcher) act(ctx context.Context, account pec.Address, name, action string, f func(*transaction, *Batch) error) error {
	actor, err := actorOf(ctx)
	if err != nil {
		return err
	}
	var refused error
	err = d.update(ctx, AccountName(account), actor, func(t *transaction) error {
		b, err := t.batch(name)
		if err != nil {
			return err
		}
		before := *b
		detail := ""
		if refused = f(t, b); refused != nil {
			*b = before
			detail = "refused: " + refused.Error()
		}
		return t.audit(action, SendID{Batch: name}, detail)
	})
	if err == nil {
		err = refused
	}
	d.wake(AccountName(account))
	return err
}

// CancelSend takes one send back, if it did not leave.
func (d *Dispatcher) CancelSend(ctx context.Context, account pec.Address, id SendID, reason string) error {
	return d.decide(ctx, account, id, func(t *transaction, send Send, status Status) (Fact, error) {
		if status.State != Prepared {
			return Fact{}, fmt.Errorf("%w: it is %s", ErrBatch, status.State)
		}
		return Fact{Key: cancelKey, Kind: FactCancel, At: t.now, Actor: t.actor, Reason: reason}, nil
	})
}

// Resend makes a new attempt at a send, with a new Message-ID: a second message,
// and a second legal act if the first one arrived. It is for a person to decide,
// and needs a reason; nothing in this package ever does it by itself.
//
// It is allowed where the first attempt ended without a delivery, and where
// nobody knows ([Unknown]). The batch's approval covers it while that counts.
func (d *Dispatcher) Resend(ctx context.Context, account pec.Address, id SendID, reason string) error {
	if reason == "" {
		return fmt.Errorf("%w: sending again needs a reason", ErrBatch)
	}
	messageID := pec.NewMessageID(account)
	digest, err := d.digestAs(ctx, account, id, messageID)
	if err != nil {
		return err
	}
	return d.decide(ctx, account, id, func(t *transaction, send Send, status Status) (Fact, error) {
		switch status.State {
		case Refused, Unknown, NotAccepted, TimedOut, Failed:
		default:
			return Fact{}, fmt.Errorf("%w: it is %s", ErrBatch, status.State)
		}
		f := Fact{
			Key: attemptKey(status.Attempt + 1), Kind: FactAttempt, At: t.now, Attempt: status.Attempt + 1,
			MessageID: messageID, Content: digest, Actor: t.actor, Reason: reason,
		}
		return f, t.PutMessageID(pec.BareMessageID(messageID), id, f.Attempt)
	})
}

// digestAs returns the digest of the bytes of a send under another Message-ID.
func (d *Dispatcher) digestAs(ctx context.Context, account pec.Address, id SendID, messageID string) (Digest, error) {
	s, err := d.Status(ctx, account, id)
	if err != nil {
		return Digest{}, err
	}
	content, err := openContent(ctx, d.cfg.Store, s.Send, messageID)
	if err != nil {
		return Digest{}, err
	}
	defer content.Close()
	h := sha256.New()
	if _, err := io.Copy(h, content.Reader()); err != nil {
		return Digest{}, err
	}
	return Digest(h.Sum(nil)), nil
}

// decide adds a fact that a person decided on.
func (d *Dispatcher) decide(ctx context.Context, account pec.Address, id SendID, f func(*transaction, Send, Status) (Fact, error)) error {
	actor, err := actorOf(ctx)
	if err != nil {
		return err
	}
	err = d.update(ctx, AccountName(account), actor, func(t *transaction) error {
		send, err := t.Send(id)
		if err != nil {
			return err
		}
		facts, err := factsOf(t, send)
		if err != nil {
			return err
		}
		fact, err := f(t, send, StatusOf(send.Recipient, facts))
		if err != nil {
			return err
		}
		_, err = t.learn(send, fact)
		return err
	})
	d.wake(AccountName(account))
	return err
}
