// Command network leaves a simulated PEC network running on this machine, for a
// person with a mail program or for another process.
//
//	go run ./examples/network -dir /tmp/pec -accounts 2
//
// It makes the directory and puts there what one needs to use the network:
//
//	issuers.pem     the authority that certifies its providers
//	tls-ca.pem      the authority that certifies its servers
//	directory.ldif  the directory of its providers (also signed, as .ldif.p7m)
//	journal.jsonl   what happens: one JSON object, a pectest.Event, on a line
//	network.json    accounts and clock; written last, when all is ready
//
// With -scenario, things go wrong: see scenario.json beside this file, and
// pectest.Scenario. With -speed 3600 an hour passes in a second, and the notices
// of hour 12 and hour 24 come within half a minute.
//
// It runs until it is interrupted. Nothing of it is PEC in the eyes of the law.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/ceralacca/go-pec/pec/pectest"
)

func main() {
	// Messages lie in a file, and little memory is in use. Without this a sixth of
	// the time would go into collecting what was thrown away.
	debug.SetGCPercent(400)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal does not wait
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "network:", err)
		os.Exit(1)
	}
}

// options are those of the command line.
type options struct {
	dir      string
	accounts int
	scenario string
	listen   string
	speed    float64
}

// maxSpeed lets a year pass in half a minute. Faster, and the time that the mail
// takes on its way would be hours.
const maxSpeed = 1_000_000

func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("network", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // what is wrong is said once, by main
	flags.StringVar(&o.dir, "dir", "", "`directory` to make and to put the files into (required)")
	flags.IntVar(&o.accounts, "accounts", 2, "`number` of accounts, in turn at each provider")
	flags.StringVar(&o.scenario, "scenario", "", "JSON `file` with what goes wrong")
	flags.StringVar(&o.listen, "listen", "127.0.0.1", "`address` to listen on")
	flags.Float64Var(&o.speed, "speed", 1, "simulated `seconds` that pass in a real one")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(out)
			flags.PrintDefaults()
		}
		return o, err
	}
	_, _, noPort := net.SplitHostPort(o.listen)
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.dir == "":
		return o, errors.New("-dir is required")
	case o.accounts < 1:
		return o, errors.New("-accounts must be at least 1")
	case !(o.speed > 0 && o.speed <= maxSpeed):
		return o, fmt.Errorf("-speed must be more than 0 and at most %d", maxSpeed)
	case noPort == nil:
		return o, errors.New("-listen wants an address without a port: free ports are found, and stand in network.json")
	}
	return o, nil
}

// run keeps a network running until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	config := pectest.Config{Host: o.listen, Speed: o.speed}
	if config.Scenario, err = readScenario(o.scenario); err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	// One of an earlier run must not pass for ours.
	if err := os.Remove(filepath.Join(o.dir, "network.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	journal, err := os.OpenFile(filepath.Join(o.dir, "journal.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer journal.Close()
	config.Journal = journal

	network, err := pectest.Start(config)
	if err != nil {
		return err
	}
	s := settings{Accounts: accounts(network, o.accounts), Clock: network.Clock()}
	err = s.write(network, o.dir)
	if err == nil {
		explain(out, o.dir, s)
		<-ctx.Done()
	}
	return errors.Join(err, network.Close())
}

func readScenario(file string) (pectest.Scenario, error) {
	if file == "" {
		return pectest.Scenario{}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return pectest.Scenario{}, err
	}
	defer f.Close()
	s, err := pectest.ReadScenario(f)
	if err != nil {
		return s, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// settings are the content of network.json.
type settings struct {
	Accounts []pectest.Account `json:"accounts"`
	Clock    pectest.Reading   `json:"clock"`
}

// accounts opens mailboxes, in turn at each provider.
func accounts(n *pectest.Network, count int) []pectest.Account {
	domains := []string{"pec.alfa.example", "pec.beta.example"}
	list := make([]pectest.Account, count)
	for i := range list {
		list[i] = n.Account(fmt.Sprintf("casella%d@%s", i+1, domains[i%len(domains)]))
	}
	return list
}

// write writes the files, network.json last and in one step: who finds it finds
// the others too.
func (s settings) write(n *pectest.Network, dir string) error {
	ldif, err := n.Authority().LDIF()
	if err != nil {
		return err
	}
	signed, err := n.Authority().SignedLDIF()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"issuers.pem":        n.Authority().IssuerPEM(),
		"tls-ca.pem":         n.TLSPEM(),
		"directory.ldif":     ldif,
		"directory.ldif.p7m": signed,
		"network.json.tmp":   append(text, '\n'),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return os.Rename(filepath.Join(dir, "network.json.tmp"), filepath.Join(dir, "network.json"))
}

// explain says how to talk to the network.
func explain(out io.Writer, dir string, s settings) {
	a := s.Accounts[0]
	from, to := a.Address.String(), "chiunque@pec.beta.example"
	ca, issuers := quote(filepath.Join(dir, "tls-ca.pem")), quote(filepath.Join(dir, "issuers.pem"))
	fmt.Fprintf(out, "A simulated PEC network is running. Its files are in %s.\n\n", dir)
	for _, a := range s.Accounts[:min(len(s.Accounts), 5)] {
		fmt.Fprintf(out, "  %s  password %s  SMTP %s (%s)  IMAP %s (%s)\n",
			a.User, a.Password, a.SMTP.Addr(), a.SMTP.TLS, a.IMAP.Addr(), a.IMAP.TLS)
	}
	fmt.Fprintf(out, "\nAny address at pec.alfa.example and pec.beta.example can receive. Send with curl:\n\n"+
		"  printf 'From: %s\\r\\nTo: %s\\r\\nSubject: Prova\\r\\nMessage-ID: <prova@pec.alfa.example>\\r\\n\\r\\nBuongiorno.\\r\\n' |\n"+
		"    curl --cacert %s smtps://%s --user %s:%s --mail-from %s --mail-rcpt %s --upload-file -\n\n"+
		"Read the newest receipt:\n\n"+
		"  curl --cacert %s --user %s:%s 'imaps://%s/INBOX;MAILINDEX=*'\n\n"+
		"Look at the dialogue yourself:\n\n"+
		"  openssl s_client -crlf -quiet -CAfile %s -connect %s\n\n"+
		"Verify a saved receipt with another program:\n\n"+
		"  openssl cms -verify -in receipt.eml -CAfile %s -partial_chain\n\n"+
		"Stop with Ctrl-C.\n",
		from, to, ca, a.SMTP.Addr(), a.User, a.Password, from, to,
		ca, a.User, a.Password, a.IMAP.Addr(), ca, a.SMTP.Addr(), issuers)
}

// quote makes a path one word for a shell.
func quote(path string) string {
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
