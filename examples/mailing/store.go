package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/sqlstore"

	_ "modernc.org/sqlite"
)

// errLocked is the error of a store with which another process works.
var errLocked = errors.New("another mailing works with this store: wait for it, or name another one with -store")

// openStore opens the file in which everything is kept. Without -store, a run in
// a network of its own keeps it in a file that is removed at the end, since the
// network is gone too.
func openStore(ctx context.Context, f *flags) (dispatch.Store, func(), error) {
	name, remove := f.store, func() {}
	switch {
	case name == "" && f.network == "" && f.config == "":
		dir, err := os.MkdirTemp("", "mailing-")
		if err != nil {
			return nil, nil, err
		}
		name, remove = filepath.Join(dir, "mailing.db"), func() { os.RemoveAll(dir) }
	case name == "":
		name = "mailing.db"
	}
	unlock, err := lock(name + ".lock")
	if err != nil {
		remove()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	store, db, err := openSQLite(ctx, name)
	if err != nil {
		unlock()
		remove()
		return nil, nil, fmt.Errorf("opening %s: %w", name, err)
	}
	return store, func() {
		db.Close()
		unlock()
		remove()
	}, nil
}

// storeConnections are enough for all that read at the same time; one writes.
const storeConnections = 8

func openSQLite(ctx context.Context, name string) (dispatch.Store, *sql.DB, error) {
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(name))
	if err != nil {
		return nil, nil, err
	}
	// database/sql would keep two, and prepare every statement anew on the others.
	db.SetMaxOpenConns(storeConnections)
	db.SetMaxIdleConns(storeConnections)
	store, err := sqlstore.New(ctx, db, sqlstore.Config{Dialect: sqlstore.SQLite})
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	return store, db, nil
}
