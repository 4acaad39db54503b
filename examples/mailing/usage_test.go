package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
)

// call calls the program within this process, with a store and a report in dir.
func call(t *testing.T, dir string, args ...string) outcome {
	t.Helper()
	var out, err bytes.Buffer
	args = append([]string{"-store", filepath.Join(dir, "store.db"), "-report", filepath.Join(dir, "report")}, args...)
	code := run(args, strings.NewReader(""), &out, &err)
	return outcome{code: code, out: out.String(), err: err.String()}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"-help", exitDone, "-network folder"},
		{"-nonsense", exitUsage, "not defined"},
		{"rows.csv", exitUsage, "everything is a flag"},
		{"-network a -config b", exitUsage, "exclude each other"},
		{"-generate 5 -rows a.csv", exitUsage, "exclude each other"},
		{"-generate -5", exitUsage, "not negative"},
		{"-generate 5 -config a.json", exitUsage, "not with a real account"},
		{"-config a.json", exitUsage, "needs -rows and -template"},
		{"-account a@pec.example", exitUsage, "needs -network"},
		{"-evidence some", exitUsage, "all, problems or none"},
		{"-receipt short", exitUsage, "completa, breve or sintetica"},
		{"-row 0", exitUsage, "counts from 1"},
		{"-network nowhere", exitFailed, "no network runs there"},
		{"-config nowhere.json -rows a -template b", exitFailed, "nowhere.json"},
	} {
		if o := call(t, t.TempDir(), strings.Fields(tt.args)...); o.code != tt.code || !strings.Contains(o.err, tt.want) {
			t.Errorf("%s: exit status %d, want %d and %q\n%s", tt.args, o.code, tt.code, tt.want, o.err)
		}
	}
}

// office is a folder with a table and a template, as the README describes them.
func office(t *testing.T, rows string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"recipients.csv":                            rows,
		"letter/subject.txt":                        "Avviso {{.pratica}}\n",
		"letter/text.txt":                           "Gentile {{.Nome}},\n\nin allegato l'avviso.\n",
		"letter/attachments/informativa.txt":        "informativa\n",
		"letter/per-recipient/allegato/avviso1.txt": "avviso 1\n",
		"letter/per-recipient/allegato/avviso2.txt": "avviso 2\n",
		"letter/per-recipient/allegato/empty.txt":   "",
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const goodRows = "PEC;Nome;Pratica;Allegato\r\n" +
	"sindaco@pec.beta.example;Comune di Esempio;2026/001;avviso1.txt\r\n" +
	"notaio@pec.alfa.example;Studio notarile;2026/002;avviso2.txt\r\n"

// TestFaultyRows has tables that are wrong: each fault is told with its row and
// column, and nothing is stored or sent.
func TestFaultyRows(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, "")
	for _, tt := range []struct{ rows, want string }{
		{strings.Replace(goodRows, "Pratica", "Numero", 1), `"pratica": the template uses a column that does not exist`},
		{strings.Replace(goodRows, "notaio@pec.alfa", "sindaco@pec.beta", 1), `line 3, column 1, "pec": an earlier row has this address: line 2`},
		{strings.Replace(goodRows, "notaio@pec.alfa.example", "a@pec.alfa.example, b@pec.alfa.example", 1), `line 3, column 1, "pec": more than one address in a cell`},
		{strings.Replace(goodRows, "notaio@", "notaio(at)", 1), `line 3, column 1, "pec": not a PEC address`},
		{strings.Replace(goodRows, "notaio@pec.alfa.example", "", 1), `line 3, column 1, "pec": the cell is empty`},
		{strings.Replace(goodRows, "Studio notarile", "", 1), `line 3, column 2, "nome": the cell is empty`},
		{strings.Replace(goodRows, "avviso2.txt", "avviso3.txt", 1), `line 3, column 4, "allegato": the file does not exist: avviso3.txt`},
		{strings.Replace(goodRows, "avviso2.txt", "avviso1.txt", 1), `line 3, column 4, "allegato": an earlier row has this file: line 2`},
		{strings.Replace(goodRows, "avviso2.txt", "empty.txt", 1), `line 3, column 4, "allegato": the file is empty`},
		{strings.Replace(goodRows, "avviso2.txt", "../../../store.db", 1), `line 3, column 4, "allegato": a file name that can't be used`},
		{goodRows + "info@pec.alfa.example;Info\r\n", `line 4`},
		{"", "the first line does not name the columns"},
		{"PEC;Nome;Pratica;Allegato\r\n", "there are no rows"},
	} {
		dir := office(t, tt.rows)
		o := call(t, dir, "-network", n.dir, "-rows", filepath.Join(dir, "recipients.csv"), "-template", filepath.Join(dir, "letter"), "-yes")
		if o.code != exitFailed || !strings.Contains(o.out, tt.want) || !strings.Contains(o.err, "nothing was stored and nothing was sent") {
			t.Errorf("want exit status %d and %s; got %d\n%s\n%s", exitFailed, tt.want, o.code, o.out, o.err)
		}
		m := &mailer{store: filepath.Join(dir, "store.db")}
		if stored := m.statuses(t); len(stored) > 0 {
			t.Errorf("%s: %d sends were stored", tt.want, len(stored))
		}
	}
	if len(n.submissions(t)) > 0 {
		t.Error("messages left")
	}
}

