package dispatch

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// keySetOf notes each of n keys as shown, and every third as a recipient after that.
func keySetOf(t *testing.T, most, n int) (*keySet, error) {
	t.Helper()
	s := newKeySet()
	s.most = most
	t.Cleanup(s.close)
	var errs error
	for i := range n {
		errs = errors.Join(errs, s.add(roleShown, fmt.Sprint(i)))
	}
	for i := 0; i < n; i += 3 {
		errs = errors.Join(errs, s.add(roleRecipient, fmt.Sprint(i)))
	}
	return s, errs
}

// collect returns what sorted yields.
func (s *keySet) collect() (uses []keyUse, err error) {
	for use, err := range s.sorted() {
		if err != nil {
			return uses, err
		}
		uses = append(uses, use)
	}
	return uses, nil
}

// What was added is found, in the order of hashes and then of uses, whether it lies
// in memory, in one run or in many, of which the last is full or is not.
func TestKeySet(t *testing.T) {
	const n = 3000
	for _, most := range []int{1, 7, 1000, 3999, 4000, 4001, maxHeldUses} {
		s, err := keySetOf(t, most, n)
		if err != nil {
			t.Fatal(err)
		}
		if inMemory := s.runs == nil; inMemory != (most >= n+n/3) {
			t.Errorf("%d held: are %d uses in memory alone: %v", most, n+n/3, inMemory)
		}
		uses, err := s.collect()
		if err != nil || len(uses) != n+n/3 || !slices.IsSortedFunc(uses, compareUses) {
			t.Fatalf("%d held: %d uses (%v), want %d, sorted", most, len(uses), err, n+n/3)
		}
		for i := range n {
			want := []keyRole{roleShown}
			if i%3 == 0 {
				want = append(want, roleRecipient)
			}
			hash := s.hash(fmt.Sprint(i))
			at, _ := slices.BinarySearchFunc(uses, hash, func(u keyUse, h uint64) int { return cmp.Compare(u.hash, h) })
			var got []keyRole
			for ; at < len(uses) && uses[at].hash == hash; at++ {
				got = append(got, uses[at].role())
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d held: key %d has the roles %v, want %v", most, i, got, want)
			}
		}
	}
}

// temporaryFolder is where temporary files of the test are.
func temporaryFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP"} {
		t.Setenv(name, dir)
	}
	if got, want := os.TempDir(), dir; got != want {
		t.Skipf("NOT TESTED: temporary files are in %s, and the test can't change that", got)
	}
	return dir
}

func wantEmpty(t *testing.T, dir, when string) {
	t.Helper()
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("%s: the temporary folder has %v (%v), want nothing", when, list, err)
	}
}

func TestKeySetFileIsRemoved(t *testing.T) {
	dir := temporaryFolder(t)
	s, err := keySetOf(t, 10, 100)
	if err != nil || s.runs == nil {
		t.Fatalf("no file, error %v", err)
	}
	if runtime.GOOS != "windows" {
		wantEmpty(t, dir, "while in use")
	}
	s.close()
	wantEmpty(t, dir, "after closing")
}

// An error of the file is told, and no use of a key gets lost without one.
func TestKeySetErrors(t *testing.T) {
	t.Run("creating", func(t *testing.T) {
		gone := filepath.Join(temporaryFolder(t), "gone")
		t.Setenv("TMPDIR", gone)
		t.Setenv("TMP", gone)
		_, err := keySetOf(t, 10, 100)
		if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "dispatch: creating a temporary file: ") {
			t.Errorf("add without a folder for the file: %v", err)
		}
	})
	t.Run("writing", func(t *testing.T) {
		s, err := keySetOf(t, 10, 100)
		if err != nil {
			t.Fatal(err)
		}
		s.runs.file.Close()
		if _, err := s.collect(); !errors.Is(err, os.ErrClosed) || !strings.HasPrefix(err.Error(), "dispatch: writing a temporary file: ") {
			t.Errorf("sorted, with a file that can't be written: %v", err)
		}
		for range 10 {
			err = errors.Join(err, s.add(roleFile, "x"))
		}
		if err = errors.Join(err, s.add(roleFile, "x")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("add, with a file that can't be written: %v", err)
		}
	})
	for name, size := range map[string]int64{"within a run": 37*useBytes + 3, "between runs": 40 * useBytes, "empty": 0} {
		t.Run("cut "+name, func(t *testing.T) {
			s, err := keySetOf(t, 10, 100)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.spill(), s.runs.file.Truncate(size)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.collect(); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("sorted, with a file that was cut: %v", err)
			}
		})
	}
}
