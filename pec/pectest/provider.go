package pectest

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// Provider is a PEC provider (gestore): its certificate and key, and its ways of
// writing. It is safe for concurrent use.
type Provider struct {
	config  ProviderConfig
	service pec.Address
	mailbox pec.Address
	cert    *x509.Certificate
	key     crypto.Signer
	chain   []*x509.Certificate

	node uint32 // tells the identifiers of two providers of one name apart
	last atomic.Uint64
}

// ProviderConfig says what a [Provider] is like.
type ProviderConfig struct {
	// Name is the provider's name, as in its certificate and in
	// gestore-emittente; required.
	Name string
	// Domain is the provider's own PEC domain, at which its service address
	// posta-certificata@Domain is; required.
	Domain string
	// Domains are further PEC domains that it manages.
	Domains []string
	// Dialect is how it writes; [OPEC] if zero.
	Dialect Dialect
	// HashOf says what it takes the hash of in a brief delivery receipt;
	// [receipt.HashDecoded] if empty.
	HashOf receipt.HashReading
	// Hash is the algorithm of those hashes; crypto.SHA1, which the rules have,
	// if zero.
	Hash crypto.Hash
	// ECDSA gives it a key on the curve P-256 instead of RSA with 2048 bits.
	ECDSA bool
	// Certificate, if not nil, changes the template of its certificate before it
	// is issued: [Authority.ProviderTemplate].
	Certificate func(*x509.Certificate)
	// Unlisted keeps it out of the directory.
	Unlisted bool
}

// NewProvider makes a provider with a certificate of the authority, and lists it
// in the directory.
func (a *Authority) NewProvider(c ProviderConfig) (*Provider, error) {
	p, err := a.newProvider(c)
	if err != nil {
		return nil, fmt.Errorf("pectest: making a provider: %w", err)
	}
	return p, nil
}

func (a *Authority) newProvider(c ProviderConfig) (*Provider, error) {
	if c.Name == "" {
		return nil, errors.New("it has no name")
	}
	if c.Dialect == (Dialect{}) {
		c.Dialect = OPEC()
	}
	if c.HashOf == "" {
		c.HashOf = receipt.HashDecoded
	}
	if c.Hash == 0 {
		c.Hash = crypto.SHA1
	}
	if !slices.Contains(c.Domains, c.Domain) {
		c.Domains = append([]string{c.Domain}, c.Domains...)
	}
	p := &Provider{config: c, chain: []*x509.Certificate{a.issuer}}
	var err error
	if p.service, err = pec.ParseAddress("posta-certificata@" + c.Domain); err != nil {
		return nil, err
	}
	if p.mailbox, err = pec.ParseAddress("ricevute@" + c.Domain); err != nil {
		return nil, err
	}
	if p.key, err = a.nextKey(c.ECDSA); err != nil {
		return nil, err
	}
	template := a.ProviderTemplate(c.Name, p.service)
	if c.Certificate != nil {
		c.Certificate(template)
	}
	if p.cert, err = a.Issue(template, p.key.Public()); err != nil {
		return nil, err
	}
	var node [4]byte
	rand.Read(node[:])
	p.node = binary.BigEndian.Uint32(node[:]) % 100_000
	if !c.Unlisted {
		a.mu.Lock()
		a.providers = append(a.providers, p)
		a.mu.Unlock()
	}
	return p, nil
}

// nextKey returns the key of the next provider.
func (a *Authority) nextKey(ecdsa bool) (crypto.Signer, error) {
	if ecdsa {
		return newECDSAKey()
	}
	a.mu.Lock()
	n := a.made
	a.made++
	a.mu.Unlock()
	return providerKeys.get(n)
}

// Name returns the provider's name.
func (p *Provider) Name() string { return p.config.Name }

// Domain returns the provider's own PEC domain.
func (p *Provider) Domain() string { return p.config.Domain }

// Service returns the service address, the sender of all that the provider
// issues.
func (p *Provider) Service() pec.Address { return p.service }

// ServiceMailbox returns where other providers send what is for the provider
// itself: receipts that say they took charge, and notices about malware.
func (p *Provider) ServiceMailbox() pec.Address { return p.mailbox }

// Certificate returns the certificate of the key with which the provider signs.
func (p *Provider) Certificate() *x509.Certificate { return p.cert }

// Record returns the provider's record in the directory.
func (p *Provider) Record() pec.Provider {
	return pec.Provider{
		Name:           p.config.Name,
		ServiceMailbox: p.mailbox,
		Domains:        slices.Clone(p.config.Domains),
		Certificates:   [][]byte{p.cert.Raw},
		LDIFLocation:   "https://" + p.config.Domain + "/gestore.ldif.p7m",
	}
}

// NewID returns a fresh identifier (identificativo) for a transmission accepted
// at t, without angle brackets, in the form that providers use.
func (p *Provider) NewID(t time.Time) string {
	return fmt.Sprintf("%s%05d.%s.%05d.%d.1.1@%s", p.config.Dialect.Name, p.node,
		Rome(t).Format("20060102150405"), p.last.Add(1), p.node%900+100, p.config.Domain)
}
