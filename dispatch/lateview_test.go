package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec/pectest"
)

// lateViews is a store whose views see what was due some time ago, as a
// transaction does that began before others were committed.
type lateViews struct{ dispatch.Store }

type lateTx struct {
	dispatch.Tx
	due []dispatch.Send
}

func (s lateViews) View(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	var due []dispatch.Send
	err := s.Store.View(ctx, account, func(tx dispatch.Tx) (err error) {
		due, err = tx.Due("b", time.Now(), 1000)
		return err
	})
	if err != nil {
		return err
	}
	time.Sleep(100 * time.Millisecond)
	return s.Store.View(ctx, account, func(tx dispatch.Tx) error { return f(lateTx{tx, due}) })
}

func (t lateTx) Batches() ([]dispatch.Batch, error) {
	list, err := t.Tx.Batches()
	for i := range list {
		list[i].Counts[dispatch.Prepared] = int64(len(t.due))
	}
	return list, err
}

func (t lateTx) Due(string, time.Time, int) ([]dispatch.Send, error) { return t.due, nil }

func (t lateTx) Facts(id dispatch.SendID) ([]dispatch.Fact, error) {
	for _, send := range t.due {
		if send.ID == id {
			return nil, nil
		}
	}
	return t.Tx.Facts(id)
}

// What was found to be due may have left by the time that it is handed over.
func TestDueLate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const sends = 40
		store, b := newStore(), newBox(t)
		b.submit = func(string) plan {
			time.Sleep(50 * time.Millisecond) // so that some are in hand while others are looked for
			return plan{lost: true}
		}
		b.answer = func(accepting) []pectest.Message { return nil } // nothing is ever heard
		d := newDispatcher(t, config(b, lateViews{store}))
		approve(t, newDispatcher(t, dispatch.Config{Store: store}), ready(t, store, "b", sends))
		stop := start(t, d)
		time.Sleep(24 * time.Hour)
		stop()
		b.checkOnce(t)
		checkCounts(t, newDispatcher(t, dispatch.Config{Store: store}), "b", counts{dispatch.Unknown: sends})
	})
}
