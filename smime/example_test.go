package smime_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/smime"
)

// Sign an entity, verify it, and see what becomes of it when a word is changed.
func Example() {
	issuer, signer, key := issueCertificate()

	var message bytes.Buffer
	entity := "Content-Type: text/plain\r\n\r\nConfermo.\r\n"
	err := smime.Sign(&message, strings.NewReader(entity), smime.SignOptions{
		Certificate: signer,
		Key:         key,
		Time:        time.Date(2026, 9, 4, 8, 15, 30, 0, time.UTC),
	})
	if err != nil {
		log.Fatal(err)
	}

	anchor, err := smime.AnchorFromCertificate(issuer)
	if err != nil {
		log.Fatal(err)
	}
	trust, err := smime.NewTrust([]smime.Anchor{anchor})
	if err != nil {
		log.Fatal(err)
	}
	opts := smime.VerifyOptions{Trust: trust, Time: time.Date(2026, 9, 4, 10, 0, 0, 0, time.UTC)}

	var content strings.Builder
	sig, err := smime.Verify(bytes.NewReader(message.Bytes()), &content, opts)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("signed by:", sig.Certificate().EmailAddresses[0])
	fmt.Println("issued by:", sig.Anchor())
	fmt.Println("signed at:", sig.SigningTime())
	fmt.Println("content as signed:", content.String() == entity)

	altered := strings.Replace(message.String(), "Confermo", "Annullo", 1)
	_, err = smime.Verify(strings.NewReader(altered), nil, opts)
	fmt.Println("altered:", errors.Is(err, smime.ReasonDigest))
	// Output:
	// signed by: posta-certificata@pec.alfa.example
	// issued by: Example Authority
	// signed at: 2026-09-04 08:15:30 +0000 UTC
	// content as signed: true
	// altered: true
}

// Look at a message first, and decide by its header whether to go on. Nothing
// that Parse tells is proven.
func ExampleParse() {
	_, signer, key := issueCertificate()
	var message bytes.Buffer
	message.WriteString("X-Ricevuta: accettazione\r\n")
	err := smime.Sign(&message, strings.NewReader("\r\nAccettato.\r\n"), smime.SignOptions{Certificate: signer, Key: key})
	if err != nil {
		log.Fatal(err)
	}

	notReceipt := errors.New("not a receipt")
	u, err := smime.Parse(&message, smime.ParseOptions{
		Header: func(h smime.Header) error {
			if len(h.Values("X-Ricevuta")) != 1 {
				return notReceipt
			}
			return nil
		},
		Content: io.Discard,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(u.Header().Values("X-Ricevuta"), u.ContentSize(), "bytes")

	_, err = u.Verify(smime.VerifyOptions{}) // trusting nobody
	fmt.Println(err)
	// Output:
	// [accettazione] 14 bytes
	// smime: certificate: no-anchor
}

// issueCertificate makes an authority and a certificate that it issued.
func issueCertificate() (issuer, signer *x509.Certificate, key *ecdsa.PrivateKey) {
	issuerKey := newKey()
	issuer = create(&x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "Example Authority"},
		NotBefore:             time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2035, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}, nil, issuerKey, issuerKey)
	key = newKey()
	signer = create(&x509.Certificate{
		SerialNumber:   big.NewInt(2),
		Subject:        pkix.Name{CommonName: "Posta Certificata"},
		EmailAddresses: []string{"posta-certificata@pec.alfa.example"},
		NotBefore:      time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:       time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}, issuer, key, issuerKey)
	return issuer, signer, key
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return key
}

func create(template, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey) *x509.Certificate {
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		log.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	return cert
}
