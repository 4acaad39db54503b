package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// Checks of what comes back of the values that were put.

func checkEveryField(s *subject) {
	fact := sampleFact("notice/1", dispatch.FactNotice, 5)
	mail := sampleMail(dispatch.MailID{Folder: "INBOX", UIDValidity: 7, UID: 1}, dispatch.MailMatched)
	s.update(
		putAccount(sampleAccount(1)), putBatch(sampleBatch("b", 2)),
		addSend(sampleSend("b", 1), due(noon)), addFact(id(1), fact, true),
		putMail(mail), addAudit(sampleEntry(1)),
	)
	s.holds(
		hasAccount(sampleAccount(1)), hasBatch(sampleBatch("b", 2)),
		hasSend(sampleSend("b", 1)), hasFacts(id(1), fact),
		hasMail(mail), hasAudit(0, 1, sampleEntry(1)),
	)
	// And with nothing in any field that may be empty.
	bare := dispatch.SendID{Batch: "bare", Row: 1}
	s.updateOf("bare@pec.alfa.example",
		putAccount(dispatch.Account{Name: "bare@pec.alfa.example"}), putBatch(dispatch.Batch{Name: "bare"}),
		addSend(dispatch.Send{ID: bare}, dispatch.Progress{}), addFact(bare, dispatch.Fact{Key: "k"}, true),
		putMail(dispatch.Mail{}), addAudit(dispatch.AuditEntry{Seq: 1}),
	)
	s.holdsOf("bare@pec.alfa.example",
		hasAccount(dispatch.Account{Name: "bare@pec.alfa.example"}), hasBatch(dispatch.Batch{Name: "bare"}),
		hasSend(dispatch.Send{ID: bare}), hasProgress(bare, dispatch.Progress{}), hasFacts(bare, dispatch.Fact{Key: "k"}),
		hasMail(dispatch.Mail{}), hasAudit(0, 1, dispatch.AuditEntry{Seq: 1}),
	)
}

// checkValues changes what was given to the store, and what it gave, and wants
// that to change nothing: within the transaction, and after it.
func checkValues(s *subject) {
	account, batch, send := sampleAccount(1), sampleBatch("b", 2), sampleSend("b", 1)
	fact := sampleFact("notice/1", dispatch.FactNotice, 5)
	mail, entry := sampleMail(dispatch.MailID{UID: 1}, dispatch.MailMatched), sampleEntry(1)
	put := []step{
		putAccount(account), putBatch(batch), addSend(send, due(noon)), addFact(id(1), fact, true),
		putMail(mail), addAudit(entry),
	}
	has := []step{
		hasAccount(sampleAccount(1)), hasBatch(sampleBatch("b", 2)), hasBatches(sampleBatch("b", 2)),
		hasSend(sampleSend("b", 1)), hasSends("b", 0, 1, 1), hasDue("b", noon, 1, 1),
		hasFacts(id(1), sampleFact("notice/1", dispatch.FactNotice, 5)),
		hasAudit(0, 1, sampleEntry(1)),
	}
	scribbleOverAll := func(dispatch.Tx) error {
		scribble(&account)
		scribble(&batch)
		scribble(&send)
		scribble(&fact)
		return nil
	}
	steps := append(put, scribbleOverAll)
	for range 2 {
		steps = append(append(steps, has...), scribbleOverResults)
	}
	s.update(steps...)
	s.view(append(append(has, scribbleOverResults), has...)...)
	s.holds(has...)
}

// scribbleOverResults changes whatever a transaction returns.
func scribbleOverResults(tx dispatch.Tx) error {
	account, err1 := tx.Account()
	batch, err2 := tx.Batch("b")
	batches, err3 := tx.Batches()
	send, err4 := tx.Send(id(1))
	sends, err5 := tx.Sends("b", 0, 1)
	dueNow, err6 := tx.Due("b", noon, 1)
	facts, err7 := tx.Facts(id(1))
	entries, err8 := tx.Audit(0, 1)
	for _, v := range []any{&account, &batch, &batches, &send, &sends, &dueNow, &facts, &entries} {
		scribble(v)
	}
	return errors.Join(err1, err2, err3, err4, err5, err6, err7, err8)
}

