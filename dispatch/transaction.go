package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ceralacca/go-pec/receipt"
)

// transaction is a Tx with what every change needs around it: the account's
// record, the counts of the batches, the audit trail, and the events to tell of
// once it is committed.
type transaction struct {
	Tx
	now     time.Time
	actor   string
	account Account
	batches map[string]*Batch
	events  []Event
}

// update runs f in a transaction, again if it conflicts with another, and tells
// of its events afterwards.
func (d *Dispatcher) update(ctx context.Context, account, actor string, f func(*transaction) error) error {
	var events []Event
	err := retryConflict(ctx, func() error {
		return d.cfg.Store.Update(ctx, account, func(tx Tx) error {
			t := &transaction{Tx: tx, now: d.now(), actor: actor, batches: make(map[string]*Batch)}
			var err error
			if t.account, err = tx.Account(); errors.Is(err, ErrNotFound) {
				t.account, err = Account{Name: account}, nil
			}
			if err != nil {
				return err
			}
			if err := f(t); err != nil {
				return err
			}
			events = t.events
			return t.finish()
		})
	})
	if err != nil {
		return err
	}
	for _, e := range events {
		e.Account = account
		d.cfg.Observe(e)
	}
	return nil
}

// maxConflicts bounds how often a transaction is run again.
const maxConflicts = 100

func retryConflict(ctx context.Context, f func() error) error {
	for n := 0; ; n++ {
		err := f()
		if !errors.Is(err, ErrConflict) || n == maxConflicts {
			return err
		}
		if err := nap(ctx, jitter(time.Millisecond<<min(n, 7))); err != nil {
			return err
		}
	}
}

// finish writes back what was changed in memory.
func (t *transaction) finish() error {
	for _, b := range t.batches {
		if err := t.PutBatch(*b); err != nil {
			return err
		}
	}
	return t.PutAccount(t.account)
}

// batch returns a batch; changes to it are written when the transaction ends.
func (t *transaction) batch(name string) (*Batch, error) {
	if b, ok := t.batches[name]; ok {
		return b, nil
	}
	b, err := t.Batch(name)
	if err != nil {
		return nil, fmt.Errorf("reading a batch: %w", err)
	}
	t.batches[name] = &b
	return &b, nil
}

// audit adds an entry to the account's audit trail.
func (t *transaction) audit(action string, id SendID, detail string) error {
	return appendAudit(t.Tx, &t.account, AuditEntry{
		At: t.now, Actor: t.actor, Action: action, Batch: id.Batch, Row: id.Row, Detail: detail,
	})
}

// auditMark names the last entry of an audit trail, and by its hash all that came before.
type auditMark struct {
	seq  int64
	hash Digest
}

func (t *transaction) mark() auditMark { return auditMark{t.account.AuditSeq, t.account.AuditHash} }

// has reports whether the entry is still there.
func (t *transaction) has(m auditMark) (bool, error) {
	if t.account.AuditSeq == m.seq {
		return t.account.AuditHash == m.hash, nil
	}
	entries, err := t.Audit(m.seq-1, 1)
	return len(entries) == 1 && entries[0].Hash == m.hash, err
}

// factsOf returns the facts about a send. The first is the send itself.
func factsOf(tx Tx, send Send) ([]Fact, error) {
	facts, err := tx.Facts(send.ID)
	if err != nil {
		return nil, err
	}
	return append(facts, Fact{
		Key: attemptKey(1), Kind: FactAttempt, Attempt: 1, MessageID: send.MessageID, Content: send.Digest,
	}), nil
}

// learn adds a fact about a send and draws the consequences. It does nothing, and
// returns false, if the fact is known already.
func (t *transaction) learn(send Send, f Fact) (bool, error) {
	added, err := t.AddFact(send.ID, f)
	if err != nil || !added {
		return false, err
	}
	facts, err := factsOf(t, send)
	if err != nil {
		return false, err
	}
	before, err := t.Progress(send.ID)
	if err != nil {
		return false, err
	}
	status := StatusOf(send.Recipient, facts)
	after := Progress{State: status.State}
	if status.State == Prepared {
		after.Due = dueAgain(t.now, f, before)
	}
	if err := t.PutProgress(send.ID, after); err != nil {
		return false, err
	}
	if err := t.count(send.ID.Batch, before.State, after.State); err != nil {
		return false, err
	}
	t.events = append(t.events, eventOf(send.ID, f, before, after, t.now))
	return true, t.audit(string(f.Kind), send.ID, auditDetail(f, after.State))
}

func eventOf(id SendID, f Fact, before, after Progress, now time.Time) Event {
	e := Event{
		Kind: EventSend, At: now, Send: id, Fact: f.Kind,
		From: before.State, To: after.State, Until: after.Due,
	}
	switch {
	case f.Notice != nil:
		e.Cause = f.Notice.Cause
	case f.Kind == FactOutcome && f.Code != 0 && f.Outcome != OutcomeSubmitted:
		e.Cause = receipt.CauseOfReply(f.Code, f.Reply).Code
	}
	return e
}

// auditDetail says what a fact was, in words that hold no personal data.
func auditDetail(f Fact, state State) string {
	switch f.Kind {
	case FactOutcome:
		return fmt.Sprintf("attempt %d, try %d: %s, reply %d; now %s", f.Attempt, f.Try, f.Outcome, f.Code, state)
	case FactTry:
		return fmt.Sprintf("attempt %d, try %d", f.Attempt, f.Try)
	case FactNotice:
		return fmt.Sprintf("%s, signed part %s; now %s", f.Notice.Kind, f.Notice.Signed, state)
	case FactClaim, FactBounce:
		return fmt.Sprintf("message %s; now %s", f.Raw, state)
	}
	return fmt.Sprintf("now %s", state)
}

// count moves a send from one state to another in the counts of its batch.
func (t *transaction) count(batch string, from, to State) error {
	b, err := t.batch(batch)
	if err != nil {
		return err
	}
	from, to = b.shown(from), b.shown(to)
	if from == to {
		return nil
	}
	b.Counts[from]--
	b.Counts[to]++
	if b.Counts[from] == 0 {
		delete(b.Counts, from)
	}
	return nil
}

// shown is the state of a send in view of its batch: what did not leave a batch
// that was canceled never will.
func (b *Batch) shown(s State) State {
	if s == Prepared && b.Phase == PhaseCanceled {
		return Canceled
	}
	return s
}
