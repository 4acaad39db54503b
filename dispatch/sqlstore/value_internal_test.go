package sqlstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzJSON(f *testing.F) {
	for _, s := range []string{"", "perché", "\x00", "a\x00\\u0000\x00b", `\u0000`, `\\u0000`, "\xff\xfe", "\"\\\x00", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		written, err := toJSON(map[string]string{"s": s})
		if err != nil {
			t.Fatal(err)
		}
		if !isText(written) {
			t.Errorf("toJSON(%q) = %q, which is no text", s, written)
		}
		var read map[string]string
		if err := fromJSON(written, &read); err != nil {
			t.Fatal(err)
		}
		if read["s"] != text(s) || isText(s) && read["s"] != s {
			t.Errorf("%q came back from JSON as %q, want %q", s, read["s"], text(s))
		}
		if got := text(s); !isText(got) || utf8.RuneCountInString(got) != utf8.RuneCountInString(s) {
			t.Errorf("text(%q) = %q", s, got)
		}
	})
}

func TestInstant(t *testing.T) {
	for _, at := range []time.Time{
		{}, time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(2026, 3, 29, 3, 0, 0, 0, time.FixedZone("", 7200)),
	} {
		value, err := instant{at}.Value()
		if err != nil {
			t.Fatal(err)
		}
		var got instant
		if err := got.Scan(value); err != nil || !got.Equal(at) || got.Location() != time.UTC {
			t.Errorf("%v came back from %v as %v, error %v", at, value, got.Time, err)
		}
	}
	for _, at := range []time.Time{time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if value, err := (instant{at}).Value(); err == nil {
			t.Errorf("%v, which would sort wrongly: got %v, want an error", at, value)
		}
	}
	if err := new(instant).Scan(7); err == nil {
		t.Error("Scan(7): got no error")
	}
}

// driverError has the methods by which drivers tell what kind of error it is.
type driverError struct {
	code  int
	state string
}

func (e driverError) Error() string    { return "driver" }
func (e driverError) Code() int        { return e.code }
func (e driverError) SQLState() string { return e.state }

func TestConflicts(t *testing.T) {
	for _, c := range []struct {
		name     string
		conflict func(error) bool
		err      error
		want     bool
	}{
		{"SQLITE_BUSY", isBusy, driverError{code: 5}, true},
		{"SQLITE_BUSY_SNAPSHOT", isBusy, driverError{code: 5 | 2<<8}, true},
		{"SQLITE_LOCKED", isBusy, driverError{code: 6}, true},
		{"SQLITE_FULL", isBusy, driverError{code: 13}, false},
		{"a driver without codes", isBusy, errors.New("database is locked"), true},
		{"serialization_failure", isSerialization, driverError{state: "40001"}, true},
		{"deadlock_detected", isSerialization, driverError{state: "40P01"}, true},
		{"admin_shutdown, whose effect is not known", isSerialization, driverError{state: "57P01"}, false},
		{"a lost connection, whose effect is not known", isSerialization, errors.New("broken pipe"), false},
	} {
		if got := c.conflict(fmt.Errorf("wrapped: %w", c.err)); got != c.want {
			t.Errorf("%s is a conflict: got %t, want %t", c.name, got, c.want)
		}
	}
}

// Statements of up to so many rows are built of parameters that are counted.
func TestInsertionQuery(t *testing.T) {
	got := insertMessageIDs.query(2)
	want := "INSERT INTO message_ids (account, message_id, batch, row_no, attempt) VALUES ($1, $2, $3, $4, $5), ($6, $7, $8, $9, $10) ON CONFLICT DO NOTHING"
	if got != want {
		t.Errorf("query(2):\n got %s\nwant %s", got, want)
	}
	for in := range insertions {
		if query := in.query(64); strings.Count(query, "$") > 1000 {
			t.Errorf("a statement of %d parameters: some databases take 1000", strings.Count(query, "$"))
		}
	}
}
