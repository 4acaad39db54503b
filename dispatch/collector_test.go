package dispatch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// accept returns what the provider knows of the n-th message of the batch "b", as
// if it had accepted it now.
func accept(t *testing.T, n int) accepting {
	t.Helper()
	send := message("b", n)
	raw := send.Content[0].Bytes
	envelope, err := pec.ReadEnvelope(bytes.NewReader(raw), pec.EnvelopeOptions{Account: account})
	if err != nil {
		t.Fatal(err)
	}
	return accepting{envelope: envelope, raw: raw, at: time.Now(), id: fmt.Sprintf("alfa1.%05d@pec.alfa.example", n)}
}

// TestForged puts messages that are not what they seem into the mailbox. None of
// them may change anything.
func TestForged(t *testing.T) {
	deliveryOf := func(t *testing.T, change func(*pectest.Message)) pectest.Message {
		m := delivered(accept(t, 1))[1]
		if change != nil {
			change(&m)
		}
		return m
	}
	alfa := func() *pectest.Provider { return providers().alfa }
	beta := func() *pectest.Provider { return providers().beta }
	tests := []struct {
		name string
		raw  func(t *testing.T) []byte
	}{
		{"signed by an authority that nobody trusts", func(t *testing.T) []byte {
			return composeBy(t, providers().otherWorld, deliveryOf(t, nil))
		}},
		{"signed by a provider that is not the recipient's", func(t *testing.T) []byte {
			return composeBy(t, alfa(), deliveryOf(t, nil))
		}},
		{"not signed", func(t *testing.T) []byte {
			return composeBy(t, beta(), deliveryOf(t, func(m *pectest.Message) { m.Tamper = &pectest.Tamper{Unsigned: true} }))
		}},
		{"altered after it was signed", func(t *testing.T) []byte {
			return composeBy(t, beta(), deliveryOf(t, func(m *pectest.Message) {
				m.Tamper = &pectest.Tamper{Altered: func(b []byte) []byte { return bytes.Replace(b, []byte("Sollecito 1"), []byte("Sollecito 2"), 1) }}
			}))
		}},
		{"about another sender who used our Message-ID", func(t *testing.T) []byte {
			return composeBy(t, beta(), deliveryOf(t, func(m *pectest.Message) {
				m.Data.Sender = pec.MustParseAddress("mallory@pec.alfa.example")
			}))
		}},
		{"about another recipient", func(t *testing.T) []byte {
			return composeBy(t, beta(), deliveryOf(t, func(m *pectest.Message) {
				m.Data.Delivery = recipientNumber(7)
				m.Data.Recipients[0].Address = recipientNumber(7)
			}))
		}},
		{"from before the message was sent", func(t *testing.T) []byte {
			return composeBy(t, beta(), deliveryOf(t, func(m *pectest.Message) { m.Data.Time = m.Data.Time.Add(-time.Hour) }))
		}},
		{"from the future", func(t *testing.T) []byte {
			return composeBy(t, beta(), deliveryOf(t, func(m *pectest.Message) { m.Data.Time = m.Data.Time.Add(48 * time.Hour) }))
		}},
		{"about a Message-ID that is not ours", func(t *testing.T) []byte {
			return composeBy(t, beta(), deliveryOf(t, func(m *pectest.Message) { m.Data.MessageID = "<other@pec.alfa.example>" }))
		}},
		{"in an anomaly envelope", func(t *testing.T) []byte {
			inside := composeBy(t, beta(), deliveryOf(t, nil))
			m := deliveryOf(t, func(m *pectest.Message) { m.Data.Kind = pec.KindAnomaly; m.Original = bytes.NewReader(inside) })
			return composeBy(t, alfa(), m)
		}},
		{"in a transport envelope", func(t *testing.T) []byte {
			m := deliveryOf(t, func(m *pectest.Message) { m.Data.Kind = pec.KindTransport; m.Data.Delivery = pec.Address{} })
			return composeBy(t, alfa(), m)
		}},
		{"of a kind for providers", func(t *testing.T) []byte {
			m := deliveryOf(t, func(m *pectest.Message) {
				m.Data.Kind, m.Data.Taken = pec.KindServerAcceptance, []pec.Address{m.Data.Delivery}
				m.Data.Delivery, m.Data.ReceiptType, m.Original = pec.Address{}, "", nil
			})
			return composeBy(t, beta(), m)
		}},
		{"garbage with the right header", func(t *testing.T) []byte {
			return []byte("X-Ricevuta: avvenuta-consegna\r\nX-Riferimento-Message-ID: <b.1@pec.alfa.example>\r\n" +
				"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=x\r\n\r\n--x\r\n\r\n\x00\xff")
		}},
		{"ordinary mail with the right header", func(t *testing.T) []byte {
			return []byte("From: posta-certificata@pec.beta.example\r\nSubject: CONSEGNA: Sollecito 1\r\nX-Ricevuta: avvenuta-consegna\r\n" +
				"X-Riferimento-Message-ID: <b.1@pec.alfa.example>\r\n\r\nconsegnato\r\n")
		}},
		{"no header at all", func(*testing.T) []byte { return []byte("\r\n\r\n") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, b := newStore(), newBox(t)
				b.answer = func(a accepting) []pectest.Message { return delivered(a)[:1] } // no delivery
				d := newDispatcher(t, config(b, store))
				approve(t, d, ready(t, store, "b", 1))
				defer start(t, d)()
				time.Sleep(2 * time.Minute)
				checkCounts(t, d, "b", counts{dispatch.Accepted: 1})
				b.deliver(tt.raw(t))
				// One that is good comes behind it, and must be read.
				good := delivered(accept(t, 1))[1]
				good.Data.Time = time.Now().Truncate(time.Second)
				time.Sleep(2 * time.Minute)
				checkCounts(t, d, "b", counts{dispatch.Accepted: 1})
				b.deliver(compose(t, good))
				time.Sleep(2 * time.Minute)
				checkCounts(t, d, "b", counts{dispatch.Delivered: 1})
			})
		})
	}
}

