package imapbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
)

// fetch returns one message.
func fetch(t *testing.T, s dispatch.MailboxSession, uid uint32) string {
	t.Helper()
	got, err := tryFetch(t.Context(), s, uid)
	if err != nil {
		t.Fatalf("Fetch(%d): %v", uid, err)
	}
	return got
}

func tryFetch(ctx context.Context, s dispatch.MailboxSession, uids ...uint32) (string, error) {
	var got strings.Builder
	err := s.Fetch(ctx, uids, func(uid uint32, size int64, r io.Reader) error {
		n, err := io.Copy(&got, r)
		if err == nil && n != size {
			return fmt.Errorf("message %d: %d bytes; said to have %d", uid, n, size)
		}
		return err
	})
	return got.String(), err
}

// TestFetch: messages come byte for byte, and stay as they were.
func TestFetch(t *testing.T) {
	big := make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{}).Read(big)
	messages := []string{
		"Subject: x\r\n\r\nTesto\r\n",
		"Subject: x\n\nbare LF\n",
		"Subject: x\r\n\r\n8-bit \xe0\xff, NUL \x00, no line end",
		"x",
		"Subject: x\r\n\r\n" + string(big),
	}
	s := openInbox(t, startScript(t, these(messages)).config())
	for i, want := range messages {
		if got := fetch(t, s, uint32(i+1)); got != want {
			t.Errorf("Fetch(%d): %d bytes, not those of the message (%d)", i+1, len(got), len(want))
		}
	}
	if all := fetchAll(t, s, 1, 2, 3, 4, 5); !slices.Equal(all, messages) {
		t.Errorf("Fetch of all: %d messages, or not as they were", len(all))
	}
}

// TestNothingIsMarked: people see no message as read because this package was
// there.
func TestNothingIsMarked(t *testing.T) {
	m := startMemory(t, rev1)
	m.deliver(t, "a: 1\r\n\r\n", "a: 2\r\n\r\n", "a: 3\r\n\r\n")
	s := openInbox(t, m.config)
	heads(t, s, 0)
	fetchAll(t, s, 1, 2, 3)
	if err := s.Remove(t.Context(), 3); err != nil { // the folder is open for writing now
		t.Fatal(err)
	}
	heads(t, s, 0)
	fetchAll(t, s, 1, 2)
	s.Close()
	if n := m.unseen(t); n != 2 {
		t.Errorf("%d messages unseen; want 2", n)
	}
}

func fetchAll(t *testing.T, s dispatch.MailboxSession, uids ...uint32) []string {
	t.Helper()
	var all []string
	err := s.Fetch(t.Context(), uids, func(_ uint32, _ int64, r io.Reader) error {
		b, err := io.ReadAll(r)
		all = append(all, string(b))
		return err
	})
	if err != nil {
		t.Fatalf("Fetch(%d): %v", uids, err)
	}
	return all
}

// TestFetchMany fetches more messages than fit into one command.
func TestFetchMany(t *testing.T) {
	m := startMemory(t, rev1)
	var uids, got []uint32
	for i := range uint32(250) {
		m.deliver(t, fmt.Sprintf("Subject: %d\r\n\r\n", i+1))
		uids = append(uids, i+1)
	}
	s := openInbox(t, m.config)
	err := s.Fetch(t.Context(), uids, func(uid uint32, _ int64, r io.Reader) error {
		got = append(got, uid)
		return nil // without reading
	})
	if err != nil || !slices.Equal(got, uids) {
		t.Errorf("Fetch: %d messages, %v; want %d", len(got), err, len(uids))
	}
}

// TestFetchGone: another client removes messages after they were listed.
func TestFetchGone(t *testing.T) {
	m := startMemory(t, rev1)
	m.deliver(t, "a: 1\r\n\r\n", "a: 2\r\n\r\n", "a: 3\r\n\r\n")
	s := openInbox(t, m.config)
	if got := uidsOf(heads(t, s, 0)); len(got) != 3 {
		t.Fatalf("Heads: %d", got)
	}
	m.expunge(t, 2)
	if got := fetchAll(t, s, 1, 2, 3); !slices.Equal(got, []string{"a: 1\r\n\r\n", "a: 3\r\n\r\n"}) {
		t.Errorf("Fetch(1, 2, 3), 2 being gone: %q", got)
	}
	if got := fetchAll(t, s, 2); len(got) != 0 {
		t.Errorf("Fetch(2), gone: %q", got)
	}
}

