package sqlstore

import (
	"slices"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// Tries are numbered by their time. Most come in its order, and then one that comes
// is just the last.

// triesPage is how many tries are read at a time.
const triesPage = 64

// NthLastTry implements [dispatch.Tx]. Quotas are checked for each of the messages
// that share a transaction, and with each new try the n-th last is the next one, so
// a page is read.
func (t *tx) NthLastTry(n int) (time.Time, error) {
	if err := t.readAccount(); err != nil {
		return time.Time{}, err
	}
	nth := t.account.tries - int64(n) + 1
	if nth < 1 || n < 1 {
		return time.Time{}, dispatch.ErrNotFound
	}
	if _, ok := t.tries[nth]; !ok {
		if err := t.readTries(nth); err != nil {
			return time.Time{}, err
		}
	}
	return t.tries[nth], nil
}

// readTries reads a page of tries, the first of them with a number.
func (t *tx) readTries(first int64) error {
	page, err := readAll(t, "reading when something left", queryTries, []any{t.name, first, triesPage},
		func(at *instant) []any { return []any{at} })
	for i, at := range page {
		nth := first + int64(i)
		if _, ok := t.tries[nth]; !ok { // what is about to be written counts
			t.tries[nth] = at.Time
		}
	}
	return err
}

// addTry numbers a new try.
func (t *tx) addTry(at time.Time) error {
	last := t.account
	nth := last.tries + 1
	if at.Before(last.lastTry.Time) {
		later, err := t.triesAfter(at)
		if err != nil {
			return err
		}
		nth -= int64(len(later))
		for i, moved := range later {
			t.putTry(nth+int64(i)+1, moved)
		}
	}
	t.putTry(nth, at)
	last.tries++
	last.lastTry = instant{t.tries[last.tries]}
	last.changed = true
	return t.trim()
}

func (t *tx) putTry(nth int64, at time.Time) {
	t.tries[nth] = at
	t.rows[upsertTries].put(nth, []any{nth, instant{at}})
}

// triesAfter returns the tries that happened later, in their order: the clock was
// set back, or those of two machines differ.
func (t *tx) triesAfter(at time.Time) ([]time.Time, error) {
	var later []time.Time
	for nth := t.account.tries; nth > 0; nth-- {
		if _, ok := t.tries[nth]; !ok {
			if err := t.readTries(max(nth-triesPage+1, 1)); err != nil {
				return nil, err
			}
		}
		if !t.tries[nth].After(at) {
			break
		}
		later = append(later, t.tries[nth])
	}
	slices.Reverse(later)
	return later, nil
}
