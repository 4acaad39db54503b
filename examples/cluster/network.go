package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

func (o *options) networkFlag(flags *flag.FlagSet) {
	flags.StringVar(&o.network, "network", "", "`folder` of a network that examples/network left running (required)")
}

// network is a simulated network that another process runs. In the real one, the
// accounts come from the bureau's own table of customers, and the trust from
// receipt.Anchors.
type network struct {
	mailboxes []pectest.Account
	accounts  []dispatch.AccountConfig // the same
	servers   *tls.Config              // whom to trust as a server
	verify    receipt.Options
	clock     pectest.Reading
}

func (n *network) now() time.Time { return n.clock.At(time.Now()) }

// joinNetwork reads what examples/network wrote of itself.
func joinNetwork(dir string) (*network, error) {
	file := func(name string) string { return filepath.Join(dir, name) }
	b, err := os.ReadFile(file("network.json"))
	if err != nil {
		return nil, fmt.Errorf("no network runs there: %w", err)
	}
	var settings struct {
		Accounts []pectest.Account `json:"accounts"`
		Clock    pectest.Reading   `json:"clock"`
	}
	if err := json.Unmarshal(b, &settings); err != nil {
		return nil, fmt.Errorf("reading network.json: %w", err)
	}
	n := &network{mailboxes: settings.Accounts, clock: settings.Clock}
	servers, err := certificates(file("tls-ca.pem"))
	if err != nil {
		return nil, err
	}
	n.servers = &tls.Config{RootCAs: x509.NewCertPool()}
	for _, cert := range servers {
		n.servers.RootCAs.AddCert(cert)
	}
	for _, a := range n.mailboxes {
		account, err := connect(a, n.servers)
		if err != nil {
			return nil, err
		}
		n.accounts = append(n.accounts, account)
	}
	n.verify, err = trust(file("issuers.pem"), file("directory.ldif"))
	return n, err
}

// connect makes an account of the settings of a mailbox.
func connect(a pectest.Account, roots *tls.Config) (dispatch.AccountConfig, error) {
	c := dispatch.AccountConfig{Address: a.Address, Profile: a.Profile}
	var err1, err2 error
	c.Submitter, err1 = smtpsend.New(smtpsend.Config{
		Addr: a.SMTP.Addr(), TLS: smtpsend.TLSMode(a.SMTP.TLS), TLSConfig: roots, Username: a.User, Password: a.Password,
	})
	c.Mailbox, err2 = imapbox.New(imapbox.Config{
		Addr: a.IMAP.Addr(), TLS: imapbox.TLSMode(a.IMAP.TLS), TLSConfig: roots, Username: a.User, Password: a.Password,
	})
	return c, errors.Join(err1, err2)
}

// trust trusts the authority of the network and no other, for receipts of the
// providers in its directory.
func trust(issuers, directory string) (opts receipt.Options, err error) {
	authorities, err := certificates(issuers)
	if err != nil {
		return opts, err
	}
	var anchors []smime.Anchor
	for _, cert := range authorities {
		anchor, err := smime.AnchorFromCertificate(cert)
		if err != nil {
			return opts, fmt.Errorf("%s: %w", issuers, err)
		}
		anchors = append(anchors, anchor)
	}
	if opts.Trust, err = smime.NewTrust(anchors); err != nil {
		return opts, err
	}
	list, err := os.Open(directory)
	if err != nil {
		return opts, err
	}
	defer list.Close()
	providers, err := pec.ReadLDIF(list)
	opts.Directory = pec.NewDirectory(providers)
	return opts, err
}

// certificates reads a file with certificates (PEM).
func certificates(name string) (list []*x509.Certificate, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, cert)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: no certificate (PEM) in it", name)
	}
	return list, nil
}