// TestFetchCallersError: an error of the caller's is the caller's.
func TestFetchCallersError(t *testing.T) {
	full := errors.New("disk full")
	for _, read := range []int64{0, 3, 1 << 30} {
		s := openInbox(t, startScript(t, these([]string{"a: 1\r\n\r\n", "a: 2\r\n\r\n" + strings.Repeat("x", 1<<20), "a: 3\r\n\r\n"})).config())
		calls := 0
		err := s.Fetch(t.Context(), []uint32{1, 2, 3}, func(uid uint32, _ int64, r io.Reader) error {
			calls++
			if uid == 1 {
				return nil
			}
			io.CopyN(io.Discard, r, read)
			return full
		})
		if !errors.Is(err, full) || calls != 2 {
			t.Errorf("Fetch, %d bytes read: %v after %d calls; want the caller's error after 2", read, err, calls)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

// TestFetchCut cuts the connection at every byte of the answer, up to the OK.
func TestFetchCut(t *testing.T) {
	body := "a: b\r\n\r\nTesto\r\n"
	whole := fmt.Sprintf("* 1 FETCH (UID 7 BODY[] {%d}\r\n%s)\r\nTAG OK done\r\n", len(body), body)
	for end := range strings.LastIndex(whole, "OK") {
		said := whole[:end]
		s := openInbox(t, startScript(t, handlers{"UID FETCH": cut(said)}).config())
		got, err := tryFetch(t.Context(), s, 7)
		if err == nil {
			t.Errorf("Fetch of %q: no error, message %q", said, got)
		}
		if !strings.HasPrefix(body, got) {
			t.Errorf("Fetch of %q: message %q", said, got)
		}
		s.Close()
	}
}

// TestFetchCutIsToldToReader: who reads the message learns that it is not whole.
func TestFetchCutIsToldToReader(t *testing.T) {
	s := openInbox(t, startScript(t, handlers{"UID FETCH": cut("* 1 FETCH (UID 7 BODY[] {1000}\r\nabcd")}).config())
	var told error
	err := s.Fetch(t.Context(), []uint32{7}, func(_ uint32, size int64, r io.Reader) error {
		var b bytes.Buffer
		_, told = b.ReadFrom(r)
		if size != 1000 || b.String() != "abcd" {
			t.Errorf("size %d, content %q", size, b.String())
		}
		if n, again := r.Read(make([]byte, 10)); n != 0 || again != told {
			t.Errorf("Read after the end: %d, %v", n, again)
		}
		return nil // swallowed
	})
	if told == nil || err == nil {
		t.Errorf("cut short: the reader was told %v, Fetch returned %v; want errors", told, err)
	}
}

// TestFetchLies: answers that are no answers.
func TestFetchLies(t *testing.T) {
	tests := []struct {
		name string
		on   handlers
		want string // what is fetched; "" for an error
	}{
		{"no content", handlers{"UID FETCH": answer("* 1 FETCH (UID 7 BODY[] NIL)", "TAG OK")}, ""},
		{"refused", handlers{"UID FETCH": answer("TAG NO [SERVERBUG] broken")}, ""},
		{"flags only", handlers{"UID FETCH": answer(`* 1 FETCH (UID 7 FLAGS (\Seen))`, "TAG OK")}, ""},
		{"another message", handlers{"UID FETCH": answer("* 2 FETCH (UID 8 BODY[] {1}\r\nx)", "* 1 FETCH (UID 7 BODY[] {1}\r\ny)", "TAG OK")}, "y"},
		{"twice", handlers{"UID FETCH": answer("* 1 FETCH (UID 7 BODY[] {1}\r\nx)", "* 1 FETCH (UID 7 BODY[] {1}\r\ny)", "TAG OK")}, "x"},
		{"quoted", handlers{"UID FETCH": answer(`* 1 FETCH (UID 7 BODY[] "xyz")`, "TAG OK")}, "xyz"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := openInbox(t, startScript(t, tt.on).config())
			got, err := tryFetch(t.Context(), s, 7)
			if (err == nil) != (tt.want != "") || err == nil && got != tt.want {
				t.Errorf("Fetch: %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	t.Run("UID 0", func(t *testing.T) {
		x := startScript(t, nil)
		if _, err := tryFetch(t.Context(), openInbox(t, x.config()), 0); err == nil || x.saw("UID FETCH") {
			t.Errorf("Fetch(0): %v; want an error, and no command: 0 is * to the library", err)
		}
	})
}

// TestFetchSlowReader: a caller who takes his time is not a server that is silent.
func TestFetchSlowReader(t *testing.T) {
	m := startMemory(t, rev1)
	m.deliver(t, "a: b\r\n\r\n"+strings.Repeat("x", 1<<20))
	m.config.CommandTimeout = shortly
	s := openInbox(t, m.config)
	done := make(chan struct{})
	err := s.Fetch(t.Context(), []uint32{1}, func(_ uint32, _ int64, r io.Reader) error {
		// Another session with the same time-out runs into it meanwhile.
		x := startScript(t, handlers{"EXAMINE": silent})
		config := x.config()
		config.CommandTimeout = 2 * shortly
		if _, err := open(t, config).Select(t.Context(), "INBOX"); err == nil {
			t.Error("Select: no error")
		}
		close(done)
		_, err := io.Copy(io.Discard, r)
		return err
	})
	<-done
	if err != nil {
		t.Errorf("Fetch: %v", err)
	}
}
