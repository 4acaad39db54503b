// Package plain makes text of unknown origin safe to show.
package plain

import (
	"strings"
	"unicode"
)

// Text returns s on one line, with every control and formatting character
// replaced. Subjects, error texts and names are chosen by whoever sent a
// message: they can hold terminal commands, line breaks that fake a second line
// of a log, and marks that turn the direction of writing.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029':
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
