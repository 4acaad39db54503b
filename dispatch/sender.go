package dispatch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ceralacca/go-pec/receipt"
)

// sender hands the messages of one account to its provider.
type sender struct {
	*worker
	work  context.Context // outlives the stop, so that a message in hand is finished
	queue chan *tried

	mu     sync.Mutex // guards what follows
	inHand map[SendID]bool
	hold   time.Time // no message leaves before: a limit is used up
	paused time.Time // nor before: the account is paused
	asOf   int64     // the entry of the audit trail up to which that is known
}

// Waits after a connection that failed, and after a provider that said it was too
// much.
const (
	firstReconnect = time.Second
	lastReconnect  = 5 * time.Minute
	throttlePause  = 2 * time.Minute
	idleConnection = 20 * time.Second
)

// sendLoop sends until ctx ends. It begins when the mailbox was read once: if the
// store is an old copy that was put back, receipts there tell what has left since.
func (w *worker) sendLoop(ctx, work context.Context) {
	select {
	case <-w.caughtUp:
	case <-ctx.Done():
		return
	}
	s := &sender{
		worker: w,
		work:   work,
		queue:  make(chan *tried),
		inHand: make(map[SendID]bool),
	}
	var connections sync.WaitGroup
	for range w.cfg.Profile.OrDefault().Connections {
		connections.Go(func() { s.connection(ctx) })
	}
	s.feed(ctx)
	close(s.queue)
	connections.Wait()
}

// feed puts what is due into the queue, at the pace of the profile.
func (s *sender) feed(ctx context.Context) {
	limiter := pace(s.cfg.Profile.OrDefault())
	for ctx.Err() == nil {
		found, err := s.look(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.log().Error("looking for what is due", slog.Any("error", err))
			}
			now := s.d.now()
			found = look{at: now, next: now.Add(firstReconnect)}
		}
		for _, t := range found.due {
			now := s.d.now()
			delay := limiter.ReserveN(now, 1).DelayFrom(now)
			if s.d.napUntil(ctx, now.Add(delay)) != nil || s.napHold(ctx) != nil {
				return
			}
			if until := s.pausedUntil(); s.d.now().Before(until) {
				found = look{next: until} // or until a person resumes it
				break
			}
			if !s.offer(ctx, t) {
				return
			}
		}
		if len(found.due) == 0 && s.rest(ctx, found) != nil {
			return
		}
	}
}

// napHold waits until no limit is used up.
func (s *sender) napHold(ctx context.Context) error {
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	return s.d.napUntil(ctx, hold)
}

// holdUntil reports whether nobody knew that yet.
func (s *sender) holdUntil(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.After(s.hold) {
		return false
	}
	s.hold = t
	return true
}

// pauseAsOf notes until when the account is paused, as of an entry of its audit
// trail, unless more is known already: who looked before a pause was stored, or
// before it was ended, learns of it late.
func (s *sender) pauseAsOf(entry int64, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry >= s.asOf {
		s.paused, s.asOf = until, entry
	}
}

func (s *sender) pausedUntil() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused
}

// offer gives a send to whichever connection is free.
func (s *sender) offer(ctx context.Context, t *tried) bool {
	s.mu.Lock()
	s.inHand[t.send.ID] = true
	s.mu.Unlock()
	select {
	case s.queue <- t:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *sender) letGo(id SendID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inHand, id)
}

// letLeave says why the sends of a batch may not leave, or nil: then it is approved, if
// it was not before.
func (b *Batch) letLeave(policy ApprovalPolicy, now time.Time) error {
	if err := b.held(); err != nil {
		return err
	}
	if err := policy(*b, now); err != nil {
		return err
	}
	b.Phase = PhaseApproved
	return nil
}

// held says what keeps the sends of a batch until a person acts, or nil.
func (b *Batch) held() error {
	switch {
	case b.Phase != PhaseApproved && (b.Phase != PhaseReady || len(b.Approvals) == 0):
		return fmt.Errorf("%w: batch is %s", ErrNotApproved, b.Phase)
	case b.Paused:
		return fmt.Errorf("%w: batch is paused", ErrNotApproved)
	}
	return nil
}

// connection sends over one session after another until the queue is closed.
func (s *sender) connection(ctx context.Context) {
	var c connection
	defer c.close()
	defer func() {
		if err := c.settle(); err != nil {
			s.log().Warn("storing an outcome", slog.Any("error", err))
		}
	}()
	idle := time.NewTimer(idleConnection)
	defer idle.Stop()
	for {
		idle.Reset(idleConnection)
		select {
		case t, ok := <-s.queue:
			if !ok {
				return
			}
			wait := s.send(ctx, &c, t)
			s.letGo(t.send.ID) // another connection may do better meanwhile
			nap(ctx, wait)
		case <-idle.C:
			c.close()
		}
	}
}

// connection is a session, if one is open.
type connection struct {
	session  SubmitSession
	used     int // messages that went over it
	failures int // in a row, without any answer
	// last is the message before, if it was taken, and storing tells how the storing
	// of that outcome went; nil if that is settled.
	last    *tried
	storing <-chan error
}

