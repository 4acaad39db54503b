package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// running is the program at work, as another process sees it.
type running struct {
	dir     string
	printed string // what it says at the start
	settings
}

// start runs the program until the end of the test.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{dir: filepath.Join(t.TempDir(), "a network")}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	ready := &lineWaiter{want: "Stop with Ctrl-C.", found: make(chan struct{})}
	go func() { done <- run(ctx, append([]string{"-dir", r.dir}, args...), ready) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case <-ready.found:
	case err := <-done:
		done <- nil
		t.Fatalf("run ended: %v", err)
	}
	r.printed = ready.seen.String()
	if i := slices.Index(args, "-dir"); i >= 0 {
		r.dir = args[i+1]
	}
	b, err := os.ReadFile(filepath.Join(r.dir, "network.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &r.settings); err != nil {
		t.Fatal(err)
	}
	return r
}

// lineWaiter is a writer that waits for a text.
type lineWaiter struct {
	want  string
	seen  bytes.Buffer
	found chan struct{}
}

func (w *lineWaiter) Write(p []byte) (int, error) {
	had := strings.Contains(w.seen.String(), w.want)
	w.seen.Write(p)
	if !had && strings.Contains(w.seen.String(), w.want) {
		close(w.found)
	}
	return len(p), nil
}

func (r *running) file(name string) string { return filepath.Join(r.dir, name) }

// journal reads the journal.
func (r *running) journal(t *testing.T) []pectest.Event {
	t.Helper()
	f, err := os.Open(r.file("journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var events []pectest.Event
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e pectest.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("journal.jsonl: %v: %s", err, lines.Bytes())
		}
		events = append(events, e)
	}
	return events
}

