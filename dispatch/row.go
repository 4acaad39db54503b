package dispatch

import (
	"strings"
	"unicode"
)

// Row is what the source of a batch says of one recipient.
//
// A source is an iter.Seq2[Row, error], such as [CSV.Rows]. It can be ranged over
// more than once, and yields the same each time: a batch is checked before it is
// made. An error that is a [*RowError] is about one row, which is then not
// yielded as a row; several may be about one row, and other rows follow. Any
// other error is the last thing that a source yields.
type Row struct {
	// Line is where the row begins in its source, from 1. People look for it
	// there; nothing else rests on it.
	Line int64
	// Fields are its cells by the names of their columns, in the form that
	// [FieldName] gives. A source yields the same names in every row.
	Fields map[string]string

	columns map[string]int // :: name → number of the column, if the source has such
}

// fault makes a fault of this row.
func (r *Row) fault(field string, code FaultCode, err error) *RowError {
	return &RowError{Line: r.Line, Column: r.columns[field], Field: field, Code: code, Err: err}
}

// FieldName returns the name by which templates call the column with a heading:
// lower-case letters and digits, with an underscore in place of what stands
// between words, and before a digit at the beginning. "Codice Fiscale",
// "codice_fiscale" and " CODICE FISCALE: " name one column, {{.codice_fiscale}}.
// A name is its own name.
func FieldName(heading string) string {
	words := strings.FieldsFunc(strings.Map(func(r rune) rune {
		if unicode.IsMark(r) {
			return -1 // templates can't spell it
		}
		return r
	}, strings.ToLower(heading)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	name := strings.Join(words, "_")
	if name != "" && !unicode.IsLetter([]rune(name)[0]) {
		name = "_" + name
	}
	return name
}
