package dispatch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

type counts = map[dispatch.State]int64

// inBubble runs a test in a bubble of its own time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	providers()
	synctest.Test(t, f)
}

func TestSendAndFollow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		d := newDispatcher(t, config(b, store))
		batch := ready(t, store, "b", 20)
		stop := start(t, d)
		defer stop()
		time.Sleep(time.Minute)
		if b.sent() > 0 {
			t.Fatalf("%d messages left before anybody signed off", b.sent())
		}
		approve(t, d, batch)
		time.Sleep(2 * time.Minute)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 20})
		b.checkOnce(t)
		checkAudit(t, store)
		if len(b.accepted) != 20 || b.maxOpen > 4 || b.open != 0 {
			t.Errorf("accepted %d, most sessions %d, still open %d", len(b.accepted), b.maxOpen, b.open)
		}
		for s, err := range d.Statuses(t.Context(), account, "b") {
			if err != nil || s.Status.Proof != receipt.Proven {
				t.Errorf("row %d: proof %q, %v", s.Send.ID.Row, s.Status.Proof, err)
			}
		}
	})
}

// TestAnswers follows a send through each answer that a provider can give.
func TestAnswers(t *testing.T) {
	refusal := func(code pec.ErrorCode, detail string) func(accepting) []pectest.Message {
		return func(a accepting) []pectest.Message {
			d := a.data(pec.KindNonAcceptance, 0)
			d.Error, d.ErrorDetail = code, detail
			return []pectest.Message{{Data: d}}
		}
	}
	tests := []struct {
		name   string
		answer func(accepting) []pectest.Message
		want   dispatch.State
		cause  receipt.CauseCode
		proof  receipt.ProofResult
	}{
		{"delivered", delivered, dispatch.Delivered, "", receipt.Proven},
		{"receipts the other way round", func(a accepting) []pectest.Message {
			m := delivered(a)
			slices.Reverse(m)
			return m
		}, dispatch.Delivered, "", receipt.Proven},
		{"concise receipt", func(a accepting) []pectest.Message {
			m := delivered(a)
			m[1].Form, m[1].Original = pec.ReceiptConcise, nil
			return m
		}, dispatch.Delivered, "", receipt.NoProof},
		{"mailbox full", failed(pec.ErrorOther, "5.2.2 - Gestore Beta - casella piena"), dispatch.Failed, receipt.CauseMailboxFull, ""},
		{"no such mailbox", failed(pec.ErrorNoRecipient, "5.1.1 - Gestore Beta - indirizzo non valido"), dispatch.Failed, receipt.CauseNoSuchAddress, ""},
		{"virus on the way", failed(pec.ErrorVirus, "EICAR-Test-File"), dispatch.Failed, receipt.CauseVirus, ""},
		{"refused by notice", refusal(pec.ErrorOther, "errore formale"), dispatch.NotAccepted, "formal", ""},
		{"virus at the sender", refusal(pec.ErrorVirus, "EICAR-Test-File"), dispatch.NotAccepted, receipt.CauseVirusAtSender, ""},
		{"ordinary recipient", func(a accepting) []pectest.Message {
			d := a.data(pec.KindAcceptance, 0)
			d.Recipients[0].Type = pec.RecipientOrdinary
			return []pectest.Message{{Data: d}}
		}, dispatch.AcceptedOrdinary, "", ""},
		{"no answer", func(accepting) []pectest.Message { return nil }, dispatch.Submitted, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, b := newStore(), newBox(t)
				b.answer = tt.answer
				d := newDispatcher(t, config(b, store))
				approve(t, d, ready(t, store, "b", 1))
				defer start(t, d)()
				time.Sleep(5 * time.Minute)
				s, err := d.Status(t.Context(), account, dispatch.SendID{Batch: "b", Row: 1})
				if err != nil {
					t.Fatal(err)
				}
				if s.Status.State != tt.want || s.Status.Cause != tt.cause || s.Status.Proof != tt.proof {
					t.Errorf("%s, cause %q, proof %q; want %s, %q, %q", s.Status.State, s.Status.Cause, s.Status.Proof, tt.want, tt.cause, tt.proof)
				}
				checkCounts(t, d, "b", counts{tt.want: 1})
			})
		})
	}
}

