package imapbox_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
)

func TestSelect(t *testing.T) {
	m := startMemory(t, rev1)
	m.deliver(t, "a: 1\r\n\r\n", "a: 2\r\n\r\n")
	s := open(t, m.config)
	first, err := s.Select(t.Context(), "INBOX")
	if err != nil || first.Messages != 2 || first.UIDValidity == 0 {
		t.Errorf("Select: %+v, %v; want 2 messages and a UIDVALIDITY", first, err)
	}
	var refused *imapbox.ReplyError
	if _, err := s.Select(t.Context(), "Nessuna"); !errors.Is(err, dispatch.ErrFolder) || !errors.As(err, &refused) || refused.Code != "NONEXISTENT" || !strings.Contains(err.Error(), `"Nessuna"`) {
		t.Errorf("Select of a folder that is not there: %v; want NO [NONEXISTENT], and the name", err)
	}
	if err := s.Remove(t.Context(), 1); err == nil {
		t.Error("Remove with no folder selected: no error")
	}

	if err := errors.Join(m.Delete("INBOX"), m.Create("INBOX", nil)); err != nil {
		t.Fatal(err)
	}
	again, err := s.Select(t.Context(), "INBOX")
	if err != nil || again.Messages != 0 || again.UIDValidity == first.UIDValidity {
		t.Errorf("Select of a folder made anew: %+v, %v; want another UIDVALIDITY than %d", again, err, first.UIDValidity)
	}
}

func TestSelectWithoutUIDValidity(t *testing.T) {
	s := open(t, startScript(t, handlers{"EXAMINE": answer("* 3 EXISTS", "TAG OK")}).config())
	if folder, err := s.Select(t.Context(), "INBOX"); err == nil {
		t.Errorf("Select: %+v; want an error", folder)
	}
}

// TestNoFolder: nothing is done to a folder that nobody selected.
func TestNoFolder(t *testing.T) {
	m := startMemory(t, rev1)
	m.deliver(t, "a: 1\r\n\r\n")
	s := open(t, m.config)
	for _, err := range s.Heads(t.Context(), 0) {
		if err == nil {
			t.Error("Heads with no folder selected: no error")
		}
	}
	if _, err := tryFetch(t.Context(), s, 1); err == nil {
		t.Error("Fetch with no folder selected: no error")
	}
	if err := s.Wait(t.Context(), time.Hour); err == nil {
		t.Error("Wait with no folder selected: no error")
	}
}

func TestAppend(t *testing.T) {
	m := startMemory(t, rev1)
	if err := m.Create("Inviata", nil); err != nil {
		t.Fatal(err)
	}
	s := openInbox(t, m.config)
	texts := []string{"Subject: x\r\n\r\nTesto\r\n", "Subject: y\r\n\r\n" + strings.Repeat("Testo\r\n", 100_000)}
	for _, text := range texts {
		if err := s.Append(t.Context(), "Inviata", int64(len(text)), strings.NewReader(text)); err != nil {
			t.Fatalf("Append: %v", err)
		}
	}
	status, err := m.Status("Inviata", &imap.StatusOptions{NumMessages: true, NumUnseen: true})
	if err != nil || *status.NumMessages != 2 || *status.NumUnseen != 0 {
		t.Errorf("status %+v, %v; want 2 messages, marked as read", status, err)
	}
	if _, err := s.Select(t.Context(), "Inviata"); err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		if got := fetch(t, s, uint32(i+1)); got != text {
			t.Errorf("message %d: %d bytes; want %d", i+1, len(got), len(text))
		}
	}
}

