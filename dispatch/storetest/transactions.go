package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// Checks of what a transaction is.

func isError(err, want error) bool { return errors.Is(err, want) }

var errCaller = errors.New("the caller's own error")

// everything puts one record of each sort; none of them is to be there before.
func everything(n int) []step {
	mail := sampleMail(dispatch.MailID{Folder: "INBOX", UIDValidity: 7, UID: uint32(n)}, dispatch.MailMatched)
	return []step{
		putAccount(sampleAccount(n)),
		putBatch(sampleBatch("b", n)),
		addSend(sampleSend("b", int64(n)), due(noon)),
		addFact(id(int64(n)), sampleFact("attempt/1", dispatch.FactAttempt, n), true),
		addFact(id(int64(n)), sampleTry("try/1/1", noon), true),
		putMessageID(fmt.Sprint(n), id(int64(n)), 1),
		putMail(mail),
		addAudit(sampleEntry(int64(n))),
	}
}

// hasEverything wants what everything(1) puts, and nothing else.
func hasEverything() []step {
	mail := sampleMail(dispatch.MailID{Folder: "INBOX", UIDValidity: 7, UID: 1}, dispatch.MailMatched)
	return []step{
		hasAccount(sampleAccount(1)),
		hasBatch(sampleBatch("b", 1)), hasBatches(sampleBatch("b", 1)),
		hasSend(sampleSend("b", 1)), hasSends("b", 0, 10, 1), hasProgress(id(1), due(noon)), hasDue("b", noon, 10, 1),
		hasFacts(id(1), sampleFact("attempt/1", dispatch.FactAttempt, 1), sampleTry("try/1/1", noon)),
		hasLastTry(1, noon), hasNoLastTry(2),
		hasMessageID("1", id(1), 1), hasNoMessageID("2"),
		hasMail(mail), hasMails(dispatch.MailMatched, dispatch.MailID{}, 10, mail),
		hasAudit(0, 10, sampleEntry(1)),
	}
}

// hasNothing wants no record at all.
func hasNothing() []step {
	return []step{
		hasNoAccount(), hasNoBatch("b"), hasBatches(), hasNoSend(id(1)), hasSends("b", 0, 10), hasDue("b", noon, 10),
		fails(dispatch.ErrNotFound, hasFacts(id(1))), hasNoLastTry(1), hasNoMessageID("1"),
		hasNoMail(dispatch.MailID{Folder: "INBOX", UIDValidity: 7, UID: 1}),
		hasMails(dispatch.MailMatched, dispatch.MailID{}, 10), hasAudit(0, 10),
	}
}

// givingUp returns the caller's own error, at the end of the steps.
func givingUp() step { return func(dispatch.Tx) error { return errCaller } }

func checkRollback(s *subject) {
	steps := append(everything(1), hasEverything()...) // seen from inside
	err := s.Update(context.Background(), theAccount, inOrder(append(steps, givingUp())))
	if err != errCaller {
		s.t.Fatalf("Update: got error %v, want that of f as it is", err)
	}
	s.holds(hasNothing()...)
	s.hasAccounts()
	s.update(everything(1)...)
	s.holds(hasEverything()...)
}

func checkRollbackOfChanges(s *subject) {
	s.update(everything(1)...)
	changes := append(everything(2),
		putProgress(id(1), dispatch.Progress{State: dispatch.Delivered}),
		putMail(sampleMail(dispatch.MailID{Folder: "INBOX", UIDValidity: 7, UID: 1}, dispatch.MailUnreadable)),
		addFact(id(1), sampleTry("try/1/2", minutes(3)), true),
		putBatch(sampleBatch("c", 3)),
		hasDue("b", noon, 10, 2), hasLastTry(1, minutes(3)),
	)
	for range 2 {
		err := s.Update(context.Background(), theAccount, inOrder(append(changes, givingUp())))
		if err != errCaller {
			s.t.Fatalf("Update: got error %v, want that of f as it is", err)
		}
	}
	s.holds(hasEverything()...)
}

