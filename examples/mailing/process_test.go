package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
)

// The tests of this package run the program as people do: as a process, against
// examples/network as another one, over real sockets, with its store on a disk.
//
// GOPEC_LONG=1 makes them long: some minutes in place of some seconds.

// isLong is asked within tests, not before, so that go test knows that what it
// remembers of a short run is no answer.
func isLong() bool { return os.Getenv("GOPEC_LONG") != "" }

// shortOrLong returns one of two sizes of a test.
func shortOrLong(t *testing.T, short, long int) int {
	t.Helper()
	if isLong() {
		return long
	}
	t.Logf("the short form, with %d in place of %d; GOPEC_LONG=1 runs the long one", short, long)
	return short
}

// notUnderRace skips a test that is about what survives the process: there are others
// for what goes on within, and the race detector makes all of it ten times slower.
func notUnderRace(t *testing.T) {
	t.Helper()
	if underRace {
		t.Skip("run without the race detector only")
	}
}

// onlyLong skips a test that has no short form.
func onlyLong(t *testing.T, why string) {
	t.Helper()
	if !isLong() {
		t.Skipf("NOT TESTED: %s. GOPEC_LONG=1 runs it", why)
	}
}

var programs struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// program returns the path of a program of this repository, built once.
func program(t testing.TB, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("NOT TESTED: -short starts no processes")
	}
	programs.once.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "mailing-test-"); programs.err != nil {
			return
		}
		args := []string{"build", "-o", programs.dir + string(filepath.Separator)}
		if underRace {
			args = append(args, "-race")
		}
		if out, err := exec.Command("go", append(args, ".", "../network")...).CombinedOutput(); err != nil {
			programs.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return filepath.Join(programs.dir, name)
}

// process is a program that runs.
type process struct {
	*exec.Cmd
	out, err transcript
	ended    chan struct{} // closed when it has
}

// transcript is what a process writes, and can be read while it does.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// waitFor waits until the process has said a word on standard error.
func (p *process) waitFor(t testing.TB, word string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q", word), func() bool { return strings.Contains(p.err.String(), word) })
}

func start(t testing.TB, dir, name string, args ...string) *process {
	t.Helper()
	p := prepared(t, dir, name, args...)
	p.begin(t)
	return p
}

// prepared is a program that was not started yet.
func prepared(t testing.TB, dir, name string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: command(dir, program(t, name), args...), ended: make(chan struct{})}
	p.Stdout, p.Stderr = &p.out, &p.err
	return p
}

func command(dir, path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	return cmd
}

// begin starts it, and sees to it that it ends with the test.
func (p *process) begin(t testing.TB) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.ended
		if strings.Contains(p.err.String(), "DATA RACE") || strings.Contains(p.err.String(), "panic:") {
			t.Errorf("%s: %s", filepath.Base(p.Path), p.err.String())
		}
	})
}

// network is examples/network at work.
type network struct {
	*process
	dir string
}

// startNetwork starts a network in which what the scenario says goes wrong.
func startNetwork(t testing.TB, rules string, args ...string) *network {
	t.Helper()
	dir := t.TempDir()
	n := &network{dir: filepath.Join(dir, "net")}
	if rules != "" {
		file := filepath.Join(dir, "scenario.json")
		if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-scenario", file)
	}
	n.process = start(t, dir, "network", append(args, "-dir", n.dir)...)
	eventually(t, "network.json", func() bool {
		select {
		case <-n.ended:
			t.Fatalf("network: %s", n.err.String())
		default:
		}
		_, err := os.Stat(n.file("network.json"))
		return err == nil
	})
	return n
}

func (n *network) file(name string) string { return filepath.Join(n.dir, name) }

// eventually waits for something that another process does.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited two minutes for %s", what)
		}
	}
}

// submission is what the journal of the network says of a message.
type submission struct {
	to                           []string
	submitted, accepted, refused int
	sha256                       string
	details                      []string // of what was refused
}

