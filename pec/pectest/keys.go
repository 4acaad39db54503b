package pectest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"sync"
)

// providerKeys are the RSA keys of providers. Making one takes a tenth of a
// second, and nothing is lost if providers of different authorities share one:
// their certificates differ. So the first provider of every authority has the
// same key within a process, the second another, and so on.
var providerKeys keyPool

// keyPool makes keys when they are first asked for.
type keyPool struct {
	mu   sync.Mutex
	keys []func() (*rsa.PrivateKey, error)
}

// get returns key number n, from 0.
func (p *keyPool) get(n int) (*rsa.PrivateKey, error) {
	p.mu.Lock()
	for len(p.keys) <= n {
		p.keys = append(p.keys, sync.OnceValues(newRSAKey))
	}
	key := p.keys[n]
	p.mu.Unlock()
	return key()
}

func newRSAKey() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }

func newECDSAKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
