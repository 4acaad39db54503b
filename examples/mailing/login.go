package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ceralacca/go-pec/dispatch"
)

// tryLogin logs in to send and to read before anything is made: what is wrong with
// an account is better known before somebody signs off. It asks how much space the
// mailbox has left for receipts. A batch that was signed off goes on without.
func (m *mailing) tryLogin(ctx context.Context) error {
	account := m.world.account
	batch, err := m.dispatcher.Batch(ctx, account.Address, m.flags.batch)
	if err == nil && len(batch.Approvals) > 0 {
		return nil
	}
	sending, err := account.Submitter.Open(ctx)
	if err != nil {
		return loginError("to send", err)
	}
	defer sending.Close()
	reading, err := account.Mailbox.Open(ctx)
	if err != nil {
		return loginError("to read receipts", err)
	}
	defer reading.Close()
	used, limit, ok, err := reading.Space(ctx)
	if err == nil && ok {
		m.free = max(1, limit-used)
	}
	return err
}

func loginError(what string, err error) error {
	if errors.Is(err, dispatch.ErrAuth) {
		return fmt.Errorf("the provider refused the login %s: check user and password "+
			"(many providers want a password made for mail programs). Nothing was sent", what)
	}
	return fmt.Errorf("connecting %s: %w", what, err)
}
