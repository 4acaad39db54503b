//go:build unix

package realserver

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
)

// certificateFile is the file of a certificate with those that it hangs on.
func certificateFile(c tls.Certificate) string {
	var b bytes.Buffer
	for _, der := range c.Certificate {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // a Buffer takes all
	}
	return b.String()
}

func keyFile(c tls.Certificate) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}
