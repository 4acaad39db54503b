package memstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"github.com/ceralacca/go-pec/dispatch"
)

// blobs are a [dispatch.Blobs] in memory.
type blobs struct {
	mu    sync.Mutex // guards blobs
	blobs map[dispatch.Digest][]byte
}

// PutBlob implements [dispatch.Blobs]. The whole of it is in memory.
func (b *blobs) PutBlob(ctx context.Context, r io.Reader) (dispatch.Digest, int64, error) {
	var whole bytes.Buffer
	if _, err := io.Copy(&whole, r); err != nil {
		return dispatch.Digest{}, 0, fmt.Errorf("memstore: reading a blob: %w", err)
	}
	if err := canceled(ctx); err != nil {
		return dispatch.Digest{}, 0, err
	}
	data := whole.Bytes()
	digest := dispatch.Digest(sha256.Sum256(data))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.blobs == nil {
		b.blobs = make(map[dispatch.Digest][]byte)
	}
	b.blobs[digest] = data
	return digest, int64(len(data)), nil
}

// OpenBlob implements [dispatch.Blobs].
func (b *blobs) OpenBlob(ctx context.Context, d dispatch.Digest) (dispatch.Blob, error) {
	if err := canceled(ctx); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.blobs[d]
	if !ok {
		return nil, dispatch.ErrNotFound
	}
	return blob{bytes.NewReader(data)}, nil
}

// blob is an open blob; it gives ReaderAt and Size of its reader.
type blob struct{ *bytes.Reader }

func (blob) Close() error { return nil }
