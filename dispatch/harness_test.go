package dispatch_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/textproto"
	"sync"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// epoch is when time begins in a bubble of testing/synctest.
var epoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

var account = pec.MustParseAddress("studio@pec.alfa.example")

// providers are made once: keys take long.
var providers = sync.OnceValue(func() (p struct {
	authority  *pectest.Authority
	alfa, beta *pectest.Provider
	otherWorld *pectest.Provider // of an authority that nobody trusts
}) {
	var err error
	must := func(e error) {
		if e != nil {
			panic(e)
		}
	}
	p.authority, err = pectest.NewAuthority(pectest.AuthorityConfig{Time: epoch})
	must(err)
	p.alfa, err = p.authority.NewProvider(pectest.ProviderConfig{Name: "Gestore Alfa", Domain: "pec.alfa.example"})
	must(err)
	p.beta, err = p.authority.NewProvider(pectest.ProviderConfig{Name: "Gestore Beta", Domain: "pec.beta.example", Dialect: pectest.JPEC()})
	must(err)
	other, err := pectest.NewAuthority(pectest.AuthorityConfig{Time: epoch})
	must(err)
	p.otherWorld, err = other.NewProvider(pectest.ProviderConfig{Name: "Gestore Alfa", Domain: "pec.alfa.example"})
	must(err)
	return p
})

// box is the account at its provider: what was accepted from it, and what lies in
// its mailbox. It is a [dispatch.Submitter] and a [dispatch.Mailbox] without
// sockets.
type box struct {
	t *testing.T

	mu       sync.Mutex
	accepted map[string]int // :: Message-ID → how often
	order    []string       // Message-IDs as they were accepted
	last     accepting      // what was accepted last
	open     int            // sessions
	maxOpen  int
	validity uint32
	mail     []boxMail
	arrived  chan struct{}
	removed  int
	appended [][]byte

	// submit, if not nil, decides about a message before the dot and after it.
	submit func(messageID string) plan
	// answer, if not nil, makes the receipts for a message that was accepted.
	answer func(sent accepting) []pectest.Message
	// login, if not nil, is asked at each login.
	login func() error
	// headless are messages whose header the server can't give.
	headless map[uint32]bool
	// fetched, if not nil, is asked before each message is given out.
	fetched func(uid uint32) error
	// filed, if not nil, is asked before each copy is taken, and remove before each
	// message is removed.
	filed  func() error
	remove func(uid uint32) error
}

var errFull = errors.New("NO [OVERQUOTA], and the connection is gone")

type boxMail struct {
	uid uint32
	raw []byte
}

// plan says what becomes of a submission.
type plan struct {
	before  *dispatch.Result // the end, before the dot
	lost    bool             // accepted, and the reply is lost
	dropped bool             // not accepted, and there is no reply
	after   *dispatch.Result // a refusal after the dot
}

// accepting is a message that the provider accepts.
type accepting struct {
	envelope *pec.Envelope
	raw      []byte
	at       time.Time
	id       string
}

func newBox(t *testing.T) *box {
	return &box{t: t, accepted: make(map[string]int), validity: 1, arrived: make(chan struct{}, 1)}
}

func (b *box) config() dispatch.AccountConfig {
	return dispatch.AccountConfig{
		Address:   account,
		Profile:   pec.Profile{Name: "test", PerMinute: 1_000_000, Connections: 4, MaxRecipients: 50},
		Submitter: b,
		Mailbox:   mailbox{b},
	}
}

// Open implements dispatch.Submitter.
func (b *box) Open(context.Context) (dispatch.SubmitSession, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.login != nil {
		if err := b.login(); err != nil {
			return nil, err
		}
	}
	b.open++
	b.maxOpen = max(b.maxOpen, b.open)
	return &submitSession{b}, nil
}

type submitSession struct{ b *box }

func (s *submitSession) Close() error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.open--
	return nil
}

