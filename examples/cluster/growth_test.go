//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

// The benchmarks of this file ask what a send costs when there are many others, and
// what a question costs when much is stored. There is no network: messages are taken
// at once by whoever they are given to.
//
//	go test -run '^$' -bench 'Growth|Accounts' -benchtime 1x -timeout 1h .
//	GOPEC_LONG=1 go test -run '^$' -bench Stored -timeout 3h .

// sink takes every message.
type sink struct{}

func (sink) Open(context.Context) (dispatch.SubmitSession, error) { return sink{}, nil }
func (sink) Close() error                                         { return nil }

func (sink) Submit(_ context.Context, m dispatch.Submission, commit func() error) dispatch.Result {
	if _, err := io.Copy(io.Discard, m.Message); err != nil {
		return dispatch.Result{Outcome: dispatch.OutcomeNotSent, Err: err}
	}
	if err := commit(); err != nil {
		return dispatch.Result{Outcome: dispatch.OutcomeNotSent, Err: err}
	}
	return dispatch.Result{Outcome: dispatch.OutcomeSubmitted, Code: 250, Reply: "2.0.0 Ok"}
}

func accountNumber(i int) pec.Address {
	return pec.MustParseAddress(fmt.Sprintf("casella%d@pec.alfa.example", i))
}

// sinkAccounts are accounts that send into the sink, over eight connections.
func sinkAccounts(n int) []dispatch.AccountConfig {
	list := make([]dispatch.AccountConfig, n)
	for i := range list {
		list[i] = dispatch.AccountConfig{
			Address:   accountNumber(i + 1),
			Profile:   pec.Profile{Name: "sink", PerMinute: 1_000_000_000, Connections: eight, MaxRecipients: 1},
			Submitter: sink{},
		}
	}
	return list
}

// stored is how a send is put into the database by the thousands: what the program
// would put there, made by the database itself.
const stored = `
	WITH made AS (
		SELECT n, convert_to('Subject: Avviso ' || n || E'\r\n\r\n' || repeat(E'la informiamo che...\r\n', 12), 'UTF8') AS own
		FROM generate_series(1, $2::bigint) n
	), s AS (
		INSERT INTO sends (account, batch, row_no, recipient, message_id, digest, size, pieces, own)
		SELECT $1::text, 'b', n, 'r' || n || '@pec.beta.example', '<' || md5($1::text || n) || '@pec.alfa.example>',
			encode(sha256(own), 'hex'), length(own), json_build_array(json_build_object('size', length(own), 'own', length(own))), own FROM made
	), m AS (
		INSERT INTO message_ids (account, message_id, batch, row_no, attempt)
		SELECT $1::text, md5($1::text || n) || '@pec.alfa.example', 'b', n, 1 FROM made
	), f AS (
		INSERT INTO facts (account, batch, row_no, key, kind, happened, attempt, try_no, rest)
		SELECT $1::text, 'b', n, 'try/1/1', 'try', '2026-03-02 08:00:00Z', 1, 1, '{}' FROM made WHERE n <= $3::bigint
	)
	INSERT INTO progress (account, batch, row_no, state, due)
	SELECT $1::text, 'b', n, CASE WHEN n <= $3::bigint THEN 'unknown' ELSE 'prepared' END,
		CASE WHEN n <= $3::bigint THEN NULL ELSE timestamptz '2026-03-02 08:00:00Z' END FROM made`

// fill puts a batch of sends into an account, of which the first ones have left.
func fill(b *testing.B, s store, account pec.Address, sends, left int64) {
	b.Helper()
	if _, err := s.db.ExecContext(b.Context(), stored, dispatch.AccountName(account), sends, left); err != nil {
		b.Error(err)
		return
	}
	digest := dispatch.Digest{1}
	batch := dispatch.Batch{
		Name: "b", Account: account, Phase: dispatch.PhaseApproved, Total: sends, Digest: digest,
		Approvals: []dispatch.Approval{{Actor: "anna", Digest: digest}},
		Counts:    map[dispatch.State]int64{dispatch.Prepared: sends - left, dispatch.Unknown: left},
	}
	if left == 0 {
		delete(batch.Counts, dispatch.Unknown)
	}
	err := s.Update(b.Context(), dispatch.AccountName(account), func(tx dispatch.Tx) error {
		return tx.PutBatch(batch)
	})
	if err != nil {
		b.Error(err)
	}
}

