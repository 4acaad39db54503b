package dispatch

import (
	"context"
	"errors"
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
// an old copy of the store was put back. What is known already changes nothing. It
// begins when the mailbox is looked into next: see [Config.Poll].
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
