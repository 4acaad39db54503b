package pec_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

func ExampleReadEnvelope() {
	message := strings.ReplaceAll(`From: Studio Alfa <studio@pec.alfa.example>
To: comune@pec.beta.example
Bcc: collega@pec.alfa.example
Subject: Sollecito 17
Date: Fri, 04 Sep 2026 10:15:30 +0200
Message-ID: <6f1c0e@pec.alfa.example>

Buongiorno.
`, "\n", "\r\n")
	account := pec.MustParseAddress("studio@pec.alfa.example")
	_, err := pec.ReadEnvelope(strings.NewReader(message), pec.EnvelopeOptions{Account: account})
	fmt.Println(err)
	fmt.Println("hidden recipients:", errors.Is(err, pec.ErrBcc))

	message = strings.Replace(message, "Bcc: collega@pec.alfa.example\r\n", "", 1)
	e, err := pec.ReadEnvelope(strings.NewReader(message), pec.EnvelopeOptions{Account: account})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.From, "to", e.Recipients())
	// Output:
	// pec: line 3: Bcc: hidden recipients do not exist in PEC (RFC 6109, sections 2.1 and 3.1.1)
	// hidden recipients: true
	// studio@pec.alfa.example to [comune@pec.beta.example]
}

func ExampleClassify() {
	head := textproto.MIMEHeader{
		"X-Ricevuta":               {"non-accettazione"},
		"X-Riferimento-Message-Id": {"<6f1c0e@pec.alfa.example>"},
	}
	class := pec.Classify(head)
	fmt.Println(class.Category, class.Kind, class.Reference)
	fmt.Println(class.Kind.LegalName(pec.ErrorNone))
	// Output:
	// receipt non-accettazione <6f1c0e@pec.alfa.example>
	// avviso di non accettazione
}

func ExampleReadCertData() {
	d, err := pec.ReadCertData(strings.NewReader(delivery))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Kind, "to", d.Delivery, "at", d.Time.Format(time.RFC3339))
	fmt.Println(pec.SameMessageID(d.MessageID, "<6f1c0e@pec.alfa.example>"))

	// One recipient becomes another: no longer one of those that the message had.
	forged := strings.Replace(delivery, "<consegna>comune@", "<consegna>sindaco@", 1)
	_, err = pec.ReadCertData(strings.NewReader(forged))
	fmt.Println(err)
	// Output:
	// avvenuta-consegna to comune@pec.beta.example at 2026-09-04T10:15:30+02:00
	// true
	// pec: daticert.xml, line 19, column 9, element consegna: contradiction: not one of destinatari
}

func ExampleCertData_WriteTo() {
	d := &pec.CertData{
		Kind:       pec.KindAcceptance,
		Sender:     pec.MustParseAddress("studio@pec.alfa.example"),
		Recipients: []pec.Recipient{{Address: pec.MustParseAddress("comune@pec.beta.example")}},
		Subject:    "Perché & quando",
		Issuer:     "Gestore Alfa S.p.A.",
		Time:       time.Date(2026, 9, 4, 10, 15, 30, 0, time.FixedZone("", 2*60*60)),
		ID:         "alfa1.00001@pec.alfa.example",
		MessageID:  "<6f1c0e@pec.alfa.example>",
	}
	if _, err := d.WriteTo(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// <?xml version="1.0" encoding="UTF-8"?>
	// <postacert tipo="accettazione" errore="nessuno">
	//   <intestazione>
	//     <mittente>studio@pec.alfa.example</mittente>
	//     <destinatari tipo="certificato">comune@pec.beta.example</destinatari>
	//     <risposte></risposte>
	//     <oggetto>Perché &amp; quando</oggetto>
	//   </intestazione>
	//   <dati>
	//     <gestore-emittente>Gestore Alfa S.p.A.</gestore-emittente>
	//     <data zona="+0200"><giorno>04/09/2026</giorno><ora>10:15:30</ora></data>
	//     <identificativo>alfa1.00001@pec.alfa.example</identificativo>
	//     <msgid>&lt;6f1c0e@pec.alfa.example&gt;</msgid>
	//   </dati>
	// </postacert>
}

func ExampleParseAddressList() {
	list, err := pec.ParseAddressList(`comune@pec.beta.example; "Rossi, Studio" <studio@pec.alfa.example>;`)
	for _, m := range list {
		fmt.Printf("%q %s\n", m.Name, m.Address)
	}
	fmt.Println(err)

	_, err = pec.ParseAddressList("comune@pec.beta.example; studio pec.alfa.example")
	fmt.Println(err)
	// Output:
	// "" comune@pec.beta.example
	// "Rossi, Studio" studio@pec.alfa.example
	// <nil>
	// pec: address 2, column 26: not a mailbox address: no @
}

func ExampleProfile_OrDefault() {
	known, ok := pec.ProfileForDomain("legalmail.it")
	fmt.Println(known.Name, ok, known.PerMinute, known.Sources["perMinute"].From)
	fmt.Println(known.MaxRecipients, known.OrDefault().MaxRecipients)

	unknown, ok := pec.ProfileForDomain("pec.alfa.example")
	fmt.Println(ok, unknown.OrDefault().MaxTotalBytes)
	// Output:
	// InfoCert Legalmail true 6 help.infocert.it
	// 0 1
	// false 30000000
}

func ExampleNewDirectory() {
	certificate := []byte("the certificate of Alfa, in DER")
	var file bytes.Buffer
	err := pec.WriteLDIF(&file, []pec.Provider{{
		Name:           "Gestore Alfa S.p.A.",
		ServiceMailbox: pec.MustParseAddress("servizio@pec.alfa.example"),
		Domains:        []string{"pec.alfa.example"},
		Certificates:   [][]byte{certificate},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	providers, err := pec.ReadLDIF(&file)
	if err != nil {
		fmt.Println(err)
		return
	}
	directory := pec.NewDirectory(providers)
	for _, p := range directory.ByDomain("PEC.alfa.example") {
		fmt.Println(p.Name, p.Lists(certificate))
	}
	fmt.Println(len(directory.ByDomain("alfa.example")))
	// Output:
	// Gestore Alfa S.p.A. true
	// 0
}
