package dispatch_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/receipt"
)

// failingReads is a store whose blobs can't be read now and then.
type failingReads struct {
	dispatch.Store
	reads atomic.Int64
}

func (s *failingReads) OpenBlob(ctx context.Context, d dispatch.Digest) (dispatch.Blob, error) {
	b, err := s.Store.OpenBlob(ctx, d)
	return failingBlob{b, s}, err
}

type failingBlob struct {
	dispatch.Blob
	s *failingReads
}

func (b failingBlob) ReadAt(p []byte, off int64) (int, error) {
	if b.s.reads.Add(1)%7 == 0 {
		return 0, errors.New("the database is being restarted")
	}
	return b.Blob.ReadAt(p, off)
}

// A message that the store can't give back is no bad message: it is judged again,
// once it can.
func TestBlobReadsFail(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const sends = 20
		store, b := &failingReads{Store: newStore()}, newBox(t)
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", sends))
		stop := start(t, d)
		time.Sleep(24 * time.Hour)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: sends})
		for s, err := range d.Statuses(t.Context(), account, "b") {
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range s.Facts {
				if f.Kind == dispatch.FactClaim || f.Notice != nil && f.Notice.Kind == dispatch.NoticeDelivery && f.Notice.Proof != receipt.Proven {
					t.Errorf("row %d: %s: %s %+v", s.Send.ID.Row, f.Kind, f.Reason, f.Notice)
				}
			}
		}
	})
}
