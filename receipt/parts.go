package receipt

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/ceralacca/go-pec/internal/rawmime"
)

// partScanner reads a message part by part, in constant memory and with every
// line end as CRLF. What it gives ends at the next delimiter of a multipart that
// is open: an outer delimiter ends the inner parts too.
//
// It is for content that was proven, or is the caller's own, where what cannot be
// read is only not compared; what is to be proven goes through rawmime.Splitter.
type partScanner struct {
	in         *bufio.Reader
	delimiters []string // "--" and the boundary of each open multipart, outermost first
	end        *partEnd // the delimiter that was reached
	err        error

	buf, out []byte // what was read, and what of it is still to be given
	hold     string // a line end, or half of one, that belongs to a delimiter if one follows
	bol      bool   // what comes next begins a line
}

// partEnd is a delimiter that ends a part.
type partEnd struct {
	level   int // index in delimiters, or noDelimiter
	closing bool
}

// noDelimiter is the level of the end of the message.
const noDelimiter = -1

// scanChunk is about how much a partScanner holds.
const scanChunk = 32 << 10

// maxScannedHead bounds a head.
const maxScannedHead = 256 << 10

func newPartScanner(r io.Reader) *partScanner {
	return &partScanner{in: bufio.NewReaderSize(r, scanChunk), bol: true}
}

// readHead reads a head, up to the empty line after it.
func (s *partScanner) readHead() (*rawmime.Head, error) {
	var raw []byte
	for s.end == nil {
		line, err := s.line()
		if err != nil {
			return nil, err
		}
		if s.end != nil {
			break
		}
		if raw = append(raw, line...); len(raw) > maxScannedHead {
			return nil, unreadable("a head that is too long")
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
	}
	s.hold, s.bol = "", true
	head, err := rawmime.ParseHead(raw, rawmime.HeadLimits{Bytes: maxScannedHead})
	if err != nil {
		return nil, unreadable("a head that can't be read: " + err.Error())
	}
	return head, nil
}

// line reads a line, or as much of it as the buffer holds. At a delimiter, and at
// the end of the message, it sets end.
func (s *partScanner) line() ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	line, err := s.in.ReadSlice('\n')
	switch {
	case s.bol && s.isDelimiter(line):
		return nil, nil
	case err == io.EOF:
		if len(line) == 0 {
			s.end = &partEnd{level: noDelimiter}
		}
	case err != nil && !errors.Is(err, bufio.ErrBufferFull):
		s.err = err
		return nil, err
	}
	return line, nil
}

// isDelimiter reports whether a line is a delimiter, and notes which.
func (s *partScanner) isDelimiter(line []byte) bool {
	if len(s.delimiters) == 0 || !bytes.HasPrefix(line, []byte("--")) {
		return false
	}
	text := string(bytes.TrimRight(line, " \t\r\n"))
	for level := len(s.delimiters) - 1; level >= 0; level-- {
		rest, ok := strings.CutPrefix(text, s.delimiters[level])
		if ok && (rest == "" || rest == "--") {
			s.end = &partEnd{level, rest == "--"}
			return true
		}
	}
	return false
}

// open begins a multipart.
func (s *partScanner) open(boundary string) { s.delimiters = append(s.delimiters, "--"+boundary) }

// resume goes on after a delimiter.
func (s *partScanner) resume() { s.end, s.hold, s.bol = nil, "", true }

// close ends the multipart of the given level, and what is in it.
func (s *partScanner) close(level int) { s.delimiters = s.delimiters[:level] }

// peek returns bytes that come next, none if a delimiter does.
func (s *partScanner) peek() ([]byte, error) {
	for len(s.out) == 0 && s.end == nil {
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
	return s.out, nil
}

func (s *partScanner) discard(n int) { s.out = s.out[n:] }

// skip goes to the next delimiter.
func (s *partScanner) skip() (partEnd, error) {
	for s.out = nil; s.end == nil; s.out = nil {
		if err := s.fill(); err != nil {
			return partEnd{}, err
		}
	}
	return *s.end, nil
}

// isLastLineEnd reports whether p, which peek returned, is a line end with
// nothing after it.
func (s *partScanner) isLastLineEnd(p []byte) bool { return s.end != nil && string(p) == "\r\n" }

// Read implements io.Reader, up to the next delimiter.
func (s *partScanner) Read(p []byte) (int, error) {
	next, err := s.peek()
	if err != nil {
		return 0, err
	}
	if len(next) == 0 {
		return 0, io.EOF
	}
	n := copy(p, next)
	s.discard(n)
	return n, nil
}

// fill reads some lines.
func (s *partScanner) fill() error {
	s.buf = s.buf[:0]
	for len(s.buf) < scanChunk {
		line, err := s.line()
		if err != nil {
			return err
		}
		if s.end != nil {
			if s.end.level == noDelimiter {
				s.buf = append(s.buf, s.hold...)
			}
			break
		}
		s.text(line)
	}
	s.out = s.buf
	return nil
}

// text takes a line that is no delimiter, and keeps back its end.
func (s *partScanner) text(line []byte) {
	if s.hold == "\r" && string(line) == "\n" {
		s.hold, s.bol = "\r\n", true
		return
	}
	s.buf = append(s.buf, s.hold...)
	text, isLine := bytes.CutSuffix(line, []byte("\n"))
	text, hasCR := bytes.CutSuffix(text, []byte("\r"))
	s.buf = append(s.buf, text...)
	s.bol = isLine
	switch {
	case isLine:
		s.hold = "\r\n"
	case hasCR:
		s.hold = "\r"
	default:
		s.hold = ""
	}
}