// TestAppendFails: a message is put into a folder whole, or not at all.
func TestAppendFails(t *testing.T) {
	text := strings.Repeat("Testo\r\n", 10_000)
	broken := errors.New("disk broken")
	tests := []struct {
		name string
		size int
		r    io.Reader
		is   error
	}{
		{"too short", len(text) + 1, strings.NewReader(text), nil},
		{"too long", len(text) - 1, strings.NewReader(text), nil},
		{"can't be read", len(text), io.MultiReader(strings.NewReader(text[:9999]), failing{broken}), broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			whole := false
			x := startScript(t, handlers{"APPEND": func(x *peer, _, _ string) error {
				x.say("+ go on")
				n, _ := io.CopyN(io.Discard, x.r, int64(tt.size)+2) // with the end of the command
				whole = n == int64(tt.size)+2
				return io.EOF
			}})
			s := openInbox(t, x.config())
			err := s.Append(t.Context(), "INBOX", int64(tt.size), tt.r)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("Append: %v; want an error", err)
			}
			if _, err := s.Select(t.Context(), "INBOX"); err == nil {
				t.Error("the session went on")
			}
			s.Close()
			if x.stop(); whole {
				t.Error("the command was completed")
			}
		})
	}
	t.Run("folder can't be made", func(t *testing.T) {
		s := openInbox(t, startScript(t, handlers{
			"STATUS": answer("TAG NO [NONEXISTENT] no such folder"),
			"CREATE": answer("TAG NO [NOPERM] not here"),
			"APPEND": answer("TAG NO [TRYCREATE] no such folder"),
		}).config())
		var refused *imapbox.ReplyError
		err := s.Append(t.Context(), "Nessuna", int64(len(text)), strings.NewReader(text))
		if !errors.Is(err, dispatch.ErrMailboxRefused) || !errors.As(err, &refused) || refused.Code != "NOPERM" {
			t.Errorf("Append: %v; want the refusal of CREATE", err)
		}
		if _, err := s.Select(t.Context(), "INBOX"); err != nil {
			t.Errorf("Select afterwards: %v; want the session to go on", err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		for _, on := range []handlers{
			{"APPEND": answer("TAG NO [OVERQUOTA] " + username + " is full")},
			{"APPEND": func(x *peer, tag, _ string) error {
				x.say("+ go on")
				io.CopyN(io.Discard, x.r, int64(len(text))+2)
				x.say("%s NO [OVERQUOTA] %s is full", tag, username)
				return nil
			}},
		} {
			s := openInbox(t, startScript(t, on).config())
			var refused *imapbox.ReplyError
			err := s.Append(t.Context(), "INBOX", int64(len(text)), strings.NewReader(text))
			if !errors.As(err, &refused) || refused.Code != "OVERQUOTA" || strings.Contains(err.Error(), "@") {
				t.Errorf("Append: %v; want NO [OVERQUOTA]", err)
			}
			_, selected := s.Select(t.Context(), "INBOX")
			if selected != nil && strings.Contains(selected.Error(), "@") {
				t.Errorf("Select afterwards: %v", selected)
			}
			if goesOn := errors.Is(err, dispatch.ErrMailboxRefused); goesOn != (selected == nil) {
				t.Errorf("Append: %v; Select afterwards: %v; want the former to say whether the session goes on", err, selected)
			}
			s.Close()
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestRemove: one message goes, and nothing else, whatever others have marked.
func TestRemove(t *testing.T) {
	m := startMemory(t, rev1)
	m.deliver(t, "a: 1\r\n\r\n", "a: 2\r\n\r\n", "a: 3\r\n\r\n")
	if _, err := m.Append("INBOX", strings.NewReader("a: 4\r\n\r\n"), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagDeleted}}); err != nil {
		t.Fatal(err)
	}
	s := openInbox(t, m.config)
	for range 2 { // the second time it is gone, which is no error
		if err := s.Remove(t.Context(), 2); err != nil {
			t.Errorf("Remove(2): %v", err)
		}
	}
	if got := uidsOf(heads(t, s, 0)); len(got) != 3 || got[0] != 1 || got[1] != 3 || got[2] != 4 {
		t.Errorf("messages left: %d; want 1, 3, 4", got)
	}
	if err := s.Remove(t.Context(), 0); err == nil {
		t.Error("Remove(0): no error")
	}
	s.Close()
	if got := uidsOf(heads(t, openInbox(t, m.config), 0)); len(got) != 3 {
		t.Errorf("messages left after Close: %d; want 1, 3, 4", got)
	}
}

func TestRemoveRefused(t *testing.T) {
	tests := []struct {
		name, reason string
		caps         string
		on           handlers
		stored       bool // a STORE is all right
		over         bool // the session ends
	}{
		{"no UIDPLUS", "EXPUNGE would take what others marked", fewCaps, nil, false, false},
		{"folder made anew", "the UID names another message", allCaps, handlers{
			"SELECT": answer("* 3 EXISTS\r\n* OK [UIDVALIDITY 18] x", "TAG OK"),
		}, false, true},
		{"not for writing", "", allCaps, handlers{"SELECT": answer("TAG NO no")}, false, false},
		{"STORE refused", "", allCaps, handlers{"UID STORE": answer("TAG NO [READ-ONLY] no")}, true, false},
		{"message stays", "the server says OK and does nothing", allCaps, nil, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := startScript(t, tt.on, withCaps(tt.caps))
			s := openInbox(t, x.config())
			err := s.Remove(t.Context(), 8)
			if err == nil || errors.Is(err, dispatch.ErrMailboxRefused) == tt.over {
				t.Errorf("Remove: %v; %s", err, tt.reason)
			}
			if raw, err := tryFetch(t.Context(), s, 8); !tt.over && (err != nil || raw == "") {
				t.Errorf("Fetch afterwards: %q, %v; want the session to go on", raw, err)
			}
			x.stop()
			if x.saw("EXPUNGE") || !tt.stored && (x.saw("UID STORE") || x.saw("UID EXPUNGE")) {
				t.Errorf("server heard %q", x.heard)
			}
		})
	}
}

func TestSpace(t *testing.T) {
	tests := []struct {
		name, caps  string
		lines       []string
		used, limit int64
		ok          bool
	}{
		{"told", allCaps, []string{`* QUOTAROOT INBOX ""`, `* QUOTA "" (STORAGE 10 512)`}, 10 << 10, 512 << 10, true},
		{"messages only", allCaps, []string{`* QUOTAROOT INBOX ""`, `* QUOTA "" (MESSAGE 10 512)`}, 0, 0, false},
		{"two roots", allCaps, []string{`* QUOTAROOT INBOX a b`, `* QUOTA a (STORAGE 10 512)`, `* QUOTA b (STORAGE 90 100)`}, 90 << 10, 100 << 10, true},
		{"no quota", allCaps, []string{`* QUOTAROOT INBOX`}, 0, 0, false},
		{"no limit", allCaps, []string{`* QUOTAROOT INBOX ""`, `* QUOTA "" (STORAGE 10 0)`}, 0, 0, false},
		{"absurd", allCaps, []string{`* QUOTAROOT INBOX ""`, `* QUOTA "" (STORAGE 10 9223372036854775807)`}, 0, 0, false},
		{"not offered", fewCaps, nil, 0, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := startScript(t, handlers{"GETQUOTAROOT": answer(append(tt.lines, "TAG OK")...)}, withCaps(tt.caps))
			used, limit, ok, err := open(t, x.config()).Space(t.Context())
			if used != tt.used || limit != tt.limit || ok != tt.ok || err != nil {
				t.Errorf("Space = %d, %d, %t, %v; want %d, %d, %t", used, limit, ok, err, tt.used, tt.limit, tt.ok)
			}
		})
	}
}

// commands are all that a session can do, by the command in which a server can
// leave it hanging.
var commands = []struct {
	command string
	on      func(x *peer, tag string) // what the server says before it falls silent
	do      func(context.Context, dispatch.MailboxSession) error
}{
	{"EXAMINE", nil, func(ctx context.Context, s dispatch.MailboxSession) error {
		_, err := s.Select(ctx, "INBOX")
		return err
	}},
	{"UID SEARCH", nil, listAll},
	{"UID FETCH", nil, listAll},
	{"UID FETCH", func(x *peer, _ string) {
		x.say("* 1 FETCH (UID 7 BODY[] {1000}\r\nabc")
	}, listAll},
	{"UID FETCH", nil, fetchSeven},
	{"UID FETCH", func(x *peer, _ string) {
		x.say("* 1 FETCH (UID 7 BODY[] {1000}\r\nabc")
	}, fetchSeven},
	{"UID FETCH", func(x *peer, _ string) {
		x.say("* 1 FETCH (UID 7 BODY[] {3}\r\nabc)")
	}, fetchSeven},
	{"IDLE", nil, wait},
	{"IDLE", func(x *peer, _ string) { x.say("+ idling\r\n* 4 EXISTS") }, wait},
	{"STATUS", nil, appendOne},
	{"APPEND", nil, appendOne},
	{"APPEND", func(x *peer, _ string) { x.say("+ go on") }, appendOne},
	{"SELECT", nil, removeEight},
	{"UID STORE", nil, removeEight},
	{"UID EXPUNGE", nil, removeEight},
	{"GETQUOTAROOT", nil, func(ctx context.Context, s dispatch.MailboxSession) error {
		_, _, _, err := s.Space(ctx)
		return err
	}},
}

func listAll(ctx context.Context, s dispatch.MailboxSession) error {
	if _, err := s.Select(ctx, "INBOX"); err != nil {
		return err
	}
	for _, err := range s.Heads(ctx, 0) {
		if err != nil {
			return err
		}
	}
	return nil
}

func fetchSeven(ctx context.Context, s dispatch.MailboxSession) error {
	if _, err := s.Select(ctx, "INBOX"); err != nil {
		return err
	}
	_, err := tryFetch(ctx, s, 7)
	return err
}

func wait(ctx context.Context, s dispatch.MailboxSession) error {
	if _, err := s.Select(ctx, "INBOX"); err != nil {
		return err
	}
	return s.Wait(ctx, time.Hour)
}

func appendOne(ctx context.Context, s dispatch.MailboxSession) error {
	text := strings.Repeat("Testo\r\n", 1000)
	return s.Append(ctx, "INBOX", int64(len(text)), strings.NewReader(text))
}

func removeEight(ctx context.Context, s dispatch.MailboxSession) error {
	if _, err := s.Select(ctx, "INBOX"); err != nil {
		return err
	}
	return s.Remove(ctx, 8)
}

// TestSilentServer: no command waits for ever.
func TestSilentServer(t *testing.T) {
	for _, tt := range commands {
		t.Run(tt.command, func(t *testing.T) {
			t.Parallel()
			x := startScript(t, handlers{tt.command: func(x *peer, tag, _ string) error {
				if tt.on != nil {
					tt.on(x, tag)
				}
				return silent(x, "", "")
			}})
			config := x.config()
			config.CommandTimeout = shortly
			s := open(t, config)
			if err := tt.do(context.Background(), s); err == nil {
				t.Error("no error")
			}
			if _, err := s.Select(context.Background(), "INBOX"); err == nil {
				t.Error("the session went on")
			}
			s.Close()
		})
	}
}

// TestCanceled: every command ends with its context.
func TestCanceled(t *testing.T) {
	for _, tt := range commands {
		t.Run(tt.command, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			x := startScript(t, handlers{tt.command: func(x *peer, tag, _ string) error {
				if tt.on != nil {
					tt.on(x, tag)
				}
				cancel()
				return silent(x, "", "")
			}})
			s := open(t, x.config())
			if err := tt.do(ctx, s); !errors.Is(err, context.Canceled) {
				t.Errorf("%v; want context.Canceled", err)
			}
			s.Close()
		})
	}
}

// TestHungUp: a server that goes away in the middle is an error.
func TestHungUp(t *testing.T) {
	for _, tt := range commands {
		t.Run(tt.command, func(t *testing.T) {
			x := startScript(t, handlers{tt.command: func(x *peer, tag, _ string) error {
				if tt.on != nil {
					tt.on(x, tag)
				}
				return io.EOF
			}})
			s := open(t, x.config())
			if err := tt.do(t.Context(), s); err == nil {
				t.Error("no error")
			}
			s.Close()
		})
	}
}

// TestCloseTwice: closing is always possible, also of a server that says no
// goodbye.
func TestClose(t *testing.T) {
	for _, on := range []handlers{nil, {"LOGOUT": hangUp}, {"LOGOUT": answer("TAG NO stay")}, {"LOGOUT": answer("nonsense")}} {
		s := openInbox(t, startScript(t, on).config())
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if _, err := s.Select(t.Context(), "INBOX"); err == nil {
			t.Error("Select after Close: no error")
		}
	}
}
