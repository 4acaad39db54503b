package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
)

// TestCutAfterDot cuts connections where nobody can know: after the final dot,
// before the reply, with the message accepted or thrown away. What was accepted is
// settled by its receipts; what was not stays unknown; neither is sent again.
func TestCutAfterDot(t *testing.T) {
	t.Parallel()
	rows := shortOrLong(t, 80, 1000)
	n := startNetwork(t, `{"seed": 1, "rules": [
		{"fault": "smtp-cut", "stage": "accepted", "probability": 0.1},
		{"fault": "smtp-cut", "stage": "dropped", "probability": 0.1}
	]}`)
	m := n.mailer(t, "-generate", strconv.Itoa(rows), "-wait", "2s")
	o := m.finish(t, rows)
	unknown := checkOnce(t, n, m)
	dropped := 0
	for id, s := range n.submissions(t) {
		if s.submitted != 1 {
			t.Errorf("message %s was submitted %d times", id, s.submitted)
		}
		if s.refused > 0 {
			dropped++
		}
	}
	if dropped == 0 || dropped != unknown {
		t.Errorf("%d dropped, %d unknown; want as many, and some", dropped, unknown)
	}
	o.want(t, exitOpen, map[dispatch.State]int64{dispatch.Delivered: int64(rows - dropped), dispatch.Unknown: int64(dropped)})
}

// TestCutBeforeDot cuts connections and refuses for the moment at every point up
// to the dot. All of it is sent in the end, but for small messages that were cut
// off: by the time that the connection is seen to be gone, they and their dot have
// been given to the system, and nobody can know.
func TestCutBeforeDot(t *testing.T) {
	t.Parallel()
	const rows, cuts = 60, 3
	n := startNetwork(t, `{"seed": 1, "rules": [
		{"fault": "smtp-cut", "stage": "connect", "skip": 3, "times": 2},
		{"fault": "smtp-cut", "stage": "mail", "skip": 5, "times": 2},
		{"fault": "smtp-cut", "stage": "rcpt", "skip": 7, "times": 2},
		{"fault": "smtp-cut", "stage": "data", "bytes": 700, "skip": 9, "times": 3},
		{"fault": "smtp-slow", "stage": "dot", "delay": "300ms", "skip": 20, "times": 3},
		{"fault": "smtp-reply", "stage": "rcpt", "code": 450, "text": "4.2.0 later", "skip": 11, "times": 2},
		{"fault": "smtp-reply", "stage": "dot", "code": 451, "text": "4.3.0 later", "skip": 13, "times": 2}
	]}`, "-speed", "60")
	m := n.mailer(t, "-generate", strconv.Itoa(rows), "-wait", "2s")
	o := m.finish(t, rows)
	if unknown := checkOnce(t, n, m); unknown > cuts || o.totals["unknown"] != int64(unknown) {
		t.Errorf("%d unknown, %d reported; want at most %d", unknown, o.totals["unknown"], cuts)
	}
}

// TestThrottled has the provider say that it is too much: the account rests, and
// everything leaves in the end.
func TestThrottled(t *testing.T) {
	t.Parallel()
	const rows = 30
	n := startNetwork(t, `{"rules": [
		{"fault": "throttle", "skip": 10, "times": 4},
		{"fault": "smtp-reply", "stage": "mail", "code": 450, "text": "4.7.1 too much traffic", "skip": 15, "times": 2}
	]}`, "-speed", "300")
	m := n.mailer(t, "-generate", strconv.Itoa(rows))
	o := m.run(t)
	o.want(t, exitDone, map[dispatch.State]int64{dispatch.Delivered: rows})
	if !strings.Contains(o.err, "pauses until") {
		t.Errorf("nobody was told of the pause:\n%s", o.err)
	}
	checkOnce(t, n, m)
}

// TestLoginRefused has the provider refuse the login: the program stops at once
// and says what to do. Started again, it goes on.
func TestLoginRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, rule string }{
		{"to send", `{"fault": "login-refused", "times": 20}`},
		{"to read", `{"fault": "login-refused", "stage": "imap", "times": 1}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const rows = 20
			n := startNetwork(t, `{"profile": {"connections": 2}, "rules": [`+tt.rule+`]}`)
			m := n.mailer(t, "-generate", strconv.Itoa(rows))
			o := m.run(t)
			if o.code != exitFailed || !strings.Contains(o.err, "password") {
				t.Errorf("exit status %d, want %d and a word on the password\n%s\n%s", o.code, exitFailed, o.out, o.err)
			}
			for range 20 {
				if o = m.run(t); o.code != exitFailed {
					break
				}
			}
			o.want(t, exitDone, map[dispatch.State]int64{dispatch.Delivered: rows})
			checkOnce(t, n, m)
		})
	}
}

// TestMailboxDisturbed reads the receipts over a connection that breaks, from a
// folder that is made anew, and among other people's mail.
func TestMailboxDisturbed(t *testing.T) {
	t.Parallel()
	const rows = 40
	n := startNetwork(t, `{"seed": 3, "rules": [
		{"fault": "foreign-mail", "sender": "casella1@pec.alfa.example", "count": 200},
		{"fault": "imap-cut", "stage": "select", "skip": 1, "times": 1},
		{"fault": "imap-cut", "stage": "fetch", "skip": 2, "times": 2},
		{"fault": "imap-cut", "stage": "literal", "bytes": 3000, "skip": 10, "times": 3},
		{"fault": "imap-slow", "stage": "fetch", "delay": "200ms", "times": 3},
		{"fault": "imap-uidvalidity", "skip": 3, "times": 2}
	]}`)
	m := n.mailer(t, "-generate", strconv.Itoa(rows))
	m.run(t).want(t, exitDone, map[dispatch.State]int64{dispatch.Delivered: rows})
	checkOnce(t, n, m)
}
