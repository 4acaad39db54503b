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
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

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

// flags are the command line.
type flags struct {
	network  string
	config   string
	account  string
	rows     string
	template string
	store    string
	batch    string
	generate int
	wait     time.Duration
	report   string
	yes      bool
	json     bool
}

func parseFlags(args []string, stderr io.Writer) (*flags, error) {
	f := &flags{}
	set := flag.NewFlagSet("mailing", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&f.network, "network", "", "`folder` of a network that examples/network left running")
	set.StringVar(&f.config, "config", "", "`file` that describes a real account (JSON; see the README)")
	set.StringVar(&f.account, "account", "", "with -network, the `address` to send from (default the first)")
	set.StringVar(&f.rows, "rows", "", "`file` with the recipients (CSV)")
	set.StringVar(&f.template, "template", "", "`folder` with subject.txt, text.txt, html.html, attachments/, per-recipient/COLUMN/")
	set.StringVar(&f.store, "store", "", "`file` in which everything is kept (SQLite)")
	set.StringVar(&f.batch, "batch", "mailing", "`name` of the batch; the same name goes on with the same batch")
	set.IntVar(&f.generate, "generate", 0, "make up this `number` of rows instead of reading them")
	set.DurationVar(&f.wait, "wait", time.Minute, "how long to wait for answers once everything has left")
	set.StringVar(&f.report, "report", "mailing-report", "`folder` for report and evidence")
	set.BoolVar(&f.yes, "yes", false, "sign the batch off without asking")
	set.BoolVar(&f.json, "json", false, "write the totals as one JSON object in the last line")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	err := f.check(set.NArg())
	if err != nil {
		fmt.Fprintf(stderr, "mailing: %v\n", err)
	}
	return f, err
}

func (f *flags) check(args int) error {
	switch {
	case args > 0:
		return errors.New("unexpected arguments; everything is a flag")
	case f.network != "" && f.config != "":
		return errors.New("-network and -config exclude each other")
	case f.generate > 0 && f.rows != "":
		return errors.New("-generate and -rows exclude each other")
	case f.generate < 0 || f.wait < 0:
		return errors.New("-generate and -wait are not negative")
	case f.config != "" && (f.rows == "" || f.template == ""):
		return errors.New("a real account needs -rows and -template: the samples are not for real recipients")
	}
	return nil
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
	m := &mailing{flags: f, in: bufio.NewReader(stdin), out: stdout}
	open, err := m.run(dispatch.WithActor(ctx, actor()))
	if err != nil {
		fmt.Fprintf(stderr, "mailing: %v\n", err)
		return exitFailed
	}
	if open > 0 {
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
	in  *bufio.Reader
	out io.Writer

	world      *world
	dispatcher *dispatch.Dispatcher
	batch      dispatch.Batch
	event      atomic.Pointer[string] // what happened last to the account
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
		Logger:   m.world.logger,
		Observe:  m.observe,
	})
	if err != nil {
		return 0, err
	}
	m.printf("Sending from %s, %s.\n", m.world.account.Address, m.world.name)
	if err := m.prepare(ctx); err != nil {
		return 0, err
	}
	if err := m.signOff(ctx); err != nil {
		return 0, err
	}
	if err := m.resume(ctx); err != nil {
		return 0, err
	}
	if err := m.follow(ctx); err != nil {
		return 0, err
	}
	return m.conclude(context.WithoutCancel(ctx))
}

func (m *mailing) printf(format string, args ...any) { fmt.Fprintf(m.out, format, args...) }

// signOff asks whoever runs the program to sign the batch off, unless somebody
// did before.
func (m *mailing) signOff(ctx context.Context) error {
	if m.batch.Phase != dispatch.PhaseReady {
		return nil
	}
	if !m.yes {
		m.printf("\nA message that was sent can't be called back. Sign off and send %d messages? Type yes: ", m.batch.Total)
		answer, err := m.in.ReadString('\n')
		if word := strings.ToLower(strings.TrimSpace(answer)); word != "yes" && word != "sì" && word != "si" {
			m.printf("\n")
			if err != nil && answer == "" {
				return errors.New("nobody signed off; -yes does it without asking")
			}
			return errors.New("not signed off; nothing was sent")
		}
	}
	err := m.dispatcher.Approve(ctx, m.world.account.Address, m.batch.Name, m.batch.Digest, 7*24*time.Hour)
	if err == nil {
		m.printf("Signed off by %s, for the content with digest %.16s…\n\n", actor(), m.batch.Digest)
	}
	return err
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

// conclude writes the report, and the totals.
func (m *mailing) conclude(ctx context.Context) (open int64, err error) {
	totals, err := m.writeReport(ctx)
	if err != nil {
		return 0, fmt.Errorf("writing the report: %w", err)
	}
	for state, n := range totals.counts {
		if !state.IsFinal() {
			open += n
		}
	}
	m.printTotals(totals)
	if m.json {
		line := map[string]int64{"total": totals.total}
		for _, state := range dispatch.States() {
			line[string(state)] = totals.counts[state]
		}
		b, err := json.Marshal(line)
		if err != nil {
			return 0, err
		}
		m.printf("%s\n", b)
	}
	return open, nil
}
