package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// follow sends, and waits for answers: until every message has its last one, or
// until -wait has passed since the last one left. Its error says why the rest
// can't leave before somebody acts.
func (m *mailing) follow(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	var runErr error
	running.Go(func() { runErr = m.dispatcher.Run(ctx) })
	err := m.watch(ctx, &running)
	stop()
	running.Wait()
	m.printf("\n")
	return errors.Join(err, runErr)
}

// betweenLooks is how often the batch is looked at.
const betweenLooks = 100 * time.Millisecond

func (m *mailing) watch(ctx context.Context, running *sync.WaitGroup) error {
	shown, hurry := newProgress(m.out), m.world.hurry
	begun := time.Now()
	var allLeft time.Time // when the last one did
	for {
		batch, err := m.dispatcher.Batch(ctx, m.world.account.Address, m.batch.Name)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		end := false
		switch waiting := batch.Counts[dispatch.Prepared]; {
		case openMessages(batch.Counts) == 0:
			end = true
		case waiting > 0:
			allLeft = time.Time{}
			err = m.stuck(ctx, batch, begun)
		case allLeft.IsZero():
			allLeft = time.Now()
			if hurry != nil {
				running.Go(func() { m.world.hurry(ctx) })
				hurry = nil
			}
		default:
			end = time.Since(allLeft) >= m.wait
		}
		end = end || err != nil || ctx.Err() != nil
		shown.show(batch, end)
		if end {
			return err
		}
		select {
		case <-time.After(betweenLooks):
		case <-ctx.Done():
		}
	}
}

// openMessages counts those that have no final answer.
func openMessages(counts map[dispatch.State]int64) (open int64) {
	for state, n := range counts {
		if !state.IsFinal() {
			open += n
		}
	}
	return open
}

// giveUpAfter is for how long the store may refuse to be written to.
const giveUpAfter = time.Minute

// stuck returns an error if what has not left never will without a person.
func (m *mailing) stuck(ctx context.Context, batch dispatch.Batch, begun time.Time) error {
	account, err := m.dispatcher.Account(ctx, m.world.account.Address)
	if err != nil {
		return nil // it may do better next time
	}
	// The worker writes to the store all the time, if only to keep its lease.
	written := account.Lease.Until
	if written.Before(begun) {
		written = begun
	}
	switch {
	case account.Suspended != "":
		return fmt.Errorf("%s: check user and password (many providers want one made for mail programs), then start again", account.Suspended)
	case dispatch.SingleApproval(batch, m.world.now()) != nil:
		return errors.New("the sign-off has expired: start again to sign off what has not left")
	case time.Since(written) > giveUpAfter:
		return errors.New("nothing can be written to the store (see above): mend that, then start again")
	}
	return nil
}
