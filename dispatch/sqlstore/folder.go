package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// Folder is a [dispatch.Blobs] of files, for databases that are to stay small. A
// file has the digest of its content as its name, in a folder named after the first
// two digits. Several processes may use the same folder.
type Folder struct{ dir string }

var _ dispatch.Blobs = (*Folder)(nil)

// incoming is the folder of files that are not complete.
const incoming = "incoming"

// staleAfter is when a file that is not complete belongs to no process any more.
const staleAfter = 24 * time.Hour

// OpenFolder makes a folder ready. It creates it if it is not there.
func OpenFolder(dir string) (*Folder, error) {
	f := &Folder{dir}
	names := []string{incoming}
	for i := range 256 {
		names = append(names, fmt.Sprintf("%02x", i))
	}
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, fmt.Errorf("sqlstore: creating the folder of blobs: %w", err)
		}
	}
	if err := f.sync("."); err != nil {
		return nil, err
	}
	return f, f.removeStale()
}

// removeStale removes what processes that died left behind.
func (f *Folder) removeStale() error {
	entries, err := os.ReadDir(filepath.Join(f.dir, incoming))
	if err != nil {
		return fmt.Errorf("sqlstore: listing the folder of blobs: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > staleAfter {
			err = os.Remove(filepath.Join(f.dir, incoming, e.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sqlstore: clearing the folder of blobs: %w", err)
		}
	}
	return nil
}

// PutBlob implements [dispatch.Blobs].
func (f *Folder) PutBlob(ctx context.Context, r io.Reader) (dispatch.Digest, int64, error) {
	file, err := os.CreateTemp(filepath.Join(f.dir, incoming), "")
	if err != nil {
		return dispatch.Digest{}, 0, fmt.Errorf("sqlstore: creating a blob: %w", err)
	}
	defer os.Remove(file.Name()) // it is somewhere else, if all went well
	defer file.Close()
	digest, size, err := copyDigesting(file, &reader{ctx, r})
	if err != nil {
		return digest, 0, err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return digest, 0, fmt.Errorf("sqlstore: writing a blob: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return digest, 0, fmt.Errorf("sqlstore: writing a blob: %w", err)
	}
	return digest, size, f.keep(file.Name(), digest, size)
}

// keep gives a complete file its name, for good. If there is one of that name, it
// is the same; but whoever put it may not have returned yet, so the folder is
// flushed in any case.
func (f *Folder) keep(file string, d dispatch.Digest, size int64) error {
	if info, err := os.Stat(f.path(d)); err != nil || info.Size() != size {
		if err := os.Rename(file, f.path(d)); err != nil {
			return fmt.Errorf("sqlstore: keeping a blob: %w", err)
		}
	}
	return f.sync(d.String()[:2])
}

func (f *Folder) path(d dispatch.Digest) string {
	name := d.String()
	return filepath.Join(f.dir, name[:2], name)
}

// sync makes the names in a folder durable.
func (f *Folder) sync(name string) error {
	if runtime.GOOS == "windows" {
		return nil // it can't, and needs not
	}
	dir, err := os.Open(filepath.Join(f.dir, name))
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		return fmt.Errorf("sqlstore: flushing the folder of blobs: %w", err)
	}
	return nil
}

// OpenBlob implements [dispatch.Blobs].
func (f *Folder) OpenBlob(ctx context.Context, d dispatch.Digest) (dispatch.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sqlstore: opening a blob: %w", err)
	}
	file, err := os.Open(f.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, dispatch.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("sqlstore: opening a blob: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlstore: opening a blob: %w", err), file.Close())
	}
	return &fileBlob{file, info.Size()}, nil
}

// fileBlob is an open file; it gives ReaderAt and Close.
type fileBlob struct {
	*os.File
	size int64
}

// Size implements [dispatch.Blob].
func (b *fileBlob) Size() int64 { return b.size }
