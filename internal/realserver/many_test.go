//go:build unix

package realserver_test

import (
	"sync"
	"testing"

	"github.com/ceralacca/go-pec/internal/realserver"
	"github.com/ceralacca/go-pec/internal/testpki"
)

// TestManyAtOnce starts many servers at the same moment. Each has ports of its own:
// when it is closed nobody listens there any more.
func TestManyAtOnce(t *testing.T) {
	certificate, _ := testpki.Server(t, host, nil)
	dovecot, err := realserver.StartDovecot(realserver.DovecotConfig{
		Certificate: certificate, Users: map[string]string{"studio@pec.alfa.example": "segretissima"},
	})
	realserver.Need(t, err)
	defer dovecot.Close()
	servers := make([]*realserver.Postfix, 20)
	var starting sync.WaitGroup
	for i := range servers {
		starting.Go(func() {
			var err error
			if servers[i], err = realserver.StartPostfix(realserver.PostfixConfig{Certificate: certificate, Logins: dovecot}); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	for _, server := range servers {
		if server == nil {
			continue
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}
}
