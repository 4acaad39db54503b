package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"os"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// trustFlags say whose signatures count.
type trustFlags struct {
	issuers     string
	onlyIssuers bool
	directory   string
	crl         string
	legacy      bool
}

func (f *trustFlags) define(set *flag.FlagSet) {
	set.StringVar(&f.issuers, "issuers", "", "`file` with certificates (PEM) of further authorities to trust")
	set.BoolVar(&f.onlyIssuers, "only-issuers", false, "trust the authorities of -issuers only, not the built-in ones")
	set.StringVar(&f.directory, "directory", "", "`file` with the directory of providers: LDIF, or LDIF signed by a provider (.p7m)")
	set.StringVar(&f.crl, "crl", "", "`file` with revocation lists (PEM)")
	set.BoolVar(&f.legacy, "legacy", false, "accept SHA-1 certificates and 1024-bit keys for messages before March 2017")
}

// apply reads the files that the flags name.
func (f *trustFlags) apply(opts *receipt.Options) error {
	opts.Legacy = f.legacy
	var anchors []smime.Anchor
	if !f.onlyIssuers {
		anchors = receipt.Anchors()
	}
	if f.issuers != "" {
		own, err := readIssuers(f.issuers)
		if err != nil {
			return err
		}
		anchors = append(anchors, own...)
	}
	var crls []*x509.RevocationList
	var err error
	if f.crl != "" {
		if crls, err = readCRLs(f.crl); err != nil {
			return err
		}
	}
	if opts.Trust, err = smime.NewTrust(anchors, crls...); err != nil {
		return err
	}
	if f.directory != "" {
		opts.Directory, err = readDirectory(f.directory, opts)
	}
	return err
}

func readIssuers(name string) ([]smime.Anchor, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return parseIssuers(name, b)
}

func parseIssuers(name string, b []byte) ([]smime.Anchor, error) {
	blocks, err := pemBlocks(name, b, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	var anchors []smime.Anchor
	for i, der := range blocks {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", name, i+1, err)
		}
		anchor, err := smime.AnchorFromCertificate(cert)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", name, i+1, err)
		}
		anchors = append(anchors, anchor)
	}
	return anchors, nil
}

func readCRLs(name string) ([]*x509.RevocationList, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	blocks, err := pemBlocks(name, b, "X509 CRL")
	if err != nil {
		return nil, err
	}
	var crls []*x509.RevocationList
	for i, der := range blocks {
		crl, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("%s: revocation list %d: %w", name, i+1, err)
		}
		crls = append(crls, crl)
	}
	return crls, nil
}

// pemBlocks returns the blocks of one type; none is an error.
func pemBlocks(name string, rest []byte, blockType string) ([][]byte, error) {
	var blocks [][]byte
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == blockType {
			blocks = append(blocks, block.Bytes)
		}
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s: no PEM block %q", name, blockType)
	}
	return blocks, nil
}

// derSequence is how signed data begin, and no LDIF does.
const derSequence = 0x30

// readDirectory reads the directory of providers. A signed one must be signed by
// a certificate that one of the trusted authorities issued, good at the present.
func readDirectory(name string, opts *receipt.Options) (pec.Directory, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(b) > 0 && b[0] == derSequence {
		ldif, _, err := smime.VerifyOpaque(bytes.NewReader(b), smime.VerifyOptions{Trust: opts.Trust, Time: opts.Now()})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		b = ldif
	}
	providers, err := pec.ReadLDIF(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return pec.NewDirectory(providers), nil
}