// TestAnyOrder delivers the receipts of several sends shuffled, twice, in other
// folders and after the certificates' end.
func TestAnyOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const n = 12
		store, b := newStore(), newBox(t)
		var mail [][]byte
		b.answer = func(a accepting) []pectest.Message {
			for _, m := range delivered(a) {
				raw := compose(t, m)
				mail = append(mail, raw, append([]byte("X-Moved-By: a rule\r\n"), raw...))
			}
			return nil
		}
		cfg := config(b, store)
		cfg.Accounts[0].Profile.Connections = 1
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", n))
		stop := start(t, d)
		time.Sleep(5 * time.Minute)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Submitted: n})
		rand.Shuffle(len(mail), func(i, j int) { mail[i], mail[j] = mail[j], mail[i] })
		for _, raw := range mail {
			b.deliver(raw)
		}
		time.Sleep(4 * 365 * 24 * time.Hour) // nobody looked for years
		stop = start(t, d)
		time.Sleep(5 * time.Minute)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: n})
		for s, err := range d.Statuses(t.Context(), account, "b") {
			if err != nil {
				t.Fatal(err)
			}
			notices := 0
			for _, f := range s.Facts {
				if f.Kind == dispatch.FactNotice {
					notices++
					if f.Notice.TimeBasis != receipt.TimeClaimed {
						t.Errorf("time basis %q of a receipt read after the certificate's end", f.Notice.TimeBasis)
					}
				}
			}
			if notices != 2 {
				t.Errorf("row %d has %d notices, want 2: copies are one", s.Send.ID.Row, notices)
			}
		}
	})
}

func TestFoldersMadeAnew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 5))
		defer start(t, d)()
		time.Sleep(5 * time.Minute)
		b.mu.Lock()
		b.validity++
		for i := range b.mail {
			b.mail[i].uid = uint32(1000 - i)
		}
		b.mail = append(b.mail[:0:0], b.mail...)
		b.mu.Unlock()
		time.Sleep(5 * time.Minute)
		checkCounts(t, d, "b", counts{dispatch.Delivered: 5})
		a, _ := d.Account(t.Context(), account)
		if got := a.Cursors["INBOX"]; got.UIDValidity != 2 {
			t.Errorf("cursor = %+v, want one of the new UIDVALIDITY", got)
		}
	})
}

// TestPoison has one message that can't be fetched. Those behind it must be read.
func TestPoison(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		b.fetched = func(uid uint32) error {
			if uid == 3 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 10))
		stop := start(t, d)
		time.Sleep(2 * time.Hour)
		stop()
		batch, _ := d.Batch(t.Context(), account, "b")
		if batch.Counts[dispatch.Delivered] < 9 {
			t.Errorf("counts %v: one message that can't be fetched held others up", batch.Counts)
		}
		mails := allMails(t, d, dispatch.MailUnreadable)
		if len(mails) != 1 || mails[0].ID.UID != 3 || mails[0].Reason == "" {
			t.Errorf("set apart: %+v, want UID 3 with a reason", mails)
		}
		// Once it can be fetched again, a person has the mailbox read anew.
		b.fetched = nil
		if err := d.Rescan(dispatch.WithActor(t.Context(), "bruno"), account); err != nil {
			t.Fatal(err)
		}
		stop = start(t, d)
		time.Sleep(10 * time.Minute)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 10})
	})
}

