package smtpsend_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
)

// shortly is a time-out for servers that never answer: it only has to be longer
// than an honest answer takes.
const shortly = time.Second

// TestOutcome breaks a submission at every point, and compares what the client
// makes of it with what the server took.
func TestOutcome(t *testing.T) {
	const (
		submitted = dispatch.OutcomeSubmitted
		temporary = dispatch.OutcomeTemporary
		permanent = dispatch.OutcomePermanent
		notSent   = dispatch.OutcomeNotSent
		unknown   = dispatch.OutcomeUnknown
	)
	type faults = map[string]func(*peer) bool
	accepting := func(then func(*peer) bool) func(*peer) bool {
		return func(x *peer) bool { x.accept(); return then(x) }
	}
	cut := func(text string) func(*peer) bool {
		return func(x *peer) bool { io.WriteString(x.conn, text); return false }
	}
	early := func(line string) func(*peer) bool {
		return func(x *peer) bool { x.say(line); return silent(x) }
	}
	lines := func(n int) string { return strings.Repeat("250-ok\r\n", n-1) + "250 ok" }

	tests := []struct {
		name   string
		reason string
		faults faults
		change func(*smtpsend.Config, *dispatch.Submission)
		commit error
		want   dispatch.Outcome
		code   int
		broken bool
	}{
		{name: "accepted", reason: "the ordinary case", want: submitted, code: 250},
		{name: "accepted without a word", reason: "RFC 5321 allows a code alone",
			faults: faults{"dot": accepting(answer("250"))}, want: submitted, code: 250},
		{name: "accepted in many lines", reason: "128 lines are allowed",
			faults: faults{"dot": accepting(answer(lines(128)))}, want: submitted, code: 250},
		{name: "accepted in a long line", reason: "4 KiB are allowed, though the library takes 2,000 bytes",
			faults: faults{"dot": accepting(answer("250 " + strings.Repeat("a", 4090)))}, want: submitted, code: 250},
		{name: "accepted, then told more at once", reason: "the first reply is the answer; the connection is out of step",
			faults: faults{"dot": accepting(answer("250 ok", "250 ok"))}, want: submitted, code: 250, broken: true},

		{name: "MAIL refused for good", reason: "nothing was begun, so the session goes on",
			faults: faults{"MAIL": answer("553 5.7.1 sender rejected")}, want: permanent, code: 553},
		{name: "MAIL refused for now", reason: "nothing was begun, so the session goes on",
			faults: faults{"MAIL": answer("451 4.7.1 later")}, want: temporary, code: 451},
		{name: "MAIL answered by goodbye", reason: "421 says that the server closes",
			faults: faults{"MAIL": answer("421 4.3.2 closing")}, want: temporary, code: 421, broken: true},
		{name: "MAIL out of turn", reason: "the server took the session to be elsewhere; it says nothing of the message",
			faults: faults{"MAIL": answer("503 5.5.1 nested MAIL command")}, want: notSent, broken: true},
		{name: "MAIL answered by another success", reason: "220 is no answer to MAIL",
			faults: faults{"MAIL": answer("220 ready")}, want: notSent, broken: true},
		{name: "hung up at MAIL", reason: "no message was given",
			faults: faults{"MAIL": hangUp}, want: notSent, broken: true},
		{name: "silent at MAIL", reason: "no message was given",
			faults: faults{"MAIL": silent}, change: shortCommands, want: notSent, broken: true},
		{name: "MAIL answered twice", reason: "the second answer would be taken for that to RCPT",
			faults: faults{"MAIL": answer("250 ok", "250 ok")}, want: notSent, broken: true},
		{name: "RCPT refused for good", reason: "RSET makes the session usable again",
			faults: faults{"RCPT": answer("550 5.1.1 no such mailbox")}, want: permanent, code: 550},
		{name: "RCPT refused for now", reason: "RSET makes the session usable again",
			faults: faults{"RCPT": answer("452 4.2.2 full")}, want: temporary, code: 452},
		{name: "RCPT refused, RSET too", reason: "the refusal stands; the session is of no use",
			faults: faults{"RCPT": answer("550 no"), "RSET": answer("500 what?")}, want: permanent, code: 550, broken: true},
		{name: "RCPT refused, then hung up", reason: "the refusal stands",
			faults: faults{"RCPT": func(x *peer) bool { x.say("550 no"); return false }}, want: permanent, code: 550, broken: true},
		{name: "hung up at RCPT", reason: "no message was given",
			faults: faults{"RCPT": hangUp}, want: notSent, broken: true},
		{name: "DATA refused", reason: "no message was given",
			faults: faults{"DATA": answer("554 5.5.1 no valid recipients")}, want: permanent, code: 554},
		{name: "DATA not answered by 354", reason: "without 354 the body would be taken for commands",
			faults: faults{"DATA": answer("250 ok")}, want: notSent, broken: true},
		{name: "hung up at DATA", reason: "no message was given",
			faults: faults{"DATA": hangUp}, want: notSent, broken: true},
		{name: "silent at DATA", reason: "no message was given",
			faults: faults{"DATA": silent}, change: shortCommands, want: notSent, broken: true},
		{name: "DATA answered twice", reason: "the second answer would be taken for that to the dot",
			faults: faults{"DATA": func(x *peer) bool { x.say("354 go on", "250 ok"); return silent(x) }}, want: notSent, broken: true},
		{name: "DATA answered one and a half times", reason: "the rest would be taken for the answer to the dot",
			faults: faults{"DATA": func(x *peer) bool { io.WriteString(x.conn, "354 go on\r\n25"); return silent(x) }}, want: notSent, broken: true},

		{name: "hung up in the message", reason: "the dot was not written",
			faults: faults{"body": hangUp}, change: makeEndless, want: notSent, broken: true},
		{name: "message not read", reason: "each write has its deadline",
			faults: faults{"body": func(x *peer) bool { <-x.finished; return false }},
			change: func(c *smtpsend.Config, s *dispatch.Submission) { c.WriteTimeout = shortly; makeEndless(c, s) },
			want:   notSent, broken: true},
		{name: "refused for good in the message", reason: "the server need not wait for the dot to have had enough",
			faults: faults{"body": early("552 5.3.4 too big")}, change: makeEndless, want: permanent, code: 552, broken: true},
		{name: "refused for now in the message", reason: "the same",
			faults: faults{"body": early("421 4.3.0 going down")}, change: makeEndless, want: temporary, code: 421, broken: true},
		{name: "success in the message", reason: "nothing was there to be taken yet",
			faults: faults{"body": early("250 ok")}, change: makeEndless, want: notSent, broken: true},
		{name: "nonsense in the message", reason: "no reply, and the dot was not written",
			faults: faults{"body": early("hello")}, change: makeEndless, want: notSent, broken: true},
		{name: "the store fails", reason: "without the record of the intent nothing may leave",
			commit: errors.New("disk full"), want: notSent, broken: true},
		{name: "the message can't be read", reason: "half a message is none",
			change: func(_ *smtpsend.Config, s *dispatch.Submission) { s.Message = iotest.TimeoutReader(s.Message) },
			want:   notSent, broken: true},
		{name: "the message is cut short", reason: "its size says so",
			change: func(_ *smtpsend.Config, s *dispatch.Submission) { s.Size++ }, want: notSent, broken: true},
		{name: "the message is too long", reason: "its size says so",
			change: func(_ *smtpsend.Config, s *dispatch.Submission) { s.Size-- }, want: notSent, broken: true},

		{name: "refused for good after the dot", reason: "a complete reply decides",
			faults: faults{"dot": answer("554-5.7.1 blocked", "554 5.7.1 for good")}, want: permanent, code: 554},
		{name: "refused for now after the dot", reason: "a complete reply decides",
			faults: faults{"dot": answer("451 4.3.0 later")}, want: temporary, code: 451},
		{name: "refused after the dot, then hung up", reason: "the refusal stands",
			faults: faults{"dot": func(x *peer) bool { x.say("554 5.7.1 no"); return false }}, want: permanent, code: 554, broken: true},
		{name: "refused after the dot, RSET too", reason: "the refusal stands; the session is of no use",
			faults: faults{"dot": answer("554 no"), "RSET": answer("500 what?")}, want: permanent, code: 554, broken: true},
		{name: "goodbye after the dot", reason: "421 is a temporary refusal",
			faults: faults{"dot": answer("421 4.3.0 going down")}, want: temporary, code: 421, broken: true},
		{name: "accepted, then hung up", reason: "no reply tells",
			faults: faults{"dot": accepting(hangUp)}, want: unknown, broken: true},
		{name: "not accepted, then hung up", reason: "no reply tells",
			faults: faults{"dot": hangUp}, want: unknown, broken: true},
		{name: "accepted in silence", reason: "no reply tells",
			faults: faults{"dot": accepting(silent)}, change: shortFinal, want: unknown, broken: true},
		{name: "not accepted, in silence", reason: "no reply tells",
			faults: faults{"dot": silent}, change: shortFinal, want: unknown, broken: true},
		{name: "reply cut within its code", reason: "25 may be the beginning of anything",
			faults: faults{"dot": accepting(cut("25"))}, want: unknown, broken: true},
		{name: "reply cut within its line", reason: "a line ends with a line end",
			faults: faults{"dot": cut("250 o")}, want: unknown, broken: true},
		{name: "refusal cut within its line", reason: "a line ends with a line end",
			faults: faults{"dot": accepting(cut("550 o"))}, want: unknown, broken: true},
		{name: "reply cut between its lines", reason: "the last line is missing",
			faults: faults{"dot": cut("250-ok\r\n")}, want: unknown, broken: true},
		{name: "reply never finished", reason: "the deadline is for the whole reply",
			faults: faults{"dot": func(x *peer) bool { x.say("250-ok"); return silent(x) }}, change: shortFinal, want: unknown, broken: true},
		{name: "reply of two minds", reason: "success or failure?",
			faults: faults{"dot": answer("250-ok", "550 no")}, want: unknown, broken: true},
		{name: "no reply but noise", reason: "not SMTP",
			faults: faults{"dot": accepting(answer("hello"))}, want: unknown, broken: true},
		{name: "another success after the dot", reason: "220 is no answer to the dot",
			faults: faults{"dot": answer("220 ready")}, want: unknown, broken: true},
		{name: "354 after the dot", reason: "no answer to the dot either",
			faults: faults{"dot": answer("354 go on")}, want: unknown, broken: true},
		{name: "line without end", reason: "more than 4 KiB is not read",
			faults: faults{"dot": accepting(answer("250 " + strings.Repeat("a", 1<<20)))}, want: unknown, broken: true},
		{name: "line just too long", reason: "the bound is 4 KiB, with the line end",
			faults: faults{"dot": answer("250 " + strings.Repeat("a", 4091))}, want: unknown, broken: true},
		{name: "lines without end", reason: "more than 128 lines are not read",
			faults: faults{"dot": accepting(answer(lines(1 << 16)))}, want: unknown, broken: true},
		{name: "one line too many", reason: "the bound is 128",
			faults: faults{"dot": answer(lines(129))}, want: unknown, broken: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := startProvider(t, tt.faults)
			config, sub := p.config(), submission(message)
			if tt.change != nil {
				tt.change(&config, &sub)
			}
			session := open(t, config)
			commits := 0
			got := session.Submit(context.Background(), sub, func() error { commits++; return tt.commit })
			if got.Outcome != tt.want || got.Code != tt.code || got.Broken != tt.broken {
				t.Errorf("Submit = %s; want %s, code %d, broken %t: %s", describe(got), tt.want, tt.code, tt.broken, tt.reason)
			}
			if (got.Code == 0) != (got.Err != nil) {
				t.Errorf("Submit = %s; want either a reply or an error", describe(got))
			}
			first := submissionRecord{got, commits, tt.commit == nil}
			again := session.Submit(context.Background(), submission("Subject: 2\r\n\r\n"), commitOK)
			session.Close()
			p.finish()
			first.check(t, p)
			checkAgain(t, p, got, again)
		})
	}
}

