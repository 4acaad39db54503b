package sqlstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/internal/tempfile"
)

// spoolInMemory is up to which size a blob waits in memory.
const spoolInMemory = 512 << 10

// spool is a blob that was read to its end and has yet to be kept.
type spool struct {
	io.ReaderAt
	size   int64
	digest dispatch.Digest
	memory []byte         // the whole; nil if in a file
	file   *tempfile.File // nil if in memory
}

func newSpool(ctx context.Context, r io.Reader) (*spool, error) {
	head, r, err := readHead(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(head) < spoolInMemory {
		return &spool{ReaderAt: bytes.NewReader(head), size: int64(len(head)), digest: sha256.Sum256(head), memory: head}, nil
	}
	file, err := tempfile.Create("gopec-blob-")
	if err != nil {
		return nil, fmt.Errorf("sqlstore: creating a temporary file: %w", err)
	}
	s := &spool{ReaderAt: file, file: file}
	s.digest, s.size, err = copyDigesting(file, io.MultiReader(bytes.NewReader(head), r))
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// readHead returns the first part of what r gives, and a reader for the rest.
func readHead(ctx context.Context, r io.Reader) (head []byte, rest io.Reader, err error) {
	var b bytes.Buffer
	if known, ok := r.(interface{ Len() int }); ok {
		b.Grow(min(known.Len(), spoolInMemory) + bytes.MinRead)
	}
	rest = &reader{ctx, r}
	_, err = b.ReadFrom(io.LimitReader(rest, spoolInMemory))
	return b.Bytes(), rest, err
}

func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// copyDigesting writes what r gives, and returns its digest and size.
func copyDigesting(w io.Writer, r io.Reader) (d dispatch.Digest, size int64, err error) {
	hash := sha256.New()
	size, err = io.Copy(io.MultiWriter(w, hash), r)
	hash.Sum(d[:0])
	return d, size, err
}

// reader is a caller's reader: it ends when ctx does, and its errors say whose they
// are.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, fmt.Errorf("sqlstore: reading a blob: %w", err)
	}
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("sqlstore: reading a blob: %w", err)
	}
	return n, err
}