// settle waits until the last outcome is stored.
func (c *connection) settle() error {
	if c.storing == nil {
		return nil
	}
	err := <-c.storing
	c.storing = nil
	return err
}

func (c *connection) close() {
	if c.session != nil {
		c.session.Close()
		c.session, c.used = nil, 0
	}
}

// send hands over one message, if all that must hold still does. It returns how
// long to rest then.
func (s *sender) send(ctx context.Context, c *connection, t *tried) (rest time.Duration) {
	if ctx.Err() != nil {
		return 0
	}
	switch err := s.open(ctx, c); {
	case errors.Is(err, errSuspended):
		return 0
	case err != nil:
		return s.failed(ctx, c, "connecting to send", err)
	}
	err := s.submit(c, t)
	limit := s.cfg.Profile.MessagesPerConnection
	if c.used++; limit > 0 && c.used >= limit {
		c.close()
	}
	var over *quotaError
	switch {
	case err == nil:
	case errors.As(err, &over):
		if s.holdUntil(over.until) {
			s.d.cfg.Observe(Event{Kind: EventPaused, At: s.d.now(), Account: s.name, Until: over.until, Detail: over.Error()})
		}
	case errors.Is(err, ErrNotApproved), errors.Is(err, ErrLeaseLost), errors.Is(err, errNotDue):
		// It stays; who decided that knows.
	default:
		return s.failed(ctx, c, "sending", err)
	}
	return 0
}

// open makes sure that there is a session.
func (s *sender) open(ctx context.Context, c *connection) error {
	if c.session != nil {
		return nil
	}
	if err := s.mayLogin(ctx); err != nil {
		return err
	}
	session, err := s.cfg.Submitter.Open(ctx)
	if err == nil {
		c.session = session
	}
	return err
}

// failed says how long to rest after a failure that says nothing of a message,
// longer each time.
func (s *sender) failed(ctx context.Context, c *connection, what string, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	if errors.Is(err, ErrAuth) {
		s.suspend(ctx, "SMTP login refused")
		return 0
	}
	c.failures++
	wait := backoff(c.failures, firstReconnect, lastReconnect)
	s.log().Warn(what, slog.Any("error", err), slog.Duration("wait", wait))
	now := s.d.now()
	s.d.cfg.Observe(Event{Kind: EventConnection, At: now, Account: s.name, Detail: what, Until: now.Add(wait)})
	return wait
}

// submit hands one message over and writes down what became of it.
func (s *sender) submit(c *connection, try *tried) error {
	content, err := openContent(s.work, s.d.cfg.Store, try.send, try.messageID)
	if err != nil {
		return fmt.Errorf("opening the message: %w", err)
	}
	defer content.Close()
	digest := sha256.New()
	result := c.session.Submit(s.work, Submission{
		From:    s.cfg.Address,
		To:      try.send.Recipient,
		Size:    content.Size(),
		Message: io.TeeReader(content.Reader(), digest),
	}, func() error {
		if Digest(digest.Sum(nil)) != try.content {
			return errChanged
		}
		try.before = c.last
		return s.intend(try)
	})
	if result.Broken {
		c.close()
	}
	if result.Code != 0 {
		c.failures = 0
	}
	err = c.settle()
	c.last, c.storing = nil, s.conclude(try, result)
	if result.Outcome == OutcomeSubmitted {
		c.last = try
		return err // the next message need not wait
	}
	if err := errors.Join(err, c.settle()); err != nil {
		return err
	}
	if result.Outcome == OutcomeNotSent {
		return result.Err
	}
	return nil
}

// tried is one try to send a message.
type tried struct {
	send      Send
	attempt   int
	try       int
	messageID string
	content   Digest // what was signed off
	asked     bool   // the intent was given to the store, which may have kept it
	intended  bool   // the intent was stored
	// before is the message that was sent before over this connection: its outcome is
	// stored first, or together with this intent. So one message of a connection at a
	// time is in doubt, whatever happens.
	before *tried
}

// errChanged is the error of a message that is not what was signed off: the store
// gave out other bytes than it was given.
var errChanged = errors.New("dispatch: the message is not what was signed off")

// errNotDue is the error of a send that is not due any more: another decision, or
// a receipt, came in between.
var errNotDue = errors.New("dispatch: not due any more")

// errInDoubt is the error of a message that has to wait: the outcome of the one
// before could not be stored.
var errInDoubt = errors.New("dispatch: the outcome of the message before is not stored")

// tryOf looks up which try comes next for a send, or fails with errNotDue.
func tryOf(tx Tx, send Send) (*tried, error) {
	facts, err := factsOf(tx, send)
	if err != nil {
		return nil, err
	}
	status := StatusOf(send.Recipient, facts)
	if status.State != Prepared {
		return nil, errNotDue
	}
	t := &tried{send: send, attempt: status.Attempt, try: status.Try + 1, messageID: status.MessageID}
	for _, f := range facts {
		if f.Kind == FactAttempt && f.Attempt == t.attempt {
			t.content = f.Content
		}
	}
	return t, nil
}

