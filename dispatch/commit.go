package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// operation is one change to the store on behalf of the worker.
type operation struct {
	// do changes something, or refuses to: a refusal is returned before anything
	// was put, and concerns this operation alone.
	do func(*transaction) error
	// done is told how it went.
	done chan error
	// patient: nobody waits for it, so it need not be committed at once.
	patient bool
}

// refusal is an error that concerns one operation, not the transaction.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// A durable commit costs the same for one change as for many.
const (
	// maxOperations is how many changes one transaction takes.
	maxOperations = 64
	// maxPatience is how long a change waits for others at most, if nobody waits for it.
	maxPatience = 5 * time.Millisecond
)

// do has an operation committed, together with others that wait. When it returns
// nil, the change is durable.
func (w *worker) do(ctx context.Context, f func(*transaction) error) error {
	return <-w.hand(ctx, f)
}

// hand hands an operation in to be committed; what it returns tells how that went.
// Operations are committed in the order in which they were handed in.
func (w *worker) hand(ctx context.Context, f func(*transaction) error) <-chan error {
	return w.give(ctx, &operation{do: f, done: make(chan error, 1)})
}

// leave hands in an operation that nobody waits for: it is committed with the next one
// that somebody waits for, or after a short while.
func (w *worker) leave(ctx context.Context, f func(*transaction) error) <-chan error {
	return w.give(ctx, &operation{do: f, done: make(chan error, 1), patient: true})
}

func (w *worker) give(ctx context.Context, op *operation) <-chan error {
	select {
	case w.ops <- op:
	case <-ctx.Done():
		op.done <- ctx.Err()
	}
	return op.done
}

func (w *worker) commitLoop(ctx context.Context) {
	patience := time.NewTimer(maxPatience)
	defer patience.Stop()
	for op := range w.ops {
		patience.Reset(maxPatience)
		w.commit(ctx, w.gather(op, patience.C))
	}
}

// gather returns an operation and those that wait behind it. It waits for more while
// nobody waits for any of these, until their patience ends.
func (w *worker) gather(op *operation, patience <-chan time.Time) []*operation {
	batch := []*operation{op}
	hurry := !op.patient
	for len(batch) < maxOperations {
		more, ok := w.poll()
		if !ok && !hurry {
			select {
			case more, ok = <-w.ops:
			case <-patience:
			}
		}
		if !ok {
			break
		}
		batch = append(batch, more)
		hurry = hurry || !more.patient
	}
	return batch
}

func (w *worker) poll() (*operation, bool) {
	select {
	case op, ok := <-w.ops:
		return op, ok
	default:
		return nil, false
	}
}

// Waits while the store fails.
const (
	storeTries     = 8
	firstStoreWait = 20 * time.Millisecond
	lastStoreWait  = 2 * time.Second
)

// commit runs operations in one transaction. If that fails, it may be for the
// sake of one of them, so they are run one by one.
func (w *worker) commit(ctx context.Context, batch []*operation) {
	results, err := w.commitTogether(ctx, batch)
	if err == nil {
		for i, op := range batch {
			op.done <- results[i]
		}
		return
	}
	for _, op := range batch {
		op.done <- w.commitAlone(ctx, op, err)
	}
}

// commitTogether returns what became of each operation, or why the transaction
// failed.
func (w *worker) commitTogether(ctx context.Context, batch []*operation) ([]error, error) {
	results := make([]error, len(batch))
	var audited auditMark
	err := w.update(ctx, func(t *transaction) error {
		for i, op := range batch {
			results[i] = op.do(t)
			var refused refusal
			if results[i] != nil && !errors.As(results[i], &refused) {
				return results[i]
			}
		}
		audited = t.mark()
		return nil
	})
	switch {
	case err == nil:
		w.audited.Store(&audited)
	case errors.Is(err, ErrLeaseLost):
		w.lost(err)
	}
	return results, err
}

// commitAlone runs one operation that failed with others. When a store fails it
// is not known whether it kept what it was given; every operation may be run
// again without harm, so it is, for a while.
func (w *worker) commitAlone(ctx context.Context, op *operation, err error) error {
	for n := 1; n <= storeTries; n++ {
		if errors.Is(err, ErrLeaseLost) || ctx.Err() != nil {
			return err
		}
		w.log().Error("writing to the store", slog.Any("error", err), slog.Int("failures", n))
		if nap(ctx, backoff(n, firstStoreWait, lastStoreWait)) != nil {
			return err
		}
		var results []error
		if results, err = w.commitTogether(ctx, []*operation{op}); err == nil {
			return results[0]
		}
	}
	return err
}
