package imapbox_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

// TestNestedLists: the library reads lists within lists by recursion, and a server
// could end the process with a line of parentheses.
func TestNestedLists(t *testing.T) {
	nested := func(x *peer, _, _ string) error {
		io.WriteString(x.conn, "* 1 FETCH (BODY ")
		io.WriteString(x.conn, strings.Repeat("(", 8<<20))
		return io.EOF
	}
	for _, command := range []string{"greeting", "UID SEARCH"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			s, err := tryOpen(t, t.Context(), startScript(t, handlers{command: nested}).config())
			if err == nil {
				err = listAll(t.Context(), s)
			}
			if err == nil || len(err.Error()) > 2000 {
				t.Errorf("%d bytes of error; want one, and short", len(fmt.Sprint(err)))
			}
		})
	}
}

// TestListedBackwards: a list of messages need not be in order, but a long one that
// is not would keep the library busy for hours.
func TestListedBackwards(t *testing.T) {
	backwards := func(n int) handlers {
		on := holding(n, func(uid imap.UID) string { return "a: b\r\n\r\n" })
		on["UID SEARCH"] = func(x *peer, tag, _ string) error {
			var b strings.Builder
			b.WriteString("* SEARCH")
			for uid := n; uid > 0; uid -= 2 {
				fmt.Fprint(&b, " ", uid)
			}
			x.say("%s\r\n%s OK", b.String(), tag)
			return nil
		}
		return on
	}
	if got := len(heads(t, openInbox(t, startScript(t, backwards(2000)).config()), 0)); got != 1000 {
		t.Errorf("Heads: %d; want 1000", got)
	}
	for _, err := range openInbox(t, startScript(t, backwards(200_000)).config()).Heads(t.Context(), 0) {
		if err == nil {
			t.Error("Heads of 100,000 messages listed backwards: no error")
		}
		break
	}
}

// TestDrip: a message that comes byte by byte would never end.
func TestDrip(t *testing.T) {
	x := startScript(t, handlers{"UID FETCH": func(x *peer, tag, _ string) error {
		io.WriteString(x.conn, "* 1 FETCH (UID 7 BODY[] {100000}\r\n")
		for {
			if _, err := io.WriteString(x.conn, "x"); err != nil {
				return err
			}
			time.Sleep(shortly / 10)
		}
	}})
	config := x.config()
	config.CommandTimeout = shortly
	if got, err := tryFetch(t.Context(), openInbox(t, config), 7); err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("Fetch: %d bytes, %v; want an error", len(got), err)
	}
}
