package dispatch_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
)

// counting is a store that counts what it is asked.
type counting struct {
	dispatch.Store
	views, updates, rounds atomic.Int64
}

func (s *counting) View(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	s.views.Add(1)
	return s.Store.View(ctx, account, f)
}

func (s *counting) Update(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	s.updates.Add(1)
	return s.Store.Update(ctx, account, f)
}

func (s *counting) Accounts(ctx context.Context) iter.Seq2[dispatch.Account, error] {
	s.rounds.Add(1)
	return s.Store.Accounts(ctx)
}

func (s *counting) reset() {
	s.views.Store(0)
	s.updates.Store(0)
	s.rounds.Store(0)
}

// by is a context in which somebody acts.
func by(t *testing.T) context.Context { return dispatch.WithActor(t.Context(), "bruno") }

// onlyFrom is a policy that lets nothing leave but what one sign-off allows at the
// very beginning, and from opening on.
func onlyFrom(opening time.Time) dispatch.ApprovalPolicy {
	return func(b dispatch.Batch, now time.Time) error {
		if now.After(epoch) && now.Before(opening) {
			return fmt.Errorf("%w: not yet", dispatch.ErrNotApproved)
		}
		return dispatch.SingleApproval(b, now)
	}
}

// refuseLogins has the provider refuse logins until the flag is set.
func refuseLogins(b *box, good *atomic.Bool) {
	b.login = func() error {
		if good.Load() {
			return nil
		}
		return fmt.Errorf("535 5.7.8: %w", dispatch.ErrAuth)
	}
}

// TestIdleCosts counts what the store is asked about an account that has nothing to
// send. Each case leaves something behind that may not leave.
func TestIdleCosts(t *testing.T) {
	tests := []struct {
		name    string
		mailbox bool
		views   int64 // in an hour
		setup   func(t *testing.T, d *dispatch.Dispatcher, b *box, batch dispatch.Batch) error
	}{
		{"waits for sign-off", false, 0, nil},
		{"reads its mailbox each 30 seconds", true, 121, nil}, // once for what could not be fetched
		{"paused", false, 0, func(t *testing.T, d *dispatch.Dispatcher, _ *box, batch dispatch.Batch) error {
			approve(t, d, batch)
			return d.Pause(by(t), account, "b")
		}},
		{"sign-off expired", false, 0, func(t *testing.T, d *dispatch.Dispatcher, _ *box, batch dispatch.Batch) error {
			defer time.Sleep(2 * time.Second)
			return d.Approve(by(t), account, "b", batch.Digest, time.Second)
		}},
		{"all sent", false, 0, func(t *testing.T, d *dispatch.Dispatcher, _ *box, batch dispatch.Batch) error {
			approve(t, d, batch)
			return nil
		}},
		{"suspended", true, 0, func(t *testing.T, d *dispatch.Dispatcher, b *box, batch dispatch.Batch) error {
			refuseLogins(b, new(atomic.Bool))
			approve(t, d, batch)
			return nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, b := &counting{Store: newStore()}, newBox(t)
				cfg := config(b, store)
				if !tt.mailbox {
					cfg.Accounts[0].Mailbox = nil
				}
				d := newDispatcher(t, cfg)
				batch := ready(t, store, "b", 2)
				if tt.setup != nil {
					if err := tt.setup(t, d, b, batch); err != nil {
						t.Fatal(err)
					}
				}
				defer start(t, d)()
				time.Sleep(time.Minute)
				store.reset()
				time.Sleep(time.Hour)
				views, updates, rounds := store.views.Load(), store.updates.Load(), store.rounds.Load()
				if most := tt.views + 2; views > most { // sender and mailbox look once an hour whatever happens
					t.Errorf("%d views in an hour, want %d at most", views, most)
				}
				// Leases of 30 seconds are renewed each 12 to 15 seconds.
				if updates < 3600/15-1 || updates > 3600/12 {
					t.Errorf("%d updates in an hour, want those that renew the lease", updates)
				}
				// All accounts at once: each second for changes, each 10 seconds to share.
				if rounds > 3600+360+2 {
					t.Errorf("all accounts were looked at %d times in an hour", rounds)
				}
			})
		})
	}
}