// TestForeign has receipts of another program, and other mail, in the mailbox.
func TestForeign(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		fetched := 0
		b.fetched = func(uint32) error { fetched++; return nil }
		for i := range 150 {
			a := accept(t, 1)
			a.envelope.MessageID = fmt.Sprintf("<odoo.%d@pec.alfa.example>", i)
			for _, m := range delivered(a) {
				b.deliver(compose(t, m))
			}
			b.deliver([]byte("From: info@mail.example\r\nSubject: ciao\r\n\r\nciao\r\n"))
		}
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 3))
		stop := start(t, d)
		time.Sleep(10 * time.Minute)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 3})
		if fetched != 6 {
			t.Errorf("%d messages were fetched, want the 6 that are ours", fetched)
		}
		uids := make(map[uint32]bool)
		for _, m := range allMails(t, d, dispatch.MailOrphan) {
			uids[m.ID.UID] = true
		}
		if len(uids) != 300 {
			t.Errorf("%d receipts of others were noted, want 300", len(uids))
		}
	})
}

// allMails returns what was found of one disposition.
func allMails(t *testing.T, d *dispatch.Dispatcher, disposition dispatch.Disposition) (mails []dispatch.Mail) {
	t.Helper()
	for m, err := range d.Mails(t.Context(), account, disposition) {
		if err != nil {
			t.Fatal(err)
		}
		mails = append(mails, m)
	}
	return mails
}

func TestPurge(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		b.deliver([]byte("From: info@mail.example\r\nSubject: ciao\r\n\r\nciao\r\n"))
		cfg := config(b, store)
		cfg.Accounts[0].Purge = true
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", 5))
		stop := start(t, d)
		time.Sleep(30 * time.Minute)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 5})
		if len(b.mail) != 1 || b.removed != 10 {
			t.Errorf("%d messages left, %d removed; want the 10 receipts gone, and nothing else", len(b.mail), b.removed)
		}
		for s := range d.Statuses(t.Context(), account, "b") {
			for _, f := range s.Facts {
				if f.Kind != dispatch.FactNotice {
					continue
				}
				blob, err := store.OpenBlob(t.Context(), f.Raw)
				if err != nil {
					t.Fatalf("a receipt that was removed is not in the store: %v", err)
				}
				_, err = receipt.Verify(io.NewSectionReader(blob, 0, blob.Size()), receipt.Options{Trust: providers().authority.Trust(), Now: time.Now})
				if err != nil {
					t.Errorf("what was stored does not verify: %v", err)
				}
			}
		}
	})
}

func TestTimeouts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		b.answer = func(a accepting) []pectest.Message { return delivered(a)[:1] }
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 1))
		defer start(t, d)()
		notice := func(after time.Duration, detail string) {
			sent := b.lastAccepted()
			n := sent.data(pec.KindDeliveryTimeout, after)
			n.Error, n.ErrorDetail = pec.ErrorOther, detail
			b.deliver(compose(t, pectest.Message{Data: n}))
		}
		expect := func(want dispatch.State, overdue bool) {
			t.Helper()
			time.Sleep(2 * time.Minute)
			s, err := d.Status(t.Context(), account, dispatch.SendID{Batch: "b", Row: 1})
			if err != nil || s.Status.State != want || s.Status.Overdue(time.Now()) != overdue {
				t.Errorf("%s, overdue %v, %v; want %s, %v", s.Status.State, s.Status.Overdue(time.Now()), err, want, overdue)
			}
		}
		expect(dispatch.Accepted, false)
		time.Sleep(12 * time.Hour)
		notice(12*time.Hour, "4.4.1 - Gestore Alfa - non consegnato nelle prime dodici ore")
		expect(dispatch.Delayed, false)
		time.Sleep(15 * time.Hour)
		expect(dispatch.Delayed, true)
		notice(23*time.Hour, "5.4.1 - Gestore Alfa - non consegnato nelle ventiquattro ore")
		expect(dispatch.TimedOut, false)
		late := delivered(b.lastAccepted())[1]
		late.Data.Time = time.Now().Truncate(time.Second)
		b.deliver(compose(t, late))
		expect(dispatch.Delivered, false)
		s, _ := d.Status(t.Context(), account, dispatch.SendID{Batch: "b", Row: 1})
		if !s.Status.Has(dispatch.FlagLate) {
			t.Errorf("flags %v, want late", s.Status.Flags)
		}
	})
}

