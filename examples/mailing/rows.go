package main

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/ceralacca/go-pec/dispatch"
)

// source is where the rows come from.
type source struct {
	name string // for messages
	rows iter.Seq2[dispatch.Row, error]
	hash func(io.Writer) error // writes what the rows are made of
}

func (m *mailing) source() source {
	src := m.allRows()
	if m.test {
		src.rows = only(m.row, src.rows)
	}
	return src
}

// only leaves out all rows but one.
func only(number int64, rows iter.Seq2[dispatch.Row, error]) iter.Seq2[dispatch.Row, error] {
	return func(yield func(dispatch.Row, error) bool) {
		n := int64(0)
		for row, err := range rows {
			if n++; n == number {
				yield(row, err)
				return
			}
		}
	}
}

func (m *mailing) allRows() source {
	switch {
	case m.generate > 0:
		return madeUp(m.generate, m.world.domains)
	case m.rows != "":
		return table(os.DirFS(filepath.Dir(m.rows)), filepath.Base(m.rows), m.rows)
	}
	return table(sample, "sample/rows.csv", "the sample's rows.csv")
}

func table(fsys fs.FS, file, name string) source {
	return source{
		name: name,
		rows: dispatch.OpenCSV(fsys, file).Rows(),
		hash: func(w io.Writer) error { return hashFile(w, fsys, file) },
	}
}

// madeUp yields n rows with different addresses, the same each time.
func madeUp(n int, domains []string) source {
	return source{
		name: "the made-up rows",
		rows: func(yield func(dispatch.Row, error) bool) {
			for i := 1; i <= n && yield(madeUpRow(i, domains), nil); i++ {
			}
		},
		hash: func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "made up %d %v\n", n, domains)
			return err
		},
	}
}

func madeUpRow(i int, domains []string) dispatch.Row {
	return dispatch.Row{Line: int64(i), Fields: map[string]string{
		"pec":      fmt.Sprintf("destinatario%07d@%s", i, domains[i%len(domains)]),
		"nome":     fmt.Sprintf("Destinatario %d", i),
		"pratica":  fmt.Sprintf("2026/%07d", i),
		"importo":  fmt.Sprintf("%d,%02d", 10+i%990, i%100),
		"scadenza": "31/12/2026",
	}}
}

func hashFile(w io.Writer, fsys fs.FS, name string) error {
	file, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	fmt.Fprintf(w, "file %s\n", name)
	_, err = io.Copy(w, file)
	return err
}

func hashFolder(w io.Writer, folder fs.FS) error {
	return fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		return hashFile(w, folder, path)
	})
}
