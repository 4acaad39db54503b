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

func (s *rowSet) has(key any) bool {
	_, ok := s.keys[key]
	return ok
}

func (s *rowSet) clear() {
	s.rows = nil
	clear(s.keys)
}

// insertion is a statement that writes rows into a table.
type insertion int

const (
	insertSends insertion = iota
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
	columns string // after the account
	// conflict says what to do with a row that is there already. Where it is
	// nothing, the row was new for sure.
	conflict string
}{
	insertSends:      {"sends", "batch, row_no, recipient, message_id, digest, size, pieces, own", ""},
	upsertProgress:   {"progress", "batch, row_no, state, due", "ON CONFLICT (account, batch, row_no) DO UPDATE SET state = excluded.state, due = excluded.due"},
	insertFacts:      {"facts", "batch, row_no, " + factColumns, ""},
	upsertTries:      {"tries", "nth, happened", "ON CONFLICT (account, nth) DO UPDATE SET happened = excluded.happened"},
	insertMessageIDs: {"message_ids", "message_id, batch, row_no, attempt", "ON CONFLICT DO NOTHING"},
	upsertMails: {"mails", mailColumns, `ON CONFLICT (account, folder, uid_validity, uid) DO UPDATE SET
		found = excluded.found, disposition = excluded.disposition, raw = excluded.raw, size = excluded.size,
		category = excluded.category, kind = excluded.kind, batch = excluded.batch, row_no = excluded.row_no,
		reason = excluded.reason`},
	insertEntries: {"audit", entryColumns, ""},
}

// query returns the statement for a number of rows.
func (in insertion) query(rows int) string {
	text := insertionTexts[in]
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (account, %s) VALUES", text.table, text.columns)
	n := 0
	for row := range rows {
		sep := " ("
		if row > 0 {
			sep = "), ("
		}
		for range strings.Count(text.columns, ",") + 2 {
			n++
			fmt.Fprintf(&b, "%s$%d", sep, n)
			sep = ", "
		}
	}
	b.WriteString(") " + text.conflict)
	return b.String()
}

// insertQueries returns all statements that write rows, by how many.
func insertQueries(sizes []int) (queries [insertions]map[int]string) {
	for in := range insertions {
		queries[in] = make(map[int]string)
		for _, rows := range sizes {
			queries[in][rows] = in.query(rows)
		}
	}
	return queries
}

// insert writes the rows of a set, in as few statements as there can be.
func (t *tx) insert(in insertion) error {
	rows := t.rows[in].rows
	for _, size := range t.store.dialect.insertSizes {
		for len(rows) >= size {
			if err := t.insertRows(in, rows[:size]); err != nil {
				return err
			}
			rows = rows[size:]
		}
	}
	t.rows[in].clear()
	return nil
}

func (t *tx) insertRows(in insertion, rows [][]any) error {
	var args []any
	for _, row := range rows {
		args = append(append(args, t.name), row...)
	}
	doing := "writing into " + insertionTexts[in].table
	result, err := t.statement(t.store.inserts[in][len(rows)]).ExecContext(t.ctx, args...)
	if err != nil {
		return t.fail(doing, err)
	}
	written, err := result.RowsAffected()
	if err == nil && written < int64(len(rows)) {
		err = dispatch.ErrExists
	}
	if err != nil {
		return t.fail(doing, err)
	}
	return nil
}
