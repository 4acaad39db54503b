package dispatch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// collector reads the mailbox of one account.
type collector struct {
	*worker
	work      context.Context      // outlives the stop, so that what was read is stored
	unread    map[MailID]int       // how often a message could not be fetched
	nextAgain map[string]time.Time // :: folder → when to ask again for those set apart
	progress  bool                 // a message was read, or the mailbox to its end, since a connection failed
	once      sync.Once            // tells that the mailbox was read to its end
	refused   map[string]bool      // folders that the server does not open

	early    bool      // there may be receipts that are dated in the future
	nextLook time.Time // when to look at them again

	stored map[string][]storedMail // :: folder → receipts to remove from it
	kept   bool                    // told that some can't be removed

	copyFailures int       // in a row
	nextCopy     time.Time // when to try again
}

// maxFetches is how often a message that can't be fetched is tried, before it is
// set apart: it must not keep those behind it from being read.
const maxFetches = 3

// collectLoop reads the mailbox until ctx ends.
func (w *worker) collectLoop(ctx, work context.Context) {
	c := &collector{worker: w, work: work, unread: make(map[MailID]int), refused: make(map[string]bool), stored: make(map[string][]storedMail), nextAgain: make(map[string]time.Time), early: true}
	for failures := 0; ctx.Err() == nil; {
		err := c.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errSuspended) {
			napUnless(ctx, longNap, c.resumed)
			continue
		}
		if errors.Is(err, ErrAuth) {
			w.suspend(ctx, "IMAP login refused")
			continue
		}
		if c.progress {
			failures, c.progress = 0, false
		}
		failures++
		wait := backoff(failures, firstReconnect, lastReconnect)
		w.log().Warn("reading the mailbox", slog.Any("error", err), slog.Duration("wait", wait))
		now := w.d.now()
		w.d.cfg.Observe(Event{Kind: EventConnection, At: now, Account: w.name, Detail: "IMAP", Until: now.Add(wait)})
		nap(ctx, wait)
	}
}

