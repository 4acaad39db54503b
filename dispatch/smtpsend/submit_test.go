package smtpsend_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
	"github.com/ceralacca/go-pec/pec"
)

// TestLateReply: the answer to one message must not be taken for that to the
// next.
func TestLateReply(t *testing.T) {
	late := make(chan struct{})
	p := startProvider(t, map[string]func(*peer) bool{"dot": func(x *peer) bool {
		x.accept()
		<-late
		x.say("250 2.0.0 the first one")
		return true
	}})
	config := p.config()
	config.FinalTimeout = shortly
	session := open(t, config)
	first := session.Submit(t.Context(), submission(message), commitOK)
	if first.Outcome != dispatch.OutcomeUnknown || !first.Broken {
		t.Errorf("Submit, unanswered = %s; want %s", describe(first), dispatch.OutcomeUnknown)
	}
	close(late)
	second := session.Submit(t.Context(), submission("Subject: 2\r\n\r\n"), func() error {
		t.Error("commit called for a message that can't be sent")
		return nil
	})
	if second.Outcome != dispatch.OutcomeNotSent {
		t.Errorf("Submit, after one that was not answered = %s; want %s", describe(second), dispatch.OutcomeNotSent)
	}
	session.Close()
	p.finish()
	if !slices.Equal(p.accepted, []string{message}) {
		t.Errorf("server took %q", p.accepted)
	}
}

