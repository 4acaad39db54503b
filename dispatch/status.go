package dispatch

import (
	"cmp"
	"context"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// SendStatus is a send, where it stands, and all that is known of it.
type SendStatus struct {
	Send   Send
	Status Status
	// Facts are the timeline of the send, the earliest first. The first is the
	// send itself, at no time.
	Facts []Fact
	// Due is when it may leave; zero if it is not waiting to.
	Due time.Time
}

// Status returns where a send stands.
func (d *Dispatcher) Status(ctx context.Context, account pec.Address, id SendID) (SendStatus, error) {
	var s SendStatus
	err := d.cfg.Store.View(ctx, AccountName(account), func(tx Tx) error {
		send, err := tx.Send(id)
		if err != nil {
			return err
		}
		batch, err := tx.Batch(id.Batch)
		if err != nil {
			return err
		}
		s, err = statusIn(tx, &batch, send)
		return err
	})
	return s, err
}

func statusIn(tx Tx, batch *Batch, send Send) (SendStatus, error) {
	facts, err := factsOf(tx, send)
	if err != nil {
		return SendStatus{}, err
	}
	progress, err := tx.Progress(send.ID)
	if err != nil {
		return SendStatus{}, err
	}
	slices.SortStableFunc(facts, func(a, b Fact) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Key, b.Key)) })
	s := SendStatus{Send: send, Status: StatusOf(send.Recipient, facts), Facts: facts, Due: progress.Due}
	s.Status.State = batch.shown(s.Status.State)
	return s, nil
}

// Statuses yields where each send of a batch stands, by row; with states, only
// those that are in one of them, such as what was not delivered:
//
//	d.Statuses(ctx, account, "november", dispatch.Failed, dispatch.TimedOut)
//
// A send that changes meanwhile is seen as it was or as it is. Memory does not grow
// with their number.
func (d *Dispatcher) Statuses(ctx context.Context, account pec.Address, batch string, states ...State) iter.Seq2[SendStatus, error] {
	return func(yield func(SendStatus, error) bool) {
		for after, more := int64(0), true; more; {
			var page []SendStatus
			var last int64
			err := d.cfg.Store.View(ctx, AccountName(account), func(tx Tx) (err error) {
				page, last, more, err = statusPage(tx, batch, after, states)
				return err
			})
			if err != nil {
				yield(SendStatus{}, err)
				return
			}
			for _, s := range page {
				if !yield(s, nil) {
					return
				}
			}
			after = last
		}
	}
}

// pageSize is how many records are read at a time.
const pageSize = 200

// statusPage returns where the sends of a page stand, up to which row it goes, and
// whether there are more.
func statusPage(tx Tx, name string, after int64, states []State) (page []SendStatus, last int64, more bool, err error) {
	batch, err := tx.Batch(name)
	if err != nil {
		return nil, 0, false, err
	}
	sends, err := tx.Sends(name, after, pageSize)
	if err != nil {
		return nil, 0, false, err
	}
	for _, send := range sends {
		s, err := statusIn(tx, &batch, send)
		if err != nil {
			return nil, 0, false, err
		}
		if after = send.ID.Row; len(states) == 0 || slices.Contains(states, s.Status.State) {
			page = append(page, s)
		}
	}
	return page, after, len(sends) == pageSize, nil
}

// Mails yields what was found in the account's mailbox, of one disposition: for
// instance what claims to be a receipt and is not ([MailClaim]), or can't be read
// ([MailUnreadable]). [Dispatcher.WriteMail] gives the message, where it was kept.
func (d *Dispatcher) Mails(ctx context.Context, account pec.Address, disposition Disposition) iter.Seq2[Mail, error] {
	return func(yield func(Mail, error) bool) {
		for after, more := (MailID{}), true; more; {
			var page []Mail
			err := d.cfg.Store.View(ctx, AccountName(account), func(tx Tx) (err error) {
				page, err = tx.Mails(disposition, after, pageSize)
				return err
			})
			if err != nil {
				yield(Mail{}, err)
				return
			}
			for _, m := range page {
				if !yield(m, nil) {
					return
				}
				after = m.ID
			}
			more = len(page) == pageSize
		}
	}
}

// WriteMessage writes the exact bytes of a send, as its latest attempt sends or
// sent them.
func (d *Dispatcher) WriteMessage(ctx context.Context, account pec.Address, id SendID, w io.Writer) error {
	s, err := d.Status(ctx, account, id)
	if err != nil {
		return err
	}
	content, err := openContent(ctx, d.cfg.Store, s.Send, s.Status.MessageID)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(w, content.Reader())
	return err
}

// WriteMail writes a message as it was received: the Raw of a [Fact] or [Mail].
func (d *Dispatcher) WriteMail(ctx context.Context, raw Digest, w io.Writer) error {
	blob, err := d.cfg.Store.OpenBlob(ctx, raw)
	if err != nil {
		return err
	}
	defer blob.Close()
	_, err = io.Copy(w, io.NewSectionReader(blob, 0, blob.Size()))
	return err
}

// Deadline is the next thing that should happen to a send, and by when.
type Deadline struct {
	What DeadlineKind
	At   time.Time
}

// DeadlineKind names a deadline.
type DeadlineKind string

const (
	// DeadlineAcceptance: the acceptance, which comes in seconds. No law says by
	// when; after a quarter of an hour something is wrong.
	DeadlineAcceptance DeadlineKind = "acceptance"
	// DeadlineFirstNotice: a delivery or failure, or else the notice of hour 12.
	DeadlineFirstNotice DeadlineKind = "first-notice"
	// DeadlineLastNotice: a delivery or failure, or else the notice of hour 24.
	DeadlineLastNotice DeadlineKind = "last-notice"
)

const (
	acceptanceExpected = 15 * time.Minute
	firstNotice        = 12 * time.Hour
	// The notice of hour 24 is on its way then; some time is left for it to come.
	lastNotice = 26 * time.Hour
)

// NextDeadline returns what should happen next to a send in this state, seen from
// now, and by when; ok is false if nothing is awaited. RFC 6109, section 3.1.6.
func (s *Status) NextDeadline(now time.Time) (d Deadline, ok bool) {
	switch s.State {
	case Submitted, Unknown:
		return Deadline{DeadlineAcceptance, s.SubmittedAt.Add(acceptanceExpected)}, true
	case Accepted:
		// The notice of hour 12 comes only if the recipient's provider did not
		// take charge, so that its absence means nothing.
		if first := s.AcceptedAt.Add(firstNotice); now.Before(first) {
			return Deadline{DeadlineFirstNotice, first}, true
		}
		return Deadline{DeadlineLastNotice, s.AcceptedAt.Add(lastNotice)}, true
	case Delayed:
		if !s.AcceptedAt.IsZero() {
			return Deadline{DeadlineLastNotice, s.AcceptedAt.Add(lastNotice)}, true
		}
	}
	return Deadline{}, false
}

// Overdue reports whether a receipt should have come by now. Ask the provider:
// its log keeps every transmission for 30 months. RFC 6109, section 2.3.
func (s *Status) Overdue(now time.Time) bool {
	d, ok := s.NextDeadline(now)
	return ok && now.After(d.At)
}
