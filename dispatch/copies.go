package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// sentCopy names a message of which a copy is to be filed: a send under the
// Message-ID of the attempt that left.
type sentCopy struct {
	send      SendID
	messageID string
}

// maxCopies is how many copies may wait to be filed: some 20 MB. A mailbox takes
// them more slowly than a provider takes messages, and sending never waits.
const maxCopies = 100_000

// copies are those that wait to be filed, in turn.
type copies struct {
	mu      sync.Mutex
	waiting []sentCopy
	lost    int // for which there was no room
}

func (c *copies) add(one sentCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == maxCopies {
		c.lost++
		return
	}
	c.waiting = append(c.waiting, one)
}

func (c *copies) take() (one sentCopy, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return sentCopy{}, false
	}
	one, c.waiting = c.waiting[0], c.waiting[1:]
	return one, true
}

// missing returns how many messages were sent of which no copy was filed.
func (c *copies) missing() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting) + c.lost
}

// copyAfter asks for a copy of a message that was sent.
func (w *worker) copyAfter(t *tried) {
	if w.cfg.Mailbox != nil {
		w.sent.add(sentCopy{t.send.ID, t.messageID})
	}
}

// fileCopy puts one copy into the folder for them. It is made of what is stored, as
// the message was.
func (w *worker) fileCopy(ctx context.Context, s MailboxSession, one sentCopy) error {
	var send Send
	err := w.d.cfg.Store.View(ctx, w.name, func(tx Tx) (err error) {
		send, err = tx.Send(one.send)
		return err
	})
	if err != nil {
		return storeError{err}
	}
	content, err := openContent(ctx, w.d.cfg.Store, send, one.messageID)
	if err != nil {
		return storeError{err}
	}
	defer content.Close()
	return s.Append(ctx, w.cfg.SentFolder, content.Size(), content.Reader())
}

// copyChunk is how many copies are filed before receipts are looked for again.
const copyChunk = 10

// Waits after a copy could not be filed.
const (
	firstCopyRest = time.Minute
	lastCopyRest  = time.Hour
)

// fileCopies puts copies of what was sent into the folder for them. It returns
// whether there may be more. A copy that can't be filed is tried again after the
// others and after a while: a mailbox that is full stays so, and refusing a message
// may take the connection with it.
func (c *collector) fileCopies(ctx context.Context, s MailboxSession) (more bool, err error) {
	if time.Now().Before(c.nextCopy) {
		return false, nil
	}
	for range copyChunk {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		one, ok := c.sent.take()
		if !ok {
			return false, nil
		}
		// The one in hand when ctx ends is finished: nobody knows whether a copy that
		// is cut off was filed.
		if err := c.fileCopy(c.work, s, one); err != nil {
			c.sent.add(one)
			return false, c.restCopies(err)
		}
		c.copyFailures = 0
	}
	return true, nil
}

// restCopies tells that a copy could not be filed, and until when none will be. It
// returns the error if the session is over.
func (c *collector) restCopies(err error) error {
	c.copyFailures++
	wait := backoff(c.copyFailures, firstCopyRest, lastCopyRest)
	now := c.d.now()
	c.nextCopy = time.Now().Add(wait) // by the machine's clock: nobody sets that back
	c.log().Warn("filing the copy of a message", slog.Any("error", err), slog.Duration("wait", wait))
	c.d.cfg.Observe(Event{
		Kind: EventConnection, At: now, Account: c.name, Until: now.Add(wait),
		Detail: "IMAP: the copy of a message that was sent can't be filed",
	})
	var ours storeError
	if errors.Is(err, ErrMailboxRefused) || errors.As(err, &ours) {
		return nil
	}
	return err
}

// lastCopies is how long a worker that stops goes on filing copies.
const lastCopies = 10 * time.Second

// fileLast files the copies that are left when the work on the account ends, as
// far as they can be filed in a moment, and tells of the others.
func (w *worker) fileLast(ctx context.Context) {
	if w.sent.missing() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastCopies)
	defer cancel()
	err := w.fileRest(ctx)
	missing := w.sent.missing()
	if missing == 0 {
		return
	}
	w.log().Warn("copies of messages were not filed", slog.Int("copies", missing), slog.Any("error", err))
	w.d.cfg.Observe(Event{
		Kind: EventConnection, At: w.d.now(), Account: w.name,
		Detail: fmt.Sprintf("IMAP: no copy was filed of %d messages that were sent", missing),
	})
}

func (w *worker) fileRest(ctx context.Context) error {
	s, err := w.openMailbox(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		one, ok := w.sent.take()
		if !ok {
			return nil
		}
		if err := w.fileCopy(ctx, s, one); err != nil {
			w.sent.add(one)
			return err
		}
	}
}