// TestSubmitCanceled ends the context at every point.
func TestSubmitCanceled(t *testing.T) {
	type cancels struct {
		faults func(cancel context.CancelFunc) map[string]func(*peer) bool
		read   bool // canceled when the message is read
		commit bool // canceled in commit
	}
	at := func(command string, then func(*peer) bool) func(context.CancelFunc) map[string]func(*peer) bool {
		return func(cancel context.CancelFunc) map[string]func(*peer) bool {
			return map[string]func(*peer) bool{command: func(x *peer) bool {
				cancel()
				return then(x)
			}}
		}
	}
	tests := []struct {
		name string
		cancels
		want []dispatch.Outcome
	}{
		{"at MAIL", cancels{faults: at("MAIL", silent)}, []dispatch.Outcome{dispatch.OutcomeNotSent}},
		{"at DATA", cancels{faults: at("DATA", silent)}, []dispatch.Outcome{dispatch.OutcomeNotSent}},
		{"in the message", cancels{read: true}, []dispatch.Outcome{dispatch.OutcomeNotSent}},
		{"in commit", cancels{commit: true}, []dispatch.Outcome{dispatch.OutcomeNotSent}},
		{"after the dot", cancels{faults: at("dot", silent)}, []dispatch.Outcome{dispatch.OutcomeUnknown}},
		{"when it is accepted", cancels{faults: at("dot", func(x *peer) bool {
			x.accept()
			x.say("250 ok")
			return true
		})}, []dispatch.Outcome{dispatch.OutcomeUnknown, dispatch.OutcomeSubmitted}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var faults map[string]func(*peer) bool
			if tt.faults != nil {
				faults = tt.faults(cancel)
			}
			p := startProvider(t, faults)
			session := open(t, p.config())
			sub := submission(message)
			if tt.read {
				sub.Message = readerFunc(func(b []byte) (int, error) {
					cancel()
					return strings.NewReader(message).Read(b)
				})
				sub.Size = 1 << 30
			}
			got := session.Submit(ctx, sub, func() error {
				if tt.commit {
					cancel()
				}
				return nil
			})
			if !slices.Contains(tt.want, got.Outcome) || !got.Broken {
				t.Errorf("Submit = %s; want %s, broken", describe(got), tt.want)
			}
			if got.Err != nil && !errors.Is(got.Err, context.Canceled) {
				t.Errorf("Submit: error %v; want it to wrap context.Canceled", got.Err)
			}
			session.Close()
			p.finish()
			submissionRecord{result: got, committed: true, commits: 1}.check(t, p)
		})
	}

	t.Run("before", func(t *testing.T) {
		p := startProvider(t, nil)
		session := open(t, p.config())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got := session.Submit(ctx, submission(message), commitOK); got.Outcome != dispatch.OutcomeNotSent || got.Broken {
			t.Errorf("Submit = %s; want %s, the session unharmed", describe(got), dispatch.OutcomeNotSent)
		}
		if got := session.Submit(t.Context(), submission(message), commitOK); got.Outcome != dispatch.OutcomeSubmitted {
			t.Errorf("Submit, afterwards = %s; want %s", describe(got), dispatch.OutcomeSubmitted)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestMessageForm: what is not in canonical form never gets its dot.
func TestMessageForm(t *testing.T) {
	long := strings.Repeat("a", 998)
	tests := []struct {
		name, reason, message string
		ok                    bool
	}{
		{"longest line", "998 bytes and CRLF", long + "\r\n", true},
		{"dots", "each is doubled on the way", ".\r\n..\r\n.a\r\n\r\n.\r\n", true},
		{"line too long", "999 bytes", long + "a\r\n", false},
		{"lone LF", "the library would make CRLF of it, and the digest would be another's", "a: b\n\r\n", false},
		{"lone CR", "some servers take it for a line end", "a: b\rc\r\n", false},
		{"CR before CRLF", "the same", "a: b\r\r\n", false},
		{"smuggled end", "LF . LF ends a message for some servers", "a: b\r\n\r\nx\n.\nMAIL FROM:<>\r\n", false},
		{"smuggled end with CR", "so does CR . CR", "a: b\r\n\r\nx\r.\rMAIL FROM:<>\r\n", false},
		{"8-bit", "not declared, and changed by some", "a: \xe8\r\n", false},
		{"NUL", "cuts lines short for some", "a: \x00\r\n", false},
		{"no line end at the end", "the library would add one", "a: b\r\n\r\nx", false},
		{"CR at the end", "half a line end", "a: b\r\n\r\nx\r", false},
		{"nothing", "not a message", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := startProvider(t, nil)
			session := open(t, p.config())
			got := session.Submit(t.Context(), submission(tt.message), func() error {
				if !tt.ok {
					t.Errorf("commit called: %s", tt.reason)
				}
				return nil
			})
			session.Close()
			p.finish()
			switch {
			case tt.ok && got.Outcome != dispatch.OutcomeSubmitted:
				t.Errorf("Submit = %s; want %s: %s", describe(got), dispatch.OutcomeSubmitted, tt.reason)
			case tt.ok && !slices.Equal(p.accepted, []string{tt.message}):
				t.Errorf("server took %q; want %q", p.accepted, tt.message)
			case !tt.ok && (got.Outcome != dispatch.OutcomePermanent || !errors.Is(got.Err, smtpsend.ErrMessage)):
				t.Errorf("Submit = %s; want %s and ErrMessage: %s", describe(got), dispatch.OutcomePermanent, tt.reason)
			case !tt.ok && len(p.whole) > 0:
				t.Errorf("server saw a whole message: %s", tt.reason)
			}
		})
	}
}

// TestCommitBeforeDot: when commit is called, the server has no message yet.
func TestCommitBeforeDot(t *testing.T) {
	p := startProvider(t, nil)
	session := open(t, p.config())
	var text bytes.Buffer
	for text.Len() < 1<<20 {
		line := make([]byte, rand.IntN(300))
		for i := range line {
			line[i] = " .abcdefghi"[rand.IntN(11)]
		}
		text.Write(line)
		text.WriteString("\r\n")
	}
	got := session.Submit(t.Context(), submission(text.String()), func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.whole) > 0 {
			t.Error("the server saw the dot before commit")
		}
		return nil
	})
	session.Close()
	p.finish()
	if got.Outcome != dispatch.OutcomeSubmitted || len(p.accepted) != 1 || p.accepted[0] != text.String() {
		t.Errorf("Submit = %s; server took %d messages, or not what was sent", describe(got), len(p.accepted))
	}
}

// TestSessionReuse sends many messages over one connection, some refused.
func TestSessionReuse(t *testing.T) {
	p := startProvider(t, nil)
	session := open(t, p.config())
	for i := range 50 {
		var want dispatch.Outcome = dispatch.OutcomeSubmitted
		if i%5 == 3 {
			want = dispatch.OutcomePermanent
			p.mu.Lock()
			p.faults = map[string]func(*peer) bool{[]string{"MAIL", "RCPT", "DATA", "dot"}[i/5%4]: answer("550 5.1.1 no")}
			p.mu.Unlock()
		}
		if got := session.Submit(t.Context(), submission(message), commitOK); got.Outcome != want || got.Broken {
			t.Fatalf("Submit, message %d = %s; want %s", i, describe(got), want)
		}
	}
	if err := session.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	p.finish()
	if len(p.accepted) != 40 || len(p.peers) != 1 || p.heard[len(p.heard)-1] != "QUIT" {
		t.Errorf("%d messages over %d connections, at last %q; want 40, 1, QUIT", len(p.accepted), len(p.peers), p.heard[len(p.heard)-1])
	}
}