func TestLostReply(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		b.submit = func(id string) plan {
			return map[string]plan{
				"<b.1@pec.alfa.example>": {lost: true},
				"<b.2@pec.alfa.example>": {dropped: true},
			}[id]
		}
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 3))
		stop := start(t, d)
		time.Sleep(48 * time.Hour)
		stop()
		// The receipts settle the one that was accepted; nothing settles the other,
		// and nothing sends it again.
		checkCounts(t, d, "b", counts{dispatch.Delivered: 2, dispatch.Unknown: 1})
		b.checkOnce(t)

		// A person decides to send it again.
		b.submit = nil
		id := dispatch.SendID{Batch: "b", Row: 2}
		if err := d.Resend(t.Context(), account, id, "no acceptance in two days"); !errors.Is(err, dispatch.ErrNoActor) {
			t.Errorf("Resend by nobody: %v, want ErrNoActor", err)
		}
		ctx := dispatch.WithActor(t.Context(), "bruno")
		if err := d.Resend(ctx, account, id, ""); err == nil {
			t.Error("Resend without a reason was taken")
		}
		if err := d.Resend(ctx, account, id, "no acceptance in two days"); err != nil {
			t.Fatal(err)
		}
		if err := d.Resend(ctx, account, id, "again"); !errors.Is(err, dispatch.ErrBatch) {
			t.Errorf("a second Resend before the first left: %v, want ErrBatch", err)
		}
		stop = start(t, d)
		time.Sleep(5 * time.Minute)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 3})
		b.checkOnce(t)
		s, _ := d.Status(t.Context(), account, id)
		if s.Status.Attempt != 2 || s.Status.MessageID == "<b.2@pec.alfa.example>" || s.Status.Proof != receipt.Proven {
			t.Errorf("attempt %d, %s, proof %s; want a second attempt with a Message-ID of its own, proven", s.Status.Attempt, s.Status.MessageID, s.Status.Proof)
		}
		checkAudit(t, store)
	})
}

func TestRefusedForNow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		var mu sync.Mutex
		tries := make(map[string]int)
		b.submit = func(id string) plan {
			mu.Lock()
			defer mu.Unlock()
			tries[id]++
			switch {
			case id == "<b.1@pec.alfa.example>" && tries[id] < 4:
				return plan{before: &dispatch.Result{Outcome: dispatch.OutcomeTemporary, Code: 451, Reply: "4.3.0 later"}}
			case id == "<b.2@pec.alfa.example>" && tries[id] < 3:
				return plan{after: &dispatch.Result{Outcome: dispatch.OutcomeTemporary, Code: 450, Reply: "4.2.0 later"}}
			case id == "<b.3@pec.alfa.example>":
				return plan{after: &dispatch.Result{Outcome: dispatch.OutcomePermanent, Code: 554, Reply: "5.6.0 never"}}
			}
			return plan{}
		}
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 4))
		stop := start(t, d)
		time.Sleep(30 * time.Second)
		s, _ := d.Status(t.Context(), account, dispatch.SendID{Batch: "b", Row: 1})
		if s.Due.IsZero() || s.Status.State != dispatch.Prepared {
			t.Errorf("after a first refusal: %s, due %v; want to see when it is tried again", s.Status.State, s.Due)
		}
		time.Sleep(6 * time.Hour)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 3, dispatch.Refused: 1})
		b.checkOnce(t)
		if tries["<b.1@pec.alfa.example>"] != 4 || tries["<b.3@pec.alfa.example>"] != 1 {
			t.Errorf("tries = %v", tries)
		}
	})
}

