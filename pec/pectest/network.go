package pectest

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// Network is a network of PEC providers, with an ordinary mail host beside them,
// on real sockets of this machine: submission by SMTP with TLS, relay between the
// hosts, mailboxes by IMAP with TLS. It is safe for concurrent use.
type Network struct {
	config    Config
	profile   pec.Profile
	issuerKey *rsa.PrivateKey // on loan
	authority *Authority
	directory *pec.ProviderIndex
	tls       *tlsAuthority
	clock     *clock
	faults    *faults
	journal   *journal
	spool     *spool
	sites     []*site // the ordinary host last

	activity activity
	tasks    *workers
	ctx      context.Context // ends when the network closes
	stop     context.CancelFunc
	running  sync.WaitGroup
	closing  sync.Once
	closeErr error

	mu    sync.Mutex
	boxes map[string]*box   // :: key of an address → its mailbox
	sums  map[string]string // :: identifier → digest of what was submitted
	err   error             // the first thing that went wrong in the network itself
}

// Config says what a [Network] is like. The zero value is a network of two
// providers, "pec.alfa.example" (dialect [OPEC]) and "pec.beta.example" (dialect
// [JPEC]), and the ordinary host "mail.example", in which all goes well.
type Config struct {
	// Start is the simulated time at the start; zero means now.
	Start time.Time
	// Speed is how many simulated seconds pass in a real one; zero means 1.
	Speed float64
	// Frozen stops the clock: only [Network.Advance] moves it.
	Frozen bool
	// Host is the address to listen on; "127.0.0.1" if empty.
	Host string
	// Sites are the providers; empty means the two above.
	Sites []SiteConfig
	// OrdinaryDomain is the domain of the ordinary mail host; "mail.example" if
	// empty.
	OrdinaryDomain string
	// Scenario says what goes wrong.
	Scenario Scenario
	// Journal, if not nil, is where each [Event] is written as a line of JSON.
	Journal io.Writer
}

// SiteConfig is a provider of a network.
type SiteConfig struct {
	ProviderConfig
	// StartTLS has the settings of its accounts name the port for STARTTLS; both
	// are always open.
	StartTLS bool
}

func (c Config) withDefaults() Config {
	if c.Start.IsZero() {
		c.Start = time.Now()
	}
	c.Start = c.Start.Round(0)
	switch {
	case c.Frozen:
		c.Speed = 0
	case c.Speed == 0:
		c.Speed = 1
	}
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.OrdinaryDomain == "" {
		c.OrdinaryDomain = "mail.example"
	}
	if len(c.Sites) == 0 {
		c.Sites = []SiteConfig{
			{ProviderConfig: ProviderConfig{Name: "Gestore Alfa S.p.A.", Domain: "pec.alfa.example", Dialect: OPEC()}},
			{ProviderConfig: ProviderConfig{Name: "Gestore Beta S.r.l.", Domain: "pec.beta.example", Dialect: JPEC()}, StartTLS: true},
		}
	}
	return c
}

// New starts a network and closes it at the end of the test, which fails if the
// network can't be started, or went wrong in itself.
func New(t testing.TB, c Config) *Network {
	t.Helper()
	n, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("closing the simulated network: %v", err)
		}
	})
	return n
}

// Start starts a network. Close it.
func Start(c Config) (*Network, error) {
	c = c.withDefaults()
	n := &Network{config: c, boxes: make(map[string]*box), sums: make(map[string]string), profile: generousProfile()}
	if err := n.start(); err != nil {
		n.Close()
		return nil, fmt.Errorf("pectest: starting a network: %w", err)
	}
	return n, nil
}

// generousProfile returns the limits of the accounts of a network whose scenario
// has no others: those of a provider that hardly has any.
func generousProfile() pec.Profile {
	return pec.Profile{
		Name:                 "Simulated PEC",
		MaxRecipients:        500,
		MaxTotalBytes:        100_000_000,
		PerMinute:            1_000_000,
		PerHour:              10_000_000,
		PerDay:               100_000_000,
		Connections:          20,
		SenderMustEqualLogin: true,
		SentFolders:          []string{folderSent},
	}
}

func (n *Network) start() error {
	c := n.config
	if err := c.Scenario.check(); err != nil {
		return fmt.Errorf("scenario: %w", err)
	}
	if err := c.checkProviders(c.Scenario.Rules...); err != nil {
		return fmt.Errorf("scenario: %w", err)
	}
	if c.Scenario.Profile != nil {
		n.profile = overlay(n.profile, *c.Scenario.Profile)
	}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.clock = newClock(c.Start, c.Speed)
	n.clock.settle = n.settleBriefly
	n.faults = newFaults(c.Scenario, c.Start, n.clock.Now)
	n.tasks = startWorkers(max(2, runtime.GOMAXPROCS(0)), &n.activity)
	var err error
	if n.spool, err = newSpool(); err != nil {
		return err
	}
	if n.journal, err = newJournal(c.Journal); err != nil {
		return err
	}
	if n.issuerKey, err = issuerKeys.lease(); err != nil {
		return err
	}
	if n.authority, err = newAuthority(AuthorityConfig{Time: c.Start}, n.issuerKey); err != nil {
		return err
	}
	if n.tls, err = newTLSAuthority(c.Host, c.Start); err != nil {
		return err
	}
	if err := n.startSites(); err != nil {
		return err
	}
	n.running.Go(func() { n.clock.run(n.ctx) })
	return n.putForeignMail()
}