// Submit implements dispatch.SubmitSession.
func (s *submitSession) Submit(ctx context.Context, sub dispatch.Submission, commit func() error) dispatch.Result {
	b := s.b
	raw, err := io.ReadAll(sub.Message)
	if err != nil {
		return dispatch.Result{Outcome: dispatch.OutcomeNotSent, Err: err, Broken: true}
	}
	if int64(len(raw)) != sub.Size {
		b.t.Errorf("a message has %d bytes, and Size says %d", len(raw), sub.Size)
	}
	envelope, err := pec.ReadEnvelope(bytes.NewReader(raw), pec.EnvelopeOptions{Account: sub.From})
	if err != nil {
		b.t.Errorf("the provider would refuse a message: %v", err)
		return dispatch.Result{Outcome: dispatch.OutcomePermanent, Code: 554, Reply: "5.6.0 form"}
	}
	if err := envelope.CheckPaths(sub.From, []pec.Address{sub.To}); err != nil {
		b.t.Errorf("paths: %v", err)
	}
	var p plan
	if b.submit != nil {
		p = b.submit(envelope.MessageID)
	}
	if p.before != nil {
		return *p.before
	}
	if err := commit(); err != nil {
		return dispatch.Result{Outcome: dispatch.OutcomeNotSent, Err: err, Broken: true}
	}
	switch {
	case p.dropped:
		return dispatch.Result{Outcome: dispatch.OutcomeUnknown, Err: io.EOF, Broken: true}
	case p.after != nil:
		return *p.after
	}
	b.accept(accepting{envelope: envelope, raw: raw, at: time.Now()})
	if p.lost {
		return dispatch.Result{Outcome: dispatch.OutcomeUnknown, Err: io.EOF, Broken: true}
	}
	return dispatch.Result{Outcome: dispatch.OutcomeSubmitted, Code: 250, Reply: "2.0.0 queued"}
}

func (b *box) accept(a accepting) {
	b.mu.Lock()
	b.accepted[a.envelope.MessageID]++
	b.order = append(b.order, a.envelope.MessageID)
	a.id = fmt.Sprintf("alfa1.%05d@pec.alfa.example", len(b.order))
	b.last = a
	answer := b.answer
	b.mu.Unlock()
	if answer == nil {
		answer = delivered
	}
	for _, m := range answer(a) {
		b.deliver(compose(b.t, m))
	}
}

// sent returns how many messages were accepted so far.
func (b *box) sent() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.order)
}

func (b *box) lastAccepted() accepting {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// deliver puts a message into the mailbox.
func (b *box) deliver(raw []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mail = append(b.mail, boxMail{uint32(len(b.mail) + b.removed + 1), raw})
	select {
	case b.arrived <- struct{}{}:
	default:
	}
}

// data is what every receipt about a message certifies.
func (a *accepting) data(kind pec.Kind, after time.Duration) pec.CertData {
	d := pec.CertData{
		Kind:       kind,
		Error:      pec.ErrorNone,
		Sender:     a.envelope.From,
		Recipients: []pec.Recipient{{Address: a.envelope.To[0], Type: pec.RecipientCertified}},
		Subject:    a.envelope.Subject,
		Time:       a.at.Add(after).Truncate(time.Second),
		ID:         a.id,
		MessageID:  a.envelope.MessageID,
	}
	if kind != pec.KindAcceptance && kind != pec.KindNonAcceptance {
		d.Delivery = a.envelope.To[0]
	}
	return d
}

// delivered answers with an acceptance and a complete delivery receipt.
func delivered(a accepting) []pectest.Message {
	del := a.data(pec.KindDelivery, time.Second)
	del.ReceiptType = pec.ReceiptComplete
	return []pectest.Message{
		{Data: a.data(pec.KindAcceptance, 0)},
		{Data: del, Original: bytes.NewReader(a.raw)},
	}
}

// failed answers with an acceptance and a failure.
func failed(code pec.ErrorCode, detail string) func(accepting) []pectest.Message {
	return func(a accepting) []pectest.Message {
		f := a.data(pec.KindDeliveryError, time.Second)
		f.Error, f.ErrorDetail = code, detail
		return []pectest.Message{{Data: a.data(pec.KindAcceptance, 0)}, {Data: f}}
	}
}

// compose writes a message as its honest provider would.
func compose(t *testing.T, m pectest.Message) []byte {
	t.Helper()
	p := providers().alfa
	if m.Data.Kind == pec.KindDelivery {
		p = providers().beta
	}
	return composeBy(t, p, m)
}

func composeBy(t *testing.T, p *pectest.Provider, m pectest.Message) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Compose(&b, m); err != nil {
		t.Errorf("composing: %v", err)
	}
	return b.Bytes()
}

