package dispatch_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec/pectest"
)

// checkCopies checks that there is one copy of each message that was accepted, and
// of no other.
func (b *box) checkCopies(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	copies := make(map[string]int)
	for _, raw := range b.appended {
		header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(raw))).ReadMIMEHeader()
		if err != nil {
			t.Fatal(err)
		}
		copies[header.Get("Message-ID")]++
	}
	if fmt.Sprint(copies) != fmt.Sprint(b.accepted) {
		t.Errorf("%d copies of %d messages; %d messages were accepted", len(b.appended), len(copies), len(b.accepted))
	}
}

// unanswered answers with no receipt.
func unanswered(accepting) []pectest.Message { return nil }

// TestSentCopiesSlow files into a mailbox that takes longer for a copy than the
// provider does for a message: all are filed, and sending does not wait.
func TestSentCopiesSlow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const sends = 1000
		store, b := newStore(), newBox(t)
		b.answer = unanswered
		filing := 0
		b.filed = func() error {
			if b.sent() < sends {
				filing++
			}
			time.Sleep(100 * time.Millisecond)
			return nil
		}
		cfg := config(b, store)
		cfg.Accounts[0].SentFolder = "INBOX.Inviata"
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", sends))
		stop := start(t, d)
		time.Sleep(10 * time.Minute)
		stop()
		b.checkCopies(t)
		if filing > sends/2 {
			t.Errorf("%d copies were begun before the last message left: sending waited for them", filing)
		}
	})
}

// TestSentCopiesAtTheEnd stops as soon as everything was delivered.
func TestSentCopiesAtTheEnd(t *testing.T) {
	for _, tt := range []struct {
		name    string
		each    time.Duration
		missing bool
	}{
		{"time enough", 10 * time.Millisecond, false},
		{"too slow", time.Second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				const sends = 50
				store, b := newStore(), newBox(t)
				b.filed = func() error {
					time.Sleep(tt.each)
					return nil
				}
				var delivered atomic.Int64
				all := make(chan struct{})
				var told []string
				cfg := config(b, store)
				cfg.Accounts[0].SentFolder = "INBOX.Inviata"
				cfg.Observe = func(e dispatch.Event) {
					if e.To == dispatch.Delivered && e.From != e.To && delivered.Add(1) == sends {
						close(all)
					}
					if e.Kind == dispatch.EventConnection {
						told = append(told, e.Detail)
					}
				}
				d := newDispatcher(t, cfg)
				approve(t, d, ready(t, store, "b", sends))
				stop := start(t, d)
				<-all
				begun := time.Now()
				stop()
				if took := time.Since(begun); took > 12*time.Second {
					t.Errorf("it took %v to stop", took)
				}
				if !tt.missing {
					b.checkCopies(t)
				}
				want := fmt.Sprintf("IMAP: no copy was filed of %d messages that were sent", sends-len(b.appended))
				if tt.missing != (len(b.appended) < sends) || tt.missing && (len(told) != 1 || told[0] != want) || !tt.missing && told != nil {
					t.Errorf("%d copies of %d messages were filed; told %q", len(b.appended), sends, told)
				}
			})
		})
	}
}

// TestSentCopiesRefused has a mailbox that is full for some hours.
func TestSentCopiesRefused(t *testing.T) {
	for name, refusal := range map[string]error{
		"session goes on": fmt.Errorf("full: %w", dispatch.ErrMailboxRefused),
		"session ends":    errFull,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, b := newStore(), newBox(t)
				var full atomic.Bool
				var refused, told atomic.Int64
				full.Store(true)
				b.filed = func() error {
					if !full.Load() {
						return nil
					}
					refused.Add(1)
					return refusal
				}
				cfg := config(b, store)
				cfg.Accounts[0].SentFolder = "INBOX.Inviata"
				cfg.Observe = func(e dispatch.Event) {
					if strings.Contains(e.Detail, "can't be filed") {
						told.Add(1)
					}
				}
				d := newDispatcher(t, cfg)
				approve(t, d, ready(t, store, "b", 60))
				defer start(t, d)()
				time.Sleep(5 * time.Minute)
				checkCounts(t, d, "b", counts{dispatch.Delivered: 60})
				time.Sleep(8 * time.Hour)
				if n := refused.Load(); n < 8 || n > 30 || told.Load() != n {
					t.Errorf("%d tries to file a copy, %d told", n, told.Load())
				}
				full.Store(false)
				time.Sleep(2 * time.Hour)
				b.checkCopies(t)
			})
		})
	}
}

// TestSentCopyOfResend: a copy is of what was sent, also when that was another
// attempt.
func TestSentCopyOfResend(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		b.answer = failed("altro", "5.1.1 - unknown")
		cfg := config(b, store)
		cfg.Accounts[0].SentFolder = "INBOX.Inviata"
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", 1))
		defer start(t, d)()
		time.Sleep(time.Minute)
		ctx := dispatch.WithActor(t.Context(), "anna")
		if err := d.Resend(ctx, account, dispatch.SendID{Batch: "b", Row: 1}, "the mailbox is there now"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if b.sent() != 2 {
			t.Fatalf("%d messages were accepted, want 2", b.sent())
		}
		b.checkCopies(t)
	})
}
