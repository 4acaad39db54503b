package rawmime

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ceralacca/go-pec/internal/limit"
)

// Reasons for which a multipart body is refused.
var (
	ErrBoundary       = errors.New("boundary missing or not valid")
	ErrTooManyParts   = errors.New("too many parts")
	ErrNoFirstPart    = errors.New("no delimiter line")
	ErrNoCloseDelim   = errors.New("close delimiter missing")
	ErrHeadUnfinished = errors.New("part without an empty line after its head")
	ErrPadding        = errors.New("delimiter line with too many blanks")
	ErrLoneCR         = errors.New("delimiter next to a lone CR")
)

// maxBoundary is the longest boundary: RFC 2046, section 5.1.1, allows 70
// characters; some mailers write a few more.
const maxBoundary = 200

// A PartSink takes the parts of a multipart body as they go by. Any error stops
// the Splitter and is returned by it.
type PartSink interface {
	// BeginPart announces the n-th part, from 0.
	BeginPart(n int) error
	// Head gives the head of the part, with the empty line that ends it. offset
	// is the place of the head's first byte in what the Splitter was fed. raw must
	// not be kept.
	Head(raw []byte, offset int64) error
	// Body gives bytes of the body, in order, as received and without the line
	// end that belongs to the delimiter. bareLF says that a line end among them
	// is a lone LF. p must not be kept.
	Body(p []byte, bareLF bool) error
	// EndPart says that the part is over. size is that of its body.
	EndPart(size int64) error
}

// Splitter cuts a multipart body at its delimiter lines, in one pass and in
// constant memory. Feed it with Write, then call Close; after an error it is of
// no more use.
//
// A delimiter is a whole line: the boundary after "--", then at most blanks
// (RFC 2046, section 5.1.1). The line end before it belongs to it. What stands
// before the first delimiter and after the close delimiter belongs to no part
// and is dropped. A lone CR ends no line here, but does for some readers: where
// that would make a delimiter, the body is refused.
type Splitter struct {
	delim    []byte // "--" and the boundary
	sink     PartSink
	maxParts int
	headMax  int

	// AnyLineEnd says that the sink does not look at bareLF, which is then always
	// false. What need not be read line by line is read several times faster.
	AnyLineEnd bool

	state  splitState
	parts  int           // begun so far
	offset int64         // bytes taken so far
	start  int64         // offset of the head of the part
	size   int64         // body bytes given to the sink
	head   HeadCollector // of the part

	// What was taken but not passed on, for it may belong to a delimiter: a line
	// end (or a CR that may be half of one), and the begin of the line after it.
	eol     []byte
	line    []byte
	afterCR bool // the line begins behind a lone CR
	bol     bool // the next byte begins a line
}

type splitState int

const (
	inPreamble splitState = iota
	inHead
	inBody
	inEpilogue
)

// NewSplitter returns a Splitter for a body with the given boundary. It gives at
// most maxParts parts to sink, with heads of at most headBytes.
func NewSplitter(boundary string, sink PartSink, maxParts, headBytes int) (*Splitter, error) {
	if boundary == "" || len(boundary) > maxBoundary || boundary[len(boundary)-1] == ' ' {
		return nil, ErrBoundary
	}
	for i := range len(boundary) {
		if c := boundary[i]; c < ' ' || c >= 0x7f {
			return nil, ErrBoundary
		}
	}
	return &Splitter{
		delim:    append([]byte("--"), boundary...),
		sink:     sink,
		maxParts: maxParts,
		headMax:  headBytes,
		bol:      true,
	}, nil
}

// Done reports whether the close delimiter was seen: nothing that follows it
// matters.
func (s *Splitter) Done() bool { return s.state == inEpilogue }

