package sqlstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/sqlstore"
	"github.com/ceralacca/go-pec/dispatch/storetest"
)

// closing is a store that closes its database.
type closing struct {
	*sqlstore.Store
	db *sql.DB
}

func (c closing) Close() error { return c.db.Close() }

// openSQLite opens the store in a file.
func openSQLite(t testing.TB, file string) closing {
	t.Helper()
	return openDSN(t, sqlstore.SQLiteDSN(file))
}

func openDSN(t testing.TB, dsn string) closing {
	t.Helper()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s, err := sqlstore.New(context.Background(), db, sqlstore.Config{Dialect: sqlstore.SQLite})
	if err != nil {
		t.Fatal(err)
	}
	return closing{s, db}
}

func TestSQLite(t *testing.T) {
	dir := t.TempDir()
	storetest.Run(t, func(t *testing.T, name string) dispatch.Store {
		return openSQLite(t, filepath.Join(dir, name))
	})
}

func TestSQLiteCrash(t *testing.T) {
	storetest.RunCrash(t, func(t *testing.T, dir string) dispatch.Store {
		return openSQLite(t, filepath.Join(dir, "sends.db"))
	})
}

func TestSQLiteLargeBlob(t *testing.T) {
	dir := t.TempDir()
	storetest.RunLargeBlob(t, func(t *testing.T, name string) dispatch.Store {
		return openSQLite(t, filepath.Join(dir, name))
	})
}

const account = "ufficio@pec.alfa.example"

// putBatch is a transaction that puts a batch.
func putBatch(name string) func(dispatch.Tx) error {
	return func(tx dispatch.Tx) error { return tx.PutBatch(dispatch.Batch{Name: name}) }
}

// hasBatch fails unless a batch is there, or not there, as wanted.
func hasBatch(t *testing.T, s dispatch.Store, name string, want bool) {
	t.Helper()
	err := s.View(context.Background(), account, func(tx dispatch.Tx) error { _, err := tx.Batch(name); return err })
	if got := err == nil; got != want || !got && !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("Batch(%q): got error %v, want it there: %t", name, err, want)
	}
}

func TestSQLiteSettings(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"no write-ahead log: readers block writers", "journal_mode(WAL)", "journal_mode(DELETE)", "journal_mode"},
		{"commits are not flushed", "synchronous(FULL)", "synchronous(NORMAL)", "synchronous"},
		{"no patience with other processes", "busy_timeout(10000)", "busy_timeout(0)", "busy_timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dsn := strings.Replace(sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "sends.db")), c.from, c.to, 1)
			db, err := sql.Open("sqlite", dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			_, err = sqlstore.New(context.Background(), db, sqlstore.Config{Dialect: sqlstore.SQLite})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New: got error %v, want one about %s", err, c.want)
			}
		})
	}
	if _, err := sqlstore.New(context.Background(), nil, sqlstore.Config{}); err == nil {
		t.Error("New without a dialect: got no error")
	}
}

func TestSQLiteDSN(t *testing.T) {
	file := filepath.Join(t.TempDir(), "100% della città #1?.db")
	openSQLite(t, file).Close()
	if _, err := os.Stat(file); err != nil {
		t.Errorf("a file of an odd name was not created as such: %v", err)
	}
}

