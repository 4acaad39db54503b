package pec

import (
	"bytes"
	"crypto/sha1"
	"slices"
)

// Directory answers who is a PEC provider: which provider manages a mail domain,
// and whose a certificate is. The providers' own directory (indice dei gestori,
// IGPEC) is open to providers alone, so that most callers have none, or one made
// from other sources. RFC 6109, section 4.5.
//
// Both methods return more than one Provider where several records say so, since
// a provider may list one certificate for its main and its secondary
// environments, and nil where none does. They answer from memory: verification
// makes no network connection.
type Directory interface {
	// ByDomain returns the providers that manage a PEC domain. Domains are
	// compared whole and without regard to case: a sub-domain is another one.
	ByDomain(domain string) []*Provider
	// ByCertificate returns the providers that list a certificate, given in DER.
	ByCertificate(der []byte) []*Provider
}

// Provider is one record of the providers' directory: a PEC provider (gestore),
// or one of its secondary environments.
type Provider struct {
	// Name (providerName) is the name that also stands in its certificates.
	Name string
	// Unit (providerUnit) names a secondary environment; "" for the main one.
	Unit string
	// ServiceMailbox (mailReceipt) is where other providers send receipts that
	// say they took charge, and notices about malware.
	ServiceMailbox Address
	// Domains (managedDomains) are its PEC domains, in lower case.
	Domains []string
	// Certificates (providerCertificate) are the certificates, in DER, of the
	// keys with which it signs.
	Certificates [][]byte
	// Hashes (providerCertificateHash) are the SHA-1 hashes of certificates that
	// the record lists by their hash alone. They identify and prove nothing: the
	// chain of a certificate is verified whether it is listed or not.
	Hashes [][sha1.Size]byte
	// LDIFLocation (LDIFLocationURL) is where the provider publishes its record;
	// "" in secondary environments. This package fetches nothing.
	LDIFLocation string
	// Description (description) is free text.
	Description string
}

// Lists reports whether p lists a certificate, given in DER: the certificate
// itself, byte for byte, or, if there is only a hash, one with that hash.
func (p *Provider) Lists(der []byte) bool {
	for _, c := range p.Certificates {
		if bytes.Equal(c, der) {
			return true
		}
	}
	return slices.Contains(p.Hashes, sha1.Sum(der))
}

// ProviderIndex is a [Directory] held in memory. It is safe for concurrent use,
// as long as nobody changes the Providers that it was made from. The zero value
// knows no provider.
type ProviderIndex struct {
	byDomain map[string][]*Provider
	byHash   map[[sha1.Size]byte][]*Provider
}

// NewDirectory returns an index of the given records.
func NewDirectory(providers []Provider) *ProviderIndex {
	x := &ProviderIndex{
		byDomain: make(map[string][]*Provider),
		byHash:   make(map[[sha1.Size]byte][]*Provider),
	}
	for i := range providers {
		p := &providers[i]
		for _, domain := range p.Domains {
			addOnce(x.byDomain, lowerASCII(domain), p)
		}
		for _, der := range p.Certificates {
			addOnce(x.byHash, sha1.Sum(der), p)
		}
		for _, hash := range p.Hashes {
			addOnce(x.byHash, hash, p)
		}
	}
	return x
}

// addOnce adds p unless it is there. Providers are added one after the other, so
// that it would be the last.
func addOnce[K comparable](index map[K][]*Provider, key K, p *Provider) {
	if found := index[key]; len(found) == 0 || found[len(found)-1] != p {
		index[key] = append(found, p)
	}
}

// ByDomain implements [Directory].
func (x *ProviderIndex) ByDomain(domain string) []*Provider {
	return slices.Clone(x.byDomain[lowerASCII(domain)])
}

// ByCertificate implements [Directory]. The hash finds a record, and where the
// record holds the certificate, its bytes decide: SHA-1 hashes can be made to
// collide.
func (x *ProviderIndex) ByCertificate(der []byte) []*Provider {
	var found []*Provider
	for _, p := range x.byHash[sha1.Sum(der)] {
		if p.Lists(der) {
			found = append(found, p)
		}
	}
	return found
}
