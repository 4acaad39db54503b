package sqlstore_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
)

// What a store remembers of an account does not grow with what there is.
func TestKnownIsBounded(t *testing.T) {
	const limit, records = 8, 50
	for _, tt := range []struct {
		name string
		put  func(tx dispatch.Tx, i int) error
	}{
		{"batches", func(tx dispatch.Tx, i int) error {
			return tx.PutBatch(dispatch.Batch{Name: fmt.Sprint(i)})
		}},
		{"batches with a send", func(tx dispatch.Tx, i int) error {
			return tx.AddSend(benchSend(fmt.Sprint(i), 1), dispatch.Progress{State: dispatch.Prepared})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openSQLite(t, filepath.Join(t.TempDir(), "sends.db"))
			s.SetCacheSize(limit)
			most := 0
			for i := range records {
				if err := s.Update(context.Background(), account, func(tx dispatch.Tx) error { return tt.put(tx, i) }); err != nil {
					t.Fatal(err)
				}
				most = max(most, s.Remembered())
			}
			if most < limit || most > 4*limit {
				t.Errorf("after %d transactions up to %d records were remembered, want at most %d", records, most, 4*limit)
			}
		})
	}
}

// Whatever is changed of an account draws a version, by which others see that what they
// know is old: also if nothing waits to be written at the end. What is not kept does not.
func TestChangesDrawVersions(t *testing.T) {
	s := openSQLite(t, filepath.Join(t.TempDir(), "sends.db"))
	id := dispatch.SendID{Batch: "b", Row: 1}
	n := int64(1) // a number that was not used yet
	addFact := func(kind dispatch.FactKind) func(dispatch.Tx) error {
		return func(tx dispatch.Tx) error {
			_, err := tx.AddFact(id, dispatch.Fact{Key: fmt.Sprint(n), Kind: kind, At: benchStart})
			return err
		}
	}
	changes := []struct {
		what string
		do   func(dispatch.Tx) error
	}{
		{"PutMessageID", func(tx dispatch.Tx) error { return tx.PutMessageID(fmt.Sprint(n), id, 1) }},
		{"PutMail", func(tx dispatch.Tx) error { return tx.PutMail(dispatch.Mail{ID: dispatch.MailID{Folder: "INBOX"}}) }},
		{"PutBatch", putBatch("b")},
		{"AddSend", func(tx dispatch.Tx) error { return tx.AddSend(benchSend("b", n), dispatch.Progress{}) }},
		{"PutProgress", func(tx dispatch.Tx) error { return tx.PutProgress(id, dispatch.Progress{State: dispatch.Unknown}) }},
		{"AddFact", addFact(dispatch.FactOutcome)},
		{"AddFact of a try", addFact(dispatch.FactTry)},
		{"AddAudit", func(tx dispatch.Tx) error { return tx.AddAudit(dispatch.AuditEntry{Seq: nextSeq(tx)}) }},
		{"PutAccount", func(tx dispatch.Tx) error { return tx.PutAccount(dispatch.Account{Name: account}) }},
	}
	if err := s.Update(t.Context(), account, func(tx dispatch.Tx) error {
		return tx.AddSend(benchSend("b", 1), dispatch.Progress{})
	}); err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{0: true, version(t, s): true}
	flush := func(tx dispatch.Tx) error { _, err := tx.Batches(); return err }
	for _, change := range changes {
		for how, end := range map[string]func(dispatch.Tx) error{
			"written at the end":       func(dispatch.Tx) error { return nil },
			"written before":           flush,
			"written, and given up":    func(tx dispatch.Tx) error { return errors.Join(flush(tx), errGivenUp) },
			"not written but given up": func(dispatch.Tx) error { return errGivenUp },
		} {
			n++
			before := version(t, s)
			err := s.Update(t.Context(), account, func(tx dispatch.Tx) error { return cmp.Or(change.do(tx), end(tx)) })
			switch after := version(t, s); {
			case errors.Is(err, errGivenUp):
				if after != before {
					t.Errorf("%s, %s: another version", change.what, how)
				}
			case err != nil:
				t.Fatalf("%s, %s: %v", change.what, how, err)
			case seen[after]:
				t.Errorf("%s, %s: the version was there before", change.what, how)
			default:
				seen[after] = true
			}
		}
	}
}

// A copy of a running program, such as that of a machine that was cloned, draws the same
// numbers. Neither may take for its own what the other has written.
func TestProgramCopied(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sends.db")
	one, other := openSQLite(t, file), openSQLite(t, file)
	for _, s := range []closing{one, other} {
		same := rand.New(rand.NewPCG(1, 1))
		s.SetDraw(same.Int64)
	}
	for i := range int64(20) {
		for k, s := range []closing{one, other} {
			total := 2*i + int64(k)
			if err := s.Update(t.Context(), account, func(tx dispatch.Tx) error {
				if b, err := tx.Batch("b"); total > 0 && (err != nil || b.Total != total-1) {
					t.Errorf("Batch: got total %d, error %v; want %d", b.Total, err, total-1)
				}
				return tx.PutBatch(dispatch.Batch{Name: "b", Total: total})
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// nextSeq is the one that the next entry has to have.
func nextSeq(tx dispatch.Tx) int64 {
	entries, _ := tx.Audit(0, 1000)
	return int64(len(entries)) + 1
}

func version(t *testing.T, s closing) (v int64) {
	t.Helper()
	if err := s.db.QueryRow("SELECT version FROM accounts WHERE name = $1", account).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
