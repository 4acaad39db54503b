package dispatch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// CSV reads rows from a table such as Italian spreadsheets write. The first line
// names the columns.
//
// Cells are separated by semicolons, commas or tabs, whichever occurs most in
// the first line outside quotes; a line "sep=;" before it decides too. They may
// be in quotes, with "" for a quote, and may then hold separators and line
// breaks, which become "\n". A quote within a cell that does not begin with one
// is a quote. White space around a cell is dropped. Lines end in LF or CRLF, and
// those without any text are skipped, as are empty cells beyond the last heading.
//
// Headings are read with [FieldName]. It is a fault if one is empty, if two are
// the same, or if one holds an @: then the first line is no heading but a row.
//
// A faulty row does not stop the others from being read. One whose quote never
// closes ends with its first line, if the end of the file or MaxRow comes first.
type CSV struct {
	// Open opens the table at its beginning. It is called for each pass.
	Open func() (io.ReadCloser, error)
	// Separator is ';', ',' or '\t'; 0 finds out.
	Separator byte
	// Charset says how text is encoded; "" finds out, see [Charset].
	Charset Charset
	// Columns gives columns other names: heading to field, both in any spelling
	// that [FieldName] takes. A heading that is not there is a fault.
	Columns map[string]string
	// MaxCell and MaxRow are the most bytes of a cell and of a row; default 64 KiB
	// and 256 KiB.
	MaxCell, MaxRow int
}

// OpenCSV returns a CSV for a file.
func OpenCSV(fsys fs.FS, name string) CSV {
	return CSV{Open: func() (io.ReadCloser, error) { return fsys.Open(name) }}
}

// maxColumns is how many columns a table may have.
const maxColumns = 1000

// Rows yields the rows. Memory does not grow with their number. The table is read
// twice in each pass unless Charset is given: finding out takes all of it.
func (c CSV) Rows() iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		charset, err := c.charset()
		if err != nil {
			yield(Row{}, fmt.Errorf("dispatch: reading the table: %w", err))
			return
		}
		in, err := c.Open()
		if err != nil {
			yield(Row{}, fmt.Errorf("dispatch: opening the table: %w", err))
			return
		}
		defer in.Close()
		t := &csvTable{cfg: c, csvParser: newCSVParser(in, charset, c.Separator, c.maxCell(), c.maxRow())}
		if err := t.rows(yield); err != nil {
			yield(Row{}, fmt.Errorf("dispatch: reading the table: %w", err))
		}
	}
}

func (c CSV) maxCell() int {
	if c.MaxCell > 0 {
		return c.MaxCell
	}
	return 64 << 10
}

func (c CSV) maxRow() int {
	if c.MaxRow > 0 {
		return c.MaxRow
	}
	return 256 << 10
}

func (c CSV) charset() (Charset, error) {
	switch c.Charset {
	case CharsetUTF8, CharsetWindows1252, charsetUTF16:
		return c.Charset, nil
	case "":
	default:
		return "", errors.New("unknown charset")
	}
	in, err := c.Open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	return detectCharset(in)
}

// csvTable makes rows of the records of a table.
type csvTable struct {
	*csvParser
	cfg    CSV
	fields []string       // names of the columns
	number map[string]int // :: name → number of the column
}

// rows yields all rows. It returns errors of the reader alone.
func (t *csvTable) rows(yield func(Row, error) bool) error {
	var faults []*RowError
	for {
		rec, err := t.next()
		if err != nil {
			if err == io.EOF && t.fields == nil {
				yield(Row{Line: 1}, &RowError{Line: 1, Code: FaultHeader, Err: errors.New("there is none")})
			}
			if err == io.EOF {
				err = nil
			}
			return err
		}
		if rec.isBlank() {
			continue
		}
		header := t.fields == nil
		var row Row
		if header {
			faults = t.header(rec)
		} else {
			row, faults = t.row(rec)
		}
		for _, f := range faults {
			if !yield(Row{Line: rec.line}, f) {
				return nil
			}
		}
		if header && len(faults) > 0 {
			return nil // what the columns are called is not known
		}
		if !header && len(faults) == 0 && !yield(row, nil) {
			return nil
		}
	}
}

// header takes the names of the columns.
func (t *csvTable) header(rec *csvRecord) []*RowError {
	faults := rec.faults
	fault := func(column int, format string, args ...any) {
		faults = append(faults, &RowError{Line: rec.line, Column: column, Code: FaultHeader, Err: fmt.Errorf(format, args...)})
	}
	cells := rec.cells
	for len(cells) > 0 && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1]
	}
	if len(cells) > maxColumns {
		fault(0, "more than %d columns", maxColumns)
		return faults
	}
	renamed := make(map[string]string)
	for heading, name := range t.cfg.Columns {
		renamed[FieldName(heading)] = FieldName(name)
	}
	t.number = make(map[string]int)
	for i, heading := range cells {
		name := FieldName(heading)
		if to, ok := renamed[name]; ok {
			delete(renamed, name)
			name = to
		}
		switch before, doubled := t.number[name]; {
		case strings.Contains(heading, "@"):
			fault(i+1, "an address among the headings: the first line must name the columns")
		case name == "":
			fault(i+1, "a heading without a name")
		case doubled:
			fault(i+1, "the same name as column %d", before)
		}
		t.number[name] = i + 1
		t.fields = append(t.fields, name)
	}
	for _, name := range slices.Sorted(maps.Keys(renamed)) {
		fault(0, "no column %q, which was to be renamed", name)
	}
	return faults
}

// row makes a row of a record.
func (t *csvTable) row(rec *csvRecord) (Row, []*RowError) {
	faults := rec.faults
	for _, f := range faults {
		if f.Column > 0 && f.Column <= len(t.fields) {
			f.Field = t.fields[f.Column-1]
		}
	}
	if len(faults) > 0 {
		return Row{}, faults
	}
	cells := rec.cells
	for len(cells) > len(t.fields) && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1]
	}
	if len(cells) != len(t.fields) {
		return Row{}, []*RowError{{
			Line: rec.line, Column: min(len(cells), len(t.fields)) + 1, Code: FaultCells,
			Err: fmt.Errorf("%d, and %d columns", len(cells), len(t.fields)),
		}}
	}
	row := Row{Line: rec.line, Fields: make(map[string]string, len(cells)), columns: t.number}
	for i, cell := range cells {
		row.Fields[t.fields[i]] = cell
	}
	return row, nil
}

// cellFault returns what makes a cell useless whatever it is used for, or "".
func cellFault(cell string) (FaultCode, error) {
	if !utf8.ValidString(cell) {
		return FaultEncoding, errors.New("not UTF-8; save the table as UTF-8, or name its charset")
	}
	if strings.Contains(cell, string(utf8.RuneError)) {
		return FaultEncoding, errors.New("a character was lost before")
	}
	if strings.IndexByte(cell, 0) >= 0 {
		return FaultControl, errors.New("a NUL")
	}
	return "", nil
}
