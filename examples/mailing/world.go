package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// world is where messages go: an account at a provider, whom to trust for its
// receipts, and what time it is there.
type world struct {
	name    string
	login   login
	account dispatch.AccountConfig
	verify  receipt.Options
	now     func() time.Time
	poll    time.Duration
	domains []string // PEC domains at which made-up rows have their address
	// issuers is the certificate of the authority of a simulated network (PEM);
	// nil in the real one.
	issuers []byte
	// hurry lets time pass quickly, once everything has left; nil if it can't be
	// hurried.
	hurry func(context.Context)
	close func()
}

func openWorld(f *flags) (*world, error) {
	switch {
	case f.network != "":
		return joinNetwork(f.network, f.account)
	case f.config != "":
		return openAccount(f.config)
	}
	return simulate()
}

// endpoint is where a server listens, as network.json and a config file have it.
type endpoint struct {
	Host string `json:"host"`
	Port int    `json:"port"`
	TLS  string `json:"tls"` // "implicit" or "starttls"
}

func (e endpoint) addr() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// login is how to get into a mailbox.
type login struct {
	user, password string
	smtp, imap     endpoint
	tls            *tls.Config // nil trusts whom the system trusts
}

// connect makes an account of it.
func (l login) connect(address pec.Address, profile pec.Profile) (dispatch.AccountConfig, error) {
	a := dispatch.AccountConfig{Address: address, Profile: profile}
	var err error
	a.Submitter, err = smtpsend.New(smtpsend.Config{
		Addr: l.smtp.addr(), TLS: smtpsend.TLSMode(l.smtp.TLS), TLSConfig: l.tls, Username: l.user, Password: l.password,
	})
	if err != nil {
		return a, err
	}
	a.Mailbox, err = imapbox.New(imapbox.Config{
		Addr: l.imap.addr(), TLS: imapbox.TLSMode(l.imap.TLS), TLSConfig: l.tls, Username: l.user, Password: l.password,
	})
	return a, err
}

// readRoots reads the authorities that servers are trusted for.
func readRoots(name string) (*tls.Config, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s: no certificate (PEM) in it", name)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// readIssuers reads the authorities that receipts are trusted for.
func readIssuers(name string) (anchors []smime.Anchor, err error) {
	rest, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		anchor, err := smime.AnchorFromCertificate(cert)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		anchors = append(anchors, anchor)
	}
	if len(anchors) == 0 {
		return nil, fmt.Errorf("%s: no certificate (PEM) in it", name)
	}
	return anchors, nil
}

// readDirectory reads the directory of providers (LDIF).
func readDirectory(name string) (*pec.ProviderIndex, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	providers, err := pec.ReadLDIF(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return pec.NewDirectory(providers), nil
}
