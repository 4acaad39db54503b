package dispatch_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// replicated is a store with a replica, which lags behind when it is told so. After a
// failover it is the replica that answers.
type replicated struct {
	dispatch.Store
	replica dispatch.Store
	mu      sync.Mutex // keeps the order of changes
	lagging atomic.Bool
	failed  atomic.Bool
}

func replicate(first, second dispatch.Store) *replicated {
	return &replicated{Store: first, replica: second}
}

func (r *replicated) current() dispatch.Store {
	if r.failed.Load() {
		return r.replica
	}
	return r.Store
}

// Update implements [dispatch.Store].
func (r *replicated) Update(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var changes []func(dispatch.Tx) error
	err := r.current().Update(ctx, account, func(tx dispatch.Tx) error {
		changes = nil
		return f(recording{tx, &changes})
	})
	if err != nil || r.lagging.Load() || r.failed.Load() {
		return err
	}
	return r.replica.Update(context.Background(), account, func(tx dispatch.Tx) error {
		for _, change := range changes {
			if err := change(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// View implements [dispatch.Store].
func (r *replicated) View(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	return r.current().View(ctx, account, f)
}

// Accounts implements [dispatch.Store].
func (r *replicated) Accounts(ctx context.Context) iter.Seq2[dispatch.Account, error] {
	return func(yield func(dispatch.Account, error) bool) {
		r.current().Accounts(ctx)(yield)
	}
}

// PutBlob implements [dispatch.Blobs]. Both have all blobs.
func (r *replicated) PutBlob(ctx context.Context, in io.Reader) (dispatch.Digest, int64, error) {
	content, err := io.ReadAll(in)
	if err != nil {
		return dispatch.Digest{}, 0, err
	}
	if _, _, err := r.replica.PutBlob(ctx, bytes.NewReader(content)); err != nil {
		return dispatch.Digest{}, 0, err
	}
	return r.Store.PutBlob(ctx, bytes.NewReader(content))
}

// recording notes what a transaction changes.
type recording struct {
	dispatch.Tx
	changes *[]func(dispatch.Tx) error
}

func (r recording) do(change func(dispatch.Tx) error) error {
	*r.changes = append(*r.changes, change)
	return change(r.Tx)
}

func (r recording) PutAccount(a dispatch.Account) error {
	return r.do(func(tx dispatch.Tx) error { return tx.PutAccount(a) })
}

func (r recording) PutBatch(b dispatch.Batch) error {
	return r.do(func(tx dispatch.Tx) error { return tx.PutBatch(b) })
}

func (r recording) AddSend(s dispatch.Send, p dispatch.Progress) error {
	return r.do(func(tx dispatch.Tx) error { return tx.AddSend(s, p) })
}

func (r recording) PutProgress(id dispatch.SendID, p dispatch.Progress) error {
	return r.do(func(tx dispatch.Tx) error { return tx.PutProgress(id, p) })
}

func (r recording) PutMessageID(messageID string, id dispatch.SendID, attempt int) error {
	return r.do(func(tx dispatch.Tx) error { return tx.PutMessageID(messageID, id, attempt) })
}

func (r recording) AddFact(id dispatch.SendID, f dispatch.Fact) (added bool, err error) {
	err = r.do(func(tx dispatch.Tx) (err error) { added, err = tx.AddFact(id, f); return err })
	return added, err
}

func (r recording) PutMail(m dispatch.Mail) error {
	return r.do(func(tx dispatch.Tx) error { return tx.PutMail(m) })
}

func (r recording) AddAudit(e dispatch.AuditEntry) error {
	return r.do(func(tx dispatch.Tx) error { return tx.AddAudit(e) })
}

// TestFailover has a store go back by some seconds under a running dispatcher, as a
// database does whose replica takes over before it had everything. What has left
// since is in the mailbox, and must be looked for there before anything leaves again.
func TestFailover(t *testing.T) {
	for _, decisions := range []int{0, 100} {
		t.Run(fmt.Sprint("decisions ", decisions), func(t *testing.T) { testFailover(t, decisions) })
	}
}

// testFailover has people decide something so many times right after it: with many,
// the audit trail is longer than it was.
func testFailover(t *testing.T, decisions int) {
	inBubble(t, func(t *testing.T) {
		const n = 10
		b, store := newBox(t), replicate(newStore(), newStore())
		d, people := newDispatcher(t, config(b, store)), newDispatcher(t, config(b, store))
		first, second := ready(t, store, "first", n), ready(t, store, "second", n)
		approve(t, people, first)
		defer start(t, d)()
		time.Sleep(time.Minute)
		approve(t, people, second) // which the worker sees in a second
		store.lagging.Store(true)
		time.Sleep(10 * time.Second)
		if b.sent() != 2*n {
			t.Errorf("%d messages have left, want %d", b.sent(), 2*n)
		}
		store.failed.Store(true)
		for i := range decisions {
			decide := people.Pause
			if i%2 == 1 {
				decide = people.Resume
			}
			if err := decide(dispatch.WithActor(t.Context(), "anna"), account, "second"); err != nil {
				t.Fatal(err)
			}
		}
		approve(t, people, ready(t, store, "third", n))
		time.Sleep(time.Hour)
		b.checkOnce(t)
		checkAudit(t, store)
		for _, batch := range []string{"first", "second", "third"} {
			checkCounts(t, d, batch, counts{dispatch.Delivered: n})
		}
	})
}
