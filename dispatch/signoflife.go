package dispatch

import (
	"cmp"
	"time"
)

// signOfLife is what a worker writes into the record of an account time and again,
// each time another: that it has the account, or that it wants it.
type signOfLife struct {
	worker string
	token  int64 // of the lease, if it has the account
	until  int64 // in microseconds, which is what stores keep
}

// lastSign is the last sign of life that was seen of an account, and since when, by
// this machine's monotonic clock.
type lastSign struct {
	sign  signOfLife
	since time.Time
}

// lastSigns are those of all accounts, by their names.
type lastSigns map[string]lastSign

// silence returns for how long the sign that was just read has been the last one.
func (l lastSigns) silence(account string, sign signOfLife) time.Duration {
	now := time.Now()
	if last, ok := l[account]; ok && last.sign == sign {
		return now.Sub(last.since)
	}
	l[account] = lastSign{sign, now}
	return 0
}

// watched is what a dispatcher has seen of others. The times that they wrote down
// say nothing: the clock of a machine may be wrong by any amount.
type watched struct {
	leases, wants lastSigns
}

func newWatched() *watched {
	return &watched{leases: make(lastSigns), wants: make(lastSigns)}
}

// living returns the account as it is without those workers that fell silent. term
// is this dispatcher's own.
func (w *watched) living(a Account, term time.Duration) Account {
	has := signOfLife{a.Lease.Holder, a.Lease.Token, a.Lease.Until.UnixMicro()}
	if w.leases.silence(a.Name, has) >= cmp.Or(a.Lease.Term, term) {
		a.Lease.Holder = ""
	}
	wants := signOfLife{worker: a.Wanted, until: a.WantedUntil.UnixMicro()}
	if w.wants.silence(a.Name, wants) >= term {
		a.Wanted = ""
	}
	return a
}
