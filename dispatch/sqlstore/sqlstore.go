// Package sqlstore keeps the records of package dispatch in an SQL database:
// SQLite, in one file and without a server, or PostgreSQL, for many machines. It
// imports no driver; the caller opens the database.
//
// # SQLite
//
// With modernc.org/sqlite, which needs no C compiler:
//
//	import _ "modernc.org/sqlite"
//
//	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN("sends.db"))
//	...
//	store, err := sqlstore.New(ctx, db, sqlstore.Config{Dialect: sqlstore.SQLite})
//
// [SQLiteDSN] asks for what makes a commit durable: a write-ahead log that is
// flushed to the disk before each commit returns. [New] refuses a database that
// was opened otherwise. A disk that confirms a flush and loses it with the power
// leaves the database as it was somewhat earlier, as a backup does: for what holds
// then see "At most once" in package dispatch.
//
// Several processes may open the file, on one machine and not over a network file
// system. One writes at a time, the others wait for it; nobody waits to read.
//
// database/sql keeps two connections open and closes others after each use, unless
// it is told to keep more, which here and with PostgreSQL is worth it:
//
//	db.SetMaxOpenConns(16)
//	db.SetMaxIdleConns(16)
//
// # PostgreSQL
//
// Any driver for database/sql will do, such as github.com/jackc/pgx/v5/stdlib.
// Version 12 or later; its encoding is UTF8, and synchronous_commit, fsync and
// full_page_writes are not off. Statements are prepared, so a connection pooler
// between must keep a session, or know about prepared statements.
//
// A transaction that writes locks the row of its account (FOR UPDATE): two of one
// account follow each other, those of different accounts don't meet. Nothing is
// claimed send by send, with FOR UPDATE SKIP LOCKED or otherwise: a worker claims
// an account, by a lease ([dispatch.Lease]), and has its sends to itself. So no
// claim is contended, none is left behind by a worker that dies, and the limits of
// a mailbox are kept where they are counted. Every transaction of a worker checks
// the token of its lease in the row that it has locked.
//
// How long a transaction takes is counted in round trips, and in flushes to the
// disk. It reads what it needs once, the sends of neighbouring rows together, and
// writes everything in one statement at its end: ten sends that went through a step
// take about as many round trips as one, which is four to six, and one flush. What
// comes while it is flushed shares the next transaction, and what one transaction has
// read, the next one knows, unless somebody changed anything of the account since.
// Which sends some receipts are about is read in two round trips, however many they
// are ([dispatch.Prefetcher]).
//
// One setting of the server is worth having: idle_in_transaction_session_timeout, of
// a few seconds, ends the transaction of a process that was stopped in the middle of
// one, and with it the lock on the account.
//
// Tables are made where the search path of the connection says. All keys but those
// of blobs begin with the account, so that, from some hundred million sends on,
// sends, progress, message_ids, facts, tries, mails and audit can be partitioned by it.
// Before the first [New], run schema/postgresql/1.sql of this package by hand, with
// "PARTITION BY HASH (account)" after each of these tables and their partitions
// created, and then
//
//	CREATE TABLE schema_version (version bigint PRIMARY KEY, applied timestamptz);
//	INSERT INTO schema_version VALUES (1, now());
//
// The tests of this package run on such tables too.
//
// # To look at it
//
// The schema is made to be read: see the files in the folder schema, or ".schema"
// in the sqlite3 tool. The views batch_states, send_states and timeline answer
// what people ask:
//
//	sqlite3 sends.db "SELECT * FROM batch_states"
//	sqlite3 sends.db "SELECT happened, kind, what, detail FROM timeline
//	                  WHERE recipient = 'sindaco@pec.alfa.example' ORDER BY happened"
//
// Who changes rows by hand stops the programs first, or gives the account another
// version in the same transaction: what a program has read counts as long as the
// version is the same.
//
// # Large values
//
// Messages as received and attachments are kept in the database in chunks of 256 KiB,
// or, with [Config.Blobs], somewhere else, such as a [Folder]. In the database, those
// of one chunk that are put at the same time, most receipts among them, are written
// together, up to 64 with one flush. Each that is put returns after the flush, and
// one that fails or is given up does not keep the others from being written. Chunks that
// were read lately stay in memory, 4 MiB at most.
//
// For an object storage (S3 and the like) write a [dispatch.Blobs] of two methods:
// upload under the digest, once it is known, and return when the upload is confirmed.
package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/ceralacca/go-pec/dispatch"
)

// Store is a [dispatch.Store] in an SQL database.
type Store struct {
	dispatch.Blobs
	db         *sql.DB
	dialect    *dialect
	statements map[string]*sql.Stmt            // :: query → prepared
	insertRows [insertions][len(groups)]string // the statements that write rows by the group
	cacheSize  int                             // see tx.trim
	memory     memory
	draw       func() int64  // draws a number at random; see tx.finish
	writer     chan struct{} // full while somebody writes; nil if many may at once
}

var _ dispatch.Store = (*Store)(nil)

// Config says what to make a store of.
type Config struct {
	// Dialect is the database's.
	Dialect Dialect
	// Blobs keeps the large values; nil is in the database.
	Blobs dispatch.Blobs
}

