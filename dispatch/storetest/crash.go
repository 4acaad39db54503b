package storetest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// crashDir, in the environment, makes a test binary the process that is killed.
const crashDir = "GOPEC_STORETEST_CRASH_DIR"

// reported begins each line in which that process says what it committed.
const reported = "storetest committed: "

// RunCrash checks that what a store committed survives the death of its process,
// and that nothing is there in part. It starts the test binary anew, with this
// test alone, has it write to the store as fast as it can and say what it
// committed, kills it at a random moment, and looks; many times over.
//
// It opens the store that keeps its data in the given directory, which is empty at
// first; another kind of store makes a name of it. RunCrash is best the only thing
// that its test does: all before it is done in the new process too.
func RunCrash(t *testing.T, open func(t *testing.T, dir string) dispatch.Store) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeUntilKilled(open(t, dir))
	}
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	c := &crash{subject: subject{t: t, open: open, name: t.TempDir()}}
	for range rounds {
		c.run()
		c.Store = open(t, c.name)
		c.check()
		c.close()
		if t.Failed() {
			return
		}
	}
	t.Logf("killed %d times; committed and kept: %d and %d transactions", rounds, c.kept[0], c.kept[1])
}

// crashAccounts are written to at the same time.
var crashAccounts = [2]string{"uno@pec.alfa.example", "due@pec.alfa.example"}

// crash follows a store through its crashes.
type crash struct {
	subject
	committed [2]int64 // :: account → number of the last transaction reported
	kept      [2]int64 // :: account → number of the last transaction found and checked
}

