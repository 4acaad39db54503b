package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ceralacca/go-pec/dispatch"
)

// chunkSize is how much of a blob is in one row. It is what reading and writing
// one costs in memory, and part of the schema: it can't be changed.
const chunkSize = 256 << 10

// blobs are the [dispatch.Blobs] of a database.
type blobs struct {
	*Store
	group  group
	recent chunks
}

func newBlobs(s *Store) *blobs {
	return &blobs{Store: s, group: group{turn: make(chan struct{}, 1), patience: patience}}
}

// PutBlob implements [dispatch.Blobs]. The digest is known at the end only, and a
// reader may be slow, so the blob waits outside of the database until it is
// complete: in memory if it is small, otherwise in a temporary file.
func (b *blobs) PutBlob(ctx context.Context, r io.Reader) (dispatch.Digest, int64, error) {
	s, err := newSpool(ctx, r)
	if err != nil {
		return dispatch.Digest{}, 0, err
	}
	defer s.close()
	defer b.recent.forget(s.digest) // who reads it back sees what the database has
	if 0 < s.size && s.size <= chunkSize {
		return s.digest, s.size, b.putSmall(ctx, s)
	}
	if _, err := b.size(ctx, s.digest); !errors.Is(err, dispatch.ErrNotFound) {
		return s.digest, s.size, err
	}
	err = b.write(ctx, func(tx *sql.Tx) error { return b.put(ctx, tx, s) })
	return s.digest, s.size, err
}

// put writes a blob, unless another process did so by now.
func (b *blobs) put(ctx context.Context, tx *sql.Tx, s *spool) error {
	const doing = "writing a blob"
	result, err := tx.StmtContext(ctx, b.statements[insertBlob]).ExecContext(ctx, digest(s.digest), s.size)
	if err != nil {
		return b.failed(ctx, doing, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	insert := tx.StmtContext(ctx, b.statements[insertChunk])
	chunk := make([]byte, min(chunkSize, s.size))
	for number := int64(0); number*chunkSize < s.size; number++ {
		n, err := s.ReadAt(chunk, number*chunkSize)
		if err != nil && err != io.EOF {
			return fmt.Errorf("sqlstore: reading a temporary file: %w", err)
		}
		if _, err := insert.ExecContext(ctx, digest(s.digest), number, chunk[:n]); err != nil {
			return b.failed(ctx, doing, err)
		}
	}
	return nil
}

// size returns how large a blob is, or ErrNotFound.
func (b *blobs) size(ctx context.Context, d dispatch.Digest) (size int64, err error) {
	err = b.statements[queryBlob].QueryRowContext(ctx, d.String()).Scan(&size)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, dispatch.ErrNotFound
	}
	if err != nil {
		return 0, b.failed(ctx, "looking for a blob", err)
	}
	return size, nil
}

// OpenBlob implements [dispatch.Blobs].
func (b *blobs) OpenBlob(ctx context.Context, d dispatch.Digest) (dispatch.Blob, error) {
	if first, ok := b.recent.get(d, 0); ok {
		return &blob{ctx: ctx, blobs: b, digest: d, size: first.size, chunk: first}, nil
	}
	size, err := b.size(ctx, d)
	if err != nil {
		return nil, err
	}
	return &blob{ctx: ctx, blobs: b, digest: d, size: size}, nil
}

// blob is an open blob. It holds one chunk of it, since most read it in small
// pieces, from beginning to end.
type blob struct {
	ctx    context.Context
	blobs  *blobs
	digest dispatch.Digest
	size   int64

	mu    sync.Mutex // guards what follows
	chunk chunk      // none, if it has no bytes
}

// Size implements [dispatch.Blob].
func (b *blob) Size() int64 { return b.size }

// Close implements [dispatch.Blob].
func (b *blob) Close() error { return nil }

// ReadAt implements [io.ReaderAt].
func (b *blob) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, errors.New("sqlstore: a negative offset in a blob")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for n < len(p) && offset < b.size {
		if err := b.load(offset / chunkSize); err != nil {
			return n, err
		}
		took := copy(p[n:], b.chunk.bytes[offset%chunkSize:])
		n += took
		offset += int64(took)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// load makes b.chunk the chunk with a number.
func (b *blob) load(number int64) error {
	if b.chunk.bytes != nil && b.chunk.number == number {
		return nil
	}
	var ok bool
	if b.chunk, ok = b.blobs.recent.get(b.digest, number); ok {
		return nil
	}
	var bytes []byte
	err := b.blobs.statements[queryChunk].QueryRowContext(b.ctx, b.digest.String(), number).Scan(&bytes)
	if err != nil {
		return b.blobs.failed(b.ctx, "reading a blob", err)
	}
	if want := min(chunkSize, b.size-number*chunkSize); int64(len(bytes)) != want {
		return fmt.Errorf("sqlstore: chunk %d of a blob has %d bytes, not %d", number, len(bytes), want)
	}
	b.chunk = chunk{b.digest, b.size, number, bytes}
	b.blobs.recent.put(b.chunk)
	return nil
}
