package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// status says who works on how many accounts, and how many messages are in which
// state.
func status(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := newFlags("status", &o)
	audit := flags.Bool("audit", false, "verify the audit trail of every account")
	if err := o.parse(flags, args); err != nil {
		return err
	}
	s, err := openStore(ctx, o.dsn, o.blobs)
	if err != nil {
		return err
	}
	defer s.Close()
	t, err := count(ctx, s)
	if err != nil {
		return err
	}
	t.print(out)
	if !*audit {
		return nil
	}
	entries, err := verifyAudit(ctx, s)
	if err == nil {
		fmt.Fprintf(out, "%8d entries of the audit trails, all in order\n", entries)
	}
	return err
}

// totals are counts over all accounts.
type totals struct {
	workers map[string]int // :: name → accounts
	states  map[dispatch.State]int64
}

func count(ctx context.Context, s dispatch.Store) (totals, error) {
	t := totals{make(map[string]int), make(map[dispatch.State]int64)}
	now := time.Now()
	for a, err := range s.Accounts(ctx) {
		if err != nil {
			return t, err
		}
		// Workers do not compare these times with their clocks; for a look it will do,
		// where the holder's clock is about that of this machine.
		holder := a.Lease.Holder
		if now.After(a.Lease.Until) {
			holder = ""
		}
		t.workers[holder]++
		err := s.View(ctx, a.Name, func(tx dispatch.Tx) error {
			batches, err := tx.Batches()
			for _, b := range batches {
				for state, n := range b.Counts {
					t.states[state] += n
				}
			}
			return err
		})
		if err != nil {
			return t, err
		}
	}
	return t, nil
}

func (t totals) print(out io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(t.workers)) {
		what := "accounts of " + name
		if name == "" {
			what = "accounts that nobody works on"
		}
		fmt.Fprintf(out, "%8d %s\n", t.workers[name], what)
	}
	for _, state := range dispatch.States() {
		if n := t.states[state]; n > 0 {
			fmt.Fprintf(out, "%8d messages %s\n", n, state)
		}
	}
}

// verifyAudit checks the audit trails of all accounts and returns how many entries
// they have.
func verifyAudit(ctx context.Context, s dispatch.Store) (entries int64, err error) {
	for a, err := range s.Accounts(ctx) {
		if err != nil {
			return entries, err
		}
		n, err := dispatch.VerifyAudit(ctx, s, a.Name)
		if err != nil {
			return entries, fmt.Errorf("account %s: %w", a.Name, err)
		}
		entries += n
	}
	return entries, nil
}
