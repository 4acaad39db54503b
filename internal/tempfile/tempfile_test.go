package tempfile_test

import (
	"io"
	"os"
	"runtime"
	"testing"

	"github.com/ceralacca/go-pec/internal/tempfile"
)

// What has no name can't be found by others, nor be left behind.
func TestCreate(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir) // Windows
	f, err := tempfile.Create("gopec-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if runtime.GOOS != "windows" {
		isEmpty(t, dir, "while the file is open")
	}
	if _, err := f.WriteString("una lettera"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 11)
	if _, err := f.ReadAt(got, 0); err != nil && err != io.EOF || string(got) != "una lettera" {
		t.Errorf("ReadAt = %q, %v", got, err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	isEmpty(t, dir, "once it is closed")
}

func isEmpty(t *testing.T, dir, when string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("%s: %v in the folder, error %v; want nothing", when, entries, err)
	}
}
