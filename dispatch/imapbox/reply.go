package imapbox

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"

	"github.com/ceralacca/go-pec/internal/plain"
)

// ReplyError says that the server refused something. Its text leaves the words
// of the server out: they repeat addresses, and errors get logged.
type ReplyError struct {
	// Status is NO, BAD or BYE.
	Status string
	// Code is the response code, such as AUTHENTICATIONFAILED, if there is one.
	Code string
	// Text is what the server says, on one line, harmless to show, at most 1,000
	// bytes long.
	Text string
}

func (e *ReplyError) Error() string {
	if e.Code == "" {
		return "server answered " + e.Status
	}
	return fmt.Sprintf("server answered %s [%s]", e.Status, e.Code)
}

// maxText is what is kept of the words of a server.
const maxText = 1000

// withoutText returns err in a form that shows nothing of what the server said.
func withoutText(err error) error {
	var refused *imap.Error
	if errors.As(err, &refused) {
		return &ReplyError{
			Status: string(refused.Type),
			Code:   harmless(string(refused.Code), 40),
			Text:   harmless(refused.Text, maxText),
		}
	}
	return err
}

// libraryError shortens errors that quote the server.
type libraryError struct{ err error }

func (e libraryError) Error() string { return harmless(e.err.Error(), maxText) }
func (e libraryError) Unwrap() error { return e.err }

// harmless returns s as it may be shown, cut to at most n bytes.
func harmless(s string, n int) string {
	s = plain.Text(s)
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