// tidy does what the database does by itself some time after much was stored.
func tidy(b *testing.B, s store) {
	b.Helper()
	for _, statement := range []string{"VACUUM ANALYZE sends, progress, message_ids, facts", "CHECKPOINT"} {
		if _, err := s.db.ExecContext(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGrowth sends some messages of batches of different sizes.
func BenchmarkGrowth(b *testing.B) {
	for _, size := range []int64{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("of=%d", size), func(b *testing.B) {
			s := openPostgreSQL(b)
			fill(b, s, accountNumber(1), size, 0)
			tidy(b, s)
			perSend(b, s, 1, 300)
		})
	}
}

// BenchmarkAccounts sends the same number of messages of different numbers of
// accounts.
func BenchmarkAccounts(b *testing.B) {
	for _, accounts := range []int{1, 10, 50, 200} {
		b.Run(fmt.Sprintf("of=%d", accounts), func(b *testing.B) {
			s := openPostgreSQL(b)
			const messages, rounds = 2000, 3
			for n := range accounts { // with what is in hand when a round ends
				fill(b, s, accountNumber(n+1), int64(rounds*(messages/accounts+2*eight)), 0)
			}
			tidy(b, s)
			perSend(b, s, accounts, messages)
		})
	}
}

// perSend sends three times and reports what a send cost at the best of them: what
// else the machine does makes none faster.
func perSend(b *testing.B, s store, accounts, messages int) {
	best := time.Duration(math.MaxInt64)
	for range 3 {
		best = min(best, sendSome(b, s, sinkAccounts(accounts), messages))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(best.Microseconds())/float64(messages), "µs/send")
}

// sendSome returns how long a dispatcher takes from the first message to the last.
func sendSome(b *testing.B, s store, accounts []dispatch.AccountConfig, messages int) time.Duration {
	b.Helper()
	var mu sync.Mutex
	var first, last time.Time
	submitted := 0
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	d, err := dispatch.New(dispatch.Config{
		Store: s, Accounts: accounts,
		Observe: func(e dispatch.Event) {
			mu.Lock()
			defer mu.Unlock()
			if first.IsZero() && e.Kind == dispatch.EventSend {
				first = time.Now()
			}
			if e.To == dispatch.Submitted {
				if submitted++; submitted == messages {
					last = time.Now()
					stop()
				}
			}
		},
	})
	if err == nil {
		err = d.Run(ctx)
	}
	if err != nil {
		b.Fatal(err)
	}
	return last.Sub(first)
}

// BenchmarkStored asks what a worker and a person ask, with different numbers of
// sends stored, of 200 accounts, nine of ten of which have left.
func BenchmarkStored(b *testing.B) {
	const accounts = 200
	sizes := []int64{10_000, 100_000}
	if os.Getenv("GOPEC_LONG") != "" {
		sizes = append(sizes, 1_000_000, 10_000_000)
	}
	for _, size := range sizes {
		b.Run(fmt.Sprintf("sends=%d", size), func(b *testing.B) {
			s := openPostgreSQL(b)
			each := size / accounts
			start := time.Now()
			var filling sync.WaitGroup
			for k := range 2 { // one processor each
				filling.Go(func() {
					for n := k; n < accounts && !b.Failed(); n += 2 {
						fill(b, s, accountNumber(n+1), each, each*9/10)
					}
				})
			}
			filling.Wait()
			tidy(b, s)
			b.Logf("%d sends stored in %v", size, time.Since(start).Round(time.Second))
			askAll(b, s, accounts, each)
		})
	}
}

// askAll measures each question.
func askAll(b *testing.B, s store, accounts int, each int64) {
	d, err := dispatch.New(dispatch.Config{Store: s})
	if err != nil {
		b.Fatal(err)
	}
	questions := []struct {
		name string
		ask  func(account pec.Address, row int64) error
	}{
		{"claim", func(account pec.Address, _ int64) error { // what a worker looks for, time and again
			return s.View(b.Context(), dispatch.AccountName(account), func(tx dispatch.Tx) error {
				if _, err := tx.Batches(); err != nil {
					return err
				}
				due, err := tx.Due("b", time.Now(), 200)
				if err == nil && len(due) == 0 {
					err = dispatch.ErrNotFound
				}
				return err
			})
		}},
		{"status", func(account pec.Address, row int64) error {
			_, err := d.Status(b.Context(), account, dispatch.SendID{Batch: "b", Row: row})
			return err
		}},
		{"counts", func(account pec.Address, _ int64) error {
			_, err := d.Batch(b.Context(), account, "b")
			return err
		}},
		{"page", func(account pec.Address, row int64) error { // of a list of sends
			return s.View(b.Context(), dispatch.AccountName(account), func(tx dispatch.Tx) error {
				_, err := tx.Sends("b", row, 50)
				return err
			})
		}},
		{"receipt", func(account pec.Address, row int64) error { // whose is it?
			return s.View(b.Context(), dispatch.AccountName(account), func(tx dispatch.Tx) error {
				send, err := tx.Send(dispatch.SendID{Batch: "b", Row: row})
				if err != nil {
					return err
				}
				_, _, err = tx.SendByMessageID(strings.Trim(send.MessageID, "<>"))
				return err
			})
		}},
	}
	for _, q := range questions {
		b.Run(q.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if err := q.ask(accountNumber(i*7%accounts+1), 1+int64(i)*7919%each); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
