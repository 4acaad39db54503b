package dispatch_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// TestFolderRefused has a folder that is not there beside one in which receipts
// arrive.
func TestFolderRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		cfg := config(b, store)
		cfg.Accounts[0].Folders = []string{"INBOX", "Ricevute"}
		var told atomic.Int32
		cfg.Observe = func(e dispatch.Event) {
			if e.Kind == dispatch.EventConnection {
				told.Add(1)
			}
		}
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", 3))
		stop := start(t, d)
		time.Sleep(time.Hour)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 3})
		if n := told.Load(); n != 1 {
			t.Errorf("%d events told of the folder, want 1", n)
		}
	})
}

// TestOversized has a message in the mailbox that claims to be a receipt, and is
// larger than any receipt may be. It is not fetched, and nothing waits for it.
func TestOversized(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		cfg := config(b, store)
		cfg.Verify.Limits.Message = 100_000
		b.deliver([]byte("X-Ricevuta: avvenuta-consegna\r\nSubject: CONSEGNA\r\n\r\n" + strings.Repeat("x", 100_000)))
		b.fetched = func(uid uint32) error {
			if uid == 1 {
				t.Error("it was fetched")
			}
			return nil
		}
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", 3))
		stop := start(t, d)
		time.Sleep(10 * time.Minute)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 3})
		mails := allMails(t, d, dispatch.MailUnreadable)
		if len(mails) != 1 || mails[0].ID.UID != 1 || !strings.Contains(mails[0].Reason, "100000 bytes") {
			t.Errorf("set apart: %+v, want UID 1, and why", mails)
		}
	})
}