func checkPanic(s *subject) {
	s.update(everything(1)...)
	for name, leave := range map[string]func(){
		"panic":          func() { panic(errCaller) },
		"runtime.Goexit": runtime.Goexit, // as t.FailNow does
	} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { recover() }()
			s.Update(context.Background(), theAccount, func(tx dispatch.Tx) error {
				if err := inOrder(everything(2))(tx); err != nil {
					s.t.Errorf("before %s: %v", name, err)
				}
				leave()
				return nil
			})
		}()
		<-done
		s.view(hasEverything()...)
	}
	s.holds(hasEverything()...)
	s.update(everything(2)...)
}

// checkGoingOn checks that a method that was refused leaves the transaction as it
// was: it can go on and be kept.
func checkGoingOn(s *subject) {
	s.update(
		addSend(sampleSend("b", 1), due(noon)),
		fails(dispatch.ErrExists, addSend(sampleSend("b", 1), due(noon))),
		fails(dispatch.ErrExists, addAudit(sampleEntry(2))),
		fails(dispatch.ErrNotFound, putProgress(missing, due(noon))),
		fails(dispatch.ErrNotFound, addFact(missing, sampleFact("k", dispatch.FactTry, 1), true)),
		hasNoBatch("b"), hasNoSend(missing), hasNoMessageID("1"), hasNoLastTry(1),
		addFact(id(1), sampleTry("try/1/1", noon), true),
		addFact(id(1), sampleTry("try/1/1", minutes(1)), false),
		putMessageID("1", id(1), 1),
		addAudit(sampleEntry(1)),
	)
	s.holds(
		hasSend(sampleSend("b", 1)), hasFacts(id(1), sampleTry("try/1/1", noon)), hasLastTry(1, noon), hasNoLastTry(2),
		hasMessageID("1", id(1), 1), hasAudit(0, 10, sampleEntry(1)),
	)
}

func checkViews(s *subject) {
	s.update(everything(1)...)
	changes := map[string]step{
		"PutAccount":   putAccount(sampleAccount(2)),
		"PutBatch":     putBatch(sampleBatch("b", 2)),
		"AddSend":      addSend(sampleSend("b", 2), due(noon)),
		"PutProgress":  putProgress(id(1), due(minutes(1))),
		"PutMessageID": putMessageID("2", id(1), 2),
		"AddFact":      addFact(id(1), sampleTry("try/1/2", minutes(1)), true),
		"PutMail":      putMail(sampleMail(dispatch.MailID{Folder: "INBOX", UIDValidity: 7, UID: 1}, dispatch.MailUnreadable)),
		"AddAudit":     addAudit(sampleEntry(2)),
	}
	for name, change := range changes {
		err := s.View(context.Background(), theAccount, func(tx dispatch.Tx) error {
			if change(tx) == nil {
				s.t.Errorf("%s in a View: got no error", name)
			}
			return inOrder(hasEverything())(tx)
		})
		if err != nil {
			s.t.Errorf("after %s in a View: %v", name, err)
		}
	}
	if err := s.View(context.Background(), theAccount, givingUp()); err != errCaller {
		s.t.Errorf("View: got error %v, want that of f as it is", err)
	}
	s.holds(hasEverything()...)
}

func checkCancel(s *subject) {
	s.update(everything(1)...)
	ctx, cancel := context.WithCancel(context.Background())
	err := s.Update(ctx, theAccount, func(tx dispatch.Tx) error {
		err := inOrder(everything(2))(tx)
		cancel() // before the commit
		return err
	})
	s.wantCanceled("Update, canceled before its commit", err)
	s.wantCanceled("Update", s.Update(ctx, theAccount, inOrder(everything(2))))
	s.wantCanceled("View", s.View(ctx, theAccount, hasBatch(sampleBatch("b", 1))))
	var last error
	for _, err := range s.Accounts(ctx) {
		last = err
	}
	s.wantCanceled("Accounts", last)
	s.holds(hasEverything()...)
}

func (s *subject) wantCanceled(call string, err error) {
	s.t.Helper()
	if !isError(err, context.Canceled) {
		s.t.Errorf("%s: got error %v, want one that wraps context.Canceled", call, err)
	}
}

