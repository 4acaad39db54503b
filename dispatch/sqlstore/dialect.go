package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Dialect says which database it is. Everything in which the two differ is in this
// file, and in the folder schema.
type Dialect string

const (
	// SQLite, version 3.38 or later.
	SQLite Dialect = "sqlite"
	// PostgreSQL, version 12 or later.
	PostgreSQL Dialect = "postgresql"
)

// dialect is in what databases differ.
type dialect struct {
	// schema is the folder with the migrations.
	schema string
	// createVersions creates the table of migrations, lockVersions keeps others
	// from changing it until the transaction ends.
	createVersions, lockVersions string
	// lockAccount returns the record of an account, and keeps other transactions
	// that write from going on until this one ends: those of the account, or all.
	// It comes first, so that the transaction sees what was committed before.
	lockAccount string
	// createAccount makes something to lock of an account that is not there. Empty
	// where it is not needed.
	createAccount string
	// putSmall is the statement that puts blobs of one chunk each, from where they are
	// and from the bytes of all. Empty where each has statements of its own.
	putSmall string
	// list makes a table called list, with a column called value, of a JSON array of
	// strings, which is the first parameter.
	list string
	// lookUp joins the row of a table with an alias to each row so far, where there is
	// one. It is found by the table's key, however few rows there were when the
	// statement was planned.
	lookUp func(table, where string) string
	// oneWriter: there is only one at a time in the whole database.
	oneWriter bool
	// insertAll is the statement that writes all rows of a transaction at once; see
	// [insertAllText]. Empty where a statement costs little: see [groups].
	insertAll string
	// view makes a transaction see one state.
	view sql.TxOptions
	// check fails if the settings of the database won't do.
	check func(context.Context, *sql.DB) error
	// isConflict reports whether the transaction failed because of another one, and
	// nothing of it was kept.
	isConflict func(error) bool
}

func dialectOf(d Dialect) (*dialect, error) {
	switch d {
	case SQLite:
		return sqlite(), nil
	case PostgreSQL:
		return postgresql(), nil
	}
	return nil, fmt.Errorf("sqlstore: no such dialect: %q", d)
}

func sqlite() *dialect {
	return &dialect{
		schema:         "schema/sqlite",
		createVersions: `CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied TEXT) STRICT`,
		lockVersions:   `DELETE FROM schema_version WHERE version < 0`,
		// A transaction whose first statement writes takes the lock with it and waits
		// for it, as with BEGIN IMMEDIATE, and whatever the driver begins with. One
		// that reads first could not take it any more if another wrote since.
		lockAccount: `UPDATE accounts SET lease_token = lease_token WHERE name = $1 RETURNING ` + accountColumns,
		list:        `json_each($1) list`,
		lookUp:      func(table, where string) string { return ` CROSS JOIN ` + table + ` ON ` + where }, // in this order
		oneWriter:   true,
		view:        sql.TxOptions{ReadOnly: true}, // in WAL mode, one state from the first read on
		check:       checkSQLite,
		isConflict:  isBusy,
	}
}

func postgresql() *dialect {
	return &dialect{
		schema: "schema/postgresql",
		// Two that create a table at once can collide in spite of IF NOT EXISTS.
		createVersions: `SELECT pg_advisory_xact_lock(5716840731);
			CREATE TABLE IF NOT EXISTS schema_version (version bigint PRIMARY KEY, applied timestamptz)`,
		lockVersions:  `LOCK TABLE schema_version IN EXCLUSIVE MODE`,
		lockAccount:   `SELECT ` + accountColumns + ` FROM accounts WHERE name = $1 FOR UPDATE`,
		createAccount: `INSERT INTO accounts (name) VALUES ($1) ON CONFLICT DO NOTHING`,
		insertAll:     insertAllText(),
		// It waits for another that puts the same, so that what is there is durable.
		putSmall: `WITH r AS (SELECT * FROM json_to_recordset($1::json) AS r(digest text, start int, size int)),
				b AS (INSERT INTO blobs (digest, size) SELECT digest, size FROM r ORDER BY digest ON CONFLICT DO NOTHING RETURNING digest)
			INSERT INTO blob_chunks (digest, number, bytes)
				SELECT r.digest, 0, substring($2::bytea FROM r.start FOR r.size) FROM r JOIN b USING (digest)`,
		list: `json_array_elements_text($1::json) list`,
		lookUp: func(table, where string) string {
			_, alias, _ := strings.Cut(table, " ")
			return ` CROSS JOIN LATERAL (SELECT * FROM ` + table + ` WHERE ` + where + ` LIMIT 1) ` + alias
		},
		view:       sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead},
		check:      checkPostgreSQL,
		isConflict: isSerialization,
	}
}