// TestOthersAreNoticed has a dispatcher decide something about an account that
// another one, with nothing to do for more than an hour, works on.
func TestOthersAreNoticed(t *testing.T) {
	// before leaves the message where it can't leave; mended is set before act lets it.
	tests := []struct {
		name   string
		before func(t *testing.T, d *dispatch.Dispatcher, b *box, batch dispatch.Batch, mended *atomic.Bool)
		act    func(ctx context.Context, d *dispatch.Dispatcher, batch dispatch.Batch) error
	}{
		{"approve", nil, func(ctx context.Context, d *dispatch.Dispatcher, batch dispatch.Batch) error {
			return d.Approve(ctx, account, "b", batch.Digest, 0)
		}},
		{"resume a batch", func(t *testing.T, d *dispatch.Dispatcher, _ *box, batch dispatch.Batch, _ *atomic.Bool) {
			if err := d.Pause(by(t), account, "b"); err != nil {
				t.Error(err)
			}
			approve(t, d, batch)
		}, func(ctx context.Context, d *dispatch.Dispatcher, _ dispatch.Batch) error {
			return d.Resume(ctx, account, "b")
		}},
		{"resume an account", func(t *testing.T, d *dispatch.Dispatcher, b *box, batch dispatch.Batch, mended *atomic.Bool) {
			refuseLogins(b, mended)
			approve(t, d, batch)
		}, func(ctx context.Context, d *dispatch.Dispatcher, _ dispatch.Batch) error {
			return d.ResumeAccount(ctx, account)
		}},
		{"send again", func(t *testing.T, d *dispatch.Dispatcher, b *box, batch dispatch.Batch, mended *atomic.Bool) {
			b.submit = func(string) (p plan) {
				if !mended.Load() {
					p.after = &dispatch.Result{Outcome: dispatch.OutcomePermanent, Code: 554, Reply: "5.6.0 never"}
				}
				return p
			}
			approve(t, d, batch)
		}, func(ctx context.Context, d *dispatch.Dispatcher, _ dispatch.Batch) error {
			return d.Resend(ctx, account, dispatch.SendID{Batch: "b", Row: 1}, "the form was mended")
		}},
	}
	// Whoever works on the account notices its own decisions at once.
	for who, within := range map[string]time.Duration{"another dispatcher": time.Second, "the same dispatcher": 0} {
		for _, tt := range tests {
			t.Run(who+"/"+tt.name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					store, b := newStore(), newBox(t)
					worker := newDispatcher(t, config(b, store))
					decider := worker
					if within > 0 {
						decider = newDispatcher(t, dispatch.Config{Store: store})
					}
					batch := ready(t, store, "b", 1)
					var mended atomic.Bool
					if tt.before != nil {
						tt.before(t, decider, b, batch, &mended)
					}
					defer start(t, worker)()
					time.Sleep(80*time.Minute + 300*time.Millisecond)
					if b.sent() != 0 {
						t.Fatalf("%d messages left before anybody decided", b.sent())
					}
					mended.Store(true)
					acted := time.Now()
					if err := tt.act(by(t), decider, batch); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
					if b.sent() != 1 {
						t.Fatalf("%d messages left, want 1", b.sent())
					}
					if late := b.lastAccepted().at.Sub(acted); late > within {
						t.Errorf("it left %v after the decision, want %v at most", late, within)
					}
					checkCounts(t, worker, "b", counts{dispatch.Delivered: 1}) // so the mailbox is read, too
				})
			})
		}
	}
}

// TestManyAccounts has so many accounts in the store that they are not all looked
// at each second.
func TestManyAccounts(t *testing.T) {
	tests := []struct {
		accounts int
		round    time.Duration
	}{
		{1_000, 2 * time.Second},
		{7_500, 10 * time.Second}, // a third of the lease
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.accounts), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, b := &counting{Store: newStore()}, newBox(t)
				for i := range tt.accounts - 1 {
					name := fmt.Sprintf("a%d@pec.alfa.example", i)
					err := store.Update(t.Context(), name, func(tx dispatch.Tx) error {
						return tx.PutAccount(dispatch.Account{Name: name})
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				defer start(t, newDispatcher(t, config(b, store)))()
				batch := ready(t, store, "b", 1)
				time.Sleep(time.Minute)
				store.reset()
				time.Sleep(3 * time.Minute)
				want := int64(3*time.Minute/tt.round + 3*time.Minute/(10*time.Second))
				if rounds := store.rounds.Load(); rounds < want-2 || rounds > want+2 {
					t.Errorf("all accounts were looked at %d times in three minutes, want %d", rounds, want)
				}
				acted := time.Now()
				approve(t, newDispatcher(t, dispatch.Config{Store: store}), batch)
				time.Sleep(time.Minute)
				if b.sent() != 1 {
					t.Fatalf("%d messages left, want 1", b.sent())
				}
				if late := b.lastAccepted().at.Sub(acted); late > tt.round {
					t.Errorf("it left %v after the decision, want %v at most", late, tt.round)
				}
			})
		})
	}
}

