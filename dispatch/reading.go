package dispatch

import (
	"cmp"
	"context"
	"slices"
)

// reading is the way of a portion from the mailbox into the store, some messages at a
// time. While some are stored, the next ones are verified and matched, and those after
// them fetched.
type reading struct {
	*collector
	s       MailboxSession
	p       *portion
	coming  *fetching // nil if nothing is fetched
	storing *settling // nil if nothing is stored
}

// read reads a portion, and moves the cursor on.
func (c *collector) read(ctx context.Context, s MailboxSession, p *portion) (err error) {
	ctx, stop := context.WithCancel(ctx)
	r := &reading{collector: c, s: s, p: p, coming: c.fetchNext(ctx, s, p)}
	defer func() {
		stop()
		err = cmp.Or(r.end(), err)
	}()
	for r.coming != nil {
		if err := r.step(ctx); err != nil {
			return err
		}
	}
	return r.store(nil, p.last)
}

// end waits until nothing goes on any more: whoever comes next uses the session too.
func (r *reading) end() error {
	if r.coming != nil {
		r.coming.end()
	}
	return r.settled(r.storing)
}

// step takes what is coming, and has it stored as far as it came. It fails if not all
// of it did.
func (r *reading) step(ctx context.Context) error {
	this := r.coming
	err := this.come()
	r.coming = nil
	if err == nil && !r.cfg.Purge {
		r.coming = r.fetchNext(ctx, r.s, r.p)
	}
	err = cmp.Or(this.kept(), err)
	if err := r.match(ctx, this.some); err != nil {
		return err
	}
	err = cmp.Or(r.proveAll(ctx, this.some), err)
	done := this.some[:r.cutUnread(this.some, err)]
	if err := r.store(done, cursorAfter(done)); err != nil {
		return err
	}
	if !r.cfg.Purge {
		return err
	}
	return r.purgeStored(ctx, done, err)
}

// match finds what messages are about. A bounce may name what those before it bring,
// so that is stored first.
func (r *reading) match(ctx context.Context, some []*found) error {
	if slices.ContainsFunc(some, (*found).isBounce) {
		if err := r.settled(r.storing); err != nil {
			return err
		}
	}
	return r.matchAll(ctx, some)
}

// store begins to store what was found, with what needed no fetching, once those
// before are stored: the cursor of these must not pass them.
func (r *reading) store(some []*found, upTo uint32) error {
	if err := r.settled(r.storing); err != nil {
		return err
	}
	r.storing = r.settle(r.p, append(r.p.apart, some...), upTo)
	r.p.apart = nil
	return nil
}

// purgeStored removes what is being stored, when it is, and has the next ones come. It
// leaves that for later if fetching failed, and returns that error.
func (r *reading) purgeStored(ctx context.Context, some []*found, fetchErr error) error {
	if err := r.settled(r.storing); err != nil {
		return err
	}
	r.toPurge(r.p, some)
	if fetchErr != nil {
		return fetchErr
	}
	if err := r.purge(r.s, r.p.folder, r.p.validity); err != nil {
		return err
	}
	r.coming = r.fetchNext(ctx, r.s, r.p)
	return nil
}

// cursorAfter returns the UID up to which everything was read; 0 if nothing was.
func cursorAfter(some []*found) uint32 {
	if len(some) == 0 {
		return 0
	}
	return some[len(some)-1].mail.ID.UID
}
