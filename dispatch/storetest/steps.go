package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// fails does a step that must fail with a given error.
func fails(want error, s step) step {
	return func(tx dispatch.Tx) error {
		if err := s(tx); !errors.Is(err, want) {
			return fmt.Errorf("got error %v, want %v", err, want)
		}
		return nil
	}
}

// same fails unless two values say the same. They are compared as JSON, in which
// a time shows its offset.
func same(call string, got, want any) error {
	g, w := asJSON(got), asJSON(want)
	if g != w {
		return fmt.Errorf("%s:\n got %s\nwant %s", call, g, w)
	}
	return nil
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%#v (%v)", v, err)
	}
	return string(b)
}

// wrong says which call failed.
func wrong(err error, call string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(call, args...), err)
}

func putAccount(a dispatch.Account) step {
	return func(tx dispatch.Tx) error { return wrong(tx.PutAccount(a), "PutAccount") }
}

func hasAccount(want dispatch.Account) step {
	return func(tx dispatch.Tx) error {
		got, err := tx.Account()
		if err != nil {
			return wrong(err, "Account()")
		}
		return same("Account()", got, want)
	}
}

func hasNoAccount() step {
	return fails(dispatch.ErrNotFound, func(tx dispatch.Tx) error {
		_, err := tx.Account()
		return wrong(err, "Account()")
	})
}

func putBatch(b dispatch.Batch) step {
	return func(tx dispatch.Tx) error { return wrong(tx.PutBatch(b), "PutBatch(%q)", b.Name) }
}

func hasBatch(want dispatch.Batch) step {
	return func(tx dispatch.Tx) error {
		got, err := tx.Batch(want.Name)
		if err != nil {
			return wrong(err, "Batch(%q)", want.Name)
		}
		return same("Batch", got, want)
	}
}

func hasNoBatch(name string) step {
	return fails(dispatch.ErrNotFound, func(tx dispatch.Tx) error {
		_, err := tx.Batch(name)
		return wrong(err, "Batch(%q)", name)
	})
}

// hasBatches wants these and no others, in this order.
func hasBatches(want ...dispatch.Batch) step {
	return func(tx dispatch.Tx) error {
		got, err := tx.Batches()
		if err != nil {
			return wrong(err, "Batches()")
		}
		return sameList("Batches()", got, want)
	}
}

// sameList is same for lists, in which nil is empty.
func sameList[T any](call string, got, want []T) error {
	if len(got) == 0 && len(want) == 0 {
		return nil
	}
	return same(call, got, want)
}

func addSend(s dispatch.Send, p dispatch.Progress) step {
	return func(tx dispatch.Tx) error { return wrong(tx.AddSend(s, p), "AddSend(%v)", s.ID) }
}

func hasSend(want dispatch.Send) step {
	return func(tx dispatch.Tx) error {
		got, err := tx.Send(want.ID)
		if err != nil {
			return wrong(err, "Send(%v)", want.ID)
		}
		return same("Send", got, want)
	}
}

func hasNoSend(id dispatch.SendID) step {
	return fails(dispatch.ErrNotFound, func(tx dispatch.Tx) error {
		_, err := tx.Send(id)
		return wrong(err, "Send(%v)", id)
	})
}

// hasSends wants the sends of these rows, in this order.
func hasSends(batch string, after int64, limit int, rows ...int64) step {
	return func(tx dispatch.Tx) error {
		got, err := tx.Sends(batch, after, limit)
		if err != nil {
			return wrong(err, "Sends(%q, %d, %d)", batch, after, limit)
		}
		return sameList(fmt.Sprintf("Sends(%q, %d, %d)", batch, after, limit), got, sampleSends(batch, rows))
	}
}

// hasDue wants the sends of these rows to be due, in this order.
func hasDue(batch string, now time.Time, limit int, rows ...int64) step {
	return func(tx dispatch.Tx) error {
		call := fmt.Sprintf("Due(%q, %s, %d)", batch, now.Format(time.RFC3339Nano), limit)
		got, err := tx.Due(batch, now, limit)
		if err != nil {
			return wrong(err, "%s", call)
		}
		return sameList(call, got, sampleSends(batch, rows))
	}
}

func putProgress(id dispatch.SendID, p dispatch.Progress) step {
	return func(tx dispatch.Tx) error { return wrong(tx.PutProgress(id, p), "PutProgress(%v)", id) }
}

