package main

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// connections is how many the profile of the simulated accounts allows.
const connections = 20

// TestKilled kills the program at random moments and starts it again with the same
// flags, until all has left and been answered.
func TestKilled(t *testing.T) {
	t.Parallel()
	rows, kills := shortOrLong(t, 150, 1000), shortOrLong(t, 8, 60)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	n := startNetwork(t, "")
	m := n.mailer(t, "-generate", strconv.Itoa(rows), "-wait", "3s")
	killed := 0
	for killed < kills {
		p := m.start(t)
		if random.IntN(3) == 0 {
			// Wherever it is: starting, preparing, reading the mailbox, writing the report.
			p.endWithin(time.Duration(random.Int64N(int64(500 * time.Millisecond))))
		} else {
			// While it sends.
			left := rows - n.accepted(t)
			p.killAfter(t, n, 1+random.IntN(1+2*left/(kills-killed)))
		}
		p.Process.Kill()
		<-p.ended
		if p.ProcessState.ExitCode() < 0 {
			killed++
		}
	}
	o := m.finish(t, rows)
	unknown := checkOnce(t, n, m)
	t.Logf("%d kills, %d rows: %d accepted, %d unknown", killed, rows, n.accepted(t), unknown)
	if unknown > connections*killed {
		t.Errorf("%d unknown, want at most %d: one for each connection and kill", unknown, connections*killed)
	}
	code := exitDone
	if unknown > 0 {
		code = exitOpen
	}
	o.want(t, code, map[dispatch.State]int64{dispatch.Delivered: int64(rows - unknown), dispatch.Unknown: int64(unknown)})
}

// endWithin waits for the end, but not for longer than d.
func (p *process) endWithin(d time.Duration) {
	select {
	case <-p.ended:
	case <-time.After(d):
	}
}

// killAfter waits until the network has accepted some messages more, or for a
// moment if it does not.
func (p *process) killAfter(t *testing.T, n *network, messages int) {
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
	for range 10 {
		o := m.run(t)
		if o.totals["delivered"]+o.totals["unknown"] == int64(rows) {
			return o
		}
		t.Logf("still open: %v", o.totals)
	}
	t.Fatal("still open after ten runs")
	return outcome{}
}
