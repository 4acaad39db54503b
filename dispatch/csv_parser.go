package dispatch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// csvParser cuts a table into records. encoding/csv is not used: it has no limit,
// so that one quote that is never closed makes it read all of the table into
// memory, and then nothing of it is checked.
type csvParser struct {
	in        *bufio.Reader
	text      func([]byte) string
	separator byte
	maxCell   int
	maxRow    int

	lines  int64     // read so far
	again  []csvLine // to be read again, before the rest
	replay int       // how often that may still happen

	rec   csvRecord
	taken []csvLine // of rec
	size  int       // of taken, in bytes
	cell  []byte
}

// maxReplay is how many quotes that are never closed have the lines after them
// read again. Whatever a table holds, reading it takes time that its length
// bounds.
const maxReplay = 100

// csvLine is a line with its line end. long says that it had more than maxRow
// bytes, and lost the rest.
type csvLine struct {
	number int64
	text   []byte
	long   bool
}

// csvRecord is what becomes a row.
type csvRecord struct {
	line   int64 // on which it begins
	cells  []string
	faults []*RowError
}

func (r *csvRecord) fault(column int, code FaultCode, err error) {
	r.faults = append(r.faults, &RowError{Line: r.line, Column: column, Code: code, Err: err})
}

func (r *csvRecord) isBlank() bool {
	return len(r.faults) == 0 && strings.Join(r.cells, "") == ""
}

func newCSVParser(r io.Reader, charset Charset, separator byte, maxCell, maxRow int) *csvParser {
	r, text := decodeCells(r, charset)
	in := bufio.NewReaderSize(r, 64<<10)
	if begin, _ := in.Peek(len(bomUTF8)); bytes.Equal(begin, bomUTF8) {
		in.Discard(len(bomUTF8))
	}
	return &csvParser{in: in, text: text, separator: separator, maxCell: maxCell, maxRow: maxRow, replay: maxReplay}
}

// line returns the next line, or io.EOF.
func (p *csvParser) line() (csvLine, error) {
	if len(p.again) > 0 {
		l := p.again[0]
		p.again = p.again[1:]
		return l, nil
	}
	l := csvLine{number: p.lines + 1}
	for {
		piece, err := p.in.ReadSlice('\n')
		if !l.long {
			l.text = append(l.text, piece...)
		}
		if len(l.text) > p.maxRow {
			l.long, l.text = true, l.text[:p.maxRow]
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && (err != io.EOF || len(l.text) == 0) {
			return csvLine{}, err
		}
		p.lines++
		return l, nil
	}
}

// next returns the next record, valid up to the next call, or io.EOF.
func (p *csvParser) next() (*csvRecord, error) {
	first, err := p.line()
	if err != nil {
		return nil, err
	}
	p.rec = csvRecord{line: first.number, cells: p.rec.cells[:0]}
	if p.separator == 0 {
		explicit, ok := p.findSeparator(first.text)
		if !ok {
			p.separator = ';'
			p.rec.fault(0, FaultHeader, errors.New("two separators occur as often as one another: say which it is"))
			return &p.rec, nil
		}
		if explicit {
			return &p.rec, nil // blank
		}
	}
	if first.long {
		p.rec.fault(0, FaultTooLong, fmt.Errorf("more than %d bytes", p.maxRow))
		return &p.rec, nil
	}
	return &p.rec, p.record(first)
}

// findSeparator sets the separator by the first line. explicit says that the line
// is there for nothing else; ok is false if it does not tell.
func (p *csvParser) findSeparator(line []byte) (explicit, ok bool) {
	const candidates = ";,\t"
	if rest, isSep := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), []byte("sep=")); isSep && len(rest) == 1 && strings.IndexByte(candidates, rest[0]) >= 0 {
		p.separator = rest[0]
		return true, true
	}
	var counts [len(candidates)]int
	quoted := false
	for _, c := range line {
		if c == '"' {
			quoted = !quoted
		}
		if i := strings.IndexByte(candidates, c); i >= 0 && !quoted {
			counts[i]++
		}
	}
	best, tied := 0, false
	for i := 1; i < len(counts); i++ {
		if counts[i] > counts[best] {
			best, tied = i, false
		} else if counts[i] == counts[best] && counts[i] > 0 {
			tied = true
		}
	}
	if len(bytes.TrimSpace(line)) > 0 {
		p.separator = candidates[best]
	}
	return false, !tied
}

