package receipt_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// simulated returns a delivery receipt of a simulated provider, the message that
// it is about, and options that trust that provider. With a real receipt, read
// from a file, the options are
//
//	trust, err := smime.NewTrust(receipt.Anchors())
//	opts := receipt.Options{Trust: trust}
func simulated() (eml []byte, sent string, opts receipt.Options) {
	now := time.Date(2026, time.September, 4, 8, 15, 30, 0, time.UTC)
	authority, err := pectest.NewAuthority(pectest.AuthorityConfig{Time: now})
	if err != nil {
		log.Fatal(err)
	}
	beta, err := authority.NewProvider(pectest.ProviderConfig{Name: "Gestore Beta", Domain: "pec.beta.example"})
	if err != nil {
		log.Fatal(err)
	}
	sent = "From: studio@pec.alfa.example\r\nTo: comune@pec.beta.example\r\nSubject: Sollecito 17\r\n" +
		"Message-ID: <17@pec.alfa.example>\r\n\r\nEgregio Comune, ...\r\n"
	var b bytes.Buffer
	comune := pec.MustParseAddress("comune@pec.beta.example")
	if err := beta.Compose(&b, pectest.Message{
		Data: pec.CertData{
			Kind:       pec.KindDelivery,
			Sender:     pec.MustParseAddress("studio@pec.alfa.example"),
			Recipients: []pec.Recipient{{Address: comune, Type: pec.RecipientCertified}},
			Delivery:   comune,
			Subject:    "Sollecito 17",
			Time:       pectest.Rome(now),
			ID:         "alfa1.20260904101530.00001@pec.alfa.example",
			MessageID:  "<17@pec.alfa.example>",
		},
		Original: strings.NewReader(sent),
	}); err != nil {
		log.Fatal(err)
	}
	return b.Bytes(), sent, receipt.Options{Trust: authority.Trust(), Now: func() time.Time { return now }}
}

// Verify a receipt and read what it certifies.
func ExampleVerify() {
	eml, _, opts := simulated()
	rec, err := receipt.Verify(bytes.NewReader(eml), opts)
	if err != nil {
		log.Fatal(err)
	}
	data := rec.Data()
	fmt.Println(rec.Kind().LegalName(data.Error))
	fmt.Println("of", data.MessageID, "from", data.Sender)
	fmt.Println("to", data.Delivery, "at", data.Time.Format(time.RFC3339))
	fmt.Println("says", rec.Signer().Address)
	for _, remark := range rec.Remarks() {
		fmt.Println("-", remark.Code)
	}
	// Output:
	// ricevuta di avvenuta consegna
	// of <17@pec.alfa.example> from studio@pec.alfa.example
	// to comune@pec.beta.example at 2026-09-04T10:15:30+02:00
	// says posta-certificata@pec.beta.example
	// - revocation-not-checked
	// - time-claimed
	// - directory-not-consulted
}

// Tell apart what was refused, and why, from what could not be judged.
func ExampleVerdictOf() {
	eml, _, opts := simulated()
	inputs := []struct {
		name string
		eml  []byte
		opts receipt.Options
	}{
		{"as received", eml, opts},
		{"a word changed", bytes.Replace(eml, []byte("Egregio"), []byte("Gentile"), 1), opts},
		{"called an acceptance", bytes.Replace(eml, []byte("X-Ricevuta: avvenuta-consegna"), []byte("X-Ricevuta: accettazione"), 1), opts},
		{"cut short", eml[:len(eml)-100], opts},
		{"nobody to judge by", eml, receipt.Options{}},
		{"ordinary mail", []byte("Subject: ACCETTAZIONE: Sollecito 17\r\n\r\n"), opts},
	}
	for _, in := range inputs {
		_, err := receipt.Verify(bytes.NewReader(in.eml), in.opts)
		fmt.Printf("%s: %s", in.name, receipt.VerdictOf(err))
		var refusal *receipt.Error
		if errors.As(err, &refusal) {
			fmt.Printf(", %s in the %s", string(refusal.Code), refusal.Part)
		}
		if errors.Is(err, smime.ReasonDigest) {
			fmt.Print(" (not what was signed)")
		}
		fmt.Println()
	}
	// Output:
	// as received: verified
	// a word changed: rejected, content-altered in the signed part (not what was signed)
	// called an acceptance: rejected, header-contradiction in the header
	// cut short: malformed, bad-mime in the message
	// nobody to judge by: parsed-but-unverified, no-anchor in the certificate
	// ordinary mail: parsed-but-unverified, not-pec in the header
}

// Prove that what was delivered is what was sent.
func ExampleReceipt_Prove() {
	eml, sent, opts := simulated()
	rec, err := receipt.Verify(bytes.NewReader(eml), opts)
	if err != nil {
		log.Fatal(err)
	}
	for _, claimed := range []string{sent, strings.Replace(sent, "Sollecito 17", "Sollecito 18", 1)} {
		proof, err := rec.Prove(bytes.NewReader(eml), strings.NewReader(claimed))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s by %s %q\n", proof.Result, proof.Method, proof.Reason)
	}
	// Output:
	// proven by copy ""
	// disproven by copy "field Subject"
}

// Show what a message claims, without proof.
func ExampleParse() {
	eml, _, _ := simulated()
	claim, err := receipt.Parse(bytes.NewReader(eml), receipt.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(claim.Class().Category, claim.Class().Kind)
	if data := claim.Claims(); data != nil {
		fmt.Println("somebody claims that it was delivered to", data.Delivery)
	}
	// Output:
	// receipt avvenuta-consegna
	// somebody claims that it was delivered to comune@pec.beta.example
}

// Find out why a message was not delivered.
func ExampleCauseOfNotice() {
	cause := receipt.CauseOfNotice(pec.KindDeliveryError, pec.ErrorOther, "5.2.2 - Gestore Beta - casella piena")
	fmt.Println(cause.Code)
	fmt.Println(cause.Text)
	fmt.Println("try again:", cause.Retry)
	fmt.Println("on the side of:", cause.Fault)
	// Output:
	// mailbox-full
	// The recipient's mailbox is full.
	// try again: later
	// on the side of: recipient
}
