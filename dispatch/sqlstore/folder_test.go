package sqlstore_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/dispatch/sqlstore"
	"github.com/ceralacca/go-pec/dispatch/storetest"
)

// inFolder is a store whose large values are in a folder.
type inFolder struct {
	*memstore.Store
	*sqlstore.Folder
}

func (s inFolder) PutBlob(ctx context.Context, r io.Reader) (dispatch.Digest, int64, error) {
	return s.Folder.PutBlob(ctx, r)
}

func (s inFolder) OpenBlob(ctx context.Context, d dispatch.Digest) (dispatch.Blob, error) {
	return s.Folder.OpenBlob(ctx, d)
}

func openFolder(t *testing.T, dir string) *sqlstore.Folder {
	t.Helper()
	f, err := sqlstore.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFolder(t *testing.T) {
	dir, records := t.TempDir(), make(map[string]*memstore.Store)
	storetest.Run(t, func(t *testing.T, name string) dispatch.Store {
		if records[name] == nil {
			records[name] = new(memstore.Store)
		}
		return inFolder{records[name], openFolder(t, filepath.Join(dir, name))}
	})
}

func TestFolderLargeBlob(t *testing.T) {
	dir := t.TempDir()
	storetest.RunLargeBlob(t, func(t *testing.T, name string) dispatch.Store {
		return inFolder{new(memstore.Store), openFolder(t, filepath.Join(dir, name))}
	})
}

// files returns how many files there are.
func files(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFolderKeepsOnce(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	for range 3 {
		if _, _, err := f.PutBlob(context.Background(), bytes.NewReader([]byte("allegato"))); err != nil {
			t.Fatal(err)
		}
	}
	if n := files(t, dir); n != 1 {
		t.Errorf("the same content put three times: got %d files, want 1", n)
	}
}

func TestFolderRemovesWhatIsStale(t *testing.T) {
	dir := t.TempDir()
	openFolder(t, dir)
	stale, recent := filepath.Join(dir, "incoming", "1"), filepath.Join(dir, "incoming", "2")
	for _, file := range []string{stale, recent} {
		if err := os.WriteFile(file, []byte("half of it"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(stale, old, old); err != nil {
		t.Fatal(err)
	}
	openFolder(t, dir)
	if _, err := os.Stat(stale); err == nil {
		t.Error("a file that no process writes to any more is still there")
	}
	if _, err := os.Stat(recent); err != nil {
		t.Errorf("a file that another process may write to: %v", err)
	}
}