// record reads a record that begins with a line. It returns errors of the reader
// alone.
func (p *csvParser) record(first csvLine) error {
	p.taken, p.size = append(p.taken[:0], first), len(first.text)
	rest := first.text
	for column := 1; ; column++ {
		p.cell = p.cell[:0]
		var more bool
		var err error
		if len(rest) > 0 && rest[0] == '"' {
			rest, more, err = p.quotedCell(rest[1:], column)
		} else {
			rest, more = p.plainCell(rest, column)
		}
		if err != nil || !more {
			return err
		}
	}
}

func isLineEnd(b []byte) bool {
	return len(b) == 0 || b[0] == '\n' || string(b) == "\r\n"
}

// plainCell takes a cell without quotes, and reports whether there are more.
func (p *csvParser) plainCell(rest []byte, column int) ([]byte, bool) {
	cell, after, more := bytes.Cut(rest, []byte{p.separator})
	if !more {
		cell = bytes.TrimSuffix(bytes.TrimSuffix(cell, []byte("\n")), []byte("\r"))
	}
	if bytes.IndexByte(cell, '\r') >= 0 {
		p.rec.fault(column, FaultSyntax, errors.New("a line that ends in CR alone, as spreadsheets on old Macintoshes write"))
		return nil, false
	}
	p.cell = append(p.cell, cell...)
	p.endCell(column)
	return after, more
}

// quotedCell takes a cell in quotes, whose first quote was taken, and reports
// whether there are more.
func (p *csvParser) quotedCell(rest []byte, column int) (after []byte, more bool, err error) {
	for {
		var closed bool
		if rest, closed = p.quotedText(rest); closed {
			break
		}
		if rest, err = p.anotherLine(); err == errNeverClosed {
			p.rec.fault(column, FaultSyntax, err)
			return nil, false, nil
		} else if err != nil {
			return nil, false, err
		}
	}
	rest = bytes.TrimLeft(rest, " ")
	if more = !isLineEnd(rest); more {
		if rest[0] != p.separator {
			p.rec.fault(column, FaultSyntax, errors.New("text after the quote that ends the cell"))
			return nil, false, nil
		}
		rest = rest[1:]
	}
	p.endCell(column)
	return rest, more, nil
}

// quotedText takes what of a cell in quotes is on a line, and reports whether the
// cell ends there.
func (p *csvParser) quotedText(rest []byte) (after []byte, closed bool) {
	for {
		text, after, found := bytes.Cut(rest, []byte(`"`))
		p.cell = append(p.cell, text...)
		if !found {
			return nil, false
		}
		if len(after) == 0 || after[0] != '"' {
			return after, true
		}
		p.cell = append(p.cell, '"')
		rest = after[1:]
	}
}

var errNeverClosed = errors.New("a quote that is never closed")

// anotherLine returns the next line of a record. If there is none, or the record
// is too long, the lines after the first of it are read again: they are rows of
// their own.
func (p *csvParser) anotherLine() ([]byte, error) {
	l, err := p.line()
	if err != nil && err != io.EOF {
		return nil, err
	}
	if err == nil {
		p.taken = append(p.taken, l)
		p.size += len(l.text)
	}
	if err == nil && !l.long && p.size <= p.maxRow {
		return l.text, nil
	}
	if p.replay > 0 {
		p.replay--
		p.again = slices.Concat(p.taken[1:], p.again)
	}
	return nil, errNeverClosed
}

// endCell adds the cell that was gathered. Cells beyond what a table may have
// are of interest only if they are not empty.
func (p *csvParser) endCell(column int) {
	if len(p.cell) > p.maxCell {
		p.rec.fault(column, FaultTooLong, fmt.Errorf("more than %d bytes", p.maxCell))
		return
	}
	cell := p.text(p.cell)
	if strings.IndexByte(cell, '\r') >= 0 {
		cell = strings.ReplaceAll(strings.ReplaceAll(cell, "\r\n", "\n"), "\r", "\n")
	}
	cell = strings.TrimSpace(cell)
	if code, err := cellFault(cell); code != "" {
		p.rec.fault(column, code, err)
	}
	p.rec.cells = append(p.rec.cells, cell)
}
