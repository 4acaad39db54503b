package main

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// sampleFiles are messages of a simulated PEC network, and whom to trust for
// them. A test makes them.
//
//go:embed sample
var sampleFiles embed.FS

// sampleNote stands above the report on the samples, ownNote below.
const (
	sampleNote = `No file was named, so here are samples, made with the simulated PEC network of this
project: what the sender of a message, and its recipient, get to see.

`
	ownNote = `
Give the program a message of your own, saved as .eml ("save as" in a mail program,
"download message" or "show original" in webmail):

	go run ./examples/verify receipt.eml

And see it refuse one of the samples, of which somebody changed a word:

	go run ./examples/verify -issuers examples/verify/sample/issuers.pem examples/verify/sample/altered
`
)

// samples returns the sample messages, and changes the options so that they trust
// the authority of the samples and nobody else. It is of no use for anything else:
// its key was thrown away.
func samples(opts *receipt.Options) ([]message, error) {
	issuers, err := sampleFiles.ReadFile("sample/issuers.pem")
	if err != nil {
		return nil, err
	}
	anchors, err := parseIssuers("issuers.pem", issuers)
	if err != nil {
		return nil, err
	}
	if opts.Trust, err = smime.NewTrust(anchors); err != nil {
		return nil, err
	}
	ldif, err := sampleFiles.ReadFile("sample/directory.ldif")
	if err != nil {
		return nil, err
	}
	providers, err := pec.ReadLDIF(bytes.NewReader(ldif))
	if err != nil {
		return nil, fmt.Errorf("directory.ldif: %w", err)
	}
	opts.Directory = pec.NewDirectory(providers)
	names, err := fs.Glob(sampleFiles, "sample/*.eml")
	if err != nil {
		return nil, err
	}
	var messages []message
	for _, name := range names {
		messages = append(messages, message{path.Base(name), func() (io.ReadCloser, error) { return sampleFiles.Open(name) }})
	}
	return messages, nil
}