// run starts the writing process, and kills it after some transactions.
func (c *crash) run() {
	c.t.Helper()
	cmd, stdin, stdout := c.start()
	defer stdin.Close()
	patience := 1 + rand.IntN(40)
	lines := bufio.NewScanner(stdout)
	var last string
	for lines.Scan() {
		if last = lines.Text(); !c.note(last) {
			continue
		}
		if patience--; patience == 0 {
			// Somewhere in one of the transactions that follow.
			time.AfterFunc(rand.N(5*time.Millisecond), func() { cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); patience > 0 {
		c.t.Fatalf("the writing process ended by itself: %v; its last line: %s", err, last)
	}
}

// start starts the writing process. It ends when stdin is closed, whatever
// becomes of this one.
func (c *crash) start() (*exec.Cmd, io.WriteCloser, io.Reader) {
	c.t.Helper()
	executable, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	var pattern []string
	for part := range strings.SplitSeq(c.t.Name(), "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	cmd := exec.Command(executable, "-test.run="+strings.Join(pattern, "/"), "-test.count=1")
	cmd.Env = append(os.Environ(), crashDir+"="+c.name)
	cmd.Stderr = os.Stderr
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	return cmd, stdin, stdout
}

// note reads a line of the writing process, and says whether it reports a
// transaction.
func (c *crash) note(line string) bool {
	report, ok := strings.CutPrefix(line, reported)
	if !ok {
		return false
	}
	var account int
	var n int64
	// The last line may have been cut off.
	if _, err := fmt.Sscanf(report, "%d %d.", &account, &n); err != nil || !strings.HasSuffix(report, ".") {
		return false
	}
	c.committed[account] = n
	return true
}

// check looks at everything that was written since it looked last.
func (c *crash) check() {
	c.t.Helper()
	for i, account := range crashAccounts {
		err := c.View(context.Background(), account, func(tx dispatch.Tx) error {
			last, err := lastWritten(tx)
			if err != nil {
				return err
			}
			if last < c.committed[i] {
				return fmt.Errorf("transaction %d was committed, and the last one kept is %d", c.committed[i], last)
			}
			for n := c.kept[i] + 1; n <= last; n++ {
				if err := inOrder(hasWritten(i, n))(tx); err != nil {
					return fmt.Errorf("of transaction %d: %w", n, err)
				}
			}
			c.kept[i] = last
			return inOrder(wroteLast(last))(tx)
		})
		if err != nil {
			c.t.Errorf("after a crash, account %d: %v", i, err)
		}
		c.checkBlobs(i)
	}
}

// checkBlobs checks the blobs of the last few transactions, and one that may be
// there without its transaction.
func (c *crash) checkBlobs(account int) {
	c.t.Helper()
	last := c.kept[account]
	for n := max(last-5, 1); n <= last; n++ {
		c.hasBlob(crashBlob(account, n))
	}
	next := crashBlob(account, last+1)
	b, err := c.OpenBlob(context.Background(), sha256.Sum256(next))
	if err == nil {
		b.Close()
		c.hasBlob(next)
	} else if !errors.Is(err, dispatch.ErrNotFound) {
		c.t.Errorf("OpenBlob: %v", err)
	}
}

// writeUntilKilled is the process that is killed.
func writeUntilKilled(s dispatch.Store) {
	for account := range crashAccounts {
		go func() {
			for {
				n, err := writeNext(s, account)
				if err != nil {
					fmt.Printf("\nwriting: %v\n", err)
					os.Exit(1)
				}
				fmt.Printf("%s%d %d.\n", reported, account, n)
			}
		}()
	}
	io.Copy(io.Discard, os.Stdin) // until nobody wants it any more
	os.Exit(1)
}

// writeNext writes one transaction, and the blob that it mentions before it.
func writeNext(s dispatch.Store, account int) (n int64, err error) {
	ctx, name := context.Background(), crashAccounts[account]
	err = s.View(ctx, name, func(tx dispatch.Tx) error {
		n, err = lastWritten(tx)
		return err
	})
	if err != nil {
		return 0, err
	}
	n++
	if _, _, err := s.PutBlob(ctx, bytes.NewReader(crashBlob(account, n))); err != nil {
		return 0, err
	}
	behind := false
	err = again(func() error {
		return s.Update(ctx, name, func(tx dispatch.Tx) error {
			// A database server may have finished what the process before was killed
			// over, a moment ago.
			last, err := lastWritten(tx)
			if behind = last != n-1; err != nil || behind {
				return err
			}
			return inOrder(writing(account, n))(tx)
		})
	})
	if err == nil && behind {
		return writeNext(s, account)
	}
	return n, err
}

// lastWritten returns the number of the last transaction, by the account's record.
func lastWritten(tx dispatch.Tx) (int64, error) {
	a, err := tx.Account()
	if errors.Is(err, dispatch.ErrNotFound) {
		return 0, nil
	}
	return a.AuditSeq, err
}

// crashBlob is the blob of a transaction: now and then a larger one.
func crashBlob(account int, n int64) []byte {
	size := 200
	if n%7 == 0 {
		size = 600_000
	}
	return append(sampleBytes(size), fmt.Sprint(account, n)...)
}

func crashMail(account int, n int64) dispatch.Mail {
	m := sampleMail(dispatch.MailID{Folder: "INBOX", UIDValidity: 1, UID: uint32(n)}, dispatch.MailMatched)
	m.Raw = sha256.Sum256(crashBlob(account, n))
	return m
}

// writing is transaction n, which has a record of each sort.
func writing(account int, n int64) []step {
	return []step{
		putAccount(dispatch.Account{Name: crashAccounts[account], AuditSeq: n}),
		putBatch(dispatch.Batch{Name: "b", Total: n}),
		addSend(sampleSend("b", n), due(minutes(int(n)))),
		addFact(id(n), sampleTry("try/1/1", minutes(int(n))), true),
		putMessageID(fmt.Sprint(n), id(n), 1),
		putMail(crashMail(account, n)),
		addAudit(sampleEntry(n)),
	}
}

// hasWritten wants what is to be found later of transaction n.
func hasWritten(account int, n int64) []step {
	return []step{
		hasSend(sampleSend("b", n)), hasProgress(id(n), due(minutes(int(n)))),
		hasFacts(id(n), sampleTry("try/1/1", minutes(int(n)))),
		hasMessageID(fmt.Sprint(n), id(n), 1),
		hasMail(crashMail(account, n)),
		hasAudit(n-1, 1, sampleEntry(n)),
	}
}

// wroteLast wants transaction n to be the last one, and nothing of another.
func wroteLast(n int64) []step {
	steps := []step{
		hasSends("b", n, 10), hasNoMessageID(fmt.Sprint(n + 1)), hasAudit(n, 10), hasNoLastTry(int(n + 1)),
		hasMails(dispatch.MailMatched, dispatch.MailID{Folder: "INBOX", UIDValidity: 1, UID: uint32(n)}, 10),
	}
	if n > 0 {
		steps = append(steps, hasBatch(dispatch.Batch{Name: "b", Total: n}), hasLastTry(int(n), minutes(1)))
	}
	return steps
}
