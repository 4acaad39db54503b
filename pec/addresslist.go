package pec

import (
	"fmt"
	"iter"
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mailbox is an address with the name that is shown for it.
type Mailbox struct {
	// Name is the display name, decoded; "" if there is none. Anyone can write
	// any name, addresses included: it identifies nobody.
	Name string
	// Address is the address.
	Address Address
}

// AddressListError says where in a list of addresses the fault is. Its text does
// not repeat the address.
type AddressListError struct {
	// Item is the number of the address in the list, from 1, not counting empty
	// places.
	Item int
	// Column is where the fault is, in characters from 1.
	Column int
	// Err is the cause; it wraps [ErrAddress].
	Err error
}

// Error gives the number of the address, the column and the cause.
func (e *AddressListError) Error() string {
	return fmt.Sprintf("pec: address %d, column %d: %s", e.Item, e.Column, bareError(e.Err))
}

// Unwrap gives the cause.
func (e *AddressListError) Unwrap() error { return e.Err }

// bareError is the text of an error of this package, to be put into another.
func bareError(err error) string { return strings.TrimPrefix(err.Error(), "pec: ") }

// ParseMailbox reads one mailbox of a header field: an address, or a display
// name with the address in angle brackets. Encoded words in the name are decoded
// (RFC 2047), except in charsets that the standard library does not know.
//
// Refused are groups, routes, comments, quoted local parts, international
// addresses, more than one address, and control characters anywhere, in an
// encoded word too. Errors are [*AddressListError].
func ParseMailbox(s string) (Mailbox, error) {
	list, err := parseAddresses(s, "", false)
	if err != nil {
		return Mailbox{}, err
	}
	return list[0], nil
}

// ParseAddressList reads what people type into an address field: mailboxes
// separated by commas or semicolons, with display names in quotes or without. A
// display name that holds a comma, a semicolon, a colon, an @ or a bracket must
// be in quotes. Empty places in the list are skipped; an empty list has no
// addresses and is no error. What [ParseMailbox] refuses is refused here. Errors
// are [*AddressListError].
func ParseAddressList(s string) ([]Mailbox, error) {
	return parseAddresses(s, ",;", true)
}

// parseHeaderList reads the value of a field such as To, in which only commas
// separate and no place may be empty. RFC 5322, section 3.4.
func parseHeaderList(s string) ([]Mailbox, error) {
	return parseAddresses(s, ",", false)
}

func parseAddresses(s, separators string, emptyPlaces bool) ([]Mailbox, error) {
	s = strings.ReplaceAll(s, "\t", " ")
	var list []Mailbox
	for from, item := range items(s, separators) {
		if emptyPlaces && strings.Trim(item, " ") == "" {
			continue
		}
		m, fault := parseMailbox(item)
		if fault != nil {
			return nil, &AddressListError{
				Item:   len(list) + 1,
				Column: 1 + utf8.RuneCountInString(s[:from+fault.offset]),
				Err:    fmt.Errorf("%w: %s", ErrAddress, fault.detail),
			}
		}
		list = append(list, m)
	}
	return list, nil
}

// items yields what stands between separators, each with its offset. Separators
// in quotes do not separate.
func items(s, separators string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		from, quoted := 0, false
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case c == '\\' && quoted:
				i++
			case c == '"':
				quoted = !quoted
			case !quoted && strings.IndexByte(separators, c) >= 0:
				if !yield(from, s[from:i]) {
					return
				}
				from = i + 1
			}
		}
		yield(from, s[from:])
	}
}

// addressFault is what is wrong with one item of a list, and at which byte.
type addressFault struct {
	offset int
	detail string
}