// bounceOf is a report of an ordinary mail system that a message failed.
func bounceOf(id string) string {
	return strings.ReplaceAll("From: MAILER-DAEMON@mail.example\nTo: studio@pec.alfa.example\nSubject: Undelivered\nMIME-Version: 1.0\n"+
		"Content-Type: multipart/report; report-type=delivery-status; boundary=r\n\n--r\nContent-Type: text/plain\n\nno such user\n"+
		"--r\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mail.example\n\nFinal-Recipient: rfc822; x\nAction: failed\nStatus: 5.1.1\n"+
		"--r\nContent-Type: text/rfc822-headers\n\nMessage-ID: <"+id+">\nSubject: x\n\n--r--\n", "\n", "\r\n")
}

// TestBounce has an ordinary mail system report a failure, plainly and wrapped in
// an anomaly envelope. It names the provider's identifier.
func TestBounce(t *testing.T) {
	for _, wrapped := range []bool{false, true} {
		t.Run(fmt.Sprintf("wrapped=%v", wrapped), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, b := newStore(), newBox(t)
				b.answer = func(a accepting) []pectest.Message {
					d := a.data(pec.KindAcceptance, 0)
					d.Recipients[0].Type = pec.RecipientOrdinary
					return []pectest.Message{{Data: d}}
				}
				d := newDispatcher(t, config(b, store))
				approve(t, d, ready(t, store, "b", 1))
				defer start(t, d)()
				time.Sleep(2 * time.Minute)
				sent := b.lastAccepted()
				raw := []byte(bounceOf(sent.id))
				if wrapped {
					data := sent.data(pec.KindAnomaly, time.Minute)
					data.Delivery = pec.Address{}
					raw = composeBy(t, providers().alfa, pectest.Message{Data: data, Original: bytes.NewReader(raw)})
				}
				b.deliver(raw)
				time.Sleep(2 * time.Minute)
				s, err := d.Status(t.Context(), account, dispatch.SendID{Batch: "b", Row: 1})
				if err != nil || s.Status.State != dispatch.AcceptedOrdinary || !s.Status.Has(dispatch.FlagBounced) {
					t.Errorf("%s %v, %v; want an ordinary recipient, bounced", s.Status.State, s.Status.Flags, err)
				}
			})
		})
	}
}

// TestBounceWithAcceptance has a mailbox that nobody read for a while: the acceptance,
// whose identifier the bounce names, is read together with the bounce.
func TestBounceWithAcceptance(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		a := accept(t, 1)
		d := newDispatcher(t, config(b, store))
		ready(t, store, "b", 1)
		data := a.data(pec.KindAcceptance, 0)
		data.Recipients[0].Type = pec.RecipientOrdinary
		b.deliver(compose(t, pectest.Message{Data: data}))
		b.deliver([]byte(bounceOf(a.id)))
		defer start(t, d)()
		time.Sleep(2 * time.Minute)
		s, err := d.Status(t.Context(), account, dispatch.SendID{Batch: "b", Row: 1})
		if err != nil || s.Status.State != dispatch.AcceptedOrdinary || !s.Status.Has(dispatch.FlagBounced) {
			t.Errorf("%s %v, %v; want an ordinary recipient, bounced", s.Status.State, s.Status.Flags, err)
		}
	})
}

// TestRescanMeanwhile has a person ask for the mailbox to be read anew while it is
// being read.
func TestRescanMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		d := newDispatcher(t, config(b, store))
		ready(t, store, "b", 200)
		for i := range 200 {
			b.deliver(compose(t, delivered(accept(t, i+1))[1]))
		}
		first, once := 0, sync.Once{}
		b.fetched = func(uid uint32) error {
			if uid == 1 {
				first++
			}
			if uid == 170 {
				once.Do(func() {
					if err := d.Rescan(by(t), account); err != nil {
						t.Error(err)
					}
				})
			}
			return nil
		}
		stop := start(t, d)
		time.Sleep(10 * time.Minute)
		stop()
		if first != 2 {
			t.Errorf("the first message was fetched %d times, want twice: before Rescan and after it", first)
		}
		a, err := d.Account(t.Context(), account)
		if err != nil || a.Cursors["INBOX"].UID != 200 {
			t.Errorf("the mailbox was read up to %+v, %v; want 200", a.Cursors, err)
		}
		checkCounts(t, d, "b", counts{dispatch.Delivered: 200})
	})
}

