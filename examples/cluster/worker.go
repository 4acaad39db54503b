package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// work sends and collects for its share of the accounts until ctx ends. Then it
// gives them back, so that the other workers need not wait for its leases to end.
func work(ctx context.Context, args []string, log *slog.Logger) error {
	var o options
	flags := newFlags("worker", &o)
	o.networkFlag(flags)
	name := flags.String("name", "", "`name` of this worker, unlike all others (default made of host and process)")
	lease := flags.Duration("lease", 30*time.Second, "how long the others wait before they take over from a worker that is silent")
	if err := o.parse(flags, args); err != nil {
		return err
	}
	n, err := joinNetwork(o.network)
	if err != nil {
		return err
	}
	s, err := openStore(ctx, o.dsn, o.blobs)
	if err != nil {
		return err
	}
	d, err := dispatch.New(dispatch.Config{
		Store: s, Accounts: n.accounts, Verify: n.verify, Now: n.now, Worker: *name, Lease: *lease, Logger: log,
	})
	if err == nil {
		log.Info("working")
		err = d.Run(ctx)
	}
	return errors.Join(err, s.Close())
}
