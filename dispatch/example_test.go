package dispatch_test

import (
	"context"
	"fmt"
	"strings"
	"testing/fstest"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
	"github.com/ceralacca/go-pec/pec/pectest"
)

// A batch from template and table to receipts, in a simulated network. With a real
// mailbox only the settings differ.
func Example() {
	network, err := pectest.Start(pectest.Config{Scenario: pectest.Scenario{Rules: []pectest.Rule{
		{Fault: pectest.FaultFull, Recipient: "condominio@pec.beta.example"},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer network.Close()
	mine := network.Account("ufficio@pec.alfa.example")
	submitter, err := smtpsend.New(smtpsend.Config{
		Addr: mine.SMTP.Addr(), TLS: smtpsend.TLSMode(mine.SMTP.TLS), TLSConfig: network.TLSConfig(),
		Username: mine.User, Password: mine.Password,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mailbox, err := imapbox.New(imapbox.Config{
		Addr: mine.IMAP.Addr(), TLS: imapbox.TLSMode(mine.IMAP.TLS), TLSConfig: network.TLSConfig(),
		Username: mine.User, Password: mine.Password,
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// Everything is told as it happens; here, when a message has its last answer.
	answered := make(chan dispatch.Event)
	d, err := dispatch.New(dispatch.Config{
		Store: new(memstore.Store), // a store that survives the process: sqlstore
		Accounts: []dispatch.AccountConfig{{
			Address: mine.Address, Profile: mine.Profile, Submitter: submitter, Mailbox: mailbox,
		}},
		Verify: network.VerifyOptions(), // in earnest: trust in receipt.Anchors
		Observe: func(e dispatch.Event) {
			if e.Kind == dispatch.EventSend && e.To != e.From && e.To.IsFinal() {
				answered <- e
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// The batch: a template, and a table as a spreadsheet saves it.
	template, err := dispatch.NewTemplate(dispatch.TemplateConfig{
		Subject: "Convocazione {{.nome}}",
		Text:    "Gentile {{.nome}},\nl'assemblea si tiene il 4 dicembre.\n",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	files := fstest.MapFS{"soci.csv": {Data: []byte("PEC;Nome\r\n" +
		"studio@pec.beta.example;Studio Rossi\r\n" +
		"condominio@pec.beta.example;Condominio Aurora\r\n")}}
	ctx, cancel := context.WithTimeout(dispatch.WithActor(context.Background(), "anna"), time.Minute)
	defer cancel()
	batch, report, err := d.Prepare(ctx, dispatch.BatchSpec{
		Name: "assemblea", Account: mine.Address, Template: template, Rows: dispatch.OpenCSV(files, "soci.csv").Rows(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d messages, %d faults\n", batch.Total, report.FaultCount)

	// A person looks at it, and signs it off.
	var preview strings.Builder
	if err := d.WriteMessage(ctx, mine.Address, dispatch.SendID{Batch: batch.Name, Row: 1}, &preview); err != nil {
		fmt.Println(err)
		return
	}
	if err := d.Approve(ctx, mine.Address, batch.Name, batch.Digest, 24*time.Hour); err != nil {
		fmt.Println(err)
		return
	}

	running, stop := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- d.Run(running) }()
	for range batch.Total {
		<-answered
	}
	stop()
	if err := <-done; err != nil {
		fmt.Println(err)
	}
	for s, err := range d.Statuses(ctx, mine.Address, batch.Name) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(s.Send.Recipient, s.Status.State, s.Status.Cause, s.Status.Proof)
	}
	// Output:
	// 2 messages, 0 faults
	// studio@pec.beta.example delivered  proven
	// condominio@pec.beta.example failed mailbox-full
}
