package dispatch_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/storetest"
)

// faulty returns a store that fails as plan says, once it is told to begin.
func faulty(plan func() storetest.Fault) (store *storetest.Faulty, begin, end func()) {
	var mu sync.Mutex
	active := false
	set := func(on bool) func() {
		return func() { mu.Lock(); defer mu.Unlock(); active = on }
	}
	store = &storetest.Faulty{Store: newStore(), Fault: func(string) storetest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if !active {
			return storetest.NoFault
		}
		return plan()
	}}
	return store, set(true), set(false)
}

// silenced is a store that nothing can be written to while it is told so, as if the
// worker that uses it were cut off.
type silenced struct {
	storetest.Faulty
	still atomic.Bool
}

func silence(store dispatch.Store) *silenced {
	s := new(silenced)
	s.Faulty = storetest.Faulty{Store: store, Fault: func(string) storetest.Fault {
		if s.still.Load() {
			return storetest.NotKept
		}
		return storetest.NoFault
	}}
	return s
}

// TestStoreFails has transactions fail now and then, in each way in which a store
// can. Nothing may be sent twice, nothing may be lost.
func TestStoreFails(t *testing.T) {
	often := func(f storetest.Fault) func() storetest.Fault {
		return func() storetest.Fault {
			if rand.N(3) == 0 {
				return f
			}
			return storetest.NoFault
		}
	}
	tests := []struct {
		name string
		plan func() storetest.Fault
	}{
		{"and keeps nothing", often(storetest.NotKept)},
		{"and keeps everything, but the answer is lost", often(storetest.Kept)},
		{"by conflict", often(storetest.Conflicts)},
		{"in any way", func() storetest.Fault {
			return []storetest.Fault{storetest.NoFault, storetest.NoFault, storetest.NotKept, storetest.Kept, storetest.Conflicts}[rand.N(5)]
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, begin, end := faulty(tt.plan)
				b := newBox(t)
				d := newDispatcher(t, config(b, store))
				approve(t, d, ready(t, store, "b", 60))
				begin()
				stop := start(t, d)
				time.Sleep(3 * time.Hour)
				end()
				time.Sleep(3 * time.Hour)
				stop()
				b.checkOnce(t)
				checkAudit(t, store)
				batch, err := d.Batch(t.Context(), account, "b")
				if err != nil {
					t.Fatal(err)
				}
				// A store that fails time and again can leave an intent behind whose
				// message never left: that is unknown, and never sent.
				if n := batch.Counts[dispatch.Delivered] + batch.Counts[dispatch.Unknown]; n != 60 {
					t.Errorf("counts %v, want all delivered but what is unknown", batch.Counts)
				}
				if int(batch.Counts[dispatch.Delivered]) != b.sent() {
					t.Errorf("%d delivered, %d accepted", batch.Counts[dispatch.Delivered], b.sent())
				}
			})
		})
	}
}

// TestDiskFull has the store fail for hours, from the middle of a batch on.
func TestDiskFull(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, begin, end := faulty(func() storetest.Fault { return storetest.NotKept })
		b := newBox(t)
		cfg := config(b, store)
		cfg.Accounts[0].Profile.PerMinute = 60
		d := newDispatcher(t, cfg)
		approve(t, d, ready(t, store, "b", 100))
		stop := start(t, d)
		defer stop()
		time.Sleep(20 * time.Second)
		begin()
		time.Sleep(time.Minute)
		during := b.sent()
		time.Sleep(3 * time.Hour)
		if b.sent() != during {
			t.Errorf("%d messages left while nothing could be stored", b.sent()-during)
		}
		end()
		time.Sleep(3 * time.Hour)
		stop()
		b.checkOnce(t)
		checkCounts(t, d, "b", counts{dispatch.Delivered: 100})
	})
}

// stalled is a submitter whose session stands still, as the whole process would
// under SIGSTOP, right before it commits or right after.
type stalled struct {
	*box
	before, after func()
}

