// Package rawmime cuts MIME messages into their parts without changing a byte.
//
// A signature covers octets, so what is verified must be a slice of what was
// received, never a re-encoding of something parsed. The readers of mail that
// people use forgive a great deal; this one refuses what two readers could
// understand in two ways, because a message that shows one thing to a verifier
// and another to a person is how signatures are forged.
//
// The package has three parts: [Head] (header fields), [MediaType] (a
// Content-Type with its parameters) and [Splitter] (a multipart body, cut at its
// delimiter lines while it streams by).
package rawmime

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/ceralacca/go-pec/internal/limit"
)

// HeadLimits bound one head; the zero value means the defaults.
type HeadLimits struct {
	Bytes int // default 256 KiB
	Lines int // without the empty one; default 2,000
}

func (l HeadLimits) bytes() int { return orDefault(l.Bytes, 256<<10) }
func (l HeadLimits) lines() int { return orDefault(l.Lines, 2000) }

func orDefault(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}

// Field is one header field.
type Field struct {
	Name string
	// Value is unfolded and without white space around it.
	Value string
	// Line is the line of the head, from 1, on which the field begins.
	Line int
}

// Head is a list of header fields in the order in which they stand.
type Head struct {
	Fields []Field
}

// Values returns the values of all fields called name, whatever its case.
func (h *Head) Values(name string) []string {
	var values []string
	for i := range h.Fields {
		if strings.EqualFold(h.Fields[i].Name, name) {
			values = append(values, h.Fields[i].Value)
		}
	}
	return values
}

// Get returns the value of the first field called name, or "".
func (h *Head) Get(name string) string {
	for i := range h.Fields {
		if strings.EqualFold(h.Fields[i].Name, name) {
			return h.Fields[i].Value
		}
	}
	return ""
}

// Count returns how many fields are called name.
func (h *Head) Count(name string) int {
	n := 0
	for i := range h.Fields {
		if strings.EqualFold(h.Fields[i].Name, name) {
			n++
		}
	}
	return n
}

// Single returns the value of the one field called name, and "" if there is
// none. Two are an error: readers disagree on which one counts.
func (h *Head) Single(name string) (string, error) {
	value, n := "", 0
	for i := range h.Fields {
		if strings.EqualFold(h.Fields[i].Name, name) {
			value = h.Fields[i].Value
			n++
		}
	}
	if n > 1 {
		return "", &HeadError{Err: fmt.Errorf("%w: %d fields called %s", ErrRepeated, n, name)}
	}
	return value, nil
}

// Reasons for which a head is refused.
var (
	ErrHeadTooLong  = errors.New("head too long")
	ErrHeadSyntax   = errors.New("not a header field")
	ErrHeadLineEnds = errors.New("mixed or lone line ends")
	ErrHeadNUL      = errors.New("NUL byte")
	ErrBlankLine    = errors.New("line of white space only")
	ErrRepeated     = errors.New("repeated field")
)

// HeadError says where a head is bad.
type HeadError struct {
	Line int // from 1; 0 if the error is not about one line
	Err  error
}

func (e *HeadError) Error() string {
	if e.Line == 0 {
		return "head: " + e.Err.Error()
	}
	return fmt.Sprintf("head, line %d: %v", e.Line, e.Err)
}

func (e *HeadError) Unwrap() error { return e.Err }

// tooLong says that a head passes a limit: ErrHeadTooLong and a [limit.Error].
func tooLong(most int, what string) error {
	return fmt.Errorf("%w: %w", ErrHeadTooLong, limit.Passed(most, what))
}

// ParseHead reads a head: every line up to the empty line, which may be
// included. Lines end all in CRLF or all in LF. Errors are [*HeadError] values.
func ParseHead(b []byte, limits HeadLimits) (*Head, error) {
	if len(b) > limits.bytes() {
		return nil, &HeadError{Err: tooLong(limits.bytes(), "bytes of a head")}
	}
	// One copy of all: names, and values on one line, are parts of it.
	rest := string(b)
	p := headParser{fields: make([]Field, 0, min(strings.Count(rest, "\n"), typicalFields))}
	for line := 1; len(rest) > 0; line++ {
		text, eol := rest, ""
		if i := strings.IndexByte(rest, '\n'); i >= 0 {
			text, eol = rest[:i], rest[i:i+1]
			if i > 0 && rest[i-1] == '\r' {
				text, eol = rest[:i-1], rest[i-1:i+1]
			}
			rest = rest[i+1:]
		} else {
			rest = ""
		}
		if eol != "" && p.eol != "" && len(eol) != len(p.eol) {
			return nil, &HeadError{Line: line, Err: ErrHeadLineEnds}
		}
		p.eol = eol
		if len(text) == 0 {
			break
		}
		if line > limits.lines() {
			return nil, &HeadError{Line: line, Err: tooLong(limits.lines(), "lines of a head")}
		}
		if err := p.line(text, line); err != nil {
			return nil, &HeadError{Line: line, Err: err}
		}
	}
	p.endField()
	return &Head{p.fields}, nil
}

