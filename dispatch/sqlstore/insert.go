package sqlstore

import (
	"fmt"
	"strings"

	"github.com/ceralacca/go-pec/dispatch"
)

// rowSet is a set of rows to be written into a table.
type rowSet struct {
	rows [][]any
	keys map[any]int // :: key → index of its row
}

// put adds a row, in place of one with the same key.
func (s *rowSet) put(key any, row []any) {
	if i, ok := s.keys[key]; ok {
		s.rows[i] = row
		return
	}
	if s.keys == nil {
		s.keys = make(map[any]int)
	}
	s.keys[key] = len(s.rows)
	s.rows = append(s.rows, row)
}

func (s *rowSet) clear() {
	s.rows = nil
	clear(s.keys)
}

// get returns the row with a key, or nil.
func (s *rowSet) get(key any) []any {
	if i, ok := s.keys[key]; ok {
		return s.rows[i]
	}
	return nil
}

// insertion is a way of writing rows into a table.
type insertion int

const (
	upsertAccounts insertion = iota
	upsertBatches
	insertSends
	upsertProgress
	insertFacts
	upsertTries
	insertMessageIDs
	upsertMails
	insertEntries
	insertions // how many there are
)

// insertionTexts are the texts of the statements, in parts.
var insertionTexts = [insertions]struct {
	table   string
	account string // the column with the account's name
	columns string // after that one
	// conflict says what to do with a row that is there already. Where it is
	// nothing, the row was new for sure.
	conflict string
}{
	upsertAccounts: {"accounts", "name", accountColumns, `ON CONFLICT (name) DO UPDATE SET
		lease_holder = excluded.lease_holder, lease_token = excluded.lease_token,
		lease_term = excluded.lease_term, lease_until = excluded.lease_until,
		paused_until = excluded.paused_until, pause_reason = excluded.pause_reason, suspended = excluded.suspended,
		rest = excluded.rest, version = excluded.version, entries = excluded.entries, tries = excluded.tries, last_try = excluded.last_try`},
	upsertBatches: {"batches", "account", batchColumns, `ON CONFLICT (account, name) DO UPDATE SET
		phase = excluded.phase, created = excluded.created, creator = excluded.creator, total = excluded.total,
		rest = excluded.rest`},
	insertSends: {"sends", "account", "batch, row_no, recipient, message_id, digest, size, pieces, own", ""},
	upsertProgress: {"progress", "account", "batch, row_no, state, due",
		"ON CONFLICT (account, batch, row_no) DO UPDATE SET state = excluded.state, due = excluded.due"},
	insertFacts: {"facts", "account", "batch, row_no, " + factColumns, ""},
	upsertTries: {"tries", "account", "nth, happened",
		"ON CONFLICT (account, nth) DO UPDATE SET happened = excluded.happened"},
	insertMessageIDs: {"message_ids", "account", "message_id, batch, row_no, attempt", "ON CONFLICT DO NOTHING"},
	upsertMails: {"mails", "account", mailColumns, `ON CONFLICT (account, folder, uid_validity, uid) DO UPDATE SET
		found = excluded.found, disposition = excluded.disposition, raw = excluded.raw, size = excluded.size,
		category = excluded.category, kind = excluded.kind, batch = excluded.batch, row_no = excluded.row_no,
		reason = excluded.reason`},
	insertEntries: {"audit", "account", entryColumns, ""},
}

// into returns the beginning of a statement.
func (in insertion) into() string {
	text := insertionTexts[in]
	return fmt.Sprintf("INSERT INTO %s (%s, %s) ", text.table, text.account, text.columns)
}

func (in insertion) columns() []string { return strings.Split(insertionTexts[in].columns, ", ") }

// groups are how many rows a statement writes. Each statement costs more than another
// row in one.
var groups = [...]int{16, 8, 4, 2, 1}

// insertRows returns the statement that writes so many rows.
func (in insertion) insertRows(rows int) string {
	row := "(?" + strings.Repeat(", ?", len(in.columns())) + ")"
	return in.into() + "VALUES " + row + strings.Repeat(", "+row, rows-1) + " " + insertionTexts[in].conflict
}

// waiting is how many rows wait to be written.
func (t *tx) waiting() int {
	n := 0
	for in := range insertions {
		n += len(t.rows[in].rows)
	}
	return n
}

// write writes all rows that wait: in one statement, where the dialect has one, and
// otherwise by the group.
func (t *tx) write() error {
	if t.waiting() == 0 {
		return nil
	}
	t.wrote = true
	write := t.insertGroups
	if t.store.dialect.insertAll != "" {
		write = t.insertAll
	}
	if err := write(); err != nil {
		return err
	}
	for in := range insertions {
		t.rows[in].clear()
	}
	return nil
}

// insertGroups writes the rows of each table by the group.
func (t *tx) insertGroups() error {
	for in := range insertions {
		rows := t.rows[in].rows
		for i, size := range groups {
			for ; len(rows) >= size; rows = rows[size:] {
				if err := t.insertGroup(t.store.insertRows[in][i], rows[:size]); err != nil {
					return t.fail("writing into "+insertionTexts[in].table, err)
				}
			}
		}
	}
	return nil
}

func (t *tx) insertGroup(query string, rows [][]any) error {
	args := make([]any, 0, len(rows)*(len(rows[0])+1))
	for _, row := range rows {
		args = append(append(args, t.name), row...)
	}
	result, err := t.statement(query).ExecContext(t.ctx, args...)
	if err != nil {
		return err
	}
	written, err := result.RowsAffected()
	if err == nil && written < int64(len(rows)) {
		err = dispatch.ErrExists
	}
	return err
}
