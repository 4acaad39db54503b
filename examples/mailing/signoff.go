package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// signOffValid is for how much longer a sign-off counts than sending should take.
// What has not left by then needs another one.
const signOffValid = 7 * 24 * time.Hour

// signOff asks whoever runs the program to sign the batch off, unless somebody
// did before.
func (m *mailing) signOff(ctx context.Context) error {
	waiting := m.batch.Counts[dispatch.Prepared]
	if dispatch.SingleApproval(m.batch, m.world.now()) == nil || waiting == 0 {
		return nil
	}
	if len(m.batch.Approvals) > 0 {
		m.printf("The sign-off has expired; not left so far: %s.\n", count(waiting, "message"))
	}
	if !m.yes {
		m.printf("\nA message that was sent can't be called back. Sign off and send %s? Type yes: ", count(waiting, "message"))
		if err := m.askYes(ctx); err != nil {
			return err
		}
	}
	account := m.world.account
	profile := account.Profile.OrDefault()
	needed := time.Duration(waiting/int64(profile.PerMinute)+1) * time.Minute
	if profile.PerDay > 0 {
		needed = max(needed, time.Duration(waiting/int64(profile.PerDay)+1)*24*time.Hour)
	}
	err := m.dispatcher.Approve(ctx, account.Address, m.batch.Name, m.batch.Digest, needed+signOffValid)
	if err == nil {
		m.printf("Signed off by %s, for the content with digest %.16s…\n\n", actor(), m.batch.Digest)
	}
	return err
}

// askYes waits for an answer, and returns an error unless it is yes.
func (m *mailing) askYes(ctx context.Context) error {
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := m.in.ReadString('\n')
		answered <- answer{text, err}
	}()
	var a answer
	select {
	case a = <-answered:
	case <-ctx.Done():
		m.printf("\n")
		return ctx.Err()
	}
	switch strings.ToLower(strings.TrimSpace(a.text)) {
	case "yes", "sì", "si":
		return nil
	}
	m.printf("\n")
	if a.err != nil && a.text == "" {
		return errors.New("nobody signed off; -yes does it without asking. Nothing was sent")
	}
	return errors.New("not signed off; nothing was sent")
}

// resume lets the account go on if its login was refused in an earlier run:
// whoever starts the program again has looked into it.
func (m *mailing) resume(ctx context.Context) error {
	account, err := m.dispatcher.Account(ctx, m.world.account.Address)
	if err != nil || account.Suspended == "" {
		return err
	}
	return m.dispatcher.ResumeAccount(ctx, m.world.account.Address)
}
