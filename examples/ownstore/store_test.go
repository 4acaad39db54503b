package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/storetest"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The whole contract, checked by others. This is all that a store of your own needs
// to show.

func TestStore(t *testing.T) {
	dir := t.TempDir()
	storetest.Run(t, func(t *testing.T, name string) dispatch.Store { return open(t, filepath.Join(dir, name)) })
}

func TestCrash(t *testing.T) {
	storetest.RunCrash(t, func(t *testing.T, dir string) dispatch.Store { return open(t, dir) })
}

func TestLargeBlob(t *testing.T) {
	dir := t.TempDir()
	storetest.RunLargeBlob(t, func(t *testing.T, name string) dispatch.Store { return open(t, filepath.Join(dir, name)) })
}

// And what is peculiar to this one.

func TestJournalCutShort(t *testing.T) {
	dir := t.TempDir()
	put := func(s *Store, name string) error {
		return s.Update(context.Background(), "a", func(tx dispatch.Tx) error { return tx.PutBatch(dispatch.Batch{Name: name}) })
	}
	s := open(t, dir)
	if err := errors.Join(put(s, "one"), put(s, "two"), s.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	first := len(whole) / 2 // two lines of the same length
	for n := first; n < len(whole); n++ {
		if err := os.WriteFile(filepath.Join(dir, "journal"), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		if got := batches(t, s); got != 1 {
			t.Fatalf("a journal of %d bytes: got %d batches, want the first", n, got)
		}
		if err := errors.Join(put(s, "new"), s.Close()); err != nil { // where the end was
			t.Fatal(err)
		}
		s = open(t, dir)
		if got := batches(t, s); got != 2 {
			t.Fatalf("a journal of %d bytes, and one more transaction: got %d batches, want 2", n, got)
		}
		s.Close()
	}
}

func batches(t *testing.T, s *Store) (n int) {
	t.Helper()
	err := s.View(context.Background(), "a", func(tx dispatch.Tx) error {
		list, err := tx.Batches()
		n = len(list)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestJournalDamaged(t *testing.T) {
	dir := t.TempDir()
	open(t, dir).Close()
	if err := os.WriteFile(filepath.Join(dir, "journal"), []byte("{}\n{\"account\":\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("Open, with a damaged line that is not the last: got no error")
	}
}

// A journal that can't be written to makes every transaction fail, from then on.
func TestJournalFailing(t *testing.T) {
	s := open(t, t.TempDir())
	s.journal.Close()
	for range 2 {
		err := s.Update(context.Background(), "a", func(tx dispatch.Tx) error { return tx.PutBatch(dispatch.Batch{Name: "b"}) })
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("Update: got error %v, want %v", err, os.ErrClosed)
		}
	}
	if n := batches(t, s); n != 0 {
		t.Errorf("after transactions that failed: got %d batches, want none", n)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // what was written before is there, and stays
		if err := run(context.Background(), dir); err != nil {
			t.Fatal(err)
		}
	}
	journal, err := os.ReadFile(filepath.Join(dir, "journal"))
	if n := bytes.Count(journal, []byte("\n")); err != nil || n != 2 {
		t.Errorf("the journal: got %d lines, error %v; want 2", n, err)
	}
}