// SQLiteDSN returns the data source name with which modernc.org/sqlite opens a
// file as this package needs it. Other drivers write the same differently:
// journal_mode WAL, synchronous FULL, a busy timeout of some seconds, for every
// connection.
func SQLiteDSN(file string) string {
	return "file:" + (&url.URL{Path: file}).EscapedPath() +
		"?_pragma=busy_timeout(10000)" + // first: the next may have to wait
		"&_pragma=journal_mode(WAL)" +
		"&_pragma=synchronous(FULL)" +
		"&_pragma=fullfsync(1)" + // of use on macOS, where a flush is none otherwise
		"&_pragma=journal_size_limit(67108864)"
}

// connectSQLite makes the first connection. Several processes that open a new file at
// once get in each other's way when they turn the write-ahead log on: SQLite sends all
// but one of them away, without waiting for the time that they gave it.
func connectSQLite(ctx context.Context, db *sql.DB) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := db.PingContext(ctx)
		if err == nil || !isBusy(err) || wait > 8*time.Second {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func checkSQLite(ctx context.Context, db *sql.DB) error {
	const advice = "open it as SQLiteDSN says"
	if err := connectSQLite(ctx, db); err != nil {
		return fmt.Errorf("sqlstore: connecting: %w", err)
	}
	var journal string
	var synchronous, timeout int
	for query, value := range map[string]any{
		"PRAGMA journal_mode": &journal, "PRAGMA synchronous": &synchronous, "PRAGMA busy_timeout": &timeout,
	} {
		if err := db.QueryRowContext(ctx, query).Scan(value); err != nil {
			return fmt.Errorf("sqlstore: %s: %w", query, err)
		}
	}
	switch {
	case !strings.EqualFold(journal, "wal"):
		return fmt.Errorf("sqlstore: journal_mode is %s, not WAL: %s", journal, advice)
	case synchronous < 2:
		return fmt.Errorf("sqlstore: synchronous is %d, less than FULL: what was committed could be lost; %s", synchronous, advice)
	case timeout < 1000:
		return fmt.Errorf("sqlstore: busy_timeout is %d ms, less than a second: %s", timeout, advice)
	}
	return nil
}

func checkPostgreSQL(ctx context.Context, db *sql.DB) error {
	show := func(setting string) (value string, err error) {
		if err = db.QueryRowContext(ctx, "SHOW "+setting).Scan(&value); err != nil {
			err = fmt.Errorf("sqlstore: SHOW %s: %w", setting, err)
		}
		return value, err
	}
	for _, setting := range []string{"synchronous_commit", "fsync", "full_page_writes"} {
		value, err := show(setting)
		if err != nil {
			return err
		}
		if value == "off" {
			return fmt.Errorf("sqlstore: %s is off: what was committed could be lost", setting)
		}
	}
	encoding, err := show("server_encoding")
	if err == nil && encoding != "UTF8" {
		err = fmt.Errorf("sqlstore: the encoding of the database is %s, not UTF8", encoding)
	}
	return err
}

// isBusy reports whether another process kept the lock for longer than the busy
// timeout.
func isBusy(err error) bool {
	const busy, locked = 5, 6
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		primary := coded.Code() & 0xff
		return primary == busy || primary == locked
	}
	return strings.Contains(err.Error(), "database is locked") // drivers without that method
}

// isSerialization reports whether PostgreSQL gave a transaction up for the sake of
// another: serialization_failure, deadlock_detected.
func isSerialization(err error) bool {
	var coded interface{ SQLState() string }
	return errors.As(err, &coded) && (coded.SQLState() == "40001" || coded.SQLState() == "40P01")
}