// intend stores that the message is about to leave, if it may. The final dot
// waits for it: once it is stored, the message counts as possibly sent.
func (s *sender) intend(t *tried) error {
	err := s.do(s.work, func(tx *transaction) error {
		if err := s.mayLeave(tx, t); err != nil {
			return err
		}
		t.asked = true
		_, err := tx.learn(t.send, Fact{
			Key: tryKey(t.attempt, t.try), Kind: FactTry, At: tx.now, Attempt: t.attempt, Try: t.try,
		})
		return err
	})
	if err != nil {
		return err
	}
	t.intended = true
	if !s.holds() {
		return ErrLeaseLost
	}
	return nil
}

// mayLeave checks, within the transaction that stores the intent, everything that
// could have changed since the send was found to be due.
func (s *sender) mayLeave(tx *transaction, t *tried) error {
	progress, err := tx.Progress(t.send.ID)
	if err != nil {
		return err
	}
	if t.asked && progress.State == Unknown && hasFact(tx, t.send.ID, tryKey(t.attempt, t.try)) {
		return nil // the same intent: the answer to its commit was lost
	}
	if b := t.before; b != nil && !hasFact(tx, b.send.ID, outcomeKey(b.attempt, b.try)) {
		return refusal{errInDoubt}
	}
	batch, err := tx.batch(t.send.ID.Batch)
	if err != nil {
		return err
	}
	if err := batch.letLeave(s.d.cfg.Policy, tx.now); err != nil {
		return refusal{err}
	}
	if progress.State != Prepared || progress.Due.IsZero() || progress.Due.After(tx.now) || tx.account.Suspended != "" {
		return refusal{errNotDue}
	}
	switch next, err := tryOf(tx, t.send); {
	case errors.Is(err, errNotDue):
		return refusal{err}
	case err != nil:
		return err
	case next.attempt != t.attempt || next.try != t.try:
		return refusal{errNotDue}
	}
	return checkQuotas(tx, quotas(s.cfg.Profile.OrDefault()))
}

func hasFact(tx Tx, id SendID, key string) bool {
	facts, err := tx.Facts(id)
	return err == nil && slices.ContainsFunc(facts, func(f Fact) bool { return f.Key == key })
}

// conclude has stored how a try ended, and tells how that went. Nothing is stored
// of one that ended before anything was at risk and without an answer.
func (s *sender) conclude(t *tried, r Result) <-chan error {
	if r.Outcome == OutcomeNotSent && !t.intended {
		return nil
	}
	aboutAccount := s.isAboutAccount(r)
	if aboutAccount {
		r.Outcome = OutcomeTemporary
	}
	store := s.hand
	if r.Outcome == OutcomeSubmitted {
		store = s.leave // the intent of the next message takes it along
	}
	stored := store(s.work, func(tx *transaction) error {
		if aboutAccount {
			if err := s.stopAccount(tx, r); err != nil {
				return err
			}
		}
		reply := r.Reply
		if r.Code == 0 && r.Err != nil {
			reply = r.Err.Error()
		}
		_, err := tx.learn(t.send, Fact{
			Key: outcomeKey(t.attempt, t.try), Kind: FactOutcome, At: tx.now, Attempt: t.attempt, Try: t.try,
			Outcome: r.Outcome, Code: r.Code, Reply: reply,
		})
		return err
	})
	if r.Outcome != OutcomeSubmitted || s.cfg.SentFolder == "" {
		return stored
	}
	filed := make(chan error, 1)
	go func() {
		err := <-stored
		if err == nil {
			s.copyAfter(t)
		}
		filed <- err
	}()
	return filed
}

// isAboutAccount reports whether a refusal is about the account, not the message:
// then every message would get it.
func (s *sender) isAboutAccount(r Result) bool {
	if r.Outcome != OutcomeTemporary && r.Outcome != OutcomePermanent {
		return false
	}
	for _, pattern := range s.cfg.Profile.ThrottlePatterns {
		if pattern.MatchString(r.Reply) {
			return true
		}
	}
	switch receipt.CauseOfReply(r.Code, r.Reply).Code {
	case receipt.CauseThrottled, receipt.CauseSenderMailboxFull, receipt.CauseAuth:
		return true
	}
	return false
}

// stopAccount keeps the account from sending for a while, or, if its login is not
// good any more, until a person acts.
func (s *sender) stopAccount(tx *transaction, r Result) error {
	if receipt.CauseOfReply(r.Code, r.Reply).Code == receipt.CauseAuth {
		return tx.suspend(fmt.Sprintf("reply %d", r.Code))
	}
	tx.account.PausedUntil = tx.now.Add(jitter(2 * throttlePause))
	tx.account.PauseReason = fmt.Sprintf("reply %d", r.Code)
	tx.events = append(tx.events, Event{
		Kind: EventPaused, At: tx.now, Until: tx.account.PausedUntil,
		Cause: receipt.CauseOfReply(r.Code, r.Reply).Code, Detail: tx.account.PauseReason,
	})
	err := tx.audit("pause-account", SendID{}, tx.account.PauseReason)
	s.pauseAsOf(tx.account.AuditSeq, tx.account.PausedUntil)
	return err
}
