package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/ceralacca/go-pec/dispatch"
)

// files are a dispatch.Blobs: a file for each, named by its digest, so that the
// same content has the same name and is there once.
type files struct{ dir string }

// PutBlob writes under a name that nobody looks for, and gives the file its own
// name when it is complete and on the disk.
func (f files) PutBlob(ctx context.Context, r io.Reader) (digest dispatch.Digest, size int64, err error) {
	file, err := os.CreateTemp(f.dir, "incomplete-")
	if err != nil {
		return digest, 0, err
	}
	defer os.Remove(file.Name()) // it is gone by then, if all went well
	defer file.Close()
	hash := sha256.New()
	if size, err = io.Copy(io.MultiWriter(file, hash), r); err != nil {
		return digest, 0, err
	}
	hash.Sum(digest[:0])
	if err := errors.Join(ctx.Err(), file.Sync(), file.Close()); err != nil {
		return digest, 0, err
	}
	if err := os.Rename(file.Name(), f.path(digest)); err != nil {
		return digest, 0, err
	}
	return digest, size, syncFolder(f.dir)
}

func (f files) path(d dispatch.Digest) string { return filepath.Join(f.dir, d.String()) }

func (f files) OpenBlob(ctx context.Context, d dispatch.Digest) (dispatch.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := os.Open(f.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, dispatch.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return openFile{file, info.Size()}, nil
}

// openFile is an open blob; it gives ReadAt and Close of its file.
type openFile struct {
	*os.File
	size int64
}

func (f openFile) Size() int64 { return f.size }

// syncFolder makes the names of the files in a folder durable, without which a file
// may be on the disk and in no folder.
func syncFolder(name string) error {
	if runtime.GOOS == "windows" {
		return nil // it can't be asked to, and does it by itself
	}
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
