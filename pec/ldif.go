package pec

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ceralacca/go-pec/internal/limit"
)

// Limits of one LDIF file.
const (
	maxLDIF        = 64 << 20 // bytes; providers manage hundreds of thousands of domains
	maxLDIFLine    = 64 << 10 // bytes of one line, before folded ones are put together
	maxLDIFRecords = 10_000
)

// ErrLDIF is the error that every [LDIFError] wraps, but for errors of the
// reader that the file came from.
var ErrLDIF = errors.New("not a providers' directory")

// LDIFError says what is wrong with a file of the providers' directory.
type LDIFError struct {
	// Line, from 1, is where the attribute at fault begins, or the record that
	// lacks one; 0 if the error is about the whole file.
	Line int
	// Err is the cause.
	Err error
}

// Error gives the line and the cause, with the name of the attribute at fault.
func (e *LDIFError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("pec: LDIF: %v", e.Err)
	}
	return fmt.Sprintf("pec: LDIF, line %d: %v", e.Line, e.Err)
}

// Unwrap gives the cause.
func (e *LDIFError) Unwrap() error { return e.Err }

func ldifError(line int, err error) error {
	return &LDIFError{Line: line, Err: fmt.Errorf("%w: %w", ErrLDIF, err)}
}

// ReadLDIF reads a providers' directory, or one provider's part of it, in the
// LDAP Data Interchange Format (RFC 2849) with the attributes of RFC 6109,
// section 4.5, and returns its records in their order; [NewDirectory] makes a
// [Directory] of them. Every error is an [*LDIFError].
//
// Such files are published as signed data (.p7m). Package smime verifies that
// and extracts the content; only then is it worth reading. What the file refers
// to is not fetched.
//
// It is lenient with the layout, since the examples of the RFC need it: names of
// attributes are in any case, a record begins at each dn, with an empty line
// before it or not, and unknown attributes and records are skipped. It is strict
// with what counts: a certificate comes with its hash, a domain is a domain, an
// address an address.
func ReadLDIF(r io.Reader) ([]Provider, error) {
	limited := &io.LimitedReader{R: r, N: maxLDIF + 1}
	lines := newLDIFLines(limited)
	var d ldifReader
	for line, number := range lines.all {
		if err := d.line(line, number); err != nil {
			return nil, err
		}
	}
	switch err := lines.scan.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, ldifError(lines.number, limit.Passed(maxLDIFLine, "bytes of a line"))
	case err != nil:
		return nil, &LDIFError{Err: fmt.Errorf("reading: %w", err)}
	case limited.N == 0:
		return nil, ldifError(0, limit.Passed(maxLDIF, "bytes"))
	}
	if err := d.endRecord(); err != nil {
		return nil, err
	}
	return d.providers, nil
}

// ldifLines puts folded lines together. RFC 2849, note 2.
type ldifLines struct {
	scan   *bufio.Scanner
	ahead  string // the physical line that comes next
	more   bool   // there is one
	number int    // its number
}

func newLDIFLines(r io.Reader) *ldifLines {
	l := &ldifLines{scan: bufio.NewScanner(r)}
	l.scan.Buffer(nil, maxLDIFLine)
	l.advance()
	return l
}

func (l *ldifLines) advance() {
	l.number++
	l.more = l.scan.Scan()
	l.ahead = l.scan.Text()
}

// all yields the lines that are neither empty nor comments, with the number of
// the physical line on which each begins.
func (l *ldifLines) all(yield func(string, int) bool) {
	for l.more {
		number := l.number
		if line := l.unfolded(); line != "" && line[0] != '#' && !yield(line, number) {
			return
		}
	}
}

func (l *ldifLines) unfolded() string {
	var line strings.Builder
	line.WriteString(l.ahead)
	l.advance()
	for l.more && line.Len() > 0 && strings.HasPrefix(l.ahead, " ") {
		line.WriteString(l.ahead[1:])
		l.advance()
	}
	return line.String()
}

// ldifReader gathers the records of a file.
type ldifReader struct {
	providers []Provider
	record    *ldifRecord // the one being read
}

// ldifRecord is one record, as far as it was read.
type ldifRecord struct {
	line     int // of its dn
	classes  []string
	provider Provider
	// hashes are the values of providerCertificateHash, and certLines where each
	// certificate of provider stands.
	hashes    [][sha1.Size]byte
	certLines []int
}

// line reads one attribute.
func (d *ldifReader) line(line string, number int) error {
	name, value, err := splitLDIF(line)
	if err != nil {
		return ldifError(number, err)
	}
	switch {
	case name == "dn":
		if err := d.endRecord(); err != nil {
			return err
		}
		d.record = &ldifRecord{line: number}
	case d.record != nil:
		if err := d.record.attribute(name, value, number); err != nil {
			return ldifError(number, fmt.Errorf("%s: %w", name, err))
		}
	case name != "version" || value.text != "1":
		return ldifError(number, errors.New("neither version 1 nor a dn"))
	}
	return nil
}

// ldifValue is the value of an attribute.
type ldifValue struct {
	text   string
	base64 bool // it was written in base64, and may be binary
}

// splitLDIF takes a line apart. Options of the name, such as ;binary, are
// dropped: no attribute of the directory means something else with one.
func splitLDIF(line string) (name string, value ldifValue, err error) {
	name, text, ok := strings.Cut(line, ":")
	name, _, _ = strings.Cut(lowerASCII(name), ";")
	switch {
	case !ok || name == "" || strings.IndexFunc(name, notAttribute) >= 0:
		return "", value, errors.New("not an attribute and a value")
	case strings.HasPrefix(text, "<"):
		return "", value, errors.New("a value to be fetched from elsewhere")
	case !strings.HasPrefix(text, ":"):
		return name, ldifValue{text: strings.Trim(text, " ")}, nil
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(strings.Trim(text[1:], " "))
	if err != nil {
		return "", value, errors.New("not base64")
	}
	return name, ldifValue{text: string(decoded), base64: true}, nil
}

// notAttribute reports whether c can't stand in the name of an attribute. RFC 4512,
// section 1.4.
func notAttribute(c rune) bool {
	return c != '.' && (c == '_' || c >= utf8.RuneSelf || !isDomainByte(byte(c)))
}

func (r *ldifRecord) attribute(name string, value ldifValue, line int) error {
	switch name {
	case "changetype":
		return errors.New("a change, not a directory")
	case "providercertificate":
		if !value.base64 || value.text == "" {
			return errors.New("no certificate in base64")
		}
		r.provider.Certificates = append(r.provider.Certificates, []byte(value.text))
		r.certLines = append(r.certLines, line)
		return nil
	}
	if !utf8.ValidString(value.text) || strings.IndexFunc(value.text, unicode.IsControl) >= 0 {
		return errors.New("not a text")
	}
	return r.textAttribute(name, value.text)
}

func (r *ldifRecord) textAttribute(name, value string) (err error) {
	p := &r.provider
	switch name {
	case "objectclass":
		r.classes = append(r.classes, lowerASCII(value))
	case "providername":
		return setOnce(&p.Name, value)
	case "providerunit":
		return setOnce(&p.Unit, value)
	case "ldiflocationurl":
		return setOnce(&p.LDIFLocation, value)
	case "mailreceipt":
		if !p.ServiceMailbox.IsZero() {
			return errGivenTwice
		}
		p.ServiceMailbox, err = ParseAddress(value)
	case "manageddomains":
		if !isDotAtom(value, isDomainByte) || len(value) > maxAddress {
			return errors.New("not a domain")
		}
		p.Domains = append(p.Domains, lowerASCII(value))
	case "providercertificatehash":
		hash, err := hex.DecodeString(value)
		if err != nil || len(hash) != sha1.Size {
			return errors.New("not a SHA-1 hash in hexadecimal digits")
		}
		r.hashes = append(r.hashes, [sha1.Size]byte(hash))
	case "description":
		if p.Description == "" {
			p.Description = value
		}
	}
	return err
}

var errGivenTwice = errors.New("given twice")

// setOnce sets an attribute that has one value.
func setOnce(dst *string, value string) error {
	if *dst != "" {
		return errGivenTwice
	}
	if value == "" {
		return errors.New("no value")
	}
	*dst = value
	return nil
}

// endRecord adds the record that was read to the file.
func (d *ldifReader) endRecord() error {
	r := d.record
	d.record = nil
	switch {
	case r == nil:
		return nil
	case !slices.Contains(r.classes, "provider"):
		return nil // the root, or something that does not concern us
	case len(d.providers) == maxLDIFRecords:
		return ldifError(r.line, limit.Passed(maxLDIFRecords, "records"))
	}
	if err := r.check(); err != nil {
		return err
	}
	d.providers = append(d.providers, r.provider)
	return nil
}

// check checks a provider's record that is complete.
func (r *ldifRecord) check() error {
	switch {
	case r.provider.Name == "":
		return ldifError(r.line, errors.New("a provider without providerName"))
	case len(r.provider.Certificates)+len(r.hashes) == 0:
		return ldifError(r.line, errors.New("a provider without certificate"))
	case r.provider.Unit != "" && r.provider.LDIFLocation != "":
		// RFC 6109, section 4.5.6.
		return ldifError(r.line, errors.New("a secondary environment with a LDIFLocationURL"))
	}
	return r.matchHashes()
}

// matchHashes checks that each certificate stands with its hash, and keeps the
// hashes that stand alone.
func (r *ldifRecord) matchHashes() error {
	alone := make(map[[sha1.Size]byte]bool, len(r.hashes))
	for _, hash := range r.hashes {
		alone[hash] = true
	}
	for i, der := range r.provider.Certificates {
		hash := sha1.Sum(der)
		if _, listed := alone[hash]; !listed {
			return ldifError(r.certLines[i], errors.New("a certificate whose providerCertificateHash is missing or that of another"))
		}
		alone[hash] = false
	}
	for _, hash := range r.hashes {
		if alone[hash] {
			alone[hash] = false
			r.provider.Hashes = append(r.provider.Hashes, hash)
		}
	}
	return nil
}
