package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// betweenAgain is how often messages that could not be fetched are asked for again.
const betweenAgain = time.Hour

// fetchAgain asks once more for messages of the folder that is open which were set
// apart because they could not be fetched. It may have been the server's fault, and one
// of them the receipt that somebody waits for.
func (c *collector) fetchAgain(ctx context.Context, s MailboxSession, p *portion) error {
	if time.Now().Before(c.nextAgain[p.folder]) {
		return nil
	}
	c.nextAgain[p.folder] = time.Now().Add(betweenAgain)
	apart, err := c.unfetched(ctx, p)
	if err != nil {
		return err
	}
	// One at a time, in any order: one that ends the session must not always come
	// before the same others.
	for _, i := range rand.Perm(len(apart)) {
		p.wanted = apart[i : i+1]
		if err := c.fetchOneAgain(ctx, s, p); err != nil {
			return err
		}
	}
	return nil
}

// unfetched lists messages that could not be fetched.
func (c *collector) unfetched(ctx context.Context, p *portion) ([]*found, error) {
	var list []*found
	for m, err := range c.d.Mails(ctx, c.cfg.Address, MailUnreadable) {
		if err != nil {
			return nil, err
		}
		if m.Raw.IsZero() && m.ID.Folder == p.folder && m.ID.UIDValidity == p.validity && m.Size <= c.maxReceipt() {
			list = append(list, &found{mail: m, class: pec.Class{Category: m.Category, Kind: m.Kind}})
		}
	}
	return list, nil
}

func (c *collector) fetchOneAgain(ctx context.Context, s MailboxSession, p *portion) error {
	f := c.fetchNext(ctx, s, p)
	err := f.come()
	if err := cmp.Or(f.kept(), err); err != nil || !f.some[0].read {
		return err // it stays apart; so does one that is gone
	}
	if m := f.some[0]; errors.Is(m.err, receipt.CodeNotPEC) {
		m.err = fmt.Errorf("no receipt after all: %v", m.err) // so that this is noted
	}
	if err := cmp.Or(c.matchAll(ctx, f.some), c.proveAll(ctx, f.some)); err != nil {
		return err
	}
	if err := c.settled(c.settle(p, f.some, 0)); err != nil {
		return err
	}
	c.toPurge(p, f.some)
	return nil
}
