package pectest

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"fmt"

	"github.com/ceralacca/go-pec/internal/cms"
	"github.com/ceralacca/go-pec/pec"
)

// Directory returns the directory of the authority's providers (indice dei
// gestori), as it is now.
func (a *Authority) Directory() *pec.ProviderIndex { return pec.NewDirectory(a.records()) }

func (a *Authority) records() []pec.Provider {
	a.mu.Lock()
	defer a.mu.Unlock()
	records := make([]pec.Provider, len(a.providers))
	for i, p := range a.providers {
		records[i] = p.Record()
	}
	return records
}

// LDIF returns the directory as an LDIF file. RFC 6109, section 4.5.
func (a *Authority) LDIF() ([]byte, error) {
	var b bytes.Buffer
	err := pec.WriteLDIF(&b, a.records())
	if err != nil {
		return nil, fmt.Errorf("pectest: writing the directory: %w", err)
	}
	return b.Bytes(), nil
}

// SignedLDIF returns the directory as it is published: an LDIF file inside a
// signature in DER (.p7m), made at the authority's present. RFC 6109, section
// 4.5.
func (a *Authority) SignedLDIF() ([]byte, error) {
	ldif, err := a.LDIF()
	if err != nil {
		return nil, err
	}
	key, err := newECDSAKey()
	if err != nil {
		return nil, fmt.Errorf("pectest: signing the directory: %w", err)
	}
	template := a.ProviderTemplate("Indice dei gestori", pec.MustParseAddress("igpec@igpec.example"))
	cert, err := a.Issue(template, key.Public())
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(ldif)
	der, err := cms.Sign(cms.SignRequest{
		Certificate:   cert,
		Key:           key,
		Digest:        crypto.SHA256,
		MessageDigest: digest[:],
		SigningTime:   a.start,
		Content:       ldif,
	})
	if err != nil {
		return nil, fmt.Errorf("pectest: signing the directory: %w", err)
	}
	return der, nil
}
