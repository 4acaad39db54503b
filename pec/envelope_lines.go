package pec

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine is the most bytes that a line may have, without its line end.
// RFC 5322, section 2.1.1.
const maxLine = 998

// keptLine is how much of a line is kept. Beyond [maxLine] it only serves to say what
// else is wrong with the message.
const keptLine = 64 << 10

// errMessageTooLong is the error of a lineReader at its limit.
var errMessageTooLong = errors.New("message too long")

// lineReader reads a message line by line and judges its bytes.
type lineReader struct {
	r     *bufio.Reader
	limit int64 // how many bytes it reads
	// fault is told of the breaches of the rules for lines, by line.
	fault func(rule error, line int)
	size  int64  // bytes read
	count int    // lines read
	last  byte   // the last byte read
	kept  []byte // a line that does not fit into the buffer, or its beginning
}

func newLineReader(r io.Reader, limit int64, fault func(rule error, line int)) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 4<<10), limit: limit, fault: fault}
}

// next returns the next line without its line end, valid up to the next call, or
// io.EOF, or errMessageTooLong. Of a line beyond 64 KiB it returns the beginning;
// whole is then false.
func (l *lineReader) next() (text []byte, whole bool, err error) {
	text, err = l.r.ReadSlice('\n')
	if len(text) == 0 {
		return nil, true, err
	}
	l.count++
	l.judge(text)
	whole = true
	if err == bufio.ErrBufferFull {
		text, whole, err = l.rest(text)
	}
	if l.size > l.limit {
		return nil, false, errMessageTooLong
	}
	if l.last != '\n' {
		l.fault(ErrLineEnd, l.count)
	}
	if err == io.EOF {
		err = nil // the line counts; the next call finds the end
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) > maxLine {
		l.fault(ErrLineTooLong, l.count)
	}
	return text, whole, err
}

// rest reads the rest of a line that does not fit into the buffer.
func (l *lineReader) rest(begin []byte) (text []byte, whole bool, err error) {
	l.kept, whole, err = append(l.kept[:0], begin...), true, bufio.ErrBufferFull
	for err == bufio.ErrBufferFull && l.size <= l.limit {
		var more []byte
		more, err = l.r.ReadSlice('\n')
		l.judge(more)
		if whole = whole && len(l.kept)+len(more) <= keptLine; whole {
			l.kept = append(l.kept, more...)
		}
	}
	return l.kept, whole, err
}

// judge counts the bytes of a line, or of a piece of one, and refuses those that
// may not be sent: above 127, NUL, and a CR or LF without the other.
func (l *lineReader) judge(piece []byte) {
	l.size += int64(len(piece))
	var high, nul, lone bool
	last := l.last
	for _, c := range piece {
		high = high || c >= 0x80
		nul = nul || c == 0
		lone = lone || (c == '\n') != (last == '\r')
		last = c
	}
	l.last = last
	if high {
		l.fault(ErrNotASCII, l.count)
	}
	if nul {
		l.fault(ErrNUL, l.count)
	}
	if lone {
		l.fault(ErrLineEnd, l.count)
	}
}
