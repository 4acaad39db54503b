// Command mailing sends one personal message to each row of a table by PEC, once
// somebody has signed it off, and follows each one to its receipt.
//
//	go run ./examples/mailing
//
// needs nothing: it starts a simulated network, takes the sample that comes with
// it, and ends with a report in which every outcome occurs. With -config it sends
// from a real mailbox; the README says how. With -network it uses a network that
// examples/network left running.
//
// Everything is kept in a store. Killed at any moment and started again with the
// same flags, it goes on where it was, and sends nothing twice.
//
// The exit status is 0 if every message has its final answer, 3 if some are open
// or wait for a person, 2 if the program was called in a wrong way, and 1 if it
// could not do its work.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/ceralacca/go-pec/dispatch"
)

const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitOpen   = 3
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	f, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err != nil {
		return exitUsage
	}
	// The first signal stops after the message in hand; the second one at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	m := &mailing{flags: f, in: bufio.NewReader(stdin), out: stdout, notes: &notes{out: stderr}}
	open, err := m.run(dispatch.WithActor(ctx, actor()))
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "mailing: %v\n", err)
		return exitFailed
	case open > 0:
		return exitOpen
	}
	return exitDone
}

// actor is whoever runs the program: their name goes into the audit trail.
func actor() string {
	for _, name := range []string{"USER", "LOGNAME", "USERNAME"} {
		if user := os.Getenv(name); user != "" {
			return user
		}
	}
	return "operator"
}

// mailing is one run of the program.
type mailing struct {
	*flags
	in    *bufio.Reader
	out   io.Writer
	notes *notes

	world      *world
	dispatcher *dispatch.Dispatcher
	batch      dispatch.Batch
	free       int64 // bytes left in the mailbox; 0 if that is not known
}

// run tells the whole story. It returns how many messages are still open.
func (m *mailing) run(ctx context.Context) (open int64, err error) {
	if m.world, err = openWorld(m.flags); err != nil {
		return 0, err
	}
	defer m.world.close()
	store, closeStore, err := openStore(ctx, m.flags)
	if err != nil {
		return 0, err
	}
	defer closeStore()
	m.dispatcher, err = dispatch.New(dispatch.Config{
		Store:    store,
		Accounts: []dispatch.AccountConfig{m.world.account},
		Verify:   m.world.verify,
		Now:      m.world.now,
		Worker:   "mailing",
		Poll:     m.world.poll,
		Logger:   m.notes.logger(),
		Observe:  m.notes.observe,
	})
	if err != nil {
		return 0, err
	}
	m.printf("Sending from %s, %s.\n", m.world.account.Address, m.world.name)
	for _, step := range []func(context.Context) error{m.tryLogin, m.prepare, m.signOff, m.resume} {
		if err := step(ctx); err != nil {
			return 0, m.interrupted(ctx, err)
		}
	}
	stopped := m.follow(ctx)
	open, err = m.conclude(context.WithoutCancel(ctx))
	return open, errors.Join(stopped, err)
}

// interrupted says it in words if err is because of a signal.
func (m *mailing) interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing was sent, and the same command goes on")
	}
	return err
}

func (m *mailing) printf(format string, args ...any) { fmt.Fprintf(m.out, format, args...) }