func checkTimes(s *subject) {
	rome := time.FixedZone("CEST", 2*60*60)
	for i, at := range []time.Time{
		time.Date(2026, 10, 25, 2, 30, 0, 0, rome),
		time.Date(2026, 10, 25, 2, 30, 0, 999999000, time.FixedZone("CET", 60*60)),
		time.Date(1999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(2026, 1, 1, 0, 0, 0, 1999, time.FixedZone("", -(3*60+30)*60)),
		time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
	} {
		send := sampleSend("b", int64(i+1))
		kept := at.UTC().Truncate(time.Microsecond)
		f := dispatch.Fact{Key: "k", Kind: dispatch.FactTry, At: at, Notice: &dispatch.Notice{Instant: at}}
		keptFact := dispatch.Fact{Key: "k", Kind: dispatch.FactTry, At: kept,
			Notice: &dispatch.Notice{Instant: at.Truncate(time.Microsecond)}} // in its own offset
		entry := dispatch.AuditEntry{Seq: int64(i + 1), At: at}
		keptEntry := dispatch.AuditEntry{Seq: int64(i + 1), At: kept}
		account := fmt.Sprintf("%d@pec.alfa.example", i)
		s.update(addAudit(entry))
		s.updateOf(account,
			addSend(send, due(at)), addFact(send.ID, f, true),
			hasProgress(send.ID, due(kept)), hasFacts(send.ID, keptFact), hasLastTry(1, kept))
		s.holdsOf(account,
			hasProgress(send.ID, due(kept)), hasFacts(send.ID, keptFact), hasLastTry(1, kept),
			hasDue("b", at, 1, int64(i+1)), hasDue("b", kept.Add(-1), 1))
		s.holds(hasAudit(int64(i), 1, keptEntry))
	}
	s.checkTimesOfRecords(noon.Add(999).In(rome))
}

// checkTimesOfRecords puts a time that is neither in UTC nor whole microseconds
// into the other records that have one.
func (s *subject) checkTimesOfRecords(at time.Time) {
	s.t.Helper()
	records := func(at time.Time) (dispatch.Account, dispatch.Batch, dispatch.Mail) {
		return dispatch.Account{Name: theAccount, PausedUntil: at, Lease: dispatch.Lease{Until: at}},
			dispatch.Batch{Name: "b", Created: at, Approvals: []dispatch.Approval{{At: at, Expires: at}}},
			dispatch.Mail{ID: dispatch.MailID{UID: 1}, Found: at}
	}
	a, b, m := records(at)
	keptA, keptB, keptM := records(noon)
	s.update(
		putAccount(a), putBatch(b), putMail(m),
		hasAccount(keptA), hasBatch(keptB), hasMail(keptM))
	s.holds(hasAccount(keptA), hasBatch(keptB), hasBatches(keptB), hasMail(keptM))
}

// texts are strings that some stores change, confuse with others or choke on.
var texts = map[string]string{
	"accents":          "Società àèìòù, perché?",
	"decomposed":       "Societa\u0300",
	"other scripts":    "Ω я 中文 שלום",
	"outside the BMP":  "📬 𝄞",
	"quotes":           `it's "so" \ and %s ? $1 :x -- /* */; DROP`,
	"blanks":           "  before, after and\ttabs  ",
	"line ends":        "one\r\ntwo\nthree\rfour",
	"line separators":  "one\u2028two\u2029three\u0085",
	"control bytes":    "\x01\x02\x1b[31m\x7f",
	"byte order mark":  "\ufeffx",
	"replacement":      "\ufffd",
	"written escape":   `\ufffd \u0000 &amp; %00`,
	"a number":         "007",
	"JSON":             `{"a":[1,null]}`,
	"NULL":             "NULL",
	"patterns":         "100%_*?[a-z]",
	"slashes and dots": "../../etc/./x//y",
	"long":             strings.Repeat("lungo ", 400),
}

func checkText(s *subject) {
	row := int64(0)
	for name, text := range texts {
		row++
		send := sampleSend(text, row)
		fact := dispatch.Fact{Key: text, Kind: dispatch.FactOutcome, At: noon, Reply: text, Reason: text, Actor: text}
		mail := dispatch.Mail{ID: dispatch.MailID{Folder: text, UID: 1}, Found: noon, Reason: text, Disposition: dispatch.MailUnreadable}
		batch := dispatch.Batch{Name: text, Creator: text}
		entry := dispatch.AuditEntry{Seq: row, At: noon, Actor: text, Detail: text, Batch: text}
		s.update(
			putBatch(batch), addSend(send, due(noon)), addFact(send.ID, fact, true), addFact(send.ID, fact, false),
			putMessageID(text, send.ID, 1), putMail(mail), addAudit(entry))
		has := []step{
			hasBatch(batch), hasSend(send), hasSends(text, 0, 9, row), hasDue(text, noon, 9, row), hasFacts(send.ID, fact),
			hasMessageID(text, send.ID, 1), hasMail(mail), hasAudit(row-1, 1, entry),
		}
		if err := s.View(context.Background(), theAccount, inOrder(has)); err != nil {
			s.t.Errorf("%s: %v", name, err)
		}
		account := dispatch.Account{Name: text, Suspended: text, Cursors: map[string]dispatch.Cursor{text: {UID: 1}}}
		s.updateOf(text, putAccount(account))
		s.viewOf(text, hasAccount(account))
	}
}

// checkOddText gives text that is not UTF-8, or has a NUL byte. It comes from
// outside, so it may not stop anybody.
func checkOddText(s *subject) {
	s.update(addSend(sampleSend("b", 1), due(noon)), putMessageID("1", id(1), 1))
	for name, odd := range map[string]string{
		"Latin-1":   "casella inesistente: perch\xe8",
		"NUL":       "1\x00",
		"cut short": "societ\xc3",
		"surrogate": "\xed\xa0\x80",
	} {
		fact := dispatch.Fact{Key: name, Kind: dispatch.FactOutcome, At: noon, Reply: odd}
		mail := dispatch.Mail{ID: dispatch.MailID{Folder: name}, Found: noon, Disposition: dispatch.MailUnreadable, Reason: odd, Kind: "k\xff"}
		s.update(addFact(id(1), fact, true), putMail(mail))
		err := s.View(context.Background(), theAccount, func(tx dispatch.Tx) error {
			facts, err := tx.Facts(id(1))
			if err != nil {
				return err
			}
			for _, f := range facts {
				if f.Key == name && !isReading(f.Reply, odd) {
					return fmt.Errorf("AddFact kept the reply %q as %q", odd, f.Reply)
				}
			}
			got, err := tx.Mail(mail.ID)
			if err == nil && !isReading(got.Reason, odd) {
				err = fmt.Errorf("PutMail kept the reason %q as %q", odd, got.Reason)
			}
			return err
		})
		if err != nil {
			s.t.Errorf("%s: %v", name, err)
		}
		s.checkOddKey(odd)
	}
}

// isReading reports whether got is what may come back of odd text: each byte that
// is no UTF-8, and each NUL, is U+FFFD, or they are as they were.
func isReading(got, odd string) bool {
	replaced := string([]rune(odd))
	return got == odd || got == replaced || got == strings.ReplaceAll(replaced, "\x00", "\ufffd")
}

// checkOddKey looks for records under a key that is odd text, and puts some. They
// are refused, or they are there.
func (s *subject) checkOddKey(odd string) {
	s.t.Helper()
	lookups := []step{
		hasNoBatch(odd), hasNoMessageID(odd), hasNoSend(dispatch.SendID{Batch: odd, Row: 1}),
		hasSends(odd, 0, 1), hasDue(odd, noon, 1), hasNoMail(dispatch.MailID{Folder: odd}),
		hasMails(dispatch.Disposition(odd), dispatch.MailID{}, 1),
		fails(dispatch.ErrNotFound, hasFacts(dispatch.SendID{Batch: odd, Row: 1})),
		fails(dispatch.ErrNotFound, hasProgress(dispatch.SendID{Batch: odd, Row: 1}, due(noon))),
	}
	s.holds(lookups...)
	ctx := context.Background()
	for _, key := range []struct{ put, has step }{
		{putBatch(dispatch.Batch{Name: odd}), hasBatch(dispatch.Batch{Name: odd})},
		{putMessageID(odd, id(1), 1), hasMessageID(odd, id(1), 1)},
		{addFact(id(1), dispatch.Fact{Key: odd}, true), addFactAgain(odd)},
	} {
		err := s.Update(ctx, theAccount, key.put)
		if err != nil {
			continue // refused
		}
		if err := s.Update(ctx, theAccount, key.has); err != nil {
			s.t.Errorf("under the key %q: %v", odd, err)
		}
	}
}

func addFactAgain(key string) step { return addFact(id(1), dispatch.Fact{Key: key}, false) }

// checkEmpty checks values that are empty rather than nil.
func checkEmpty(s *subject) {
	batch := dispatch.Batch{Name: "b", Seed: []byte{}, Approvals: []dispatch.Approval{}, Counts: map[dispatch.State]int64{}}
	account := dispatch.Account{Name: theAccount, Cursors: map[string]dispatch.Cursor{}}
	send := dispatch.Send{ID: id(1), Content: []dispatch.Piece{{}, {Bytes: []byte{}}, {Size: 3, Bytes: []byte{0, 0xff, '\n'}}}}
	s.update(putBatch(batch), putAccount(account), addSend(send, due(noon)))
	isEmpty := func(tx dispatch.Tx) error {
		b, err1 := tx.Batch("b")
		a, err2 := tx.Account()
		sent, err3 := tx.Send(id(1))
		if err := errors.Join(err1, err2, err3); err != nil {
			return err
		}
		var sizes []int
		for _, p := range sent.Content {
			sizes = append(sizes, len(p.Bytes))
		}
		return same("sizes of empty values",
			[]any{len(b.Seed), len(b.Approvals), len(b.Counts), len(a.Cursors), sizes},
			[]any{0, 0, 0, 0, []int{0, 0, 3}})
	}
	s.holds(isEmpty)
	full, zero := sampleBatch("b", 1), map[dispatch.State]int64{dispatch.Prepared: 0, dispatch.Delivered: 5}
	full.Counts = zero
	s.update(putBatch(full))
	s.holds(hasBatch(full))
	s.update(putBatch(batch)) // what was there is gone
	s.holds(isEmpty)
}
