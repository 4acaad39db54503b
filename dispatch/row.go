package dispatch

import (
	"strings"
	"unicode"
)

// Row is what the source of a batch says of one recipient.
//
// Sources are iter.Seq2[Row, error], such as [CSV.Rows]. They can be ranged over
// more than once, and yield the same each time: a batch is checked before it is
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

	columns map[string]int // :: field → number of its column, if the source has such
}

// FieldName returns the name by which templates call the column with a heading:
// lower-case letters and digits, and one underscore for whatever stands between
// them. "Codice Fiscale", "codice_fiscale" and " CODICE FISCALE: " are the same
// column, written {{.codice_fiscale}}.
func FieldName(heading string) string {
	words := strings.FieldsFunc(heading, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	return strings.ToLower(strings.Join(words, "_"))
}
