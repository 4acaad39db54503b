package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// disk is a small file system.
type disk struct{ dir string }

func smallDisk(t *testing.T, size string) disk {
	t.Helper()
	d := disk{t.TempDir()}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("NOT TESTED: a full disk. A small one can't be mounted, which root can: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, 0); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return d
}

func (d disk) filler() string { return filepath.Join(d.dir, "filler") }

// fill leaves not a byte.
func (d disk) fill(t *testing.T) {
	t.Helper()
	file, err := os.Create(d.filler())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for size := 1 << 16; size > 0; {
		if _, err := file.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func (d disk) free(t *testing.T) {
	t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		t.Fatal(err)
	}
}

// TestDiskFull fills the disk of the store while messages are being sent. It waits
// for space, says so, and goes on when there is some.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	notUnderRace(t)
	program(t, "mailing")
	rows := shortOrLong(t, 300, 500) // so many that what SQLite has in reserve is not enough
	for _, killed := range []bool{true, false} {
		if !killed && !isLong() {
			continue
		}
		t.Run("killed="+strconv.FormatBool(killed), func(t *testing.T) {
			t.Parallel()
			d := smallDisk(t, "64m")
			n := startNetwork(t, `{"profile": {"perMinute": 6000}}`)
			m := n.mailer(t, "-generate", strconv.Itoa(rows), "-wait", "3s")
			m.store = filepath.Join(d.dir, "store.db")
			p := m.start(t)
			eventually(t, "messages", func() bool { return n.accepted(t) > rows/10 })
			d.fill(t)
			p.waitFor(t, "full")
			if killed {
				p.Process.Kill()
				<-p.ended
				p = m.start(t) // whatever it makes of it
				p.endWithin(time.Second)
			}
			d.free(t)
			p.wait(t)
			o := m.finish(t, rows)
			unknown := checkOnce(t, n, m)
			if o.totals["unknown"] != int64(unknown) || unknown > 2*connections {
				t.Errorf("%d unknown, %d reported; want at most one for each connection and failure", unknown, o.totals["unknown"])
			}
		})
	}
}

// TestDiskFullBefore has no space from the beginning: nothing is sent, the error
// says why, and with more space the same command goes on.
func TestDiskFullBefore(t *testing.T) {
	t.Parallel()
	notUnderRace(t)
	program(t, "mailing")
	const rows = 200 // some 600 kB in the store
	d := smallDisk(t, "16m")
	n := startNetwork(t, "")
	m := n.mailer(t, "-generate", strconv.Itoa(rows))
	for _, left := range []int64{0, 250 << 10} {
		m.store = filepath.Join(d.dir, fmt.Sprintf("%d.db", left))
		d.fill(t)
		if err := os.Truncate(d.filler(), d.size(t)-left); err != nil {
			t.Fatal(err)
		}
		if o := m.run(t); o.code != exitFailed || !strings.Contains(o.err, "full") && !strings.Contains(o.err, "no space") {
			t.Errorf("with %d bytes left: exit status %d, want %d and a word on the disk\n%s\n%s", left, o.code, exitFailed, o.out, o.err)
		}
		d.free(t)
	}
	if len(n.submissions(t)) > 0 {
		t.Error("messages left")
	}
	m.run(t).want(t, exitDone, map[dispatch.State]int64{dispatch.Delivered: rows})
	checkOnce(t, n, m)
}

// TestDiskStaysFull gives up in the end, and says why: a script must not wait for
// ever.
func TestDiskStaysFull(t *testing.T) {
	t.Parallel()
	onlyLong(t, "that the program ends if the disk stays full")
	const rows = 200
	d := smallDisk(t, "64m")
	n := startNetwork(t, `{"profile": {"perMinute": 600}}`)
	m := n.mailer(t, "-generate", strconv.Itoa(rows), "-wait", "3s")
	m.store = filepath.Join(d.dir, "store.db")
	p := m.start(t)
	eventually(t, "messages", func() bool { return n.accepted(t) > rows/10 })
	d.fill(t)
	if o := p.wait(t); o.code != exitFailed || !strings.Contains(o.err, "nothing can be written to the store") {
		t.Errorf("exit status %d, want %d and why\n%s\n%s", o.code, exitFailed, o.out, o.err)
	}
	d.free(t)
	m.finish(t, rows)
	checkOnce(t, n, m)
}

// size is that of the filler.
func (d disk) size(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(d.filler())
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestDiskFullAtReport has no space for the report. It can be written again.
func TestDiskFullAtReport(t *testing.T) {
	t.Parallel()
	notUnderRace(t)
	program(t, "mailing")
	const rows = 40
	d := smallDisk(t, "128k")
	n := startNetwork(t, "")
	m := n.mailer(t, "-generate", strconv.Itoa(rows))
	o := m.run(t, "-report", d.dir)
	if o.code != exitFailed || !strings.Contains(o.err, "writing the report") || !strings.Contains(o.err, "no space") {
		t.Errorf("exit status %d, want %d and a word on the disk\n%s\n%s", o.code, exitFailed, o.out, o.err)
	}
	m.run(t).want(t, exitDone, map[dispatch.State]int64{dispatch.Delivered: rows})
	checkOnce(t, n, m)
}