// New makes a store of a database, which the caller opened and will close. It
// creates the tables, or brings those of an older version up to date. It fails if
// they are of a newer version, or if the settings of the database would let it
// lose what was committed.
func New(ctx context.Context, db *sql.DB, config Config) (*Store, error) {
	d, err := dialectOf(config.Dialect)
	if err != nil {
		return nil, err
	}
	if err := d.check(ctx, db); err != nil {
		return nil, err
	}
	if err := migrate(ctx, db, d); err != nil {
		return nil, err
	}
	s := &Store{db: db, dialect: d, Blobs: config.Blobs, cacheSize: cacheSize, draw: rand.Int64}
	if d.oneWriter {
		s.writer = make(chan struct{}, 1)
	}
	if s.Blobs == nil {
		s.Blobs = newBlobs(s)
	}
	return s, s.prepare(ctx)
}

// prepare prepares every statement, so that none has to be while a transaction
// has the last connection.
func (s *Store) prepare(ctx context.Context) error {
	s.statements = make(map[string]*sql.Stmt)
	all := append(s.dialect.queries(), s.dialect.lockAccount)
	if s.dialect.insertAll != "" {
		all = append(all, s.dialect.insertAll, s.dialect.putSmall)
	} else {
		for in := range insertions {
			for i, size := range groups {
				s.insertRows[in][i] = in.insertRows(size)
			}
			all = append(all, s.insertRows[in][:]...)
		}
	}
	for _, query := range all {
		stmt, err := s.db.PrepareContext(ctx, query)
		if err != nil {
			return fmt.Errorf("sqlstore: preparing %q: %w", query, err)
		}
		s.statements[query] = stmt
	}
	return nil
}

// Update implements [dispatch.Store].
func (s *Store) Update(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	if !isText(account) {
		return errKey
	}
	var tx *tx
	err := s.write(ctx, func(sqlTx *sql.Tx) error {
		tx = newTx(ctx, s, sqlTx, account)
		if err := tx.lock(); err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		return tx.finish()
	})
	if err == nil {
		tx.known.shrink(s.cacheSize)
		s.memory.remember(account, tx.account.version, tx.known)
	}
	return err
}

// write runs f in a transaction of the database that may write.
func (s *Store) write(ctx context.Context, f func(*sql.Tx) error) error {
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	defer s.endTurn()
	sqlTx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.failed(ctx, "beginning a transaction", err)
	}
	defer sqlTx.Rollback() // does nothing after Commit
	if err := f(sqlTx); err != nil {
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		return s.failed(ctx, "committing", err)
	}
	return nil
}

// takeTurn waits until no other goroutine writes, where only one can. Waiting in
// SQLite itself is a matter of luck: it tries again now and then.
func (s *Store) takeTurn(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	if s.writer == nil {
		return nil
	}
	select {
	case s.writer <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sqlstore: %w", ctx.Err())
	}
}

func (s *Store) endTurn() {
	if s.writer != nil {
		<-s.writer
	}
}

// View implements [dispatch.Store].
func (s *Store) View(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	if !isText(account) {
		return errKey
	}
	sqlTx, err := s.db.BeginTx(ctx, &s.dialect.view)
	if err != nil {
		return s.failed(ctx, "beginning a transaction", err)
	}
	defer sqlTx.Rollback()
	tx := newTx(ctx, s, sqlTx, account)
	tx.readOnly = true
	return f(tx)
}

// accountsPage is how many accounts are read at a time.
const accountsPage = 500

// Accounts implements [dispatch.Store].
func (s *Store) Accounts(ctx context.Context) iter.Seq2[dispatch.Account, error] {
	return func(yield func(dispatch.Account, error) bool) {
		for after := ""; ; {
			// Page by page: whoever is given an account may use the store.
			page, err := s.accounts(ctx, after)
			if err != nil {
				yield(dispatch.Account{}, s.failed(ctx, "listing accounts", err))
				return
			}
			for _, row := range page {
				record, err := row.record(row.name)
				if err != nil {
					err = s.failed(ctx, "listing accounts", err)
				}
				if !yield(record, err) || err != nil {
					return
				}
				after = row.name
			}
			if len(page) < accountsPage {
				return
			}
		}
	}
}

func (s *Store) accounts(ctx context.Context, after string) ([]namedAccount, error) {
	rows, err := s.statements[queryAccounts].QueryContext(ctx, after, accountsPage)
	if err != nil {
		return nil, err
	}
	return collect(rows, (*namedAccount).fields)
}

// failed makes an error of the database into one of the contract.
func (s *Store) failed(ctx context.Context, doing string, err error) error {
	switch {
	case ctx.Err() != nil:
		// Drivers say it each in their own way.
		return fmt.Errorf("sqlstore: %s: %w", doing, ctx.Err())
	case s.dialect.isConflict(err):
		return fmt.Errorf("sqlstore: %s: %w: %w", doing, dispatch.ErrConflict, err)
	}
	return fmt.Errorf("sqlstore: %s: %w", doing, err)
}
