package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// program finds a program that none of us wrote. Where the environment variable
// GOPEC_REQUIRE_TOOLS is set, as in CI, it must be there.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("GOPEC_REQUIRE_TOOLS") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("NOT TESTED: %s is not installed", name)
	return ""
}

// call runs a program with a text as its input, and returns what it says.
func call(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", filepath.Base(name), err, out.String(), errs.String())
	}
	return out.String()
}

// checkAnswered waits for the delivery of a message, and verifies the receipt
// that curl then finds in the mailbox.
func (r *running) checkAnswered(t *testing.T, a pectest.Account, id string) {
	t.Helper()
	r.waitFor(t, pectest.EventReceipt, id, delivered)
	curl := program(t, "curl")
	eventually(t, "the receipt in the mailbox", func() bool {
		status := call(t, "", curl, r.curlArgs(a, "imaps://"+a.IMAP.Addr(), "--request", "STATUS INBOX (MESSAGES)")...)
		return strings.Contains(status, "MESSAGES 2")
	})
	got, err := receipt.Verify(strings.NewReader(r.curlFetch(t, curl, a, 2)), r.options(t))
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if d := got.Data(); d.Kind != pec.KindDelivery || d.MessageID != id {
		t.Errorf("the receipt is %s of %s, want a delivery of %s", d.Kind, d.MessageID, id)
	}
}

func (r *running) curlArgs(a pectest.Account, url string, more ...string) []string {
	return append([]string{"--silent", "--show-error", "--cacert", r.file("tls-ca.pem"), "--user", a.User + ":" + a.Password, "--url", url}, more...)
}

// curlSend submits a message with curl.
func (r *running) curlSend(t *testing.T, curl string, a pectest.Account, to, id string) {
	t.Helper()
	url := "smtps://" + a.SMTP.Addr()
	args := []string{"--mail-from", a.Address.String(), "--mail-rcpt", to, "--upload-file", "-"}
	if a.SMTP.TLS == pectest.TLSStart {
		url = "smtp://" + a.SMTP.Addr()
		args = append(args, "--ssl-reqd")
	}
	call(t, message(a, to, id), curl, r.curlArgs(a, url, args...)...)
}

// curlFetch reads a message with curl.
func (r *running) curlFetch(t *testing.T, curl string, a pectest.Account, index int) string {
	t.Helper()
	return call(t, "", curl, r.curlArgs(a, fmt.Sprintf("imaps://%s/INBOX;MAILINDEX=%d", a.IMAP.Addr(), index))...)
}

func TestCurl(t *testing.T) {
	curl := program(t, "curl")
	r := start(t)
	for i, a := range r.Accounts {
		t.Run(a.SMTP.TLS, func(t *testing.T) {
			id := fmt.Sprintf("<curl-%d@pec.alfa.example>", i)
			r.curlSend(t, curl, a, "comune@pec.beta.example", id)
			r.checkAnswered(t, a, id)
		})
	}
}

// TestWhatIsPrinted does, in a shell, what the program says that one can do.
func TestWhatIsPrinted(t *testing.T) {
	shell, curl := program(t, "sh"), program(t, "curl")
	program(t, "openssl")
	r := start(t)
	dir := t.TempDir()
	do := func(program string) string {
		t.Helper()
		command := r.command(t, program)
		cmd := exec.CommandContext(t.Context(), shell, "-c", command)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, err.(*exec.ExitError).Stderr)
		}
		return string(out)
	}
	do("printf")
	const id = "<prova@pec.alfa.example>"
	r.checkAnswered(t, r.Accounts[0], id)
	raw := do("curl")
	if want := r.curlFetch(t, curl, r.Accounts[0], 2); raw != want {
		t.Errorf("the printed command reads\n%s\nwant the second message\n%s", raw, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "receipt.eml"), []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := do("openssl cms"); !strings.Contains(got, "Identificativo") {
		t.Errorf("openssl shows %q, want the text of the receipt", got)
	}
}

// command returns the printed command that begins with a word. One ends with the
// paragraph.
func (r *running) command(t *testing.T, word string) string {
	t.Helper()
	for paragraph := range strings.SplitSeq(r.printed, "\n\n") {
		if strings.HasPrefix(strings.TrimSpace(paragraph), word) {
			return paragraph
		}
	}
	t.Fatalf("no command %s in what is printed:\n%s", word, r.printed)
	return ""
}

