package rawmime

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ceralacca/go-pec/internal/limit"
)

// maxParams is the most parameters that one field may have.
const maxParams = 32

// typicalParams is room for the parameters of most fields.
const typicalParams = 4

// ErrMediaType is the error that every failure to read a media type wraps.
var ErrMediaType = errors.New("not a media type")

// MediaType is the value of a Content-Type or Content-Disposition field.
//
// The standard library's mime.ParseMediaType is not used: it drops RFC 2231
// parameters in charsets other than UTF-8 and US-ASCII without a word, and a
// file name that one reader drops and another shows is an ambiguity to refuse.
type MediaType struct {
	// Type is "type/subtype", or a disposition, in lower case.
	Type   string
	params []param
}

type param struct{ name, value string }

// Param returns the value of the parameter called name (in lower case), and
// whether there is one.
func (m *MediaType) Param(name string) (string, bool) {
	for _, p := range m.params {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// ParseMediaType reads the unfolded value of a field. It refuses parameters
// given twice and parameters that it can't read; it allows one semicolon too
// many at the end, which mailers write.
func ParseMediaType(value string) (*MediaType, error) {
	s := scanner{rest: value}
	m := &MediaType{Type: strings.ToLower(s.token("/"))}
	if m.Type == "" {
		return nil, fmt.Errorf("%w: no type", ErrMediaType)
	}
	raw := make([]param, 0, typicalParams)
	for {
		s.blanks()
		if s.rest == "" {
			break
		}
		if !s.take(';') {
			return nil, fmt.Errorf("%w: text after the type or a parameter", ErrMediaType)
		}
		s.blanks()
		if s.rest == "" {
			break
		}
		if len(raw) == maxParams {
			return nil, fmt.Errorf("%w: %w", ErrMediaType, limit.Passed(maxParams, "parameters of a field"))
		}
		p, err := s.param()
		if err != nil {
			return nil, err
		}
		raw = append(raw, p)
	}
	if err := m.setParams(raw); err != nil {
		return nil, err
	}
	return m, nil
}

// setParams puts the pieces of RFC 2231 together.
func (m *MediaType) setParams(raw []param) error {
	for i, p := range raw {
		for _, q := range raw[:i] {
			if p.name == q.name {
				return fmt.Errorf("%w: parameter given twice", ErrMediaType)
			}
		}
	}
	if !slices.ContainsFunc(raw, func(p param) bool { return strings.Contains(p.name, "*") }) {
		m.params = raw // nothing of RFC 2231
		return nil
	}
	for _, p := range raw {
		base, ext, extended := strings.Cut(p.name, "*")
		value := p.value
		var err error
		switch {
		case base == "":
			err = fmt.Errorf("%w: parameter without name", ErrMediaType)
		case !extended:
		case ext == "": // name*=charset'language'text
			value, err = decodeExtended(p.value)
		case ext == "0" || ext == "0*": // name*0=, name*1=, ...
			value, err = joinContinued(base, raw)
		default:
			if !continues(base, ext, raw) {
				err = fmt.Errorf("%w: a continued parameter lacks a piece", ErrMediaType)
			} else {
				continue
			}
		}
		if err != nil {
			return err
		}
		if old, ok := m.Param(base); ok {
			if old != value {
				return fmt.Errorf("%w: parameter given twice, with different values", ErrMediaType)
			}
			continue
		}
		m.params = append(m.params, param{base, value})
	}
	return nil
}

func find(raw []param, name string) (string, bool) {
	for _, p := range raw {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// continues reports whether ext numbers a piece that follows another.
func continues(base, ext string, raw []param) bool {
	for n := 1; n < maxParams; n++ {
		number := fmt.Sprint(n)
		if ext != number && ext != number+"*" {
			continue
		}
		before := fmt.Sprintf("%s*%d", base, n-1)
		_, plain := find(raw, before)
		_, encoded := find(raw, before+"*")
		return plain || encoded
	}
	return false
}

// joinContinued joins name*0, name*1, ... (RFC 2231, section 3).
func joinContinued(base string, raw []param) (string, error) {
	var joined strings.Builder
	for n := range maxParams {
		name := fmt.Sprintf("%s*%d", base, n)
		piece, plain := find(raw, name)
		encodedPiece, encoded := find(raw, name+"*")
		switch {
		case plain && encoded:
			return "", fmt.Errorf("%w: parameter given twice", ErrMediaType)
		case plain:
			joined.WriteString(piece)
		case encoded && n == 0:
			text, err := decodeExtended(encodedPiece)
			if err != nil {
				return "", err
			}
			joined.WriteString(text)
		case encoded:
			text, err := unescapePercent(encodedPiece)
			if err != nil {
				return "", err
			}
			joined.WriteString(text)
		default:
			return joined.String(), nil
		}
	}
	return joined.String(), nil
}

// decodeExtended reads charset'language'text. The charset is not converted: the
// names that matter here are ASCII, which looks the same in every charset that is
// let through.
func decodeExtended(s string) (string, error) {
	charset, rest, _ := strings.Cut(s, "'")
	_, text, ok := strings.Cut(rest, "'")
	if !ok {
		return "", fmt.Errorf("%w: extended parameter without charset and language", ErrMediaType)
	}
	if charset != "" && !HasASCII(charset) {
		return "", fmt.Errorf("%w: charset that may hide ASCII", ErrMediaType)
	}
	return unescapePercent(text)
}

// asciiCharsets begin the names of charsets in which ASCII text looks like ASCII.
var asciiCharsets = []string{
	"us-ascii", "ascii", "utf-8", "utf8", "iso-8859", "iso8859", "iso_8859", "latin", "windows-", "cp125", "cp437", "cp85", "cp86",
	"ibm437", "ibm85", "ibm86", "koi8", "gb", "big5", "euc-", "shift", "mac", "tis-620",
}

// HasASCII reports whether ASCII text looks the same in a charset. In UTF-16, UTF-7
// or EBCDIC the name of a file can be written so that it takes a reader who knows
// the charset to see it.
func HasASCII(charset string) bool {
	charset = strings.ToLower(charset)
	return slices.ContainsFunc(asciiCharsets, func(known string) bool { return strings.HasPrefix(charset, known) })
}

// unescapePercent decodes %XX. Control characters are refused: a NUL ends the
// name for some readers and not for others.
func unescapePercent(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) || hexDigit(s[i+1]) < 0 || hexDigit(s[i+2]) < 0 {
				return "", fmt.Errorf("%w: bad %% in an extended parameter", ErrMediaType)
			}
			c = byte(hexDigit(s[i+1])<<4 | hexDigit(s[i+2]))
			i += 2
		}
		if c < ' ' || c == 0x7f {
			return "", fmt.Errorf("%w: control character in an extended parameter", ErrMediaType)
		}
		b = append(b, c)
	}
	return string(b), nil
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// scanner reads a structured field value from its front.
type scanner struct{ rest string }

func (s *scanner) blanks() { s.rest = strings.TrimLeft(s.rest, " \t") }

func (s *scanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// token reads an RFC 2045 token, in which the bytes of also may stand too.
func (s *scanner) token(also string) string {
	i := 0
	for i < len(s.rest) && (isTokenByte(s.rest[i]) || strings.IndexByte(also, s.rest[i]) >= 0) {
		i++
	}
	token := s.rest[:i]
	s.rest = s.rest[i:]
	return token
}

func isTokenByte(c byte) bool { return tokenBytes[c] }

// tokenBytes are those that may stand in a token.
var tokenBytes = func() (set [256]bool) {
	for c := byte('!'); c < 0x7f; c++ {
		set[c] = strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
	}
	return set
}()

func (s *scanner) param() (param, error) {
	name := strings.ToLower(s.token(""))
	s.blanks()
	if name == "" || !s.take('=') {
		return param{}, fmt.Errorf("%w: parameter without name or value", ErrMediaType)
	}
	s.blanks()
	if s.take('"') {
		value, escaped, ok := s.quoted()
		if !ok {
			return param{}, fmt.Errorf("%w: quoted text without end, or with an escape that not every reader undoes", ErrMediaType)
		}
		if base, _, _ := strings.Cut(name, "*"); escaped && base == "boundary" {
			return param{}, fmt.Errorf("%w: escape in a boundary", ErrMediaType)
		}
		return param{name, value}, nil
	}
	// QUIRK: mailers leave boundaries with "=" or "?" and names with "/" unquoted.
	value := s.token("=?/:@[]'")
	if value == "" {
		return param{}, fmt.Errorf("%w: parameter without value", ErrMediaType)
	}
	return param{name, value}, nil
}

// quoted reads the rest of a quoted string, whose opening quote was taken, and says
// whether something in it was escaped. Only what must be escaped may be: readers differ
// in whether they undo the others.
func (s *scanner) quoted() (text string, escaped, ok bool) {
	if i := strings.IndexByte(s.rest, '"'); i >= 0 && strings.IndexByte(s.rest[:i], '\\') < 0 {
		text := s.rest[:i] // nothing is escaped
		s.rest = s.rest[i+1:]
		return text, false, true
	}
	var b strings.Builder
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			return b.String(), true, true
		case '\\':
			if i++; i == len(s.rest) || s.rest[i] != '"' && s.rest[i] != '\\' {
				return "", true, false
			}
			b.WriteByte(s.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", true, false
}
