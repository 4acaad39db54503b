package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// storedMail is a receipt that is safe in the store.
type storedMail struct {
	Mail
	tried bool // to remove it, and the session failed
}

// toPurge notes receipts that were stored, if the account wants them removed.
func (c *collector) toPurge(p *portion, some []*found) {
	if !c.cfg.Purge {
		return
	}
	for _, f := range some {
		if f.notice != nil {
			c.stored[p.folder] = append(c.stored[p.folder], storedMail{Mail: f.mail})
		}
	}
}

// purge removes receipts that are safe in the store from the folder that is open,
// also when the work is to end: nobody would remember them. One that a failure keeps
// from being removed gets another try when the folder was read again, and no more.
func (c *collector) purge(s MailboxSession, folder string, validity uint32) error {
	for len(c.stored[folder]) > 0 {
		mail := c.stored[folder][0]
		c.stored[folder] = c.stored[folder][1:]
		if mail.ID.UIDValidity != validity {
			continue // the UID names another message now
		}
		err := c.purgeOne(c.work, s, mail.Mail)
		kept := errors.Is(err, ErrMailboxRefused) || errors.Is(err, errBlobChanged)
		switch {
		case err == nil:
			continue
		case kept || mail.tried:
			c.tellKept(err)
		default:
			mail.tried = true
			c.stored[folder] = append(c.stored[folder], mail)
		}
		if !kept {
			return err
		}
	}
	return nil
}

func (c *collector) purgeOne(ctx context.Context, s MailboxSession, mail Mail) error {
	if err := checkBlob(ctx, c.d.cfg.Store, mail.Raw); err != nil {
		return fmt.Errorf("reading back what was stored: %w", err)
	}
	return s.Remove(ctx, mail.ID.UID)
}

// tellKept tells that a receipt stays in the mailbox, once.
func (c *collector) tellKept(err error) {
	if c.kept {
		return
	}
	c.kept = true
	c.log().Warn("removing a receipt", slog.Any("error", err))
	c.d.cfg.Observe(Event{Kind: EventConnection, At: c.d.now(), Account: c.name, Detail: "IMAP: receipts can't be removed"})
}
