package dispatch

import (
	"context"
	"errors"
	"log/slog"

	"github.com/ceralacca/go-pec/receipt"
)

// errSuspended is the error of a login that is not tried: the last one was refused,
// and one more may have the provider lock the account.
var errSuspended = errors.New("dispatch: the account is suspended")

// mayLogin fails unless the store says that the account is not suspended.
func (w *worker) mayLogin(ctx context.Context) error {
	account, err := w.d.Account(ctx, w.cfg.Address)
	if err == nil && account.Suspended != "" {
		err = errSuspended
	}
	return err
}

// openMailbox logs in to read the account's mailbox, if it may.
func (w *worker) openMailbox(ctx context.Context) (MailboxSession, error) {
	if err := w.mayLogin(ctx); err != nil {
		return nil, err
	}
	return w.cfg.Mailbox.Open(ctx)
}

// suspend keeps the account from working until a person resumes it. It returns when
// that is stored, or ctx ends: whoever was refused must not go on before.
func (w *worker) suspend(ctx context.Context, reason string) {
	for n := 1; ; n++ {
		err := w.do(context.WithoutCancel(ctx), func(t *transaction) error { return t.suspend(reason) })
		if err == nil {
			return
		}
		w.log().Error("suspending an account", slog.Any("error", err))
		if nap(ctx, backoff(n, firstReconnect, lastReconnect)) != nil {
			return
		}
	}
}

func (t *transaction) suspend(reason string) error {
	if t.account.Suspended != "" {
		return nil
	}
	t.account.Suspended = reason
	t.events = append(t.events, Event{Kind: EventSuspended, At: t.now, Cause: receipt.CauseAuth, Detail: reason})
	return t.audit("suspend-account", SendID{}, reason)
}
