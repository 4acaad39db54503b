package dispatch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
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

	rec  csvRecord
	cell []byte
}

// maxReplay is how many quotes that are never closed have the lines after them
// read again.
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
	lines := []csvLine{first}
	size := len(first.text)
	rest := first.text
	for column := 1; ; column++ {
		p.cell = p.cell[:0]
		if len(rest) == 0 || rest[0] != '"' {
			var more bool
			if rest, more = p.plainCell(rest, column); !more {
				return nil
			}
			continue
		}
		rest = rest[1:]
		for {
			var closed bool
			if rest, closed = p.quotedCell(rest); closed {
				break
			}
			l, err := p.line()
			if err != nil && err != io.EOF {
				return err
			}
			if err == nil {
				lines = append(lines, l)
				size += len(l.text)
			}
			if err == io.EOF || l.long || size > p.maxRow {
				p.neverClosed(column, lines)
				return nil
			}
			rest = l.text
		}
		rest = bytes.TrimLeft(rest, " ")
		switch {
		case isLineEnd(rest):
			p.endCell(column)
			return nil
		case rest[0] != p.separator:
			p.rec.fault(column, FaultSyntax, errors.New("text after the quote that ends the cell"))
			return nil
		}
		p.endCell(column)
		rest = rest[1:]
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

// quotedCell takes what of a cell in quotes is on a line, and reports whether
// the cell ends there.
func (p *csvParser) quotedCell(rest []byte) (after []byte, closed bool) {
	for {
		i := bytes.IndexByte(rest, '"')
		if i < 0 {
			break
		}
		p.cell = append(p.cell, rest[:i]...)
		rest = rest[i+1:]
		if len(rest) == 0 || rest[0] != '"' {
			return rest, true
		}
		p.cell = append(p.cell, '"')
		rest = rest[1:]
	}
	text, isCRLF := bytes.CutSuffix(rest, []byte("\r\n"))
	p.cell = append(p.cell, text...)
	if isCRLF {
		p.cell = append(p.cell, '\n')
	}
	return nil, false
}

// neverClosed ends a record whose quote has no end, and has the lines after its
// first one read again: they are rows of their own.
func (p *csvParser) neverClosed(column int, lines []csvLine) {
	p.rec.fault(column, FaultSyntax, errors.New("a quote that is never closed"))
	if p.replay > 0 {
		p.replay--
		p.again = append(lines[1:], p.again...)
	}
}

// endCell adds the cell that was gathered. Cells beyond what a table may have
// are of interest only if they are not empty.
func (p *csvParser) endCell(column int) {
	if len(p.cell) > p.maxCell {
		p.rec.fault(column, FaultTooLong, fmt.Errorf("more than %d bytes", p.maxCell))
		return
	}
	cell := strings.TrimSpace(p.text(p.cell))
	if code, err := cellFault(cell); code != "" {
		p.rec.fault(column, code, err)
	}
	p.rec.cells = append(p.rec.cells, cell)
}
