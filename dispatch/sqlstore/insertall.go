package sqlstore

import (
	"database/sql/driver"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/ceralacca/go-pec/dispatch"
)

// A round trip to a server costs more than what it does there. PostgreSQL takes any
// number of rows of all tables in one statement, and says how many it wrote into
// each: the rows of a table are one parameter, a JSON array, which every driver can
// hand over.

// jsonColumns are the types of the columns that are not text, in PostgreSQL.
var jsonColumns = map[string]string{
	"row_no": "bigint", "size": "bigint", "attempt": "bigint", "try_no": "bigint", "nth": "bigint", "uid_validity": "bigint",
	"uid": "bigint", "seq": "bigint", "total": "bigint", "version": "bigint", "entries": "bigint", "tries": "bigint",
	"lease_token": "bigint", "lease_term": "bigint",
	"due": "timestamptz", "happened": "timestamptz", "found": "timestamptz", "created": "timestamptz",
	"lease_until": "timestamptz", "paused_until": "timestamptz", "last_try": "timestamptz",
	"pieces": "json", "rest": "json",
	"own": "bytea",
}

// insertAllText returns the statement. Its parameters are the account and the rows
// of each table; its result has how many were written into each.
func insertAllText() string {
	var with, counts strings.Builder
	for in := range insertions {
		var values, types strings.Builder
		for i, column := range in.columns() {
			typ, ok := jsonColumns[column]
			value := fmt.Sprintf(`r."%d"`, i)
			switch {
			case !ok:
				typ = "text"
			case typ == "bytea":
				typ, value = "text", fmt.Sprintf("decode(%s, 'base64')", value)
			}
			fmt.Fprintf(&values, ", %s", value)
			fmt.Fprintf(&types, `, "%d" %s`, i, typ)
		}
		text := insertionTexts[in]
		fmt.Fprintf(&with, ", w%d AS (%sSELECT $1::text%s FROM json_to_recordset($%d::json) AS r(%s) %s RETURNING 1)",
			in, in.into(), values.String(), in+2, types.String()[2:], text.conflict)
		fmt.Fprintf(&counts, ", (SELECT count(*) FROM w%d)", in)
	}
	return "WITH " + with.String()[2:] + " SELECT " + counts.String()[2:]
}

// insertAll writes all rows in one statement.
func (t *tx) insertAll() error {
	const doing = "writing what was changed"
	args := []any{t.name}
	var written [insertions]int
	var fields []any
	for in := range insertions {
		rows, err := in.rowsAsJSON(t.rows[in].rows)
		if err != nil {
			return t.fail(doing, err)
		}
		args = append(args, rows)
		fields = append(fields, &written[in])
	}
	if err := t.statement(t.store.dialect.insertAll).QueryRowContext(t.ctx, args...).Scan(fields...); err != nil {
		return t.fail(doing, err)
	}
	for in := range insertions {
		if written[in] < len(t.rows[in].rows) {
			return t.fail("writing into "+insertionTexts[in].table, dispatch.ErrExists)
		}
	}
	return nil
}

// rowsAsJSON returns rows as an array of objects, whose fields are called by the
// numbers of their columns.
func (in insertion) rowsAsJSON(rows [][]any) (string, error) {
	if len(rows) == 0 {
		return "[]", nil
	}
	columns := in.columns()
	var b []byte
	for _, row := range rows {
		b = append(b, ',', '{')
		for i, value := range row {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(append(b, '"'), int64(i), 10)
			b = append(b, '"', ':')
			var err error
			if b, err = appendJSON(b, value, jsonColumns[columns[i]]); err != nil {
				return "", err
			}
		}
		b = append(b, '}')
	}
	b[0] = '['
	return string(append(b, ']')), nil
}

// appendJSON appends a value for a column of a type.
func appendJSON(b []byte, value any, typ string) ([]byte, error) {
	if v, ok := value.(driver.Valuer); ok {
		var err error
		if value, err = v.Value(); err != nil {
			return b, err
		}
	}
	switch v := value.(type) {
	case nil:
		return append(b, "null"...), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case uint32:
		return strconv.AppendUint(b, uint64(v), 10), nil
	case []byte:
		b = base64.StdEncoding.AppendEncode(append(b, '"'), v)
		return append(b, '"'), nil
	case string:
		if typ == "json" {
			return append(b, v...), nil
		}
		text, err := json.Marshal(v)
		return append(b, text...), err
	}
	return b, fmt.Errorf("sqlstore: no column takes a %T", value)
}