// TestAccount sends from a mailbox that a file describes, as the README says, with
// servers whose certificates a private authority issued.
func TestAccount(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, "")
	dir := office(t, goodRows)
	file := n.accountFile(t, dir, nil)
	m := &mailer{dir: dir, store: filepath.Join(dir, "mailing.db")}
	common := []string{"-config", file, "-rows", "recipients.csv", "-template", "letter", "-batch", "november"}
	m.flags = append(common, "-yes", "-json")

	want := map[dispatch.State]int64{dispatch.Delivered: 2}
	test := m.run(t, "-test", "-row", "2")
	test.want(t, exitDone, map[dispatch.State]int64{dispatch.Delivered: 1})
	if !strings.Contains(test.out, "To:      casella1@pec.alfa.example") || !strings.Contains(test.out, "Subject: Avviso 2026/002") {
		t.Errorf("the test did not send row 2 to oneself:\n%s", test.out)
	}
	first := m.run(t, "-row", "2")
	first.want(t, exitDone, want)
	if !strings.Contains(first.out, "Message 2, to the byte") || !strings.Contains(first.out, "To:      notaio@pec.alfa.example") {
		t.Errorf("the preview is not of row 2:\n%s", first.out)
	}
	before := len(n.submissions(t))
	m.run(t).want(t, exitDone, want) // the same name is the same batch
	if after := len(n.submissions(t)); before != 3 || after != before {
		t.Errorf("%d messages left, and %d when the batch was called again; want 3 and 3", before, after)
	}
	if err := os.WriteFile(filepath.Join(dir, "recipients.csv"), []byte(strings.Replace(goodRows, "002", "003", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if o := m.run(t); o.code != exitFailed || !strings.Contains(o.err, "made from other rows") {
		t.Errorf("with other rows: exit status %d, want %d and why\n%s", o.code, exitFailed, o.err)
	}
}

// accountFile describes the first account of the network, as a person would; change
// changes it.
func (n *network) accountFile(t *testing.T, dir string, change map[string]any) string {
	t.Helper()
	b, err := os.ReadFile(n.file("network.json"))
	if err != nil {
		t.Fatal(err)
	}
	var settings networkFile
	if err := json.Unmarshal(b, &settings); err != nil {
		t.Fatal(err)
	}
	a := settings.Accounts[0]
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(a.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	account := map[string]any{
		"address": a.Address, "user": a.User, "passwordFile": "password", "smtp": a.SMTP, "imap": a.IMAP,
		"profile": map[string]any{"perMinute": 600, "connections": 1},
		"tlsCA":   n.file("tls-ca.pem"), "issuers": n.file("issuers.pem"), "directory": n.file("directory.ldif"),
	}
	maps.Copy(account, change)
	maps.DeleteFunc(account, func(_ string, v any) bool { return v == nil })
	if b, err = json.Marshal(account); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "account.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestFaultyAccount has files that describe an account wrongly: each is told so
// that a person can mend it.
func TestFaultyAccount(t *testing.T) {
	n := startNetwork(t, "")
	t.Setenv("PEC_PASSWORD", "")
	for _, tt := range []struct {
		change map[string]any
		want   string
	}{
		{map[string]any{"passwordFile": nil}, "no password: set the environment variable PEC_PASSWORD, or name a passwordFile"},
		{map[string]any{"passwordFile": "letter/attachments/informativa.txt"}, "the provider refused the login to send: check user and password"},
		{map[string]any{"passwordFile": "nowhere"}, "nowhere: no such file"},
		{map[string]any{"tlsCA": nil}, "certificate signed by unknown authority"},
		{map[string]any{"tlsCA": "letter/text.txt"}, "no certificate (PEM) in it"},
		{map[string]any{"address": nil}, "no address"},
		{map[string]any{"adress": "x"}, `unknown field "adress"`},
		{map[string]any{"smtp": nil}, "the servers of this provider are not known"},
		{map[string]any{"smtp": map[string]any{"host": "127.0.0.1"}}, "it takes a host and a port"},
		{map[string]any{"directory": "letter/text.txt"}, "text.txt"},
	} {
		dir := office(t, goodRows)
		file := n.accountFile(t, dir, tt.change)
		o := call(t, dir, "-config", file, "-rows", filepath.Join(dir, "recipients.csv"), "-template", filepath.Join(dir, "letter"), "-yes")
		if o.code != exitFailed || !strings.Contains(o.err, tt.want) {
			t.Errorf("%v: exit status %d, want %d and %q\n%s", tt.change, o.code, exitFailed, tt.want, o.err)
		}
	}
	if len(n.submissions(t)) > 0 {
		t.Error("messages left")
	}
}

// TestGenerate makes up rows: the same each time, each with an address of its own
// in the PEC domains of the network.
func TestGenerate(t *testing.T) {
	t.Parallel()
	const rows = 2000
	domains := []string{"pec.alfa.example", "pec.beta.example"}
	seen := make(map[string]int64)
	for range 2 {
		n := int64(0)
		for row, err := range madeUp(rows, domains).rows {
			if err != nil {
				t.Fatal(err)
			}
			n++
			_, domain, _ := strings.Cut(row.Fields["pec"], "@")
			if domain != domains[0] && domain != domains[1] {
				t.Fatalf("row %d is for %s", n, row.Fields["pec"])
			}
			if again, ok := seen[row.Fields["pec"]]; ok && again != n {
				t.Fatalf("rows %d and %d are for the same", again, n)
			}
			seen[row.Fields["pec"]] = n
		}
		if n != rows || len(seen) != rows {
			t.Fatalf("%d rows for %d addresses, want %s of each", n, len(seen), strconv.Itoa(rows))
		}
	}
}