func (s stalled) Open(ctx context.Context) (dispatch.SubmitSession, error) {
	session, err := s.box.Open(ctx)
	return stalledSession{session, s}, err
}

type stalledSession struct {
	dispatch.SubmitSession
	s stalled
}

func (s stalledSession) Submit(ctx context.Context, sub dispatch.Submission, commit func() error) dispatch.Result {
	return s.SubmitSession.Submit(ctx, sub, func() error {
		s.s.before()
		err := commit()
		s.s.after()
		return err
	})
}

// TestStalledWorker has a worker stand still for longer than its lease, wake up,
// and go on as if nothing had happened, while another one took over, whose clock may
// be apart from its own by three leases.
func TestStalledWorker(t *testing.T) {
	for _, ahead := range append(ahead, 0) {
		t.Run(ahead.String(), func(t *testing.T) { testStalledWorker(t, ahead) })
	}
}

func testStalledWorker(t *testing.T, ahead time.Duration) {
	inBubble(t, func(t *testing.T) {
		store, b := newStore(), newBox(t)
		cfg := config(b, store)
		cfg.Accounts[0].Profile.Connections = 1
		var once sync.Once
		// The lease can't be renewed meanwhile: the whole process stands still. A
		// store that fails for that worker stands in for that.
		slow := silence(store)
		first, second := cfg, cfg
		first.Worker, second.Worker = "first", "second"
		first.Store = slow
		first.Accounts = append([]dispatch.AccountConfig(nil), cfg.Accounts...)
		first.Accounts[0].Submitter = stalled{
			box: b,
			before: func() {
				once.Do(func() {
					slow.still.Store(true)
					time.Sleep(5 * time.Minute)
					slow.still.Store(false)
				})
			},
			after: func() {},
		}
		d1, d2 := newDispatcher(t, first), newDispatcher(t, withClock(second, ahead))
		approve(t, d1, ready(t, store, "b", 40))
		stop1 := start(t, d1)
		time.Sleep(5 * time.Second)
		stop2 := start(t, d2)
		time.Sleep(time.Hour)
		stop1()
		stop2()
		b.checkOnce(t)
		checkCounts(t, d2, "b", counts{dispatch.Delivered: 40})
		checkAudit(t, store)
		if a, _ := d2.Account(t.Context(), account); a.Lease.Token < 2 {
			t.Errorf("the account was never taken over: %+v", a.Lease)
		}
	})
}

// TestBlobsFail has the storing of received messages fail for a while. None may be
// lost, and none set apart as if it were at fault.
func TestBlobsFail(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, b := &failingBlobs{Store: newStore()}, newBox(t)
		d := newDispatcher(t, config(b, store))
		approve(t, d, ready(t, store, "b", 10))
		store.set(true)
		stop := start(t, d)
		time.Sleep(6 * time.Hour)
		store.set(false)
		time.Sleep(6 * time.Hour)
		stop()
		checkCounts(t, d, "b", counts{dispatch.Delivered: 10})
		err := store.View(t.Context(), dispatch.AccountName(account), func(tx dispatch.Tx) error {
			mails, err := tx.Mails(dispatch.MailUnreadable, dispatch.MailID{}, 100)
			if len(mails) > 0 {
				t.Errorf("%d receipts were set apart for a fault of the store", len(mails))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// failingBlobs is a store that keeps no blobs while told not to.
type failingBlobs struct {
	dispatch.Store
	mu   sync.Mutex
	fail bool
}

func (f *failingBlobs) set(on bool) { f.mu.Lock(); f.fail = on; f.mu.Unlock() }

// PutBlob implements dispatch.Blobs.
func (f *failingBlobs) PutBlob(ctx context.Context, r io.Reader) (dispatch.Digest, int64, error) {
	f.mu.Lock()
	fail := f.fail
	f.mu.Unlock()
	if fail {
		return dispatch.Digest{}, 0, errors.New("no space left on device")
	}
	return f.Store.PutBlob(ctx, r)
}
