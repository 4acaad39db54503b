package storetest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// Checks of what each method of a transaction does.

// missing is a send that is nowhere.
var missing = dispatch.SendID{Batch: "b", Row: 404}

func id(row int64) dispatch.SendID { return dispatch.SendID{Batch: "b", Row: row} }

func checkAccounts(s *subject) {
	s.hasAccounts()
	s.holds(hasNoAccount())
	a, b := sampleAccount(1), sampleAccount(1000)
	s.update(
		hasNoAccount(),
		putAccount(a),
		hasAccount(a), // seen within the transaction
	)
	s.holds(hasAccount(a))
	s.update(putAccount(b), putAccount(a), putAccount(b))
	s.holds(hasAccount(b))

	// In the order of their bytes: capitals first, digits before letters.
	for _, name := range []string{"b@pec.alfa.example", "B@pec.alfa.example", "10@pec.alfa.example", "9@pec.alfa.example"} {
		a.Name = name
		s.updateOf(name, putAccount(a))
	}
	want := []dispatch.Account{a, a, a, a, b}
	for i, name := range []string{"10@pec.alfa.example", "9@pec.alfa.example", "B@pec.alfa.example", "b@pec.alfa.example"} {
		want[i].Name = name
	}
	s.hasAccounts(want...)
	s.reopen()
	s.hasAccounts(want...)
	for range s.Accounts(context.Background()) {
		break // a caller may stop early
	}
	s.updateOf("9@pec.alfa.example", putBatch(sampleBatch("b", 1)))
}

func (s *subject) hasAccounts(want ...dispatch.Account) {
	s.t.Helper()
	var got []dispatch.Account
	for record, err := range s.Accounts(context.Background()) {
		if err != nil {
			s.t.Fatalf("Accounts: %v", err)
		}
		got = append(got, record)
	}
	if len(got) != len(want) {
		s.t.Fatalf("Accounts: got %d, want %d", len(got), len(want))
	}
	for i := range want {
		if err := same("Accounts", got[i], want[i]); err != nil {
			s.t.Error(err)
		}
	}
}

func checkBatches(s *subject) {
	s.holds(hasNoBatch("b"), hasBatches())
	// In the order of their bytes, not of a language.
	b, capital, accent := sampleBatch("b", 1), sampleBatch("Z", 200), sampleBatch("à", 300)
	s.update(
		putBatch(accent), putBatch(b), putBatch(capital),
		hasBatch(b), hasBatches(capital, b, accent), hasNoBatch("a"),
	)
	s.holds(hasBatch(b), hasBatch(capital), hasBatches(capital, b, accent), hasNoBatch("z"), hasNoBatch(""))

	changed := sampleBatch("b", 400)
	s.update(
		hasBatch(b),
		putBatch(changed),
		hasBatch(changed), hasBatches(capital, changed, accent),
		putBatch(b), putBatch(changed),
	)
	s.holds(hasBatch(changed), hasBatches(capital, changed, accent))
}

func checkSends(s *subject) {
	s.holds(hasNoSend(id(1)), hasSends("b", 0, 10))
	never := dispatch.Progress{State: dispatch.Prepared}
	s.update(
		// A batch need not be there, and rows come in any order.
		addSend(sampleSend("b", 10), never),
		addSend(sampleSend("b", 2), never),
		addSend(sampleSend("b", 9), never),
		addSend(sampleSend("c", 2), never),
		hasSend(sampleSend("b", 9)), hasSends("b", 0, 10, 2, 9, 10),
		fails(dispatch.ErrExists, addSend(sampleSend("b", 9), due(noon))),
		hasSend(sampleSend("b", 9)),
	)
	s.holds(
		hasSend(sampleSend("b", 2)), hasSend(sampleSend("b", 9)), hasSend(sampleSend("c", 2)),
		hasNoSend(id(3)), hasNoSend(dispatch.SendID{Batch: "c", Row: 9}),
	)
	s.update(
		fails(dispatch.ErrExists, addSend(sampleSend("b", 2), due(noon))),
		hasProgress(id(2), never),
		addSend(sampleSend("b", 3), never),
		addSend(sampleSend("b", math.MaxInt64), never),
	)
	s.holds(
		hasSends("b", 0, 10, 2, 3, 9, 10, math.MaxInt64),
		hasSends("b", 0, 2, 2, 3),
		hasSends("b", 3, 2, 9, 10),
		hasSends("b", 4, 1, 9),
		hasSends("b", math.MaxInt64, 10),
		hasSends("b", 0, 0), hasSends("b", 0, -1),
		hasSends("c", 0, 10, 2), hasSends("d", 0, 10),
	)
}

