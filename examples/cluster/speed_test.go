//go:build unix

package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	_ "modernc.org/sqlite"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/dispatch/sqlstore"
	"github.com/ceralacca/go-pec/receipt"
)

// The benchmarks of this file compare stores with each other, and with the least
// that there is, in one run. What counts are the ratios.
//
//	go test -run '^$' -bench 'Send|Receipts' -benchtime 3x .

// engines are the stores that are compared.
var engines = []struct {
	name string
	open func(testing.TB) dispatch.Store
}{
	{"memory", func(testing.TB) dispatch.Store { return new(memstore.Store) }},
	{"sqlite", openSQLite},
	{"postgresql", func(t testing.TB) dispatch.Store { return openPostgreSQL(t) }},
}

func openSQLite(t testing.TB) dispatch.Store {
	t.Helper()
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "sends.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	s, err := sqlstore.New(t.Context(), db, sqlstore.Config{Dialect: sqlstore.SQLite})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openPostgreSQL(t testing.TB) store {
	t.Helper()
	s, err := openStore(t.Context(), schema(t, t.Name()), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// bench is one account of a network that is used by one store.
type bench struct {
	*cluster
	store   dispatch.Store
	network *network
	account dispatch.AccountConfig
	round   int
}

// eight is how many connections each account sends over.
const eight = 8

// acceptsOnly is a network whose providers accept, and do nothing else: they sign no
// receipts, which they would on these processors, and in earnest on others.
const acceptsOnly = `{"fault": "provider-paused"}`

// startBench starts a network with an account for each store, and one more.
func startBench(b *testing.B, rules string) (bare *bench, of map[string]*bench) {
	b.Helper()
	c := startCluster(b, "", 2*(len(engines)+1), fmt.Sprintf(`{"profile": {"connections": %d}, "rules": [%s]}`, eight, rules))
	n, err := joinNetwork(c.net())
	if err != nil {
		b.Fatal(err)
	}
	bare = &bench{cluster: c, store: new(memstore.Store), network: n, account: n.accounts[0]}
	of = make(map[string]*bench)
	for i, e := range engines {
		// Every other account is at the same provider.
		of[e.name] = &bench{cluster: c, store: e.open(b), network: n, account: n.accounts[2*(i+1)]}
	}
	return bare, of
}

// dispatcher returns one for an account, which tells what happens to it.
func (x *bench) dispatcher(b *testing.B, a dispatch.AccountConfig, observe func(dispatch.Event)) *dispatch.Dispatcher {
	b.Helper()
	d, err := dispatch.New(dispatch.Config{
		Store: x.store, Accounts: []dispatch.AccountConfig{a}, Verify: x.network.verify, Now: x.network.now,
		Poll: 100 * time.Millisecond, Observe: observe,
	})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// prepare makes a batch and returns its name.
func (x *bench) prepare(b *testing.B, messages int) string {
	b.Helper()
	x.round++
	name := fmt.Sprintf("round-%d", x.round)
	err := prepare(dispatch.WithActor(b.Context(), "bench"), x.dispatcher(b, x.account, nil), x.account.Address, name, messages)
	if err != nil {
		b.Fatal(err)
	}
	return name
}

// until runs a dispatcher until so many sends have come to a state.
func (x *bench) until(b *testing.B, a dispatch.AccountConfig, sends int, state dispatch.State) {
	b.Helper()
	var there atomic.Int64
	all := make(chan struct{})
	d := x.dispatcher(b, a, func(e dispatch.Event) {
		if e.To == state && e.From != state && there.Add(1) == int64(sends) {
			close(all)
		}
	})
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	<-all
	stop()
	running.Wait()
}

// send sends messages and reads no receipts.
func (x *bench) send(b *testing.B, messages int) {
	b.Helper()
	a := x.account
	a.Mailbox = nil
	x.until(b, a, messages, dispatch.Submitted)
}

// collect reads their receipts.
func (x *bench) collect(b *testing.B, messages int) {
	b.Helper()
	a := x.account
	a.Submitter = nil
	x.until(b, a, messages, dispatch.Delivered)
}

// settle waits until the network has done all it has to, and returns since when.
func (c *cluster) settle(b *testing.B) (since time.Time) {
	b.Helper()
	since = time.Now()
	for last := int64(-1); time.Since(since) < time.Second; time.Sleep(5 * time.Millisecond) {
		info, err := os.Stat(filepath.Join(c.net(), "journal.jsonl"))
		if err != nil {
			b.Fatal(err)
		}
		if info.Size() != last {
			last, since = info.Size(), time.Now()
		}
	}
	return since
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// BenchmarkSend has the same messages sent over eight connections by a dispatcher
// with each store, and by a loop over go-smtp, in turn: until all are accepted by a
// network that does nothing else, and until one that does it all has delivered them.
func BenchmarkSend(b *testing.B) {
	b.Run("accepted", func(b *testing.B) { benchSend(b, 2000, acceptsOnly) })
	b.Run("delivered", func(b *testing.B) { benchSend(b, 500, "") })
}

func benchSend(b *testing.B, messages int, rules string) {
	bare, of := startBench(b, rules)
	took := make(map[string]time.Duration)
	clock := func(name string, send func()) {
		start := time.Now()
		send()
		end := time.Now()
		if quiet := bare.settle(b); rules == "" {
			end = quiet
		}
		took[name] += end.Sub(start)
	}
	for range b.N {
		raw := bare.messages(b, bare.prepare(b, messages))
		clock("bare", func() { bare.sendBare(b, raw) })
		for _, e := range engines {
			x := of[e.name]
			x.prepare(b, messages)
			clock(e.name, func() { x.send(b, messages) })
		}
	}
	total := float64(messages * b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(total/took["bare"].Seconds(), "bare/s")
	for _, e := range engines {
		b.ReportMetric(total/took[e.name].Seconds(), e.name+"/s")
		b.ReportMetric(took["bare"].Seconds()/took[e.name].Seconds(), e.name+"/bare")
	}
	b.ReportMetric(took["memory"].Seconds()/took["postgresql"].Seconds(), "postgresql/memory")
}

type rawMessage struct {
	to   string
	text []byte
}

// messages returns the messages of a batch as bytes.
func (x *bench) messages(b *testing.B, batch string) (list []rawMessage) {
	b.Helper()
	d := x.dispatcher(b, x.account, nil)
	for s, err := range d.Statuses(b.Context(), x.account.Address, batch) {
		if err != nil {
			b.Fatal(err)
		}
		var text bytes.Buffer
		if err := d.WriteMessage(b.Context(), x.account.Address, s.Send.ID, &text); err != nil {
			b.Fatal(err)
		}
		list = append(list, rawMessage{s.Send.Recipient.String(), text.Bytes()})
	}
	return list
}

// sendBare sends messages as a short script would.
func (x *bench) sendBare(b *testing.B, messages []rawMessage) {
	b.Helper()
	settings := x.network.mailboxes[0]
	queue := make(chan rawMessage)
	var senders sync.WaitGroup
	for range eight {
		senders.Go(func() {
			err := func() error {
				c, err := smtp.DialTLS(settings.SMTP.Addr(), x.network.servers)
				if err != nil {
					return err
				}
				defer c.Quit()
				if err := c.Auth(sasl.NewPlainClient("", settings.User, settings.Password)); err != nil {
					return err
				}
				for m := range queue {
					if err := c.SendMail(x.account.Address.String(), []string{m.to}, bytes.NewReader(m.text)); err != nil {
						return err
					}
				}
				return nil
			}()
			if err != nil {
				b.Error(err)
			}
		})
	}
	for _, m := range messages {
		queue <- m
	}
	close(queue)
	senders.Wait()
}

// BenchmarkReceipts has a dispatcher with each store collect, verify, match and
// store the receipts of a mailbox, and compares that with verifying the same
// receipts out of memory, on one processor.
func BenchmarkReceipts(b *testing.B) {
	const messages = 1000
	_, of := startBench(b, "")
	took := make(map[string]time.Duration)
	receipts := 0
	for range b.N {
		for _, e := range engines {
			x := of[e.name]
			batch := x.prepare(b, messages)
			x.send(b, messages)
			x.settle(b)
			took[e.name] += timed(func() { x.collect(b, messages) })
			if e.name == "memory" {
				raw := x.receipts(b, batch)
				receipts += len(raw)
				took["verify"] += timed(func() { x.verify(b, raw) })
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(receipts)/took["verify"].Seconds(), "verify/s")
	for _, e := range engines {
		b.ReportMetric(float64(receipts)/took[e.name].Seconds(), e.name+"/s")
		b.ReportMetric(took["verify"].Seconds()/took[e.name].Seconds(), e.name+"/verify")
	}
}

// receipts returns the receipts of a batch as received.
func (x *bench) receipts(b *testing.B, batch string) (list [][]byte) {
	b.Helper()
	d := x.dispatcher(b, x.account, nil)
	for s, err := range d.Statuses(b.Context(), x.account.Address, batch) {
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range s.Facts {
			if f.Kind != dispatch.FactNotice {
				continue
			}
			var raw bytes.Buffer
			if err := d.WriteMail(b.Context(), f.Raw, &raw); err != nil {
				b.Fatal(err)
			}
			list = append(list, raw.Bytes())
		}
	}
	return list
}

func (x *bench) verify(b *testing.B, raw [][]byte) {
	b.Helper()
	opts := x.network.verify
	opts.Now = x.network.now
	for _, r := range raw {
		if _, err := receipt.Verify(bytes.NewReader(r), opts); err != nil {
			b.Fatal(err)
		}
	}
}