// mailbox is the box as a dispatch.Mailbox.
type mailbox struct{ *box }

// Open implements dispatch.Mailbox.
func (m mailbox) Open(context.Context) (dispatch.MailboxSession, error) {
	if m.login != nil {
		if err := m.login(); err != nil {
			return nil, err
		}
	}
	return mailSession(m), nil
}

type mailSession struct{ *box }

func (s mailSession) Close() error { return nil }

func (s mailSession) Select(_ context.Context, folder string) (dispatch.Folder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if folder != "INBOX" {
		return dispatch.Folder{}, fmt.Errorf("%w: %s", dispatch.ErrFolder, folder)
	}
	return dispatch.Folder{UIDValidity: s.validity, Messages: uint32(len(s.mail))}, nil
}

func (s mailSession) Heads(_ context.Context, after uint32) iter.Seq2[dispatch.MailHead, error] {
	return func(yield func(dispatch.MailHead, error) bool) {
		s.mu.Lock()
		mail := append([]boxMail(nil), s.mail...)
		s.mu.Unlock()
		for _, m := range mail {
			if m.uid <= after {
				continue
			}
			if s.headless[m.uid] {
				if !yield(dispatch.MailHead{UID: m.uid, Size: int64(len(m.raw))}, errors.New("BAD header")) {
					return
				}
				continue
			}
			header, _ := textproto.NewReader(bufio.NewReader(bytes.NewReader(m.raw))).ReadMIMEHeader()
			if !yield(dispatch.MailHead{UID: m.uid, Size: int64(len(m.raw)), Arrived: time.Now(), Header: header}, nil) {
				return
			}
		}
	}
}

func (s mailSession) Fetch(_ context.Context, uids []uint32, f func(uint32, int64, io.Reader) error) error {
	for _, uid := range uids {
		s.mu.Lock()
		var raw []byte
		for _, m := range s.mail {
			if m.uid == uid {
				raw = m.raw
			}
		}
		fetched := s.fetched
		s.mu.Unlock()
		if raw == nil {
			continue
		}
		if fetched != nil {
			if err := fetched(uid); err != nil {
				return err
			}
		}
		if err := f(uid, int64(len(raw)), bytes.NewReader(raw)); err != nil {
			return err
		}
	}
	return nil
}

