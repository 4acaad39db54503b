package dispatch_test

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// TestClockJumps sets the clock of the machine forward and back while messages are
// sent. Some replies are lost, some messages too. Nothing is sent twice, and once
// the clock is right every receipt counts.
func TestClockJumps(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const rows = 40
		time.Sleep(30 * 24 * time.Hour) // certificates are older than the present
		store, b := newStore(), newBox(t)
		var sent, offset atomic.Int64
		b.submit = func(string) plan {
			n := sent.Add(1)
			switch n {
			case 10:
				offset.Store(int64(36 * time.Hour))
			case 20:
				offset.Store(int64(-36 * time.Hour))
			case 30:
				offset.Store(int64(2 * time.Hour))
			}
			return plan{lost: n%5 == 1, dropped: n%5 == 2}
		}
		var log strings.Builder
		cfg := config(b, store)
		cfg.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", rows))
		stop := start(t, d)
		time.Sleep(time.Minute)
		offset.Store(int64(-2 * 24 * time.Hour)) // as of now every receipt is from the future
		again := delivered(b.last)[1]
		again.Data.Time = time.Now()
		b.deliver(compose(t, again))
		time.Sleep(time.Minute)
		if mails := allMails(t, d, dispatch.MailEarly); len(mails) == 0 {
			t.Error("a receipt from the future was taken as good")
		}
		offset.Store(0)
		time.Sleep(time.Minute)
		stop()
		b.checkOnce(t)
		accepted := int64(len(b.accepted))
		checkCounts(t, d, "b", counts{dispatch.Delivered: accepted, dispatch.Unknown: rows - accepted})
		if mails := allMails(t, d, dispatch.MailEarly); len(mails) > 0 {
			t.Errorf("%d receipts still count as from the future", len(mails))
		}
		if !strings.Contains(log.String(), "the clock of this machine") {
			t.Error("nobody was told that the clock is wrong")
		}
	})
}
