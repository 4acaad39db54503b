package pectest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// TestTenThousand submits ten thousand messages over two connections, fetches all
// receipts over IMAP while they come, and verifies each. Goroutines and memory
// must not grow with the number of messages.
func TestTenThousand(t *testing.T) {
	total := 10_000
	if testing.Short() || underRace {
		total = 500
	}
	// Little is in use, and much is thrown away: without this, a sixth of the time
	// goes into collecting it.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	n := pectest.New(t, pectest.Config{Sites: fastSites()})
	started := time.Now()
	senders := []pectest.Account{n.Account("uno@pec.alfa.example"), n.Account("due@pec.beta.example")}
	failed := make(chan error, 2*len(senders))
	for i, a := range senders {
		to := senders[1-i].Address.Domain()
		go func() { failed <- submitMany(t.Context(), n, a, to, total/2) }()
		go func() { failed <- collect(t.Context(), n, a, total/2) }()
	}
	usage := watch(t)
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	settle(t, n)
	t.Logf("%d messages with all receipts: %v", total, time.Since(started).Round(time.Millisecond))
	usage.check(t)
	delivered := make(map[string]int)
	for e := range n.Events() {
		if e.Event == pectest.EventDelivered {
			delivered[e.MessageID]++
		}
	}
	for id, times := range delivered {
		if times != 1 {
			t.Errorf("message %s was delivered %d times", id, times)
		}
	}
	if len(delivered) != total {
		t.Errorf("%d messages were delivered, want %d", len(delivered), total)
	}
}

// BenchmarkMessage is one message on its way from submission to the receipt of
// delivery in the sender's mailbox, with four signatures and three verifications,
// as many at a time as there is room for.
func BenchmarkMessage(b *testing.B) {
	for name, sites := range map[string][]pectest.SiteConfig{"RSA": nil, "ECDSA": fastSites()} {
		b.Run(name, func(b *testing.B) {
			n := pectest.New(b, pectest.Config{Sites: sites})
			b.ReportAllocs()
			b.ResetTimer()
			if err := submitMany(b.Context(), n, n.Account("uno@pec.alfa.example"), "pec.beta.example", b.N); err != nil {
				b.Fatal(err)
			}
			if err := n.Settle(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// fastSites are the usual providers with other keys: signing with RSA is two
// thirds of the time that a message takes.
func fastSites() []pectest.SiteConfig {
	return []pectest.SiteConfig{
		{ProviderConfig: pectest.ProviderConfig{Name: "Gestore Alfa S.p.A.", Domain: "pec.alfa.example", ECDSA: true}},
		{ProviderConfig: pectest.ProviderConfig{Name: "Gestore Beta S.r.l.", Domain: "pec.beta.example", ECDSA: true, Dialect: pectest.JPEC()}, StartTLS: true},
	}
}

// submitMany submits messages, to a thousand recipients in turn, over one
// connection.
func submitMany(ctx context.Context, n *pectest.Network, a pectest.Account, domain string, total int) error {
	dial := smtp.DialTLS
	if a.SMTP.TLS == pectest.TLSStart {
		dial = smtp.DialStartTLS
	}
	c, err := dial(a.SMTP.Addr(), n.TLSConfig())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Auth(sasl.NewPlainClient("", a.User, a.Password)); err != nil {
		return err
	}
	for i := range total {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		to := fmt.Sprintf("destinatario%d@%s", i%1000, domain)
		message := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: Avviso %d\r\nMessage-ID: %s\r\n\r\nEgregio,\r\n%s\r\n",
			a.Address, to, i, pec.NewMessageID(a.Address), strings.Repeat("testo ", 20))
		if err := c.SendMail(a.Address.String(), []string{to}, strings.NewReader(message)); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	return c.Quit()
}

// collect fetches until the receipts of acceptance and of delivery of all
// messages are there. While nothing comes it idles.
func collect(ctx context.Context, n *pectest.Network, a pectest.Account, total int) error {
	news := make(chan struct{}, 1)
	c, err := imapclient.DialTLS(a.IMAP.Addr(), &imapclient.Options{
		TLSConfig: n.TLSConfig(),
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(*imapclient.UnilateralDataMailbox) {
			select {
			case news <- struct{}{}:
			default:
			}
		}},
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Login(a.User, a.Password).Wait(); err != nil {
		return err
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return err
	}
	kinds := make(map[pec.Kind]int)
	opts := n.VerifyOptions()
	for next := imap.UID(1); kinds[pec.KindAcceptance] < total || kinds[pec.KindDelivery] < total; {
		last, err := fetchFrom(c, next, func(raw io.Reader) error {
			r, err := receipt.Verify(raw, opts)
			if err != nil {
				return err
			}
			kinds[r.Kind()]++
			return nil
		})
		if err != nil {
			return err
		}
		if last >= next {
			next = last + 1
			continue
		}
		if err := idle(ctx, c, news); err != nil {
			return err
		}
	}
	return nil
}

// idle waits until the server says that there is more.
func idle(ctx context.Context, c *imapclient.Client, news <-chan struct{}) error {
	cmd, err := c.Idle()
	if err != nil {
		return err
	}
	select {
	case <-news:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := cmd.Close(); err != nil {
		return err
	}
	return cmd.Wait()
}

// fetchFrom fetches the messages from a UID on, and returns the last UID.
func fetchFrom(c *imapclient.Client, from imap.UID, take func(io.Reader) error) (last imap.UID, err error) {
	cmd := c.Fetch(imap.UIDSet{{Start: from, Stop: from + 499}}, &imap.FetchOptions{
		BodySection: []*imap.FetchItemBodySection{{Peek: true}},
	})
	for {
		m := cmd.Next()
		if m == nil {
			return last, errors.Join(err, cmd.Close())
		}
		for item := m.Next(); item != nil; item = m.Next() {
			switch item := item.(type) {
			case imapclient.FetchItemDataUID:
				last = max(last, item.UID)
			case imapclient.FetchItemDataBodySection:
				raw, readErr := io.ReadAll(item.Literal)
				if err = errors.Join(err, readErr); err == nil {
					err = take(bytes.NewReader(raw))
				}
			}
		}
	}
}

// usage is what a process used while it was watched.
type usage struct {
	stop       chan struct{}
	done       chan struct{}
	goroutines []int
	heap       []uint64
}

// watch looks at goroutines and memory again and again.
func watch(t *testing.T) *usage {
	u := &usage{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(u.done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				u.look()
			case <-u.stop:
				u.look()
				return
			}
		}
	}()
	return u
}

// look notes how many goroutines there are, and how much memory the last garbage
// collection found in use.
func (u *usage) look() {
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	u.goroutines = append(u.goroutines, int(samples[0].Value.Uint64()))
	u.heap = append(u.heap, samples[1].Value.Uint64())
}

// check compares with bounds. What is in the mailboxes is more than a hundred MB
// of mail, of which only the places are kept in memory.
func (u *usage) check(t *testing.T) {
	t.Helper()
	close(u.stop)
	<-u.done
	var goroutines int
	var heap uint64
	for i := range u.heap {
		goroutines, heap = max(goroutines, u.goroutines[i]), max(heap, u.heap[i])
	}
	t.Logf("at most %d goroutines and %d MiB", goroutines, heap>>20)
	if goroutines > 100 {
		t.Errorf("%d goroutines at a time, want at most 100", goroutines)
	}
	if heap > 128<<20 {
		t.Errorf("%d MiB in use at a time, want at most 128", heap>>20)
	}
}
