package dispatch

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ceralacca/go-pec/internal/tempfile"
)

// keyRuns are sorted runs of uses of keys, one after another in a temporary file.
// All are of the same length but the last.
type keyRuns struct {
	file   *tempfile.File
	length int64 // of a run, in uses
	n      int64 // uses in all
}

// useBytes is the size of a use in the file.
const useBytes = 16

func newKeyRuns(length int64) (*keyRuns, error) {
	file, err := tempfile.Create("gopec-keys-")
	if err != nil {
		return nil, fmt.Errorf("dispatch: creating a temporary file: %w", err)
	}
	return &keyRuns{file: file, length: length}, nil
}

func (r *keyRuns) close() { r.file.Close() }

// write appends a run.
func (r *keyRuns) write(run []keyUse) error {
	w := bufio.NewWriterSize(r.file, 32<<10)
	for _, use := range run {
		b := binary.BigEndian.AppendUint64(w.AvailableBuffer(), use.hash)
		w.Write(binary.BigEndian.AppendUint64(b, use.nth))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("dispatch: writing a temporary file: %w", err)
	}
	r.n += int64(len(run))
	return nil
}

// mergeBytes is how much memory the buffers of all runs share, and minMergeBytes
// what one has at least: 100 million uses are 1,526 runs with 42 uses in memory of
// each.
const (
	mergeBytes    = 1 << 20
	minMergeBytes = 16 * useBytes
)

// merge yields the uses of all runs, sorted.
func (r *keyRuns) merge(yield func(keyUse, error) bool) {
	runs, err := r.open()
	for err == nil && len(runs) > 0 {
		first := runs[0]
		if !yield(first.use, nil) {
			return
		}
		if first.left == 0 {
			heap.Pop(&runs)
		} else if err = first.next(); err == nil {
			heap.Fix(&runs, 0)
		}
	}
	if err != nil {
		yield(keyUse{}, fmt.Errorf("dispatch: reading a temporary file: %w", err))
	}
}

// open returns all runs, each at its first use.
func (r *keyRuns) open() (runs runHeap, err error) {
	buffer := mergeBytes / max(1, int(r.n/r.length))
	for begin := int64(0); begin < r.n; begin += r.length {
		run := &keyRun{left: min(r.length, r.n-begin)}
		section := io.NewSectionReader(r.file, begin*useBytes, run.left*useBytes)
		run.in = bufio.NewReaderSize(section, max(buffer, minMergeBytes))
		if err := run.next(); err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	heap.Init(&runs)
	return runs, nil
}

// keyRun is a run that is being read.
type keyRun struct {
	in   *bufio.Reader
	use  keyUse
	left int64 // after use
}

// next goes on to the next use. There must be one.
func (r *keyRun) next() error {
	b, err := r.in.Peek(useBytes)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	r.use = keyUse{hash: binary.BigEndian.Uint64(b), nth: binary.BigEndian.Uint64(b[8:])}
	r.left--
	_, err = r.in.Discard(useBytes)
	return err
}

// runHeap has the run with the lowest use first. It implements [heap.Interface].
type runHeap []*keyRun

func (h runHeap) Len() int           { return len(h) }
func (h runHeap) Less(i, j int) bool { return compareUses(h[i].use, h[j].use) < 0 }
func (h runHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)        { *h = append(*h, x.(*keyRun)) }

func (h *runHeap) Pop() any {
	last := len(*h) - 1
	run := (*h)[last]
	*h = (*h)[:last]
	return run
}
