package dispatch_test

import (
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// A message's outcome is committed with the intent of the next one: nobody waits for
// it. The last one does not wait for ever.
func TestOutcomesShareCommits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const messages = 100
		store, b := &counting{Store: newStore()}, newBox(t)
		cfg := config(b, store)
		cfg.Accounts[0].Mailbox = nil
		cfg.Accounts[0].Profile.Connections = 1
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", messages))
		store.reset()
		defer start(t, d)()
		time.Sleep(time.Second)
		checkCounts(t, d, "b", counts{dispatch.Submitted: messages})
		// The lease, each intent, and the last outcome.
		if got := store.updates.Load(); got > messages+2 {
			t.Errorf("%d messages took %d commits, want one each", messages, got)
		}
	})
}
