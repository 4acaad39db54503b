package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestExpand makes a large batch in a store on a disk. Memory does not grow with
// the number of rows, but for a few bytes for each, by which doubled addresses are
// found; and the attachment that all messages share is stored once.
func TestExpand(t *testing.T) {
	t.Parallel()
	notUnderRace(t)
	const few = 1000
	many := shortOrLong(t, 10_000, 100_000)
	small, _ := expand(t, few)
	large, blobs := expand(t, many)
	growth, most := large-small, int64(16<<20+32*many)
	t.Logf("%d rows: %d MB; %d rows: %d MB", few, small>>20, many, large>>20)
	if growth > most {
		t.Errorf("from %d to %d rows memory grew by %d bytes, want at most %d", few, many, growth, most)
	}
	if blobs != 1 {
		t.Errorf("%d attachments are stored, want the one that all share, once", blobs)
	}
}

// expand has the program make a batch, and not sign it off. It returns the most
// memory that it had, and how many attachments are in the store.
func expand(t *testing.T, rows int) (memory int64, blobs int) {
	t.Helper()
	m := &mailer{dir: t.TempDir()}
	m.store = filepath.Join(m.dir, "store.db")
	p := m.start(t, "-generate", strconv.Itoa(rows))
	o := p.wait(t)
	if o.code != exitFailed || !strings.Contains(o.out, fmt.Sprintf("is ready: %d messages", rows)) {
		t.Fatalf("exit status %d\n%s\n%s", o.code, o.out, o.err)
	}
	_, db, err := openSQLite(t.Context(), m.store)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var sends int
	if err := db.QueryRow(`SELECT (SELECT count(*) FROM sends), (SELECT count(*) FROM blobs)`).Scan(&sends, &blobs); err != nil || sends != rows {
		t.Errorf("%d sends are stored (%v), want %d", sends, err, rows)
	}
	return p.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10, blobs
}
