package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing/iotest"

	"github.com/ceralacca/go-pec/dispatch"
)

// Checks of the large values.

// sampleBytes are always the same for the same size, and look random.
func sampleBytes(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)}).Read(b)
	return b
}

// blobSizes are around the sizes in which a store may cut a large value.
var blobSizes = []int{0, 1, 100, 1<<16 - 1, 1 << 16, 1<<16 + 1, 1<<18 - 1, 1 << 18, 1<<18 + 1, 1 << 20, 3<<20 + 12345}

func checkBlobs(s *subject) {
	ctx := context.Background()
	if _, err := s.OpenBlob(ctx, sha256.Sum256([]byte("nowhere"))); !isError(err, dispatch.ErrNotFound) {
		s.t.Errorf("OpenBlob of no blob: got error %v, want %v", err, dispatch.ErrNotFound)
	}
	for range 2 { // the second time it is there already
		for _, size := range blobSizes {
			content := sampleBytes(size)
			s.putBlob(bytes.NewReader(content), content)
			s.hasBlob(content)
		}
		s.reopen()
	}
	for _, size := range blobSizes {
		s.hasBlob(sampleBytes(size))
	}
	// Readers differ in how much they give and in how they end.
	content := sampleBytes(70001)
	s.putBlob(iotest.OneByteReader(bytes.NewReader(content)), content)
	content = sampleBytes(300007)
	s.putBlob(iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(content))), content)
	s.hasBlob(content)
	s.view(hasNothing()...)
}

func (s *subject) putBlob(r io.Reader, content []byte) {
	s.t.Helper()
	digest, size, err := s.PutBlob(context.Background(), r)
	if err != nil || digest != sha256.Sum256(content) || size != int64(len(content)) {
		s.t.Errorf("PutBlob of %d bytes: got %v, %d, error %v; want %x, %d", len(content), digest, size, err, sha256.Sum256(content), len(content))
	}
}

func (s *subject) hasBlob(content []byte) {
	s.t.Helper()
	b := s.openBlob(content)
	if b == nil {
		return
	}
	defer b.Close()
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil || !bytes.Equal(got, content) {
		s.t.Errorf("reading a blob of %d bytes: got %d bytes, error %v, the same: %t", len(content), len(got), err, bytes.Equal(got, content))
	}
}

func (s *subject) openBlob(content []byte) dispatch.Blob {
	s.t.Helper()
	b, err := s.OpenBlob(context.Background(), sha256.Sum256(content))
	if err != nil {
		s.t.Errorf("OpenBlob of %d bytes: %v", len(content), err)
		return nil
	}
	if b.Size() != int64(len(content)) {
		s.t.Errorf("Size of a blob: got %d, want %d", b.Size(), len(content))
	}
	return b
}

func checkBlobReading(s *subject) {
	content := sampleBytes(1<<19 + 777)
	s.putBlob(bytes.NewReader(content), content)
	b := s.openBlob(content)
	if b == nil {
		return
	}
	defer b.Close()
	if err := iotest.TestReader(io.NewSectionReader(b, 0, b.Size()), content); err != nil {
		s.t.Error(err)
	}
	for _, read := range []struct{ offset, length int }{
		{0, 0}, {0, 1}, {5, 100}, {1<<18 - 1, 2}, {1<<16 - 10, 1 << 18}, {0, len(content)}, {1, len(content) - 1},
		{len(content) - 1, 1}, {len(content) - 1, 2}, {len(content), 1}, {len(content) + 1<<20, 7}, {1000, len(content)},
	} {
		s.readAt(b, content, read.offset, read.length)
	}
	if _, err := b.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		s.t.Errorf("ReadAt(-1): got error %v, want one other than io.EOF", err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				s.readAt(b, content, (i*91+n*7919)%len(content), 40000)
			}
		})
	}
	wg.Wait()
}

// readAt reads a piece of a blob, as [io.ReaderAt] says: all that was asked for,
// or up to the end with io.EOF.
func (s *subject) readAt(b dispatch.Blob, content []byte, offset, length int) {
	s.t.Helper()
	want := content[min(offset, len(content)):min(offset+length, len(content))]
	got := make([]byte, length)
	n, err := b.ReadAt(got, int64(offset))
	full := n == length && (err == nil || err == io.EOF && offset+length >= len(content))
	if !bytes.Equal(got[:n], want) || !full && err != io.EOF {
		s.t.Errorf("ReadAt(%d bytes, %d): got %d, error %v; want %d", length, offset, n, err, len(want))
	}
}

func checkBlobFailing(s *subject) {
	broken := errors.New("the line broke")
	for _, size := range []int{0, 100, 1 << 18, 1<<20 + 1} {
		content := sampleBytes(size)
		_, _, err := s.PutBlob(context.Background(), io.MultiReader(bytes.NewReader(content), iotest.ErrReader(broken)))
		if !isError(err, broken) {
			s.t.Errorf("PutBlob, with a reader that fails after %d bytes: got error %v, want one that wraps its error", size, err)
		}
		s.hasNoBlob(content)

		ctx, cancel := context.WithCancel(context.Background())
		_, _, err = s.PutBlob(ctx, io.MultiReader(bytes.NewReader(content), onRead(cancel)))
		s.wantCanceled(fmt.Sprintf("PutBlob, canceled after %d bytes", size), err)
		s.hasNoBlob(content)
		_, err = s.OpenBlob(ctx, sha256.Sum256(content))
		s.wantCanceled("OpenBlob", err)
	}
	s.reopen()
	s.hasNoBlob(sampleBytes(1 << 18))
	// The same content can be put after all.
	content := sampleBytes(1 << 18)
	s.putBlob(bytes.NewReader(content), content)
	s.hasBlob(content)
}

func (s *subject) hasNoBlob(content []byte) {
	s.t.Helper()
	if _, err := s.OpenBlob(context.Background(), sha256.Sum256(content)); !isError(err, dispatch.ErrNotFound) {
		s.t.Errorf("OpenBlob of a blob that was not put: got error %v, want %v", err, dispatch.ErrNotFound)
	}
}

// onRead is a reader of nothing that does something first.
func onRead(f func()) io.Reader {
	return readerFunc(func([]byte) (int, error) { f(); return 0, io.EOF })
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// checkBlobsTogether puts the same content, and others, many times at once, while
// a slow reader lets transactions through.
func checkBlobsTogether(s *subject) {
	shared := sampleBytes(1<<19 + 1)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			own := sampleBytes(1000 + i)
			s.putBlob(bytes.NewReader(shared), shared)
			s.putBlob(bytes.NewReader(own), own)
			s.hasBlob(shared)
			s.hasBlob(own)
		})
	}
	wg.Wait()
	content := sampleBytes(1<<18 + 99)
	slow := onRead(func() {
		if err := s.Update(context.Background(), theAccount, putBatch(dispatch.Batch{Name: "meanwhile"})); err != nil {
			s.t.Errorf("Update, while a blob is read: %v", err)
		}
	})
	s.putBlob(io.MultiReader(bytes.NewReader(content), slow), content)
	s.reopen()
	s.hasBlob(shared)
	s.hasBlob(content)
	s.view(hasBatches(dispatch.Batch{Name: "meanwhile"}))
}