func TestThrottled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		var mu sync.Mutex
		n := 0
		b.submit = func(string) plan {
			mu.Lock()
			defer mu.Unlock()
			if n++; n == 5 {
				return plan{before: &dispatch.Result{Outcome: dispatch.OutcomePermanent, Code: 550,
					Reply: `MAIL from: blocked "Class Of Service" - Too much traffic from this sender`}}
			}
			return plan{}
		}
		var events []dispatch.Event
		cfg := config(b, store)
		cfg.Observe = func(e dispatch.Event) { mu.Lock(); events = append(events, e); mu.Unlock() }
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", 20))
		stop := start(t, d)
		time.Sleep(30 * time.Second)
		a, _ := d.Account(t.Context(), account)
		if !a.PausedUntil.After(time.Now()) {
			t.Errorf("PausedUntil = %v, want the account to rest", a.PausedUntil)
		}
		before := b.sent()
		time.Sleep(20 * time.Second)
		if b.sent() != before {
			t.Errorf("%d messages left while the account rested", b.sent()-before)
		}
		time.Sleep(time.Hour)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 20})
		b.checkOnce(t)
		if !slices.ContainsFunc(events, func(e dispatch.Event) bool {
			return e.Kind == dispatch.EventPaused && e.Cause == receipt.CauseThrottled
		}) {
			t.Error("no event told of the pause")
		}
	})
}

// TestResumePaused has another dispatcher resume an account before its pause is over,
// once while messages that were looked up before wait for their turn, once not.
func TestResumePaused(t *testing.T) {
	for _, perMinute := range []int{60, 1_000_000} {
		t.Run(fmt.Sprint(perMinute, " a minute"), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, b := newStore(), newBox(t)
				var n atomic.Int64
				b.submit = func(string) (p plan) {
					if n.Add(1) == 5 {
						p.before = &dispatch.Result{Outcome: dispatch.OutcomeTemporary, Code: 450, Reply: "4.7.1 Too much traffic from this sender"}
					}
					return p
				}
				cfg := config(b, store)
				cfg.Accounts[0].Profile.PerMinute = perMinute
				d := newDispatcher(t, cfg)
				approve(t, d, ready(t, store, "b", 20))
				defer start(t, d)()
				time.Sleep(20 * time.Second)
				before := b.sent()
				if a, _ := d.Account(t.Context(), account); time.Until(a.PausedUntil) < time.Minute {
					t.Fatalf("paused until %v, want a pause of minutes", a.PausedUntil)
				}
				other := newDispatcher(t, dispatch.Config{Store: store})
				if err := other.ResumeAccount(by(t), account); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Second)
				if b.sent() == before {
					t.Errorf("nothing left in three seconds after the account was resumed; %d before", before)
				}
				time.Sleep(5 * time.Minute)
				checkCounts(t, d, "b", counts{dispatch.Delivered: 20})
			})
		})
	}
}

func TestQuotas(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		var mu sync.Mutex
		var left []time.Time
		b.answer = func(a accepting) []pectest.Message {
			mu.Lock()
			defer mu.Unlock()
			left = append(left, a.at)
			return delivered(a)
		}
		cfg := config(b, store)
		cfg.Accounts[0].Profile.PerMinute, cfg.Accounts[0].Profile.PerDay = 6, 100
		var pauses atomic.Int32
		cfg.Observe = func(e dispatch.Event) {
			if e.Kind == dispatch.EventPaused && e.Until.Sub(e.At) > time.Hour {
				pauses.Add(1)
			}
		}
		approve(t, newDispatcher(t, cfg), ready(t, store, "b", 150))
		// Stopped and started again, it must not forget what it sent.
		for range 7 {
			d := newDispatcher(t, cfg)
			stop := start(t, d)
			time.Sleep(4 * time.Hour)
			stop()
		}
		d := newDispatcher(t, cfg)
		stop := start(t, d)
		time.Sleep(4 * time.Hour)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 150})
		checkSpan(t, left, 6, time.Minute)
		checkSpan(t, left, 100, 24*time.Hour)
		if pauses.Load() == 0 {
			t.Error("nobody was told that the day's limit was used up")
		}
	})
}

// checkSpan fails if more than limit instants lie in any span of the given length.
func checkSpan(t *testing.T, instants []time.Time, limit int, span time.Duration) {
	t.Helper()
	slices.SortFunc(instants, time.Time.Compare)
	for i := limit; i < len(instants); i++ {
		if d := instants[i].Sub(instants[i-limit]); d < span {
			t.Errorf("%d messages in %v, of which %d are allowed in %v", limit+1, d, limit, span)
			return
		}
	}
}

func TestLoginRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		var mu sync.Mutex
		logins, good := 0, false
		b.login = func() error {
			mu.Lock()
			defer mu.Unlock()
			logins++
			if good {
				return nil
			}
			return fmt.Errorf("535 5.7.8: %w", dispatch.ErrAuth)
		}
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 3))
		stop := start(t, d)
		time.Sleep(24 * time.Hour)
		a, _ := d.Account(t.Context(), account)
		mu.Lock()
		if a.Suspended == "" || logins > 6 {
			t.Errorf("suspended: %q, after %d logins in a day; want it to stop at once, or the account gets locked", a.Suspended, logins)
		}
		good = true
		mu.Unlock()
		if err := d.ResumeAccount(dispatch.WithActor(t.Context(), "bruno"), account); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 3})
	})
}

func TestNotApproved(t *testing.T) {
	four := func(c *dispatch.Config) { c.Policy = dispatch.FourEyes }
	tests := []struct {
		name  string
		setup func(*dispatch.Config)
		sign  func(t *testing.T, d *dispatch.Dispatcher, b dispatch.Batch) error
		err   error
		sent  int64
	}{
		{"nobody signed", nil, func(*testing.T, *dispatch.Dispatcher, dispatch.Batch) error { return nil }, nil, 0},
		{"signed for other content", nil, func(t *testing.T, d *dispatch.Dispatcher, b dispatch.Batch) error {
			return d.Approve(dispatch.WithActor(t.Context(), "bruno"), account, "b", dispatch.Digest{1}, 0)
		}, dispatch.ErrNotApproved, 0},
		{"signed by nobody in particular", nil, func(t *testing.T, d *dispatch.Dispatcher, b dispatch.Batch) error {
			return d.Approve(t.Context(), account, "b", b.Digest, 0)
		}, dispatch.ErrNoActor, 0},
		{"expired", nil, func(t *testing.T, d *dispatch.Dispatcher, b dispatch.Batch) error {
			err := d.Approve(dispatch.WithActor(t.Context(), "bruno"), account, "b", b.Digest, time.Hour)
			time.Sleep(2 * time.Hour)
			return err
		}, nil, 0},
		{"four eyes, by whoever made it", four, func(t *testing.T, d *dispatch.Dispatcher, b dispatch.Batch) error {
			return d.Approve(dispatch.WithActor(t.Context(), "anna"), account, "b", b.Digest, 0)
		}, nil, 0},
		{"four eyes, by another", four, func(t *testing.T, d *dispatch.Dispatcher, b dispatch.Batch) error {
			return d.Approve(dispatch.WithActor(t.Context(), "bruno"), account, "b", b.Digest, 0)
		}, nil, 2},
		{"signed and canceled", nil, func(t *testing.T, d *dispatch.Dispatcher, b dispatch.Batch) error {
			ctx := dispatch.WithActor(t.Context(), "bruno")
			return errors.Join(d.Approve(ctx, account, "b", b.Digest, 0), d.Cancel(ctx, account, "b"))
		}, nil, 0},
		{"signed and paused", nil, func(t *testing.T, d *dispatch.Dispatcher, b dispatch.Batch) error {
			ctx := dispatch.WithActor(t.Context(), "bruno")
			return errors.Join(d.Approve(ctx, account, "b", b.Digest, 0), d.Pause(ctx, account, "b"))
		}, nil, 0},
		{"paused and resumed", nil, func(t *testing.T, d *dispatch.Dispatcher, b dispatch.Batch) error {
			ctx := dispatch.WithActor(t.Context(), "bruno")
			return errors.Join(d.Approve(ctx, account, "b", b.Digest, 0), d.Pause(ctx, account, "b"), d.Resume(ctx, account, "b"))
		}, nil, 2},
		{"signed after it was canceled", nil, func(t *testing.T, d *dispatch.Dispatcher, b dispatch.Batch) error {
			ctx := dispatch.WithActor(t.Context(), "bruno")
			return errors.Join(d.Cancel(ctx, account, "b"), d.Approve(ctx, account, "b", b.Digest, 0))
		}, dispatch.ErrBatch, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, b := newStore(), newBox(t)
				cfg := config(b, store)
				if tt.setup != nil {
					tt.setup(&cfg)
				}
				d := newDispatcher(t, cfg)
				batch := ready(t, store, "b", 2)
				if err := tt.sign(t, d, batch); !errors.Is(err, tt.err) {
					t.Errorf("signing: %v, want %v", err, tt.err)
				}
				stop := start(t, d)
				time.Sleep(time.Hour)
				stop()
				if int64(len(b.accepted)) != tt.sent {
					t.Errorf("%d messages left, want %d", len(b.accepted), tt.sent)
				}
				checkAudit(t, store)
			})
		})
	}
}

