package dispatch

import (
	"context"
	"log/slog"
	"time"
)

// Pace of the watch: a round of all accounts each second, or, with many, as many of
// them in a second as one query of package sqlstore gives.
const (
	watchRound      = time.Second
	watchedInSecond = 500
)

// watch wakes the workers of accounts to which something happened. What this
// dispatcher does wakes them at once ([Dispatcher.wake]); this is for what others
// do, in any process. All that can make a message due ends with an entry of the
// account's audit trail, and the number of the last one is in its record.
func (d *Dispatcher) watch(ctx context.Context) {
	seen := make(map[string]int64)
	for round := watchRound; nap(ctx, min(round, d.cfg.Lease/3)) == nil; {
		accounts, err := d.wakeChanged(ctx, seen)
		round = max(watchRound, time.Duration(accounts)*time.Second/watchedInSecond)
		if err != nil && ctx.Err() == nil {
			d.cfg.Logger.Warn("looking for what others did", slog.Any("error", err))
			round = d.cfg.Lease
		}
	}
}

// wakeChanged goes through the accounts once and wakes the workers of those whose
// audit trail is not as long as it was seen last. It returns how many there are in
// the store, whosever they are.
func (d *Dispatcher) wakeChanged(ctx context.Context, seen map[string]int64) (accounts int, err error) {
	if !d.works() {
		return 0, nil
	}
	for a, err := range d.cfg.Store.Accounts(ctx) {
		if err != nil {
			return accounts, err
		}
		accounts++
		if w := d.worker(a.Name); w != nil && seen[a.Name] != a.AuditSeq {
			seen[a.Name] = a.AuditSeq
			w.wakeUp()
		}
	}
	return accounts, nil
}

// works reports whether this dispatcher works on any account.
func (d *Dispatcher) works() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.workers) > 0
}
