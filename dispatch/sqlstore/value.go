package sqlstore

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ceralacca/go-pec/dispatch"
)

// instant is a time in a column: NULL if zero, in UTC, to the microsecond. As text
// it sorts by time, and every database takes it.
type instant struct{ time.Time }

const instantLayout = "2006-01-02T15:04:05.000000Z"

// Value implements [driver.Valuer].
func (t instant) Value() (driver.Value, error) {
	utc := t.UTC()
	switch {
	case t.IsZero():
		return nil, nil
	case utc.Year() < 1 || utc.Year() > 9999:
		return nil, errors.New("a time outside the years 1 to 9999")
	}
	return utc.Format(instantLayout), nil
}

// Scan implements [sql.Scanner].
func (t *instant) Scan(value any) (err error) {
	switch v := value.(type) {
	case nil:
		t.Time = time.Time{}
	case time.Time:
		t.Time = v.UTC()
	case string:
		t.Time, err = time.Parse(instantLayout, v)
	case []byte:
		t.Time, err = time.Parse(instantLayout, string(v))
	default:
		err = fmt.Errorf("no time: %T", value)
	}
	return err
}

// cut returns a time as it comes back from a column.
func cut(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// digest is a digest in a column: NULL if zero.
type digest dispatch.Digest

// Value implements [driver.Valuer].
func (d digest) Value() (driver.Value, error) {
	if dispatch.Digest(d).IsZero() {
		return nil, nil
	}
	return dispatch.Digest(d).String(), nil
}

// Scan implements [sql.Scanner].
func (d *digest) Scan(value any) error {
	var text sql.NullString
	if err := text.Scan(value); err != nil || !text.Valid {
		*d = digest{}
		return err
	}
	return (*dispatch.Digest)(d).UnmarshalText([]byte(text.String))
}

// errKey is the error of a key that no database is sure to keep as it is.
var errKey = errors.New("sqlstore: a key that is not UTF-8, or has a NUL byte")

// isText reports whether every database keeps these strings as they are.
func isText(list ...string) bool {
	for _, s := range list {
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return false
		}
	}
	return true
}

// text is a string that is no key, as every database keeps it.
func text(s string) string {
	if isText(s) {
		return s
	}
	return strings.ReplaceAll(string([]rune(s)), "\x00", "\ufffd")
}

// toJSON returns a record as JSON, in which text is as [text] makes it.
func toJSON(record any) (string, error) {
	b, err := json.Marshal(record)
	if err != nil {
		return "", fmt.Errorf("sqlstore: writing JSON: %w", err)
	}
	return string(withoutNUL(b)), nil
}

// withoutNUL replaces what stands for NUL bytes in JSON, which PostgreSQL can keep
// but not show.
func withoutNUL(b []byte) []byte {
	if !bytes.Contains(b, []byte(`\u0000`)) {
		return b
	}
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		if bytes.HasPrefix(b[i:], []byte(`\u0000`)) {
			copy(b[i:], `\ufffd`)
		}
		i++ // whatever is escaped, a backslash too
	}
	return b
}

func fromJSON(text string, record any) error {
	if err := json.Unmarshal([]byte(text), record); err != nil {
		return fmt.Errorf("sqlstore: reading JSON: %w", err)
	}
	return nil
}

// collect reads all rows, each into what fields returns of a value.
func collect[T any](rows *sql.Rows, fields func(*T) []any) ([]T, error) {
	defer rows.Close()
	var list []T
	for rows.Next() {
		var item T
		if err := rows.Scan(fields(&item)...); err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, rows.Err()
}
