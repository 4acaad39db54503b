package pectest

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"time"
)

// tlsAuthority certifies the servers of a network. It has nothing to do with the
// authority of the providers.
type tlsAuthority struct {
	cert   *x509.Certificate
	key    crypto.Signer
	server tls.Certificate
}

// newTLSAuthority makes an authority, and the one certificate that all servers
// at host share. Clients compare it with the real time or with the simulated
// one: it is valid at both.
func newTLSAuthority(host string, simulated time.Time) (*tlsAuthority, error) {
	from, until := time.Now(), simulated
	if from.After(until) {
		from, until = until, from
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Simulated PEC"}, CommonName: "Simulated TLS CA"},
		NotBefore:             from.AddDate(-1, 0, 0),
		NotAfter:              until.AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	a := &tlsAuthority{}
	var err error
	if a.key, err = newECDSAKey(); err != nil {
		return nil, err
	}
	if a.cert, err = sign(template, template, a.key.Public(), a.key); err != nil {
		return nil, err
	}
	return a, a.makeServer(host, template)
}

func (a *tlsAuthority) makeServer(host string, ca *x509.Certificate) error {
	key, err := newECDSAKey()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "localhost"},
		NotBefore:   ca.NotBefore,
		NotAfter:    ca.NotAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else {
		template.DNSNames = append(template.DNSNames, host)
	}
	cert, err := sign(template, a.cert, key.Public(), a.key)
	if err != nil {
		return err
	}
	a.server = tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
	return nil
}

func (a *tlsAuthority) serverConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.server}, MinVersion: tls.VersionTLS12}
}

func (a *tlsAuthority) clientConfig(host string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}
}
