package dispatch

import (
	"errors"
	"slices"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// settling is what is being stored of messages that were found; nil if there are none.
type settling struct {
	some []*found
	done <-chan error // nil once it was told
}

// settle begins to store what was found, and how far the folder was read, unless that
// is 0.
func (c *collector) settle(p *portion, some []*found, upTo uint32) *settling {
	if len(some) == 0 && upTo == 0 {
		return nil
	}
	var ids []string
	for _, f := range some {
		f.raw = nil // a portion holds its messages until its end
		if f.isAcceptance() {
			ids = append(ids, pec.BareMessageID(f.notice.ID))
		}
	}
	from := p.stored
	if upTo > 0 {
		p.stored = Cursor{UIDValidity: p.validity, UID: upTo}
	}
	to := p.stored
	return &settling{some, c.hand(c.work, func(t *transaction) error {
		if err := prefetchMessageIDs(t.Tx, ids); err != nil {
			return err
		}
		for _, f := range some {
			if err := c.settleOne(t, f); err != nil {
				return err
			}
		}
		if upTo > 0 && t.account.Cursors[p.folder] == from { // or else a person called Rescan meanwhile
			if t.account.Cursors == nil {
				t.account.Cursors = make(map[string]Cursor)
			}
			t.account.Cursors[p.folder] = to
		}
		return nil
	})}
}

// settled waits until everything is stored.
func (c *collector) settled(s *settling) error {
	if s == nil || s.done == nil {
		return nil
	}
	err := <-s.done
	s.done = nil
	if err == nil {
		c.progress = c.progress || slices.ContainsFunc(s.some, (*found).isKept)
		for _, f := range s.some {
			delete(c.unread, f.mail.ID)
		}
	}
	return err
}

// settleOne stores one message that was found, and draws the consequences.
func (c *collector) settleOne(t *transaction, f *found) error {
	mail := f.mail
	fact := Fact{At: t.now, Attempt: f.match.attempt, Raw: mail.Raw}
	switch {
	case f.notice != nil:
		mail.Disposition = MailMatched
		fact.Kind, fact.Key = FactNotice, noticeKey(f.notice.Signed)
		fact.At, fact.Notice = f.notice.Instant.UTC(), f.notice
	case f.noMatch == nil && len(f.bounce) > 0:
		mail.Disposition = MailMatched
		fact.Kind, fact.Key = FactBounce, bounceKey(mail.Raw)
	case errors.Is(f.err, receipt.CodeFuture):
		mail.Disposition, mail.Reason = MailEarly, f.err.Error()
		if !c.early {
			c.early = true
			c.log().Warn("a receipt is dated in the future: the clock of this machine, or of a provider, is wrong")
		}
	case f.noMatch == nil && f.err != nil && !mail.Raw.IsZero():
		mail.Disposition, mail.Reason = MailClaim, f.err.Error()
		fact.Kind, fact.Key, fact.Reason = FactClaim, claimKey(mail.Raw), mail.Reason
	case errors.Is(f.err, receipt.CodeNotPEC):
		return nil // other people's mail
	case f.err != nil:
		mail.Disposition, mail.Reason = MailUnreadable, f.err.Error()
	case f.class.Category != pec.CategoryReceipt || f.noMatch == nil:
		return nil // that too, or gone before it could be fetched
	default:
		mail.Disposition, mail.Reason = MailOrphan, f.noMatch.Error()
	}
	if fact.Kind == "" {
		t.events = append(t.events, Event{Kind: EventMail, At: t.now, Detail: string(mail.Disposition)})
		return t.PutMail(mail)
	}
	mail.Send = f.match.send.ID
	if err := t.PutMail(mail); err != nil {
		return err
	}
	if _, err := t.learn(f.match.send, fact); err != nil {
		return err
	}
	return rememberID(t, f)
}

// isKept reports whether the message itself is stored. While none is, and messages are
// only set apart, it may be that the server gives none out, and they would all be if it
// was asked again at once.
func (f *found) isKept() bool { return !f.mail.Raw.IsZero() }

func (f *found) isBounce() bool { return len(f.bounce) > 0 }

func (f *found) isAcceptance() bool { return f.notice != nil && f.notice.Kind == NoticeAcceptance }

// rememberID makes the provider's identifier lead to the send: bounces and
// replies name it, since recipients see no other Message-ID.
func rememberID(t *transaction, f *found) error {
	if !f.isAcceptance() {
		return nil
	}
	id := pec.BareMessageID(f.notice.ID)
	_, _, err := t.SendByMessageID(id)
	if errors.Is(err, ErrNotFound) {
		err = t.PutMessageID(id, f.match.send.ID, f.match.attempt)
	}
	return err
}
