package imapbox

import (
	"net/textproto"
	"strings"
	"testing"
)

// FuzzFields: whatever the head of a message is, reading it comes to an end, and
// what comes of it is fields.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{
		"X-Ricevuta: accettazione\r\n\r\n", "a:\r\n b\r\n\tc\r\n", " a: b", "a", ":", "a\n\n b: c", "\r\n", "a : b\r\nA: c", "a: \xe0\x00\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		for name, values := range parseFields(head) {
			if strings.ContainsAny(name, ":\n") || textproto.CanonicalMIMEHeaderKey(name) != name {
				t.Errorf("head %q has a field called %q", head, name)
			}
			for _, value := range values {
				if value != strings.Trim(value, " \t\r\n") || strings.Contains(value, "\n") {
					t.Errorf("head %q: %s = %q", head, name, value)
				}
			}
		}
	})
}
