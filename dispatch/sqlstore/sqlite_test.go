package sqlstore_test

import (
	"context"
	"database/sql"
	"path/filepath"
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

// openSQLite opens the store in a file. Blobs are in a folder beside it if there is
// one to be.
func openSQLite(t testing.TB, file string, folder bool) closing {
	t.Helper()
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	config := sqlstore.Config{Dialect: sqlstore.SQLite}
	if folder {
		if config.Blobs, err = sqlstore.OpenFolder(file + ".blobs"); err != nil {
			t.Fatal(err)
		}
	}
	s, err := sqlstore.New(context.Background(), db, config)
	if err != nil {
		t.Fatal(err)
	}
	return closing{s, db}
}

func TestSQLite(t *testing.T) {
	dir := t.TempDir()
	storetest.Run(t, func(t *testing.T, name string) dispatch.Store {
		return openSQLite(t, filepath.Join(dir, name), false)
	})
}

func TestSQLiteWithFolder(t *testing.T) {
	dir := t.TempDir()
	storetest.Run(t, func(t *testing.T, name string) dispatch.Store {
		return openSQLite(t, filepath.Join(dir, name), true)
	})
}

func TestSQLiteCrash(t *testing.T) {
	storetest.RunCrash(t, func(t *testing.T, dir string) dispatch.Store {
		return openSQLite(t, filepath.Join(dir, "sends.db"), false)
	})
}

func TestSQLiteWithFolderCrash(t *testing.T) {
	storetest.RunCrash(t, func(t *testing.T, dir string) dispatch.Store {
		return openSQLite(t, filepath.Join(dir, "sends.db"), true)
	})
}

func TestSQLiteLargeBlob(t *testing.T) {
	dir := t.TempDir()
	storetest.RunLargeBlob(t, func(t *testing.T, name string) dispatch.Store {
		return openSQLite(t, filepath.Join(dir, name), false)
	})
}

func TestFolderLargeBlob(t *testing.T) {
	dir := t.TempDir()
	storetest.RunLargeBlob(t, func(t *testing.T, name string) dispatch.Store {
		return openSQLite(t, filepath.Join(dir, name), true)
	})
}