// TestDueLater has something be due at an instant in the future: it leaves then, and
// the store is not asked before. If the clock is set past that instant, it leaves
// within a second.
func TestDueLater(t *testing.T) {
	throttled := &dispatch.Result{Outcome: dispatch.OutcomeTemporary, Code: 451, Reply: "4.3.0 later"}
	tests := []struct {
		name  string
		setup func(t *testing.T, cfg *dispatch.Config, b *box) (created time.Time)
		// due returns when the first message is to leave.
		due func(t *testing.T, d *dispatch.Dispatcher) time.Time
	}{
		{"90 seconds from now", func(*testing.T, *dispatch.Config, *box) time.Time {
			return epoch.Add(90 * time.Second)
		}, func(*testing.T, *dispatch.Dispatcher) time.Time { return epoch.Add(90 * time.Second) }},
		{"refused for now", func(_ *testing.T, _ *dispatch.Config, b *box) time.Time {
			var once sync.Once
			b.submit = func(string) (p plan) {
				once.Do(func() { p.before = throttled })
				return p
			}
			return epoch
		}, func(t *testing.T, d *dispatch.Dispatcher) time.Time {
			s, err := d.Status(t.Context(), account, dispatch.SendID{Batch: "b", Row: 1})
			if err != nil {
				t.Fatal(err)
			}
			return s.Due
		}},
		{"the account is paused", func(t *testing.T, cfg *dispatch.Config, _ *box) time.Time {
			name := dispatch.AccountName(account)
			err := cfg.Store.Update(t.Context(), name, func(tx dispatch.Tx) error {
				return tx.PutAccount(dispatch.Account{Name: name, PausedUntil: epoch.Add(90 * time.Second)})
			})
			if err != nil {
				t.Fatal(err)
			}
			return epoch
		}, func(*testing.T, *dispatch.Dispatcher) time.Time { return epoch.Add(90 * time.Second) }},
		{"the policy opens", func(_ *testing.T, cfg *dispatch.Config, _ *box) time.Time {
			cfg.Policy = onlyFrom(epoch.Add(90 * time.Second))
			return epoch
		}, func(*testing.T, *dispatch.Dispatcher) time.Time { return epoch.Add(90 * time.Second) }},
	}
	for _, tt := range tests {
		for _, jump := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprintf("%s, clock set by %v", tt.name, jump), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					store, b := &counting{Store: newStore()}, newBox(t)
					b.answer = func(accepting) []pectest.Message { return nil }
					cfg := config(b, store)
					cfg.Accounts[0].Mailbox = nil
					var ahead atomic.Int64
					cfg.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
					created := tt.setup(t, &cfg, b)
					d := newDispatcher(t, cfg)
					approve(t, d, readyAt(t, store, "b", 1, created))
					time.Sleep(time.Second)
					defer start(t, d)()
					time.Sleep(10*time.Second + 300*time.Millisecond)
					due := tt.due(t, d)
					store.reset()
					if jump > 0 {
						due = time.Now()
						ahead.Store(int64(jump))
					}
					time.Sleep(time.Until(due) - time.Nanosecond)
					if b.sent() != 0 {
						t.Fatal("it left before it was due")
					}
					if views := store.views.Load(); views > 0 {
						t.Errorf("%d views while nothing was due", views)
					}
					time.Sleep(time.Minute)
					if b.sent() != 1 {
						t.Fatalf("%d messages left, want 1", b.sent())
					}
					if late := b.lastAccepted().at.Sub(due); late > time.Second {
						t.Errorf("it left %v after it was due", late)
					}
				})
			})
		}
	}
}

