//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
)

// journal reads what the network says that happened.
func (c *cluster) journal(t testing.TB) []pectest.Event {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.net(), "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1] // the last line may be under way
	var events []pectest.Event
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, math.MaxInt32)
	for lines.Scan() {
		var e pectest.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("journal.jsonl: %v: %s", err, lines.Bytes())
		}
		events = append(events, e)
	}
	return events
}

// events counts what happened of a kind.
func (c *cluster) events(t testing.TB, kind pectest.EventKind) (n int) {
	t.Helper()
	for _, e := range c.journal(t) {
		if e.Event == kind {
			n++
		}
	}
	return n
}

// submission is what the network says of one message.
type submission struct {
	pectest.Event
	accepted int
}

// submissions returns what was handed over: Message-ID → what became of it. No
// message, and no recipient, may be among it twice.
func (c *cluster) submissions(t testing.TB) map[string]*submission {
	t.Helper()
	all := make(map[string]*submission)
	recipients := make(map[string]bool)
	for _, e := range c.journal(t) {
		switch e.Event {
		case pectest.EventSubmitted:
			if all[e.MessageID] != nil {
				t.Errorf("message %s was submitted twice", e.MessageID)
			}
			all[e.MessageID] = &submission{Event: e}
			if len(e.To) != 1 || recipients[e.To[0]] {
				t.Errorf("message %s is for %v, of which one got another", e.MessageID, e.To)
			}
			recipients[e.To[0]] = true
		case pectest.EventAccepted:
			if all[e.MessageID].accepted++; all[e.MessageID].accepted > 1 {
				t.Errorf("message %s was accepted twice", e.MessageID)
			}
		}
	}
	return all
}

// audited counts what [cluster.checkAnswers] found.
type audited struct {
	delivered, unknown int
	// dropped are those of the unknown that did leave, and that the network threw
	// away without a reply.
	dropped int
	entries int64 // of the audit trails
}

// checkAnswers compares the database with the journal of the network, at the end:
// what was accepted is delivered, what was not is unknown, there is nothing else,
// and nothing happened twice.
func (c *cluster) checkAnswers(t testing.TB, sends int) (found audited) {
	t.Helper()
	s, d := c.open(t)
	submissions := c.submissions(t)
	for status := range c.statuses(t, d) {
		submitted := submissions[status.Send.MessageID]
		delete(submissions, status.Send.MessageID)
		accepted := submitted != nil && submitted.accepted == 1
		switch state := status.Status.State; {
		case state == dispatch.Delivered && accepted:
			found.delivered++
			if submitted.SHA256 != status.Send.Digest.String() {
				t.Errorf("%v: what was submitted is not what was signed off", status.Send.ID)
			}
		case state == dispatch.Unknown && !accepted:
			found.unknown++
			if submitted != nil {
				found.dropped++
			}
		default:
			t.Errorf("%v is %s; accepted by the network: %t", status.Send.ID, state, accepted)
		}
	}
	for id := range submissions {
		t.Errorf("message %s was submitted and is of no batch", id)
	}
	if n := found.delivered + found.unknown; n != sends {
		t.Errorf("%d sends have their answer, want %d", n, sends)
	}
	var err error
	if found.entries, err = verifyAudit(t.Context(), s); err != nil {
		t.Error(err)
	}
	return found
}

// open opens the database, to look at it.
func (c *cluster) open(t testing.TB) (store, *dispatch.Dispatcher) {
	t.Helper()
	s, err := openStore(t.Context(), c.dsn, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	d, err := dispatch.New(dispatch.Config{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	return s, d
}

// statuses yields all sends of all accounts.
func (c *cluster) statuses(t testing.TB, d *dispatch.Dispatcher) func(func(dispatch.SendStatus) bool) {
	return func(yield func(dispatch.SendStatus) bool) {
		n, err := joinNetwork(c.net())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range n.accounts {
			for _, name := range batchNames(t, d, a.Address) {
				for status, err := range d.Statuses(t.Context(), a.Address, name) {
					if err != nil {
						t.Fatal(err)
					}
					if !yield(status) {
						return
					}
				}
			}
		}
	}
}

func batchNames(t testing.TB, d *dispatch.Dispatcher, account pec.Address) (names []string) {
	t.Helper()
	list, err := d.Batches(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list {
		names = append(names, b.Name)
	}
	return names
}
