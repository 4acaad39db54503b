package house_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/ceralacca/go-pec"
)

// deps returns all packages that a package reaches.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", pkg)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	list := strings.Fields(string(out))
	if len(list) < 10 {
		t.Fatalf("go list -deps %s gives %d packages: that can't be all", pkg, len(list))
	}
	return list
}

// TestImports keeps the arrows pointing one way. Who embeds only the reading of
// receipts must not compile a mail client or a database.
func TestImports(t *testing.T) {
	heavy := []string{
		"github.com/emersion/go-smtp", "github.com/emersion/go-imap", "github.com/emersion/go-message", "github.com/emersion/go-sasl",
		"database/sql", "modernc.org/", "github.com/jackc/", "text/template", "html/template", "net/smtp", "testing",
		"go.mozilla.org/pkcs7", "os/exec", "net/http",
	}
	own := func(names ...string) []string {
		var list []string
		for _, n := range names {
			list = append(list, module+"/"+n)
		}
		return list
	}
	tests := []struct {
		pkg    string
		except []string // prefixes of what it must not reach
	}{
		{"./pec", slices.Concat(heavy, own("smime", "receipt", "dispatch", "pec/pectest", "internal/cms"))},
		{"./smime", slices.Concat(heavy, own("pec", "receipt", "dispatch"))},
		{"./receipt", slices.Concat(heavy, own("dispatch", "pec/pectest"))},
		{"./internal/rawmime", slices.Concat(heavy, own("pec", "smime", "receipt", "dispatch"))},
		{"./internal/cms", slices.Concat(heavy, own("pec", "smime", "receipt", "dispatch"))},
		{"./dispatch", slices.Concat([]string{"github.com/emersion/go-smtp", "github.com/emersion/go-imap", "database/sql", "modernc.org/", "github.com/jackc/", "testing"}, own("pec/pectest", "dispatch/"))},
		{"./dispatch/memstore", []string{"database/sql", "modernc.org/", "github.com/emersion/go-smtp", "github.com/emersion/go-imap"}},
		{"./dispatch/sqlstore", []string{"modernc.org/", "github.com/jackc/", "github.com/emersion/go-smtp", "github.com/emersion/go-imap"}},
		{"./dispatch/smtpsend", []string{"database/sql", "github.com/emersion/go-imap"}},
		{"./dispatch/imapbox", []string{"database/sql", "github.com/emersion/go-smtp"}},
		{"./pec/pectest", slices.Concat([]string{"database/sql", "modernc.org/", "github.com/jackc/"}, own("dispatch"))},
	}
	for _, tt := range tests {
		t.Run(strings.TrimPrefix(tt.pkg, "./"), func(t *testing.T) {
			for _, dep := range deps(t, tt.pkg) {
				for _, bad := range tt.except {
					if dep == bad || strings.HasPrefix(dep, strings.TrimSuffix(bad, "/")+"/") {
						t.Errorf("%s reaches %s", tt.pkg, dep)
					}
				}
			}
		})
	}
}

// TestTopFolder keeps the first impression in order.
func TestTopFolder(t *testing.T) {
	allowed := []string{
		"pec", "receipt", "dispatch", "smime", "examples", "internal", "go.mod", "go.sum", "README.md", "doc.go",
		"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "DESIGN.md",
	}
	out, err := exec.Command("git", "-C", root, "ls-files").Output()
	if err != nil {
		t.Skipf("git can't say what belongs to the project: %v", err)
	}
	for path := range strings.Lines(string(out)) {
		top, _, _ := strings.Cut(strings.TrimSpace(path), "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(allowed, top) {
			t.Errorf("%s does not belong into the top folder", top)
		}
	}
}

// TestREADME compiles the program of the README.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := bytes.Cut(readme, []byte("```go\n"))
	program, _, closed := bytes.Cut(rest, []byte("```"))
	if !ok || !closed {
		t.Fatal("the README has no program")
	}
	dir, err := os.MkdirTemp(root+"/internal/house", "_readme-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "main.go"), program, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "vet", "./"+filepath.Base(dir))
	cmd.Dir = filepath.Dir(dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the README's program does not compile: %v\n%s", err, out)
	}
	for _, m := range regexp.MustCompile(`\]\(([a-z][^)#]*)\)`).FindAllSubmatch(readme, -1) {
		if _, err := os.Stat(filepath.Join(root, string(m[1]))); err != nil {
			t.Errorf("the README links to %s, which is not there", m[1])
		}
	}
}

// sections are those of RFC 6109.
const sections = `1 1.1 1.2 1.2.1 1.2.2 1.2.3 2 2.1 2.1.1 2.1.1.1 2.1.1.1.1 2.1.1.1.2 2.1.1.1.3 2.1.1.2
2.2 2.2.1 2.2.2 2.2.3 2.2.4 2.2.5 2.2.6 2.3 3 3.1 3.1.1 3.1.2 3.1.3 3.1.4 3.1.5 3.1.6 3.2 3.2.1 3.2.2 3.2.3
3.2.4 3.3 3.3.1 3.3.2 3.3.2.1 3.3.2.2 3.3.2.3 3.3.3 3.4 3.5 4 4.1 4.2 4.3 4.3.1 4.3.2 4.3.3 4.4 4.5 4.5.1
4.5.2 4.5.3 4.5.4 4.5.5 4.5.6 4.5.7 4.5.8 4.5.9 4.5.10 5 5.1 5.2 5.3 5.4 5.5 5.5.1 5.5.2 5.5.3 5.5.3.1
5.5.3.2 5.6 6 7 8 8.1 8.1.1 8.1.2 8.1.3 8.1.4 8.1.5 8.1.6 8.2 8.2.1 9 9.1 9.2 10`

// TestCitations finds citations of sections that do not exist.
func TestCitations(t *testing.T) {
	exists := strings.Fields(sections)
	citation := regexp.MustCompile(`RFC 6109,[\s/"+]+sections?[\s/]+((?:\d+(?:\.\d+)*)(?:(?:,| and| to|[\s/]+and)[\s/]+\d+(?:\.\d+)*)*)`)
	number := regexp.MustCompile(`\d+(?:\.\d+)*`)
	found := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".go", ".md", ".json"}, filepath.Ext(path)) {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range citation.FindAllSubmatch(b, -1) {
			for _, n := range number.FindAll(m[1], -1) {
				found++
				if !slices.Contains(exists, string(n)) {
					t.Errorf("%s cites RFC 6109, section %s, which does not exist", path, n)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 50 {
		t.Errorf("%d citations were found: that can't be all", found)
	}
}

// TestPackages asks of each public package a comment that teaches and an example
// that runs.
func TestPackages(t *testing.T) {
	for _, pkg := range []string{"pec", "smime", "receipt", "dispatch", "dispatch/smtpsend", "dispatch/imapbox", "dispatch/memstore", "dispatch/sqlstore", "dispatch/storetest", "pec/pectest"} {
		t.Run(pkg, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(root, pkg, "*.go"))
			if err != nil || len(files) == 0 {
				t.Fatalf("no such package: %v", err)
			}
			var comment, example bool
			for _, name := range files {
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(name, "_test.go") {
					example = example || regexp.MustCompile(`(?m)^func Example`).Match(b) && bytes.Contains(b, []byte("// Output:"))
				} else {
					comment = comment || bytes.Contains(b, []byte("// Package "+filepath.Base(pkg)+" "))
				}
			}
			if !comment {
				t.Error("no package comment")
			}
			if !example {
				t.Error("no example whose output is checked")
			}
		})
	}
}
