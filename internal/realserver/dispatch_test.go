//go:build unix

package realserver_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
	"github.com/ceralacca/go-pec/internal/realserver"
	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// gateway is a mailbox as providers and companies run it: Postfix takes what is
// sent and hands it on to the simulated provider, and Dovecot keeps what that
// delivers, the receipts about deliveries in a folder of their own.
type gateway struct {
	t       *testing.T
	network *pectest.Network
	mine    pectest.Account
	dovecot *realserver.Dovecot
	postfix *realserver.Postfix
	tls     *tls.Config

	news    chan struct{} // holds something if the network did something
	carried int           // messages brought to Dovecot
}

const (
	login    = "m1234567"
	password = "segretissima"
)

func startGateway(t *testing.T, rules []pectest.Rule, settings string) *gateway {
	t.Helper()
	g := &gateway{t: t, news: make(chan struct{}, 1)}
	g.network = pectest.New(t, pectest.Config{Journal: g, Scenario: pectest.Scenario{Rules: rules}})
	g.mine = g.network.Account("ufficio@pec.alfa.example")
	certificate, roots := testpki.Server(t, host, nil)
	g.tls = &tls.Config{RootCAs: roots, ServerName: host}

	var err error
	g.dovecot, err = realserver.StartDovecot(realserver.DovecotConfig{
		Certificate: certificate, Users: map[string]string{login: password},
		Settings: "recipient_delimiter = +\nlmtp_save_to_detail_mailbox = yes\n",
	})
	realserver.Need(t, err)
	t.Cleanup(func() { g.dovecot.Close() })
	_, err = g.dovecot.Admin("mailbox", "create", "-u", login, "Consegne")
	must(t, err)
	g.postfix, err = realserver.StartPostfix(realserver.PostfixConfig{
		Certificate: certificate, Logins: g.dovecot, Settings: settings,
		Relay: &realserver.Relay{
			Addr: g.mine.SMTP.Addr(), ImplicitTLS: g.mine.SMTP.TLS == pectest.TLSImplicit, User: g.mine.User, Password: g.mine.Password,
		},
	})
	realserver.Need(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(g.postfix.Log(), g.dovecot.Log())
		}
		g.postfix.Close()
	})
	return g
}

// Write implements io.Writer, for the journal of the network.
func (g *gateway) Write(p []byte) (int, error) {
	select {
	case g.news <- struct{}{}:
	default:
	}
	return len(p), nil
}

