package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// Dispatcher prepares batches, sends them once they are signed off, and follows
// each message to its receipt. Its methods may be called by many goroutines, and
// several dispatchers may share one store.
type Dispatcher struct {
	cfg Config

	mu      sync.Mutex
	workers map[string]*worker // :: account → who works on it here
}

// New returns a Dispatcher. It starts nothing; see [Dispatcher.Run].
func New(cfg Config) (*Dispatcher, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Dispatcher{cfg: cfg.withDefaults(), workers: make(map[string]*worker)}, nil
}

func (d *Dispatcher) now() time.Time { return d.cfg.Now().UTC() }

// actorKey is the key of a context's actor.
type actorKey struct{}

// WithActor says in whose name a call is made. Calls that decide something need
// it: it goes into the audit trail.
func WithActor(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, actorKey{}, name)
}

// ErrNoActor is the error of a call that decides something in nobody's name.
var ErrNoActor = errors.New("dispatch: no actor: see WithActor")

func actorOf(ctx context.Context) (string, error) {
	name, _ := ctx.Value(actorKey{}).(string)
	if name == "" {
		return "", ErrNoActor
	}
	return name, nil
}

// Run sends what is due and reads the mailboxes of all accounts, until ctx ends.
// Then it finishes the messages in hand, gives the accounts back and returns
// nil. It returns an error only if it can't go on at all.
//
// Of the accounts that several dispatchers are configured with, each is worked on
// by one at a time, and taken over when that one stops or falls silent.
func (d *Dispatcher) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		for i := range d.cfg.Accounts {
			d.take(ctx, &d.cfg.Accounts[i], &running)
		}
		if nap(ctx, d.cfg.Lease/3) != nil {
			return nil
		}
	}
}

// take begins to work on an account, if no other worker does.
func (d *Dispatcher) take(ctx context.Context, a *AccountConfig, running *sync.WaitGroup) {
	name := AccountName(a.Address)
	if d.worker(name) != nil {
		return
	}
	w, err := d.lease(ctx, a)
	if err != nil {
		if !errors.Is(err, ErrLeaseLost) && ctx.Err() == nil {
			d.cfg.Logger.Warn("taking an account", slog.Any("error", err))
		}
		return
	}
	d.mu.Lock()
	d.workers[name] = w
	d.mu.Unlock()
	running.Go(func() {
		defer func() {
			d.mu.Lock()
			delete(d.workers, name)
			d.mu.Unlock()
		}()
		w.run(ctx)
	})
}

// worker returns who works on an account here, or nil.
func (d *Dispatcher) worker(account string) *worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.workers[account]
}

// lease takes the lease of an account. It fails with ErrLeaseLost if another
// worker has it.
func (d *Dispatcher) lease(ctx context.Context, a *AccountConfig) (*worker, error) {
	name := AccountName(a.Address)
	var token int64
	asked := time.Now()
	err := d.update(ctx, name, d.cfg.Worker, func(t *transaction) error {
		l := &t.account.Lease
		if !l.free(d.cfg.Worker, asked) {
			return ErrLeaseLost
		}
		*l = Lease{Holder: d.cfg.Worker, Token: l.Token + 1, Until: asked.Add(d.cfg.Lease).UTC()}
		token = l.Token
		t.events = append(t.events, Event{Kind: EventLease, At: t.now, Detail: "taken by " + d.cfg.Worker})
		return t.audit("lease", SendID{}, fmt.Sprintf("token %d", l.Token))
	})
	if err != nil {
		return nil, err
	}
	w := newWorker(d, a, token)
	w.extended(asked)
	return w, nil
}

// wake tells whoever works on an account that there is something to do.
func (d *Dispatcher) wake(account string) {
	if w := d.worker(account); w != nil {
		w.wakeUp()
	}
}

// Account returns the record of an account: who works on it, and what keeps it
// from sending.
func (d *Dispatcher) Account(ctx context.Context, account pec.Address) (Account, error) {
	var a Account
	err := d.cfg.Store.View(ctx, AccountName(account), func(tx Tx) (err error) {
		a, err = tx.Account()
		return err
	})
	return a, err
}

// ResumeAccount lets an account go on that was suspended or paused.
func (d *Dispatcher) ResumeAccount(ctx context.Context, account pec.Address) error {
	actor, err := actorOf(ctx)
	if err != nil {
		return err
	}
	name := AccountName(account)
	err = d.update(ctx, name, actor, func(t *transaction) error {
		t.account.Suspended, t.account.PausedUntil, t.account.PauseReason = "", time.Time{}, ""
		return t.audit("resume-account", SendID{}, "")
	})
	d.wake(name)
	return err
}

// Rescan reads the account's mailbox anew from its beginning, for instance after
// an old copy of the store was put back. What is known already changes nothing.
func (d *Dispatcher) Rescan(ctx context.Context, account pec.Address) error {
	actor, err := actorOf(ctx)
	if err != nil {
		return err
	}
	name := AccountName(account)
	err = d.update(ctx, name, actor, func(t *transaction) error {
		t.account.Cursors = nil
		return t.audit("rescan", SendID{}, "")
	})
	d.wake(name)
	return err
}
