package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/internal/plain"
	"github.com/ceralacca/go-pec/receipt"
)

// reason is why a message was not delivered.
type reason struct {
	state dispatch.State
	cause receipt.CauseCode
}

// advice says what a person can do about messages that have one reason.
type advice struct {
	Count    int64
	What, Do string
}

// adviceOf tells of the most frequent reasons first.
func adviceOf(r *report) []advice {
	var list []advice
	for why, n := range r.reasons {
		text := stateTexts[why.state]
		a := advice{Count: n, What: text.short + ".", Do: text.do}
		if cause, ok := causes[why.cause]; ok {
			a.What, a.Do = text.short+": "+cause.Text, retryTexts[cause.Retry]
		}
		if a.Do != "" {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b advice) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.What, b.What)) })
	return list
}

// headline sums the report up in a sentence.
func headline(r *report) string {
	delivered, open := r.counts[dispatch.Delivered], openMessages(r.counts)
	text := fmt.Sprintf("%d of %d were delivered", delivered, r.total)
	switch {
	case delivered == r.total:
		return fmt.Sprintf("All %d were delivered.", r.total)
	case open == 0:
		return fmt.Sprintf("%s, %d were not; all have their final answer.", text, r.total-delivered)
	}
	return fmt.Sprintf("%s, %d were not, and %d are still open.", text, r.total-delivered-open, open)
}

// setApart is a message in the mailbox that could not be taken as the receipt that
// it says it is.
type setApart struct{ Folder, Found, Why string }

// maxSetApart keeps a mailbox full of them from filling the report.
const maxSetApart = 50

func (m *mailing) listSetApart(ctx context.Context) (list []setApart, err error) {
	for _, disposition := range []dispatch.Disposition{dispatch.MailClaim, dispatch.MailEarly, dispatch.MailUnreadable} {
		for mail, err := range m.dispatcher.Mails(ctx, m.world.account.Address, disposition) {
			if err != nil {
				return nil, err
			}
			if len(list) == maxSetApart {
				return append(list, setApart{Why: "and more; the store has them all"}), nil
			}
			list = append(list, setApart{plain.Text(mail.ID.Folder), timeText(mail.Found), plain.Text(mail.Reason)})
		}
	}
	return list, nil
}
