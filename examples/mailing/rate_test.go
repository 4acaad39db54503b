package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/dispatch"
)

// BenchmarkRate compares sending by a dispatcher, with its store on a disk, with
// the least that there is: a loop over go-smtp. Both send the same messages, over
// the same number of connections, to the same network, in turn. Receipts are not
// read meanwhile: that is other work.
//
//	go test -run '^$' -bench Rate -benchtime 5x ./examples/mailing
func BenchmarkRate(b *testing.B) {
	const messages = 1000
	n := startNetwork(b, "")
	w, err := joinNetwork(n.dir, "")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	var bare, durable time.Duration
	for i := range b.N {
		d, batch := preparedBatch(b, w, filepath.Join(dir, fmt.Sprintf("%d.db", i)), messages)
		raw := rawMessages(b, d, w, batch)
		bare += timed(func() { sendBare(b, w, n, raw) })
		n.settle(b)
		durable += timed(func() { sendDurable(b, d, w, batch) })
		n.settle(b)
	}
	total := float64(messages * b.N)
	b.ReportMetric(total/bare.Seconds(), "bare/s")
	b.ReportMetric(total/durable.Seconds(), "durable/s")
	b.ReportMetric(bare.Seconds()/durable.Seconds(), "ratio")
	b.ReportMetric(0, "ns/op")
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// settle waits until the network has delivered what it accepted.
func (n *network) settle(b *testing.B) {
	b.Helper()
	for last := -1; ; {
		events := len(n.journal(b))
		if events == last {
			return
		}
		last = events
		time.Sleep(500 * time.Millisecond)
	}
}

// preparedBatch makes a batch in a store of its own, and signs it off.
func preparedBatch(b *testing.B, w *world, file string, rows int) (*dispatch.Dispatcher, dispatch.Batch) {
	b.Helper()
	ctx := dispatch.WithActor(b.Context(), "bench")
	store, db, err := openSQLite(ctx, file)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	account := w.account
	account.Mailbox = nil
	d, err := dispatch.New(dispatch.Config{Store: store, Accounts: []dispatch.AccountConfig{account}, Verify: w.verify, Now: w.now})
	if err != nil {
		b.Fatal(err)
	}
	m := &mailing{flags: &flags{generate: rows, batch: "bench"}, world: w}
	spec, err := m.spec(m.source())
	if err != nil {
		b.Fatal(err)
	}
	batch, _, err := d.Prepare(ctx, spec)
	if err != nil {
		b.Fatal(err)
	}
	if err := d.Approve(ctx, account.Address, batch.Name, batch.Digest, 0); err != nil {
		b.Fatal(err)
	}
	return d, batch
}

type rawMessage struct{ to, text string }

// rawMessages are the same messages under other identifiers, as bytes.
func rawMessages(b *testing.B, d *dispatch.Dispatcher, w *world, batch dispatch.Batch) []rawMessage {
	b.Helper()
	var list []rawMessage
	for s, err := range d.Statuses(b.Context(), w.account.Address, batch.Name) {
		if err != nil {
			b.Fatal(err)
		}
		var text strings.Builder
		if err := d.WriteMessage(b.Context(), w.account.Address, s.Send.ID, &text); err != nil {
			b.Fatal(err)
		}
		list = append(list, rawMessage{s.Send.Recipient.String(), strings.Replace(text.String(), "Message-ID: <", "Message-ID: <bare.", 1)})
	}
	return list
}

// sendBare sends messages as a short script would.
func sendBare(b *testing.B, w *world, n *network, messages []rawMessage) {
	queue := make(chan rawMessage)
	var senders sync.WaitGroup
	for range w.account.Profile.Connections {
		senders.Go(func() {
			c, err := smtp.DialTLS(w.login.smtp.addr(), w.login.tls)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Quit()
			if err := c.Auth(sasl.NewPlainClient("", w.login.user, w.login.password)); err != nil {
				b.Error(err)
				return
			}
			for m := range queue {
				if err := c.SendMail(w.account.Address.String(), []string{m.to}, strings.NewReader(m.text)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for _, m := range messages {
		queue <- m
	}
	close(queue)
	senders.Wait()
}

// sendDurable has a dispatcher send a batch.
func sendDurable(b *testing.B, d *dispatch.Dispatcher, w *world, batch dispatch.Batch) {
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	for {
		now, err := d.Batch(ctx, w.account.Address, batch.Name)
		if err != nil {
			b.Fatal(err)
		}
		if now.Counts[dispatch.Submitted] == batch.Total {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	stop()
	running.Wait()
}
