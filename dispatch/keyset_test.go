package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
)

// manyAddresses yields n rows whose messages show many addresses each, none of a
// recipient, so that a few rows are enough for a file. Before the last it calls last.
func manyAddresses(n, each int, last func() error) iter.Seq2[dispatch.Row, error] {
	return func(yield func(dispatch.Row, error) bool) {
		for i := range n {
			if i == n-1 {
				if err := last(); err != nil {
					yield(dispatch.Row{}, err)
					return
				}
			}
			var text strings.Builder
			for k := range each {
				fmt.Fprintf(&text, "x%d-%d@pec.gamma.example ", i, k)
			}
			row := rowOf(fmt.Sprintf("r%d@pec.beta.example", i), "nome", text.String())
			row.Line = int64(i + 2)
			if !yield(row, nil) {
				return
			}
		}
	}
}

// filesIn counts the files of a folder: those that have a name, and those that this
// process has open, named or not; -1 if the system does not tell.
func filesIn(t *testing.T, dir string) (named, open int) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	const own = "/proc/self/fd"
	handles, err := os.ReadDir(own)
	if err != nil {
		return len(list), -1
	}
	for _, h := range handles {
		if name, err := os.Readlink(filepath.Join(own, h.Name())); err == nil && strings.HasPrefix(name, dir) {
			open++
		}
	}
	return len(list), open
}

// What Preflight can't hold in memory lies in a file, which is gone however it ends.
func TestPreflightFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir)
	tmpl := templateOf(t, func(c *dispatch.TemplateConfig) { c.Text = "{{.nome}}" })
	broken := errors.New("line cut")
	for _, c := range []struct {
		name string
		last func(cancel func()) error
		want error
	}{
		{"done", func(func()) error { return nil }, nil},
		{"broken source", func(func()) error { return broken }, broken},
		{"canceled", func(cancel func()) error { cancel(); return nil }, context.Canceled},
		{"panic", func(func()) error { panic(broken) }, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			rows := manyAddresses(12, 7000, func() error {
				if named, open := filesIn(t, dir); open == 0 || named > 0 && runtime.GOOS == "linux" {
					t.Errorf("under way: %d files with a name, %d open; want one open, without a name", named, open)
				}
				return c.last(cancel)
			})
			err := func() (err error) {
				defer func() {
					if r := recover(); r != nil {
						err = r.(error)
					}
				}()
				report, err := dispatch.Preflight(ctx, tmpl, rows, preflightOptions())
				if err == nil {
					err = report.Err()
				}
				return err
			}()
			if !errors.Is(err, c.want) {
				t.Errorf("Preflight: %v, want %v", err, c.want)
			}
			if named, open := filesIn(t, dir); named > 0 || open > 0 {
				t.Errorf("afterwards there are %d files, and %d open", named, open)
			}
		})
	}
}

// Without space for the file nothing is stored; a small batch needs none.
func TestPrepareWithoutTemporaryFiles(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	t.Setenv("TMPDIR", gone)
	t.Setenv("TMP", gone)
	store, b := newStore(), newBox(t)
	d := newDispatcher(t, config(b, store))
	ctx := dispatch.WithActor(t.Context(), "anna")
	s := spec(t, 450)
	if _, _, err := d.Prepare(ctx, s); err != nil {
		t.Errorf("Prepare of a small batch: %v", err)
	}
	s.Name = "large"
	s.Template = templateOf(t, func(c *dispatch.TemplateConfig) { c.Text = "{{.nome}}" })
	s.Rows = manyAddresses(12, 7000, func() error { return nil })
	if _, _, err := d.Prepare(ctx, s); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Prepare of a large batch: %v, want that there is no folder for the file", err)
	}
	if _, err := d.Batch(ctx, account, "large"); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("Batch: %v, want none", err)
	}
}