func shortCommands(c *smtpsend.Config, _ *dispatch.Submission) { c.CommandTimeout = shortly }
func shortFinal(c *smtpsend.Config, _ *dispatch.Submission)    { c.FinalTimeout = shortly }
func makeEndless(_ *smtpsend.Config, s *dispatch.Submission)   { *s = endless() }

// submissionRecord is what the client says of a submission.
type submissionRecord struct {
	result    dispatch.Result
	commits   int
	committed bool // if it was called, commit returned nil
}

// check holds it against the record of the server.
func (r submissionRecord) check(t *testing.T, p *provider) {
	t.Helper()
	took := count(p.accepted, message)
	switch r.result.Outcome {
	case dispatch.OutcomeSubmitted:
		if took != 1 {
			t.Errorf("outcome %s, and the server took it %d times", r.result.Outcome, took)
		}
	case dispatch.OutcomeUnknown:
	default:
		if took != 0 {
			t.Errorf("outcome %s, and the server took it", r.result.Outcome)
		}
	}
	if r.commits > 1 {
		t.Errorf("commit was called %d times", r.commits)
	}
	if (r.commits == 0 || !r.committed) && slices.Contains(p.whole, message) {
		t.Errorf("the server saw the final dot, without a commit before")
	}
}

func count(list []string, s string) int {
	n := 0
	for _, other := range list {
		if other == s {
			n++
		}
	}
	return n
}

// checkAgain checks what became of another submission on the same session.
func checkAgain(t *testing.T, p *provider, first, again dispatch.Result) {
	t.Helper()
	took := slices.Contains(p.accepted, "Subject: 2\r\n\r\n")
	if first.Broken && (again.Outcome != dispatch.OutcomeNotSent || !again.Broken || took) {
		t.Errorf("Submit on a broken session = %s, accepted: %t; want %s", describe(again), took, dispatch.OutcomeNotSent)
	}
	if !first.Broken && (again.Outcome != dispatch.OutcomeSubmitted || !took) {
		t.Errorf("Submit on the same session = %s, accepted: %t; want %s", describe(again), took, dispatch.OutcomeSubmitted)
	}
}