// overlay returns base with the limits that over gives.
func overlay(base, over pec.Profile) pec.Profile {
	if over.Name == "" {
		over.Name = base.Name
	}
	positive := func(value *int, def int) {
		if *value <= 0 {
			*value = def
		}
	}
	positive(&over.MaxRecipients, base.MaxRecipients)
	positive(&over.PerMinute, base.PerMinute)
	positive(&over.PerHour, base.PerHour)
	positive(&over.PerDay, base.PerDay)
	positive(&over.Connections, base.Connections)
	if over.MaxTotalBytes <= 0 {
		over.MaxTotalBytes = base.MaxTotalBytes
	}
	over.SenderMustEqualLogin = base.SenderMustEqualLogin
	return over
}

func (n *Network) startSites() error {
	for _, sc := range n.config.Sites {
		p, err := n.authority.NewProvider(sc.ProviderConfig)
		if err != nil {
			return err
		}
		n.sites = append(n.sites, newSite(n, p, p.config.Domains, sc.StartTLS))
	}
	n.sites = append(n.sites, newSite(n, nil, []string{n.config.OrdinaryDomain}, false))
	n.directory = n.authority.Directory()
	for _, s := range n.sites {
		if err := s.listen(); err != nil {
			return err
		}
	}
	return nil
}

// Close stops the network. What was under way is lost. It returns when no
// goroutine and no port is left, and tells what went wrong in the network itself,
// if anything did.
func (n *Network) Close() error {
	n.closing.Do(func() { n.closeErr = n.close() })
	return n.closeErr
}

func (n *Network) close() error {
	if n.stop == nil {
		return nil // it never started
	}
	n.stop()
	for _, s := range n.sites {
		s.close()
	}
	n.tasks.stop()
	n.running.Wait()
	if n.issuerKey != nil {
		issuerKeys.giveBack(n.issuerKey)
	}
	var errs []error
	if n.spool != nil {
		errs = append(errs, n.spool.close())
	}
	if n.journal != nil {
		errs = append(errs, n.journal.close())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(append(errs, n.err)...)
}

// fail remembers what went wrong in the network itself.
func (n *Network) fail(err error) {
	if err == nil || n.ctx.Err() != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err == nil {
		n.err = fmt.Errorf("pectest: %w", err)
	}
}

// Clock returns what the clock of the network shows, from which another process
// can tell the simulated present.
func (n *Network) Clock() Reading { return n.clock.reading() }

// Now returns the simulated present. It fits the Now of verifiers and
// dispatchers.
func (n *Network) Now() time.Time { return n.clock.Now() }

// Advance moves the clock forward by d. It returns when everything that falls into
// that time has happened, with what it set off, each thing at its instant.
func (n *Network) Advance(d time.Duration) { n.clock.Advance(d) }

// Settle waits until all that was submitted before is delivered, and all that
// answers it is in the mailboxes, except what waits for the clock to advance.
func (n *Network) Settle(ctx context.Context) error { return n.activity.wait(ctx) }

// settleBriefly settles, unless somebody keeps the network busy all the time.
func (n *Network) settleBriefly() {
	ctx, cancel := context.WithTimeout(n.ctx, time.Minute)
	defer cancel()
	n.activity.wait(ctx)
}

// Add adds a rule to the scenario of a network that is running.
func (n *Network) Add(r Rule) error {
	err := r.check()
	if err == nil {
		err = n.config.checkProviders(r)
	}
	if err != nil {
		return fmt.Errorf("pectest: adding a rule: %w", err)
	}
	n.faults.add(r)
	if r.Fault == FaultForeign {
		return n.putForeign(&r)
	}
	return nil
}

// Events returns the journal so far.
func (n *Network) Events() iter.Seq[Event] { return n.journal.events() }

// Authority returns the authority of the providers, for tests that make messages
// of their own.
func (n *Network) Authority() *Authority { return n.authority }

// Provider returns the provider of a PEC domain, or nil.
func (n *Network) Provider(domain string) *Provider {
	if s := n.siteOf(domain); s != nil {
		return s.Provider
	}
	return nil
}

// VerifyOptions returns options with which receipts of this network, and no
// others, verify at the simulated present.
func (n *Network) VerifyOptions() receipt.Options {
	return receipt.Options{Trust: n.authority.Trust(), Directory: n.directory, Now: n.clock.Now}
}

// TLSConfig returns a configuration for clients, which trusts the servers of this
// network and no others.
func (n *Network) TLSConfig() *tls.Config { return n.tls.clientConfig(n.config.Host) }

// TLSPEM returns the certificate of the authority behind the servers' TLS.
func (n *Network) TLSPEM() []byte { return certificatePEM(n.tls.cert) }

// siteOf returns the host of a mail domain, or nil.
func (n *Network) siteOf(domain string) *site {
	for _, s := range n.sites {
		if s.manages(domain) {
			return s
		}
	}
	return nil
}

// isCertified reports whether an address is in a PEC domain.
func (n *Network) isCertified(a pec.Address) bool {
	s := n.siteOf(a.Domain())
	return s != nil && s.Provider != nil
}

// write writes an event into the journal.
func (n *Network) write(e Event) error {
	e.Time = Rome(n.clock.Now()).Truncate(time.Second)
	if e.ID != "" {
		n.mu.Lock()
		if e.SHA256 == "" {
			e.SHA256 = n.sums[e.ID]
		} else {
			n.sums[e.ID] = e.SHA256
		}
		n.mu.Unlock()
	}
	err := n.journal.write(e)
	if err != nil {
		n.fail(fmt.Errorf("writing the journal: %w", err))
	}
	return err
}

// pause waits for d of real time, or until the network closes.
func (n *Network) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-n.ctx.Done():
	}
}

func (s *site) manages(domain string) bool {
	return slices.ContainsFunc(s.domains, func(d string) bool { return strings.EqualFold(d, domain) })
}
