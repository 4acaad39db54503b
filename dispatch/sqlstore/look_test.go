package sqlstore_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/sqlstore"
)

// A person can look at the database with the tools of the database.

// story puts a batch with two sends and what happened to them.
func story(t *testing.T, s dispatch.Store) {
	t.Helper()
	at := func(minute int) time.Time { return benchStart.Add(time.Duration(minute) * time.Minute) }
	err := s.Update(context.Background(), account, func(tx dispatch.Tx) error {
		if err := tx.PutBatch(dispatch.Batch{Name: "convocazione", Phase: dispatch.PhaseApproved, Created: at(0), Creator: "anna", Total: 2}); err != nil {
			return err
		}
		for row := int64(1); row <= 2; row++ {
			send := benchSend("convocazione", row)
			if err := tx.AddSend(send, dispatch.Progress{State: dispatch.Delivered}); err != nil {
				return err
			}
			for _, f := range []dispatch.Fact{
				{Key: "outcome", Kind: dispatch.FactOutcome, At: at(2), Attempt: 1, Try: 1, Outcome: dispatch.OutcomeSubmitted, Code: 250, Reply: "Ok: queued"},
				{Key: "try", Kind: dispatch.FactTry, At: at(1), Attempt: 1, Try: 1},
				{Key: "notice", Kind: dispatch.FactNotice, At: at(3), Attempt: 1, Raw: dispatch.Digest{7},
					Notice: &dispatch.Notice{Kind: dispatch.NoticeDelivery, Instant: at(3), Detail: "consegnato"}},
			} {
				if _, err := tx.AddFact(send.ID, f); err != nil {
					return err
				}
			}
		}
		return tx.PutProgress(dispatch.SendID{Batch: "convocazione", Row: 2}, dispatch.Progress{State: dispatch.Prepared, Due: at(9)})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// looks are questions that people ask, and the answers in the form of the sqlite3
// tool.
var looks = []struct{ query, want string }{
	{"SELECT batch, state, sends FROM batch_states ORDER BY state",
		"convocazione|delivered|1\nconvocazione|prepared|1"},
	{"SELECT row_no, recipient, state, due, last_fact FROM send_states ORDER BY row_no",
		"1|casella1@pec.beta.example|delivered||2026-03-02T08:03:00.000000Z\n" +
			"2|casella2@pec.beta.example|prepared|2026-03-02T08:09:00.000000Z|2026-03-02T08:03:00.000000Z"},
	{"SELECT happened, kind, what, detail FROM timeline WHERE recipient = 'casella1@pec.beta.example' ORDER BY happened",
		"2026-03-02T08:01:00.000000Z|try||\n" +
			"2026-03-02T08:02:00.000000Z|outcome|submitted|Ok: queued\n" +
			"2026-03-02T08:03:00.000000Z|notice|delivery|consegnato"},
	{"SELECT DISTINCT raw FROM timeline WHERE kind = 'notice'",
		"0700000000000000000000000000000000000000000000000000000000000000"},
	{"SELECT name, phase, creator, total FROM batches", "convocazione|approved|anna|2"},
	{"SELECT substr(CAST(own AS TEXT), 1, 7) FROM sends WHERE row_no = 1", "Gentile"},
}

func TestSQLiteTool(t *testing.T) {
	tool, err := exec.LookPath("sqlite3")
	if err != nil {
		if os.Getenv("GOPEC_REQUIRE_TOOLS") == "1" {
			t.Fatal("the sqlite3 tool is missing")
		}
		t.Skip("SKIPPED: the sqlite3 tool is missing")
	}
	file := filepath.Join(t.TempDir(), "sends.db")
	s := openSQLite(t, file)
	story(t, s) // which stays open: one may look while it works
	for _, look := range looks {
		out, err := exec.Command(tool, file, look.query).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != look.want {
			t.Errorf("sqlite3 sends.db %q: got error %v,\n%s\nwant\n%s", look.query, err, got, look.want)
		}
	}
	out, err := exec.Command(tool, file, ".schema accounts").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("-- the sender's address in lower case")) {
		t.Errorf("sqlite3 sends.db .schema: got error %v, and no comments in\n%s", err, out)
	}
}

func TestPostgreSQLViews(t *testing.T) {
	s := openPostgres(t, t.TempDir())
	story(t, s)
	for _, view := range []string{"batch_states", "send_states", "timeline"} {
		var rows int
		if err := s.db.QueryRow("SELECT count(*) FROM " + view).Scan(&rows); err != nil || rows < 2 {
			t.Errorf("SELECT count(*) FROM %s: got %d, error %v; want at least 2", view, rows, err)
		}
	}
	var what, detail string
	err := s.db.QueryRow("SELECT what, detail FROM timeline WHERE kind = 'notice' LIMIT 1").Scan(&what, &detail)
	if err != nil || what != "delivery" || detail != "consegnato" {
		t.Errorf("the delivery in the timeline: got %q, %q, error %v", what, detail, err)
	}
}

// A shared attachment is in the database once.
func TestBlobsAreKeptOnce(t *testing.T) {
	s := openSQLite(t, filepath.Join(t.TempDir(), "sends.db"))
	content := bytes.Repeat([]byte("allegato"), 100_000)
	for range 3 {
		if _, _, err := s.PutBlob(context.Background(), bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	var size int
	if err := s.db.QueryRow("SELECT sum(length(bytes)) FROM blob_chunks").Scan(&size); err != nil || size != len(content) {
		t.Errorf("the same %d bytes put three times: got %d bytes in the database, error %v", len(content), size, err)
	}
}

// A blob that was damaged in the database is an error, not a shorter blob.
func TestBlobDamaged(t *testing.T) {
	ctx, s := context.Background(), openSQLite(t, filepath.Join(t.TempDir(), "sends.db"))
	for _, damage := range []string{"DELETE FROM blob_chunks WHERE number = 1", "UPDATE blob_chunks SET bytes = x'00' WHERE number = 1"} {
		content := []byte(strings.Repeat(damage, 10_000))
		digest, size, err := s.PutBlob(ctx, bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.db.Exec(damage); err != nil {
			t.Fatal(err)
		}
		b, err := s.OpenBlob(ctx, digest)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if n, err := b.ReadAt(make([]byte, size), 0); err == nil {
			t.Errorf("ReadAt, after %s: got %d bytes and no error", damage, n)
		}
	}
}

// What was read lately is not read from the database again, and does not stay in memory
// for ever.
func TestRecentChunks(t *testing.T) {
	ctx, s := context.Background(), openSQLite(t, filepath.Join(t.TempDir(), "sends.db"))
	read := func(d dispatch.Digest) (string, error) {
		b, err := s.OpenBlob(ctx, d)
		if err != nil {
			return "", err
		}
		defer b.Close()
		content, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		return string(content), err
	}
	var digests []dispatch.Digest
	for i := range sqlstore.RecentChunks + 1 {
		d, _, err := s.PutBlob(ctx, strings.NewReader(fmt.Sprint("allegato ", i)))
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, d)
	}
	if _, err := read(digests[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Exec("DELETE FROM blob_chunks WHERE digest = $1", digests[0].String()); err != nil {
		t.Fatal(err)
	}
	if content, err := read(digests[0]); err != nil || content != "allegato 0" {
		t.Errorf("read again: got %q, error %v", content, err)
	}
	for _, d := range digests[1:] {
		if _, err := read(d); err != nil {
			t.Fatal(err)
		}
	}
	if content, err := read(digests[0]); err == nil {
		t.Errorf("read after %d others: got %q, want an error", sqlstore.RecentChunks, content)
	}
}

// Who puts a blob and reads it back reads what the database has, and not what somebody
// read before it was put: a receipt is removed from the mailbox then.
func TestPutBlobIsReadBack(t *testing.T) {
	ctx, s := context.Background(), openSQLite(t, filepath.Join(t.TempDir(), "sends.db"))
	put := func() dispatch.Digest {
		d, _, err := s.PutBlob(ctx, strings.NewReader("ricevuta"))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	read := func(d dispatch.Digest) string {
		b, err := s.OpenBlob(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		content, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	read(put())
	if _, err := s.db.Exec("UPDATE blob_chunks SET bytes = CAST('riCevuta' AS BLOB)"); err != nil {
		t.Fatal(err)
	}
	if got := read(put()); got != "riCevuta" {
		t.Errorf("read after it was put again: got %q, want what the database has", got)
	}
}