// TestByHand types the dialogue into openssl.
func TestByHand(t *testing.T) {
	openssl := program(t, "openssl")
	r := start(t)
	a := r.Accounts[0]
	secret := base64.StdEncoding.EncodeToString([]byte("\x00" + a.User + "\x00" + a.Password))
	const id = "<hand@pec.alfa.example>"
	dialogue := "EHLO client.example\nAUTH PLAIN " + secret + "\nMAIL FROM:<" + a.Address.String() + ">\n" +
		"RCPT TO:<comune@pec.beta.example>\nDATA\n" +
		strings.ReplaceAll(strings.ReplaceAll(message(a, "comune@pec.beta.example", id), "\r\n", "\n"), "\n.", "\n..") + ".\nQUIT\n"
	said := call(t, dialogue, openssl, "s_client", "-quiet", "-crlf", "-verify_return_error",
		"-CAfile", r.file("tls-ca.pem"), "-connect", a.SMTP.Addr())
	for _, reply := range []string{"220 ", "235 ", "354 ", "250 2.0.0 OK: queued", "221 "} {
		if !strings.Contains(said, reply) {
			t.Errorf("the server never said %q:\n%s", reply, said)
		}
	}
	r.checkAnswered(t, a, id)
}

func TestSwaks(t *testing.T) {
	swaks := program(t, "swaks")
	if support := call(t, "", swaks, "--support"); !strings.Contains(support, "TLS supported") {
		program(t, "swaks with TLS (Debian package libnet-ssleay-perl)")
	}
	r := start(t)
	for i, a := range r.Accounts {
		t.Run(a.SMTP.TLS, func(t *testing.T) {
			id := fmt.Sprintf("<swaks-%d@pec.alfa.example>", i)
			mode := "--tls-on-connect"
			if a.SMTP.TLS == pectest.TLSStart {
				mode = "--tls"
			}
			call(t, "", swaks, "--server", a.SMTP.Addr(), mode, "--tls-verify", "--tls-ca-path", r.file("tls-ca.pem"),
				"--auth", "LOGIN", "--auth-user", a.User, "--auth-password", a.Password,
				"--from", a.Address.String(), "--to", "comune@pec.beta.example",
				"--header", "Message-Id: "+id, "--header", "Subject: Prova", "--body", "Buongiorno.")
			r.checkAnswered(t, a, id)
		})
	}
}

// TestFetchmail has a mail program of the nineties collect receipts.
func TestFetchmail(t *testing.T) {
	fetchmail := program(t, "fetchmail")
	r := start(t)
	a := r.Accounts[0]
	const id = "<fetchmail@pec.alfa.example>"
	r.curlSend(t, program(t, "curl"), a, "comune@pec.beta.example", id)
	r.checkAnswered(t, a, id)

	dir := t.TempDir()
	// fetchmail compares names, not addresses.
	config := fmt.Sprintf("poll %s protocol imap port %d timeout 20\n  user %q password %q\n  ssl sslcertck sslcertfile %q\n  keep fetchall mda \"cat >> %s/mbox\"\n",
		"localhost", a.IMAP.Port, a.User, a.Password, r.file("tls-ca.pem"), dir)
	file := filepath.Join(dir, "fetchmailrc")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), fetchmail, "--fetchmailrc", file, "--nosyslog", "--nodetach", "--pidfile", filepath.Join(dir, "pid"))
	cmd.Env = append(os.Environ(), "HOME="+dir, "FETCHMAILHOME="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("fetchmail: %v\n%s", err, out)
	}
	mbox, err := os.ReadFile(filepath.Join(dir, "mbox"))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []pec.Kind{pec.KindAcceptance, pec.KindDelivery} {
		if !bytes.Contains(mbox, []byte(pec.HeaderReceipt+": "+string(kind))) {
			t.Errorf("fetchmail collected no %s", kind)
		}
	}
}

// TestOpenSSLVerifies has another program verify what the network issued.
func TestOpenSSLVerifies(t *testing.T) {
	openssl, curl := program(t, "openssl"), program(t, "curl")
	r := start(t)
	for i, a := range r.Accounts { // one for each dialect
		id := fmt.Sprintf("<cms-%d@pec.alfa.example>", i)
		r.curlSend(t, curl, a, "comune@pec.beta.example", id)
		r.checkAnswered(t, a, id)
		for index := 1; index <= 2; index++ {
			file := filepath.Join(t.TempDir(), "receipt.eml")
			if err := os.WriteFile(file, []byte(r.curlFetch(t, curl, a, index)), 0o600); err != nil {
				t.Fatal(err)
			}
			call(t, "", openssl, "cms", "-verify", "-in", file, "-CAfile", r.file("issuers.pem"), "-partial_chain", "-out", os.DevNull)
		}
	}
}
