package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// accountFile describes a real account. Files are named relative to it.
type accountFile struct {
	Address pec.Address `json:"address"`
	// User is the login; many providers want the address, some a code.
	User string `json:"user"`
	// PasswordFile holds the password; without it the environment variable
	// PEC_PASSWORD does.
	PasswordFile string `json:"passwordFile"`
	// SMTP and IMAP may be left out for providers that the library knows.
	SMTP *endpoint `json:"smtp"`
	IMAP *endpoint `json:"imap"`
	// Profile overrules, in the fields that it has, what the library knows of the
	// provider's limits.
	Profile pec.Profile `json:"profile"`
	// Folders are where receipts arrive; INBOX if left out.
	Folders []string `json:"folders"`
	// SentFolder is where a copy of what was sent is filed; nowhere if left out.
	SentFolder string `json:"sentFolder"`
	// Purge removes receipts from the mailbox once they were stored and read back.
	Purge bool `json:"purge"`
	// TLSCA (PEM) are the authorities of the servers' certificates, in place of
	// those that the system trusts.
	TLSCA string `json:"tlsCA"`
	// Issuers (PEM) and Directory (LDIF) are further authorities for receipts, and
	// the directory of providers, if you have one.
	Issuers   string `json:"issuers"`
	Directory string `json:"directory"`
}

// openAccount makes a world of a file that describes a real mailbox.
func openAccount(name string) (*world, error) {
	c, err := readAccount(name)
	if err != nil {
		return nil, err
	}
	w := &world{now: time.Now, poll: 30 * time.Second, close: func() {}}
	if w.login, err = c.login(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if w.verify, err = c.trust(); err != nil {
		return nil, err
	}
	w.name = "at " + w.login.smtp.Host
	if w.account, err = w.login.connect(c.Address, c.Profile); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	w.account.Folders, w.account.SentFolder, w.account.Purge = c.Folders, c.SentFolder, c.Purge
	return w, nil
}

func readAccount(name string) (*accountFile, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var whose struct{ Address pec.Address }
	json.Unmarshal(b, &whose) // what is wrong with the file is told below
	var c accountFile
	c.Profile, _ = pec.ProfileForDomain(whose.Address.Domain())
	if err := unmarshalStrictly(b, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if c.Address.IsZero() {
		return nil, fmt.Errorf("%s: no address", name)
	}
	for _, path := range []*string{&c.PasswordFile, &c.TLSCA, &c.Issuers, &c.Directory} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(filepath.Dir(name), *path)
		}
	}
	return &c, nil
}

// unmarshalStrictly reads JSON that people wrote: a field with a wrong name is an
// error, which says in which line it is.
func unmarshalStrictly(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		return nil
	}
	offset := d.InputOffset()
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType):
		offset = wrongType.Offset
	case errors.As(err, &syntax):
		offset = syntax.Offset
	}
	line := 1 + bytes.Count(b[:min(int(offset), len(b))], []byte("\n"))
	return fmt.Errorf("line %d: %s", line, strings.TrimPrefix(err.Error(), "json: "))
}

// login finds out how to get into the mailbox: as the file says, or as the library
// knows.
func (c *accountFile) login() (l login, err error) {
	if l.password, err = c.password(); err != nil {
		return l, err
	}
	if l.user = c.User; l.user == "" {
		l.user = c.Address.String()
	}
	if l.smtp, err = server("smtp", c.SMTP, c.Profile.SMTP); err != nil {
		return l, err
	}
	if l.imap, err = server("imap", c.IMAP, c.Profile.IMAP); err != nil {
		return l, err
	}
	if c.TLSCA != "" {
		l.tls, err = readRoots(c.TLSCA)
	}
	return l, err
}

func (c *accountFile) password() (string, error) {
	if c.PasswordFile == "" {
		if p := os.Getenv("PEC_PASSWORD"); p != "" {
			return p, nil
		}
		return "", errors.New("no password: set the environment variable PEC_PASSWORD, or name a passwordFile")
	}
	b, err := os.ReadFile(c.PasswordFile)
	password := strings.TrimRight(string(b), "\r\n")
	if err == nil && password == "" {
		err = fmt.Errorf("%s: no password in it", c.PasswordFile)
	}
	return password, err
}

// server returns where a server listens: as the file says, or as is known.
func server(name string, given *endpoint, known string) (e endpoint, err error) {
	switch {
	case given != nil:
		e = *given
	case known != "":
		var port string
		if e.Host, port, err = net.SplitHostPort(known); err != nil {
			return e, err
		}
		e.Port, err = strconv.Atoi(port)
	default:
		return e, fmt.Errorf("the servers of this provider are not known: name host and port as %q", name)
	}
	if err == nil && (e.Host == "" || e.Port <= 0 || e.Port > 65535) {
		err = fmt.Errorf("%s: it takes a host and a port", name)
	}
	return e, err
}

// trust trusts the authorities of PEC, and those that the file names.
func (c *accountFile) trust() (opts receipt.Options, err error) {
	anchors := receipt.Anchors()
	if c.Issuers != "" {
		more, err := readIssuers(c.Issuers)
		if err != nil {
			return opts, err
		}
		anchors = append(anchors, more...)
	}
	if opts.Trust, err = smime.NewTrust(anchors); err != nil || c.Directory == "" {
		return opts, err
	}
	providers, err := readDirectory(c.Directory)
	opts.Directory = providers
	return opts, err
}
