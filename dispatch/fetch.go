package dispatch

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync"
)

// fetching are messages on their way from the mailbox into the store.
type fetching struct {
	some    []*found
	came    chan error     // told when all have come, or why they can't
	keeping sync.WaitGroup // those that came are being stored and judged
}

// fetchNext begins to fetch what is wanted next; nil if that is nothing.
func (c *collector) fetchNext(ctx context.Context, s MailboxSession, p *portion) *fetching {
	n := min(fetchChunk, len(p.wanted))
	if n == 0 {
		return nil
	}
	f := &fetching{some: p.wanted[:n], came: make(chan error, 1)}
	p.wanted = p.wanted[n:]
	go func() { f.came <- c.fetch(ctx, s, f) }()
	return f
}

// come waits until the session is free, and returns why not all have come.
func (f *fetching) come() error { return <-f.came }

// kept waits until those that came are stored and judged, and marks them as read. It
// fails if the store does.
func (f *fetching) kept() error {
	f.keeping.Wait()
	for _, m := range f.some {
		if m.notKept != nil {
			return storeError{m.notKept}
		}
		m.read = m.read || m.raw != nil
	}
	return nil
}

// end waits until nothing goes on any more.
func (f *fetching) end() {
	f.come()
	f.keeping.Wait()
}

// smallMail is up to which size a message is judged, and proves something, out of
// memory, and not read back from the store.
const smallMail = 64 << 10

// fetch has messages come. Those that are small are given to the store as they come,
// and are judged meanwhile: waiting for it takes longer than all the rest, and a
// database flushes together what it is given at the same time.
func (c *collector) fetch(ctx context.Context, s MailboxSession, f *fetching) error {
	byUID := make(map[uint32]*found, len(f.some))
	uids := make([]uint32, len(f.some))
	for i, m := range f.some {
		uids[i] = m.mail.ID.UID
		byUID[uids[i]] = m
	}
	toJudge := make(chan *found, len(f.some))
	defer close(toJudge)
	for range runtime.GOMAXPROCS(0) {
		f.keeping.Go(func() {
			for m := range toJudge {
				c.judge(m, func() io.Reader { return bytes.NewReader(m.raw) })
			}
		})
	}
	return s.Fetch(ctx, uids, func(uid uint32, size int64, r io.Reader) error {
		m := byUID[uid]
		if m == nil || m.read || m.raw != nil {
			return nil
		}
		if size > smallMail {
			return c.keepLarge(ctx, m, r)
		}
		raw := bytes.NewBuffer(make([]byte, 0, max(size, 0)+bytes.MinRead))
		if _, err := raw.ReadFrom(r); err != nil {
			return err
		}
		m.raw = raw.Bytes()
		toJudge <- m
		f.keeping.Go(func() { m.mail.Raw, m.mail.Size, m.notKept = c.d.cfg.Store.PutBlob(ctx, bytes.NewReader(m.raw)) })
		return nil
	})
}

// keepLarge stores a message, reads it back and verifies it.
func (c *collector) keepLarge(ctx context.Context, f *found, r io.Reader) error {
	in := &watchedReader{r: r}
	raw, size, err := c.d.cfg.Store.PutBlob(ctx, in)
	if err == nil {
		f.mail.Raw, f.mail.Size = raw, size
		err = c.verify(ctx, f)
	}
	if err != nil && in.err == nil {
		return storeError{err}
	}
	f.read = err == nil
	return err
}

// watchedReader remembers the error of a reader.
type watchedReader struct {
	r   io.Reader
	err error
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