// Write takes the next bytes of the body.
func (s *Splitter) Write(p []byte) (int, error) {
	rest := p
	for len(rest) > 0 && s.state != inEpilogue {
		n, err := s.take(rest)
		if err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// take takes some bytes from the front of p and returns how many: none if they only
// show where a line ends that was taken before.
func (s *Splitter) take(p []byte) (int, error) {
	halfEOL := string(s.eol) == "\r"
	switch {
	case len(s.line) > 0, p[0] == '-' && (s.bol || halfEOL):
		return s.takeLine(p)
	case halfEOL && p[0] == '\n':
		s.eol = append(s.eol, '\n')
		s.bol = true
		s.offset++
		return 1, nil
	}
	n := textRun(p)
	s.offset += int64(n)
	return n, s.text(p[:n], !s.AnyLineEnd && hasBareLF(p[:n]))
}

// textRun returns the length of the text at the front of p: up to the first dash
// behind a line end, or behind half of one. It searches for dashes, which are rare in
// what makes messages large.
func textRun(p []byte) int {
	for n := 1; n < len(p); n++ {
		i := bytes.IndexByte(p[n:], '-')
		if i < 0 {
			break
		}
		if n += i; p[n-1] == '\n' || p[n-1] == '\r' {
			return n
		}
	}
	return len(p)
}

// hasBareLF reports whether a line end in p, but for the last one, is a lone LF.
func hasBareLF(p []byte) bool {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 || i == len(p)-1 {
			return false
		}
		if i == 0 || p[i-1] != '\r' {
			return true
		}
		p = p[i+1:]
	}
}

// maxDelimLine is the longest line that is read as a delimiter.
const maxDelimLine = 1000

// takeLine takes bytes of a line that may be a delimiter, which shows when the
// line is complete, or too long.
func (s *Splitter) takeLine(p []byte) (int, error) {
	if len(s.line) == 0 {
		s.afterCR = !s.bol
	}
	p = p[:min(len(p), maxDelimLine-len(s.line))]
	n, complete := s.restOfLine(p)
	s.line = append(s.line, p[:n]...)
	s.offset += int64(n)
	if !complete && len(s.line) < maxDelimLine {
		return n, nil
	}
	line := s.line
	s.line = s.line[:0]
	text, eol := cutEOL(line)
	closing, ok := s.isDelim(text)
	switch {
	case !ok:
		return n, s.text(line, false)
	case !complete:
		return n, ErrPadding
	case s.afterCR || string(eol) == "\r":
		return n, ErrLoneCR
	}
	return n, s.delimiter(closing)
}

// restOfLine returns how much of p belongs to the line that was begun, and whether
// that is all of it. A lone CR ends it too.
func (s *Splitter) restOfLine(p []byte) (n int, complete bool) {
	if bytes.HasSuffix(s.line, []byte("\r")) && p[0] != '\n' {
		return 0, true
	}
	n = len(p)
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		n, complete = i+1, true
	}
	if i := bytes.IndexByte(p[:n], '\r'); i >= 0 && i+1 < n && p[i+1] != '\n' {
		return i + 1, true
	}
	return n, complete
}

// isDelim reports whether a line is a delimiter, and whether the closing one.
func (s *Splitter) isDelim(text []byte) (closing, ok bool) {
	rest, ok := bytes.CutPrefix(text, s.delim)
	if !ok {
		return false, false
	}
	if after, isClose := bytes.CutPrefix(rest, []byte("--")); isClose && isBlank(after) {
		return true, true
	}
	return false, isBlank(rest)
}

func isBlank(b []byte) bool { return len(bytes.Trim(b, " \t")) == 0 }

// cutEOL cuts off a line end, or a CR that may be half of one.
func cutEOL(line []byte) (text, eol []byte) {
	n := len(line)
	if n > 0 && line[n-1] == '\n' {
		n--
	}
	if n > 0 && line[n-1] == '\r' {
		n--
	}
	return line[:n], line[n:]
}

// Close says that there is no more. It fails if the close delimiter is missing:
// a message cut short must not pass for a whole one.
func (s *Splitter) Close() error {
	if closing, ok := s.isDelim(s.line); ok && s.state != inEpilogue {
		if s.afterCR {
			return ErrLoneCR
		}
		if err := s.delimiter(closing); err != nil {
			return err
		}
	}
	switch s.state {
	case inPreamble:
		return ErrNoFirstPart
	case inHead, inBody:
		return ErrNoCloseDelim
	}
	return nil
}

// delimiter ends the part that was open and begins the next.
func (s *Splitter) delimiter(closing bool) error {
	s.eol, s.bol = s.eol[:0], true
	switch s.state {
	case inHead:
		return fmt.Errorf("part %d: %w", s.parts, ErrHeadUnfinished)
	case inBody:
		if err := s.sink.EndPart(s.size); err != nil {
			return err
		}
	}
	if closing {
		if s.parts == 0 {
			return ErrNoFirstPart
		}
		s.state = inEpilogue
		return nil
	}
	if s.parts == s.maxParts {
		return fmt.Errorf("%w: %w", ErrTooManyParts, limit.Passed(s.maxParts, "parts of a multipart"))
	}
	s.state, s.start, s.size = inHead, s.offset, 0
	s.head = HeadCollector{buf: s.head.buf[:0], Limit: s.headMax}
	s.parts++
	return s.sink.BeginPart(s.parts - 1)
}

// text takes bytes that hold no delimiter. It passes on the line end that was
// kept back, and keeps back the one at the end of p: if a delimiter follows, it
// belongs to the delimiter.
func (s *Splitter) text(p []byte, bareLF bool) error {
	if err := s.content(s.eol, string(s.eol) == "\n"); err != nil {
		return err
	}
	p, eol := cutEOL(p)
	s.eol = append(s.eol[:0], eol...)
	s.bol = bytes.HasSuffix(eol, []byte("\n"))
	return s.content(p, bareLF)
}

// content passes bytes on to where they belong.
func (s *Splitter) content(p []byte, bareLF bool) error {
	if s.state == inHead && len(p) > 0 {
		rest, done, err := s.head.Feed(p)
		if err != nil {
			return fmt.Errorf("part %d: %w", s.parts, err)
		}
		if !done {
			return nil
		}
		if err := s.sink.Head(s.head.buf, s.start); err != nil {
			return err
		}
		s.state = inBody
		p = rest
	}
	if s.state != inBody || len(p) == 0 {
		return nil
	}
	s.size += int64(len(p))
	return s.sink.Body(p, bareLF)
}
