package dispatch

import (
	"cmp"
	"context"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// betweenLooks is how often receipts that are dated in the future are looked at.
const betweenLooks = 10 * time.Second

// lookAgain judges receipts once more that were dated in the future when they were
// found: clocks are set, and time passes.
func (c *collector) lookAgain(ctx context.Context) error {
	if !c.early || time.Now().Before(c.nextLook) {
		return nil
	}
	c.nextLook = time.Now().Add(betweenLooks)
	left := 0
	for m, err := range c.d.Mails(ctx, c.cfg.Address, MailEarly) {
		if err != nil {
			return err
		}
		f := &found{mail: m, class: pec.Class{Category: m.Category, Kind: m.Kind}, read: true}
		if err := c.verify(ctx, f); err != nil {
			return err
		}
		if f.receipt == nil {
			left++
			continue
		}
		if err := cmp.Or(c.matchAll(ctx, []*found{f}), c.proveAll(ctx, []*found{f})); err != nil {
			return err
		}
		if err := c.settled(c.settle(&portion{}, []*found{f}, 0)); err != nil {
			return err
		}
	}
	c.early = left > 0
	return nil
}
