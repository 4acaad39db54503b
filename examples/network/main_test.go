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
	dir string
	settings
}

// start runs the program until the end of the test.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{dir: filepath.Join(t.TempDir(), "net")}
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

func TestBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"-dir", t.TempDir(), "-accounts", "0"},
		{"-dir", t.TempDir(), "-speed", "0"},
		{"-dir", t.TempDir(), "-scenario", "/does/not/exist.json"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("run(%q): no error, want one", args)
		}
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
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "network.json", func() bool {
			_, err := os.Stat(filepath.Join(dir, "network.json"))
			return err == nil
		})
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); errors.As(err, &exit) || err != nil {
			t.Errorf("after %v: %v, want a clean exit", signal, err)
		}
	}
}
