package sqlstore_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
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
