package dispatch

import (
	"errors"
	"time"
)

// Lease says which worker may work on an account. The limits of PEC are those of
// a mailbox, so one worker at a time sends from it and reads it.
//
// A worker renews its lease while it works. One that was stopped or cut off
// loses it, and may wake up without knowing: so each lease has a token, larger
// than all before, and a transaction that writes for a worker checks that its
// token is still the account's.
type Lease struct {
	// Holder names the worker; empty if there is none.
	Holder string `json:"holder,omitempty"`
	// Token is that of the latest lease, held or not.
	Token int64 `json:"token"`
	// Until is when it ends, by the clocks of the workers' machines, in UTC. Their
	// clocks should agree to within a fraction of a lease; where they don't, a
	// worker may lose its lease early, and nothing else happens.
	Until time.Time `json:"until,omitzero"`
}

// ErrLeaseLost is the error of work for an account that another worker has
// taken over. Nothing was written.
var ErrLeaseLost = errors.New("dispatch: the lease of the account was lost")

// free reports whether a worker may take the account at now.
func (l Lease) free(holder string, now time.Time) bool {
	return l.Holder == "" || l.Holder == holder || now.After(l.Until)
}

// check fails unless the account is still that of the worker with the token.
func (l Lease) check(holder string, token int64) error {
	if l.Holder != holder || l.Token != token {
		return ErrLeaseLost
	}
	return nil
}
