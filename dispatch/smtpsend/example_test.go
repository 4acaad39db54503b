package smtpsend_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
)

// Three messages are handed over in one session. The provider takes the first and
// refuses the second; the line breaks before it answers to the third, which may
// have left: only a receipt can tell.
func Example() {
	network, err := pectest.Start(pectest.Config{Scenario: pectest.Scenario{Rules: []pectest.Rule{
		{Fault: pectest.FaultReply, Stage: pectest.StageRcpt, Recipient: "nessuno@pec.beta.example", Code: 550, Text: "5.1.1 no such mailbox"},
		{Fault: pectest.FaultCut, Stage: pectest.StageAccepted, Recipient: "comune@pec.beta.example"},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	mine := network.Account("ufficio@pec.alfa.example")

	submitter, err := smtpsend.New(smtpsend.Config{
		Addr:      mine.SMTP.Addr(),                // in earnest: smtps.provider.it:465
		TLS:       smtpsend.TLSMode(mine.SMTP.TLS), // may be left out
		TLSConfig: network.TLSConfig(),             // too: the system knows the providers' authorities
		Username:  mine.User, Password: mine.Password,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	session, err := submitter.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	for _, to := range []string{"studio@pec.beta.example", "nessuno@pec.beta.example", "comune@pec.beta.example"} {
		message := "From: " + mine.Address.String() + "\r\nTo: " + to + "\r\nSubject: Sollecito\r\n" +
			"Message-ID: <" + to + ">\r\n\r\nGentile cliente, ...\r\n"
		result := session.Submit(ctx, dispatch.Submission{
			From: mine.Address, To: pec.MustParseAddress(to),
			Size: int64(len(message)), Message: strings.NewReader(message),
		}, func() error {
			// The last moment to write down that it may be sent: the final dot
			// goes out only if this returns nil.
			fmt.Println(to)
			return nil
		})
		fmt.Println(" ", result.Outcome, result.Code, "broken:", result.Broken)
	}
	// Output:
	// studio@pec.beta.example
	//   submitted 250 broken: false
	//   permanent 550 broken: false
	// comune@pec.beta.example
	//   unknown 0 broken: true
}

// A refused login must not be tried again: providers lock accounts.
func ExampleSubmitter_Open() {
	network, err := pectest.Start(pectest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	mine := network.Account("ufficio@pec.alfa.example")
	submitter, err := smtpsend.New(smtpsend.Config{
		Addr: mine.SMTP.Addr(), TLS: smtpsend.TLSMode(mine.SMTP.TLS), TLSConfig: network.TLSConfig(),
		Username: mine.User, Password: "that of last year",
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = submitter.Open(context.Background())
	var reply *smtpsend.ReplyError
	if errors.Is(err, dispatch.ErrAuth) && errors.As(err, &reply) {
		fmt.Println("login refused:", reply.Code)
	}
	// Output: login refused: 535
}
