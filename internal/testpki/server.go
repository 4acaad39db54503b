package testpki

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

// Server returns the certificate of a server by a name, for TLS, and the roots
// that vouch for it. change, if not nil, makes it another one.
func Server(tb testing.TB, host string, change func(*x509.Certificate)) (tls.Certificate, *x509.CertPool) {
	tb.Helper()
	now := time.Now()
	ca := Authority(tb, "p256 of the servers' authority", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0)
	})
	leaf := ca.Issue(tb, "p256 of a server", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = now.AddDate(0, 0, -1), now.AddDate(0, 0, 1)
		c.EmailAddresses, c.DNSNames = nil, []string{host}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if change != nil {
			change(c)
		}
	})
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: leaf.Key}, roots
}
