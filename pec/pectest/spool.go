package pectest

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"runtime"
	"sync"

	"github.com/ceralacca/go-pec/internal/tempfile"
)

// spool keeps the bytes of messages in a temporary file, so that a network holds
// any number of them in little memory, and each of them once.
type spool struct {
	file *tempfile.File

	mu   sync.Mutex
	free []uint32 // blocks
	next uint32
}

const blockSize = 4 << 10

func newSpool() (*spool, error) {
	file, err := tempfile.Create("pectest-spool-")
	if err != nil {
		return nil, fmt.Errorf("making the spool: %w", err)
	}
	return &spool{file: file}, nil
}

func (s *spool) close() error { return s.file.Close() }

// take returns blocks that nothing uses.
func (s *spool) take(n int) []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := min(n, len(s.free))
	blocks := append(make([]uint32, 0, n), s.free[len(s.free)-again:]...)
	s.free = s.free[:len(s.free)-again]
	for len(blocks) < n {
		blocks = append(blocks, s.next)
		s.next++
	}
	return blocks
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
		blocks := b.blocks[off/blockSize:]
		run := int64(adjacent(blocks))*blockSize - within
		want := min(int64(len(p)-n), run, b.size-off)
		got, err := b.spool.file.ReadAt(p[n:n+int(want)], int64(blocks[0])*blockSize+within)
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

// adjacent returns how many of the blocks, from the first on, lie one after
// another.
func adjacent(blocks []uint32) int {
	n := 1
	for n < len(blocks) && blocks[n] == blocks[n-1]+1 {
		n++
	}
	return n
}

// reader returns a reader of all bytes.
func (b *blob) reader() io.Reader { return &blobReader{blob: b} }

// blobReader reads a blob from its start.
type blobReader struct {
	blob *blob
	off  int64
}

// Read implements io.Reader.
func (r *blobReader) Read(p []byte) (int, error) {
	n, err := r.blob.ReadAt(p, r.off)
	r.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// WriteTo implements io.WriterTo, so that who copies needs no buffer of his own.
func (r *blobReader) WriteTo(w io.Writer) (int64, error) { return copyAll(w, r) }

// buffers are lent to those who copy. Each message is copied a dozen times on its
// way, and making a buffer each time took longer than the copying.
var buffers = sync.Pool{New: func() any { return new([8 * blockSize]byte) }}

// copyAll is io.Copy with a buffer that is lent.
func copyAll(w io.Writer, r io.Reader) (int64, error) {
	buf := buffers.Get().(*[8 * blockSize]byte)
	defer buffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buf[:])
}

// blobWriter writes a blob. It must be finished or dropped, and not be used after
// that.
type blobWriter struct {
	spool  *spool
	blob   *blob
	buf    *[8 * blockSize]byte // lent
	filled int
	digest hash.Hash
}

func (s *spool) create() *blobWriter {
	return &blobWriter{spool: s, blob: &blob{spool: s}, buf: buffers.Get().(*[8 * blockSize]byte), digest: sha256.New()}
}

// Write implements io.Writer.
func (w *blobWriter) Write(p []byte) (int, error) {
	w.digest.Write(p)
	n := len(p)
	for len(p) > 0 {
		took := copy(w.buf[w.filled:], p)
		w.filled += took
		p = p[took:]
		if w.filled == len(w.buf) {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// flush writes what is in the buffer into new blocks.
func (w *blobWriter) flush() error {
	text := w.buf[:w.filled]
	blocks := w.spool.take((len(text) + blockSize - 1) / blockSize)
	w.blob.blocks = append(w.blob.blocks, blocks...)
	w.blob.size += int64(len(text))
	w.filled = 0
	for len(blocks) > 0 {
		run := adjacent(blocks)
		n := min(run*blockSize, len(text))
		if _, err := w.spool.file.WriteAt(text[:n], int64(blocks[0])*blockSize); err != nil {
			return fmt.Errorf("writing to the spool: %w", err)
		}
		blocks, text = blocks[run:], text[n:]
	}
	return nil
}

// finish returns the blob.
func (w *blobWriter) finish() (*blob, error) {
	if err := w.flush(); err != nil {
		w.drop()
		return nil, err
	}
	buffers.Put(w.buf)
	b := w.blob
	runtime.AddCleanup(b, w.spool.release, b.blocks)
	return b, nil
}

// drop gives up what was written.
func (w *blobWriter) drop() {
	buffers.Put(w.buf)
	w.spool.release(w.blob.blocks)
}

// sum returns the SHA-256 digest of what was written.
func (w *blobWriter) sum() []byte { return w.digest.Sum(nil) }

// keep writes a message into the spool.
func (s *spool) keep(write func(io.Writer) error) (*blob, error) {
	w := s.create()
	if err := write(w); err != nil {
		w.drop()
		return nil, err
	}
	return w.finish()
}
