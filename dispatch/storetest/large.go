package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
)

// Sizes of the large value, and of the memory that a store may use for it.
const (
	largeSize  = 96 << 20
	heapGrowth = 12 << 20
	// What the system counts has pages in it that nobody needs any more.
	residentGrowth = 64 << 20
)

// RunLargeBlob checks that a store keeps and gives back a large value without
// ever having all of it in memory. The name it opens is as in [Run].
func RunLargeBlob(t *testing.T, open func(t *testing.T, name string) dispatch.Store) {
	s := &subject{t: t, open: open, name: "large"}
	s.Store = open(t, s.name)
	defer func() { s.close() }()
	s.putBlob(bytes.NewReader(sampleBytes(1<<20)), sampleBytes(1<<20)) // what is needed once
	m := newMeter()

	content := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), largeSize) }
	digest, size, err := s.PutBlob(context.Background(), io.TeeReader(content(), m))
	if err != nil || size != largeSize {
		t.Fatalf("PutBlob of %d bytes: got %v, %d, error %v", largeSize, digest, size, err)
	}
	s.reopen()
	b, err := s.OpenBlob(context.Background(), digest)
	if err != nil {
		t.Fatalf("OpenBlob: %v", err)
	}
	defer b.Close()
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(hash, m), io.NewSectionReader(b, 0, b.Size())); err != nil {
		t.Fatalf("reading a blob of %d bytes: %v", largeSize, err)
	}
	if got := dispatch.Digest(hash.Sum(nil)); got != digest {
		t.Errorf("a blob of %d bytes: got other bytes back than were put", largeSize)
	}
	m.check(t)
}

// meter looks at the memory in use while bytes pass it.
type meter struct {
	passed                   int
	heapBefore, heapMost     int
	residentBefore, resident int
}

func newMeter() *meter {
	m := &meter{}
	m.look()
	m.heapBefore, m.residentBefore = m.heapMost, m.resident
	return m
}

func (m *meter) Write(p []byte) (int, error) {
	const often = 8 << 20
	if (m.passed+len(p))/often > m.passed/often {
		m.look()
	}
	m.passed += len(p)
	return len(p), nil
}

func (m *meter) look() {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.heapMost = max(m.heapMost, int(stats.HeapAlloc))
	m.resident = max(m.resident, residentMemory())
}

func (m *meter) check(t *testing.T) {
	t.Helper()
	if grown := m.heapMost - m.heapBefore; grown > heapGrowth {
		t.Errorf("the heap grew by %d MiB over a blob of %d MiB, want at most %d", grown>>20, largeSize>>20, heapGrowth>>20)
	}
	if grown := m.resident - m.residentBefore; grown > residentGrowth {
		t.Errorf("resident memory grew by %d MiB over a blob of %d MiB, want at most %d", grown>>20, largeSize>>20, residentGrowth>>20)
	}
}

// residentMemory is what the process has in memory, by the system's count; 0
// where it does not tell. A database may allocate beside Go's heap.
func residentMemory() int {
	statm, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(statm)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages := 0
	for _, c := range fields[1] {
		pages = pages*10 + int(c-'0')
	}
	return pages * os.Getpagesize()
}
