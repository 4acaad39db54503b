//go:build unix

package main

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/ceralacca/go-pec/internal/realserver"
)

// server is the PostgreSQL of all tests, started when the first one asks for it.
var server struct {
	once sync.Once
	*realserver.PostgreSQL
	err error
}

// inheritedDSN, in the environment, is the server of the process that started this
// one.
const inheritedDSN = "GOPEC_CLUSTER_TEST_DSN"

func TestMain(m *testing.M) {
	if role := os.Getenv(stalledRole); role != "" {
		fmt.Fprintln(os.Stderr, stalledWorker(role))
		os.Exit(1)
	}
	code := m.Run()
	if server.PostgreSQL != nil {
		server.Close()
	}
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// serverDSN returns where PostgreSQL is.
func serverDSN(t testing.TB) string {
	t.Helper()
	if dsn := os.Getenv(inheritedDSN); dsn != "" {
		return dsn
	}
	server.once.Do(func() {
		server.PostgreSQL, server.err = realserver.StartPostgreSQL("max_connections=300")
		if server.err == nil {
			os.Setenv(inheritedDSN, server.DSN())
		}
	})
	realserver.Need(t, server.err)
	return server.DSN()
}

// schema makes a schema of that name, if there is none, and returns a DSN that
// leads into it. The schema is dropped at the end of the test that made it.
func schema(t testing.TB, name string) string {
	t.Helper()
	name = fmt.Sprintf("test_%.8x", sha256.Sum256([]byte(name)))
	dsn := serverDSN(t)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE SCHEMA IF NOT EXISTS " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec("DROP SCHEMA IF EXISTS " + name + " CASCADE"); err != nil {
			t.Error(err)
		}
		db.Close()
	})
	return dsn + "?search_path=" + name
}
