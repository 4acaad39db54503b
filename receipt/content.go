package receipt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"slices"
	"strings"

	"github.com/ceralacca/go-pec/internal/rawmime"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/smime"
)

// content reads the signed entity while it streams by, and keeps of it only what
// is evidence: the certification data, and where the original is. It is an
// io.Writer that takes everything; what it finds wrong is told by finish, since
// whether the signature is good matters more.
//
// It looks at the direct children of the signed multipart/mixed and no deeper:
// everything below was written by the sender of the original.
type content struct {
	limits   Limits
	head     rawmime.HeadCollector
	taken    int64
	bodyAt   int64 // offset of the body in the signed entity
	splitter *rawmime.Splitter
	err      error

	parts     int
	current   partRole
	certData  []byte // as transmitted
	encoding  string
	certParts int
	originals []original
}

// partRole is what a direct child is.
type partRole int

const (
	roleOther partRole = iota
	roleCertData
	roleOriginal
)

// original is a part that could be the original message.
type original struct {
	Section
	named bool // postacert.eml
}

// Section is a range of bytes of a message as it was received.
type Section struct {
	Offset int64 // of its first byte, from where the reader stood that was verified
	Size   int64 // in bytes
}

// Of returns the bytes of the section of a message that was stored as received.
// They were verified once: nothing says that what was stored is still the same.
func (s Section) Of(message io.ReaderAt) *io.SectionReader {
	return io.NewSectionReader(message, s.Offset, s.Size)
}

func newContent(limits Limits) *content {
	c := &content{limits: limits}
	c.head.Limit = limits.Head
	return c
}

// Write implements io.Writer.
func (c *content) Write(p []byte) (int, error) {
	n := len(p)
	if c.err != nil {
		return n, nil
	}
	c.taken += int64(n)
	if c.splitter == nil {
		rest, done, err := c.head.Feed(p)
		if err != nil {
			c.err = malformed(partSigned, err)
			return n, nil
		}
		if !done {
			return n, nil
		}
		c.bodyAt = c.taken - int64(len(rest))
		if c.err = c.start(c.head.Bytes()); c.err != nil {
			return n, nil
		}
		p = rest
	}
	if _, err := c.splitter.Write(p); err != nil {
		c.err = malformed(partSigned, err)
	}
	return n, nil
}

// malformed wraps an error about how the signed part is written; errors that
// say more go through.
func malformed(part string, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	if over := overLimit(part, err); over != nil {
		return over
	}
	code := Code(smime.ReasonMIME)
	var head *rawmime.HeadError
	if errors.As(err, &head) {
		code = Code(smime.ReasonHead)
	}
	return &Error{Verdict: Malformed, Code: code, Part: part, Section: sections[code], Err: err}
}

// start judges the head of the signed entity.
func (c *content) start(raw []byte) error {
	head, mt, err := c.parseHead(raw)
	if err != nil {
		return malformed(partSigned, err)
	}
	if mt.Type != "multipart/mixed" {
		return reject(CodeSignedEntity, partSigned, "it is not a multipart/mixed")
	}
	if err := identityEncoding(head); err != nil {
		return malformed(partSigned, err)
	}
	boundary, _ := mt.Param("boundary")
	c.splitter, err = rawmime.NewSplitter(boundary, c, c.limits.Parts, c.limits.Head)
	if err != nil {
		return malformed(partSigned, err)
	}
	c.splitter.AnyLineEnd = true
	return nil
}

func (c *content) parseHead(raw []byte) (*rawmime.Head, *rawmime.MediaType, error) {
	head, err := rawmime.ParseHead(raw, rawmime.HeadLimits{Bytes: c.limits.Head, Lines: c.limits.HeadLines})
	if err != nil {
		return nil, nil, err
	}
	value, err := head.Single("Content-Type")
	if err != nil {
		return nil, nil, err
	}
	if value == "" {
		return head, &rawmime.MediaType{Type: "text/plain"}, nil
	}
	mt, err := rawmime.ParseMediaType(value)
	return head, mt, err
}