func parseMailbox(item string) (Mailbox, *addressFault) {
	bracket, fault := scanItem(item)
	if fault != nil {
		return Mailbox{}, fault
	}
	if bracket < 0 {
		a, fault := parseAddrSpec(item, 0)
		return Mailbox{Address: a}, fault
	}
	name, fault := parsePhrase(item[:bracket])
	if fault != nil {
		return Mailbox{}, fault
	}
	spec, rest, closed := strings.Cut(item[bracket+1:], ">")
	switch {
	case !closed:
		return Mailbox{}, &addressFault{bracket, "a < without its >"}
	case strings.Trim(rest, " ") != "":
		return Mailbox{}, &addressFault{bracket + 1 + len(spec) + 1, "text after the >"}
	}
	a, fault := parseAddrSpec(spec, bracket+1)
	return Mailbox{Name: name, Address: a}, fault
}

// scanItem refuses characters that no mailbox has outside quotes, and returns
// the offset of the < before its address, or -1.
func scanItem(item string) (bracket int, fault *addressFault) {
	bracket, quote, escaped := -1, -1, false
	for i, c := range item {
		switch {
		case c == utf8.RuneError, unicode.IsControl(c):
			return 0, &addressFault{i, "a control character or an unreadable one"}
		case escaped:
			escaped = false
		case c == '\\' && quote >= 0:
			escaped = true
		case c == '"' && quote < 0:
			quote = i
		case c == '"':
			quote = -1
		case quote >= 0:
		case c == '<' && bracket < 0:
			bracket = i
		case c == '(', c == ')':
			return 0, &addressFault{i, "comments are not allowed"}
		case c == ':':
			return 0, &addressFault{i, "groups and routes are not allowed"}
		case c == ',', c == ';':
			return 0, &addressFault{i, "more than one address"}
		case strings.ContainsRune(`<[]\`, c):
			return 0, &addressFault{i, "a character that stands only in quotes"}
		}
	}
	if quote >= 0 {
		return 0, &addressFault{quote, "a quote without its end"}
	}
	return bracket, nil
}

// parseAddrSpec reads an address that begins at an offset of its item.
func parseAddrSpec(s string, offset int) (Address, *addressFault) {
	bare := strings.TrimLeft(s, " ")
	offset += len(s) - len(bare)
	if bare == "" {
		return Address{}, &addressFault{offset, "nothing where an address must be"}
	}
	a, err := ParseAddress(bare)
	if err != nil {
		return Address{}, &addressFault{offset, strings.TrimPrefix(err.Error(), ErrAddress.Error()+": ")}
	}
	return a, nil
}

// parsePhrase reads a display name: words, encoded or not, and quoted texts.
// RFC 5322, section 3.2.5; RFC 2047, section 5.
func parsePhrase(s string) (string, *addressFault) {
	var words []string
	for i := 0; i < len(s); {
		var word string
		if s[i] == '"' {
			text, length := unquote(s[i:])
			word = text
			i += length
		} else {
			run, _, _ := strings.Cut(s[i:], `"`)
			if at := strings.IndexByte(run, '@'); at >= 0 {
				return "", &addressFault{i + at, "an @ in a name that is not in quotes"}
			}
			word = decodeWords(strings.Join(strings.Fields(run), " "))
			i += len(run)
		}
		if word != "" {
			words = append(words, word)
		}
	}
	name := strings.Join(words, " ")
	if strings.IndexFunc(name, unicode.IsControl) >= 0 {
		return "", &addressFault{len(s) - len(strings.TrimLeft(s, " ")), "a control character in an encoded word"}
	}
	return name, nil
}

// unquote reads the quoted text that s begins with, and returns how long it is
// with its quotes. It has an end: scanItem saw it.
func unquote(s string) (text string, length int) {
	var b strings.Builder
	i := 1
	for ; s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), i + 1
}

// decodeWords decodes the encoded words of a text, or leaves it as it is if it
// can't.
func decodeWords(s string) string {
	var d mime.WordDecoder
	decoded, err := d.DecodeHeader(s)
	if err != nil {
		return s
	}
	return strings.ToValidUTF8(decoded, "\ufffd")
}