func checkProgress(s *subject) {
	s.holds(fails(dispatch.ErrNotFound, hasProgress(missing, dispatch.Progress{})))
	s.update(fails(dispatch.ErrNotFound, putProgress(missing, due(noon))))
	first, second := due(minutes(1)), due(minutes(2))
	s.update(
		addSend(sampleSend("b", 1), first),
		addSend(sampleSend("b", 2), first),
		hasProgress(id(1), first),
		putProgress(id(1), second),
		hasProgress(id(1), second),
	)
	s.holds(hasProgress(id(1), second), hasProgress(id(2), first))
	for _, state := range dispatch.States() {
		p := dispatch.Progress{State: state}
		s.update(putProgress(id(1), first), putProgress(id(1), p), hasProgress(id(1), p))
		s.view(hasProgress(id(1), p), hasProgress(id(2), first))
	}
	s.update(fails(dispatch.ErrNotFound, putProgress(missing, due(noon))))
	s.holds(hasProgress(id(1), dispatch.Progress{State: dispatch.Conflict}), hasSends("b", 0, 9, 1, 2))
}

func checkDue(s *subject) {
	s.holds(hasDue("b", noon, 10))
	s.update(
		addSend(sampleSend("b", 1), due(minutes(5))),
		addSend(sampleSend("b", 2), due(minutes(0))),
		addSend(sampleSend("b", 3), due(minutes(5))),
		addSend(sampleSend("b", 4), due(minutes(-9000))),
		addSend(sampleSend("b", 5), dispatch.Progress{State: dispatch.Prepared}), // never
		addSend(sampleSend("b", 11), due(minutes(0))),
		addSend(sampleSend("b", 9), due(minutes(0))),
		addSend(sampleSend("c", 1), due(minutes(0))),
		hasDue("b", minutes(5), 10, 4, 2, 9, 11, 1, 3),
	)
	s.holds(
		hasDue("b", minutes(0), 10, 4, 2, 9, 11), // due at that very moment
		hasDue("b", minutes(0).Add(-time.Microsecond), 10, 4),
		hasDue("b", minutes(5), 10, 4, 2, 9, 11, 1, 3),
		hasDue("b", minutes(5), 3, 4, 2, 9),
		hasDue("b", minutes(5), 0), hasDue("b", minutes(5), -1),
		hasDue("b", minutes(5).In(time.FixedZone("", -5*60*60)), 2, 4, 2),
		hasDue("c", minutes(5), 10, 1), hasDue("d", minutes(5), 10),
	)
	s.update(
		putProgress(id(4), dispatch.Progress{State: dispatch.Submitted}),
		putProgress(id(2), due(minutes(6))),
		putProgress(id(5), due(minutes(-1))),
		putProgress(id(3), due(minutes(5))), // as it was
		hasDue("b", minutes(9), 10, 5, 9, 11, 1, 3, 2),
	)
	s.holds(
		hasDue("b", minutes(9), 10, 5, 9, 11, 1, 3, 2),
		hasDue("b", minutes(0), 10, 5, 9, 11),
	)
}

func checkMessageIDs(s *subject) {
	s.holds(hasNoMessageID("a@pec.alfa.example"))
	s.update(
		addSend(sampleSend("b", 1), due(noon)), addSend(sampleSend("b", 2), due(noon)),
		putMessageID("a@pec.alfa.example", id(1), 1),
		hasMessageID("a@pec.alfa.example", id(1), 1),
		putMessageID("b@pec.alfa.example", id(1), 2), // a second attempt
		putMessageID("A@pec.alfa.example", id(2), 1), // another one: the case counts
	)
	s.holds(
		hasMessageID("a@pec.alfa.example", id(1), 1),
		hasMessageID("b@pec.alfa.example", id(1), 2),
		hasMessageID("A@pec.alfa.example", id(2), 1),
		hasNoMessageID("B@pec.alfa.example"), hasNoMessageID(""), hasNoMessageID("<a@pec.alfa.example>"),
	)
	// A Message-ID is used once, by a new send too, and within one transaction.
	s.refuses(dispatch.ErrExists, putMessageID("a@pec.alfa.example", id(2), 1))
	s.refuses(dispatch.ErrExists, putMessageID("a@pec.alfa.example", id(1), 1))
	s.refuses(dispatch.ErrExists, addSend(sampleSend("b", 3), due(noon)), putMessageID("a@pec.alfa.example", id(3), 1))
	s.refuses(dispatch.ErrExists,
		addSend(sampleSend("b", 3), due(noon)),
		putMessageID("c@pec.alfa.example", id(3), 1), putMessageID("c@pec.alfa.example", id(3), 2))
	s.holds(
		hasMessageID("a@pec.alfa.example", id(1), 1),
		hasNoMessageID("c@pec.alfa.example"), hasNoSend(id(3)),
	)
}

