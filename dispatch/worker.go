package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// worker works on one account while it holds its lease.
type worker struct {
	d     *Dispatcher
	cfg   *AccountConfig
	name  string
	token int64

	// deadline is when the lease ends by the machine's own, monotonic clock.
	deadline atomic.Pointer[time.Time]
	// audited is the last entry of the audit trail that is known to be stored.
	audited atomic.Pointer[auditMark]

	wake     chan struct{} // told when there may be something to send
	resumed  chan struct{} // told when the account may read its mailbox again
	stop     chan struct{} // closed when the account is to be given up
	next     string        // who gets the account then, if anybody; set before
	ops      chan *operation
	lost     func(error)   // ends the work on the account at once
	sent     copies        // of messages that left, to be filed
	caughtUp chan struct{} // closed when the mailbox was read to its end once
}

func newWorker(d *Dispatcher, cfg *AccountConfig, token int64) *worker {
	return &worker{
		d:     d,
		cfg:   cfg,
		name:  AccountName(cfg.Address),
		token: token,
		wake:  make(chan struct{}, 1),
		stop:  make(chan struct{}),
		ops:   make(chan *operation, maxOperations),

		resumed:  make(chan struct{}, 1),
		caughtUp: make(chan struct{}),
	}
}

// wakeUp has sender and collector look into the store, if they rest or when they will.
func (w *worker) wakeUp() {
	for _, c := range []chan struct{}{w.wake, w.resumed} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// handTo ends the work on the account, after what is in hand, and leaves it to
// another worker. It is called once.
func (w *worker) handTo(next string) {
	w.next = next
	close(w.stop)
}

// stopping reports whether the account is being given up.
func (w *worker) stopping() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}

func (w *worker) log() *slog.Logger { return w.d.cfg.Logger }

// extended notes how long the lease was given for, counted from when it was
// asked for, so that this worker does not believe in it longer than others do: unless
// its machine sleeps, and that clock with it. Then the token keeps it from writing.
func (w *worker) extended(asked time.Time) {
	deadline := asked.Add(w.d.cfg.Lease)
	w.deadline.Store(&deadline)
}

// holds reports whether the lease can be relied on for a moment longer.
func (w *worker) holds() bool {
	return time.Until(*w.deadline.Load()) > w.d.cfg.Lease/10
}

// run works until ctx ends, the account is given up, or the lease is lost.
func (w *worker) run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-w.stop:
			stop()
		case <-ctx.Done():
		}
	}()
	// What is in hand when ctx ends is finished: it is written with a context of
	// its own, which ends when everything is done, or when the lease is lost.
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	var once sync.Once
	w.lost = func(err error) {
		once.Do(func() { w.log().Warn("lease lost", slog.Any("error", err)) })
		abandon()
		stop()
	}

	var committing, working sync.WaitGroup
	committing.Go(func() { w.commitLoop(work) })
	working.Go(func() {
		if err := w.renewLoop(ctx); errors.Is(err, ErrLeaseLost) {
			w.lost(err)
		}
		stop()
	})
	if w.cfg.Submitter != nil {
		working.Go(func() { w.sendLoop(ctx, work) })
	}
	if w.cfg.Mailbox != nil {
		working.Go(func() { w.collectLoop(ctx, work) })
	} else {
		close(w.caughtUp)
	}
	working.Wait()
	w.fileLast(work)
	close(w.ops)
	committing.Wait()
	w.release(work)
}

// update runs f in a transaction, if the account is still this worker's, and fails with
// ErrLeaseLost if it is not, or if the store has not all that is known to be stored. One
// that came back as it was earlier, because a replica took over that lacked the last
// transactions, knows of the lease, and not of all that has left: so the worker ends, and
// the next one begins with the mailbox.
func (w *worker) update(ctx context.Context, f func(*transaction) error) error {
	audited := *w.audited.Load() // now: what is stored meanwhile the transaction may not see
	return w.d.update(ctx, w.name, w.d.cfg.Worker, func(t *transaction) error {
		if err := t.account.Lease.check(w.d.cfg.Worker, w.token); err != nil {
			return err
		}
		switch has, err := t.has(audited); {
		case err != nil:
			return err
		case !has:
			return fmt.Errorf("%w: the store is as it was earlier", ErrLeaseLost)
		}
		return f(t)
	})
}

// renewLoop keeps the lease. It returns when ctx ends or the lease is lost.
func (w *worker) renewLoop(ctx context.Context) error {
	wait := betweenRenewals(w.d.cfg.Lease)
	for {
		if err := nap(ctx, wait); err != nil {
			return err
		}
		err := w.renew(ctx)
		switch {
		case err == nil:
			wait = betweenRenewals(w.d.cfg.Lease)
		case errors.Is(err, ErrLeaseLost):
			return err
		case time.Now().After(*w.deadline.Load()):
			return ErrLeaseLost // the store is out of reach: others may have it
		default:
			wait = w.d.cfg.Lease / 10
		}
	}
}

// betweenRenewals is when to renew a lease: with about half of it left, which is
// time for some more tries if one fails. Each renewal is a commit of its own, so
// those of many accounts are spread.
func betweenRenewals(lease time.Duration) time.Duration {
	return lease/2 - rand.N(lease/10+1)
}

func (w *worker) renew(ctx context.Context) error {
	asked := time.Now()
	err := w.update(ctx, func(t *transaction) error {
		t.account.Lease.renew(asked, w.d.cfg.Lease)
		return nil
	})
	if err == nil {
		w.extended(asked)
	}
	return err
}

// release gives the account back, or to whoever asked for it, so that nobody need
// wait for the lease to end.
func (w *worker) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.d.cfg.Lease)
	defer cancel()
	err := w.update(ctx, func(t *transaction) error {
		l := &t.account.Lease
		l.Holder, t.account.Wanted, t.account.WantedUntil = "", "", time.Time{}
		if w.stopping() {
			l.Holder = w.next
			l.renew(time.Now(), w.d.cfg.Lease)
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrLeaseLost) {
		w.log().Warn("giving an account back", slog.Any("error", err))
	}
}
