package imapbox_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// The receipts in a mailbox are found by their heads, fetched, and verified. Other
// mail is left alone; nothing is marked as read.
func Example() {
	network, err := pectest.Start(pectest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	mine := network.Account("ufficio@pec.alfa.example")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	message := "From: ufficio@pec.alfa.example\r\nTo: studio@pec.beta.example\r\nSubject: Sollecito\r\n" +
		"Message-ID: <17@pec.alfa.example>\r\n\r\nGentile cliente, ...\r\n"
	if err := network.Submit(mine, []string{"studio@pec.beta.example"}, strings.NewReader(message)); err != nil {
		log.Fatal(err)
	}

	mailbox, err := imapbox.New(imapbox.Config{
		Addr:      mine.IMAP.Addr(),               // in earnest: imaps.provider.it:993
		TLS:       imapbox.TLSMode(mine.IMAP.TLS), // may be left out
		TLSConfig: network.TLSConfig(),            // too: the system knows the providers' authorities
		Username:  mine.User, Password: mine.Password,
	})
	if err != nil {
		log.Fatal(err)
	}
	session, err := mailbox.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	if _, err := session.Select(ctx, "INBOX"); err != nil {
		log.Fatal(err)
	}

	var last uint32 // to be kept, with the UIDVALIDITY that Select returns
	for missing := 2; missing > 0; {
		var receipts []uint32
		for head, err := range session.Heads(ctx, last) {
			if err != nil {
				log.Fatal(err)
			}
			last = head.UID
			if pec.Classify(head.Header).Category == pec.CategoryReceipt {
				receipts = append(receipts, head.UID)
			}
		}
		err := session.Fetch(ctx, receipts, func(_ uint32, _ int64, r io.Reader) error {
			verified, err := receipt.Verify(r, network.VerifyOptions())
			if err != nil {
				return err
			}
			fmt.Println(verified.Kind(), verified.Data().MessageID)
			missing--
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
		if err := session.Wait(ctx, time.Second); err != nil { // by IDLE
			log.Fatal(err)
		}
	}
	// Output:
	// accettazione <17@pec.alfa.example>
	// avvenuta-consegna <17@pec.alfa.example>
}
