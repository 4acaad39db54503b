//go:build unix

package realserver_test

import (
	"errors"
	"net"
	"net/url"
	"testing"

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
	certificate, _ := testpki.Server(t, host, nil)
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