// identityEncoding refuses a composite part that is transfer-encoded (RFC 2045,
// section 6.4).
func identityEncoding(head *rawmime.Head) error {
	encoding, err := transferEncoding(head)
	if err != nil {
		return err
	}
	if encoding == "base64" || encoding == "quoted-printable" {
		return errors.New("composite part with a transfer encoding")
	}
	return nil
}

func transferEncoding(head *rawmime.Head) (string, error) {
	value, err := head.Single("Content-Transfer-Encoding")
	if err != nil {
		return "", err
	}
	encoding := strings.ToLower(value)
	switch encoding {
	case "", "7bit", "8bit", "binary", "base64", "quoted-printable":
		return encoding, nil
	}
	return "", errors.New("unknown transfer encoding")
}

// BeginPart implements rawmime.PartSink.
func (c *content) BeginPart(int) error {
	c.parts++
	c.current = roleOther
	return nil
}

// Head implements rawmime.PartSink.
func (c *content) Head(raw []byte, offset int64) error {
	head, mt, err := c.parseHead(raw)
	if err != nil {
		return err
	}
	encoding, err := transferEncoding(head)
	if err != nil {
		return err
	}
	names, err := partNames(head, mt)
	if err != nil {
		return err
	}
	switch {
	case slices.ContainsFunc(names, isCertDataName):
		if mt.Type != "application/xml" && mt.Type != "text/xml" {
			return reject(CodeCertData, partCertData, "part of type other than XML")
		}
		c.current, c.encoding = roleCertData, encoding
		c.certParts++
	case mt.Type == "message/rfc822":
		if err := identityEncoding(head); err != nil {
			return err
		}
		c.current = roleOriginal
		c.originals = append(c.originals, original{
			Section: Section{Offset: c.bodyAt + offset + int64(len(raw))},
			named:   slices.ContainsFunc(names, isOriginalName),
		})
	}
	return nil
}

// isCertDataName compares with the names of the certification data.
//
// QUIRK: RFC 6109, section 4.3.3 names this part certdata.xml; deployed
// providers name it daticert.xml.
func isCertDataName(name string) bool {
	return strings.EqualFold(name, "daticert.xml") || strings.EqualFold(name, "certdata.xml")
}

func isOriginalName(name string) bool { return strings.EqualFold(name, "postacert.eml") }

// partNames returns the names that a part has: readers differ in which of the
// two they look at.
func partNames(head *rawmime.Head, mt *rawmime.MediaType) ([]string, error) {
	var names []string
	add := func(field *rawmime.MediaType, param string) error {
		name, ok := field.Param(param)
		if !ok {
			return nil
		}
		shown, err := shownName(name)
		names = append(names, shown)
		return err
	}
	if err := add(mt, "name"); err != nil {
		return nil, err
	}
	value, err := head.Single("Content-Disposition")
	if err != nil || value == "" {
		return names, err
	}
	disposition, err := rawmime.ParseMediaType(value)
	if err != nil {
		return nil, err
	}
	if err := add(disposition, "filename"); err != nil {
		return nil, err
	}
	return names, nil
}

// shownName returns what mail programs show of a name. They decode encoded words,
// which RFC 2047 does not allow there, and drop folders in front (RFC 2183,
// section 2.3), and blanks and dots that file systems drop: what they would show
// as daticert.xml counts as one. A name that some can decode and others can't is
// refused.
func shownName(name string) (string, error) {
	if strings.Contains(name, "=?") {
		decoded, err := nameDecoder.DecodeHeader(name)
		if err != nil || strings.Contains(decoded, "=?") {
			return "", errors.New("a name with an encoded word that can't be decoded")
		}
		name = decoded
	}
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	return strings.TrimRight(strings.TrimLeft(name, " \t"), " \t."), nil
}

// nameDecoder leaves the bytes of charsets that the standard library does not know
// as they are: the names that matter are ASCII.
var nameDecoder = mime.WordDecoder{CharsetReader: func(charset string, text io.Reader) (io.Reader, error) {
	if !rawmime.HasASCII(charset) {
		return nil, errors.New("charset that may hide ASCII")
	}
	return text, nil
}}

