package rawmime

import (
	"bytes"
	"errors"
	"fmt"
)

// Reasons for which a multipart body is refused.
var (
	ErrBoundary       = errors.New("boundary missing or not valid")
	ErrTooManyParts   = errors.New("too many parts")
	ErrNoFirstPart    = errors.New("no delimiter line")
	ErrNoCloseDelim   = errors.New("close delimiter missing")
	ErrHeadUnfinished = errors.New("part without an empty line after its head")
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
	// is the place of the head's first byte in what the Splitter was fed.
	Head(raw []byte, offset int64) error
	// Body gives bytes of the body, in order, as received and without the line
	// end that belongs to the delimiter. bareLF says that a line end among them
	// is a lone LF. p must not be kept.
	Body(p []byte, bareLF bool) error
	// EndPart says that the part is over. size is that of its body.
	EndPart(size int64) error
}

// Splitter cuts a multipart body at its delimiter lines, in one pass and in
// constant memory. Feed it with Write, then call Close.
//
// A delimiter is a whole line: the boundary after "--", then at most blanks
// (RFC 2046, section 5.1.1). What stands before the first delimiter and after
// the close delimiter belongs to no part and is dropped.
type Splitter struct {
	delim    []byte // "--" and the boundary
	sink     PartSink
	maxParts int
	headMax  int

	offset int64 // bytes consumed so far
	carry  []byte
	atBOL  bool
	parts  int
	state  splitState
	head   HeadCollector
	start  int64 // offset of the head of the part
	size   int64 // body bytes given, without the pending line end
	eol    []byte
}

type splitState int

const (
	inPreamble splitState = iota
	inHead
	inBody
	inEpilogue
)

var (
	eolCRLF = []byte("\r\n")
	eolLF   = []byte("\n")
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
		atBOL:    true,
	}, nil
}

// Done reports whether the close delimiter was seen: nothing that follows it
// matters.
func (s *Splitter) Done() bool { return s.state == inEpilogue }

// Write takes the next bytes of the body.
func (s *Splitter) Write(p []byte) (int, error) {
	n := len(p)
	if len(s.carry) > 0 {
		rest, err := s.resume(p)
		if err != nil {
			return 0, err
		}
		p = rest
	}
	for len(p) > 0 && s.state != inEpilogue {
		rest, err := s.step(p, false)
		if err != nil {
			return 0, err
		}
		if len(rest) == len(p) {
			s.carry = append(s.carry[:0], p...)
			return n, nil
		}
		p = rest
	}
	return n, nil
}

// resume goes on with a line whose begin was carried over from the last Write.
// It takes as much of p as that line needs and returns the rest.
func (s *Splitter) resume(p []byte) ([]byte, error) {
	for len(p) > 0 && len(s.carry) > 0 && s.state != inEpilogue {
		take := bytes.IndexByte(p, '\n') + 1
		if take == 0 {
			take = len(p)
		}
		take = min(take, maxDelimLine)
		s.carry = append(s.carry, p[:take]...)
		p = p[take:]
		pending := s.carry
		for len(pending) > 0 && s.state != inEpilogue {
			rest, err := s.step(pending, false)
			if err != nil {
				return nil, err
			}
			if len(rest) == len(pending) {
				break
			}
			pending = rest
		}
		s.carry = s.carry[:copy(s.carry, pending)]
	}
	return p, nil
}

// Close says that there is no more. It fails if the close delimiter is missing:
// a message cut short must not pass for a whole one.
func (s *Splitter) Close() error {
	for pending := s.carry; len(pending) > 0 && s.state != inEpilogue; {
		rest, err := s.step(pending, true)
		if err != nil {
			return err
		}
		pending = rest
	}
	s.carry = nil
	switch s.state {
	case inPreamble:
		return ErrNoFirstPart
	case inHead, inBody:
		return ErrNoCloseDelim
	}
	return nil
}

// maxDelimLine is the longest line looked at as a delimiter; a longer one, with
// a thousand blanks at its end, is text.
const maxDelimLine = 1000

