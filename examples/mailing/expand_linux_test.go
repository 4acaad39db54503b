package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestExpand makes a large batch in a store on a disk. Memory does not grow with
// the number of rows, and the attachment that all messages share is stored once.
func TestExpand(t *testing.T) {
	t.Parallel()
	notUnderRace(t)
	few, many := shortOrLong(t, 2_000, 20_000), shortOrLong(t, 10_000, 1_000_000)
	small, large := expand(t, few), expand(t, many)
	t.Logf("%d rows: %d kB at most; %d rows: %d kB", few, small>>10, many, large>>10)
	if growth := large - small; growth > 8<<20 {
		t.Errorf("from %d to %d rows the most memory grew by %d bytes, want at most 8 MiB", few, many, growth)
	}
}

// expand has a process of its own make a batch, and not sign it off. It returns the
// most memory that it had.
func expand(t *testing.T, rows int) (memory int64) {
	t.Helper()
	m := &mailer{dir: t.TempDir()}
	m.store = filepath.Join(m.dir, "store.db")
	p := prepared(t, m.dir, "mailing", "-store", m.store, "-generate", strconv.Itoa(rows))
	// On a busy machine the collector of garbage lags behind, by another amount each
	// time. This makes it keep up, and is no limit to what is in use.
	p.Env = append(os.Environ(), "GOMAXPROCS=1", "GOMEMLIMIT=16MiB")
	asks := &prompt{transcript: &p.out, word: "Type yes", seen: make(chan struct{})}
	p.Stdout = asks
	answer, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.begin(t)
	select {
	case <-asks.seen:
		memory = highWater(t, p)
		io.WriteString(answer, "no\n")
	case <-p.ended:
	}
	o := p.wait(t)
	if o.code != exitFailed || !strings.Contains(o.out, fmt.Sprintf("is ready: %d messages", rows)) {
		t.Fatalf("exit status %d\n%s\n%s", o.code, o.out, o.err)
	}
	checkExpanded(t, m.store, rows)
	return memory
}

// checkExpanded looks into the store of a batch that was made.
func checkExpanded(t *testing.T, name string, rows int) {
	t.Helper()
	_, db, err := openSQLite(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for query, want := range map[string]int{
		`SELECT count(*) FROM sends`:                  rows,
		`SELECT count(DISTINCT recipient) FROM sends`: rows,
		`SELECT max(row_no) FROM sends`:               rows,
		`SELECT count(*) FROM message_ids`:            rows,
		`SELECT count(*) FROM progress`:               rows,
		`SELECT count(*) FROM blobs`:                  1, // the attachment that all share
		`SELECT count(*) FROM blob_chunks`:            1,
	} {
		var got int
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %d (%v), want %d", query, got, err, want)
		}
	}
}

// prompt is a transcript that tells when a word is in it.
type prompt struct {
	*transcript
	word string
	seen chan struct{} // closed when it is
	once sync.Once
}

func (p *prompt) Write(b []byte) (int, error) {
	n, err := p.transcript.Write(b)
	if strings.Contains(p.String(), p.word) {
		p.once.Do(func() { close(p.seen) })
	}
	return n, err
}

// highWater returns the most memory that a process had since it began. What wait
// tells of a child counts its parent too, of which it was a copy.
func highWater(t *testing.T, p *process) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\nVmHWM:")
	var kb int64
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	return kb << 10
}
