// Command verify says whether PEC messages are what they claim to be.
//
//	go run ./examples/verify [flags] FILE|FOLDER|-...
//
// Each message is judged as of the instant that it certifies itself: providers'
// certificates last two or three years, receipts are kept for ten. Nothing is
// fetched from the network. Of a folder, the files that end in .eml are judged,
// and those of the folders in it. "-" is standard input.
//
// Without a FILE, a sample that comes with the program is verified.
//
// The exit status is 0 if every message was verified, 1 if one was not, and 2 if
// the program was called in a wrong way.
package main

import (
	"bytes"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

const (
	exitVerified = 0
	exitRefused  = 1
	exitUsage    = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// flags are the command line.
type flags struct {
	issuers     string
	onlyIssuers bool
	directory   string
	crl         string
	now         string
	legacy      bool
	json        bool
	files       []string
}

func parseFlags(args []string, stderr io.Writer) (*flags, error) {
	f := &flags{}
	set := flag.NewFlagSet("verify", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&f.issuers, "issuers", "", "`file` with certificates (PEM) of further authorities to trust")
	set.BoolVar(&f.onlyIssuers, "only-issuers", false, "trust the authorities of -issuers only, not the built-in ones")
	set.StringVar(&f.directory, "directory", "", "`file` with the directory of providers (LDIF)")
	set.StringVar(&f.crl, "crl", "", "`file` with revocation lists (PEM)")
	set.StringVar(&f.now, "now", "", "the present, as RFC 3339 `time`; messages must not lie in its future (default the clock)")
	set.BoolVar(&f.legacy, "legacy", false, "accept SHA-1 certificates and 1024-bit keys for messages before March 2017")
	set.BoolVar(&f.json, "json", false, "write one JSON object a line")
	set.Usage = func() {
		fmt.Fprintln(stderr, "usage: verify [flags] FILE|FOLDER|-...")
		set.PrintDefaults()
	}
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	f.files = set.Args()
	return f, nil
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	f, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitVerified
	}
	if err != nil {
		return exitUsage // the flag package said why
	}
	opts, err := f.options()
	var messages []message
	if err == nil {
		messages, err = find(f.files, stdin)
	}
	if err != nil {
		fmt.Fprintf(stderr, "verify: %v\n", err)
		return exitUsage
	}
	var out printer = newReport(stdout)
	if f.json {
		out = newJSONLines(stdout)
	}
	if len(f.files) == 0 {
		messages, opts = sample()
		if !f.json {
			fmt.Fprintln(stdout, sampleNote)
		}
	}
	verified := true
	for _, m := range messages {
		r := m.verify(opts)
		verified = verified && r.err == nil
		if err := out.print(r); err != nil {
			fmt.Fprintf(stderr, "verify: writing the report: %v\n", err)
			return exitRefused
		}
	}
	if !verified {
		return exitRefused
	}
	return exitVerified
}

// options makes the options of receipt.Verify from the flags.
func (f *flags) options() (receipt.Options, error) {
	opts := receipt.Options{Legacy: f.legacy}
	var anchors []smime.Anchor
	if !f.onlyIssuers {
		anchors = receipt.Anchors()
	}
	if f.issuers != "" {
		own, err := readIssuers(f.issuers)
		if err != nil {
			return opts, err
		}
		anchors = append(anchors, own...)
	}
	crls, err := readCRLs(f.crl)
	if err != nil {
		return opts, err
	}
	if opts.Trust, err = smime.NewTrust(anchors, crls...); err != nil {
		return opts, err
	}
	if f.directory != "" {
		if opts.Directory, err = readDirectory(f.directory); err != nil {
			return opts, err
		}
	}
	if f.now != "" {
		now, err := time.Parse(time.RFC3339, f.now)
		if err != nil {
			return opts, fmt.Errorf("-now is not a time such as 2026-11-21T10:00:00+01:00")
		}
		opts.Now = func() time.Time { return now }
	}
	return opts, nil
}

func readIssuers(name string) ([]smime.Anchor, error) {
	blocks, err := readPEM(name, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	return anchorsOf(name, blocks)
}

func anchorsOf(name string, blocks [][]byte) ([]smime.Anchor, error) {
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
	if name == "" {
		return nil, nil
	}
	blocks, err := readPEM(name, "X509 CRL")
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

// readPEM returns the blocks of one type; a file without any is an error.
func readPEM(name, blockType string) ([][]byte, error) {
	rest, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	blocks := pemBlocks(rest, blockType)
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s: no PEM block %q", name, blockType)
	}
	return blocks, nil
}

func pemBlocks(rest []byte, blockType string) [][]byte {
	var blocks [][]byte
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return blocks
		}
		if block.Type == blockType {
			blocks = append(blocks, block.Bytes)
		}
	}
}

func readDirectory(name string) (pec.Directory, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	providers, err := pec.ReadLDIF(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return pec.NewDirectory(providers), nil
}

// message is one input.
type message struct {
	name string
	open func() (io.ReadCloser, error)
}

// find lists the messages that the arguments name, and fails if one does not
// exist.
func find(args []string, stdin io.Reader) ([]message, error) {
	var messages []message
	for _, arg := range args {
		if arg == "-" {
			messages = append(messages, message{arg, func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil }})
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			messages = append(messages, fileMessage(arg))
			continue
		}
		err = filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() && strings.EqualFold(filepath.Ext(path), ".eml") {
				messages = append(messages, fileMessage(path))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return messages, nil
}

func fileMessage(path string) message {
	return message{path, func() (io.ReadCloser, error) { return os.Open(path) }}
}

// result is the judgement of one message.
type result struct {
	name    string
	message receipt.Message // nil unless verified
	err     error
	took    time.Duration
}

func (m message) verify(opts receipt.Options) result {
	r := result{name: m.name}
	start := time.Now()
	in, err := m.open()
	if err != nil {
		r.err = err
		return r
	}
	defer in.Close()
	r.message, r.err = receipt.VerifyMessage(in, opts)
	r.took = time.Since(start)
	return r
}

//go:embed sample
var sampleFiles embed.FS

const sampleNote = `No file was named, so here is a sample, made with the simulated network of this
project. Give the program a receipt of your own, saved as .eml from your mail
program ("save message as"):

	go run ./examples/verify receipt.eml
`

// sample returns the sample messages, and options that trust the authority that
// they were made with, which is of no use for anything else.
func sample() ([]message, receipt.Options) {
	read := func(name string) []byte {
		b, err := sampleFiles.ReadFile(name)
		if err != nil {
			panic(err) // embedded: a test reads it
		}
		return b
	}
	anchors, err := anchorsOf("sample", pemBlocks(read("sample/issuers.pem"), "CERTIFICATE"))
	if err != nil {
		panic(err)
	}
	trust, err := smime.NewTrust(anchors)
	if err != nil {
		panic(err)
	}
	providers, err := pec.ReadLDIF(bytes.NewReader(read("sample/directory.ldif")))
	if err != nil {
		panic(err)
	}
	names, err := fs.Glob(sampleFiles, "sample/*.eml")
	if err != nil {
		panic(err)
	}
	var messages []message
	for _, name := range names {
		messages = append(messages, message{name, func() (io.ReadCloser, error) { return sampleFiles.Open(name) }})
	}
	return messages, receipt.Options{Trust: trust, Directory: pec.NewDirectory(providers)}
}
