package dispatch

import (
	"context"
	"math/rand/v2"
	"time"
)

// nap waits; it returns early, with an error, if ctx ends.
func nap(ctx context.Context, d time.Duration) error {
	_, err := napUnless(ctx, d, nil)
	return err
}

// napUnless waits too; it returns early, and true, if wake is told.
func napUnless(ctx context.Context, d time.Duration, wake <-chan struct{}) (woken bool, err error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false, nil
	case <-wake:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// maxNap is the longest wait without looking at the clock: the dispatcher's clock
// may run faster than the machine's, and may be set.
const maxNap = time.Second

// longNap is for how long whoever is to be woken rests at most: should the call ever
// be missed, nothing waits for ever.
const longNap = time.Hour

// napUntil waits until the dispatcher's clock shows t.
func (d *Dispatcher) napUntil(ctx context.Context, t time.Time) error {
	for {
		left := t.Sub(d.now())
		if left <= 0 {
			return nil
		}
		if err := nap(ctx, min(left, maxNap)); err != nil {
			return err
		}
	}
}

// jitter spreads what would otherwise happen at once.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1)
}

// backoff is how long to wait after the n-th failure in a row, from 1.
func backoff(n int, first, most time.Duration) time.Duration {
	return jitter(min(first<<min(n-1, 20), most))
}

// Waits after a temporary refusal of a message.
const (
	firstRetry = time.Minute
	lastRetry  = time.Hour
)

// dueAgain says when a send that is still to leave may leave. before is its
// progress up to the fact.
func dueAgain(now time.Time, f Fact, before Progress) time.Time {
	switch {
	case f.Kind == FactOutcome && f.Outcome == OutcomeTemporary:
		return now.Add(backoff(f.Try, firstRetry, lastRetry))
	case f.Kind == FactOutcome || f.Kind == FactAttempt:
		return now
	}
	return before.Due
}