// TestRestoredBackup puts back a store from before the batch was sent. What the
// mailbox proves must keep it from being sent again.
func TestRestoredBackup(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBox(t)
		lost, made := newStore(), time.Now().UTC()
		d := newDispatcher(t, config(b, lost))
		approve(t, d, readyAt(t, lost, "b", 5, made))
		stop := start(t, d)
		time.Sleep(24 * time.Hour)
		stop()

		backup := newStore()
		d = newDispatcher(t, config(b, backup))
		approve(t, d, readyAt(t, backup, "b", 5, made))
		b.fetched = failTimes(1) // and not at the first try
		stop = start(t, d)
		time.Sleep(5 * time.Minute)
		stop()
		b.checkOnce(t)
		checkCounts(t, d, "b", counts{dispatch.Delivered: 5})
	})
}

// failTimes makes the first fetches fail.
func failTimes(n int32) func(uint32) error {
	var fetches atomic.Int32
	return func(uint32) error {
		if fetches.Add(1) <= n {
			return errors.New("connection reset")
		}
		return nil
	}
}

func TestMailboxGone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		var events atomic.Int32
		cfg := config(b, store)
		cfg.Observe = func(e dispatch.Event) {
			if e.Kind == dispatch.EventConnection {
				events.Add(1)
			}
		}
		var mended atomic.Bool
		b.fetched = func(uint32) error {
			if mended.Load() {
				return nil
			}
			return errors.New("connection reset")
		}
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", 2))
		stop := start(t, d)
		time.Sleep(2 * time.Second)
		mended.Store(true)
		time.Sleep(time.Hour)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 2})
		if events.Load() == 0 {
			t.Error("no event told of the connection that failed")
		}
	})
}

// TestMailboxDown has a server that lists messages for an hour, and gives none out.
// Few may be taken for messages that can't be fetched, and these are asked for again.
// One of them, whose header the server does not give either, is no receipt.
func TestMailboxDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		b.deliver([]byte("From: info@mail.example\r\nSubject: ciao\r\n\r\nciao\r\n"))
		b.headless = map[uint32]bool{1: true}
		end := time.Now().Add(time.Hour)
		got := make(map[uint32]int)
		b.fetched = func(uid uint32) error {
			if time.Now().Before(end) {
				return errors.New("NO [SERVERBUG]")
			}
			got[uid]++
			return nil
		}
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 20))
		defer start(t, d)()
		time.Sleep(2 * time.Hour)
		// Waits grow to five minutes, less a half at most, and each takes three.
		if n := len(allMails(t, d, dispatch.MailUnreadable)); n > 11 {
			t.Errorf("%d of 41 messages were set apart", n)
		}
		time.Sleep(time.Hour) // they are asked for again
		checkCounts(t, d, "b", counts{dispatch.Delivered: 20})
		if apart := allMails(t, d, dispatch.MailUnreadable); len(apart) != 1 || apart[0].ID.UID != 1 || apart[0].Raw.IsZero() {
			t.Errorf("still set apart: %+v; want the one that is no receipt, stored", apart)
		}
		time.Sleep(5 * time.Hour)
		for uid, n := range got {
			if n != 1 {
				t.Errorf("UID %d was fetched %d times", uid, n)
			}
		}
	})
}

// TestMailboxBreaksOften has the connection break time and again in the middle of
// a mailbox. As long as something is read each time, nothing is gained by waiting
// longer and longer.
func TestMailboxBreaksOften(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		var fetches atomic.Int32
		b.fetched = func(uint32) error {
			if fetches.Add(1)%20 == 0 {
				return errors.New("connection reset")
			}
			return nil
		}
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 200))
		stop := start(t, d)
		time.Sleep(time.Minute)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 200})
	})
}

// TestHeadless has a server that can't give the headers of some messages.
func TestHeadless(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		b.deliver([]byte("From: info@mail.example\r\nSubject: ciao\r\n\r\nciao\r\n"))
		b.headless = map[uint32]bool{1: true, 2: true, 5: true}
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 4))
		stop := start(t, d)
		time.Sleep(10 * time.Minute)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 4})
		if mails := allMails(t, d, dispatch.MailUnreadable); len(mails) > 0 {
			t.Errorf("ordinary mail was set apart: %+v", mails)
		}
	})
}
