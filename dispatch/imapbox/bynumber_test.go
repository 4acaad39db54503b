package imapbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// uidLast answers as a server does that says the UID of a message after all else.
// It holds the messages 7, 8 and 9.
func uidLast(message func(uid string) string) handlers {
	say := func(x *peer, set string, name func(n int, uid string) string) {
		for n, uid := range []string{"7", "8", "9"} {
			if slices.Contains(inSet(set), name(n+1, uid)) {
				m := message(uid)
				x.say("* %d FETCH (RFC822.SIZE %d INTERNALDATE \" 4-Sep-2026 10:15:30 +0200\" BODY[] {%d}\r\n%s UID %s)", n+1, len(m), len(m), m, uid)
			}
		}
	}
	return handlers{
		"SEARCH": func(x *peer, tag, arguments string) error {
			set := inSet(strings.TrimPrefix(arguments, "UID "))
			line := "* SEARCH"
			for n, uid := range []string{"7", "8", "9"} {
				if slices.Contains(set, uid) {
					line += fmt.Sprint(" ", n+1)
				}
			}
			x.say("%s\r\n%s OK", line, tag)
			return nil
		},
		"UID FETCH": func(x *peer, tag, arguments string) error {
			say(x, arguments, func(_ int, uid string) string { return uid })
			x.say("%s OK", tag)
			return nil
		},
		"FETCH": func(x *peer, tag, arguments string) error {
			say(x, arguments, func(n int, _ string) string { return fmt.Sprint(n) })
			x.say("%s OK", tag)
			return nil
		},
	}
}

// inSet returns the numbers at the beginning of arguments.
func inSet(arguments string) (numbers []string) {
	set, _, _ := strings.Cut(arguments, " ")
	for r := range strings.SplitSeq(set, ",") {
		var from, to int
		if n, _ := fmt.Sscanf(r, "%d:%d", &from, &to); n == 1 {
			to = from
		}
		for ; from <= to; from++ {
			numbers = append(numbers, fmt.Sprint(from))
		}
	}
	return numbers
}

// TestUIDLast: no message is lost because its UID comes late.
func TestUIDLast(t *testing.T) {
	content := func(uid string) string {
		return "X-Ricevuta: accettazione\r\nMessage-ID: <" + uid + "@x>\r\n\r\n" + strings.Repeat("Testo\r\n", 300_000)
	}
	s := openInbox(t, startScript(t, uidLast(func(uid string) string { return "Message-ID: <" + uid + "@x>\r\n\r\n" })).config())
	list := heads(t, s, 0)
	if got := uidsOf(list); !slices.Equal(got, []uint32{7, 8, 9}) {
		t.Fatalf("Heads: %v; want 7, 8, 9", got)
	}
	for _, h := range list {
		if got := h.Header.Values("Message-ID"); !slices.Equal(got, []string{fmt.Sprintf("<%d@x>", h.UID)}) {
			t.Errorf("head %d: %q", h.UID, got)
		}
	}
	if got := fetchAll(t, s, 7, 9); !slices.Equal(got, []string{"Message-ID: <7@x>\r\n\r\n", "Message-ID: <9@x>\r\n\r\n"}) {
		t.Errorf("Fetch(7, 9): %q", got)
	}

	// By then it is known, and what is large is not thrown away first.
	large := startScript(t, uidLast(content))
	s = openInbox(t, large.config())
	large.mu.Lock()
	small := uidLast(func(string) string { return "a: b\r\n\r\n" })
	for command, f := range small {
		large.on[command] = f
	}
	large.mu.Unlock()
	heads(t, s, 0)
	large.mu.Lock()
	for command, f := range uidLast(content) {
		large.on[command] = f
	}
	large.mu.Unlock()
	if got := fetchAll(t, s, 8); !slices.Equal(got, []string{content("8")}) {
		t.Errorf("Fetch(8): %d messages, or not as it was", len(got))
	}
}

// TestUnheard: a message is gone if the server says so, and not if it only fails to
// answer.
func TestUnheard(t *testing.T) {
	gone := handlers{
		"UID FETCH":  answer("* 1 FETCH (UID 7 BODY[] {1}\r\nx)", "TAG OK"),
		"UID SEARCH": answer("* SEARCH 7", "TAG OK"),
	}
	if got := fetchAll(t, openInbox(t, startScript(t, gone).config()), 7, 8); !slices.Equal(got, []string{"x"}) {
		t.Errorf("Fetch(7, 8), 8 being gone: %q", got)
	}
	for name, on := range map[string]handlers{
		"never given":     {"UID FETCH": answer("TAG OK"), "FETCH": answer("TAG OK"), "SEARCH": answer("* SEARCH 1", "TAG OK")},
		"not numbered":    {"UID FETCH": answer("TAG OK"), "SEARCH": answer("TAG OK")},
		"many numbers":    {"UID FETCH": answer("TAG OK"), "SEARCH": answer("* SEARCH 1 2 3", "TAG OK")},
		"number 0":        {"UID FETCH": answer("TAG OK"), "SEARCH": answer("* SEARCH 0", "TAG OK"), "FETCH": answer("* 3 FETCH (BODY[] {1}\r\nx UID 9)", "TAG OK")},
		"another message": {"UID FETCH": answer("TAG OK"), "SEARCH": answer("* SEARCH 1", "TAG OK"), "FETCH": answer("* 1 FETCH (BODY[] {1}\r\nx UID 9)", "TAG OK")},
		"search refused":  {"UID FETCH": answer("TAG OK"), "UID SEARCH": answer("TAG NO")},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := tryFetch(t.Context(), openInbox(t, startScript(t, on).config()), 7); err == nil {
				t.Errorf("Fetch: %q; want an error", got)
			}
		})
	}
}