// typicalFields is room for the fields of most heads.
const typicalFields = 16

// headParser takes a head line by line.
type headParser struct {
	fields []Field
	folded []byte // the value of the last field, if it is on several lines
	eol    string // of the last line
}

// line takes one line, without its line end: a field, or more of the last one.
func (p *headParser) line(text string, number int) error {
	if strings.IndexByte(text, '\r') >= 0 {
		return ErrHeadLineEnds
	}
	if strings.IndexByte(text, 0) >= 0 {
		return ErrHeadNUL
	}
	if text[0] == ' ' || text[0] == '\t' {
		return p.continued(text)
	}
	colon := strings.IndexByte(text, ':')
	if colon <= 0 {
		return fmt.Errorf("%w: no name and colon", ErrHeadSyntax)
	}
	for i := range colon {
		if c := text[i]; c <= ' ' || c >= 0x7f {
			return fmt.Errorf("%w: byte %#02x in a field name", ErrHeadSyntax, c)
		}
	}
	p.endField()
	p.fields = append(p.fields, Field{Name: text[:colon], Value: trimBlanks(text[colon+1:]), Line: number})
	return nil
}

// continued takes a line that begins with white space.
func (p *headParser) continued(text string) error {
	if len(strings.Trim(text, " \t\v\f")) == 0 {
		// Some readers end the head here, others read on.
		return ErrBlankLine
	}
	if len(p.fields) == 0 {
		return fmt.Errorf("%w: white space before the first field", ErrHeadSyntax)
	}
	if len(p.folded) == 0 {
		p.folded = append(p.folded, p.fields[len(p.fields)-1].Value...)
	}
	if len(p.folded) > 0 {
		p.folded = append(p.folded, ' ')
	}
	p.folded = append(p.folded, trimBlanks(text)...)
	return nil
}

// trimBlanks drops blanks and tabs around a text.
func trimBlanks(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// endField sets the value of the last field, if it was on several lines, now that
// it is complete.
func (p *headParser) endField() {
	if len(p.folded) > 0 {
		p.fields[len(p.fields)-1].Value = string(p.folded)
		p.folded = p.folded[:0]
	}
}

// HeadCollector gathers a head from a stream.
type HeadCollector struct {
	Limit int // the most bytes of the head
	buf   []byte
}

// Bytes returns what was gathered: once done, the head with its empty line.
func (c *HeadCollector) Bytes() []byte { return c.buf }

// Feed takes bytes until the empty line that ends the head. It returns the bytes
// that follow, and whether the head is complete.
func (c *HeadCollector) Feed(p []byte) (rest []byte, done bool, err error) {
	for len(p) > 0 {
		if len(c.buf) == c.Limit {
			return nil, false, &HeadError{Err: tooLong(c.Limit, "bytes of a head")}
		}
		// The empty line may straddle two steps: look again from 3 bytes back.
		from := max(len(c.buf)-3, 0)
		taken := min(len(p), c.Limit-len(c.buf), headStep)
		c.buf = append(c.buf, p[:taken]...)
		if end := headEnd(c.buf, from); end >= 0 {
			rest = p[taken-(len(c.buf)-end):]
			c.buf = c.buf[:end]
			return rest, true, nil
		}
		p = p[taken:]
	}
	return nil, false, nil
}

// headStep is how many bytes are copied before looking for the end: few heads
// are longer, and bodies are not to be copied.
const headStep = 512

// headEnd returns the index after the first empty line of b, or -1. Lines that
// begin before index from were searched already, but for their line end.
func headEnd(b []byte, from int) int {
	if len(b) > 0 && b[0] == '\n' {
		return 1
	}
	if len(b) > 1 && b[0] == '\r' && b[1] == '\n' {
		return 2
	}
	for i := from; i < len(b); {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		if i < len(b) && b[i] == '\n' {
			return i + 1
		}
		if i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n' {
			return i + 2
		}
	}
	return -1
}