// Body implements rawmime.PartSink.
func (c *content) Body(p []byte, _ bool) error {
	if c.current != roleCertData || c.certParts > 1 {
		return nil
	}
	// Encoded text is at most three times the decoded, with its line ends.
	if len(c.certData)+len(p) > 3*c.limits.CertData+1024 {
		return tooLarge(c.limits.CertData)
	}
	c.certData = append(c.certData, p...)
	return nil
}

// EndPart implements rawmime.PartSink.
func (c *content) EndPart(size int64) error {
	if c.current == roleOriginal {
		c.originals[len(c.originals)-1].Size = size
	}
	return nil
}

// finish says what was found wrong, once everything was written.
func (c *content) finish() error {
	if c.err != nil {
		return c.err
	}
	if c.splitter == nil {
		c.err = reject(CodeSignedEntity, partSigned, "it is not a multipart/mixed")
	} else if err := c.splitter.Close(); err != nil {
		c.err = malformed(partSigned, err)
	}
	return c.err
}

// readCertData reads the certification data. Without any it returns nil and
// CodeNoCertData.
func (c *content) readCertData() (*pec.CertData, error) {
	if c.certParts > 1 {
		return nil, reject(CodeTwoCertData, partSigned, "%d parts are named daticert.xml", c.certParts)
	}
	if c.certParts == 0 {
		return nil, reject(CodeNoCertData, partSigned, "no part is named daticert.xml")
	}
	xml, err := decodeTransfer(c.certData, c.encoding)
	if err != nil {
		return nil, malformed(partCertData, err)
	}
	if len(xml) > c.limits.CertData {
		return nil, tooLarge(c.limits.CertData)
	}
	data, err := pec.ReadCertData(bytes.NewReader(xml))
	if err != nil {
		return nil, badCertData(err)
	}
	return data, nil
}

// badCertData explains why a daticert.xml can't be read.
func badCertData(err error) *Error {
	if over := overLimit(partCertData, err); over != nil {
		return over
	}
	verdict := Rejected
	if errors.Is(err, pec.ErrCertDataXML) {
		verdict = Malformed
	}
	return &Error{Verdict: verdict, Code: CodeCertData, Part: partCertData, Section: sections[CodeCertData], Err: err}
}

// theOriginal returns the part that is the original message, if there is one:
// the one that has its name, or the only one.
func (c *content) theOriginal() (*Section, error) {
	var found *Section
	namedOnly := slices.ContainsFunc(c.originals, func(o original) bool { return o.named })
	for i := range c.originals {
		if namedOnly && !c.originals[i].named {
			continue
		}
		if found != nil {
			return nil, reject(CodeTwoOriginals, partSigned, "several parts could be postacert.eml")
		}
		found = &c.originals[i].Section
	}
	return found, nil
}

// decodeTransfer undoes a transfer encoding, strictly. It uses b up.
func decodeTransfer(b []byte, encoding string) ([]byte, error) {
	switch encoding {
	case "base64":
		return rawmime.DecodeBase64(b)
	case "quoted-printable":
		if err := checkQuotedPrintable(b); err != nil {
			return nil, err
		}
		out, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(b)))
		if err != nil {
			return nil, fmt.Errorf("reading quoted-printable: %w", err)
		}
		return out, nil
	}
	return b, nil
}

// checkQuotedPrintable refuses what mime/quotedprintable forgives.
func checkQuotedPrintable(b []byte) error {
	bad := errors.New("not quoted-printable")
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '=':
			rest := b[i+1:]
			if bytes.HasPrefix(rest, []byte("\n")) || bytes.HasPrefix(rest, []byte("\r\n")) {
				continue
			}
			if len(rest) < 2 || !isUpperHex(rest[0]) || !isUpperHex(rest[1]) {
				return bad
			}
		case c == '\t' || c == '\n' || c == '\r' || ' ' <= c && c < 0x7f:
		default:
			return bad
		}
	}
	return nil
}

func isUpperHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }
