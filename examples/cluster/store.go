package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/sqlstore"
)

// store is the database that all workers share.
type store struct {
	dispatch.Store
	db *sql.DB
}

func (s store) Close() error { return s.db.Close() }

// connections is how many connections to PostgreSQL a process keeps. They are
// shared by all its accounts, for a few milliseconds at a time.
const connections = 8

// stuckTransaction is how long the server waits for the rest of a transaction
// before it ends it. A process that was stopped in the middle of one, or whose
// machine is gone, would keep the account locked as long as the connection seems
// to live: hours.
const stuckTransaction = 5 * time.Second

// openStore opens the database, and the folder of messages if there is one.
func openStore(ctx context.Context, dsn, folder string) (store, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return store{}, fmt.Errorf("reading the DSN: %w", err)
	}
	config.ConnectTimeout = 5 * time.Second
	for name, value := range map[string]string{
		"application_name":                    applicationName,
		"idle_in_transaction_session_timeout": fmt.Sprint(stuckTransaction.Milliseconds()),
	} {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	c := sqlstore.Config{Dialect: sqlstore.PostgreSQL}
	if folder != "" {
		if c.Blobs, err = sqlstore.OpenFolder(folder); err != nil {
			db.Close()
			return store{}, err
		}
	}
	s, err := sqlstore.New(ctx, db, c)
	if err != nil {
		db.Close()
		return store{}, err
	}
	return store{s, db}, nil
}

// applicationName is what the server calls our connections.
const applicationName = "gopec-cluster"
