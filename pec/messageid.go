package pec

import (
	"crypto/rand"
	"strings"
)

// NewMessageID returns a fresh Message-ID, in angle brackets, for a message from
// the given address. It holds 128 random bits in letters and digits that no
// provider has reason to escape, and the sender's domain on the right.
//
// Every message sent by PEC needs one: providers replace it by their own
// identifier but repeat it in every receipt, and nothing else ties a receipt to
// the message it answers. RFC 6109, section 2.2.1.
func NewMessageID(from Address) string {
	return "<" + strings.ToLower(rand.Text()) + "@" + from.Domain() + ">"
}

// BareMessageID returns id without white space around it and without one pair
// of angle brackets. Providers write identificativo without brackets and msgid
// with them; this makes the two comparable.
func BareMessageID(id string) string {
	id = strings.Trim(id, " \t\r\n")
	if len(id) >= 2 && id[0] == '<' && id[len(id)-1] == '>' {
		id = id[1 : len(id)-1]
	}
	return id
}

// SameMessageID reports whether a and b are the same identifier but for one
// pair of angle brackets and white space around it. The comparison is otherwise
// exact, case included. An empty identifier is the same as none.
func SameMessageID(a, b string) bool {
	a, b = BareMessageID(a), BareMessageID(b)
	return a != "" && a == b
}
