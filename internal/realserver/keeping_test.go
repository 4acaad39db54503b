//go:build unix

package realserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/internal/realserver"
	"github.com/ceralacca/go-pec/receipt"
)

// keeper is a gateway on which copies of what is sent are filed in Dovecot, and
// receipts removed from it.
type keeper struct {
	*gateway
	store *memstore.Store
	sent  *recorder
	// stored, if not nil, is called once, when the first receipt of a delivery is
	// stored, and before it is removed.
	stored func()
	// until, if not nil, is what is waited for before the end.
	until func() bool

	mu   sync.Mutex // guards what follows
	told []string
}

// sentFolder is not there at first.
const sentFolder = "Posta inviata.Città"

// foreign is mail that is no receipt.
const foreign = "From: info@mail.example\r\nSubject: Invito\r\n\r\nTesto\r\n"

// startKeeper delivers 3 messages of other people: the second is marked as deleted,
// by somebody who may think again.
func startKeeper(t *testing.T, c realserver.DovecotConfig) *keeper {
	t.Helper()
	k := &keeper{gateway: startGateway(t, nil, c), store: new(memstore.Store)}
	for range 3 {
		must(t, k.dovecot.Deliver(login, []byte(foreign)))
	}
	k.admin("flags add", `\Deleted`, "mailbox", "INBOX", "uid", "2")
	return k
}

