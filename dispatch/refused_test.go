package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/storetest"
)

// TestRefusedLogin counts logins after the provider refused the password. Each one
// more may have it lock the account, so there is none, whatever the store does, until
// a person acts.
func TestRefusedLogin(t *testing.T) {
	tests := []struct {
		name                   string
		sends, reads           bool
		writesFail, readsFails time.Duration // from the first refusal on
		most                   int32
	}{
		{"of a sender with many messages", true, false, 0, 0, 1},
		{"of a reader", false, true, 0, 0, 1},
		{"of a sender, and it can't be stored", true, false, time.Hour, 0, 1},
		{"of a reader, and it can't be stored", false, true, time.Hour, 0, 1},
		{"of a sender, and the store can't be read", true, false, 0, time.Hour, 1},
		{"of a reader, and the store can't be read", false, true, 0, time.Hour, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var refused atomic.Pointer[time.Time]
				fails := func(d time.Duration) bool {
					since := refused.Load()
					return since != nil && time.Since(*since) < d
				}
				store := &blind{
					Store: &storetest.Faulty{Store: newStore(), Fault: func(string) storetest.Fault {
						if fails(tt.writesFail) {
							return storetest.NotKept
						}
						return storetest.NoFault
					}},
					isBlind: func() bool { return fails(tt.readsFails) },
				}
				b := newBox(t)
				var logins atomic.Int32
				b.login = func() error {
					logins.Add(1)
					now := time.Now()
					refused.CompareAndSwap(nil, &now)
					return fmt.Errorf("535 5.7.8: %w", dispatch.ErrAuth)
				}
				cfg := config(b, store)
				// The lease outlasts the failure: whoever takes an account over, and was
				// never told, has to try.
				cfg.Lease = 4 * time.Hour
				cfg.Accounts[0].Profile.Connections = 1
				if !tt.sends {
					cfg.Accounts[0].Submitter = nil
				}
				if !tt.reads {
					cfg.Accounts[0].Mailbox = nil
				}
				d := newDispatcher(t, cfg)
				approve(t, d, ready(t, store, "b", 100))
				stop := start(t, d)
				time.Sleep(24 * time.Hour)
				stop()
				if n := logins.Load(); n > tt.most {
					t.Errorf("%d logins with a password that was refused, want %d", n, tt.most)
				}
				if a, err := d.Account(t.Context(), account); err != nil || a.Suspended == "" {
					t.Errorf("the account is suspended for %q, %v; want a reason", a.Suspended, err)
				}
			})
		})
	}
}

// blind is a store that can't be read now and then.
type blind struct {
	dispatch.Store
	isBlind func() bool
}

func (s *blind) View(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	if s.isBlind() {
		return errors.New("the store can't be read")
	}
	return s.Store.View(ctx, account, f)
}
