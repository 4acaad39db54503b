package pec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ceralacca/go-pec/internal/limit"
)

// Address is one mailbox address, such as studio@pec.example.it. Only addresses
// that PEC can certify are representable: ASCII, a dot-atom on each side of the
// @, no quoting, no comment, no group (RFC 6109, section 4.5.4 asks this of
// service addresses; the same is asked here of all).
//
// The zero value is no address. Addresses keep the spelling they were given;
// compare them with [Address.Equal] or by [Address.Key], not with ==.
type Address struct {
	text string
	at   int
}

// maxAddress is the longest address accepted, in bytes.
const maxAddress = 320

// ErrAddress is the error that every failure to read an address wraps.
var ErrAddress = errors.New("pec: not a mailbox address")

// ParseAddress reads a bare address without display name or brackets; white
// space around it is dropped. Errors wrap [ErrAddress] and do not repeat the
// address, since errors end up in logs.
func ParseAddress(s string) (Address, error) {
	s = strings.Trim(s, " \t\r\n")
	if len(s) > maxAddress {
		return Address{}, fmt.Errorf("%w: %w", ErrAddress, limit.Passed(maxAddress, "bytes of an address"))
	}
	at := strings.IndexByte(s, '@')
	switch {
	case at < 0:
		return Address{}, fmt.Errorf("%w: no @", ErrAddress)
	case strings.IndexByte(s[at+1:], '@') >= 0:
		return Address{}, fmt.Errorf("%w: more than one @", ErrAddress)
	case !isDotAtom(s[:at], isAtomByte):
		return Address{}, fmt.Errorf("%w: the part before the @ is not plain ASCII text", ErrAddress)
	case !isDotAtom(s[at+1:], isDomainByte):
		return Address{}, fmt.Errorf("%w: the domain is not plain ASCII text", ErrAddress)
	}
	return Address{text: s, at: at}, nil
}

// MustParseAddress is [ParseAddress] for addresses written in source code; it
// panics on an error.
func MustParseAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic(fmt.Sprintf("%v: %q", err, s))
	}
	return a
}

// String returns the address as it was given.
func (a Address) String() string { return a.text }

// IsZero reports whether a is the zero Address.
func (a Address) IsZero() bool { return a.text == "" }

// Local returns the part before the @.
func (a Address) Local() string { return a.text[:a.at] }

// Domain returns the part after the @, in lower case. Domains of PEC are matched
// whole: a sub-domain is another domain.
func (a Address) Domain() string {
	if a.IsZero() {
		return ""
	}
	return lowerASCII(a.text[a.at+1:])
}

// Key returns a string that two addresses share exactly when they are equal.
func (a Address) Key() string { return lowerASCII(a.text) }

// Equal reports whether a and b name the same mailbox: they are the same but for
// the case of ASCII letters. Nothing else is folded: no dots, no sub-addresses,
// no international forms.
func (a Address) Equal(b Address) bool {
	if len(a.text) != len(b.text) {
		return false
	}
	for i := range len(a.text) {
		if lowerByte(a.text[i]) != lowerByte(b.text[i]) {
			return false
		}
	}
	return true
}

// MarshalText implements encoding.TextMarshaler; the zero Address is "".
func (a Address) MarshalText() ([]byte, error) { return []byte(a.text), nil }

// UnmarshalText implements encoding.TextUnmarshaler; "" gives the zero Address.
func (a *Address) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*a = Address{}
		return nil
	}
	parsed, err := ParseAddress(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

func isDotAtom(s string, allowed func(byte) bool) bool {
	if s == "" {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" {
			return false
		}
		for i := range len(label) {
			if !allowed(label[i]) {
				return false
			}
		}
	}
	return true
}

// isAtomByte reports whether c is atext (RFC 5322, section 3.2.3).
func isAtomByte(c byte) bool {
	return isDomainByte(c) || strings.IndexByte("!#$%&'*+/=?^_`{|}~", c) >= 0
}

func isDomainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func lowerASCII(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				b[j] = lowerByte(b[j])
			}
			return string(b)
		}
	}
	return s
}