// refuses does steps in a transaction that must fail, at one of them or at its
// end.
func (s *subject) refuses(want error, steps ...step) {
	s.t.Helper()
	if err := s.Update(context.Background(), theAccount, inOrder(steps)); !isError(err, want) {
		s.t.Errorf("Update: got error %v, want %v", err, want)
	}
}

func checkFacts(s *subject) {
	attempt := sampleFact("attempt/1", dispatch.FactAttempt, 1)
	notice := sampleFact("notice/x", dispatch.FactNotice, 100)
	other := sampleFact("notice/x", dispatch.FactClaim, 200) // of the same key
	s.holds(fails(dispatch.ErrNotFound, hasFacts(missing)))
	s.update(fails(dispatch.ErrNotFound, addFact(missing, attempt, true)))
	s.update(
		addSend(sampleSend("b", 1), due(noon)), addSend(sampleSend("b", 2), due(noon)),
		hasFacts(id(1)),
		addFact(id(1), attempt, true),
		hasFacts(id(1), attempt),
		addFact(id(1), attempt, false), // within the transaction
		addFact(id(1), notice, true),
		addFact(id(1), other, false),
		addFact(id(2), other, true), // another send's
		hasFacts(id(1), attempt, notice),
	)
	s.holds(hasFacts(id(1), attempt, notice), hasFacts(id(2), other))
	s.update(addFact(id(1), notice, false), addFact(id(1), other, false), addFact(id(2), notice, false))
	s.holds(hasFacts(id(1), attempt, notice), hasFacts(id(2), other))

	bare := dispatch.Fact{Key: "cancel", Kind: dispatch.FactCancel, At: noon}
	s.update(addFact(id(1), bare, true), hasFacts(id(1), attempt, notice, bare))
	s.holds(hasFacts(id(1), attempt, notice, bare), fails(dispatch.ErrNotFound, hasFacts(missing)))
}

func checkLastTries(s *subject) {
	s.holds(hasNoLastTry(1))
	s.update(
		addSend(sampleSend("b", 1), due(noon)), addSend(sampleSend("c", 1), due(noon)),
		hasNoLastTry(1),
		addFact(id(1), sampleTry("try/1/2", minutes(20)), true),
		hasLastTry(1, minutes(20)), hasNoLastTry(2),
		// By when they happened: this one was found out late.
		addFact(id(1), sampleTry("try/1/1", minutes(10)), true),
		hasLastTry(1, minutes(20)), hasLastTry(2, minutes(10)), hasNoLastTry(3),
	)
	s.update(
		hasLastTry(2, minutes(10)),
		// Of all sends and batches of the account; two at one moment are two.
		addFact(dispatch.SendID{Batch: "c", Row: 1}, sampleTry("try/1/1", minutes(20)), true),
		addFact(id(1), sampleTry("try/1/1", minutes(90)), false),           // known already
		addFact(id(1), sampleFact("x", dispatch.FactOutcome, 99999), true), // no try
		hasLastTry(1, minutes(20)), hasLastTry(2, minutes(20)), hasLastTry(3, minutes(10)), hasNoLastTry(4),
	)
	s.holds(
		hasLastTry(1, minutes(20)), hasLastTry(2, minutes(20)), hasLastTry(3, minutes(10)),
		hasNoLastTry(4), hasNoLastTry(0), hasNoLastTry(-1), hasNoLastTry(math.MaxInt32),
	)
	s.checkManyTries()
}

// checkManyTries asks in the middle of many, while more are added, which is how
// quotas are checked.
func (s *subject) checkManyTries() {
	s.t.Helper()
	const many = 200
	for block := range 2 {
		var steps []step
		for i := range many {
			n := block*many + i
			steps = append(steps, addFact(id(1), sampleTry(fmt.Sprintf("try/2/%d", n), minutes(1000+n)), true))
			if n >= 150 {
				steps = append(steps, hasLastTry(1, minutes(1000+n)), hasLastTry(150, minutes(1000+n-149)))
			}
		}
		s.update(steps...)
	}
	s.holds(
		hasLastTry(1, minutes(1399)), hasLastTry(2*many, minutes(1000)),
		hasLastTry(2*many+1, minutes(20)), hasNoLastTry(2*many+4),
	)
}

