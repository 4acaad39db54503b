package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/ceralacca/go-pec/dispatch"
)

// tx is a [dispatch.Tx]. It reads what it is asked for once, changes what it has
// read, and writes all changes together: each statement is a round trip to the
// server, and their number is what a transaction costs.
//
// That is sound because no other transaction changes the account meanwhile. What
// is read is kept as it is in the columns, so whoever gets it as a record gets one
// of his own.
type tx struct {
	ctx      context.Context
	store    *Store
	sql      *sql.Tx
	name     string // of the account
	readOnly bool
	failed   error // the first error of the database: nothing can be kept any more

	account *accountRow // nil: not read yet
	*known

	messageIDs map[string]*named            // as far as prefetched; nil: it names nothing
	sendRows   map[dispatch.SendID]*sendRow // as far as prefetched

	rows  [insertions]rowSet // to be written
	wrote bool               // something was
}

func newTx(ctx context.Context, s *Store, sqlTx *sql.Tx, account string) *tx {
	return &tx{
		ctx:   ctx,
		store: s,
		sql:   sqlTx,
		name:  account,
		known: newKnown(),

		messageIDs: make(map[string]*named),
		sendRows:   make(map[dispatch.SendID]*sendRow),
	}
}

// errView is the error of a change in a View.
var errView = errors.New("sqlstore: a view changes nothing")

// writing fails unless the transaction may write, with keys that can be kept.
func (t *tx) writing(keys ...string) error {
	switch {
	case t.readOnly:
		return errView
	case !isText(keys...):
		return errKey
	}
	return t.failed
}

// fail makes an error of the database into one of the contract. Nothing can be
// kept of the transaction any more, even if f goes on.
func (t *tx) fail(doing string, err error) error {
	err = t.store.failed(t.ctx, doing, err)
	if t.failed == nil {
		t.failed = err
	}
	return err
}

// statement returns a prepared statement for this transaction.
func (t *tx) statement(query string) *sql.Stmt {
	return t.sql.StmtContext(t.ctx, t.store.statements[query])
}

// readOne reads one row, or returns ErrNotFound.
func (t *tx) readOne(doing, query string, args []any, fields ...any) error {
	err := t.statement(query).QueryRowContext(t.ctx, args...).Scan(fields...)
	if errors.Is(err, sql.ErrNoRows) {
		return dispatch.ErrNotFound
	}
	if err != nil {
		return t.fail(doing, err)
	}
	return nil
}

// readAll reads all rows, each into what fields returns of a value.
func readAll[T any](t *tx, doing, query string, args []any, fields func(*T) []any) ([]T, error) {
	rows, err := t.statement(query).QueryContext(t.ctx, args...)
	if err != nil {
		return nil, t.fail(doing, err)
	}
	list, err := collect(rows, fields)
	if err != nil {
		return nil, t.fail(doing, err)
	}
	return list, nil
}

// flush writes what is to be written, so that a query finds it.
func (t *tx) flush() error {
	if t.failed != nil {
		return t.failed
	}
	t.takeBatches()
	return t.write()
}

// takeBatches has the batches that were changed written with the rest.
func (t *tx) takeBatches() {
	for name, row := range t.batches {
		if row.changed {
			t.rows[upsertBatches].put(name, row.values())
			row.changed = false
		}
	}
}

// finish writes everything, before the commit.
func (t *tx) finish() error {
	t.takeBatches()
	if t.account.changed || t.wrote || t.waiting() > 0 {
		// What is drawn is added to what another may have drawn: so not even a copy of
		// this process, which draws the same, comes to the same version.
		t.account.version += 1 + t.store.draw()
		t.rows[upsertAccounts].put(t.name, t.account.values())
	}
	if err := t.flush(); err != nil {
		return err
	}
	if err := t.ctx.Err(); err != nil {
		return t.fail("committing", err)
	}
	return nil
}

// cacheSize is how many rows wait to be written at most, and about how many sends and
// batches of an account are known.
const cacheSize = 512

// trim keeps a transaction that does a great deal small.
func (t *tx) trim() error {
	if max(t.waiting(), len(t.sends), len(t.tries), len(t.messageIDs)) < t.store.cacheSize {
		return nil
	}
	err := t.flush()
	t.age()
	clear(t.messageIDs)
	clear(t.sendRows)
	return err
}
