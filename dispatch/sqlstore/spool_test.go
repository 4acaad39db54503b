package sqlstore_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// A process can be killed while it keeps a large value, which may be a letter. Nothing
// of it must be found in the folder for temporary files then.
func TestNothingIsLeftBehind(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: Windows does not remove a file that is open")
	}
	s, dir := openSQLite(t, filepath.Join(t.TempDir(), "sends.db")), t.TempDir()
	t.Setenv("TMPDIR", dir)
	content := bytes.Repeat([]byte("una lettera\r\n"), 100_000)
	reads := 0
	looking := readerFunc(func([]byte) (int, error) {
		reads++
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("while a blob is put: %v in the folder for temporary files, error %v; want nothing", entries, err)
		}
		return 0, io.EOF
	})
	if _, size, err := s.PutBlob(t.Context(), io.MultiReader(bytes.NewReader(content), looking)); err != nil || size != int64(len(content)) {
		t.Errorf("PutBlob = %d bytes, %v", size, err)
	}
	if reads == 0 {
		t.Error("nobody looked")
	}
}

// readerFunc is an [io.Reader].
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