func hasProgress(id dispatch.SendID, want dispatch.Progress) step {
	return func(tx dispatch.Tx) error {
		got, err := tx.Progress(id)
		if err != nil {
			return wrong(err, "Progress(%v)", id)
		}
		return same(fmt.Sprintf("Progress(%v)", id), got, want)
	}
}

func putMessageID(messageID string, id dispatch.SendID, attempt int) step {
	return func(tx dispatch.Tx) error {
		return wrong(tx.PutMessageID(messageID, id, attempt), "PutMessageID(%q)", messageID)
	}
}

func hasMessageID(messageID string, id dispatch.SendID, attempt int) step {
	return func(tx dispatch.Tx) error {
		gotID, gotAttempt, err := tx.SendByMessageID(messageID)
		if err != nil {
			return wrong(err, "SendByMessageID(%q)", messageID)
		}
		return same(fmt.Sprintf("SendByMessageID(%q)", messageID), []any{gotID, gotAttempt}, []any{id, attempt})
	}
}

func hasNoMessageID(messageID string) step {
	return fails(dispatch.ErrNotFound, func(tx dispatch.Tx) error {
		_, _, err := tx.SendByMessageID(messageID)
		return wrong(err, "SendByMessageID(%q)", messageID)
	})
}

// addFact adds a fact; new says whether it is to be taken.
func addFact(id dispatch.SendID, f dispatch.Fact, isNew bool) step {
	return func(tx dispatch.Tx) error {
		call := fmt.Sprintf("AddFact(%v, %q)", id, f.Key)
		added, err := tx.AddFact(id, f)
		if err != nil {
			return wrong(err, "%s", call)
		}
		return same(call, added, isNew)
	}
}

// hasFacts wants these facts and no others, in any order.
func hasFacts(id dispatch.SendID, want ...dispatch.Fact) step {
	return func(tx dispatch.Tx) error {
		got, err := tx.Facts(id)
		if err != nil {
			return wrong(err, "Facts(%v)", id)
		}
		return sameList(fmt.Sprintf("Facts(%v)", id), byKey(got), byKey(want))
	}
}

func byKey(facts []dispatch.Fact) []dispatch.Fact {
	return slices.SortedFunc(slices.Values(facts), func(a, b dispatch.Fact) int {
		return slices.Compare([]byte(a.Key), []byte(b.Key))
	})
}

func hasLastTry(n int, want time.Time) step {
	return func(tx dispatch.Tx) error {
		got, err := tx.NthLastTry(n)
		if err != nil {
			return wrong(err, "NthLastTry(%d)", n)
		}
		return same(fmt.Sprintf("NthLastTry(%d)", n), got, want)
	}
}

func hasNoLastTry(n int) step {
	return fails(dispatch.ErrNotFound, func(tx dispatch.Tx) error {
		_, err := tx.NthLastTry(n)
		return wrong(err, "NthLastTry(%d)", n)
	})
}

func putMail(m dispatch.Mail) step {
	return func(tx dispatch.Tx) error { return wrong(tx.PutMail(m), "PutMail(%v)", m.ID) }
}

func hasMail(want dispatch.Mail) step {
	return func(tx dispatch.Tx) error {
		got, err := tx.Mail(want.ID)
		if err != nil {
			return wrong(err, "Mail(%v)", want.ID)
		}
		return same("Mail", got, want)
	}
}

func hasNoMail(id dispatch.MailID) step {
	return fails(dispatch.ErrNotFound, func(tx dispatch.Tx) error {
		_, err := tx.Mail(id)
		return wrong(err, "Mail(%v)", id)
	})
}

// hasMails wants these and no others, in this order.
func hasMails(d dispatch.Disposition, after dispatch.MailID, limit int, want ...dispatch.Mail) step {
	return func(tx dispatch.Tx) error {
		call := fmt.Sprintf("Mails(%q, %v, %d)", d, after, limit)
		got, err := tx.Mails(d, after, limit)
		if err != nil {
			return wrong(err, "%s", call)
		}
		return sameList(call, got, want)
	}
}

func addAudit(e dispatch.AuditEntry) step {
	return func(tx dispatch.Tx) error { return wrong(tx.AddAudit(e), "AddAudit(%d)", e.Seq) }
}

// hasAudit wants these entries and no others, in this order.
func hasAudit(after int64, limit int, want ...dispatch.AuditEntry) step {
	return func(tx dispatch.Tx) error {
		call := fmt.Sprintf("Audit(%d, %d)", after, limit)
		got, err := tx.Audit(after, limit)
		if err != nil {
			return wrong(err, "%s", call)
		}
		return sameList(call, got, want)
	}
}
