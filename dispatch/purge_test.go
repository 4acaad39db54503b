package dispatch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// TestPurgeFails: receipts that a failure keeps in the mailbox go later, and those
// that the server will not remove keep no others from being read.
func TestPurgeFails(t *testing.T) {
	broken, refused := errors.New("connection reset"), fmt.Errorf("no UIDPLUS: %w", dispatch.ErrMailboxRefused)
	for _, tt := range []struct {
		name   string
		remove func(uid uint32, tries int) error
		left   int
		told   int
	}{
		{"now and then", func(uid uint32, tries int) error {
			if uid%10 == 1 && tries == 1 {
				return broken
			}
			return nil
		}, 0, 0},
		{"all refused", func(uint32, int) error { return refused }, 120, 1},
		{"some refused", func(uid uint32, _ int) error {
			if uid%2 == 1 {
				return refused
			}
			return nil
		}, 60, 1},
		{"one breaks the connection", func(uid uint32, _ int) error {
			if uid == 7 {
				return broken
			}
			return nil
		}, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, b := newStore(), newBox(t)
				tries := make(map[uint32]int)
				b.remove = func(uid uint32) error {
					tries[uid]++
					return tt.remove(uid, tries[uid])
				}
				told := 0
				cfg := config(b, store)
				cfg.Accounts[0].Purge = true
				cfg.Observe = func(e dispatch.Event) {
					if strings.Contains(e.Detail, "can't be removed") {
						told++
					}
				}
				d := newDispatcher(t, cfg)
				approve(t, d, ready(t, store, "b", 60))
				stop := start(t, d)
				time.Sleep(time.Hour)
				stop()
				checkCounts(t, d, "b", counts{dispatch.Delivered: 60})
				if len(b.mail) != tt.left || told != tt.told {
					t.Errorf("%d receipts are left, and it was told %d times; want %d, %d", len(b.mail), told, tt.left, tt.told)
				}
				for uid, n := range tries {
					if n > 2 {
						t.Errorf("receipt %d was to be removed %d times", uid, n)
					}
				}
			})
		})
	}
}

// TestPurgeLater sets Purge when receipts were collected already.
func TestPurgeLater(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		cfg := config(b, store)
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", 5))
		stop := start(t, d)
		time.Sleep(time.Hour)
		stop()

		cfg.Accounts[0].Purge = true
		d = newDispatcher(t, cfg)
		stop = start(t, d)
		time.Sleep(time.Hour)
		synctest.Wait()
		if b.removed != 0 {
			t.Errorf("%d receipts were removed that this dispatcher did not read", b.removed)
		}
		if err := d.Rescan(dispatch.WithActor(t.Context(), "anna"), account); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 5})
		if len(b.mail) != 0 || b.removed != 10 {
			t.Errorf("%d receipts are left after Rescan, %d removed; want all gone", len(b.mail), b.removed)
		}
	})
}
