package main

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
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
// the same number of connections, to the same network, in turn: what else the
// machine does hits both. Receipts are not read meanwhile: that is other work.
//
// The network delivers what it has accepted in its own time, on the same machine, so
// there are two ratios. That of the sustained rate counts until all is delivered. That
// of the burst counts until all is accepted, and flatters whoever is faster: what is
// delivered later costs him nothing.
//
// A message is some lines and a page of PDF, 3 kB in all, or has a scanned document of
// 200 kB with it.
//
//	go test -run '^$' -bench Rate -benchtime 4x ./examples/mailing
func BenchmarkRate(b *testing.B) {
	b.Run("lines", func(b *testing.B) { benchRate(b, "", 500) })
	b.Run("document", func(b *testing.B) { benchRate(b, withDocument(b), 200) })
}

// withDocument returns the folder of a template with a document.
func withDocument(b *testing.B) string {
	dir := b.TempDir()
	if err := os.CopyFS(dir, templateOfSample(b)); err != nil {
		b.Fatal(err)
	}
	scan := make([]byte, 200_000) // does not compress, like a scan
	rand.NewChaCha8([32]byte{}).Read(scan)
	if err := os.WriteFile(filepath.Join(dir, "attachments", "documento.pdf"), append([]byte("%PDF-1.4\n"), scan...), 0o600); err != nil {
		b.Fatal(err)
	}
	return dir
}

func templateOfSample(b *testing.B) fs.FS {
	folder, err := (&mailing{flags: new(flags)}).templateFolder()
	if err != nil {
		b.Fatal(err)
	}
	return folder
}

func benchRate(b *testing.B, template string, messages int) {
	n := startNetwork(b, "")
	w, err := joinNetwork(n.dir, "")
	if err != nil {
		b.Fatal(err)
	}
	taken := make(chan struct{}, messages)
	d := sendingDispatcher(b, w, taken)
	var bare, durable rate
	for i := range b.N {
		batch := preparedBatch(b, d, w, template, fmt.Sprintf("bench %d", i), messages)
		raw := rawMessages(b, d, w, batch)
		both := []func(){
			func() { bare.add(b, n, func() { sendBare(b, w, raw) }) },
			func() { durable.add(b, n, func() { sendDurable(b, d, w, batch, taken) }) },
		}
		for j := range both {
			both[(i+j)%2]()
		}
	}
	total := float64(messages * b.N)
	b.ReportMetric(total/bare.accepted.Seconds(), "bare-burst/s")
	b.ReportMetric(total/durable.accepted.Seconds(), "durable-burst/s")
	b.ReportMetric(total/bare.delivered.Seconds(), "bare/s")
	b.ReportMetric(total/durable.delivered.Seconds(), "durable/s")
	b.ReportMetric(bare.delivered.Seconds()/durable.delivered.Seconds(), "sustained-ratio")
	b.ReportMetric(bare.accepted.Seconds()/durable.accepted.Seconds(), "burst-ratio")
	b.ReportMetric(0, "ns/op")
}

// rate is how long it took until all messages were accepted, and until they were
// delivered too.
type rate struct{ accepted, delivered time.Duration }

func (r *rate) add(b *testing.B, n *network, send func()) {
	start := time.Now()
	send()
	r.accepted += time.Since(start)
	r.delivered += n.settle(b).Sub(start)
}

// settle waits until the network has delivered what it accepted, and its journal
// grows no more. It returns since when.
func (n *network) settle(b *testing.B) time.Time {
	b.Helper()
	var size int64
	since := time.Now()
	for time.Since(since) < 2*time.Second {
		info, err := os.Stat(n.file("journal.jsonl"))
		if err != nil {
			b.Fatal(err)
		}
		if info.Size() != size {
			size, since = info.Size(), time.Now()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return since
}

// sendingDispatcher has its store on a disk, and tells of each message that was
// taken.
func sendingDispatcher(b *testing.B, w *world, taken chan<- struct{}) *dispatch.Dispatcher {
	b.Helper()
	store, db, err := openSQLite(b.Context(), filepath.Join(b.TempDir(), "store.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	account := w.account
	account.Mailbox = nil
	d, err := dispatch.New(dispatch.Config{
		Store: store, Accounts: []dispatch.AccountConfig{account}, Verify: w.verify, Now: w.now,
		Observe: func(e dispatch.Event) {
			if e.From != dispatch.Submitted && e.To == dispatch.Submitted {
				taken <- struct{}{}
			}
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// preparedBatch makes a batch, and has no sign-off yet.
func preparedBatch(b *testing.B, d *dispatch.Dispatcher, w *world, template, name string, rows int) dispatch.Batch {
	b.Helper()
	m := &mailing{flags: &flags{generate: rows, batch: name, template: template}, world: w}
	spec, err := m.spec(m.source())
	if err != nil {
		b.Fatal(err)
	}
	batch, _, err := d.Prepare(dispatch.WithActor(b.Context(), "bench"), spec)
	if err != nil {
		b.Fatal(err)
	}
	return batch
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
func sendBare(b *testing.B, w *world, messages []rawMessage) {
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

// sendDurable has a dispatcher send a batch, from the sign-off to the last answer.
func sendDurable(b *testing.B, d *dispatch.Dispatcher, w *world, batch dispatch.Batch, taken <-chan struct{}) {
	ctx, stop := context.WithCancel(dispatch.WithActor(b.Context(), "bench"))
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	if err := d.Approve(ctx, w.account.Address, batch.Name, batch.Digest, 0); err != nil {
		b.Error(err)
	}
	for range batch.Total {
		<-taken
	}
	stop()
	running.Wait()
}
