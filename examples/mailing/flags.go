package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

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
	row      int64
	test     bool
	receipt  string
	wait     time.Duration
	report   string
	evidence string
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
	set.StringVar(&f.template, "template", "", "`folder` with subject.txt, text.txt and html.html, attachments/ and per-recipient/")
	set.StringVar(&f.store, "store", "", "`file` in which everything is kept (SQLite; default mailing.db, and none without -network and -config)")
	set.StringVar(&f.batch, "batch", "mailing", "`name` of the batch; the same name goes on with the same batch")
	set.IntVar(&f.generate, "generate", 0, "make up this `number` of rows instead of reading them")
	set.Int64Var(&f.row, "row", 1, "`number` of the row that is shown as preview")
	set.BoolVar(&f.test, "test", false, "send that row alone, to your own address, to see what its recipient would see")
	set.StringVar(&f.receipt, "receipt", "", "`form` of delivery receipts to ask for: completa (the whole message, as without the flag), breve or sintetica")
	set.DurationVar(&f.wait, "wait", time.Minute, "how long to wait for answers once everything has left")
	set.StringVar(&f.report, "report", "", "`folder` for report and evidence (default the batch's name and -report)")
	set.StringVar(&f.evidence, "evidence", "", "whose `evidence` to write into files: all, problems (all but delivered) or none; the store keeps it anyway (default all, problems from "+fmt.Sprint(manyMessages)+" messages on)")
	set.BoolVar(&f.yes, "yes", false, "sign the batch off without asking")
	set.BoolVar(&f.json, "json", false, "write the totals as one JSON object in the last line")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if f.test {
		f.batch += " (test)"
	}
	if f.report == "" {
		f.report = url.PathEscape(f.batch) + "-report"
	}
	err := f.check(set.NArg())
	if err != nil {
		fmt.Fprintf(stderr, "mailing: %v (-help explains all flags)\n", err)
	}
	return f, err
}

func (f *flags) check(args int) error {
	switch {
	case args > 0:
		return errors.New("unexpected arguments; everything is a flag")
	case f.network != "" && f.config != "":
		return errors.New("-network and -config exclude each other")
	case f.account != "" && f.network == "":
		return errors.New("-account needs -network")
	case f.generate > 0 && f.rows != "":
		return errors.New("-generate and -rows exclude each other")
	case f.generate > 0 && f.config != "":
		return errors.New("-generate makes up recipients: not with a real account")
	case f.generate < 0 || f.wait < 0 || f.row < 1:
		return errors.New("-generate and -wait are not negative, and -row counts from 1")
	case f.receipt != "" && !slices.Contains([]pec.ReceiptType{pec.ReceiptComplete, pec.ReceiptBrief, pec.ReceiptConcise}, pec.ReceiptType(f.receipt)):
		return errors.New("-receipt is completa, breve or sintetica")
	case f.config != "" && (f.rows == "" || f.template == ""):
		return errors.New("a real account needs -rows and -template: the samples are not for real recipients")
	}
	switch f.evidence {
	case "", evidenceAll, evidenceProblems, evidenceNone:
		return nil
	}
	return fmt.Errorf("-evidence is %s, %s or %s", evidenceAll, evidenceProblems, evidenceNone)
}
