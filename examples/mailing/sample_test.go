package main

import (
	"crypto/sha256"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
)

// person runs the program in an empty folder, and types an answer.
func person(t *testing.T, dir, types string, args ...string) outcome {
	t.Helper()
	p := prepared(t, dir, "mailing", args...)
	p.Stdin = strings.NewReader(types)
	p.begin(t)
	return p.wait(t)
}

// TestSample calls the program with nothing at all, as the README does: it asks,
// sends when it is told to, and every outcome occurs.
func TestSample(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := person(t, dir, "yes\n", "-json")
	o.want(t, exitDone, map[dispatch.State]int64{
		dispatch.Delivered: 3, dispatch.AcceptedOrdinary: 1, dispatch.Failed: 3, dispatch.TimedOut: 1,
	})
	for _, text := range []string{
		"Type yes: ", "Signed off by", "Forecast: 16 receipts", "Subject: Avviso di pagamento n. 2026/001", "8/8 sent, 8 answered",
		"casella piena", "casella inesistente", "EICAR",
	} {
		if !strings.Contains(o.out, text) {
			t.Errorf("it does not say %q:\n%s", text, o.out)
		}
	}
	report := filepath.Join(dir, "mailing-report")
	checkReport(t, report)
	checkSums(t, report)
	checkWithOpenSSL(t, report)
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("it left %q behind, want the report alone", left)
	}
}

// checkReport reads the report as a person does: the totals, and for each recipient
// what became of it, why, what to do, and links that lead somewhere.
func checkReport(t *testing.T, dir string) {
	t.Helper()
	html := readFile(t, filepath.Join(dir, "report.html"))
	for _, text := range []string{
		"3 of 8 were delivered, 5 were not", "<svg", "37.5%", "What to do", "mailbox is full", "The cause lies with the recipient",
		"✓ what was delivered is what was sent", "ordinary mail", "not delivered in 24 hours", "notice of hour 12", "nothing of it is PEC",
	} {
		if !strings.Contains(html, text) {
			t.Errorf("report.html does not say %q", text)
		}
	}
	links := regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(html, -1)
	if len(links) < 8*3 {
		t.Errorf("report.html has %d links, want three for each recipient", len(links))
	}
	for _, link := range links {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(link[1]))); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
	table := csv.NewReader(strings.NewReader(readFile(t, filepath.Join(dir, "report.csv"))))
	table.Comma = ';'
	if rows, err := table.ReadAll(); err != nil || len(rows) != 9 {
		t.Errorf("report.csv has %d lines, %v; want a heading and 8", len(rows), err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// checkSums checks the evidence as sha256sum -c does.
func checkSums(t *testing.T, dir string) {
	t.Helper()
	listed := 0
	for line := range strings.Lines(readFile(t, filepath.Join(dir, "SHA256SUMS"))) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(readFile(t, filepath.Join(dir, filepath.FromSlash(name)))))); got != sum {
			t.Errorf("%s: digest %s, want %s", name, got, sum)
		}
		listed++
	}
	files, err := filepath.Glob(filepath.Join(dir, "evidence-*", "*", "*.eml"))
	if err != nil || len(files) != listed || listed < 8*2 {
		t.Errorf("SHA256SUMS lists %d of %d files", listed, len(files))
	}
}

// checkWithOpenSSL verifies every receipt as README.txt says, with a program that
// none of us wrote.
func checkWithOpenSSL(t *testing.T, dir string) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("GOPEC_REQUIRE_TOOLS") != "" {
			t.Fatal(err)
		}
		t.Log("NOT TESTED: that openssl verifies the evidence; it is not here")
		return
	}
	receipts := 0
	for _, kind := range []string{"acceptance", "delivery", "failure", "timeout12h", "timeout24h"} {
		files, err := filepath.Glob(filepath.Join(dir, "evidence-*", "*", kind+"-*.eml"))
		if err != nil || len(files) == 0 {
			t.Errorf("no %s among the evidence (%v)", kind, err)
		}
		for _, file := range files {
			out, err := command(dir, "openssl", "cms", "-verify", "-in", file, "-CAfile", "issuers.pem", "-partial_chain",
				"-no_check_time", "-out", os.DevNull).CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", file, err, out)
			}
			receipts++
		}
	}
	t.Logf("openssl verified %d receipts", receipts)
}

// TestNotSignedOff answers no, or nothing: the exit status is 1, and nothing left.
func TestNotSignedOff(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, "")
	for _, tt := range []struct{ types, want string }{
		{"no\n", "not signed off; nothing was sent"},
		{"", "nobody signed off; -yes does it without asking"},
	} {
		o := person(t, t.TempDir(), tt.types, "-network", n.dir)
		if o.code != exitFailed || !strings.Contains(o.err, tt.want) {
			t.Errorf("typing %q: exit status %d, want %d and %q\n%s", tt.types, o.code, exitFailed, tt.want, o.err)
		}
	}
	if len(n.submissions(t)) > 0 {
		t.Error("messages left")
	}
}

// TestReadme reads README.txt as it is written for a real account.
func TestReadme(t *testing.T) {
	var text strings.Builder
	err := readmeTemplate.Execute(&text, map[string]any{"Simulated": false, "Batch": "november"})
	if err != nil || !strings.Contains(text.String(), "AgID CA1") || !strings.Contains(text.String(), "sha256sum -c") {
		t.Errorf("README.txt: %v\n%s", err, text.String())
	}
	if err := readmeTemplate.Execute(io.Discard, map[string]any{"Simulated": true, "Batch": "x"}); err != nil {
		t.Error(err)
	}
}
