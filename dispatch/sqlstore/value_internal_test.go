package sqlstore

import (
	"errors"
	"fmt"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ceralacca/go-pec/dispatch"
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

// Statements that write rows are built from the names of columns.
func TestInsertRows(t *testing.T) {
	got := insertMessageIDs.insertRows(2)
	want := "INSERT INTO message_ids (account, message_id, batch, row_no, attempt) VALUES (?, ?, ?, ?, ?), (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
	if got != want {
		t.Errorf("insertRows(2):\n got %s\nwant %s", got, want)
	}
}

// Values survive the way through JSON: the rows of a table are one parameter.
func TestRowsAsJSON(t *testing.T) {
	at := instant{time.Date(2026, 3, 2, 8, 0, 0, 1000, time.UTC)}
	got, err := insertSends.rowsAsJSON([][]any{
		{"b", int64(1), "a@pec.alfa.example", `<"\à>`, digest{1}, int64(3), `[{"size":3}]`, []byte{0, 1, 2}},
		{"b", int64(2), "", "", digest{}, int64(0), `[]`, []byte(nil)},
	})
	want := `[{"0":"b","1":1,"2":"a@pec.alfa.example","3":"\u003c\"\\à\u003e","4":"` + dispatch.Digest{1}.String() +
		`","5":3,"6":[{"size":3}],"7":"AAEC"},{"0":"b","1":2,"2":"","3":"","4":null,"5":0,"6":[],"7":""}]`
	if err != nil || got != want {
		t.Errorf("rowsAsJSON: %v\n got %s\nwant %s", err, got, want)
	}
	if got, err := upsertProgress.rowsAsJSON([][]any{{"b", int64(1), "prepared", at}, {"b", int64(2), "sent", instant{}}}); err != nil ||
		got != `[{"0":"b","1":1,"2":"prepared","3":"2026-03-02T08:00:00.000001Z"},{"0":"b","1":2,"2":"sent","3":null}]` {
		t.Errorf("rowsAsJSON: %v, %s", err, got)
	}
	if _, err := upsertProgress.rowsAsJSON([][]any{{1.5}}); err == nil {
		t.Error("a float: no error")
	}
}