// checkApart checks that accounts do not see each other's records.
func checkApart(s *subject) {
	const other = "altro@pec.alfa.example"
	s.update(everything(1)...)
	s.holdsOf(other, hasNothing()...)
	// The same names mean something else here.
	s.updateOf(other,
		putBatch(sampleBatch("b", 500)),
		addSend(sampleSend("b", 1), due(minutes(5))),
		putMessageID("1", id(7), 7),
		addFact(id(1), sampleTry("try/1/1", minutes(7)), true),
		addAudit(sampleEntry(1)),
		putMail(sampleMail(dispatch.MailID{Folder: "INBOX", UIDValidity: 7, UID: 1}, dispatch.MailUnreadable)),
	)
	s.holds(hasEverything()...)
	s.holdsOf(other,
		hasNoAccount(), hasBatches(sampleBatch("b", 500)), hasProgress(id(1), due(minutes(5))), hasDue("b", noon, 10),
		hasFacts(id(1), sampleTry("try/1/1", minutes(7))), hasLastTry(1, minutes(7)), hasNoLastTry(2),
		hasMessageID("1", id(7), 7), hasAudit(0, 10, sampleEntry(1)), hasMails(dispatch.MailMatched, dispatch.MailID{}, 10),
	)
}

// again runs a transaction until it does not conflict with another.
func again(update func() error) error {
	for {
		if err := update(); !errors.Is(err, dispatch.ErrConflict) {
			return err
		}
		runtime.Gosched()
	}
}

