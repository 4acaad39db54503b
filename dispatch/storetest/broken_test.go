package storetest_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/dispatch/storetest"
)

// The checks are checked: each of these stores breaks one sentence of the
// contract, and a certain check must notice.
var brokenStores = []brokenStore{
	{"a field is forgotten", "everyfield", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return forgetful{tx} }
	}},
	{"the offset of a notice is lost", "times", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return utcOnly{tx} }
	}},
	{"times are whole milliseconds", "times", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return coarse{tx} }
	}},
	{"text is kept without blanks around it", "text", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return trimming{tx} }
	}},
	{"odd text is an error", "oddtext", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return strict{tx} }
	}},
	{"times are rounded", "times", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return rounding{tx} }
	}},
	{"times come back in the zone of the machine", "everyfield", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return local{tx} }
	}},
	{"what is empty changes nothing", "empty", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return merging{tx} }
	}},
	{"what is not there is an empty record", "batches", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return inventive{tx} }
	}},
	{"a batch is found whatever its case", "batches", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return folding{tx} }
	}},
	{"batches come in the order of a dictionary", "batches", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return dictionary{tx} }
	}},
	{"a send is put twice", "sends", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return careless{tx} }
	}},
	{"no limit is no bound", "sends", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return unbounded{tx} }
	}},
	{"progress of no send is no error", "progress", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return careless{tx} }
	}},
	{"what is due comes by row", "due", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return byRow{tx} }
	}},
	{"mail stays as it was", "mail", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return stubborn{tx} }
	}},
	{"what was prefetched is out of date", "prefetch", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return outdated{tx, make(map[string]bool)} }
	}},
	{"what was prefetched is given away", "prefetch", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return &sharing{Tx: tx} }
	}},
	{"a refusal ends the transaction", "goingon", func(b *broken) {
		b.update = func(_ string, update updater, f func(dispatch.Tx) error) error {
			return update(func(tx dispatch.Tx) error {
				failed := &fragile{Tx: tx}
				return errors.Join(f(failed), failed.err)
			})
		}
	}},
	{"a record is given out by reference", "values", func(b *broken) {
		batches := make(map[string]dispatch.Batch)
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return lending{tx, batches} }
	}},
	{"a record is kept by reference", "values", func(b *broken) {
		batches := make(map[string]dispatch.Batch)
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return aliasing{tx, batches} }
	}},
	{"sends come in any order", "sends", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return backwards{tx} }
	}},
	{"a limit is ignored", "maillists", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return unlimited{tx} }
	}},
	{"what is due now is due later", "due", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return late{tx} }
	}},
	{"a fact is added twice", "facts", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return gullible{tx} }
	}},
	{"a Message-ID is taken twice", "messageids", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return careless{tx} }
	}},
	{"the audit trail may have gaps", "audit", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return careless{tx} }
	}},
	{"tries are counted twice", "lasttries", func(b *broken) {
		b.tx = func(tx dispatch.Tx) dispatch.Tx { return miscounting{tx} }
	}},
	{"accounts come in any order", "accounts", func(b *broken) {
		b.accounts = func(records *[]dispatch.Account) { slices.Reverse(*records) }
	}},
	{"an account without a record is one", "rollback", func(b *broken) {
		b.accounts = func(records *[]dispatch.Account) { *records = append(*records, dispatch.Account{Name: "nobody"}) }
	}},
	{"accounts share their records", "apart", func(b *broken) {
		b.account = func(string) string { return "one for all" }
	}},
	{"a failed transaction is kept", "rollback", func(b *broken) {
		b.update = func(_ string, update updater, f func(dispatch.Tx) error) error {
			var failed error
			err := update(func(tx dispatch.Tx) error { failed = f(tx); return nil })
			return errors.Join(failed, err)
		}
	}},
	{"a failed transaction is kept, though its error is right", "rollbackofchanges", func(b *broken) {
		b.update = func(_ string, update updater, f func(dispatch.Tx) error) error {
			var failed error
			if err := update(func(tx dispatch.Tx) error { failed = f(tx); return nil }); err != nil {
				return err
			}
			return failed
		}
	}},
	{"the error of f is wrapped", "rollback", func(b *broken) {
		b.update = func(_ string, update updater, f func(dispatch.Tx) error) error {
			if err := update(f); err != nil {
				return fmt.Errorf("update: %w", err)
			}
			return nil
		}
	}},
	{"a panic is a commit", "panic", func(b *broken) {
		b.update = func(_ string, update updater, f func(dispatch.Tx) error) error {
			return update(func(tx dispatch.Tx) error {
				defer func() { recover() }()
				return f(tx)
			})
		}
	}},
	{"transactions do not see each other", "lostupdates", func(b *broken) {
		b.update = func(account string, _ updater, f func(dispatch.Tx) error) error {
			return f(fresh{nil, account, b.Store})
		}
	}},
	{"a conflict is kept", "lostupdates", func(b *broken) {
		var calls atomic.Int64
		b.update = func(_ string, update updater, f func(dispatch.Tx) error) error {
			if err := update(f); err != nil || calls.Add(1)%10 != 0 {
				return err
			}
			return dispatch.ErrConflict
		}
	}},
	{"only batches are locked", "fencing", lockOnlyBatches},
	{"only batches are locked, and counting is not", "quota", lockOnlyBatches},
	{"a view sees two states", "onestate", func(b *broken) {
		b.view = func(account string, f func(dispatch.Tx) error) error { return f(fresh{nil, account, b.Store}) }
	}},
	{"a view writes", "views", func(b *broken) {
		b.view = func(account string, f func(dispatch.Tx) error) error {
			return b.Store.Update(context.Background(), account, f)
		}
	}},
	{"a view writes in vain, and says nothing", "views", func(b *broken) {
		b.view = func(account string, f func(dispatch.Tx) error) error {
			var result error
			err := b.Store.Update(context.Background(), account, func(tx dispatch.Tx) error {
				result = f(unheeded{tx})
				return errors.New("roll back")
			})
			if err == nil {
				return errors.New("kept")
			}
			return result
		}
	}},
	{"what was canceled is kept", "cancel", func(b *broken) {
		b.update = func(_ string, update updater, f func(dispatch.Tx) error) error {
			b.context = context.WithoutCancel
			return update(f)
		}
	}},
	{"a canceled call fails in words of its own", "cancel", func(b *broken) {
		b.update = func(_ string, update updater, f func(dispatch.Tx) error) error {
			if err := update(f); errors.Is(err, context.Canceled) {
				return errors.New("interrupted")
			} else {
				return err
			}
		}
	}},
	{"cancellation is not heeded", "cancel", func(b *broken) {
		b.context = context.WithoutCancel
	}},
	{"nothing survives a restart", "batches", func(b *broken) { b.forgets = true }},
	{"part of a blob is kept", "blobfailing", func(b *broken) { b.putBlob = putPart }},
	{"the error of a reader is not told", "blobfailing", func(b *broken) {
		b.putBlob = func(s dispatch.Store, r io.Reader) (dispatch.Digest, int64, error) {
			digest, size, err := s.PutBlob(context.Background(), r)
			if err != nil {
				err = errors.New("no blob")
			}
			return digest, size, err
		}
	}},
	{"while a blob is read, nobody can write", "blobstogether", func(b *broken) {
		var reading atomic.Int64
		b.putBlob = func(s dispatch.Store, r io.Reader) (dispatch.Digest, int64, error) {
			reading.Add(1)
			defer reading.Add(-1)
			return s.PutBlob(context.Background(), r)
		}
		b.update = func(_ string, update updater, f func(dispatch.Tx) error) error {
			if reading.Load() > 0 {
				return errors.New("database is locked")
			}
			return update(f)
		}
	}},
	{"a blob that is not there is empty", "blobs", func(b *broken) {
		b.noBlob = func() (dispatch.Blob, error) { return emptyBlob{strings.NewReader("")}, nil }
	}},
	{"a blob ends early", "blobs", func(b *broken) {
		b.openBlob = func(blob dispatch.Blob) dispatch.Blob { return shortBlob{blob} }
	}},
	{"reading a blob ends without saying so", "blobreading", func(b *broken) {
		b.openBlob = func(blob dispatch.Blob) dispatch.Blob { return silentBlob{blob} }
	}},
	{"what was committed is lost in a crash", "crash", func(b *broken) {}},
	{"a transaction is kept in part in a crash", "crash", func(b *broken) { b.journal(b.name) }},
	{"a large blob is in memory", "large", func(b *broken) {}},
}

