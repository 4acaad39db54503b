package pectest

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"sync"
)

// spool keeps the bytes of messages in a temporary file, so that a network holds
// any number of them in little memory, and each of them once. The file has no
// name (where the system allows that) and goes with the process.
type spool struct {
	file *os.File
	path string // to be removed on closing; empty if it is already

	mu   sync.Mutex
	free []uint32 // blocks
	next uint32
}

const blockSize = 4 << 10

func newSpool() (*spool, error) {
	file, err := os.CreateTemp("", "pectest-spool-*")
	if err != nil {
		return nil, fmt.Errorf("making the spool: %w", err)
	}
	s := &spool{file: file}
	if os.Remove(file.Name()) != nil {
		s.path = file.Name()
	}
	return s, nil
}

func (s *spool) close() error {
	err := s.file.Close()
	if s.path != "" {
		os.Remove(s.path)
	}
	return err
}

// take returns a block that nothing uses.
func (s *spool) take() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		block := s.free[n-1]
		s.free = s.free[:n-1]
		return block
	}
	s.next++
	return s.next - 1
}

func (s *spool) release(blocks []uint32) {
	s.mu.Lock()
	s.free = append(s.free, blocks...)
	s.mu.Unlock()
}

// blob is a message in the spool. It never changes. Its place is used again when
// nobody refers to it any more.
type blob struct {
	spool  *spool
	blocks []uint32
	size   int64
}

// Size returns the number of bytes.
func (b *blob) Size() int64 { return b.size }

// ReadAt implements io.ReaderAt.
func (b *blob) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < b.size {
		within := off % blockSize
		want := min(int64(len(p)-n), blockSize-within, b.size-off)
		place := int64(b.blocks[off/blockSize])*blockSize + within
		got, err := b.spool.file.ReadAt(p[n:n+int(want)], place)
		n += got
		off += int64(got)
		if err != nil {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// reader returns a reader of all bytes.
func (b *blob) reader() *io.SectionReader { return io.NewSectionReader(b, 0, b.size) }

// blobWriter writes a blob. It must not be used after finish.
type blobWriter struct {
	spool  *spool
	blob   *blob
	buf    []byte
	digest hash.Hash
}

func (s *spool) create() *blobWriter {
	return &blobWriter{spool: s, blob: &blob{spool: s}, buf: make([]byte, 0, blockSize), digest: sha256.New()}
}

// Write implements io.Writer.
func (w *blobWriter) Write(p []byte) (int, error) {
	w.digest.Write(p)
	n := len(p)
	for len(p) > 0 {
		room := min(blockSize-len(w.buf), len(p))
		w.buf = append(w.buf, p[:room]...)
		p = p[room:]
		if len(w.buf) == blockSize {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (w *blobWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	block := w.spool.take()
	w.blob.blocks = append(w.blob.blocks, block)
	w.blob.size += int64(len(w.buf))
	_, err := w.spool.file.WriteAt(w.buf, int64(block)*blockSize)
	w.buf = w.buf[:0]
	if err != nil {
		return fmt.Errorf("writing to the spool: %w", err)
	}
	return nil
}

// finish returns the blob.
func (w *blobWriter) finish() (*blob, error) {
	if err := w.flush(); err != nil {
		return nil, err
	}
	b := w.blob
	runtime.AddCleanup(b, w.spool.release, b.blocks)
	return b, nil
}

// sum returns the SHA-256 digest of what was written.
func (w *blobWriter) sum() []byte { return w.digest.Sum(nil) }

// keep writes a message into the spool.
func (s *spool) keep(write func(io.Writer) error) (*blob, error) {
	w := s.create()
	if err := write(w); err != nil {
		s.release(w.blob.blocks)
		return nil, err
	}
	return w.finish()
}
