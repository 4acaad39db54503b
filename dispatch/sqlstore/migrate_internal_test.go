package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	_ "modernc.org/sqlite"
)

func openFile(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", SQLiteDSN(filepath.Join(t.TempDir(), "sends.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// versions returns which versions were made, in the order of their making.
func versions(t *testing.T, db *sql.DB) (list []int) {
	t.Helper()
	rows, err := db.Query(`SELECT version FROM schema_version WHERE applied > '2020' ORDER BY rowid`)
	if err == nil {
		list, err = collect(rows, func(n *int) []any { return []any{n} })
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestMigrations(t *testing.T) {
	for _, d := range []*dialect{sqlite(), postgresql()} {
		list, err := migrations(schema, d.schema)
		if err != nil || len(list) == 0 {
			t.Errorf("migrations(%s): got %d, error %v; want at least one", d.schema, len(list), err)
		}
	}
	files := fstest.MapFS{"x/1.sql": {Data: []byte("one")}, "x/2.sql": {Data: []byte("two")}, "x/4.sql": {}}
	if list, err := migrations(files, "x"); err != nil || strings.Join(list, " ") != "one two" {
		t.Errorf("migrations: got %q, error %v; want those without a gap", list, err)
	}
	if _, err := migrations(files, "y"); err == nil {
		t.Error("migrations of an empty folder: got no error")
	}
}

func TestMigrate(t *testing.T) {
	ctx, db, d := context.Background(), openFile(t), sqlite()
	one, two := "CREATE TABLE a (x INTEGER)", "ALTER TABLE a ADD COLUMN y INTEGER; INSERT INTO a VALUES (1, 2)"
	steps := []struct {
		name string
		list []string
		want error
		made int // how many versions there are then
	}{
		{"the first", []string{one}, nil, 1},
		{"nothing new", []string{one}, nil, 1},
		{"one that fails leaves nothing", []string{one, "CREATE TABLE b (x INTEGER); INSERT INTO nowhere VALUES (1)"}, errAny, 1},
		{"what follows the first", []string{one, two, "CREATE TABLE b (x INTEGER)"}, nil, 3},
		{"a program older than the tables", []string{one, two}, ErrNewer, 3},
	}
	for _, s := range steps {
		err := migrateTo(ctx, db, d, s.list)
		if s.want == nil && err != nil || s.want != nil && !errors.Is(err, s.want) && (s.want != errAny || err == nil) {
			t.Errorf("%s: got error %v, want %v", s.name, err, s.want)
		}
		got := versions(t, db)
		if len(got) != s.made || got[len(got)-1] != s.made {
			t.Errorf("%s: got versions %v, want 1 to %d", s.name, got, s.made)
		}
	}
	var y int
	if err := db.QueryRow("SELECT y FROM a JOIN (SELECT count(*) FROM b)").Scan(&y); err != nil || y != 2 {
		t.Errorf("the tables of version 3: got %d, error %v", y, err)
	}
}

var errAny = errors.New("any error")

func TestNewRefusesNewerTables(t *testing.T) {
	db := openFile(t)
	if _, err := New(context.Background(), db, Config{Dialect: SQLite}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO schema_version VALUES (1000, '2026-01-01T00:00:00.000000Z')`); err != nil {
		t.Fatal(err)
	}
	if _, err := New(context.Background(), db, Config{Dialect: SQLite}); !errors.Is(err, ErrNewer) {
		t.Errorf("New, with tables of version 1000: got error %v, want %v", err, ErrNewer)
	}
}