// send sends a message to each of n recipients, until both receipts of each are
// stored, and all of the given words were told.
func (k *keeper) send(n int, words ...string) {
	k.t.Helper()
	account := k.account()
	k.sent = &recorder{Submitter: account.Submitter}
	account.Submitter, account.SentFolder, account.Purge = k.sent, sentFolder, true
	notices, heard, once := make(chan struct{}, 2*n), make(chan string, 100), sync.Once{}
	d, err := dispatch.New(dispatch.Config{
		Store: k.store, Accounts: []dispatch.AccountConfig{account}, Verify: k.network.VerifyOptions(),
		Observe: func(e dispatch.Event) {
			k.mu.Lock()
			defer k.mu.Unlock()
			if e.Kind == dispatch.EventConnection {
				k.told = append(k.told, e.Detail)
				heard <- e.Detail
			}
			if e.Fact == dispatch.FactNotice {
				if e.To == dispatch.Delivered && k.stored != nil {
					once.Do(k.stored)
				}
				notices <- struct{}{}
			}
		},
	})
	must(k.t, err)
	var to []string
	for i := range n {
		to = append(to, fmt.Sprintf("r%d@pec.beta.example", i))
	}
	batch := k.approve(d, to...)
	stop := k.run(d)
	for range 2 * n {
		<-notices
	}
	for _, w := range words {
		for !strings.Contains(<-heard, w) {
		}
	}
	for k.until != nil && !k.until() {
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	k.checkEvidence(d, batch, 2*n)
}

// checkEvidence checks that so many receipts are in the store, and that each
// verifies.
func (k *keeper) checkEvidence(d *dispatch.Dispatcher, batch string, want int) {
	k.t.Helper()
	n := 0
	for s, err := range d.Statuses(k.t.Context(), k.mine.Address, batch) {
		must(k.t, err)
		if s.Status.Proof != receipt.Proven {
			k.t.Errorf("row %d: %s; want proof of what was delivered", s.Send.ID.Row, s.Status.Proof)
		}
		for _, f := range s.Facts {
			if f.Kind != dispatch.FactNotice {
				continue
			}
			n++
			blob, err := k.store.OpenBlob(k.t.Context(), f.Raw)
			must(k.t, err)
			if _, err := receipt.Verify(io.NewSectionReader(blob, 0, blob.Size()), k.network.VerifyOptions()); err != nil {
				k.t.Errorf("a receipt in the store does not verify: %v", err)
			}
			blob.Close()
		}
	}
	if n != want {
		k.t.Errorf("%d receipts are in the store; want %d", n, want)
	}
}

// receipts counts those in the mailbox.
func (k *keeper) receipts() int {
	k.t.Helper()
	return strings.Count(k.admin("search", "header", "X-Ricevuta", ""), "\n")
}

// checkMailbox checks how many receipts are in the mailbox, and which other mail.
func (k *keeper) checkMailbox(receipts int, uids ...string) {
	k.t.Helper()
	if found := k.receipts(); found != receipts {
		k.t.Errorf("%d receipts are in the mailbox; want %d", found, receipts)
	}
	left := strings.Fields(strings.ReplaceAll(k.admin("fetch", "uid", "mailbox", "INBOX", "not", "header", "X-Ricevuta", ""), "uid:", ""))
	if !slices.Equal(left, uids) {
		k.t.Errorf("messages %v of other people are left; want %v", left, uids)
	}
}

// copies returns what is in the folder for copies, in order of the bytes.
func (k *keeper) copies() (all [][]byte) {
	k.t.Helper()
	s, err := k.account().Mailbox.Open(k.t.Context())
	must(k.t, err)
	defer s.Close()
	folder, err := s.Select(k.t.Context(), sentFolder)
	must(k.t, err)
	var uids []uint32
	for uid := range folder.Messages {
		uids = append(uids, uid+1)
	}
	must(k.t, s.Fetch(k.t.Context(), uids, func(_ uint32, _ int64, r io.Reader) error {
		raw, err := io.ReadAll(r)
		all = append(all, raw)
		return err
	}))
	slices.SortFunc(all, bytes.Compare)
	return all
}

// recorder is a submitter that keeps what goes over the wire.
type recorder struct {
	dispatch.Submitter
	mu   sync.Mutex
	sent [][]byte
}

// Open implements dispatch.Submitter.
func (r *recorder) Open(ctx context.Context) (dispatch.SubmitSession, error) {
	s, err := r.Submitter.Open(ctx)
	return recorded{s, r}, err
}

type recorded struct {
	dispatch.SubmitSession
	r *recorder
}

// Submit implements dispatch.SubmitSession.
func (s recorded) Submit(ctx context.Context, m dispatch.Submission, commit func() error) dispatch.Result {
	var raw bytes.Buffer
	m.Message = io.TeeReader(m.Message, &raw)
	result := s.SubmitSession.Submit(ctx, m, commit)
	if result.Outcome == dispatch.OutcomeSubmitted {
		s.r.mu.Lock()
		defer s.r.mu.Unlock()
		s.r.sent = append(s.r.sent, raw.Bytes())
	}
	return result
}

// TestKeeping sends a batch, files copies of it and removes its receipts. Just
// before it removes the first one, another client removes that one, and mail of
// other people, and the server fails.
func TestKeeping(t *testing.T) {
	k := startKeeper(t, realserver.DovecotConfig{})
	k.stored = func() {
		_, err1 := k.dovecot.Admin("expunge", "-u", login, "mailbox", "INBOX", "uid", "3")
		_, err2 := k.dovecot.Admin("expunge", "-u", login, "mailbox", "Consegne", "uid", "1")
		if err := errors.Join(err1, err2, k.dovecot.Kill(), k.dovecot.Start()); err != nil {
			t.Error(err)
		}
	}
	k.until = func() bool { return k.receipts() == 0 }
	const sends = 12
	k.send(sends)

	k.checkMailbox(0, "1", "2")
	if seen := k.admin("search", "mailbox", "INBOX", "seen"); seen != "" {
		t.Errorf("messages marked as read: %q; want none", seen)
	}
	slices.SortFunc(k.sent.sent, bytes.Compare)
	if copies := k.copies(); len(copies) != sends || !slices.EqualFunc(copies, k.sent.sent, bytes.Equal) {
		t.Errorf("%d copies, or not what was sent", len(copies))
	}
	if unseen := k.admin("search", "mailbox", sentFolder, "unseen"); unseen != "" {
		t.Errorf("copies not marked as read: %q; want none", unseen)
	}
	if i := slices.IndexFunc(k.told, func(told string) bool { return told != "IMAP" }); i >= 0 {
		t.Errorf("told %q; want only that the connection failed", k.told)
	}
}

// TestKeepingFull: if there is no room for copies, all else goes on.
func TestKeepingFull(t *testing.T) {
	k := startKeeper(t, realserver.DovecotConfig{Quota: "1B", Uncounted: []string{"INBOX", "Consegne"}})
	k.send(3, "can't be filed")
	k.checkMailbox(0, "1", "2", "3")
	if copies := k.copies(); len(copies) > 0 {
		t.Errorf("%d copies in a mailbox that is full", len(copies))
	}
	if last := k.told[len(k.told)-1]; !strings.Contains(last, "no copy was filed of 3 messages") {
		t.Errorf("told %q at the end; want of how many messages there is no copy", last)
	}
}

// TestKeepingAll: a server that can't remove one message alone is not asked to.
func TestKeepingAll(t *testing.T) {
	k := startKeeper(t, realserver.DovecotConfig{NoUIDPLUS: true})
	k.send(3)
	k.checkMailbox(6, "1", "2", "3")
	if copies := k.copies(); len(copies) != 3 {
		t.Errorf("%d copies; want 3", len(copies))
	}
	heard, err := k.dovecot.Heard()
	must(t, err)
	if strings.Contains(heard, "STORE") || strings.Contains(heard, "EXPUNGE") || strings.Contains(heard, "CLOSE") {
		t.Errorf("the server heard %q; want nothing that removes", heard)
	}
	if !slices.Equal(k.told, []string{"IMAP: receipts can't be removed"}) {
		t.Errorf("told %q; want once that receipts can't be removed", k.told)
	}
}