// TestComesBack has the only message come back, after a while, from a connection that
// broke. Nothing of that is stored, and another connection takes it.
func TestComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		var once sync.Once
		var broke time.Time
		b.submit = func(string) (p plan) {
			once.Do(func() {
				time.Sleep(10 * time.Second)
				broke = time.Now()
				p.before = &dispatch.Result{Outcome: dispatch.OutcomeNotSent, Err: io.ErrUnexpectedEOF, Broken: true}
			})
			return p
		}
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 1))
		defer start(t, d)()
		time.Sleep(time.Minute)
		if b.sent() != 1 {
			t.Fatalf("%d messages left, want 1", b.sent())
		}
		if late := b.lastAccepted().at.Sub(broke); late > time.Second {
			t.Errorf("it left %v after it came back", late)
		}
	})
}

// TestSignedOffBeforeHours has a batch signed off at an hour at which the policy lets
// nothing leave, and by one person after another. It leaves by itself when it may.
func TestSignedOffBeforeHours(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		opening := epoch.Add(10 * time.Hour)
		store, b := newStore(), newBox(t)
		cfg := config(b, store)
		cfg.Policy = func(b dispatch.Batch, now time.Time) error {
			if now.Before(opening) {
				return fmt.Errorf("%w: not in office hours", dispatch.ErrNotApproved)
			}
			return dispatch.FourEyes(b, now)
		}
		d := newDispatcher(t, cfg)
		ofOne, ofTwo, unsigned := ready(t, store, "one", 3), ready(t, store, "two", 3), ready(t, store, "unsigned", 3)
		defer start(t, d)()
		anna := dispatch.WithActor(t.Context(), ofOne.Creator)
		for _, batch := range []dispatch.Batch{ofOne, ofTwo} {
			if err := d.Approve(anna, account, batch.Name, batch.Digest, 0); err != nil {
				t.Fatal(err)
			}
		}
		approve(t, d, ofTwo)
		time.Sleep(9 * time.Hour)
		if n := b.sent(); n != 0 {
			t.Errorf("%d messages left before office hours", n)
		}
		time.Sleep(2 * time.Hour)
		checkCounts(t, d, "two", counts{dispatch.Delivered: 3})
		checkCounts(t, d, "one", counts{dispatch.Prepared: 3})
		checkCounts(t, d, "unsigned", counts{dispatch.Prepared: 3})
		for name, want := range map[string]dispatch.BatchPhase{"two": dispatch.PhaseApproved, "one": dispatch.PhaseReady, unsigned.Name: dispatch.PhaseReady} {
			if batch, err := d.Batch(t.Context(), account, name); err != nil || batch.Phase != want {
				t.Errorf("batch %s is %s, %v; want %s", name, batch.Phase, err, want)
			}
		}
		approve(t, d, ofOne)
		time.Sleep(time.Minute)
		checkCounts(t, d, "one", counts{dispatch.Delivered: 3})
	})
}

// TestClockSetBack has the clock go back by hours while a connection that failed is
// about to be tried again.
func TestClockSetBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		var back atomic.Int64
		cfg := config(b, store)
		cfg.Accounts[0].Mailbox = nil
		cfg.Now = func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
		var down atomic.Bool
		down.Store(true)
		b.login = func() error {
			if down.Load() {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		time.Sleep(24 * time.Hour)
		d := newDispatcher(t, cfg)
		approve(t, d, readyAt(t, store, "b", 1, epoch))
		defer start(t, d)()
		time.Sleep(10 * time.Second)
		back.Store(int64(6 * time.Hour))
		down.Store(false)
		time.Sleep(30 * time.Minute)
		if b.sent() != 1 {
			t.Errorf("%d messages left within half an hour, want 1", b.sent())
		}
	})
}

// TestObserveActs has the observer call the dispatcher, as somebody's program may.
func TestObserveActs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		cfg := config(b, store)
		var d *dispatch.Dispatcher
		var acts atomic.Int64
		cfg.Observe = func(e dispatch.Event) {
			for _, act := range []func(context.Context, pec.Address, string) error{d.Pause, d.Resume} {
				if err := act(by(t), account, "b"); err != nil {
					t.Error(err)
				}
			}
			if err := d.ResumeAccount(by(t), account); err != nil {
				t.Error(err)
			}
			acts.Add(1)
		}
		b.fetched = failTimes(1)
		d = newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", 20))
		defer start(t, d)()
		time.Sleep(time.Hour)
		checkCounts(t, d, "b", counts{dispatch.Delivered: 20})
		if acts.Load() == 0 {
			t.Error("nothing was observed")
		}
	})
}