func TestExpiresMidway(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		cfg := config(b, store)
		cfg.Accounts[0].Profile.PerMinute = 6
		d := newDispatcher(t, cfg)
		batch := ready(t, store, "b", 100)
		if err := d.Approve(dispatch.WithActor(t.Context(), "bruno"), account, "b", batch.Digest, 5*time.Minute); err != nil {
			t.Fatal(err)
		}
		stop := start(t, d)
		time.Sleep(24 * time.Hour)
		stop()
		if n := len(b.accepted); n < 20 || n > 31 {
			t.Errorf("%d messages left in five minutes at six a minute", n)
		}
		checkCounts(t, d, "b", counts{dispatch.Delivered: int64(len(b.accepted)), dispatch.Prepared: int64(100 - len(b.accepted))})
	})
}

func TestCancelMidway(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		cfg := config(b, store)
		cfg.Accounts[0].Profile.PerMinute = 6
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", 100))
		stop := start(t, d)
		defer stop()
		time.Sleep(5 * time.Minute)
		ctx := dispatch.WithActor(t.Context(), "bruno")
		if err := d.CancelSend(ctx, account, dispatch.SendID{Batch: "b", Row: 99}, "wrong file"); err != nil {
			t.Errorf("CancelSend: %v", err)
		}
		if err := d.CancelSend(ctx, account, dispatch.SendID{Batch: "b", Row: 1}, "wrong file"); !errors.Is(err, dispatch.ErrBatch) {
			t.Errorf("CancelSend of what left: %v, want ErrBatch", err)
		}
		if err := d.Cancel(ctx, account, "b"); err != nil {
			t.Errorf("Cancel: %v", err)
		}
		left := int64(b.sent())
		time.Sleep(time.Hour)
		stop()
		if int64(len(b.accepted)) > left+1 {
			t.Errorf("%d messages left after the batch was canceled", int64(len(b.accepted))-left)
		}
		left = int64(len(b.accepted))
		checkCounts(t, d, "b", counts{dispatch.Delivered: left, dispatch.Canceled: 100 - left})
	})
}

func TestStopFinishesTheMessageInHand(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		b.submit = func(string) plan {
			time.Sleep(10 * time.Second) // a slow server
			return plan{}
		}
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 50))
		stop := start(t, d)
		time.Sleep(5 * time.Second)
		stop()
		n := int64(len(b.accepted))
		if n == 0 || n > 4 {
			t.Errorf("%d messages were finished, want those in hand, one for each connection", n)
		}
		batch, err := d.Batch(t.Context(), account, "b")
		if err != nil {
			t.Fatal(err)
		}
		if batch.Counts[dispatch.Submitted] != n || batch.Counts[dispatch.Unknown] != 0 {
			t.Errorf("counts %v, want %d submitted and none unknown", batch.Counts, n)
		}
		a, _ := d.Account(t.Context(), account)
		if a.Lease.Holder != "" {
			t.Errorf("the account still belongs to %q", a.Lease.Holder)
		}
	})
}

func TestConnectionFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		var mu sync.Mutex
		logins := 0
		b.login = func() error {
			mu.Lock()
			defer mu.Unlock()
			if logins++; logins%3 != 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		n := 0
		b.submit = func(string) plan {
			mu.Lock()
			defer mu.Unlock()
			if n++; n%4 == 0 {
				return plan{before: &dispatch.Result{Outcome: dispatch.OutcomeNotSent, Err: io.ErrUnexpectedEOF, Broken: true}}
			}
			return plan{}
		}
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 30))
		stop := start(t, d)
		time.Sleep(12 * time.Hour)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 30})
		b.checkOnce(t)
	})
}

