package sqlstore_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/textproto"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
)

// mute is a recipient about whom no receipt ever comes.
const mute = "muta@pec.beta.example"

// TestOldCopy puts back a database as it was in the middle of a batch that has left
// since: a backup, or what remains on a disk that lost what it had confirmed. A message
// leaves again exactly if neither the database nor the mailbox knows of it.
func TestOldCopy(t *testing.T) {
	network := pectest.New(t, pectest.Config{Scenario: pectest.Scenario{Rules: []pectest.Rule{
		{Fault: pectest.FaultLost, Recipient: mute},
	}}})
	for _, tt := range []struct {
		name, address string
		change        func(*dispatch.AccountConfig)
		least         int // how many nobody knows of: the message in hand may be one
	}{
		{"the mailbox has the receipts", "uno@pec.alfa.example", func(*dispatch.AccountConfig) {}, 1},
		{"they were removed from it", "due@pec.alfa.example", func(a *dispatch.AccountConfig) { a.Purge = true }, batchSize - copiedAt - 1},
		{"there is no mailbox", "tre@pec.alfa.example", func(a *dispatch.AccountConfig) { a.Mailbox = nil }, batchSize - copiedAt - 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &backedUp{t, network, simulated(t, network, tt.address), t.TempDir()}
			tt.change(&b.account)
			b.sendAll()
			want, again, proven := b.submitted(), 0, b.proven()
			for _, s := range b.statuses(b.dispatcher("copy.db", nil)) {
				if s.Status.State == dispatch.Prepared && !proven[s.Send.MessageID] {
					want[s.Send.MessageID]++
					again++
				}
			}
			b.run("copy.db", hasLeft, nil)
			if got := b.submitted(); !maps.Equal(got, want) {
				t.Errorf("messages were submitted %v times, want %v", got, want)
			}
			if len(want) != batchSize || again < tt.least || again > tt.least+1 {
				t.Errorf("nobody knew of %d in %d messages; want %d in %d, or one more", again, len(want), tt.least, batchSize)
			}
		})
	}
}

// simulated is an account of a network, which sends over one connection.
func simulated(t *testing.T, network *pectest.Network, address string) dispatch.AccountConfig {
	t.Helper()
	mine := network.Account(address)
	submitter, err := smtpsend.New(smtpsend.Config{
		Addr: mine.SMTP.Addr(), TLS: smtpsend.TLSMode(mine.SMTP.TLS), TLSConfig: network.TLSConfig(),
		Username: mine.User, Password: mine.Password,
	})
	if err != nil {
		t.Fatal(err)
	}
	mailbox, err := imapbox.New(imapbox.Config{
		Addr: mine.IMAP.Addr(), TLS: imapbox.TLSMode(mine.IMAP.TLS), TLSConfig: network.TLSConfig(),
		Username: mine.User, Password: mine.Password,
	})
	if err != nil {
		t.Fatal(err)
	}
	return dispatch.AccountConfig{
		Address: mine.Address, Submitter: submitter, Mailbox: mailbox,
		Profile: pec.Profile{Name: "test", PerMinute: 1_000_000, Connections: 1},
	}
}

// backedUp is an account, and a folder for the databases that are used one after the
// other.
type backedUp struct {
	t       *testing.T
	network *pectest.Network
	account dispatch.AccountConfig
	dir     string
}

// A batch has so many messages, the last one to who is mute, and is copied when so
// many have left.
const (
	batchSize = 12
	copiedAt  = 5
)

// sendAll sends a batch with the database that will be lost, and leaves a copy of it
// from the middle of the batch.
func (b *backedUp) sendAll() {
	b.t.Helper()
	template, err := dispatch.NewTemplate(dispatch.TemplateConfig{Subject: "Sollecito", Text: "Buongiorno.\n"})
	if err != nil {
		b.t.Fatal(err)
	}
	table := "PEC\n"
	for i := range batchSize - 1 {
		table += fmt.Sprintf("r%d@pec.beta.example\n", i)
	}
	ctx, d := dispatch.WithActor(b.t.Context(), "anna"), b.dispatcher("lost.db", nil)
	batch, report, err := d.Prepare(ctx, dispatch.BatchSpec{
		Name: "b", Account: b.account.Address, Template: template,
		Rows: dispatch.OpenCSV(fstest.MapFS{"r.csv": {Data: []byte(table + mute + "\n")}}, "r.csv").Rows(),
	})
	if err != nil {
		b.t.Fatalf("Prepare: %v, %+v", err, report)
	}
	if err := d.Approve(ctx, b.account.Address, "b", batch.Digest, time.Hour); err != nil {
		b.t.Fatal(err)
	}
	var left atomic.Int64
	b.run("lost.db", b.isAnswered, func(e dispatch.Event) {
		if e.Fact == dispatch.FactOutcome && left.Add(1) == copiedAt {
			db := openSQLite(b.t, filepath.Join(b.dir, "lost.db")).db
			if _, err := db.Exec("VACUUM INTO ?", filepath.Join(b.dir, "copy.db")); err != nil {
				b.t.Error(err)
			}
		}
	})
}

func (b *backedUp) dispatcher(file string, observe func(dispatch.Event)) *dispatch.Dispatcher {
	b.t.Helper()
	d, err := dispatch.New(dispatch.Config{
		Store: openSQLite(b.t, filepath.Join(b.dir, file)), Accounts: []dispatch.AccountConfig{b.account},
		Verify: b.network.VerifyOptions(), Worker: "one", Observe: observe,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

// run has a dispatcher work until all sends are done, and receipts removed that are
// to be.
func (b *backedUp) run(file string, done func(dispatch.SendStatus) bool, observe func(dispatch.Event)) {
	b.t.Helper()
	ctx, stop := context.WithCancel(b.t.Context())
	d, ended := b.dispatcher(file, observe), make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	working := func(s dispatch.SendStatus) bool { return !done(s) }
	for slices.ContainsFunc(b.statuses(d), working) || b.account.Purge && len(b.proven()) > 0 {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		b.t.Errorf("Run: %v", err)
	}
}

func hasLeft(s dispatch.SendStatus) bool { return s.Status.State != dispatch.Prepared }

// isAnswered reports whether a message has left, and its receipts are there if they
// ever will be.
func (b *backedUp) isAnswered(s dispatch.SendStatus) bool {
	if b.account.Mailbox == nil || s.Send.Recipient.String() == mute {
		return hasLeft(s) && s.Status.State != dispatch.Unknown
	}
	return s.Status.State == dispatch.Delivered
}

func (b *backedUp) statuses(d *dispatch.Dispatcher) (all []dispatch.SendStatus) {
	b.t.Helper()
	for s, err := range d.Statuses(b.t.Context(), b.account.Address, "b") {
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// submitted counts how often each message was submitted, by its Message-ID.
func (b *backedUp) submitted() map[string]int {
	n := make(map[string]int)
	for e := range b.network.Events() {
		if e.Event == pectest.EventSubmitted && e.From == b.account.Address.String() {
			n[e.MessageID]++
		}
	}
	return n
}

// proven are the Message-IDs of which the mailbox has a receipt, if there is one.
func (b *backedUp) proven() map[string]bool {
	ids := make(map[string]bool)
	if b.account.Mailbox == nil {
		return ids
	}
	for raw := range b.network.Messages(b.account.Address.String()) {
		header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(raw))).ReadMIMEHeader()
		if err != nil {
			b.t.Fatal(err)
		}
		ids[header.Get("X-Riferimento-Message-ID")] = true
	}
	return ids
}
