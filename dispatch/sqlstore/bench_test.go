package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/pec"
)

// Benchmarks of what a dispatcher does with a store. They are for comparing stores
// with each other in one run, and a store with itself when it has more in it; the
// memory store is the measure.

const benchAccount = "ufficio@pec.alfa.example"

// benchStores are the stores that are compared.
func benchStores(b *testing.B, f func(b *testing.B, s dispatch.Store)) {
	b.Run("memory", func(b *testing.B) { f(b, new(memstore.Store)) })
	keepOpen := func(s closing) closing { s.db.SetMaxIdleConns(8); return s }
	b.Run("sqlite", func(b *testing.B) { f(b, keepOpen(openSQLite(b, filepath.Join(b.TempDir(), "sends.db")))) })
	b.Run("postgresql", func(b *testing.B) { f(b, keepOpen(openPostgres(b, b.TempDir()))) })
}

func update(b *testing.B, s dispatch.Store, f func(tx dispatch.Tx) error) {
	b.Helper()
	if err := s.Update(context.Background(), benchAccount, f); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAccounts has eight accounts work at once, each in a transaction after
// another. What one of them writes is flushed to the disk with what others write,
// if the store can.
func BenchmarkAccounts(b *testing.B) {
	benchStores(b, func(b *testing.B, s dispatch.Store) {
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				for i := n; i < b.N; i += 8 {
					err := s.Update(context.Background(), fmt.Sprintf("ufficio%d@pec.alfa.example", n), func(tx dispatch.Tx) error {
						send := benchSend("b", int64(i+1))
						if err := tx.AddSend(send, dispatch.Progress{State: dispatch.Prepared, Due: benchStart}); err != nil {
							return err
						}
						return tx.PutBatch(dispatch.Batch{Name: "b", Total: int64(i)})
					})
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

var benchStart = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// benchSend is a send with two kilobytes of its own and a shared attachment.
func benchSend(batch string, row int64) dispatch.Send {
	recipient, err := pec.ParseAddress(fmt.Sprintf("casella%d@pec.beta.example", row))
	if err != nil {
		panic(err)
	}
	text := strings.Repeat("Gentile destinatario, la informiamo che...\r\n", 46)
	return dispatch.Send{
		ID:        dispatch.SendID{Batch: batch, Row: row},
		Recipient: recipient,
		MessageID: fmt.Sprintf("<%s.%d.aGVsbG8gd29ybGQ@pec.alfa.example>", batch, row),
		Content:   []dispatch.Piece{{Bytes: []byte(text), Size: int64(len(text))}, {Blob: dispatch.Digest{1}, Size: 1 << 20}},
		Digest:    dispatch.Digest{byte(row), byte(row >> 8), byte(row >> 16), 1},
		Size:      int64(len(text)) + 1<<20,
	}
}

// addSends adds sends as the expansion of a batch does, many to a transaction.
func addSends(b *testing.B, s dispatch.Store, batch string, from, to int64) {
	b.Helper()
	const chunk = 500
	for row := from; row <= to; {
		update(b, s, func(tx dispatch.Tx) error {
			for end := min(row+chunk-1, to); row <= end; row++ {
				send := benchSend(batch, row)
				if err := tx.AddSend(send, dispatch.Progress{State: dispatch.Prepared, Due: benchStart}); err != nil {
					return err
				}
				if err := tx.PutMessageID(strings.Trim(send.MessageID, "<>"), send.ID, 1); err != nil {
					return err
				}
				if _, err := tx.AddFact(send.ID, dispatch.Fact{
					Key: "attempt/1", Kind: dispatch.FactAttempt, At: benchStart, Attempt: 1, MessageID: send.MessageID, Content: send.Digest,
				}); err != nil {
					return err
				}
			}
			return tx.PutBatch(dispatch.Batch{Name: batch, Total: row})
		})
	}
}

// BenchmarkAddSends adds sends, as expansion does.
func BenchmarkAddSends(b *testing.B) {
	benchStores(b, func(b *testing.B, s dispatch.Store) {
		b.ResetTimer()
		addSends(b, s, "b", 1, int64(b.N))
	})
}

// addFact does what a dispatcher does when it learns something about a send: look,
// add, find the state anew, write it down.
func addFact(tx dispatch.Tx, id dispatch.SendID, f dispatch.Fact, p dispatch.Progress, seq int64) error {
	if _, err := tx.Progress(id); err != nil {
		return err
	}
	if f.Kind == dispatch.FactTry {
		for _, n := range []int{100, 5000} { // quotas
			if _, err := tx.NthLastTry(n); err != nil && !errors.Is(err, dispatch.ErrNotFound) {
				return err
			}
		}
	}
	if _, err := tx.AddFact(id, f); err != nil {
		return err
	}
	if _, err := tx.Facts(id); err != nil {
		return err
	}
	if err := tx.PutProgress(id, p); err != nil {
		return err
	}
	return tx.AddAudit(dispatch.AuditEntry{Seq: seq, At: benchStart, Actor: "worker", Action: string(f.Kind), Batch: id.Batch, Row: id.Row})
}

// step takes sends one step further, in one transaction.
func step(b *testing.B, s dispatch.Store, ids []dispatch.SendID, f dispatch.Fact, p dispatch.Progress) {
	b.Helper()
	update(b, s, func(tx dispatch.Tx) error {
		a, err := tx.Account()
		if err != nil && !errors.Is(err, dispatch.ErrNotFound) {
			return err
		}
		batch, err := tx.Batch("b")
		if err != nil {
			return err
		}
		for _, id := range ids {
			a.AuditSeq++
			f.At = benchStart.Add(time.Duration(a.AuditSeq) * time.Millisecond)
			if err := addFact(tx, id, f, p, a.AuditSeq); err != nil {
				return err
			}
		}
		return errors.Join(tx.PutBatch(batch), tx.PutAccount(a))
	})
}

// BenchmarkSend takes sends through their two transactions, the intent and the
// outcome, alone or eight together, as they come from eight connections.
func BenchmarkSend(b *testing.B) {
	for _, together := range []int{1, 8} {
		b.Run(fmt.Sprintf("together=%d", together), func(b *testing.B) {
			benchStores(b, func(b *testing.B, s dispatch.Store) {
				addSends(b, s, "b", 1, int64(b.N))
				b.ResetTimer()
				var ids []dispatch.SendID
				for row := int64(1); row <= int64(b.N); row++ {
					if ids = append(ids, dispatch.SendID{Batch: "b", Row: row}); len(ids) < together && row < int64(b.N) {
						continue
					}
					step(b, s, ids, dispatch.Fact{Key: "try/1/1", Kind: dispatch.FactTry, Attempt: 1, Try: 1}, dispatch.Progress{State: dispatch.Unknown})
					step(b, s, ids, dispatch.Fact{Key: "outcome/1/1", Kind: dispatch.FactOutcome, Attempt: 1, Try: 1, Outcome: dispatch.OutcomeSubmitted,
						Code: 250, Reply: "2.0.0 Ok: queued as 4F1C2"}, dispatch.Progress{State: dispatch.Submitted})
					ids = ids[:0]
				}
			})
		})
	}
}

// BenchmarkDue asks for what is due, and for a page of sends, in batches of
// different sizes.
func BenchmarkDue(b *testing.B) {
	for _, size := range []int64{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("of=%d", size), func(b *testing.B) {
			benchStores(b, func(b *testing.B, s dispatch.Store) {
				addSends(b, s, "b", 1, size)
				b.ResetTimer()
				for b.Loop() {
					err := s.View(context.Background(), benchAccount, func(tx dispatch.Tx) error {
						_, err1 := tx.Due("b", benchStart, 100)
						_, err2 := tx.Sends("b", size/2, 100)
						_, _, err3 := tx.SendByMessageID(strings.Trim(benchSend("b", size/3).MessageID, "<>"))
						return errors.Join(err1, err2, err3)
					})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