// eventually waits for something that another goroutine or process does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// waitFor waits until the journal has an event of a kind about a message.
func (r *running) waitFor(t *testing.T, kind pectest.EventKind, messageID, detail string) pectest.Event {
	t.Helper()
	var found pectest.Event
	eventually(t, fmt.Sprintf("event %s of %s", kind, messageID), func() bool {
		for _, e := range r.journal(t) {
			if e.Event == kind && e.MessageID == messageID && strings.HasPrefix(e.Detail, detail) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

const delivered = "ricevuta di avvenuta consegna"

// message is one from an account.
func message(a pectest.Account, to, id string) string {
	return fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: Prova\r\nDate: Fri, 04 Sep 2026 10:15:29 +0200\r\nMessage-ID: %s\r\n\r\n.Buongiorno.\r\n",
		a.Address, to, id)
}

// TestFiles uses the network with what the files say, and nothing else.
func TestFiles(t *testing.T) {
	r := start(t, "-accounts", "3")
	if len(r.Accounts) != 3 || r.Clock.Speed != 1 || r.Clock.Real.IsZero() || r.Clock.Simulated.IsZero() {
		t.Fatalf("network.json: %+v, want three accounts and a clock of speed 1", r.settings)
	}
	a := r.Accounts[0]
	if a.Profile.PerMinute < 1000 {
		t.Errorf("profile allows %d messages a minute, want a generous number", a.Profile.PerMinute)
	}
	text := message(a, "comune@pec.beta.example", "<files@pec.alfa.example>")
	c, err := smtp.DialTLS(a.SMTP.Addr(), r.tlsConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(sasl.NewPlainClient("", a.User, a.Password)); err != nil {
		t.Fatal(err)
	}
	if err := c.SendMail(a.Address.String(), []string{"comune@pec.beta.example"}, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	// The decision stands in the journal before the reply.
	events := r.journal(t)
	sum := sha256.Sum256([]byte(text))
	for i, kind := range []pectest.EventKind{pectest.EventSubmitted, pectest.EventAccepted} {
		if len(events) <= i || events[i].Event != kind || events[i].SHA256 != hex.EncodeToString(sum[:]) || events[i].MessageID != "<files@pec.alfa.example>" {
			t.Fatalf("journal when the reply came: %+v, want %s with digest %x", events, kind, sum)
		}
	}
	r.waitFor(t, pectest.EventReceipt, "<files@pec.alfa.example>", delivered)
}

func (r *running) tlsConfig(t *testing.T) *tls.Config {
	t.Helper()
	b, err := os.ReadFile(r.file("tls-ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		t.Fatal("tls-ca.pem holds no certificate")
	}
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}

// options are those with which receipts of the network verify in another process.
func (r *running) options(t *testing.T) receipt.Options {
	t.Helper()
	b, err := os.ReadFile(r.file("issuers.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := smime.AnchorFromCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := smime.NewTrust([]smime.Anchor{anchor})
	if err != nil {
		t.Fatal(err)
	}
	ldif, err := os.Open(r.file("directory.ldif"))
	if err != nil {
		t.Fatal(err)
	}
	defer ldif.Close()
	records, err := pec.ReadLDIF(ldif)
	if err != nil {
		t.Fatal(err)
	}
	return receipt.Options{
		Trust:     trust,
		Directory: pec.NewDirectory(records),
		Now:       func() time.Time { return r.Clock.At(time.Now()) },
	}
}

// TestClock runs a day in seconds: the notices of hour 12 and 24 are not in the
// future of whoever reads the clock in network.json.
func TestClock(t *testing.T) {
	scenario := filepath.Join(t.TempDir(), "scenario.json")
	const rules = `{"rules": [{"fault": "provider-paused", "provider": "pec.beta.example"}]}`
	if err := os.WriteFile(scenario, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, "-speed", "20000", "-scenario", scenario)
	curl := program(t, "curl")
	id := "<clock@pec.alfa.example>"
	r.curlSend(t, curl, r.Accounts[0], "comune@pec.beta.example", id)
	eventually(t, "both notices", func() bool {
		notices := 0
		for _, e := range r.journal(t) {
			if e.Event == pectest.EventNotice {
				notices++
			}
		}
		return notices == 2
	})
	raw := r.curlFetch(t, curl, r.Accounts[0], 3)
	got, err := receipt.Verify(strings.NewReader(raw), r.options(t))
	if err != nil || got.Timeout() != receipt.Timeout24h {
		t.Errorf("Verify of the second notice: %v, %v, want the notice of hour 24", got, err)
	}
}

// TestSampleScenario runs the scenario that stands beside the program.
func TestSampleScenario(t *testing.T) {
	r := start(t, "-scenario", "scenario.json")
	curl := program(t, "curl")
	const id = "<sample@pec.alfa.example>"
	r.curlSend(t, curl, r.Accounts[0], "pieno@pec.beta.example", id)
	r.waitFor(t, pectest.EventFailed, id, "5.2.2")
	if got := r.Accounts[0].Profile.PerMinute; got != 600 {
		t.Errorf("profile allows %d messages a minute, want those of the scenario, 600", got)
	}
}

// TestBadArguments checks that each mistake is told, and by its name.
func TestBadArguments(t *testing.T) {
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "scenario.json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	dir := t.TempDir()
	notDir := file("x")
	tests := []struct {
		args []string
		want string
	}{
		{nil, "-dir is required"},
		{[]string{"-dir", dir, "more"}, `unexpected argument "more"`},
		{[]string{"-dir", dir, "-port", "25"}, "-port"},
		{[]string{"-dir", dir, "-accounts", "0"}, "-accounts must be at least 1"},
		{[]string{"-dir", dir, "-accounts", "x"}, `invalid value "x" for flag -accounts`},
		{[]string{"-dir", dir, "-speed", "0"}, "-speed must be more than 0"},
		{[]string{"-dir", dir, "-speed", "NaN"}, "-speed must be more than 0"},
		{[]string{"-dir", dir, "-speed", "Inf"}, "-speed must be more than 0"},
		{[]string{"-dir", dir, "-listen", "127.0.0.1:25"}, "without a port"},
		{[]string{"-dir", dir, "-listen", "192.0.2.1"}, "listen tcp 192.0.2.1"},
		{[]string{"-dir", notDir}, notDir},
		{[]string{"-dir", dir, "-scenario", "/does/not/exist.json"}, "/does/not/exist.json"},
		{[]string{"-dir", dir, "-scenario", file("{\n\"rules\": [{\"fault\": \"tired\"}]}")}, `scenario.json: pectest: reading a scenario: line 2: rule 1: no fault "tired"`},
		{[]string{"-dir", dir, "-scenario", file(`{"rules": [{"fault": "throttle", "provider": "pec.gamma.example"}]}`)}, `no provider "pec.gamma.example"`},
	}
	for _, test := range tests {
		var out bytes.Buffer
		if err := run(t.Context(), test.args, &out); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("run(%q): %v, want an error with %q", test.args, err, test.want)
		}
		if out.Len() > 0 {
			t.Errorf("run(%q) printed %q, want nothing", test.args, &out)
		}
	}
}

// TestDirectoryThatExists checks that a second run appends to the journal of the
// first, and leaves nothing else of it.
func TestDirectoryThatExists(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"network.json": "stale", "journal.jsonl": "{\"msgid\": \"<earlier>\"}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(t.Context(), []string{"-dir", dir, "-listen", "192.0.2.1"}, io.Discard); err == nil {
		t.Error("run: no error, want one")
	}
	if _, err := os.Stat(filepath.Join(dir, "network.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("network.json of an earlier run: %v, want none while nothing runs", err)
	}
	r := start(t, "-dir", dir)
	if got := r.journal(t); len(got) != 1 || got[0].MessageID != "<earlier>" {
		t.Errorf("journal: %+v, want what stood there", got)
	}
}

// TestSignals starts the program as a process and ends it as people do.
func TestSignals(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "network")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, signal := range stopSignals {
		dir := filepath.Join(t.TempDir(), "net")
		cmd := exec.Command(binary, "-dir", dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "Stop with Ctrl-C."; {
		}
		if _, err := os.Stat(filepath.Join(dir, "network.json")); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); errors.As(err, &exit) || err != nil {
			t.Errorf("after %v: %v, want a clean exit", signal, err)
		}
	}
}
