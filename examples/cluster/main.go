// Command cluster sends for many accounts from any number of processes, on any
// number of machines, over one PostgreSQL.
//
//	cluster load   -dsn DSN -network DIR -sends 1000
//	cluster worker -dsn DSN -network DIR
//	cluster status -dsn DSN
//
// The accounts are those of a network that examples/network left running in DIR.
// Load prepares a batch for each account and signs it off. Start as many workers as
// you like, and kill them as you like: they share the accounts out among them, and
// what one leaves behind the others take over. Status says how far they are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("want a command: load, worker or status (each explains itself with -help)")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	command, args := args[0], args[1:]
	switch command {
	case "load":
		return load(ctx, args, stdout)
	case "worker":
		return work(ctx, args, slog.New(slog.NewTextHandler(stderr, nil)))
	case "status":
		return status(ctx, args, stdout)
	}
	return errUsage
}

// options are those that all commands have.
type options struct {
	dsn     string
	blobs   string
	network string
}

func newFlags(command string, o *options) *flag.FlagSet {
	flags := flag.NewFlagSet("cluster "+command, flag.ContinueOnError)
	flags.StringVar(&o.dsn, "dsn", os.Getenv("CLUSTER_DSN"),
		"the database, as a `URL` or as in \"host=... dbname=...\" (default the environment variable CLUSTER_DSN)")
	flags.StringVar(&o.blobs, "blobs", "", "`folder`, the same for all, that keeps messages as received and attachments (default in the database)")
	return flags
}

// parse reads the command line. Whoever has a flag -network needs it.
func (o *options) parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return errors.New("unexpected arguments; everything is a flag")
	case o.dsn == "":
		return errors.New("-dsn is required")
	case flags.Lookup("network") != nil && o.network == "":
		return errors.New("-network is required")
	}
	return nil
}