// session reads over one connection, until ctx ends or something fails.
func (c *collector) session(ctx context.Context) error {
	s, err := c.openMailbox(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	folders := c.cfg.folders()
	for {
		if err := c.lookAgain(ctx); err != nil {
			return err
		}
		if err := c.readFolders(ctx, s, folders); err != nil {
			return err
		}
		c.progress = true
		c.once.Do(func() { close(c.caughtUp) })
		more, err := c.fileCopies(ctx, s)
		if err != nil {
			return err
		}
		if more {
			continue // receipts first
		}
		if _, err := s.Select(ctx, folders[0]); err != nil {
			return err
		}
		if err := s.Wait(ctx, c.d.cfg.Poll); err != nil {
			return err
		}
	}
}

// readFolders reads what is new in all folders. One that the server refuses, such as
// one that was renamed, is passed over: receipts arrive in the others.
func (c *collector) readFolders(ctx context.Context, s MailboxSession, folders []string) error {
	for i := len(folders) - 1; i >= 0; i-- { // the first one last: Wait is about it
		err := c.readFolder(ctx, s, folders[i])
		switch {
		case err == nil:
			delete(c.refused, folders[i])
		case i > 0 && errors.Is(err, ErrFolder):
			c.tellRefused(folders[i], err)
		default:
			return err
		}
	}
	return nil
}

// tellRefused tells that a folder could not be opened, once.
func (c *collector) tellRefused(folder string, err error) {
	if c.refused[folder] {
		return
	}
	c.refused[folder] = true
	c.log().Warn("opening a folder", slog.Any("error", err))
	c.d.cfg.Observe(Event{Kind: EventConnection, At: c.d.now(), Account: c.name, Detail: "IMAP: a folder can't be opened"})
}

// Sizes of what is looked at together.
const (
	headChunk  = 500
	fetchChunk = 50
)

// readFolder reads what is new in a folder.
func (c *collector) readFolder(ctx context.Context, s MailboxSession, folder string) error {
	state, err := s.Select(ctx, folder)
	if err != nil {
		return err
	}
	account, err := c.d.Account(ctx, c.cfg.Address)
	if err != nil {
		return err
	}
	stored := account.Cursors[folder]
	after := stored
	if after.UIDValidity != state.UIDValidity {
		after = Cursor{UIDValidity: state.UIDValidity} // the folder was made anew
	}
	for {
		heads, err := takeHeads(s.Heads(ctx, after.UID), headChunk)
		if err != nil {
			return err
		}
		p := &portion{folder: folder, validity: state.UIDValidity, stored: stored}
		if len(heads) == 0 {
			if err := c.fetchAgain(ctx, s, p); err != nil {
				return err
			}
			return c.purge(s, folder, state.UIDValidity)
		}
		if err := c.sort(ctx, p, heads); err != nil {
			return err
		}
		if err := c.read(ctx, s, p); err != nil {
			return err
		}
		after.UID = p.last
		stored = after
	}
}

// takeHeads returns the first n heads. One that the server can't give has no
// Header.
func takeHeads(seq iter.Seq2[MailHead, error], n int) ([]MailHead, error) {
	var list []MailHead
	for h, err := range seq {
		if err != nil && h.UID == 0 {
			return list, err
		}
		if err != nil {
			h.Header = nil
		}
		if list = append(list, h); len(list) == n {
			break
		}
	}
	return list, nil
}

// portion is a run of messages of a folder.
type portion struct {
	folder   string
	validity uint32
	last     uint32 // UID of the last message
	stored   Cursor // the folder's, when all that was handed in is stored
	wanted   []*found
	apart    []*found // what is settled without being fetched
}

// found is a message in the mailbox that may be about a send.
type found struct {
	mail  Mail
	class pec.Class
	read  bool
	raw   []byte // the message, if it is small
	// notKept is why a message that was read could not be stored.
	notKept error

	receipt *receipt.Receipt // nil unless verified
	err     error            // why not
	match   match
	noMatch error
	notice  *Notice
	bounce  []string // identifiers that a bounce names
}

// sort tells by their headers which messages to fetch. A receipt whose header
// names a Message-ID that is not ours is another program's: a header that was
// changed would make it be refused anyway.
func (c *collector) sort(ctx context.Context, p *portion, heads []MailHead) error {
	p.last = heads[len(heads)-1].UID
	return c.d.cfg.Store.View(ctx, c.name, func(tx Tx) error {
		p.wanted, p.apart = nil, nil
		all := make([]*found, len(heads))
		for i, h := range heads {
			all[i] = c.newFound(p, h)
		}
		if err := prefetchMessageIDs(tx, references(all)); err != nil {
			return err
		}
		for i, h := range heads {
			f := all[i]
			switch f.class.Category {
			case pec.CategoryDSN, pec.CategoryAnomaly:
				if h.Size <= maxBounce {
					p.wanted = append(p.wanted, f)
				}
			case pec.CategoryReceipt:
				known, err := isKnown(tx, f.class.Reference)
				if err != nil {
					return err
				}
				switch most := c.maxReceipt(); {
				case !known:
					f.noMatch = fmt.Errorf("%w: unknown Message-ID", errNoMatch)
					p.apart = append(p.apart, f)
				case h.Size > most:
					f.err = fmt.Errorf("it has more than %d bytes", most)
					p.apart = append(p.apart, f)
				default:
					p.wanted = append(p.wanted, f)
				}
			}
		}
		return nil
	})
}

// references are the Message-IDs that the headers of receipts name.
func references(all []*found) (ids []string) {
	for _, f := range all {
		if f.class.Category == pec.CategoryReceipt && f.class.Reference != "" {
			ids = append(ids, pec.BareMessageID(f.class.Reference))
		}
	}
	return ids
}

func (c *collector) newFound(p *portion, h MailHead) *found {
	// What has no header could be a receipt: verifying it tells.
	class := pec.Class{Category: pec.CategoryReceipt}
	if h.Header != nil {
		class = pec.Classify(h.Header)
	}
	return &found{
		class: class,
		mail: Mail{
			ID:       MailID{Folder: p.folder, UIDValidity: p.validity, UID: h.UID},
			Found:    c.d.now(),
			Size:     h.Size,
			Category: class.Category,
			Kind:     class.Kind,
		},
	}
}

// maxReceipt is the largest receipt that is fetched: a larger one would be refused,
// once the store was full of it.
func (c *collector) maxReceipt() int64 {
	return cmp.Or(c.d.cfg.Verify.Limits.Message, 100<<20) // the default of package receipt
}

// isKnown reports whether a reference is to a message of ours, or to none that
// can be told.
func isKnown(tx Tx, reference string) (bool, error) {
	if reference == "" {
		return true, nil
	}
	_, _, err := tx.SendByMessageID(pec.BareMessageID(reference))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// cutUnread returns how many messages, from the first, are dealt with. One that
// could not be fetched time and again is set apart; one that is gone is done.
func (c *collector) cutUnread(some []*found, fetchErr error) int {
	if fetchErr == nil {
		return len(some)
	}
	for i, f := range some {
		if f.read {
			continue
		}
		var ours storeError
		if errors.As(fetchErr, &ours) {
			return i
		}
		c.unread[f.mail.ID]++
		if c.unread[f.mail.ID] < maxFetches {
			return i
		}
		f.read, f.err = true, fmt.Errorf("it can't be fetched: %w", fetchErr)
		return i + 1
	}
	return len(some)
}

// storeError is an error of the store, which is no fault of a message.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

// verify judges a message that was stored. A message that is refused is a result;
// an error is the store's.
func (c *collector) verify(ctx context.Context, f *found) error {
	blob, err := c.d.cfg.Store.OpenBlob(ctx, f.mail.Raw)
	if err != nil {
		return err
	}
	defer blob.Close()
	stored := &watchedReaderAt{r: blob}
	c.judge(f, func() io.Reader { return io.NewSectionReader(stored, 0, blob.Size()) })
	return stored.err // whatever the judgement is, it is about something else
}

// judge says what a message is. whole reads it.
func (c *collector) judge(f *found, whole func() io.Reader) {
	if f.class.Category != pec.CategoryReceipt {
		f.bounce = readBounce(whole())
		return
	}
	opts := c.d.cfg.Verify
	opts.Now, opts.At = c.d.now, c.d.now()
	f.receipt, f.err = receipt.Verify(whole(), opts)
	if errors.Is(f.err, smime.ReasonExpired) {
		// It arrived while nobody was looking: the certificate has ended since.
		opts.At = time.Time{}
		f.receipt, f.err = receipt.Verify(whole(), opts)
	}
}

// watchedReaderAt remembers the error of a reader, which whoever reads through it
// may take for a fault of what it reads.
type watchedReaderAt struct {
	r   io.ReaderAt
	err error
}

func (w *watchedReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// matchAll finds what verified messages are about.
func (c *collector) matchAll(ctx context.Context, some []*found) error {
	var ids []string
	for _, f := range some {
		if f.read && f.receipt != nil {
			ids = append(ids, pec.BareMessageID(f.receipt.Data().MessageID))
		}
	}
	return c.d.cfg.Store.View(ctx, c.name, func(tx Tx) error {
		if err := prefetchSends(tx, ids); err != nil {
			return err
		}
		named := make(map[string]match) // by acceptances among them, :: identifier
		for _, bounces := range []bool{false, true} {
			for _, f := range some {
				if !f.read || f.isBounce() != bounces {
					continue
				}
				if err := c.matchOne(tx, f, named); err != nil {
					return err
				}
				if f.isAcceptance() {
					named[pec.BareMessageID(f.notice.ID)] = f.match
				}
			}
		}
		return nil
	})
}

// proveAll finds what deliveries prove. One of which the store does not let that be
// known counts as not read, so that those before it are stored.
func (c *collector) proveAll(ctx context.Context, some []*found) error {
	for _, f := range some {
		if f.notice == nil || f.notice.Kind != NoticeDelivery {
			continue
		}
		if err := c.prove(ctx, f); err != nil {
			f.read = false
			return storeError{err}
		}
	}
	return nil
}

func (c *collector) matchOne(tx Tx, f *found, named map[string]match) error {
	var err error
	switch {
	case f.receipt != nil:
		data := f.receipt.Data()
		if noticeKinds[data.Kind] == "" {
			f.noMatch = fmt.Errorf("%w: %s is for providers", errNoMatch, data.Kind)
			return nil
		}
		f.match, err = findMatch(tx, c.cfg.Address, data)
		if err == nil {
			f.notice = noticeOf(f.receipt, f.match.send.Recipient)
		}
	case f.isBounce():
		f.match, err = matchAny(tx, f.bounce, named)
	case f.err != nil && f.class.Reference != "":
		f.match, err = matchAny(tx, []string{f.class.Reference}, nil)
	default:
		err = errNoMatch
	}
	if errors.Is(err, errNoMatch) {
		f.noMatch, err = err, nil
	}
	return err
}

// matchAny finds a send by an identifier that is no evidence, but known to the store,
// or about to be.
func matchAny(tx Tx, ids []string, named map[string]match) (match, error) {
	for _, id := range ids {
		if m, ok := named[pec.BareMessageID(id)]; ok {
			return m, nil
		}
		sendID, attempt, err := tx.SendByMessageID(pec.BareMessageID(id))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return match{}, err
		}
		send, err := tx.Send(sendID)
		return match{send, attempt}, err
	}
	return match{}, errNoMatch
}

// prove compares what was delivered with what was sent.
func (c *collector) prove(ctx context.Context, f *found) error {
	delivered := &watchedReaderAt{r: bytes.NewReader(f.raw)}
	if f.raw == nil {
		blob, err := c.d.cfg.Store.OpenBlob(ctx, f.mail.Raw)
		if err != nil {
			return err
		}
		defer blob.Close()
		delivered.r = blob
	}
	sent, err := openContent(ctx, c.d.cfg.Store, f.match.send, f.notice.MessageID)
	if err != nil {
		return err
	}
	defer sent.Close()
	original := &watchedReaderAt{r: sent}
	proof, err := f.receipt.Prove(delivered, original)
	if err := cmp.Or(delivered.err, original.err, err); err != nil {
		return err
	}
	f.notice.Proof, f.notice.ProofMethod, f.notice.ProofDetail = proof.Result, proof.Method, proof.Reason
	return nil
}