// TestConnectionsFailAtOnce has some connections fail at the same moment. That is
// one failure of each, not many in a row, and what they had in hand does not wait
// for them.
func TestConnectionsFailAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		logins := 0 // guarded by the box
		b.login = func() error {
			if logins++; logins <= 8 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		cfg := config(b, store)
		cfg.Accounts[0].Mailbox = nil
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", 30))
		stop := start(t, d)
		time.Sleep(6 * time.Second)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Submitted: 30})
	})
}

func TestSentCopies(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		cfg := config(b, store)
		cfg.Accounts[0].SentFolder = "INBOX.Inviata"
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", 3))
		stop := start(t, d)
		time.Sleep(10 * time.Minute)
		stop()
		if len(b.appended) != 3 {
			t.Errorf("%d copies, want 3", len(b.appended))
		}
	})
}

func TestTwoWorkers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		cfg := config(b, store)
		cfg.Accounts[0].Profile.PerMinute = 60
		first, second := cfg, cfg
		first.Worker, second.Worker = "first", "second"
		d1, d2 := newDispatcher(t, first), newDispatcher(t, second)
		approve(t, d1, ready(t, store, "b", 200))
		stop1 := start(t, d1)
		time.Sleep(time.Second)
		stop2 := start(t, d2)
		defer stop2()
		time.Sleep(time.Minute)
		if a, _ := d1.Account(t.Context(), account); a.Lease.Holder != "first" {
			t.Errorf("the account belongs to %q while the first one works", a.Lease.Holder)
		}
		stop1()
		time.Sleep(time.Minute)
		if a, _ := d1.Account(t.Context(), account); a.Lease.Holder != "second" {
			t.Errorf("the account belongs to %q after the first one stopped", a.Lease.Holder)
		}
		time.Sleep(10 * time.Minute)
		stop2()
		checkCounts(t, d2, "b", counts{dispatch.Delivered: 200})
		b.checkOnce(t)
		checkAudit(t, store)
	})
}

// TestSameName has two dispatchers that were given one name, so that each takes the
// other's lease for its own. Their tokens tell them apart.
func TestSameName(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const n = 200
		store, b := newStore(), newBox(t)
		cfg := config(b, store)
		cfg.Worker = "both"
		cfg.Accounts[0].Profile.PerMinute = 60
		d1, d2 := newDispatcher(t, cfg), newDispatcher(t, cfg)
		approve(t, d1, ready(t, store, "b", n))
		stop1, stop2 := start(t, d1), start(t, d2)
		time.Sleep(30 * time.Minute)
		stop1()
		stop2()
		b.checkOnce(t)
		checkAudit(t, store)
		if a, err := d1.Account(t.Context(), account); err != nil || a.Lease.Token < 2 {
			t.Errorf("token %d, %v: neither took the other's lease", a.Lease.Token, err)
		}
		batch, err := d1.Batch(t.Context(), account, "b")
		if err != nil || batch.Counts[dispatch.Delivered]+batch.Counts[dispatch.Unknown] != n || batch.Counts[dispatch.Delivered] != int64(b.sent()) {
			t.Errorf("counts %v of %d, %v; %d left", batch.Counts, n, err, b.sent())
		}
	})
}

// TestChangedContent has the store give out other bytes than were signed off.
func TestChangedContent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		d := newDispatcher(t, config(b, store))
		batch := ready(t, store, "b", 2)
		other := message("b", 3)
		other.Content[0].Bytes = bytes.Replace(other.Content[0].Bytes, []byte("numero 3"), []byte("numero 4"), 1)
		err := store.Update(t.Context(), dispatch.AccountName(account), func(tx dispatch.Tx) error {
			batch.Total, batch.Counts[dispatch.Prepared] = 3, 3
			return errors.Join(tx.PutBatch(batch), tx.AddSend(other, dispatch.Progress{State: dispatch.Prepared, Due: batch.Created}))
		})
		if err != nil {
			t.Fatal(err)
		}
		approve(t, d, batch)
		stop := start(t, d)
		time.Sleep(time.Hour)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 2, dispatch.Prepared: 1})
	})
}
