package imapbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/pec"
)

// heads returns the heads after a UID.
func heads(t *testing.T, s dispatch.MailboxSession, after uint32) []dispatch.MailHead {
	t.Helper()
	var list []dispatch.MailHead
	for h, err := range s.Heads(t.Context(), after) {
		if err != nil {
			t.Fatalf("Heads(%d): %v", after, err)
		}
		list = append(list, h)
	}
	return list
}

func uidsOf(list []dispatch.MailHead) []uint32 {
	var uids []uint32
	for _, h := range list {
		uids = append(uids, h.UID)
	}
	return uids
}

// capSets are the ways in which servers list messages.
var capSets = map[string]imap.CapSet{
	"SEARCH":  rev1,
	"ESEARCH": {imap.CapIMAP4rev1: {}, imap.CapUIDPlus: {}, imap.CapESearch: {}},
	"rev2":    {imap.CapIMAP4rev2: {}},
}

// TestHeads reads heads good and bad.
func TestHeads(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	messages := []struct{ name, message, field, want string }{
		{"receipt", "X-Ricevuta: accettazione\r\nSubject: a\r\n\r\nb\r\n", pec.HeaderReceipt, "accettazione"},
		{"folded", "X-Riferimento-Message-ID:\r\n\t<1@pec.alfa.example>\r\n\r\n", pec.HeaderReference, "<1@pec.alfa.example>"},
		{"folded in the middle", "Content-Type: multipart/report;\r\n  report-type=x\r\n\r\n", "Content-Type", "multipart/report; report-type=x"},
		{"twice", "X-Ricevuta: a\r\nX-Ricevuta: b\r\n\r\n", pec.HeaderReceipt, "a|b"},
		{"case of the name", "x-trasporto: Errore\r\n\r\n", pec.HeaderTransport, "Errore"},
		{"no field", "what is this?\r\n\r\nb\r\n", pec.HeaderReceipt, ""},
		{"line that is no field", "X-Ricevuta: accettazione\r\nnonsense\r\nMessage-ID: <2@x>\r\n\r\n", "Message-ID", "<2@x>"},
		{"8-bit", "X-Ricevuta: citt\xe0\r\n\r\n", pec.HeaderReceipt, "citt\xe0"},
		{"bare LF", "X-Ricevuta: accettazione\nMessage-ID: <3@x>\n\nb\n", "Message-ID", "<3@x>"},
		{"white space before the first field", " X-Ricevuta: accettazione\r\n\r\n", pec.HeaderReceipt, ""},
		{"nothing", "\r\n", pec.HeaderReceipt, ""},
		{"1 MB of field", "Message-ID: <4@x>\r\nContent-Type: " + long + "\r\nX-Ricevuta: accettazione\r\n\r\n", "Message-ID", "<4@x>"},
		{"after 1 MB of field", "Content-Type: " + long + "\r\nX-Ricevuta: accettazione\r\n\r\n", pec.HeaderReceipt, ""},
		{"last", "REM-MessageType: receipt\r\n\r\n", "REM-MessageType", "receipt"},
	}
	var raw []string
	for _, tt := range messages {
		raw = append(raw, tt.message)
	}
	got := heads(t, openInbox(t, startScript(t, these(raw)).config()), 0)
	if len(got) != len(messages) {
		t.Fatalf("Heads: %d heads; want %d", len(got), len(messages))
	}
	for i, tt := range messages {
		h := got[i]
		if h.UID != uint32(i+1) || h.Size != int64(len(tt.message)) || !h.Arrived.Equal(arrived) {
			t.Errorf("%s: UID %d, size %d, arrived %v", tt.name, h.UID, h.Size, h.Arrived)
		}
		if value := strings.Join(h.Header.Values(tt.field), "|"); value != tt.want {
			t.Errorf("%s: %s = %q; want %q", tt.name, tt.field, value, tt.want)
		}
		pec.Classify(h.Header)
	}
}

