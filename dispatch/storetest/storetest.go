// Package storetest checks that a [dispatch.Store] keeps its contract. It uses
// the standard library only, so that the tests of any store can use it:
//
//	func TestStore(t *testing.T) {
//		dir := t.TempDir()
//		storetest.Run(t, func(t *testing.T, name string) dispatch.Store {
//			s, err := mystore.Open(filepath.Join(dir, name))
//			if err != nil {
//				t.Fatal(err)
//			}
//			return s
//		})
//	}
//
// [Run] is for every store, also for those whose transactions are a
// [dispatch.Prefetcher], which none has to be. [RunCrash] is for a store that outlives its process,
// [RunLargeBlob] for one that never has a large value in memory. [Faulty] is for
// the tests of whoever uses a store: it fails when told to.
//
// The checks read like scripts: a check is a list of steps, each of them a call
// of the store with what is to come of it.
package storetest

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// Run checks the stores that open returns, against every sentence of the contract
// of [dispatch.Store].
//
// A name that was not opened before gives an empty store. A name that was gives
// the same contents, as after a restart: the store opened before is not used any
// more, and was closed if it is an [io.Closer]. Names consist of lower-case
// letters and digits, at most 20.
func Run(t *testing.T, open func(t *testing.T, name string) dispatch.Store) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			s := &subject{t: t, open: open, name: c.name}
			s.Store = open(t, s.name)
			defer s.close()
			c.check(s)
		})
	}
}

// checks are the parts of the contract. Each has a store of its own.
var checks = []struct {
	name  string
	check func(*subject)
}{
	{"accounts", checkAccounts},
	{"batches", checkBatches},
	{"sends", checkSends},
	{"progress", checkProgress},
	{"due", checkDue},
	{"messageids", checkMessageIDs},
	{"prefetch", checkPrefetch},
	{"facts", checkFacts},
	{"lasttries", checkLastTries},
	{"mail", checkMail},
	{"maillists", checkMailLists},
	{"audit", checkAudit},

	{"rollback", checkRollback},
	{"rollbackofchanges", checkRollbackOfChanges},
	{"panic", checkPanic},
	{"goingon", checkGoingOn},
	{"views", checkViews},
	{"cancel", checkCancel},
	{"apart", checkApart},
	{"lostupdates", checkLostUpdates},
	{"fencing", checkFencing},
	{"quota", checkQuota},
	{"onestate", checkOneState},
	{"many", checkMany},

	{"everyfield", checkEveryField},
	{"values", checkValues},
	{"times", checkTimes},
	{"text", checkText},
	{"oddtext", checkOddText},
	{"empty", checkEmpty},

	{"blobs", checkBlobs},
	{"blobreading", checkBlobReading},
	{"blobfailing", checkBlobFailing},
	{"blobstogether", checkBlobsTogether},
}

// subject is the store that is checked.
type subject struct {
	dispatch.Store
	t    *testing.T
	open func(t *testing.T, name string) dispatch.Store
	name string
}

// theAccount is the account that checks use, if one is enough.
const theAccount = "ufficio@pec.alfa.example"

// step is a call of a store, with what is to come of it.
type step func(tx dispatch.Tx) error

func inOrder(steps []step) func(dispatch.Tx) error {
	return func(tx dispatch.Tx) error {
		for _, s := range steps {
			if err := s(tx); err != nil {
				return err
			}
		}
		return nil
	}
}

// update does the steps in a transaction that must be kept.
func (s *subject) update(steps ...step) {
	s.t.Helper()
	s.updateOf(theAccount, steps...)
}

func (s *subject) updateOf(account string, steps ...step) {
	s.t.Helper()
	if err := s.Update(context.Background(), account, inOrder(steps)); err != nil {
		s.t.Fatalf("Update: %v", err)
	}
}

// view does the steps in a transaction that changes nothing.
func (s *subject) view(steps ...step) {
	s.t.Helper()
	s.viewOf(theAccount, steps...)
}

func (s *subject) viewOf(account string, steps ...step) {
	s.t.Helper()
	if err := s.View(context.Background(), account, inOrder(steps)); err != nil {
		s.t.Fatalf("View: %v", err)
	}
}

// holds does the steps, which only look, wherever it should make no difference:
// in a view, in a transaction that may write, and after a restart.
func (s *subject) holds(steps ...step) {
	s.t.Helper()
	s.holdsOf(theAccount, steps...)
}

func (s *subject) holdsOf(account string, steps ...step) {
	s.t.Helper()
	s.viewOf(account, steps...)
	s.updateOf(account, steps...)
	s.reopen()
	s.viewOf(account, steps...)
}

// reopen is a restart.
func (s *subject) reopen() {
	s.t.Helper()
	s.close()
	s.Store = s.open(s.t, s.name)
}

func (s *subject) close() {
	if c, ok := s.Store.(io.Closer); ok {
		if err := c.Close(); err != nil {
			s.t.Errorf("Close: %v", err)
		}
	}
}

// noon is when the records of the checks begin.
var noon = time.Date(2026, 3, 29, 12, 0, 0, 123456000, time.UTC)

func minutes(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
