// Package testpki makes keys, certificates and signatures for tests: good ones,
// and bad ones that no decent signer would make.
//
// Nothing in it is secret or random on purpose: names are example domains, keys
// live as long as the process, times are fixed.
package testpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Certificates are good from NotBefore to NotAfter, and tests play at Now.
var (
	NotBefore = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	Now       = time.Date(2026, 9, 4, 8, 15, 30, 0, time.UTC)
	NotAfter  = time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
)

var keys struct {
	mu sync.Mutex
	m  map[string]crypto.Signer // :: name → key
}

// Key returns the key of the given name, made when it is first asked for. The
// name begins with its kind: rsa1024, rsa2048, p256, p384, p521 or ed25519; what
// follows tells keys of one kind apart ("p256 of the authority").
func Key(tb testing.TB, name string) crypto.Signer {
	tb.Helper()
	keys.mu.Lock()
	defer keys.mu.Unlock()
	if key := keys.m[name]; key != nil {
		return key
	}
	key, err := newKey(name)
	if err != nil {
		tb.Fatalf("making the key %q: %v", name, err)
	}
	if keys.m == nil {
		keys.m = make(map[string]crypto.Signer)
	}
	keys.m[name] = key
	return key
}

// newKey makes an RSA key at random and any other from its name, so that it is
// the same in every process.
func newKey(name string) (crypto.Signer, error) {
	kind, _, _ := strings.Cut(name, " ")
	seed := sha512.Sum512([]byte(name))
	switch kind {
	case "rsa1024":
		return rsa.GenerateKey(rand.Reader, 1024)
	case "rsa2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "p256":
		return ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:32])
	case "p384":
		return ecdsa.ParseRawPrivateKey(elliptic.P384(), seed[:48])
	case "p521":
		return ecdsa.ParseRawPrivateKey(elliptic.P521(), append([]byte{0, 0}, seed[:]...))
	case "ed25519":
		return ed25519.NewKeyFromSeed(seed[:32]), nil
	}
	return nil, errors.New("no such kind of key")
}

// Certificate is a certificate and the key in it.
type Certificate struct {
	*x509.Certificate
	Key crypto.Signer
}

var serial atomic.Int64

// Authority returns a certificate of an authority that signed itself. change, if
// not nil, changes the certificate before it is signed.
func Authority(tb testing.TB, key string, change func(*x509.Certificate)) *Certificate {
	tb.Helper()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Autorità di prova", Organization: []string{"Esempio"}, Country: []string{"IT"}},
		NotBefore:             NotBefore,
		NotAfter:              NotAfter,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	return sign(tb, template, nil, key, change)
}

// Issue returns a certificate for signing mail, issued by c.
func (c *Certificate) Issue(tb testing.TB, key string, change func(*x509.Certificate)) *Certificate {
	tb.Helper()
	template := &x509.Certificate{
		Subject:        pkix.Name{CommonName: "Posta Certificata", Organization: []string{"Alfa"}, Country: []string{"IT"}},
		NotBefore:      NotBefore,
		NotAfter:       NotAfter,
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		EmailAddresses: []string{"posta-certificata@pec.alfa.example"},
	}
	return sign(tb, template, c, key, change)
}

func sign(tb testing.TB, template *x509.Certificate, issuer *Certificate, keyName string, change func(*x509.Certificate)) *Certificate {
	tb.Helper()
	key := Key(tb, keyName)
	template.SerialNumber = big.NewInt(serial.Add(1) + 0x7f) // some have their high bit set
	template.SubjectKeyId = []byte("id of " + keyName)
	if change != nil {
		change(template)
	}
	if issuer == nil {
		issuer = &Certificate{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.Certificate, key.Public(), issuer.Key)
	if err != nil {
		tb.Fatalf("making a certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatalf("making a certificate: %v", err)
	}
	return &Certificate{cert, key}
}

// CRL returns a list of revoked certificates, issued by c at Now for a month.
func (c *Certificate) CRL(tb testing.TB, change func(*x509.RevocationList)) *x509.RevocationList {
	tb.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: Now, NextUpdate: Now.AddDate(0, 1, 0)}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, c.Certificate, c.Key)
	if err != nil {
		tb.Fatalf("making a CRL: %v", err)
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		tb.Fatalf("making a CRL: %v", err)
	}
	return crl
}

// WriteFiles writes the certificate to dir/name.pem and its key to
// dir/name.key, for OpenSSL.
func (c *Certificate) WriteFiles(tb testing.TB, dir, name string) {
	tb.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		tb.Fatal(err)
	}
	writePEM(tb, filepath.Join(dir, name+".pem"), "CERTIFICATE", c.Raw)
	writePEM(tb, filepath.Join(dir, name+".key"), "PRIVATE KEY", key)
}

func writePEM(tb testing.TB, file, kind string, der []byte) {
	tb.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// OpenSSL runs the openssl command in dir and returns its output and whether it
// succeeded. The test is skipped, saying so, where there is none.
func OpenSSL(tb testing.TB, dir string, args ...string) (output string, ok bool) {
	tb.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		tb.Skip("SKIPPED: no openssl command on this machine, so nothing was compared with it")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}
