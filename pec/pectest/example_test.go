package pectest_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// A message is sent to two mailboxes, one of which is full, and the receipts are
// read. In a test, New(t, ...) takes the place of Start and Close.
func Example() {
	network, err := pectest.Start(pectest.Config{
		Scenario: pectest.Scenario{Rules: []pectest.Rule{
			{Fault: pectest.FaultFull, Recipient: "archivio@pec.beta.example"},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()

	studio := network.Account("studio@pec.alfa.example") // with user, password, ports
	message := "From: studio@pec.alfa.example\r\n" +
		"To: comune@pec.beta.example, archivio@pec.beta.example\r\n" +
		"Subject: Sollecito 17\r\n" +
		"Message-ID: <17@pec.alfa.example>\r\n" +
		"\r\n" +
		"Egregio Comune, ...\r\n"
	to := []string{"comune@pec.beta.example", "archivio@pec.beta.example"}
	if err := network.Submit(studio, to, strings.NewReader(message)); err != nil {
		log.Fatal(err)
	}
	if err := network.Settle(context.Background()); err != nil {
		log.Fatal(err)
	}
	for raw := range network.Messages("studio@pec.alfa.example") {
		r, err := receipt.Verify(bytes.NewReader(raw), network.VerifyOptions())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Kind(), r.Data().Error)
	}
	// Unordered output:
	// accettazione nessuno
	// avvenuta-consegna nessuno
	// errore-consegna altro
}

// The recipient's provider does nothing for a day. The clock stands still until
// it is moved, so that this takes no time.
func ExampleNetwork_Advance() {
	network, err := pectest.Start(pectest.Config{
		Start:  time.Date(2026, time.March, 28, 9, 0, 0, 0, time.UTC),
		Frozen: true,
		Scenario: pectest.Scenario{Rules: []pectest.Rule{
			{Fault: pectest.FaultPause, Provider: "pec.beta.example", Until: pectest.Duration(26 * time.Hour)},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()

	studio := network.Account("studio@pec.alfa.example")
	message := "From: studio@pec.alfa.example\r\nTo: comune@pec.beta.example\r\nSubject: Prova\r\n\r\nTesto.\r\n"
	if err := network.Submit(studio, []string{"comune@pec.beta.example"}, strings.NewReader(message)); err != nil {
		log.Fatal(err)
	}
	network.Advance(48 * time.Hour)
	for raw := range network.Messages("studio@pec.alfa.example") {
		r, err := receipt.Verify(bytes.NewReader(raw), network.VerifyOptions())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Data().Time.Format("02/01 15:04 -0700"), r.Kind())
	}
	// Output:
	// 28/03 10:00 +0100 accettazione
	// 28/03 22:00 +0100 preavviso-errore-consegna
	// 29/03 10:30 +0200 preavviso-errore-consegna
	// 29/03 13:00 +0200 avvenuta-consegna
}

// A provider can be had without a network, to make messages that a test needs.
func ExampleProvider_Compose() {
	authority, err := pectest.NewAuthority(pectest.AuthorityConfig{})
	if err != nil {
		log.Fatal(err)
	}
	alfa, err := authority.NewProvider(pectest.ProviderConfig{Name: "Gestore Alfa", Domain: "pec.alfa.example"})
	if err != nil {
		log.Fatal(err)
	}
	var b bytes.Buffer
	err = alfa.Compose(&b, pectest.Message{Data: pec.CertData{
		Kind:       pec.KindAcceptance,
		Sender:     pec.MustParseAddress("studio@pec.alfa.example"),
		Recipients: []pec.Recipient{{Address: pec.MustParseAddress("comune@pec.beta.example")}},
		Subject:    "Sollecito 17",
		Time:       pectest.Rome(time.Now()),
		ID:         alfa.NewID(time.Now()),
		MessageID:  "<17@pec.alfa.example>",
	}})
	if err != nil {
		log.Fatal(err)
	}
	r, err := receipt.Verify(&b, receipt.Options{Trust: authority.Trust(), Directory: authority.Directory()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Kind(), r.Data().MessageID)
	// Output:
	// accettazione <17@pec.alfa.example>
}
