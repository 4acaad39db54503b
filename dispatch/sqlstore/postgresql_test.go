package sqlstore_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/sqlstore"
	"github.com/ceralacca/go-pec/dispatch/storetest"
)

// postgresDSN, in the environment, says where there is a PostgreSQL database for
// tests, as a URL or in the form "host=... dbname=...". They make schemas of their
// own in it, and remove them.
const postgresDSN = "GOPEC_POSTGRES"

// postgres returns the driver and the database for tests, or skips. No driver is
// among the modules that this one requires: a module that has one runs these tests
// with it linked in.
func postgres(t testing.TB) (driver, dsn string) {
	t.Helper()
	for _, name := range []string{"pgx", "postgres"} {
		if slices.Contains(sql.Drivers(), name) {
			driver = name
		}
	}
	dsn = os.Getenv(postgresDSN)
	switch {
	case driver == "":
		t.Skip("SKIPPED: no driver for PostgreSQL is linked into this test")
	case dsn == "" && os.Getenv("GOPEC_REQUIRE_TOOLS") == "1":
		t.Fatalf("%s does not say where PostgreSQL is", postgresDSN)
	case dsn == "":
		t.Skipf("SKIPPED: %s does not say where PostgreSQL is", postgresDSN)
	}
	return driver, dsn
}

// openPostgres opens the store in a schema, which it creates if need be.
func openPostgres(t testing.TB, name string) closing {
	t.Helper()
	db := openSchema(t, name)
	s, err := sqlstore.New(context.Background(), db, sqlstore.Config{Dialect: sqlstore.PostgreSQL})
	if err != nil {
		t.Fatal(err)
	}
	return closing{s, db}
}

func openSchema(t testing.TB, name string) *sql.DB {
	t.Helper()
	driver, dsn := postgres(t)
	name = fmt.Sprintf("gopec_test_%.8x", sha256.Sum256([]byte(name)))
	open := func(dsn string) *sql.DB {
		db, err := sql.Open(driver, dsn)
		if err == nil {
			_, err = db.Exec("CREATE SCHEMA IF NOT EXISTS " + name)
		}
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	dropping := open(dsn)
	t.Cleanup(func() {
		if _, err := dropping.Exec("DROP SCHEMA IF EXISTS " + name + " CASCADE"); err != nil {
			t.Error(err)
		}
		dropping.Close()
	})
	db := open(withSearchPath(dsn, name))
	t.Cleanup(func() { db.Close() })
	return db
}

func withSearchPath(dsn, schema string) string {
	switch {
	case !strings.Contains(dsn, "://"):
		return dsn + " search_path=" + schema
	case strings.Contains(dsn, "?"):
		return dsn + "&search_path=" + schema
	}
	return dsn + "?search_path=" + schema
}

func TestPostgreSQL(t *testing.T) {
	run := t.TempDir() // a name that no other run uses
	storetest.Run(t, func(t *testing.T, name string) dispatch.Store {
		return openPostgres(t, run+name)
	})
}

func TestPostgreSQLCrash(t *testing.T) {
	postgres(t)
	storetest.RunCrash(t, func(t *testing.T, dir string) dispatch.Store { return openPostgres(t, dir) })
}

func TestPostgreSQLLargeBlob(t *testing.T) {
	run := t.TempDir()
	storetest.RunLargeBlob(t, func(t *testing.T, name string) dispatch.Store {
		return openPostgres(t, run+name)
	})
}

// Tables that were made by hand, partitioned as the package comment says, will do.
func TestPostgreSQLPartitioned(t *testing.T) {
	run := t.TempDir()
	storetest.Run(t, func(t *testing.T, name string) dispatch.Store {
		partition(t, openSchema(t, run+name))
		return openPostgres(t, run+name)
	})
}

func partition(t *testing.T, db *sql.DB) {
	t.Helper()
	if _, err := db.Exec("SELECT 1 FROM schema_version"); err == nil {
		return // it was opened before
	}
	b, err := os.ReadFile("schema/postgresql/1.sql")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, table := range []string{"sends", "progress", "message_ids", "facts", "tries", "mails", "audit"} {
		create := regexp.MustCompile(`(?s)(CREATE TABLE ` + table + ` \(.*?\n\));`)
		if !create.MatchString(text) {
			t.Fatalf("the schema has no table %s", table)
		}
		text = create.ReplaceAllString(text, "$1 PARTITION BY HASH (account);")
		for n := range 3 {
			text += fmt.Sprintf("CREATE TABLE %s_%d PARTITION OF %s FOR VALUES WITH (MODULUS 3, REMAINDER %d);", table, n, table, n)
		}
	}
	text += "CREATE TABLE schema_version (version bigint PRIMARY KEY, applied timestamptz); INSERT INTO schema_version VALUES (1, now());"
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
}

// The server can end a connection at any time. That is an error whose effect is not
// known, and the store goes on with another connection.
func TestPostgreSQLConnectionLost(t *testing.T) {
	s := openPostgres(t, t.TempDir())
	for _, when := range []string{"before a statement", "before the commit"} {
		err := s.Update(context.Background(), account, func(tx dispatch.Tx) error {
			if err := putBatch("b")(tx); err != nil {
				return err
			}
			if when == "before a statement" {
				terminateOthers(t, s.db)
				_, err := tx.Batches()
				return err
			}
			if _, err := tx.Batches(); err != nil { // writes it
				return err
			}
			terminateOthers(t, s.db)
			return nil
		})
		if err == nil || errors.Is(err, dispatch.ErrConflict) {
			t.Errorf("Update, with its connection lost %s: got error %v, want one that is no conflict", when, err)
		}
		hasBatch(t, s, "b", false)
	}
	if err := s.Update(context.Background(), account, putBatch("b")); err != nil {
		t.Errorf("Update, after a connection was lost: %v", err)
	}
}

// terminateOthers ends the other connections that work in the same schema.
func terminateOthers(t *testing.T, db *sql.DB) {
	t.Helper()
	_, err := db.Exec(`SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
		WHERE c.relname = 'accounts' AND c.relnamespace = current_schema()::regnamespace AND l.pid <> pg_backend_pid()`)
	if err != nil {
		t.Fatal(err)
	}
}

func TestPostgreSQLSettings(t *testing.T) {
	db := openSchema(t, t.TempDir())
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("SET synchronous_commit = off"); err != nil {
		t.Fatal(err)
	}
	_, err := sqlstore.New(context.Background(), db, sqlstore.Config{Dialect: sqlstore.PostgreSQL})
	if err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
		t.Errorf("New, with commits that are not flushed: got error %v, want one about synchronous_commit", err)
	}
}

// Workers on several machines start at the same time, on an empty database too.
func TestPostgreSQLStartedTogether(t *testing.T) {
	db := openSchema(t, t.TempDir())
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := sqlstore.New(context.Background(), db, sqlstore.Config{Dialect: sqlstore.PostgreSQL})
			if err == nil {
				err = s.Update(context.Background(), account, countOne)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// If no row can be made to lock, nothing is done without a lock.
func TestPostgreSQLNothingToLock(t *testing.T) {
	s := openPostgres(t, t.TempDir())
	if _, err := s.db.Exec(`CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TRIGGER nothing BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION nothing()`); err != nil {
		t.Fatal(err)
	}
	err := s.Update(context.Background(), account, func(dispatch.Tx) error {
		t.Error("the transaction began")
		return nil
	})
	if err == nil {
		t.Error("Update of an account that can't be locked: got no error")
	}
}