// step takes one line that may be a delimiter, or a run of bytes that holds
// none, from the front of p, and returns the rest. It takes nothing if it needs
// to see more than p, which it never does if last is set.
func (s *Splitter) step(p []byte, last bool) ([]byte, error) {
	if s.atBOL {
		switch {
		case len(p) == 1 && p[0] == '-' && !last:
			return p, nil
		case len(p) > 1 && p[0] == '-' && p[1] == '-':
			return s.dashLine(p, last)
		}
	}
	run, bareLF, atBOL := s.run(p, last)
	if len(run) == 0 {
		return p, nil
	}
	s.atBOL = atBOL
	s.offset += int64(len(run))
	if err := s.content(run, bareLF, atBOL); err != nil {
		return nil, err
	}
	return p[len(run):], nil
}

// run returns the bytes of p up to the next line that begins with "--".
func (s *Splitter) run(p []byte, last bool) (run []byte, bareLF, atBOL bool) {
	i := 0
	for {
		n := bytes.IndexByte(p[i:], '\n')
		if n < 0 {
			// A CR at the end may be half of a line end.
			if p[len(p)-1] == '\r' && !last {
				return p[:len(p)-1], bareLF, s.atBOL && len(p) == 1
			}
			return p, bareLF, false
		}
		i += n
		if i == 0 || p[i-1] != '\r' {
			bareLF = true
		}
		i++
		if i == len(p) || p[i] == '-' && (i+1 == len(p) || p[i+1] == '-') {
			return p[:i], bareLF, true
		}
	}
}

// dashLine takes a whole line that begins with "--".
func (s *Splitter) dashLine(p []byte, last bool) ([]byte, error) {
	line := p
	if n := bytes.IndexByte(p, '\n'); n >= 0 {
		line = p[:n+1]
	} else if len(p) < maxDelimLine && !last {
		return p, nil
	}
	if len(line) == len(p) && line[len(line)-1] == '\r' && !last {
		return p, nil // half of a line end
	}
	s.offset += int64(len(line))
	text, eol := cutEOL(line)
	s.atBOL = len(eol) > 0
	if closing, ok := s.isDelim(text); ok && len(line) <= maxDelimLine {
		return p[len(line):], s.delimiter(closing)
	}
	return p[len(line):], s.content(line, len(eol) == 1, s.atBOL)
}

// isDelim reports whether a line is a delimiter, and whether the closing one.
func (s *Splitter) isDelim(text []byte) (closing, ok bool) {
	rest, ok := bytes.CutPrefix(text, s.delim)
	if !ok {
		return false, false
	}
	if after, isClose := bytes.CutPrefix(rest, []byte("--")); isClose && len(bytes.Trim(after, " \t")) == 0 {
		return true, true
	}
	return false, len(bytes.Trim(rest, " \t")) == 0
}

func cutEOL(line []byte) (text, eol []byte) {
	switch {
	case bytes.HasSuffix(line, eolCRLF):
		return line[:len(line)-2], eolCRLF
	case bytes.HasSuffix(line, eolLF):
		return line[:len(line)-1], eolLF
	}
	return line, nil
}

// delimiter ends the part that was open and begins the next.
func (s *Splitter) delimiter(closing bool) error {
	switch s.state {
	case inHead:
		return fmt.Errorf("part %d: %w", s.parts, ErrHeadUnfinished)
	case inBody:
		s.eol = nil
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
		return fmt.Errorf("%w: more than %d", ErrTooManyParts, s.maxParts)
	}
	s.state, s.start, s.size = inHead, s.offset, 0
	s.head = HeadCollector{buf: s.head.buf[:0], Limit: s.headMax}
	s.parts++
	return s.sink.BeginPart(s.parts - 1)
}

// content takes bytes that hold no delimiter.
func (s *Splitter) content(p []byte, bareLF, atBOL bool) error {
	if s.state == inPreamble {
		return nil
	}
	if s.state == inHead {
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
	return s.body(p, bareLF, atBOL)
}

// body gives bytes to the sink, but keeps back the last line end: if a delimiter
// follows, it belongs to the delimiter.
func (s *Splitter) body(p []byte, bareLF, atBOL bool) error {
	if len(p) == 0 {
		return nil
	}
	if len(s.eol) > 0 {
		eol := s.eol
		s.eol = nil
		s.size += int64(len(eol))
		if err := s.sink.Body(eol, len(eol) == 1); err != nil {
			return err
		}
	}
	if atBOL {
		p, s.eol = cutEOL(p)
	}
	if len(p) == 0 {
		return nil
	}
	s.size += int64(len(p))
	return s.sink.Body(p, bareLF)
}
