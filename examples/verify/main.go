// Command verify says whether PEC messages are what they claim to be.
//
//	go run ./examples/verify [flags] FILE|FOLDER|-...
//
// Each message is judged as of the instant that it certifies itself: providers'
// certificates last two or three years, receipts are kept for ten. Nothing is
// fetched from the network. Of a folder, the files that end in .eml are judged,
// and those of the folders in it. "-" is standard input. What can't be read keeps
// nothing else from being judged.
//
// The verdict is one of four:
//
//	verified               a PEC provider certified what is shown
//	rejected               judged and refused: do not rely on it
//	parsed-but-unverified  nothing to judge (ordinary mail, no signature, REM),
//	                       or no authority to judge by
//	malformed              not readable as what it claims to be
//
// Only of a verified message is anything shown that it certifies. With -json
// each message is one object on a line, whose empty fields are null.
//
// Without a FILE, samples that come with the program are verified.
//
// The exit status is 0 if every message was verified, 1 if one was not, and 2 if
// the program was called in a wrong way.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ceralacca/go-pec/receipt"
)

const (
	exitVerified = 0
	exitRefused  = 1
	exitUsage    = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// flags are the command line.
type flags struct {
	trust trustFlags
	now   string
	json  bool
	files []string
}

func parseFlags(args []string, stderr io.Writer) (*flags, error) {
	f := &flags{}
	set := flag.NewFlagSet("verify", flag.ContinueOnError)
	set.SetOutput(stderr)
	f.trust.define(set)
	set.StringVar(&f.now, "now", "", "the present, as RFC 3339 `time`; messages must not lie in its future (default the clock)")
	set.BoolVar(&f.json, "json", false, "write one JSON object a line")
	set.Usage = func() {
		fmt.Fprintln(stderr, "usage: verify [flags] FILE|FOLDER|-...")
		fmt.Fprintln(stderr, "\nSays whether PEC messages, saved as .eml, are what they claim to be.\nWithout a FILE, verifies samples that come with the program.\n\nflags:")
		set.PrintDefaults()
		fmt.Fprintln(stderr, "\nexit status: 0 all verified, 1 some not, 2 wrong usage")
	}
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	f.files = set.Args()
	return f, nil
}

// options makes the options of receipt.VerifyMessage from the flags.
func (f *flags) options() (receipt.Options, error) {
	opts := receipt.Options{Now: time.Now}
	if f.now != "" {
		now, err := time.Parse(time.RFC3339, f.now)
		if err != nil {
			return opts, errors.New("-now is not a time such as 2026-11-21T10:00:00+01:00")
		}
		opts.Now = func() time.Time { return now }
	}
	return opts, f.trust.apply(&opts)
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	f, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitVerified
	}
	if err != nil {
		return exitUsage // the flag package said why
	}
	opts, err := f.options()
	var messages []message
	switch {
	case err != nil:
	case len(f.files) > 0:
		messages, err = find(f.files, stdin)
	default:
		messages, err = samples(&opts)
	}
	if err != nil {
		fmt.Fprintf(stderr, "verify: %v\n", err)
	}
	status := exitVerified
	if len(messages) > 0 {
		status = show(messages, opts, f, stdout, stderr)
	}
	if err != nil {
		return exitUsage
	}
	return status
}

// show judges messages and writes what is found in the form that the flags ask for.
func show(messages []message, opts receipt.Options, f *flags, stdout, stderr io.Writer) int {
	if f.json {
		return judge(messages, opts, newJSONLines(stdout), stderr)
	}
	isSample := len(f.files) == 0
	if isSample {
		fmt.Fprint(stdout, sampleNote)
	}
	status := judge(messages, opts, newReport(stdout), stderr)
	if isSample {
		fmt.Fprint(stdout, ownNote)
	}
	return status
}

// printer writes the judgement of messages.
type printer interface {
	print(result) error
	end() error
}

// judge verifies messages one after another, and returns the exit status.
func judge(messages []message, opts receipt.Options, out printer, stderr io.Writer) int {
	status := exitVerified
	for _, m := range messages {
		r := m.verify(opts)
		if r.err != nil {
			status = exitRefused
		}
		if err := out.print(r); err != nil {
			fmt.Fprintf(stderr, "verify: writing the report: %v\n", err)
			return exitRefused
		}
	}
	if err := out.end(); err != nil {
		fmt.Fprintf(stderr, "verify: writing the report: %v\n", err)
		return exitRefused
	}
	return status
}
