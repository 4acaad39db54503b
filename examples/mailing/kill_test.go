package main

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec/pectest"
)

// connections is how many the profile of the simulated accounts allows.
const connections = 20

// TestKilled kills the program at random moments and starts it again with the same
// flags, until all has left and been answered.
func TestKilled(t *testing.T) {
	t.Parallel()
	notUnderRace(t)
	rows, kills := shortOrLong(t, 100, 1000), shortOrLong(t, 6, 60)
	random := seeded(t)
	n := startNetwork(t, "")
	m := n.mailer(t, "-generate", strconv.Itoa(rows), "-wait", "3s")
	doubted := make(map[string]bool)
	for killed := 0; killed < kills; {
		p := m.start(t)
		if random.IntN(3) == 0 {
			// Wherever it is: starting, preparing, reading the mailbox, writing the report.
			p.endWithin(time.Duration(random.Int64N(int64(500 * time.Millisecond))))
		} else {
			// While it sends.
			left := rows - n.accepted(t)
			p.awaitAccepted(t, n, 1+random.IntN(1+2*left/(kills-killed)))
		}
		if p.kill() {
			killed++
		}
		m.noteDoubted(t, doubted)
	}
	unknown := finishAndCheck(t, n, m, rows)
	checkSettled(t, n, m, doubted)
	t.Logf("%d kills, %d rows: %d accepted, %d unknown", kills, rows, n.accepted(t), unknown)
}

// TestCollectorKilled has everything sent, and kills the program time and again
// while it reads the receipts.
func TestCollectorKilled(t *testing.T) {
	t.Parallel()
	notUnderRace(t)
	rows, kills := shortOrLong(t, 80, 500), shortOrLong(t, 4, 20)
	random := seeded(t)
	n := startNetwork(t, `{"rules": [{"fault": "imap-slow", "stage": "fetch", "delay": "20ms"}]}`)
	m := n.mailer(t, "-generate", strconv.Itoa(rows), "-wait", "3s")
	p := m.start(t)
	eventually(t, "all to be sent", func() bool { return n.accepted(t) == rows })
	p.kill()
	doubted := make(map[string]bool)
	m.noteDoubted(t, doubted)
	for killed := 0; killed < kills; {
		p := m.start(t)
		answered := len(m.statuses(t, dispatch.Delivered))
		more := 1 + random.IntN(1+(rows-answered)/(kills-killed))
		eventually(t, "receipts", func() bool {
			return p.hasEnded() || len(m.statuses(t, dispatch.Delivered)) >= min(answered+more, rows)
		})
		if !p.kill() {
			break // it was faster, and is done
		}
		killed++
	}
	if unknown := finishAndCheck(t, n, m, rows); unknown > 0 {
		t.Errorf("%d unknown; all were accepted", unknown)
	}
	checkSettled(t, n, m, doubted)
}

// TestClockJumps sets the program's clock forward and back between kills, by days,
// against that of the network. When it is right again, all that was accepted has
// its receipt.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	notUnderRace(t)
	rows, jumps := shortOrLong(t, 60, 500), shortOrLong(t, 3, 12)
	random := seeded(t)
	n := startNetwork(t, "")
	right, err := os.ReadFile(n.file("network.json"))
	if err != nil {
		t.Fatal(err)
	}
	m := n.mailer(t, "-generate", strconv.Itoa(rows), "-wait", "3s")
	doubted := make(map[string]bool)
	for i := range jumps + 1 {
		days := random.IntN(4)
		if i%2 == 1 {
			days = -days
		}
		if i > 0 { // the batch is made at the right time
			n.setClock(t, right, time.Duration(days)*24*time.Hour)
		}
		p := m.start(t)
		p.awaitAccepted(t, n, rows/(jumps+1))
		p.kill()
		m.noteDoubted(t, doubted)
	}
	n.setClock(t, right, 0)
	finishAndCheck(t, n, m, rows)
	checkSettled(t, n, m, doubted)
}

// setClock has programs that start from now on believe in another time than the
// network.
func (n *network) setClock(t *testing.T, right []byte, ahead time.Duration) {
	t.Helper()
	var file map[string]any
	var clock struct{ Clock pectest.Reading }
	if err := errors.Join(json.Unmarshal(right, &file), json.Unmarshal(right, &clock)); err != nil {
		t.Fatal(err)
	}
	clock.Clock.Simulated = clock.Clock.Simulated.Add(ahead)
	file["clock"] = clock.Clock
	b, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.file("network.json"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// seeded returns a source of random numbers, and tells its seed.
func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// kill ends a process with SIGKILL. It returns false if it had ended before.
func (p *process) kill() bool {
	p.Process.Kill()
	<-p.ended
	return p.ProcessState.ExitCode() < 0
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// noteDoubted notes which sends are in doubt now, after a kill: no more have come
// to be than there are connections.
func (m *mailer) noteDoubted(t *testing.T, doubted map[string]bool) {
	t.Helper()
	before := len(doubted)
	for id := range m.statuses(t, dispatch.Unknown) {
		doubted[id] = true
	}
	if more := len(doubted) - before; more > connections {
		t.Errorf("%d sends came to be in doubt by one kill, with %d connections", more, connections)
	}
}

// finishAndCheck runs the program until nothing is open but what nobody knows, and
// checks that it tells exactly that. It returns how many that are.
func finishAndCheck(t *testing.T, n *network, m *mailer, rows int) (unknown int) {
	t.Helper()
	o := m.finish(t, rows)
	unknown = checkOnce(t, n, m)
	code := exitDone
	if unknown > 0 {
		code = exitOpen
	}
	o.want(t, code, map[dispatch.State]int64{dispatch.Delivered: int64(rows - unknown), dispatch.Unknown: int64(unknown)})
	if missing := rows - n.accepted(t); missing != unknown {
		t.Errorf("%d are missing in the journal, and %d are unknown", missing, unknown)
	}
	return unknown
}

// endWithin waits for the end, but not for longer than d.
func (p *process) endWithin(d time.Duration) {
	select {
	case <-p.ended:
	case <-time.After(d):
	}
}

// awaitAccepted waits until the network has accepted some messages more, or for some
// seconds if it does not.
func (p *process) awaitAccepted(t *testing.T, n *network, messages int) {
	t.Helper()
	target := n.accepted(t) + messages
	for deadline := time.Now().Add(5 * time.Second); n.accepted(t) < target && time.Now().Before(deadline); {
		select {
		case <-p.ended:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// finish runs the program until nothing is open but what nobody knows.
func (m *mailer) finish(t *testing.T, rows int) outcome {
	t.Helper()
	return m.runUntil(t, func(o outcome) bool { return o.totals["delivered"]+o.totals["unknown"] == int64(rows) })
}

// runUntil runs the program time and again until it ends as it should: on a busy
// machine some answers come after -wait.
func (m *mailer) runUntil(t *testing.T, ok func(outcome) bool) (o outcome) {
	t.Helper()
	for range 30 {
		if o = m.run(t); ok(o) {
			return o
		}
		t.Logf("still open: %v", o.totals)
	}
	t.Errorf("still open after thirty runs:\n%s\n%s", o.out, o.err)
	return o
}
