package imapbox_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// TestSimulatedNetwork sends a message over a PEC network, and waits until both
// its receipts have come.
func TestSimulatedNetwork(t *testing.T) {
	network := pectest.New(t, pectest.Config{})
	studio := network.Account("studio@pec.alfa.example")
	comune := pec.MustParseAddress("comune@pec.beta.example")
	submitter, err := smtpsend.New(smtpsend.Config{
		Addr: studio.SMTP.Addr(), TLS: smtpsend.TLSMode(studio.SMTP.TLS), TLSConfig: network.TLSConfig(),
		Username: studio.User, Password: studio.Password,
	})
	if err != nil {
		t.Fatal(err)
	}
	mailbox, err := imapbox.New(imapbox.Config{
		Addr: studio.IMAP.Addr(), TLS: imapbox.TLSMode(studio.IMAP.TLS), TLSConfig: network.TLSConfig(),
		Username: studio.User, Password: studio.Password,
	})
	if err != nil {
		t.Fatal(err)
	}
	session, err := submitter.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	inbox, err := mailbox.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer inbox.Close()
	if _, err := inbox.Select(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}

	message := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: Sollecito\r\nMessage-ID: <1@pec.alfa.example>\r\n"+
		"Date: Fri, 4 Sep 2026 10:15:30 +0200\r\n\r\nTesto\r\n", studio.Address, comune)
	result := session.Submit(t.Context(), dispatch.Submission{
		From: studio.Address, To: comune, Size: int64(len(message)), Message: strings.NewReader(message),
	}, func() error { return nil })
	if result.Outcome != dispatch.OutcomeSubmitted {
		t.Fatalf("Submit: %+v", result)
	}

	missing := map[pec.Kind]bool{pec.KindAcceptance: true, pec.KindDelivery: true}
	for last := uint32(0); len(missing) > 0; {
		if err := inbox.Wait(t.Context(), 100*time.Millisecond); err != nil {
			t.Fatalf("Wait: %v", err)
		}
		for _, h := range heads(t, inbox, last) {
			last = h.UID
			raw := fetch(t, inbox, h.UID)
			verified, err := receipt.Verify(strings.NewReader(raw), network.VerifyOptions())
			if err != nil {
				t.Fatalf("Verify: %v", err)
			}
			if class := pec.Classify(h.Header); class.Kind != verified.Data().Kind || class.Reference != verified.Data().MessageID {
				t.Errorf("head says %+v; receipt says %s, %s", class, verified.Data().Kind, verified.Data().MessageID)
			}
			if int64(len(raw)) != h.Size {
				t.Errorf("%d bytes; said to be %d", len(raw), h.Size)
			}
			delete(missing, verified.Data().Kind)
		}
	}
}
