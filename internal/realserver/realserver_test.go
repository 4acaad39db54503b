//go:build unix

package realserver_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/internal/realserver"
	"github.com/ceralacca/go-pec/internal/testpki"
)

func TestPostgreSQL(t *testing.T) {
	p, err := realserver.StartPostgreSQL("max_connections=20")
	realserver.Need(t, err)
	dsn, err := url.Parse(p.DSN())
	if err != nil {
		t.Fatal(err)
	}
	listens := func() bool {
		c, err := net.Dial("tcp", dsn.Host)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	for _, how := range []realserver.Shutdown{realserver.Fast, realserver.Crash} {
		if !listens() {
			t.Error("PostgreSQL does not listen")
		}
		if err := p.Restart(how); err != nil {
			t.Errorf("Restart(%v): %v", how, err)
		}
	}
	if err := p.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if listens() {
		t.Error("PostgreSQL still listens after Close")
	}
}

// TestDaemons: a server comes back on the ports that it had, and leaves nothing.
func TestDaemons(t *testing.T) {
	certificate, _ := certificate(t)
	dovecot, err := realserver.StartDovecot(realserver.DovecotConfig{
		Certificate: certificate, Users: map[string]string{"studio@pec.alfa.example": "segretissima"},
	})
	realserver.Need(t, err)
	postfix, err := realserver.StartPostfix(realserver.PostfixConfig{Certificate: certificate, Logins: dovecot})
	if err != nil {
		dovecot.Close()
	}
	realserver.Need(t, err)
	for _, server := range []interface {
		Start() error
		Stop() error
		Kill() error
		Close() error
	}{dovecot, postfix} {
		err := errors.Join(server.Stop(), server.Start(), server.Kill(), server.Start())
		if err := errors.Join(err, server.Close()); err != nil {
			t.Errorf("%T stopped, killed and started again: %v", server, err)
		}
	}
	for _, addr := range []string{dovecot.IMAP(), dovecot.IMAPS(), postfix.SMTP(), postfix.SMTPS()} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Errorf("%s: somebody still listens", addr)
		}
	}
}

// host is the name that the certificates of these tests are for.
const host = "pec.alfa.example"

// certificate returns a server's certificate, and the roots that vouch for it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	now := time.Now()
	authority := testpki.Authority(t, "p256 of the servers' authority", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0)
	})
	leaf := authority.Issue(t, "p256 of a server", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = now.AddDate(0, 0, -1), now.AddDate(0, 0, 1)
		c.EmailAddresses, c.DNSNames = nil, []string{host}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: leaf.Key}, roots
}