// Reading and writing go on side by side: a report that takes its time must not
// stop the sending.
func TestSQLiteReadersAndWriter(t *testing.T) {
	s := openSQLite(t, filepath.Join(t.TempDir(), "sends.db"))
	ctx := context.Background()
	err := s.View(ctx, account, func(tx dispatch.Tx) error {
		if _, err := tx.Batches(); err != nil {
			return err
		}
		err := s.Update(ctx, account, func(tx dispatch.Tx) error { // while it looks
			if err := putBatch("b")(tx); err != nil {
				return err
			}
			hasBatch(t, s, "b", false) // while it writes
			return nil
		})
		if err != nil {
			return err
		}
		if list, err := tx.Batches(); err != nil || len(list) > 0 {
			t.Errorf("Batches in a View that began before: got %d, error %v; want none", len(list), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	hasBatch(t, s, "b", true)
}

// Several processes with the same file are several databases that know nothing of
// each other.
func TestSQLiteManyProcesses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sends.db")
	const processes, goroutines, rounds = 4, 3, 10
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			s := openSQLite(t, file) // all create the tables at once, too
			for range goroutines {
				wg.Go(func() {
					for range rounds {
						if err := s.Update(context.Background(), account, countOne); err != nil {
							t.Errorf("Update: %v", err)
						}
					}
				})
			}
		})
	}
	wg.Wait()
	err := openSQLite(t, file).View(context.Background(), account, func(tx dispatch.Tx) error {
		b, err := tx.Batch("b")
		if want := int64(processes * goroutines * rounds); b.Total != want {
			t.Errorf("after %d transactions that add one: got %d", want, b.Total)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func countOne(tx dispatch.Tx) error {
	b, err := tx.Batch("b")
	if err != nil && !errors.Is(err, dispatch.ErrNotFound) {
		return err
	}
	b.Name = "b"
	b.Total++
	return tx.PutBatch(b)
}

// A process that keeps the lock for longer than anybody waits makes a conflict, not
// a failure.
func TestSQLiteConflict(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sends.db")
	slow := openSQLite(t, file)
	quick := openDSN(t, strings.Replace(sqlstore.SQLiteDSN(file), "busy_timeout(10000)", "busy_timeout(1000)", 1))
	err := slow.Update(context.Background(), account, func(tx dispatch.Tx) error {
		err := quick.Update(context.Background(), account, putBatch("b"))
		if !errors.Is(err, dispatch.ErrConflict) {
			t.Errorf("Update, while another process writes: got error %v, want %v", err, dispatch.ErrConflict)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	hasBatch(t, slow, "b", false)
	if err := quick.Update(context.Background(), account, putBatch("b")); err != nil {
		t.Errorf("Update, run again: %v", err)
	}
}

// A caller who waits for its turn can give up.
func TestSQLiteWaitingIsCanceled(t *testing.T) {
	s := openSQLite(t, filepath.Join(t.TempDir(), "sends.db"))
	err := s.Update(context.Background(), account, func(dispatch.Tx) error {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- s.Update(ctx, account, putBatch("b")) }()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Update, canceled while it waits: got error %v, want %v", err, context.Canceled)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	hasBatch(t, s, "b", false)
}

func TestSQLiteDiskFull(t *testing.T) {
	dsn := sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "sends.db"))
	openDSN(t, dsn).Close()
	s := openDSN(t, dsn+"&_pragma=max_page_count(80)")
	big := bytes.Repeat([]byte("a"), 1<<20)
	err := s.Update(context.Background(), account, func(tx dispatch.Tx) error {
		if err := putBatch("b")(tx); err != nil {
			return err
		}
		return tx.AddSend(dispatch.Send{ID: dispatch.SendID{Batch: "b", Row: 1}, Content: []dispatch.Piece{{Bytes: big}}}, dispatch.Progress{})
	})
	if err == nil || errors.Is(err, dispatch.ErrConflict) {
		t.Errorf("Update, with the disk full: got error %v, want one that is no conflict", err)
	}
	hasBatch(t, s, "b", false)
	if _, _, err := s.PutBlob(context.Background(), bytes.NewReader(big)); err == nil {
		t.Error("PutBlob, with the disk full: got no error")
	}
	if _, err := s.OpenBlob(context.Background(), sha256.Sum256(big)); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("OpenBlob of what did not fit: got error %v, want %v", err, dispatch.ErrNotFound)
	}
	if err := s.Update(context.Background(), account, putBatch("small")); err != nil {
		t.Errorf("Update of what fits: %v", err)
	}
}

// An error of the store that the caller passes over does not become a commit.
func TestSQLiteErrorPassedOver(t *testing.T) {
	s := openDSN(t, sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "sends.db"))+"&_pragma=max_page_count(80)")
	err := s.Update(context.Background(), account, func(tx dispatch.Tx) error {
		if err := putBatch("b")(tx); err != nil {
			return err
		}
		tx.AddSend(dispatch.Send{ID: dispatch.SendID{Batch: "b", Row: 1}, Content: []dispatch.Piece{{Bytes: make([]byte, 1<<20)}}}, dispatch.Progress{})
		if _, err := tx.Sends("b", 0, 1); err == nil {
			t.Error("Sends, after one that does not fit: got no error")
		}
		return nil
	})
	if err == nil {
		t.Error("Update, with an error passed over: got no error")
	}
	hasBatch(t, s, "b", false)
}
