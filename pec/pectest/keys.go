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

// issuerKeys are the RSA keys of the issuing authorities of networks. Most tests
// start a network, and would wait longer for its key than for all the rest. A key
// serves one network at a time, so that no two that are running trust each other;
// between one that is closed and a later one stands the directory, which lists
// the certificates of one network alone.
var issuerKeys leasedKeys

// leasedKeys makes keys, and lends those out again that came back.
type leasedKeys struct {
	mu   sync.Mutex
	free []*rsa.PrivateKey
}

func (l *leasedKeys) lease() (*rsa.PrivateKey, error) {
	if key := l.take(); key != nil {
		return key, nil
	}
	return newRSAKey()
}

func (l *leasedKeys) take() *rsa.PrivateKey {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.free)
	if n == 0 {
		return nil
	}
	key := l.free[n-1]
	l.free = l.free[:n-1]
	return key
}

func (l *leasedKeys) giveBack(key *rsa.PrivateKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, key)
}

func newRSAKey() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }

func newECDSAKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
