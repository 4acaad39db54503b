package sqlstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

func TestSQLiteGroup(t *testing.T) {
	checkGroup(t, openSQLite(t, filepath.Join(t.TempDir(), "sends.db")))
}

func TestPostgreSQLGroup(t *testing.T) { checkGroup(t, openPostgres(t, t.TempDir())) }

// A connection that does not answer must not keep those waiting whose blobs another
// could write.
func TestPostgreSQLGroupStuck(t *testing.T) {
	s := openPostgres(t, t.TempDir())
	s.SetPatience(time.Millisecond)
	stuck, free := []byte("a blob whose writer has to wait"), []byte("another blob")
	blocking, err := s.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer blocking.Rollback() // does nothing once it was done
	if _, err := blocking.Exec("INSERT INTO blobs (digest, size) VALUES ($1, 1)", dispatch.Digest(sha256.Sum256(stuck)).String()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, _, err := s.PutBlob(t.Context(), bytes.NewReader(stuck))
		done <- err
	}()
	blocked(t, blocking)
	if _, _, err := s.PutBlob(t.Context(), bytes.NewReader(free)); err != nil {
		t.Errorf("PutBlob, while another has to wait: %v", err)
	}
	checkBlob(t, s, sha256.Sum256(free), free)
	if err := blocking.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("PutBlob, that had to wait: %v", err)
	}
	checkBlob(t, s, sha256.Sum256(stuck), stuck)
}

// blocked waits until another transaction waits for tx.
func blocked(t *testing.T, tx *sql.Tx) {
	t.Helper()
	for waits := false; !waits; {
		err := tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkGroup has small blobs put at once, some of them twice, by callers of whom every
// third gives up, sooner or later while they are written. Nobody else must notice.
func checkGroup(t *testing.T, s dispatch.Store) {
	t.Helper()
	const rounds, callers = 40, 12
	for round := range rounds {
		var putting sync.WaitGroup
		for n := range callers {
			content := bytes.Repeat(fmt.Appendf(nil, "blob %d of round %d\n", n/2, round), 500)
			ctx, impatient := t.Context(), n%3 == 0
			if impatient {
				ctx = &fading{Context: ctx, left: int64(round), done: make(chan struct{})}
			}
			putting.Go(func() {
				digest, size, err := s.PutBlob(ctx, bytes.NewReader(content))
				switch {
				case err == nil:
					checkBlob(t, s, digest, content)
				case !impatient:
					t.Errorf("blob %d: %d bytes, %v", n, size, err)
				}
			})
		}
		putting.Wait()
	}
}

// fading is a context that ends once it was looked at so often.
type fading struct {
	context.Context
	mu   sync.Mutex // guards left
	left int64
	done chan struct{}
}

func (f *fading) Done() <-chan struct{} {
	f.Err()
	return f.done
}

func (f *fading) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left == -1 {
		close(f.done)
	}
	if f.left < 0 {
		return context.Canceled
	}
	return nil
}

func checkBlob(t *testing.T, s dispatch.Store, digest dispatch.Digest, want []byte) {
	t.Helper()
	blob, err := s.OpenBlob(t.Context(), digest)
	if err != nil {
		t.Errorf("a blob that was put: %v", err)
		return
	}
	defer blob.Close()
	got, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("a blob that was put: %d bytes, %v; want %d others", len(got), err, len(want))
	}
}