func (s mailSession) Wait(ctx context.Context, atMost time.Duration) error {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-s.arrived:
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s mailSession) Append(ctx context.Context, _ string, size int64, r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err == nil && int64(len(raw)) != size {
		err = errors.New("size differs")
	}
	if err == nil && s.filed != nil {
		err = s.filed()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.appended = append(s.appended, raw)
	return nil
}

func (s mailSession) Remove(_ context.Context, uid uint32) error {
	if s.box.remove != nil {
		if err := s.box.remove(uid); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.mail {
		if m.uid == uid {
			s.mail = append(s.mail[:i], s.mail[i+1:]...)
			s.removed++
			return nil
		}
	}
	return nil
}

func (s mailSession) Space(context.Context) (int64, int64, bool, error) { return 0, 0, false, nil }

// config is a dispatcher's configuration over a box.
func config(b *box, store dispatch.Store) dispatch.Config {
	return dispatch.Config{
		Store:    store,
		Accounts: []dispatch.AccountConfig{b.config()},
		Verify:   receipt.Options{Trust: providers().authority.Trust(), Directory: providers().authority.Directory()},
	}
}

func newDispatcher(t *testing.T, cfg dispatch.Config) *dispatch.Dispatcher {
	t.Helper()
	d, err := dispatch.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func recipientNumber(i int) pec.Address {
	return pec.MustParseAddress(fmt.Sprintf("r%d@pec.beta.example", i))
}

// ready puts a batch of n messages into a store, ready to be signed off.
func ready(t *testing.T, store dispatch.Store, name string, n int) dispatch.Batch {
	t.Helper()
	return readyAt(t, store, name, n, time.Now().UTC())
}

func readyAt(t *testing.T, store dispatch.Store, name string, n int, created time.Time) dispatch.Batch {
	t.Helper()
	total := sha256.New()
	batch := dispatch.Batch{
		Name: name, Account: account, Phase: dispatch.PhaseReady, Created: created, Creator: "anna",
		Total: int64(n), Counts: map[dispatch.State]int64{dispatch.Prepared: int64(n)},
	}
	err := store.Update(t.Context(), dispatch.AccountName(account), func(tx dispatch.Tx) error {
		for i := range n {
			send := message(name, i+1)
			total.Write(send.Digest[:])
			if err := tx.AddSend(send, dispatch.Progress{State: dispatch.Prepared, Due: batch.Created}); err != nil {
				return err
			}
			if err := tx.PutMessageID(pec.BareMessageID(send.MessageID), send.ID, 1); err != nil {
				return err
			}
		}
		batch.Digest = dispatch.Digest(total.Sum(nil))
		return tx.PutBatch(batch)
	})
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// message makes a send by hand.
func message(batch string, row int) dispatch.Send {
	to := recipientNumber(row)
	id := fmt.Sprintf("<%s.%d@pec.alfa.example>", batch, row)
	raw := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: Sollecito %d\r\nDate: Sat, 01 Jan 2000 00:00:00 +0000\r\nMessage-ID: %s\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nBuongiorno, numero %d.\r\n", account, to, row, id, row)
	return dispatch.Send{
		ID: dispatch.SendID{Batch: batch, Row: int64(row)}, Recipient: to, MessageID: id,
		Content: []dispatch.Piece{{Bytes: []byte(raw), Size: int64(len(raw))}},
		Digest:  sha256.Sum256([]byte(raw)), Size: int64(len(raw)),
	}
}

func newStore() dispatch.Store { return new(memstore.Store) }

// approve signs a batch off.
func approve(t *testing.T, d *dispatch.Dispatcher, b dispatch.Batch) {
	t.Helper()
	if err := d.Approve(dispatch.WithActor(t.Context(), "bruno"), account, b.Name, b.Digest, 0); err != nil {
		t.Fatalf("Approve: %v", err)
	}
}

// start runs a dispatcher; the function that it returns stops it and waits.
func start(t *testing.T, d *dispatch.Dispatcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// checkCounts compares the counts of a batch with what is wanted, with the states
// of its sends, and with their sum.
func checkCounts(t *testing.T, d *dispatch.Dispatcher, name string, want map[dispatch.State]int64) {
	t.Helper()
	batch, err := d.Batch(t.Context(), account, name)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[dispatch.State]int64)
	var sum int64
	for s, err := range d.Statuses(t.Context(), account, name) {
		if err != nil {
			t.Fatal(err)
		}
		found[s.Status.State]++
	}
	for state, n := range batch.Counts {
		sum += n
		for s, err := range d.Statuses(t.Context(), account, name, state) {
			if n--; err != nil || s.Status.State != state {
				t.Fatalf("asked for %s: row %d is %s, %v", state, s.Send.ID.Row, s.Status.State, err)
			}
		}
		if n != 0 {
			t.Errorf("asked for %s: %d are missing", state, n)
		}
	}
	if fmt.Sprint(batch.Counts) != fmt.Sprint(want) || fmt.Sprint(found) != fmt.Sprint(want) || sum != batch.Total {
		t.Errorf("counts %v, found %v, want %v (total %d)", batch.Counts, found, want, batch.Total)
	}
}

// checkOnce fails if a message was accepted more than once.
func (b *box) checkOnce(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, n := range b.accepted {
		if n != 1 {
			t.Errorf("%s was accepted %d times", id, n)
		}
	}
}

func checkAudit(t *testing.T, store dispatch.Store) {
	t.Helper()
	if n, err := dispatch.VerifyAudit(t.Context(), store, dispatch.AccountName(account)); err != nil || n == 0 {
		t.Errorf("VerifyAudit = %d, %v", n, err)
	}
}