type brokenStore struct {
	name  string
	check string // that must notice
	wrap  func(*broken)
}

// brokenName, in the environment, names the store that TestBroken runs the checks
// on. Then they are to fail.
const brokenName = "GOPEC_STORETEST_BROKEN"

func TestBroken(t *testing.T) {
	if name := os.Getenv(brokenName); name != "" {
		runBroken(t, name)
		return
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range brokenStores {
		t.Run(b.name, func(t *testing.T) {
			run := "^TestBroken$/^" + b.check + "$"
			if b.check == "crash" || b.check == "large" {
				run = "^TestBroken$"
			}
			cmd := exec.Command(executable, "-test.run="+run, "-test.short", "-test.timeout=1m")
			cmd.Env = append(os.Environ(), brokenName+"="+b.name)
			out, err := cmd.CombinedOutput()
			failed := regexp.MustCompile(`(?m)^\s*--- FAIL: TestBroken(/` + b.check + `)? `)
			if err == nil || !failed.Match(out) || bytes.Contains(out, []byte("\npanic:")) {
				t.Errorf("the check %q of this store: got %v, want it to fail:\n%s", b.check, err, out)
			}
		})
	}
}

func runBroken(t *testing.T, name string) {
	i := slices.IndexFunc(brokenStores, func(b brokenStore) bool { return b.name == name })
	opened := make(map[string]*broken)
	open := func(_ *testing.T, name string) dispatch.Store {
		if b := opened[name]; b == nil || b.forgets {
			opened[name] = &broken{Store: new(memstore.Store), name: name}
			brokenStores[i].wrap(opened[name])
		}
		return opened[name]
	}
	switch brokenStores[i].check {
	case "crash":
		storetest.RunCrash(t, open)
	case "large":
		storetest.RunLargeBlob(t, open)
	default:
		storetest.Run(t, open)
	}
}

// broken is a store that is right where no hook changes it.
type broken struct {
	dispatch.Store
	tx       func(dispatch.Tx) dispatch.Tx
	update   func(account string, update updater, f func(dispatch.Tx) error) error
	view     func(account string, f func(dispatch.Tx) error) error
	context  func(context.Context) context.Context
	account  func(string) string
	accounts func(*[]dispatch.Account)
	putBlob  func(s dispatch.Store, r io.Reader) (dispatch.Digest, int64, error)
	openBlob func(dispatch.Blob) dispatch.Blob
	noBlob   func() (dispatch.Blob, error)
	forgets  bool
	name     string // that it was opened by
}

type updater func(f func(dispatch.Tx) error) error

func (b *broken) Update(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	if b.context != nil {
		ctx = b.context(ctx)
	}
	if b.account != nil {
		account = b.account(account)
	}
	update := func(f func(dispatch.Tx) error) error {
		return b.Store.Update(ctx, account, func(tx dispatch.Tx) error {
			if b.tx != nil {
				tx = b.tx(tx)
			}
			return f(tx)
		})
	}
	if b.update != nil {
		return b.update(account, update, f)
	}
	return update(f)
}

func (b *broken) View(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	if b.view != nil {
		return b.view(account, f)
	}
	if b.account != nil {
		account = b.account(account)
	}
	return b.Store.View(ctx, account, func(tx dispatch.Tx) error {
		if b.tx != nil {
			tx = b.tx(tx)
		}
		return f(tx)
	})
}

func (b *broken) Accounts(ctx context.Context) iter.Seq2[dispatch.Account, error] {
	if b.accounts == nil {
		return b.Store.Accounts(ctx)
	}
	var records []dispatch.Account
	for record := range b.Store.Accounts(ctx) {
		records = append(records, record)
	}
	b.accounts(&records)
	return func(yield func(dispatch.Account, error) bool) {
		for _, record := range records {
			if !yield(record, nil) {
				return
			}
		}
	}
}

func (b *broken) PutBlob(ctx context.Context, r io.Reader) (dispatch.Digest, int64, error) {
	if b.putBlob != nil {
		return b.putBlob(b.Store, r)
	}
	return b.Store.PutBlob(ctx, r)
}

func (b *broken) OpenBlob(ctx context.Context, d dispatch.Digest) (dispatch.Blob, error) {
	blob, err := b.Store.OpenBlob(ctx, d)
	switch {
	case err == nil && b.openBlob != nil:
		return b.openBlob(blob), nil
	case err != nil && b.noBlob != nil:
		return b.noBlob()
	}
	return blob, err
}

type forgetful struct{ dispatch.Tx }

func (t forgetful) PutAccount(a dispatch.Account) error {
	a.PauseReason = ""
	return t.Tx.PutAccount(a)
}

type utcOnly struct{ dispatch.Tx }

func (t utcOnly) AddFact(id dispatch.SendID, f dispatch.Fact) (bool, error) {
	if f.Notice != nil {
		n := *f.Notice
		n.Instant = n.Instant.UTC()
		f.Notice = &n
	}
	return t.Tx.AddFact(id, f)
}

type coarse struct{ dispatch.Tx }

func (t coarse) PutProgress(id dispatch.SendID, p dispatch.Progress) error {
	p.Due = p.Due.Truncate(time.Millisecond)
	return t.Tx.PutProgress(id, p)
}

func (t coarse) AddSend(s dispatch.Send, p dispatch.Progress) error {
	p.Due = p.Due.Truncate(time.Millisecond)
	return t.Tx.AddSend(s, p)
}

type rounding struct{ dispatch.Tx }

func (t rounding) AddAudit(e dispatch.AuditEntry) error {
	e.At = e.At.Round(time.Microsecond)
	return t.Tx.AddAudit(e)
}

type local struct{ dispatch.Tx }

func (t local) Mail(id dispatch.MailID) (dispatch.Mail, error) {
	m, err := t.Tx.Mail(id)
	m.Found = m.Found.In(time.FixedZone("CET", 60*60))
	return m, err
}

// outdated remembers which Message-IDs were not there.
type outdated struct {
	dispatch.Tx
	missing map[string]bool
}

func (t outdated) PrefetchSends(messageIDs []string) error { return t.PrefetchMessageIDs(messageIDs) }

func (t outdated) PrefetchMessageIDs(messageIDs []string) error {
	for _, name := range messageIDs {
		_, _, err := t.Tx.SendByMessageID(name)
		t.missing[name] = errors.Is(err, dispatch.ErrNotFound)
	}
	return nil
}

func (t outdated) SendByMessageID(name string) (dispatch.SendID, int, error) {
	if t.missing[name] {
		return dispatch.SendID{}, 0, dispatch.ErrNotFound
	}
	return t.Tx.SendByMessageID(name)
}

// sharing gives everybody the same copy of the send that was prefetched.
type sharing struct {
	dispatch.Tx
	send dispatch.Send
}

func (t *sharing) PrefetchMessageIDs([]string) error { return nil }

func (t *sharing) PrefetchSends(messageIDs []string) error {
	id, _, err := t.Tx.SendByMessageID(messageIDs[0])
	if err == nil {
		t.send, err = t.Tx.Send(id)
	}
	if errors.Is(err, dispatch.ErrNotFound) {
		return nil
	}
	return err
}

func (t *sharing) Send(id dispatch.SendID) (dispatch.Send, error) {
	if t.send.ID == id {
		return t.send, nil
	}
	return t.Tx.Send(id)
}

// merging keeps the counts of before if there are none.
type merging struct{ dispatch.Tx }

func (t merging) PutBatch(b dispatch.Batch) error {
	if before, err := t.Tx.Batch(b.Name); err == nil && len(b.Counts) == 0 {
		b.Counts = before.Counts
	}
	return t.Tx.PutBatch(b)
}

type inventive struct{ dispatch.Tx }

func (t inventive) Batch(name string) (dispatch.Batch, error) {
	b, err := t.Tx.Batch(name)
	if errors.Is(err, dispatch.ErrNotFound) {
		return dispatch.Batch{Name: name}, nil
	}
	return b, err
}

type folding struct{ dispatch.Tx }

func (t folding) PutBatch(b dispatch.Batch) error {
	b.Name = strings.ToLower(b.Name)
	return t.Tx.PutBatch(b)
}

func (t folding) Batch(name string) (dispatch.Batch, error) { return t.Tx.Batch(strings.ToLower(name)) }

type dictionary struct{ dispatch.Tx }

func (t dictionary) Batches() ([]dispatch.Batch, error) {
	list, err := t.Tx.Batches()
	slices.SortFunc(list, func(a, b dispatch.Batch) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return list, err
}

type byRow struct{ dispatch.Tx }

func (t byRow) Due(batch string, now time.Time, limit int) ([]dispatch.Send, error) {
	list, err := t.Tx.Due(batch, now, limit)
	slices.SortFunc(list, func(a, b dispatch.Send) int { return cmp.Compare(a.ID.Row, b.ID.Row) })
	return list, err
}

// unbounded takes a limit of 0 for none.
type unbounded struct{ dispatch.Tx }

func (t unbounded) Sends(batch string, after int64, limit int) ([]dispatch.Send, error) {
	if limit == 0 {
		limit = 1000
	}
	return t.Tx.Sends(batch, after, limit)
}

type stubborn struct{ dispatch.Tx }

func (t stubborn) PutMail(m dispatch.Mail) error {
	if _, err := t.Tx.Mail(m.ID); err == nil {
		return nil
	}
	return t.Tx.PutMail(m)
}

// fragile can't go on after an error, as a transaction of PostgreSQL.
type fragile struct {
	dispatch.Tx
	err error
}

func (t *fragile) AddSend(s dispatch.Send, p dispatch.Progress) error {
	if t.err == nil {
		t.err = t.Tx.AddSend(s, p)
	}
	return t.err
}

// lending gives out the records that it keeps.
type lending struct {
	dispatch.Tx
	batches map[string]dispatch.Batch
}

func (t lending) Batch(name string) (dispatch.Batch, error) {
	if b, ok := t.batches[name]; ok {
		return b, nil
	}
	b, err := t.Tx.Batch(name)
	if err == nil {
		t.batches[name] = b
	}
	return b, err
}

// unheeded does not say that nothing may be changed.
type unheeded struct{ dispatch.Tx }

func (t unheeded) PutMail(dispatch.Mail) error { return nil }

// lockOnlyBatches makes a store in which only those transactions that look at a
// batch come one after the other.
func lockOnlyBatches(b *broken) {
	var locked sync.Mutex
	b.update = func(account string, _ updater, f func(dispatch.Tx) error) error {
		tx := &rowLocking{fresh: fresh{nil, account, b.Store}, locked: &locked}
		defer tx.unlock()
		return f(tx)
	}
}

type rowLocking struct {
	fresh
	locked *sync.Mutex
	mine   bool
}

func (t *rowLocking) Batch(name string) (dispatch.Batch, error) {
	if !t.mine {
		t.locked.Lock()
		t.mine = true
	}
	return t.fresh.Batch(name)
}

func (t *rowLocking) unlock() {
	if t.mine {
		t.locked.Unlock()
	}
}

type trimming struct{ dispatch.Tx }

func (t trimming) PutBatch(b dispatch.Batch) error {
	b.Creator = strings.TrimSpace(b.Creator)
	return t.Tx.PutBatch(b)
}

type strict struct{ dispatch.Tx }

func (t strict) SendByMessageID(messageID string) (dispatch.SendID, int, error) {
	if strings.ToValidUTF8(messageID, "") != messageID {
		return dispatch.SendID{}, 0, errors.New("not UTF-8")
	}
	return t.Tx.SendByMessageID(messageID)
}

type aliasing struct {
	dispatch.Tx
	batches map[string]dispatch.Batch
}

func (t aliasing) PutBatch(b dispatch.Batch) error {
	t.batches[b.Name] = b
	return t.Tx.PutBatch(b)
}

func (t aliasing) Batch(name string) (dispatch.Batch, error) { return t.batches[name], nil }

type backwards struct{ dispatch.Tx }

func (t backwards) Sends(batch string, after int64, limit int) ([]dispatch.Send, error) {
	list, err := t.Tx.Sends(batch, after, limit)
	slices.Reverse(list)
	return list, err
}

type unlimited struct{ dispatch.Tx }

func (t unlimited) Mails(d dispatch.Disposition, after dispatch.MailID, limit int) ([]dispatch.Mail, error) {
	return t.Tx.Mails(d, after, limit+1)
}

type late struct{ dispatch.Tx }

func (t late) Due(batch string, now time.Time, limit int) ([]dispatch.Send, error) {
	return t.Tx.Due(batch, now.Add(-time.Microsecond), limit)
}

type gullible struct{ dispatch.Tx }

func (t gullible) AddFact(id dispatch.SendID, f dispatch.Fact) (bool, error) {
	_, err := t.Tx.AddFact(id, f)
	return err == nil, err
}

type careless struct{ dispatch.Tx }

func (t careless) PutMessageID(messageID string, id dispatch.SendID, attempt int) error {
	t.Tx.PutMessageID(messageID, id, attempt)
	return nil
}

func (t careless) AddSend(s dispatch.Send, p dispatch.Progress) error {
	t.Tx.AddSend(s, p)
	return nil
}

func (t careless) PutProgress(id dispatch.SendID, p dispatch.Progress) error {
	t.Tx.PutProgress(id, p)
	return nil
}

func (t careless) AddAudit(e dispatch.AuditEntry) error {
	t.Tx.AddAudit(e)
	return nil
}

type miscounting struct{ dispatch.Tx }

func (t miscounting) NthLastTry(n int) (time.Time, error) { return t.Tx.NthLastTry((n + 1) / 2) }

// fresh does each call in a transaction of its own.
type fresh struct {
	dispatch.Tx
	account string
	store   dispatch.Store
}

func (t fresh) do(f func(dispatch.Tx) error) error {
	return t.store.Update(context.Background(), t.account, f)
}

func (t fresh) Account() (a dispatch.Account, err error) {
	err = t.do(func(tx dispatch.Tx) (err error) { a, err = tx.Account(); return err })
	return a, err
}

func (t fresh) PutAccount(a dispatch.Account) error {
	return t.do(func(tx dispatch.Tx) error { return tx.PutAccount(a) })
}

func (t fresh) Facts(id dispatch.SendID) (facts []dispatch.Fact, err error) {
	err = t.do(func(tx dispatch.Tx) (err error) { facts, err = tx.Facts(id); return err })
	return facts, err
}

func (t fresh) NthLastTry(n int) (at time.Time, err error) {
	err = t.do(func(tx dispatch.Tx) (err error) { at, err = tx.NthLastTry(n); return err })
	return at, err
}

func (t fresh) Batch(name string) (b dispatch.Batch, err error) {
	err = t.do(func(tx dispatch.Tx) (err error) { b, err = tx.Batch(name); return err })
	return b, err
}

func (t fresh) PutBatch(b dispatch.Batch) error {
	return t.do(func(tx dispatch.Tx) error { return tx.PutBatch(b) })
}

func (t fresh) AddSend(s dispatch.Send, p dispatch.Progress) error {
	return t.do(func(tx dispatch.Tx) error { return tx.AddSend(s, p) })
}

func (t fresh) AddFact(id dispatch.SendID, f dispatch.Fact) (added bool, err error) {
	err = t.do(func(tx dispatch.Tx) (err error) { added, err = tx.AddFact(id, f); return err })
	return added, err
}

func (t fresh) AddAudit(e dispatch.AuditEntry) error {
	return t.do(func(tx dispatch.Tx) error { return tx.AddAudit(e) })
}

// putPart keeps what came before an error of the reader.
func putPart(s dispatch.Store, r io.Reader) (dispatch.Digest, int64, error) {
	data, readErr := io.ReadAll(r)
	digest, size, err := s.PutBlob(context.Background(), bytes.NewReader(data))
	return digest, size, errors.Join(readErr, err)
}

type emptyBlob struct{ *strings.Reader }

func (emptyBlob) Close() error { return nil }

type shortBlob struct{ dispatch.Blob }

func (b shortBlob) Size() int64 { return max(b.Blob.Size()-1, 0) }

type silentBlob struct{ dispatch.Blob }

func (b silentBlob) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.Blob.ReadAt(p, off)
	if err == io.EOF {
		err = nil
	}
	return n, err
}
