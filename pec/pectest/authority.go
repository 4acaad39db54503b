package pectest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/smime"
)

// Authority stands for the authority that certifies PEC providers: a root, and
// below it an issuing authority of the form of AgID CA1, whose certificate alone
// is to be trusted. It keeps the directory of its providers. It is safe for
// concurrent use.
type Authority struct {
	start     time.Time
	root      *x509.Certificate
	issuer    *x509.Certificate
	issuerKey crypto.Signer
	trust     *smime.Trust

	mu        sync.Mutex
	made      int // providers so far
	providers []*Provider
}

// AuthorityConfig says what an [Authority] is like. The zero value is good.
type AuthorityConfig struct {
	// Name is the common name of the issuing authority; "Simulated PEC CA1" if
	// empty. Two authorities of one name have different keys.
	Name string
	// Time is the present, around which certificates are valid; zero means now.
	Time time.Time
}

// NewAuthority makes an authority with fresh keys.
func NewAuthority(c AuthorityConfig) (*Authority, error) {
	key, err := newRSAKey()
	if err != nil {
		return nil, fmt.Errorf("pectest: making an authority: %w", err)
	}
	return newAuthority(c, key)
}

func newAuthority(c AuthorityConfig, issuerKey crypto.Signer) (*Authority, error) {
	if c.Name == "" {
		c.Name = "Simulated PEC CA1"
	}
	if c.Time.IsZero() {
		c.Time = time.Now()
	}
	a := &Authority{start: c.Time, issuerKey: issuerKey}
	if err := a.makeCertificates(c.Name); err != nil {
		return nil, fmt.Errorf("pectest: making an authority: %w", err)
	}
	anchor, err := a.Anchor()
	if err != nil {
		return nil, fmt.Errorf("pectest: making an authority: %w", err)
	}
	if a.trust, err = smime.NewTrust([]smime.Anchor{anchor}); err != nil {
		return nil, fmt.Errorf("pectest: making an authority: %w", err)
	}
	return a, nil
}

// makeCertificates makes the root, and the issuing authority under it.
func (a *Authority) makeCertificates(name string) error {
	rootKey, err := newECDSAKey()
	if err != nil {
		return err
	}
	rootTemplate := a.authorityTemplate("Simulated Root CA")
	if a.root, err = sign(rootTemplate, rootTemplate, rootKey.Public(), rootKey); err != nil {
		return err
	}
	t := a.authorityTemplate(name)
	t.MaxPathLenZero = true
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection}
	a.issuer, err = sign(t, a.root, a.issuerKey.Public(), rootKey)
	return err
}

// authorityTemplate is what the certificates of authorities have in common. They
// outlive what they certify.
func (a *Authority) authorityTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{
			Country:      []string{"IT"},
			Organization: []string{"Simulated PEC"},
			CommonName:   name,
		},
		NotBefore:             a.start.AddDate(-10, 0, 0),
		NotAfter:              a.start.AddDate(20, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// sign makes a certificate, with a serial number and key identifiers if the
// template has none.
func sign(template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	if template.SerialNumber == nil {
		serial := make([]byte, 16)
		rand.Read(serial)
		serial[0] = serial[0]&0x7f | 0x40 // positive, and always of the same length
		template.SerialNumber = new(big.Int).SetBytes(serial)
	}
	if template.SubjectKeyId == nil {
		spki, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return nil, err
		}
		id := sha256.Sum256(spki)
		template.SubjectKeyId = id[:20] // RFC 7093, section 2
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Issue certifies a key with the issuing authority. The template is used as it
// is; [ProviderTemplate] makes one of the usual form.
func (a *Authority) Issue(template *x509.Certificate, key crypto.PublicKey) (*x509.Certificate, error) {
	cert, err := sign(template, a.issuer, key, a.issuerKey)
	if err != nil {
		return nil, fmt.Errorf("pectest: issuing a certificate: %w", err)
	}
	return cert, nil
}

// policy is the certificate policy that AgID CA1 puts into the certificates of
// providers.
var policy = []uint64{1, 3, 76, 16, 3, 1, 1}

// ProviderTemplate returns the template of a provider's certificate: subject
// with the provider's name in O and CN, the service address in subjectAltName,
// key usage digitalSignature (critical), extended key usage emailProtection, no
// basic constraints, valid from a year before the authority's present for three
// years. RFC 6109, section 5.5.
func (a *Authority) ProviderTemplate(name string, service pec.Address) *x509.Certificate {
	t := &x509.Certificate{
		Subject: pkix.Name{
			Country:      []string{"IT"},
			Organization: []string{name},
			CommonName:   name,
		},
		NotBefore:      a.start.AddDate(-1, 0, 0),
		NotAfter:       a.start.AddDate(2, 0, 0),
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		EmailAddresses: []string{service.String()},
	}
	if oid, err := x509.OIDFromInts(policy); err == nil {
		t.Policies = []x509.OID{oid}
	}
	return t
}

// CRL returns the list of certificates that the issuing authority revoked, as
// issued at thisUpdate and good for a month.
func (a *Authority) CRL(thisUpdate time.Time, revoked ...x509.RevocationListEntry) (*x509.RevocationList, error) {
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number:                    big.NewInt(thisUpdate.Unix()),
		ThisUpdate:                thisUpdate,
		NextUpdate:                thisUpdate.AddDate(0, 1, 0),
		RevokedCertificateEntries: revoked,
	}, a.issuer, a.issuerKey)
	if err != nil {
		return nil, fmt.Errorf("pectest: making a CRL: %w", err)
	}
	return x509.ParseRevocationList(der)
}

// Root returns the certificate of the root, which is not to be trusted: it could
// certify anybody.
func (a *Authority) Root() *x509.Certificate { return a.root }

// Issuer returns the certificate of the issuing authority.
func (a *Authority) Issuer() *x509.Certificate { return a.issuer }

// IssuerPEM returns the certificate of the issuing authority in PEM.
func (a *Authority) IssuerPEM() []byte { return certificatePEM(a.issuer) }

// RootPEM returns the certificate of the root in PEM, which programs that build
// chains up to a root ask for.
func (a *Authority) RootPEM() []byte { return certificatePEM(a.root) }

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// Anchor returns the issuing authority as a trust anchor.
func (a *Authority) Anchor() (smime.Anchor, error) { return smime.AnchorFromCertificate(a.issuer) }

// Trust returns the trust in this authority alone, without revocation lists.
func (a *Authority) Trust() *smime.Trust { return a.trust }
