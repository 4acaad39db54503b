//go:build unix

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/storetest"
	"github.com/ceralacca/go-pec/internal/realserver"
)

// opening returns a function that opens stores as the program does, with messages as
// received in a folder. With all in the database, TestStorePackage tests them.
func opening(dir string) func(*testing.T, string) dispatch.Store {
	return func(t *testing.T, name string) dispatch.Store {
		t.Helper()
		s, err := openStore(t.Context(), schema(t, dir+name), filepath.Join(dir, name, "blobs"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, opening(t.TempDir()))
}

func TestStoreLargeBlob(t *testing.T) {
	t.Parallel()
	storetest.RunLargeBlob(t, opening(t.TempDir()))
}

func TestStoreCrash(t *testing.T) {
	t.Parallel()
	serverDSN(t)
	storetest.RunCrash(t, opening(""))
}

// TestStorePackage runs the tests that package sqlstore has for PostgreSQL. They
// need a driver, which is not among the modules of the library; here there is one,
// and a file that imports it is laid over that package.
func TestStorePackage(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED: -short runs no tests of other packages")
	}
	t.Parallel()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("NOT TESTED: no go command on this machine")
	}
	dsn := serverDSN(t)
	dir := t.TempDir()
	driver := filepath.Join(dir, "driver_test.go")
	overlay := filepath.Join(dir, "overlay.json")
	at, err := filepath.Abs("../../dispatch/sqlstore/driver_test.go")
	if err != nil {
		t.Fatal(err)
	}
	layers, err := json.Marshal(map[string]map[string]string{"Replace": {at: driver}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		driver:  "package sqlstore_test\n\nimport _ \"github.com/jackc/pgx/v5/stdlib\"\n",
		overlay: string(layers),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-count=1", "-v", "-overlay="+overlay, "-run=^TestPostgreSQL", "github.com/ceralacca/go-pec/dispatch/sqlstore")
	cmd.Env = append(os.Environ(), "GOPEC_POSTGRES="+dsn)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count(string(out), "--- PASS: TestPostgreSQL"); n < 6 || strings.Contains(string(out), "--- SKIP") {
		t.Errorf("%d tests passed, want at least 6 and none skipped\n%s", n, out)
	}
}

// A server that is restarted in the middle of a transaction, cleanly or not, keeps
// nothing of it, and all that was committed before.
func TestRestartInTransaction(t *testing.T) {
	own, err := realserver.StartPostgreSQL()
	realserver.Need(t, err)
	t.Cleanup(func() { own.Close() })
	s, err := openStore(t.Context(), own.DSN(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func(name string, before func() error) error {
		return s.Update(t.Context(), "ufficio@pec.alfa.example", func(tx dispatch.Tx) error {
			if err := tx.PutBatch(dispatch.Batch{Name: name}); err != nil {
				return err
			}
			if _, err := tx.Batches(); err != nil { // writes it
				return err
			}
			return before()
		})
	}
	has := func() (names []string) {
		err := s.View(t.Context(), "ufficio@pec.alfa.example", func(tx dispatch.Tx) error {
			names = nil
			list, err := tx.Batches()
			for _, b := range list {
				names = append(names, b.Name)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return names
	}
	for i, how := range []realserver.Shutdown{realserver.Fast, realserver.Crash} {
		kept := []string{"a", "b"}[i]
		if err := put(kept, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		err := put("lost", func() error { return own.Restart(how) })
		if err == nil {
			t.Errorf("Update, with the server restarted in it (%v): no error", how)
		}
		if got, want := strings.Join(has(), " "), "a b"[:1+2*i]; got != want {
			t.Errorf("after a restart (%v): batches %q, want %q", how, got, want)
		}
	}
}
