package pectest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log"
	"net/smtp"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// reminder stands for a program of one's own that is to be tested. It knows
// nothing of a simulation: it is told a server, a login and whom to trust, and
// sends with the standard library.
type reminder struct {
	server, host   string
	user, password string
	tls            *tls.Config
}

// remind sends a message and returns its Message-ID, be it sent or not.
func (r reminder) remind(to string) (id string, err error) {
	id = "<" + rand.Text() + "@pec.alfa.example>"
	conn, err := tls.Dial("tcp", r.server, r.tls)
	if err != nil {
		return id, err
	}
	client, err := smtp.NewClient(conn, r.host)
	if err != nil {
		return id, err
	}
	defer client.Close()
	if err := client.Auth(smtp.PlainAuth("", r.user, r.password, r.host)); err != nil {
		return id, err
	}
	if err := client.Mail(r.user); err != nil {
		return id, err
	}
	if err := client.Rcpt(to); err != nil {
		return id, err
	}
	w, err := client.Data()
	if err != nil {
		return id, err
	}
	fmt.Fprintf(w, "From: %s\r\nTo: %s\r\nSubject: Sollecito\r\nMessage-ID: %s\r\n\r\nEgregio, ...\r\n", r.user, to, id)
	return id, w.Close()
}

// The provider accepts a message and hangs up before it says so. A program that
// tries again whenever there is an error sends it twice; one that waits for the
// receipt of acceptance learns that there is nothing to try.
//
// This is a file of its own, to be copied as a start. In a test, New(t, ...) takes
// the place of Start and Close, and t.Fatal that of log.Fatal.
func Example_aProgramOfOnesOwn() {
	network, err := pectest.Start(pectest.Config{Scenario: pectest.Scenario{Rules: []pectest.Rule{
		{Fault: pectest.FaultCut, Stage: pectest.StageAccepted, Times: 1},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()

	studio := network.Account("studio@pec.alfa.example")
	program := reminder{
		server: studio.SMTP.Addr(), host: studio.SMTP.Host,
		user: studio.User, password: studio.Password,
		tls: network.TLSConfig(),
	}
	id, err := program.remind("comune@pec.beta.example")
	fmt.Println("the program knows that it was sent:", err == nil)

	if err := network.Settle(context.Background()); err != nil {
		log.Fatal(err)
	}
	times := make(map[pectest.EventKind]int)
	for e := range network.Events() {
		if e.MessageID == id {
			times[e.Event]++
		}
	}
	fmt.Println("accepted", times[pectest.EventAccepted], "delivered", times[pectest.EventDelivered])

	for raw := range network.Messages("studio@pec.alfa.example") {
		r, err := receipt.Verify(bytes.NewReader(raw), network.VerifyOptions())
		if err != nil {
			log.Fatal(err)
		}
		if r.Kind() == pec.KindAcceptance && r.Data().MessageID == id {
			fmt.Println("the receipt of acceptance says so:", r.Data().Issuer)
		}
	}
	// Output:
	// the program knows that it was sent: false
	// accepted 1 delivered 1
	// the receipt of acceptance says so: Gestore Alfa S.p.A.
}