// TestReply: what a server says is kept, but harmless and short, and errors do
// not repeat it.
func TestReply(t *testing.T) {
	tests := []struct {
		name  string
		reply []string
		want  string
	}{
		{"status code and lines", []string{"550-5.1.1 <a@b.example>: no such", "550 5.1.1 mailbox"}, "5.1.1 <a@b.example>: no such mailbox"},
		{"no status code", []string{"550 no such mailbox"}, "no such mailbox"},
		{"no text", []string{"550"}, ""},
		{"terminal commands", []string{"550 \x1b[2Jgone\x07"}, "\ufffd[2Jgone\ufffd"},
		{"not UTF-8", []string{"550 citt\xe0"}, "citt\ufffd"},
		{"long", []string{"550-" + strings.Repeat("à", 400), "550 " + strings.Repeat("b", 3000)}, strings.Repeat("à", 400) + " " + strings.Repeat("b", 199)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := startProvider(t, map[string]func(*peer) bool{"RCPT": answer(tt.reply...)})
			got := open(t, p.config()).Submit(t.Context(), submission(message), commitOK)
			if got.Code != 550 || got.Reply != tt.want {
				t.Errorf("reply %q: code %d, text %q; want %q", tt.reply, got.Code, got.Reply, tt.want)
			}
		})
	}
}

// TestNoAddress: an empty sender is valid SMTP, and means a bounce.
func TestNoAddress(t *testing.T) {
	p := startProvider(t, nil)
	session := open(t, p.config())
	for _, change := range []func(*dispatch.Submission){
		func(s *dispatch.Submission) { s.From = pec.Address{} },
		func(s *dispatch.Submission) { s.To = pec.Address{} },
	} {
		sub := submission(message)
		change(&sub)
		if got := session.Submit(t.Context(), sub, commitOK); got.Outcome != dispatch.OutcomeNotSent || got.Broken || got.Err == nil {
			t.Errorf("Submit without an address = %s; want %s", describe(got), dispatch.OutcomeNotSent)
		}
	}
	session.Close()
	p.finish()
	if slices.ContainsFunc(p.heard, func(s string) bool { return strings.HasPrefix(s, "MAIL") }) {
		t.Errorf("server heard %q", p.heard)
	}
}

// TestCutConnection: a session that is given up within a message is cut off, not
// ended: to the server the message has no end, not even that of the connection.
func TestCutConnection(t *testing.T) {
	seen := make(chan error, 1)
	p := startProvider(t, map[string]func(*peer) bool{"body": func(x *peer) bool {
		_, err := io.Copy(io.Discard, x.r)
		seen <- err
		return false
	}})
	session := open(t, p.config())
	got := session.Submit(t.Context(), submission(message), func() error { return errors.New("disk full") })
	session.Close()
	if err := <-seen; err == nil {
		t.Errorf("Submit = %s; the server saw an orderly end of the connection", describe(got))
	}
}

// TestSlowMessage: a caller who takes his time over a message is not a server
// that is silent.
func TestSlowMessage(t *testing.T) {
	p := startProvider(t, nil)
	config := p.config()
	config.CommandTimeout = shortly
	session := open(t, config)
	sub := submission(message)
	sub.Message = io.MultiReader(sub.Message, readerFunc(func([]byte) (int, error) {
		// Another session runs into a longer time-out meanwhile.
		silent := startProvider(t, map[string]func(*peer) bool{"MAIL": silent}).config()
		silent.CommandTimeout = 2 * shortly
		if got := open(t, silent).Submit(t.Context(), submission(message), commitOK); got.Outcome != dispatch.OutcomeNotSent {
			t.Errorf("Submit to a silent server = %s", describe(got))
		}
		return 0, io.EOF
	}))
	if got := session.Submit(t.Context(), sub, commitOK); got.Outcome != dispatch.OutcomeSubmitted {
		t.Errorf("Submit = %s; want %s", describe(got), dispatch.OutcomeSubmitted)
	}
}

// TestEHLORefusedAfterRSET: the library says EHLO again after RSET; a refusal of
// that is not one of the next message.
func TestEHLORefusedAfterRSET(t *testing.T) {
	p := startProvider(t, nil)
	session := open(t, p.config())
	p.mu.Lock()
	p.faults = map[string]func(*peer) bool{"RCPT": answer("550 5.1.1 no"), "EHLO": answer("554 5.7.1 go away")}
	p.mu.Unlock()
	if got := session.Submit(t.Context(), submission(message), commitOK); got.Code != 550 || !got.Broken {
		t.Errorf("Submit = %s; want code 550, broken", describe(got))
	}
}