// carry brings what the provider delivers to Dovecot, until ctx ends.
func (g *gateway) carry(ctx context.Context) {
	for {
		select {
		case <-g.news:
		case <-ctx.Done():
			return
		}
		if g.network.Settle(ctx) != nil {
			return
		}
		n := 0
		for m := range g.network.Messages(g.mine.Address.String()) {
			if n++; n <= g.carried {
				continue
			}
			user := login
			if strings.Contains(string(m), "\r\nX-Ricevuta: avvenuta-consegna\r\n") {
				user += "+Consegne"
			}
			for g.dovecot.Deliver(user, m) != nil { // while it is down
				if ctx.Err() != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			g.carried++
		}
	}
}

func (g *gateway) account() dispatch.AccountConfig {
	g.t.Helper()
	submitter, err := smtpsend.New(smtpsend.Config{
		Addr: g.postfix.SMTP(), TLS: smtpsend.TLSStart, TLSConfig: g.tls, Username: login, Password: password,
		FinalTimeout: 2 * time.Second,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	mailbox, err := imapbox.New(imapbox.Config{Addr: g.dovecot.IMAPS(), TLSConfig: g.tls, Username: login, Password: password})
	if err != nil {
		g.t.Fatal(err)
	}
	return dispatch.AccountConfig{
		Address: g.mine.Address, Profile: g.mine.Profile, Submitter: submitter, Mailbox: mailbox,
		Folders: []string{"INBOX", "Consegne"},
	}
}

// slow is a recipient whose messages Postfix takes more slowly than is waited for.
const slow = "lento@pec.beta.example"

// TestDispatch sends a batch through Postfix and collects its receipts from
// Dovecot, both of which go and come back in between.
func TestDispatch(t *testing.T) {
	g := startGateway(t, []pectest.Rule{
		{Fault: pectest.FaultFull, Recipient: "piena@pec.beta.example"},
		{Fault: pectest.FaultUnknown, Recipient: "nessuno@pec.beta.example"},
	}, "smtpd_recipient_restrictions = check_recipient_access inline:{ {vietato@pec.beta.example = 550 5.7.1 not to them} }\n"+
		"smtpd_end_of_data_restrictions = check_recipient_access inline:{ {"+slow+" = sleep 5} }\n")

	want := map[string]dispatch.State{
		"piena@pec.beta.example":   dispatch.Failed,
		"nessuno@pec.beta.example": dispatch.Failed,
		"vietato@pec.beta.example": dispatch.Refused,
		slow:                       dispatch.Delivered,
	}
	for i := range 8 {
		want[fmt.Sprintf("r%d@pec.beta.example", i)] = dispatch.Delivered
	}
	table := "PEC\r\n"
	for to := range want {
		table += to + "\r\n"
	}

	final, notice := make(chan struct{}, len(want)), make(chan struct{}, 3*len(want))
	d, err := dispatch.New(dispatch.Config{
		Store: new(memstore.Store), Accounts: []dispatch.AccountConfig{g.account()},
		Verify: g.network.VerifyOptions(), Poll: time.Second,
		Observe: func(e dispatch.Event) {
			if e.Kind == dispatch.EventSend && e.From != e.To && e.To.IsFinal() {
				final <- struct{}{}
			}
			if e.Kind == dispatch.EventSend && e.Fact == dispatch.FactNotice {
				notice <- struct{}{}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	template, err := dispatch.NewTemplate(dispatch.TemplateConfig{Subject: "Sollecito", Text: "Buongiorno,\n.\n..\nsaluti.\n"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := dispatch.WithActor(t.Context(), "anna")
	batch, report, err := d.Prepare(ctx, dispatch.BatchSpec{
		Name: "solleciti", Account: g.mine.Address, Template: template,
		Rows: dispatch.OpenCSV(fstest.MapFS{"r.csv": {Data: []byte(table)}}, "r.csv").Rows(),
	})
	if err != nil {
		t.Fatalf("Prepare: %v, %+v", err, report)
	}
	if err := d.Approve(ctx, g.mine.Address, batch.Name, batch.Digest, time.Hour); err != nil {
		t.Fatal(err)
	}

	running, stop := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { g.carry(running) })
	parts.Go(func() {
		if err := d.Run(running); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	for range 3 {
		<-final
	}
	// Dovecot goes, and Postfix can't ask it for logins; then it comes back with
	// other UIDs.
	must(t, g.dovecot.Kill())
	must(t, g.dovecot.Start())
	for _, folder := range []string{"INBOX", "Consegne"} {
		_, err := g.dovecot.Admin("mailbox", "update", "-u", login, "--uid-validity", "1999999999", folder)
		must(t, err)
	}
	for range len(want) - 3 {
		<-final
	}
	for range 2 * (len(want) - 1) { // of each but the one that Postfix refused
		<-notice
	}
	stop()
	parts.Wait()

	for s, err := range d.Statuses(ctx, g.mine.Address, batch.Name) {
		must(t, err)
		checkSend(t, s, want)
	}
	g.checkOnce(len(want) - 1)
	if seen, err := g.dovecot.Admin("search", "-u", login, "seen"); err != nil || seen != "" {
		t.Errorf("messages marked as read: %q, %v; want none", seen, err)
	}
}

// checkSend compares where a send stands with what is wanted, and looks for facts
// that are there twice, or too few.
func checkSend(t *testing.T, s dispatch.SendStatus, want map[string]dispatch.State) {
	t.Helper()
	to := s.Send.Recipient.String()
	if s.Status.State != want[to] {
		t.Errorf("%s: %s; want %s", to, s.Status.State, want[to])
	}
	notices := map[dispatch.NoticeKind]int{}
	unknown := false
	for _, f := range s.Facts {
		if f.Kind == dispatch.FactNotice {
			notices[f.Notice.Kind]++
		}
		unknown = unknown || f.Outcome == dispatch.OutcomeUnknown
	}
	last := map[dispatch.State]dispatch.NoticeKind{dispatch.Delivered: dispatch.NoticeDelivery, dispatch.Failed: dispatch.NoticeFailure}[want[to]]
	if last != "" && (len(notices) != 2 || notices[dispatch.NoticeAcceptance] != 1 || notices[last] != 1) {
		t.Errorf("%s: notices %v; want one acceptance and one %s", to, notices, last)
	}
	if to == slow && !unknown {
		t.Errorf("%s: the answer came after all", to)
	}
	if want[to] == dispatch.Delivered && s.Status.Proof != receipt.Proven {
		t.Errorf("%s: %s; want proof of what was delivered", to, s.Status.Proof)
	}
}

// checkOnce checks that the provider was given so many messages, each once.
func (g *gateway) checkOnce(want int) {
	g.t.Helper()
	submitted := map[string]int{}
	for e := range g.network.Events() {
		if e.Event == pectest.EventSubmitted {
			submitted[e.MessageID]++
		}
	}
	for id, n := range submitted {
		if n != 1 {
			g.t.Errorf("%s was submitted %d times", id, n)
		}
	}
	if len(submitted) != want {
		g.t.Errorf("%d messages were submitted; want %d", len(submitted), want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