// TestHeadsAfter reads from the middle of folders with gaps.
func TestHeadsAfter(t *testing.T) {
	for name, caps := range capSets {
		t.Run(name, func(t *testing.T) {
			m := startMemory(t, caps)
			var all []uint32
			for i := range uint32(600) {
				m.deliver(t, "Subject: x\r\n\r\n")
				all = append(all, i+1)
			}
			gaps := []uint32{1, 2, 250, 251, 252, 599}
			m.expunge(t, gaps...)
			all = slices.DeleteFunc(all, func(uid uint32) bool { return slices.Contains(gaps, uid) })
			s := openInbox(t, m.config)
			for _, after := range []uint32{0, 1, 249, 250, 400, 598, 599, 600, 601, 1<<32 - 2, 1<<32 - 1} {
				want := all[sortedAfter(all, after):]
				if got := uidsOf(heads(t, s, after)); !slices.Equal(got, want) {
					t.Errorf("Heads(%d): %d heads, %v...; want %d", after, len(got), got[:min(len(got), 3)], len(want))
				}
			}
		})
	}
}

func sortedAfter(uids []uint32, after uint32) int {
	i := slices.IndexFunc(uids, func(uid uint32) bool { return uid > after })
	if i < 0 {
		return len(uids)
	}
	return i
}

// TestHeadsInLoop: the loop may use the session, and may be left.
func TestHeadsInLoop(t *testing.T) {
	m := startMemory(t, rev1)
	for i := range 300 {
		m.deliver(t, fmt.Sprintf("Subject: %d\r\n\r\n", i))
	}
	s := openInbox(t, m.config)
	n := 0
	for h, err := range s.Heads(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if got := fetch(t, s, h.UID); got != fmt.Sprintf("Subject: %d\r\n\r\n", h.UID-1) {
			t.Fatalf("Fetch(%d) within Heads = %q", h.UID, got)
		}
		if n++; n == 260 {
			break
		}
	}
	if got := len(heads(t, s, 260)); n != 260 || got != 40 {
		t.Errorf("%d heads in the loop and %d after it; want 260 and 40", n, got)
	}
}

// TestHeadsManyMessages lists a folder of 100,000 messages.
func TestHeadsManyMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short: the folder of 100,000 messages was not listed")
	}
	const total = 100_000
	s := openInbox(t, startScript(t, holding(total, func(uid imap.UID) string {
		return fmt.Sprintf("X-Ricevuta: avvenuta-consegna\r\nMessage-ID: <%d@pec.beta.example>\r\n\r\n", uid)
	})).config())
	var first, most uint64
	next := uint32(1)
	for h, err := range s.Heads(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if h.UID != next {
			t.Fatalf("UID %d; want %d", h.UID, next)
		}
		if next++; next%20_000 == 0 {
			heap := heapInUse()
			if first == 0 {
				first = heap
			}
			most = max(most, heap)
		}
	}
	if next != total+1 {
		t.Errorf("%d heads; want %d", next-1, total)
	}
	if grown := int64(most) - int64(first); grown > 4<<20 {
		t.Errorf("memory grew by %d bytes from message 20,000 to 100,000", grown)
	}
}