func checkMail(s *subject) {
	id := dispatch.MailID{Folder: "INBOX", UIDValidity: 7, UID: 1}
	s.holds(hasNoMail(id))
	claim, matched := sampleMail(id, dispatch.MailClaim), sampleMail(id, dispatch.MailMatched)
	matched.Reason = "looked at again"
	s.update(putMail(claim), hasMail(claim))
	s.holds(hasMail(claim), hasMails(dispatch.MailClaim, dispatch.MailID{}, 9, claim))
	s.update(hasMail(claim), putMail(matched), hasMail(matched))
	s.holds(
		hasMail(matched),
		hasMails(dispatch.MailClaim, dispatch.MailID{}, 9), hasMails(dispatch.MailMatched, dispatch.MailID{}, 9, matched),
		hasNoMail(dispatch.MailID{Folder: "INBOX", UIDValidity: 7, UID: 2}),
		hasNoMail(dispatch.MailID{Folder: "INBOX", UIDValidity: 8, UID: 1}),
		hasNoMail(dispatch.MailID{Folder: "Inbox", UIDValidity: 7, UID: 1}),
	)
	unread := dispatch.Mail{ID: dispatch.MailID{Folder: "INBOX", UIDValidity: 7, UID: 3}, Found: noon, Disposition: dispatch.MailUnreadable}
	s.update(putMail(unread))
	s.holds(hasMail(unread))
}

func checkMailLists(s *subject) {
	orphan := func(folder string, uidValidity, uid uint32) dispatch.Mail {
		return sampleMail(dispatch.MailID{Folder: folder, UIDValidity: uidValidity, UID: uid}, dispatch.MailOrphan)
	}
	// In their order: folders by their bytes, numbers by their value, to the last.
	list := []dispatch.Mail{
		orphan("Archivio", 1, 1),
		orphan("INBOX", 9, 5),
		orphan("INBOX", 10, 2),
		orphan("INBOX", 10, 10),
		orphan("INBOX", 10, math.MaxUint32),
		orphan("INBOX", math.MaxUint32, 1),
		orphan("Inbox", 1, 1),
		orphan("Più vecchi", 1, 1),
	}
	claim := sampleMail(dispatch.MailID{Folder: "INBOX", UIDValidity: 10, UID: 3}, dispatch.MailClaim)
	steps := []step{putMail(claim)}
	for _, m := range slices.Backward(list) {
		steps = append(steps, putMail(m))
	}
	start := dispatch.MailID{}
	s.update(append(steps, hasMails(dispatch.MailOrphan, start, 10, list...))...)
	s.holds(
		hasMails(dispatch.MailOrphan, start, 10, list...),
		hasMails(dispatch.MailOrphan, start, 2, list[:2]...),
		hasMails(dispatch.MailOrphan, list[1].ID, 2, list[2:4]...),
		hasMails(dispatch.MailOrphan, claim.ID, 1, list[3]), // after a place with other mail
		hasMails(dispatch.MailOrphan, list[4].ID, 10, list[5:]...),
		hasMails(dispatch.MailOrphan, list[7].ID, 10),
		hasMails(dispatch.MailOrphan, start, 0), hasMails(dispatch.MailOrphan, start, -1),
		hasMails(dispatch.MailClaim, start, 10, claim),
		hasMails(dispatch.MailMatched, start, 10),
	)
}

func checkAudit(s *subject) {
	e := []dispatch.AuditEntry{sampleEntry(0), sampleEntry(1), sampleEntry(2), sampleEntry(3)}
	s.holds(hasAudit(0, 10))
	s.update(
		fails(dispatch.ErrExists, addAudit(e[2])), // the first is 1
		fails(dispatch.ErrExists, addAudit(e[0])),
		addAudit(e[1]),
		hasAudit(0, 10, e[1]),
		fails(dispatch.ErrExists, addAudit(e[1])),
		addAudit(e[2]),
	)
	s.holds(hasAudit(0, 10, e[1], e[2]))
	s.update(fails(dispatch.ErrExists, addAudit(e[2])), fails(dispatch.ErrExists, addAudit(sampleEntry(4))), addAudit(e[3]))
	s.holds(
		hasAudit(0, 10, e[1], e[2], e[3]),
		hasAudit(0, 2, e[1], e[2]), hasAudit(2, 2, e[3]), hasAudit(3, 2),
		hasAudit(0, 0), hasAudit(0, -1), hasAudit(-5, 1, e[1]), hasAudit(math.MaxInt64, 1),
	)
}
