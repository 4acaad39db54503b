package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// world is where messages go: an account at a provider, whom to trust for its
// receipts, and what time it is there.
type world struct {
	name      string
	account   dispatch.AccountConfig
	verify    receipt.Options
	now       func() time.Time
	poll      time.Duration
	logger    *slog.Logger
	domains   []string // PEC domains at which made-up rows have their address
	simulated bool
	close     func()
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

func (e endpoint) addr() string { return fmt.Sprintf("%s:%d", e.Host, e.Port) }

// connect makes an account of settings.
func connect(address pec.Address, profile pec.Profile, user, password string, smtp, imap endpoint, tlsConfig *tls.Config) (dispatch.AccountConfig, error) {
	a := dispatch.AccountConfig{Address: address, Profile: profile}
	var err error
	a.Submitter, err = smtpsend.New(smtpsend.Config{
		Addr: smtp.addr(), TLS: smtpsend.TLSMode(smtp.TLS), TLSConfig: tlsConfig, Username: user, Password: password,
	})
	if err != nil {
		return a, err
	}
	a.Mailbox, err = imapbox.New(imapbox.Config{
		Addr: imap.addr(), TLS: imapbox.TLSMode(imap.TLS), TLSConfig: tlsConfig, Username: user, Password: password,
	})
	return a, err
}

// simulate starts a network of its own, in which an hour passes in a second, and
// in which something happens to each of the sample's recipients.
func simulate() (*world, error) {
	const late = pectest.Duration(15 * time.Hour)
	network, err := pectest.Start(pectest.Config{
		Speed: 3600,
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
	a, err := connect(account.Address, account.Profile, account.User, account.Password,
		endpoint(account.SMTP), endpoint(account.IMAP), network.TLSConfig())
	if err != nil {
		network.Close()
		return nil, err
	}
	return &world{
		name:      "in a simulated network, where an hour passes in a second",
		account:   a,
		verify:    network.VerifyOptions(),
		now:       network.Now,
		poll:      time.Second,
		domains:   []string{"pec.alfa.example", "pec.beta.example"},
		simulated: true,
		close:     func() { network.Close() },
	}, nil
}

// networkFile is what examples/network writes of itself.
type networkFile struct {
	Accounts []struct {
		Address  pec.Address `json:"address"`
		User     string      `json:"user"`
		Password string      `json:"password"`
		Provider string      `json:"provider"`
		SMTP     endpoint    `json:"smtp"`
		IMAP     endpoint    `json:"imap"`
		Profile  pec.Profile `json:"profile"`
	} `json:"accounts"`
	Clock struct {
		Real      time.Time `json:"real"`
		Simulated time.Time `json:"simulated"`
		Speed     float64   `json:"speed"`
	} `json:"clock"`
}

// joinNetwork uses a network that another process runs.
func joinNetwork(dir, address string) (*world, error) {
	b, err := os.ReadFile(filepath.Join(dir, "network.json"))
	if err != nil {
		return nil, err
	}
	var n networkFile
	if err := json.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("reading network.json: %w", err)
	}
	w := &world{name: "in the network of " + dir, poll: time.Second, simulated: true, close: func() {}}
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
	w.now = func() time.Time {
		passed := time.Since(n.Clock.Real)
		return n.Clock.Simulated.Add(time.Duration(float64(passed) * n.Clock.Speed))
	}
	roots, err := readRoots(filepath.Join(dir, "tls-ca.pem"))
	if err != nil {
		return nil, err
	}
	if w.verify, err = verifyOptions(nil, filepath.Join(dir, "issuers.pem"), filepath.Join(dir, "directory.ldif")); err != nil {
		return nil, err
	}
	a := n.Accounts[chosen]
	w.account, err = connect(a.Address, a.Profile, a.User, a.Password, a.SMTP, a.IMAP, &tls.Config{RootCAs: roots})
	return w, err
}

// accountFile describes a real account.
type accountFile struct {
	Address pec.Address `json:"address"`
	// User is the login; many providers want the address, some a code.
	User string `json:"user"`
	// PasswordFile holds the password; without it the environment variable
	// PEC_PASSWORD does.
	PasswordFile string `json:"passwordFile"`
	// SMTP and IMAP may be left out for providers that the library knows.
	SMTP *endpoint `json:"smtp"`
	IMAP *endpoint `json:"imap"`
	// Profile overrules what the library knows of the provider's limits.
	Profile *pec.Profile `json:"profile"`
	// Folders are where receipts arrive; INBOX if left out.
	Folders    []string `json:"folders"`
	SentFolder string   `json:"sentFolder"`
	// Issuers (PEM) and Directory (LDIF) are further authorities, and the
	// directory of providers, if you have one.
	Issuers   string `json:"issuers"`
	Directory string `json:"directory"`
}

// openAccount connects to a real mailbox.
func openAccount(name string) (*world, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var c accountFile
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if c.Address.IsZero() {
		return nil, fmt.Errorf("%s: no address", name)
	}
	password, err := c.password(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	profile, known := pec.ProfileForDomain(c.Address.Domain())
	smtp, imap, err := c.servers(profile, known)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if c.Profile != nil {
		profile = *c.Profile
	}
	w := &world{
		name:   "at " + smtp.Host,
		now:    time.Now,
		poll:   30 * time.Second,
		logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		close:  func() {},
	}
	if w.verify, err = verifyOptions(receipt.Anchors(), c.Issuers, c.Directory); err != nil {
		return nil, err
	}
	user := c.User
	if user == "" {
		user = c.Address.String()
	}
	w.account, err = connect(c.Address, profile, user, password, smtp, imap, nil)
	w.account.Folders, w.account.SentFolder = c.Folders, c.SentFolder
	return w, err
}

func (c *accountFile) password(dir string) (string, error) {
	if c.PasswordFile == "" {
		if p := os.Getenv("PEC_PASSWORD"); p != "" {
			return p, nil
		}
		return "", errors.New("no password: name a passwordFile, or set PEC_PASSWORD")
	}
	path := c.PasswordFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	b, err := os.ReadFile(path)
	return strings.TrimRight(string(b), "\r\n"), err
}

// servers returns where to connect: as the file says, or as the library knows.
func (c *accountFile) servers(p pec.Profile, known bool) (smtp, imap endpoint, err error) {
	if c.SMTP != nil && c.IMAP != nil {
		return *c.SMTP, *c.IMAP, nil
	}
	if !known || p.SMTP == "" || p.IMAP == "" {
		return smtp, imap, errors.New("the provider is not one whose servers are known: name smtp and imap")
	}
	for _, e := range []struct {
		to   *endpoint
		addr string
	}{{&smtp, p.SMTP}, {&imap, p.IMAP}} {
		host, port, _ := strings.Cut(e.addr, ":")
		e.to.Host = host
		fmt.Sscan(port, &e.to.Port)
	}
	return smtp, imap, nil
}

func readRoots(name string) (*x509.CertPool, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s: no certificate", name)
	}
	return pool, nil
}

// verifyOptions trusts the given authorities and those of a PEM file, and
// consults a directory if there is one.
func verifyOptions(anchors []smime.Anchor, issuers, directory string) (receipt.Options, error) {
	var opts receipt.Options
	if issuers != "" {
		rest, err := os.ReadFile(issuers)
		if err != nil {
			return opts, err
		}
		for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return opts, fmt.Errorf("%s: %w", issuers, err)
			}
			anchor, err := smime.AnchorFromCertificate(cert)
			if err != nil {
				return opts, fmt.Errorf("%s: %w", issuers, err)
			}
			anchors = append(anchors, anchor)
		}
	}
	var err error
	if opts.Trust, err = smime.NewTrust(anchors); err != nil || directory == "" {
		return opts, err
	}
	file, err := os.Open(directory)
	if err != nil {
		return opts, err
	}
	defer file.Close()
	providers, err := pec.ReadLDIF(file)
	if err != nil {
		return opts, fmt.Errorf("%s: %w", directory, err)
	}
	opts.Directory = pec.NewDirectory(providers)
	return opts, nil
}
