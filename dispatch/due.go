package dispatch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// look is what a sender finds in the store when it looks for what is due. If that
// is nothing, the look also says what to wait for, so that an account with nothing
// to send costs the store nothing.
type look struct {
	at  time.Time
	due []*tried // what may leave now
	// next is when to look again if nobody says so before; zero if nothing is known
	// to become due. Whatever anybody does to the account wakes its worker: see
	// [Dispatcher.watch].
	next time.Time
	// refused are batches that the policy keeps from leaving, though somebody signed
	// them off. It may allow them at
	// any time, and nobody would tell, so it is asked again; the store is not.
	refused []Batch
}

// Waits until the next look.
const (
	betweenLooksInHand = time.Second // while sends are in hand, which may come back
	farFuture          = 100 * 365 * 24 * time.Hour
)

// notAfter makes t the latest time for the next look.
func (l *look) notAfter(t time.Time) {
	if l.next.IsZero() || t.Before(l.next) {
		l.next = t
	}
}

// rest waits until there may be something to send.
func (s *sender) rest(ctx context.Context, l look) error {
	for {
		woken, err := napUnless(ctx, l.nap(s.d.now()), s.wake)
		if woken || err != nil || l.isOver(s.d.cfg.Policy, s.d.now()) {
			return err
		}
	}
}

// nap says for how long there is no need even to look at the clock.
func (l *look) nap(now time.Time) time.Duration {
	switch {
	case !l.next.IsZero():
		return min(l.next.Sub(now), maxNap)
	case len(l.refused) > 0:
		return maxNap
	}
	return longNap
}

// isOver reports, after a nap, whether to look again.
func (l *look) isOver(policy ApprovalPolicy, now time.Time) bool {
	switch {
	case now.Before(l.at): // the clock was set back: next may be far away now
		return true
	case !l.next.IsZero() && !now.Before(l.next):
		return true
	case len(l.refused) > 0:
		return slices.ContainsFunc(l.refused, func(b Batch) bool { return policy(b, now) == nil })
	}
	return l.next.IsZero() // that was a long nap
}

// window is how many sends are looked up at a time.
const window = 200

// look looks for sends that may leave now.
func (s *sender) look(ctx context.Context) (look, error) {
	var l look
	now := s.d.now()
	busy := s.busy() // first: what leaves from now on, the view may not see
	err := s.d.cfg.Store.View(ctx, s.name, func(tx Tx) error {
		l = look{at: now}
		account, err := tx.Account()
		if err != nil {
			return err
		}
		s.pauseAsOf(account.AuditSeq, account.PausedUntil)
		switch {
		case account.Suspended != "":
			return nil // until a person resumes it
		case account.PausedUntil.After(now):
			l.next = account.PausedUntil
			return nil
		}
		return s.lookIn(tx, &l, now, busy)
	})
	if len(busy) > 0 {
		l.notAfter(now.Add(betweenLooksInHand))
	}
	return l, err
}

func (s *sender) lookIn(tx Tx, l *look, now time.Time, busy map[SendID]bool) error {
	batches, err := tx.Batches()
	if err != nil {
		return err
	}
	for _, b := range batches {
		if b.Counts[Prepared] == 0 || b.held() != nil {
			continue
		}
		if s.d.cfg.Policy(b, now) != nil {
			l.refused = append(l.refused, b)
			continue
		}
		due, err := tx.Due(b.Name, now, window+len(busy))
		if err != nil {
			return err
		}
		if due = slices.DeleteFunc(due, func(send Send) bool { return busy[send.ID] }); len(due) > 0 {
			l.due, err = triesOf(tx, due)
			l.notAfter(now.Add(betweenLooksInHand)) // if all have left meanwhile
			return err
		}
		if err := l.lookAhead(tx, b.Name, now); err != nil {
			return err
		}
	}
	return nil
}

// lookAhead finds out when the next send of a batch is due of which none is now.
func (l *look) lookAhead(tx Tx, batch string, now time.Time) error {
	first, err := tx.Due(batch, now.Add(farFuture), 1)
	if err != nil || len(first) == 0 {
		return err
	}
	progress, err := tx.Progress(first[0].ID)
	if err == nil && progress.Due.After(now) { // or else it is in hand
		l.notAfter(progress.Due)
	}
	return err
}

func triesOf(tx Tx, sends []Send) ([]*tried, error) {
	var tries []*tried
	for _, send := range sends {
		t, err := tryOf(tx, send)
		if errors.Is(err, errNotDue) {
			continue
		}
		if err != nil {
			return nil, err
		}
		tries = append(tries, t)
	}
	return tries, nil
}

// busy returns which sends are in hand.
func (s *sender) busy() map[SendID]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.inHand)
}
