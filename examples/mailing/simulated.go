package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// simulate starts a network of its own, in which something happens to each of the
// sample's recipients.
func simulate() (*world, error) {
	const late = pectest.Duration(15 * time.Hour)
	network, err := pectest.Start(pectest.Config{
		Scenario: pectest.Scenario{Rules: []pectest.Rule{
			{Fault: pectest.FaultFull, Recipient: "pieno@pec.beta.example"},
			{Fault: pectest.FaultInvalid, Recipient: "nessuno@pec.beta.example"},
			{Fault: pectest.FaultVirusAtRecipient, Recipient: "infetto@pec.beta.example"},
			// Nothing is heard for 15 hours: the notice of hour 12 comes first.
			{Fault: pectest.FaultLate, Recipient: "lento@pec.beta.example", Kind: pec.KindServerAcceptance, Delay: late},
			{Fault: pectest.FaultLate, Recipient: "lento@pec.beta.example", Kind: pec.KindDelivery, Delay: late},
			// Nothing is ever heard.
			{Fault: pectest.FaultLost, Recipient: "muto@pec.beta.example", Kind: pec.KindServerAcceptance},
			{Fault: pectest.FaultLost, Recipient: "muto@pec.beta.example", Kind: pec.KindDelivery},
		}},
	})
	if err != nil {
		return nil, err
	}
	account := network.Account("ufficio@pec.alfa.example")
	w := &world{
		name: "in a simulated network, where hours pass in seconds once everything has left",
		login: login{
			user: account.User, password: account.Password,
			smtp: endpoint(account.SMTP), imap: endpoint(account.IMAP), tls: network.TLSConfig(),
		},
		verify:  network.VerifyOptions(),
		now:     network.Now,
		poll:    time.Second,
		domains: []string{"pec.alfa.example", "pec.beta.example"},
		issuers: network.Authority().IssuerPEM(),
		hurry:   func(ctx context.Context) { hurry(ctx, network) },
		close:   func() { network.Close() },
	}
	if w.account, err = w.login.connect(account.Address, account.Profile); err != nil {
		network.Close()
		return nil, err
	}
	return w, nil
}

// hurry makes hours pass in seconds: in the real network too, all that is left to
// do is to wait.
func hurry(ctx context.Context, network *pectest.Network) {
	ticker := time.NewTicker(300 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			network.Advance(time.Hour)
		case <-ctx.Done():
			return
		}
	}
}

// networkFile is what examples/network writes of itself.
type networkFile struct {
	Accounts []struct {
		Address  pec.Address `json:"address"`
		User     string      `json:"user"`
		Password string      `json:"password"`
		SMTP     endpoint    `json:"smtp"`
		IMAP     endpoint    `json:"imap"`
		Profile  pec.Profile `json:"profile"`
	} `json:"accounts"`
	Clock pectest.Reading `json:"clock"`
}

// joinNetwork uses a network that another process runs.
func joinNetwork(dir, address string) (*world, error) {
	file := func(name string) string { return filepath.Join(dir, name) }
	b, err := os.ReadFile(file("network.json"))
	if err != nil {
		return nil, fmt.Errorf("no network runs there: %w", err)
	}
	var n networkFile
	if err := json.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("reading network.json: %w", err)
	}
	w := &world{
		name:  "in the network of " + dir,
		now:   func() time.Time { return n.Clock.At(time.Now()) },
		poll:  time.Second,
		close: func() {},
	}
	if w.verify, err = networkTrust(file("issuers.pem"), file("directory.ldif")); err != nil {
		return nil, err
	}
	if w.issuers, err = os.ReadFile(file("issuers.pem")); err != nil {
		return nil, err
	}
	if w.login.tls, err = readRoots(file("tls-ca.pem")); err != nil {
		return nil, err
	}
	chosen := -1
	for i, a := range n.Accounts {
		if chosen < 0 && (address == "" || strings.EqualFold(a.Address.String(), address)) {
			chosen = i
		}
		if !slices.Contains(w.domains, a.Address.Domain()) {
			w.domains = append(w.domains, a.Address.Domain())
		}
	}
	if chosen < 0 {
		return nil, errors.New("the network has no such account")
	}
	a := n.Accounts[chosen]
	w.login.user, w.login.password, w.login.smtp, w.login.imap = a.User, a.Password, a.SMTP, a.IMAP
	w.account, err = w.login.connect(a.Address, a.Profile)
	return w, err
}

// networkTrust trusts the authority of a simulated network, and no other.
func networkTrust(issuers, directory string) (opts receipt.Options, err error) {
	anchors, err := readIssuers(issuers)
	if err != nil {
		return opts, err
	}
	if opts.Trust, err = smime.NewTrust(anchors); err != nil {
		return opts, err
	}
	providers, err := readDirectory(directory)
	opts.Directory = providers
	return opts, err
}
