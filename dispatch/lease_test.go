package dispatch_test

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

// skewed is a store as a machine sees it whose clock is ahead by so much: what is
// kept by its clock is by the right one in the store beneath.
type skewed struct {
	dispatch.Store
	ahead time.Duration
}

// withClock gives a dispatcher a clock that is ahead by so much, or behind, for all
// that it does.
func withClock(cfg dispatch.Config, ahead time.Duration) dispatch.Config {
	cfg.Store = skewed{cfg.Store, ahead}
	cfg.Now = func() time.Time { return time.Now().Add(ahead) }
	return cfg
}

func shift(a dispatch.Account, by time.Duration) dispatch.Account {
	for _, t := range []*time.Time{&a.Lease.Until, &a.WantedUntil} {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
	return a
}

// Update implements [dispatch.Store].
func (s skewed) Update(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	return s.Store.Update(ctx, account, func(tx dispatch.Tx) error { return f(skewedTx{tx, s.ahead}) })
}

// View implements [dispatch.Store].
func (s skewed) View(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	return s.Store.View(ctx, account, func(tx dispatch.Tx) error { return f(skewedTx{tx, s.ahead}) })
}

// Accounts implements [dispatch.Store].
func (s skewed) Accounts(ctx context.Context) iter.Seq2[dispatch.Account, error] {
	return func(yield func(dispatch.Account, error) bool) {
		for a, err := range s.Store.Accounts(ctx) {
			if !yield(shift(a, -s.ahead), err) {
				return
			}
		}
	}
}

type skewedTx struct {
	dispatch.Tx
	ahead time.Duration
}

// Account implements [dispatch.Tx].
func (t skewedTx) Account() (dispatch.Account, error) {
	a, err := t.Tx.Account()
	return shift(a, -t.ahead), err
}

// PutAccount implements [dispatch.Tx].
func (t skewedTx) PutAccount(a dispatch.Account) error { return t.Tx.PutAccount(shift(a, t.ahead)) }

// ahead are how far one clock is ahead of the others, in the tests of clocks that are
// apart: three leases, in both directions.
var ahead = []time.Duration{90 * time.Second, -90 * time.Second}

// TestClocksApart has two dispatchers share two accounts whose clocks are three leases
// apart. They must get on as if they were not: each has one, nobody takes one from
// the other while it works, and if it falls silent, in the time that is promised.
func TestClocksApart(t *testing.T) {
	for _, ahead := range ahead {
		t.Run(ahead.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				const n = 200
				store, b := newStore(), newBox(t)
				var taken atomic.Int64
				cfg := config(b, store)
				cfg.Accounts[0].Profile.PerMinute = 10
				cfg.Accounts = append(cfg.Accounts, dispatch.AccountConfig{Address: pec.MustParseAddress("altro@pec.alfa.example")})
				cfg.Observe = func(e dispatch.Event) {
					if e.Kind == dispatch.EventLease {
						taken.Add(1)
					}
				}
				right, wrong := silence(store), silence(store)
				// takings are those since it was called last.
				expect := func(when string, after time.Duration, want map[string]int, takings int64) {
					t.Helper()
					time.Sleep(after)
					got := make(map[string]int)
					for a, err := range store.Accounts(t.Context()) {
						if err != nil {
							t.Fatal(err)
						}
						got[a.Lease.Holder]++
					}
					if n := taken.Swap(0); fmt.Sprint(got) != fmt.Sprint(want) || n != takings {
						t.Errorf("%s: %v, %d leases taken; want %v, %d", when, got, n, want, takings)
					}
				}
				const lease = 30 * time.Second
				shared := map[string]int{"right": 1, "wrong": 1}

				cfg.Store, cfg.Worker = right, "right"
				d := newDispatcher(t, cfg)
				approve(t, d, ready(t, store, "b", n))
				defer start(t, d)()
				expect("alone", time.Second, map[string]int{"right": 2}, 2)
				cfg.Store, cfg.Worker = wrong, "wrong"
				defer start(t, newDispatcher(t, withClock(cfg, ahead)))()
				expect("a second one joined", 2*lease, shared, 1)
				expect("both work", 10*lease, shared, 0)

				right.still.Store(true)
				expect("the first one fell silent", lease+lease/3+time.Second, map[string]int{"wrong": 2}, 1)
				right.still.Store(false)
				expect("and came back", 2*lease, shared, 1)
				expect("both work again", 10*lease, shared, 0)

				wrong.still.Store(true)
				expect("the second one fell silent", lease+lease/3+time.Second, map[string]int{"right": 2}, 1)
				wrong.still.Store(false)
				expect("and came back", 2*lease, shared, 1)
				expect("until all is sent", time.Hour, shared, 0)
				b.checkOnce(t)
				checkAudit(t, store)
				checkCounts(t, d, "b", counts{dispatch.Delivered: n})
			})
		})
	}
}