// checkLostUpdates has many add to what they read. If two transactions of one
// account ran as if the other were not there, one addition would be lost.
func checkLostUpdates(s *subject) {
	const workers, rounds = 8, 12
	s.update(putBatch(dispatch.Batch{Name: "b"}), addSend(sampleSend("b", 1), due(noon)))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for r := range rounds {
				err := again(func() error {
					return s.Update(context.Background(), theAccount, addOne(fmt.Sprintf("%d/%d", w, r)))
				})
				if err != nil {
					s.t.Errorf("Update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	const all = workers * rounds
	s.holds(func(tx dispatch.Tx) error {
		b, err := tx.Batch("b")
		if err != nil {
			return err
		}
		facts, err := tx.Facts(id(1))
		if err != nil {
			return err
		}
		entries, err := tx.Audit(0, 2*all)
		return errors.Join(err, same("sums of what was added", []any{b.Total, len(facts), len(entries)}, []any{all, all, all}))
	})
}

// addOne counts in a batch, adds a fact and an entry of the audit trail.
func addOne(key string) step {
	return func(tx dispatch.Tx) error {
		b, err := tx.Batch("b")
		if err != nil {
			return err
		}
		b.Total++
		runtime.Gosched()
		if err := tx.PutBatch(b); err != nil {
			return err
		}
		return inOrder([]step{
			addFact(id(1), dispatch.Fact{Key: key, Kind: dispatch.FactClaim, At: noon}, true),
			addAudit(dispatch.AuditEntry{Seq: b.Total, At: noon}),
		})(tx)
	}
}

// checkFencing has a worker write a fact because the lease was its own when it
// looked, while another takes the lease over and looks at the facts. What each of
// them looks at is what the other writes, and they write no record in common:
// still, one comes after the other.
func checkFencing(s *subject) {
	const rounds = 10
	s.update(addSend(sampleSend("b", 1), due(noon)))
	lease := func(token int) step {
		return putAccount(dispatch.Account{Name: theAccount, Lease: dispatch.Lease{Token: int64(token)}})
	}
	for n := range rounds {
		s.update(lease(2 * n))
		facts := 0 // that the other worker saw
		takeOver := func(tx dispatch.Tx) error {
			list, err := tx.Facts(id(1))
			facts = len(list)
			return errors.Join(err, lease(2*n+1)(tx))
		}
		wrote := false
		s.together(takeOver, func(tx dispatch.Tx, stall func()) error {
			account, err := tx.Account()
			if wrote = err == nil && account.Lease.Token == int64(2*n); !wrote {
				return err
			}
			stall()
			return addFact(id(1), dispatch.Fact{Key: fmt.Sprint(n), Kind: dispatch.FactClaim, At: noon}, true)(tx)
		})
		if wrote && facts != n+1 {
			s.t.Fatal("a worker wrote under a lease that another had taken over, and the other did not see it")
		}
		if !wrote {
			s.update(addFact(id(1), dispatch.Fact{Key: fmt.Sprint(n), Kind: dispatch.FactClaim, At: noon}, true))
		}
	}
}

// checkQuota has two workers add a try each, if there is but one left.
func checkQuota(s *subject) {
	const rounds = 10
	s.update(addSend(sampleSend("b", 1), due(noon)), addSend(sampleSend("b", 2), due(noon)))
	for n := range rounds {
		try := func(row int64, stall func()) step {
			return func(tx dispatch.Tx) error {
				if _, err := tx.NthLastTry(n + 1); !errors.Is(err, dispatch.ErrNotFound) {
					return err // there was none left
				}
				stall()
				return addFact(id(row), sampleTry(fmt.Sprint(n), minutes(n)), true)(tx)
			}
		}
		s.together(try(1, func() {}), func(tx dispatch.Tx, stall func()) error { return try(2, stall)(tx) })
		s.view(hasLastTry(n+1, noon), hasNoLastTry(n+2))
	}
}

// together runs two transactions, the other one while the first is stalled. The
// store may make the other wait for the first.
func (s *subject) together(other step, first func(tx dispatch.Tx, stall func()) error) {
	s.t.Helper()
	done := make(chan error, 1)
	start := sync.OnceFunc(func() {
		go func() {
			done <- again(func() error { return s.Update(context.Background(), theAccount, other) })
		}()
	})
	stall := func() {
		start()
		select {
		case err := <-done:
			done <- err
		case <-time.After(20 * time.Millisecond): // it waits
		}
	}
	err := again(func() error {
		return s.Update(context.Background(), theAccount, func(tx dispatch.Tx) error { return first(tx, stall) })
	})
	start()
	if err := errors.Join(err, <-done); err != nil {
		s.t.Fatalf("Update: %v", err)
	}
}

// checkOneState changes two records while a View is between looking at one and
// looking at the other. The store may make the change wait for the View.
func checkOneState(s *subject) {
	const rounds = 10
	put := func(n int64) step {
		return inOrder([]step{putAccount(dispatch.Account{Name: theAccount, AuditSeq: n}), putBatch(dispatch.Batch{Name: "b", Total: n})})
	}
	s.update(put(0))
	for n := range int64(rounds) {
		changed := make(chan error, 1)
		s.view(func(tx dispatch.Tx) error {
			a, err := tx.Account()
			if err != nil {
				return err
			}
			go func() {
				changed <- again(func() error { return s.Update(context.Background(), theAccount, put(n+1)) })
			}()
			select {
			case err := <-changed:
				changed <- err
			case <-time.After(20 * time.Millisecond): // it waits
			}
			b, err := tx.Batch("b")
			if err != nil {
				return err
			}
			return same("states of two records", []int64{a.AuditSeq, b.Total}, []int64{n, n})
		})
		if err := <-changed; err != nil {
			s.t.Fatalf("Update: %v", err)
		}
	}
}

// checkMany has one transaction do a great deal, and look at it while it goes on.
func checkMany(s *subject) {
	const many = 3000
	err := s.Update(context.Background(), theAccount, func(tx dispatch.Tx) error {
		for row := int64(1); row <= many; row++ {
			steps := []step{
				addSend(sampleSend("b", row), due(noon)),
				putMessageID(fmt.Sprint(row), id(row), 1),
				addFact(id(row), sampleFact("attempt/1", dispatch.FactAttempt, 1), true),
				addAudit(sampleEntry(row)),
			}
			if row%701 == 0 {
				steps = append(steps,
					addFact(id(row), sampleFact("attempt/1", dispatch.FactAttempt, 2), false),
					addFact(id(row-700), sampleFact("attempt/1", dispatch.FactAttempt, 2), false),
					hasMessageID(fmt.Sprint(row), id(row), 1),
					putProgress(id(row), dispatch.Progress{State: dispatch.Submitted}),
					hasSends("b", row-2, 10, row-1, row),
					hasSend(sampleSend("b", row)),
				)
			}
			if err := inOrder(steps)(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatalf("Update: %v", err)
	}
	s.holds(
		hasSends("b", many-1, 10, many), hasMessageID(fmt.Sprint(many), id(many), 1),
		hasFacts(id(many), sampleFact("attempt/1", dispatch.FactAttempt, 1)),
		hasDue("b", noon, 2, 1, 2), hasProgress(id(701), dispatch.Progress{State: dispatch.Submitted}),
		hasAudit(many-1, 10, sampleEntry(many)),
		func(tx dispatch.Tx) error {
			list, err := tx.Due("b", noon, 2*many)
			return errors.Join(err, same("number of sends due", len(list), many-many/701))
		},
	)
}