// TestHeadsManyGaps: a list of messages may be longer than anything else that a
// server says.
func TestHeadsManyGaps(t *testing.T) {
	s := openInbox(t, startScript(t, holding(300_000, func(uid imap.UID) string { return "a: b\r\n\r\n" })).config())
	for h, err := range s.Heads(t.Context(), 299_990) {
		if err != nil || h.UID != 299_991 {
			t.Errorf("Heads(299990): UID %d, %v; want 299991", h.UID, err)
		}
		break
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// TestHeadsRefused: a message that the server can't read does not hide the others.
func TestHeadsRefused(t *testing.T) {
	refuse := func(bad ...string) handlers {
		return handlers{"UID FETCH": func(x *peer, tag, arguments string) error {
			set, _, _ := strings.Cut(arguments, " ")
			for _, uid := range bad {
				if set == "7:9" || set == uid {
					x.say("%s NO [SERVERBUG] message %s of %s is broken", tag, uid, username)
					return nil
				}
			}
			return x.usual(tag, "UID FETCH", arguments)
		}}
	}
	t.Run("one", func(t *testing.T) {
		s := openInbox(t, startScript(t, refuse("8")).config())
		var good []uint32
		for h, err := range s.Heads(t.Context(), 0) {
			var refused *imapbox.ReplyError
			switch {
			case err == nil:
				good = append(good, h.UID)
			case h.UID != 8 || !errors.As(err, &refused) || strings.Contains(err.Error(), "@"):
				t.Errorf("Heads: UID %d, %v; want a ReplyError for UID 8", h.UID, err)
			}
		}
		if !slices.Equal(good, []uint32{7, 9}) {
			t.Errorf("Heads: %v; want 7 and 9", good)
		}
		if got := fetch(t, s, 9); got != scriptMessage {
			t.Errorf("Fetch(9) = %q", got)
		}
	})
	t.Run("all", func(t *testing.T) {
		s := openInbox(t, startScript(t, refuse("7", "8", "9")).config())
		var got []string
		for h, err := range s.Heads(t.Context(), 0) {
			got = append(got, fmt.Sprint(h.UID, err))
		}
		if len(got) != 1 || !strings.HasPrefix(got[0], "0 imapbox: ") {
			t.Errorf("Heads: %q; want one error, about no message", got)
		}
	})
}

// TestHeadsUnaskedFlags: what the server says of a message unasked is not taken
// for its head.
func TestHeadsUnaskedFlags(t *testing.T) {
	once := true
	s := openInbox(t, startScript(t, handlers{"UID FETCH": func(x *peer, tag, arguments string) error {
		if once {
			x.say(`* 2 FETCH (UID 8 FLAGS (\Seen))`)
			x.say(`* 4 FETCH (UID 5 FLAGS (\Seen))`)
		}
		once = false
		return x.usual(tag, "UID FETCH", arguments)
	}}).config())
	if got := uidsOf(heads(t, s, 0)); !reflect.DeepEqual(got, []uint32{7, 8, 9}) {
		t.Errorf("Heads: UIDs %d; want 7, 8, 9", got)
	}
}

// TestHeadsBroken: what breaks the listing ends it, with an error.
func TestHeadsBroken(t *testing.T) {
	flood := func(x *peer, _, _ string) error {
		for {
			if _, err := io.WriteString(x.conn, "* OK "+strings.Repeat("a", 1000)+"\r\n"); err != nil {
				return err
			}
		}
	}
	tests := []struct {
		name string
		on   handlers
	}{
		{"search refused", handlers{"UID SEARCH": answer("TAG BAD no")}},
		{"cut in the search", handlers{"UID SEARCH": cut("* SEARCH 7 8")}},
		{"cut before a head", handlers{"UID FETCH": hangUp}},
		{"cut in a head", handlers{"UID FETCH": cut("* 1 FETCH (UID 7 BODY[HEADER.FIELDS (X-Ricevuta)] {100}\r\nX-Ric")}},
		{"cut after a head", handlers{"UID FETCH": cut("* 1 FETCH (UID 7 BODY[HEADER.FIELDS (X-Ricevuta)] {2}\r\n\r\n)\r\n")}},
		{"fetch is bad", handlers{"UID FETCH": answer("TAG BAD what?")}},
		{"head never comes", handlers{"UID FETCH": answer("* 1 FETCH (UID 7 RFC822.SIZE 5)", "TAG OK")}},
		{"nonsense", handlers{"UID FETCH": answer("hello")}},
		{"another's tag", handlers{"UID FETCH": answer("XYZ OK " + username)}},
		{"flood", handlers{"UID FETCH": flood}},
		{"line without end", handlers{"UID FETCH": func(x *peer, _, _ string) error {
			io.WriteString(x.conn, "* OK ")
			for {
				if _, err := io.WriteString(x.conn, strings.Repeat("a", 1<<16)); err != nil {
					return err
				}
			}
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := openInbox(t, startScript(t, tt.on).config())
			var last error
			for _, err := range s.Heads(context.Background(), 0) {
				last = err
			}
			if last == nil || !strings.HasPrefix(last.Error(), "imapbox: ") || len(last.Error()) > 1200 {
				t.Errorf("Heads ended with %v; want an error", last)
			}
			s.Close()
		})
	}
}
