package dispatch

import (
	"errors"
	"time"
)

// Lease says which worker may work on an account. The limits of PEC are those of
// a mailbox, so one worker at a time sends from it and reads it.
//
// A worker renews its lease while it works. Who has watched one for as long as it
// lasts, on its own clock, and saw no renewal, may take the account over: the clocks
// of the workers' machines need not agree.
//
// One that was stopped or cut off loses its lease, and may wake up without knowing:
// so each lease has a token, larger than all before, and a transaction that writes
// for a worker checks that its token is still the account's.
type Lease struct {
	// Holder names the worker; empty if there is none.
	Holder string `json:"holder,omitempty"`
	// Token is that of the latest lease, held or not.
	Token int64 `json:"token"`
	// Term is how long it lasts from each renewal.
	Term time.Duration `json:"term,omitempty"`
	// Until is when it ends unless it is renewed, in UTC, by the clock of its
	// holder's machine. It is for people to look at; a worker sees by it that a lease
	// was renewed, and does not compare it with its own clock.
	Until time.Time `json:"until,omitzero"`
}

// ErrLeaseLost is the error of work for an account that another worker has
// taken over. Nothing was written.
var ErrLeaseLost = errors.New("dispatch: the lease of the account was lost")

// renew has the lease last for a term from now.
func (l *Lease) renew(now time.Time, term time.Duration) {
	l.Term, l.Until = term, now.Add(term).UTC()
}

// free reports whether a worker may take the account without having watched it.
func (l Lease) free(worker string) bool {
	return l.Holder == "" || l.Holder == worker
}

// check fails unless the account is still that of the worker with the token.
func (l Lease) check(holder string, token int64) error {
	if l.Holder != holder || l.Token != token {
		return ErrLeaseLost
	}
	return nil
}
