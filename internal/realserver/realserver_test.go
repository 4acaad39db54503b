//go:build unix

package realserver_test

import (
	"net"
	"net/url"
	"testing"

	"github.com/ceralacca/go-pec/internal/realserver"
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