// submissions reads the journal: Message-ID → what happened.
func (n *network) submissions(t testing.TB) map[string]*submission {
	t.Helper()
	all := make(map[string]*submission)
	for _, e := range n.journal(t) {
		s := all[e.MessageID]
		if s == nil {
			s = &submission{to: e.To, sha256: e.SHA256}
			all[e.MessageID] = s
		}
		switch e.Event {
		case pectest.EventSubmitted:
			s.submitted++
		case pectest.EventAccepted:
			s.accepted++
		case pectest.EventRefused:
			s.refused++
			s.details = append(s.details, e.Detail)
		}
	}
	return all
}

func (n *network) journal(t testing.TB) []pectest.Event {
	t.Helper()
	b, err := os.ReadFile(n.file("journal.jsonl"))
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

// accepted counts messages that the network has accepted so far.
func (n *network) accepted(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile(n.file("journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte(`"event":"accepted"`))
}

// mailer is a person who calls the program in one folder, time and again with the
// same flags.
type mailer struct {
	dir   string
	store string
	flags []string
}

// mailer makes a folder for one who sends over the network.
func (n *network) mailer(t testing.TB, flags ...string) *mailer {
	t.Helper()
	dir := t.TempDir()
	m := &mailer{dir: dir, store: filepath.Join(dir, "store.db")}
	m.flags = append([]string{"-network", n.dir, "-report", "report", "-yes", "-json"}, flags...)
	return m
}

func (m *mailer) start(t testing.TB, more ...string) *process {
	t.Helper()
	args := append([]string{"-store", m.store}, m.flags...)
	return start(t, m.dir, "mailing", append(args, more...)...)
}

// outcome is how the program ended, and what it said.
type outcome struct {
	code     int
	out, err string
	totals   map[string]int64 // of the last line; nil if there are none
}

// run runs the program to its end.
func (m *mailer) run(t testing.TB, more ...string) outcome {
	t.Helper()
	return m.start(t, more...).wait(t)
}

func (p *process) wait(t testing.TB) outcome {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(10 * time.Minute):
		t.Fatalf("%s still runs after ten minutes", filepath.Base(p.Path))
	}
	o := outcome{code: p.ProcessState.ExitCode(), out: p.out.String(), err: p.err.String()}
	lines := strings.Split(strings.TrimSpace(o.out), "\n")
	if last := lines[len(lines)-1]; strings.HasPrefix(last, "{") {
		if err := json.Unmarshal([]byte(last), &o.totals); err != nil {
			t.Fatalf("last line %q: %v", last, err)
		}
		var sum int64
		for _, state := range dispatch.States() {
			n, ok := o.totals[string(state)]
			if !ok {
				t.Errorf("last line %s lacks %q", last, state)
			}
			sum += n
		}
		if sum != o.totals["total"] || len(o.totals) != len(dispatch.States())+1 {
			t.Errorf("last line %s does not add up", last)
		}
	}
	return o
}

// want fails unless the program ended with a status, and the totals are these;
// states that are not named have none.
func (o outcome) want(t testing.TB, code int, totals map[dispatch.State]int64) {
	t.Helper()
	ok := o.code == code
	for _, state := range dispatch.States() {
		ok = ok && o.totals[string(state)] == totals[state]
	}
	if !ok {
		t.Errorf("exit status %d, want %d and %v\n%s\n%s", o.code, code, totals, o.out, o.err)
	}
}

// statuses reads the store: Message-ID → where the send stands; with states, only
// those that are in one of them.
func (m *mailer) statuses(t testing.TB, states ...dispatch.State) map[string]dispatch.SendStatus {
	t.Helper()
	store, db, err := openSQLite(t.Context(), m.store)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	d, err := dispatch.New(dispatch.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]dispatch.SendStatus)
	for s, err := range d.Statuses(t.Context(), sender, "mailing", states...) {
		if errors.Is(err, dispatch.ErrNotFound) {
			break // killed before it was made
		}
		if err != nil {
			t.Fatal(err)
		}
		all[s.Send.MessageID] = s
	}
	return all
}

// sender is the account that examples/network opens first.
var sender = pec.MustParseAddress("casella1@pec.alfa.example")

// checkAudit checks the chain of the audit trail.
func (m *mailer) checkAudit(t testing.TB) {
	t.Helper()
	store, db, err := openSQLite(t.Context(), m.store)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if n, err := dispatch.VerifyAudit(t.Context(), store, dispatch.AccountName(sender)); err != nil || n == 0 {
		t.Errorf("VerifyAudit = %d, %v", n, err)
	}
}

// checkOnce compares the store with the journal of the network. No message was
// accepted twice, none but ours was, and each was what had been signed off. What
// is not in the journal, and did not stay here for a reason that the store knows,
// is what is reported unknown, and nothing else is. It returns how many that are.
func checkOnce(t testing.TB, n *network, m *mailer) (unknown int) {
	t.Helper()
	m.checkAudit(t)
	journal, statuses := n.submissions(t), m.statuses(t)
	recipients := make(map[string]bool)
	for id, s := range journal {
		if _, ours := statuses[id]; !ours {
			t.Errorf("message %s was submitted and is in no store", id)
		}
		if s.accepted > 1 {
			t.Errorf("message %s was accepted %d times", id, s.accepted)
		}
		if s.accepted > 0 && (len(s.to) != 1 || recipients[s.to[0]]) {
			t.Errorf("message %s is for %v, of which one got another", id, s.to)
		}
		recipients[s.to[0]] = true
	}
	for id, status := range statuses {
		row, state := status.Send.ID.Row, status.Status.State
		s := journal[id]
		accepted := s != nil && s.accepted > 0
		switch {
		case state == dispatch.Unknown:
			unknown++
			if accepted {
				t.Errorf("row %d is unknown, and was accepted", row)
			}
		case state == dispatch.Prepared || state == dispatch.Canceled || state == dispatch.Refused:
			if accepted {
				t.Errorf("row %d is %s, and was accepted", row, state)
			}
		case !accepted:
			t.Errorf("row %d is %s, and was never accepted", row, state)
		case s.sha256 != status.Send.Digest.String():
			t.Errorf("row %d: what was submitted is not what was signed off", row)
		}
		checkTries(t, status, s)
	}
	return unknown
}

// checkTries checks that a send was tried again only after a reply had said that it
// was not taken, and that the network saw no more of it than the store knows of.
func checkTries(t testing.TB, status dispatch.SendStatus, s *submission) {
	t.Helper()
	tries, refused := 0, 0
	for _, f := range status.Facts {
		switch {
		case f.Kind == dispatch.FactTry:
			tries++
		case f.Kind == dispatch.FactOutcome && (f.Outcome == dispatch.OutcomeTemporary || f.Outcome == dispatch.OutcomeNotSent):
			refused++
		case f.Kind == dispatch.FactAttempt && f.Attempt > 1:
			t.Errorf("row %d was sent again", status.Send.ID.Row)
		}
	}
	if tries > refused+1 {
		t.Errorf("row %d was tried %d times, of which %d were known to have failed", status.Send.ID.Row, tries, refused)
	}
	if s != nil && s.submitted > tries {
		t.Errorf("row %d was submitted %d times, and the store knows of %d", status.Send.ID.Row, s.submitted, tries)
	}
}

// checkSettled checks sends that were in doubt at some time: those that the network
// had accepted were settled by a receipt, not by a reply, and the others still are
// in doubt. None was sent again.
func checkSettled(t testing.TB, n *network, m *mailer, doubted map[string]bool) {
	t.Helper()
	journal, statuses := n.submissions(t), m.statuses(t)
	settled := 0
	for id := range doubted {
		status := statuses[id]
		receipts := 0
		for _, f := range status.Facts {
			if f.Kind == dispatch.FactNotice {
				receipts++
			}
		}
		row, state := status.Send.ID.Row, status.Status.State
		switch s := journal[id]; {
		case s != nil && s.accepted > 0 && (state != dispatch.Delivered || receipts < 2):
			t.Errorf("row %d was in doubt and accepted: it is %s with %d receipts", row, state, receipts)
		case s != nil && s.accepted > 0:
			settled++
		case state != dispatch.Unknown:
			t.Errorf("row %d was in doubt and not accepted: it is %s", row, state)
		}
		if status.Status.Try > 1 || journal[id] != nil && journal[id].submitted > 1 {
			t.Errorf("row %d was in doubt and sent again", row)
		}
	}
	t.Logf("%d were in doubt at some time; receipts settled %d of them", len(doubted), settled)
}
