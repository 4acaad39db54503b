//go:build unix

package realserver_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
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

// gateway is a mailbox as providers and companies run it: Dovecot keeps what the
// simulated provider delivers, the receipts about deliveries in a folder of their
// own. What is sent may go through Postfix, which hands it on.
type gateway struct {
	t       *testing.T
	network *pectest.Network
	mine    pectest.Account
	dovecot *realserver.Dovecot
	postfix *realserver.Postfix // nil if what is sent goes right to the provider

	certificate tls.Certificate
	tls         *tls.Config // for both servers

	news    chan struct{} // holds something if the network did something
	carried int           // messages brought to Dovecot
}

const (
	login    = "m1234567"
	password = "segretissima"
)

// startGateway starts all but Postfix, with a Dovecot such as c wants it.
func startGateway(t *testing.T, rules []pectest.Rule, c realserver.DovecotConfig) *gateway {
	t.Helper()
	g := &gateway{t: t, news: make(chan struct{}, 1)}
	g.network = pectest.New(t, pectest.Config{Journal: g, Scenario: pectest.Scenario{Rules: rules}})
	g.mine = g.network.Account("ufficio@pec.alfa.example")
	certificate, roots := testpki.Server(t, host, nil)
	g.certificate, g.tls = certificate, &tls.Config{RootCAs: roots, ServerName: host}

	var err error
	c.Certificate, c.Users = certificate, map[string]string{login: password}
	c.Settings = "recipient_delimiter = +\nlmtp_save_to_detail_mailbox = yes\n"
	g.dovecot, err = realserver.StartDovecot(c)
	realserver.Need(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(g.dovecot.Log())
		}
		g.dovecot.Close()
	})
	g.admin("mailbox create", "Consegne")
	return g
}

// startPostfix starts Postfix with the given settings.
func (g *gateway) startPostfix(settings string) {
	g.t.Helper()
	var err error
	g.postfix, err = realserver.StartPostfix(realserver.PostfixConfig{
		Certificate: g.certificate, Logins: g.dovecot, Settings: settings,
		Relay: &realserver.Relay{
			Addr: g.mine.SMTP.Addr(), ImplicitTLS: g.mine.SMTP.TLS == pectest.TLSImplicit, User: g.mine.User, Password: g.mine.Password,
		},
	})
	realserver.Need(g.t, err)
	g.t.Cleanup(func() {
		if g.t.Failed() {
			g.t.Log(g.postfix.Log())
		}
		g.postfix.Close()
	})
}

// admin runs doveadm on the mailbox, and returns what it says.
func (g *gateway) admin(command string, args ...string) string {
	g.t.Helper()
	out, err := g.dovecot.Admin(append(append(strings.Fields(command), "-u", login), args...)...)
	must(g.t, err)
	return out
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
	server := smtpsend.Config{
		Addr: g.mine.SMTP.Addr(), TLS: smtpsend.TLSMode(g.mine.SMTP.TLS), TLSConfig: g.network.TLSConfig(), Username: g.mine.User, Password: g.mine.Password,
	}
	if g.postfix != nil {
		server = smtpsend.Config{
			Addr: g.postfix.SMTP(), TLS: smtpsend.TLSStart, TLSConfig: g.tls, Username: login, Password: password,
			FinalTimeout: 2 * time.Second,
		}
	}
	submitter, err := smtpsend.New(server)
	must(g.t, err)
	mailbox, err := imapbox.New(imapbox.Config{Addr: g.dovecot.IMAPS(), TLSConfig: g.tls, Username: login, Password: password})
	must(g.t, err)
	return dispatch.AccountConfig{
		Address: g.mine.Address, Profile: g.mine.Profile, Submitter: submitter, Mailbox: mailbox,
		Folders: []string{"INBOX", "Consegne"},
	}
}

// approve prepares a batch with one message for each recipient, signs it off, and
// returns its name.
func (g *gateway) approve(d *dispatch.Dispatcher, to ...string) string {
	g.t.Helper()
	text := "Buongiorno,\n.\n..\n" + strings.Repeat("Testo, e poi testo.\n", 500) // more than IMAP sends unasked
	template, err := dispatch.NewTemplate(dispatch.TemplateConfig{Subject: "Sollecito", Text: text})
	must(g.t, err)
	ctx := dispatch.WithActor(g.t.Context(), "anna")
	table := "PEC\r\n" + strings.Join(to, "\r\n") + "\r\n"
	batch, report, err := d.Prepare(ctx, dispatch.BatchSpec{
		Name: "solleciti", Account: g.mine.Address, Template: template,
		Rows: dispatch.OpenCSV(fstest.MapFS{"r.csv": {Data: []byte(table)}}, "r.csv").Rows(),
	})
	if err != nil {
		g.t.Fatalf("Prepare: %v, %+v", err, report)
	}
	must(g.t, d.Approve(ctx, g.mine.Address, batch.Name, batch.Digest, time.Hour))
	return batch.Name
}

// run has the dispatcher work, and mail carried to Dovecot, until stop is called.
func (g *gateway) run(d *dispatch.Dispatcher) (stop func()) {
	running, cancel := context.WithCancel(g.t.Context())
	var parts sync.WaitGroup
	parts.Go(func() { g.carry(running) })
	parts.Go(func() {
		if err := d.Run(running); err != nil {
			g.t.Errorf("Run: %v", err)
		}
	})
	return func() {
		cancel()
		parts.Wait()
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
	}, realserver.DovecotConfig{})
	g.startPostfix("smtpd_recipient_restrictions = check_recipient_access inline:{ {vietato@pec.beta.example = 550 5.7.1 not to them} }\n" +
		"smtpd_end_of_data_restrictions = check_recipient_access inline:{ {" + slow + " = sleep 5} }\n")

	want := map[string]dispatch.State{
		"piena@pec.beta.example":   dispatch.Failed,
		"nessuno@pec.beta.example": dispatch.Failed,
		"vietato@pec.beta.example": dispatch.Refused,
		slow:                       dispatch.Delivered,
	}
	for i := range 8 {
		want[fmt.Sprintf("r%d@pec.beta.example", i)] = dispatch.Delivered
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
	batch := g.approve(d, slices.Collect(maps.Keys(want))...)
	stop := g.run(d)
	for range 3 {
		<-final
	}
	// Dovecot goes, and Postfix can't ask it for logins; then it comes back with
	// other UIDs.
	must(t, g.dovecot.Kill())
	must(t, g.dovecot.Start())
	for _, folder := range []string{"INBOX", "Consegne"} {
		g.admin("mailbox update", "--uid-validity", "1999999999", folder)
	}
	for range len(want) - 3 {
		<-final
	}
	for range 2 * (len(want) - 1) { // of each but the one that Postfix refused
		<-notice
	}
	stop()

	for s, err := range d.Statuses(t.Context(), g.mine.Address, batch) {
		must(t, err)
		checkSend(t, s, want)
	}
	g.checkOnce(len(want) - 1)
	if seen := g.admin("search", "seen"); seen != "" {
		t.Errorf("messages marked as read: %q; want none", seen)
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
