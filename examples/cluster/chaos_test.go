//go:build unix

package main

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/internal/realserver"
	"github.com/ceralacca/go-pec/pec/pectest"
)

// chaosSize is how much goes on, and for how long.
type chaosSize struct {
	workers, accounts int
	portions, sends   int           // how often messages are loaded, and how many each time
	wall              time.Duration // how long things go wrong
	lease             time.Duration
	pause             time.Duration // at most, until the next thing goes wrong
	restarts          int           // of PostgreSQL
}

var (
	shortChaos = chaosSize{workers: 4, accounts: 20, portions: 3, sends: 200, wall: 30 * time.Second,
		lease: 3 * time.Second, pause: time.Second, restarts: 2}
	longChaos = chaosSize{workers: 8, accounts: 200, portions: 20, sends: 1000, wall: 10 * time.Minute,
		lease: 10 * time.Second, pause: 4 * time.Second, restarts: 6}
)

// chaosScenario is what goes wrong in the network: connections are cut before the
// provider has a message, while it gets it, and when it has it and the sender waits
// for the reply; some messages vanish there; mailboxes fail while receipts are read.
const chaosScenario = `{
	"seed": %d,
	"profile": {"connections": 2},
	"rules": [
		{"fault": "smtp-cut", "stage": "mail", "probability": 0.005},
		{"fault": "smtp-cut", "stage": "data", "bytes": 400, "probability": 0.01},
		{"fault": "smtp-cut", "stage": "accepted", "probability": 0.02},
		{"fault": "smtp-cut", "stage": "dropped", "probability": 0.005},
		{"fault": "receipt-doubled", "probability": 0.01},
		{"fault": "imap-cut", "stage": "select", "probability": 0.02},
		{"fault": "imap-cut", "stage": "literal", "bytes": 3000, "probability": 0.002}
	]
}`

// TestChaos has workers killed and stopped, PostgreSQL restarted and connections
// cut, at random, while messages are prepared, sent and answered. At the end each
// has its answer: what the network accepted is delivered, and known to be; of the
// rest the intent was stored and nothing left, or nobody can know. None left twice.
//
// GOPEC_LONG=1 makes it long: more than ten minutes in place of about one.
//
//	GOPEC_LONG=1 go test -count=1 -run TestChaos -timeout 1h -v .
func TestChaos(t *testing.T) {
	program(t, "cluster") // or skip
	size := shortChaos
	if os.Getenv("GOPEC_LONG") != "" {
		size = longChaos
	} else {
		t.Log("the short form; GOPEC_LONG=1 runs the long one")
	}
	server, err := realserver.StartPostgreSQL("max_connections=300")
	realserver.Need(t, err)
	t.Cleanup(func() { server.Close() })
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &chaos{
		cluster:   startCluster(t, server.DSN(), size.accounts, fmt.Sprintf(chaosScenario, seed>>1)),
		chaosSize: size,
		random:    rand.New(rand.NewPCG(seed, 0)),
		server:    server,
		workers:   make([]*chaosWorker, size.workers),
	}
	started := time.Now()
	c.rage(t)
	c.calm(t)
	found := c.checkAnswers(t, size.portions*size.sends)
	t.Logf("%d workers, %d accounts, %d sends, %v: %d workers killed, %d stopped, %d leases found lost, PostgreSQL restarted %d times, its connections cut %d times",
		size.workers, size.accounts, size.portions*size.sends, time.Since(started).Round(time.Second), c.kills, c.stops, c.lost(t), c.restarted, c.cuts)
	t.Logf("%d delivered, %d unknown, of which the network dropped %d; %d entries of audit trails", found.delivered, found.unknown, found.dropped, found.entries)
	if c.kills == 0 || c.stops == 0 || c.restarted == 0 || c.cuts == 0 || found.delivered == 0 {
		t.Error("not everything happened that was to happen")
	}
}

// chaos is a cluster in which things go wrong.
type chaos struct {
	*cluster
	chaosSize
	random  *rand.Rand
	server  *realserver.PostgreSQL
	workers []*chaosWorker // nil where one was killed

	loading *process // nil if nothing is being loaded
	loaded  int      // portions that are done

	strikes, names, kills, stops, restarted, cuts int
}

// chaosWorker is a worker that may be stopped.
type chaosWorker struct {
	*process
	name    string
	stopped bool
	until   time.Time
}

// rage lets things go wrong for as long as is asked for.
func (c *chaos) rage(t *testing.T) {
	start := time.Now()
	for time.Since(start) < c.wall {
		passed := float64(time.Since(start)) / float64(c.wall)
		c.load(t, passed)
		c.revive(t)
		if passed > float64(c.restarted+1)/float64(c.restarts+1) {
			how := []realserver.Shutdown{realserver.Fast, realserver.Crash}[c.restarted%2]
			if err := c.server.Restart(how); err != nil {
				t.Fatal(err)
			}
			c.restarted++
		}
		c.strike(t)
		time.Sleep(time.Duration(c.random.Int64N(int64(c.pause))))
	}
}

// strike lets one thing go wrong.
func (c *chaos) strike(t *testing.T) {
	slot := c.random.IntN(len(c.workers))
	w := c.workers[slot]
	dice := c.random.IntN(20)
	if c.strikes < 3 {
		dice = []int{0, 2, 19}[c.strikes] // each of them happens at least once
	}
	c.strikes++
	switch {
	case dice == 0:
		c.cut(t)
	case dice == 1 && c.loading != nil:
		c.loading.kill()
	case w == nil:
	case dice < 10:
		w.kill()
		c.workers[slot] = nil
		c.kills++
	case !w.stopped:
		if w.Process.Signal(syscall.SIGSTOP) == nil {
			w.stopped, w.until = true, time.Now().Add(time.Duration(c.random.Int64N(int64(3*c.lease))))
			c.stops++
		}
	}
}

// cut ends all connections to the database.
func (c *chaos) cut(t *testing.T) {
	t.Helper()
	db, err := sql.Open("pgx", c.dsn)
	if err == nil {
		_, err = db.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", applicationName)
		db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	c.cuts++
}

// revive starts workers in the place of those that were killed, some of them under
// the old name, and wakes those that were stopped for long enough.
func (c *chaos) revive(t *testing.T) {
	for slot, w := range c.workers {
		switch {
		case w == nil:
			name := fmt.Sprintf("worker-%d", slot)
			if c.random.IntN(2) == 0 {
				c.names++
				name += fmt.Sprintf("-%d", c.names)
			}
			c.workers[slot] = &chaosWorker{process: c.worker(t, name, c.lease), name: name}
		case w.stopped && time.Now().After(w.until):
			w.Process.Signal(syscall.SIGCONT)
			w.stopped = false
		default:
			select {
			case <-w.ended: // it could not reach the database when it started
				c.workers[slot] = nil
			default:
			}
		}
	}
}

// load has one portion of messages after another prepared, as the time passes. One
// that was interrupted is done again.
func (c *chaos) load(t *testing.T, passed float64) {
	t.Helper()
	if c.loading != nil {
		select {
		case <-c.loading.ended:
		default:
			return
		}
		if c.loading.ProcessState.Success() {
			c.loaded++
		}
		c.loading = nil
	}
	if c.loaded < c.portions && passed >= float64(c.loaded)/float64(c.portions) {
		c.loading = start(t, filepath.Join(c.dir, "load.log"), "cluster", "load", "-dsn", c.dsn, "-network", c.net(),
			"-sends", strconv.Itoa(c.sends), "-batch", fmt.Sprintf("portion-%d", c.loaded+1))
	}
}

// calm lets everything come to its end.
func (c *chaos) calm(t *testing.T) {
	t.Helper()
	for _, w := range c.workers {
		if w != nil {
			w.until = time.Time{}
		}
	}
	eventually(t, "all to be loaded", func() bool {
		c.revive(t)
		c.load(t, 1)
		return c.loaded == c.portions && c.loading == nil
	})
	s, _ := c.open(t)
	var last string
	for deadline := time.Now().Add(c.wall + 5*time.Minute); ; time.Sleep(time.Second) {
		c.revive(t)
		totals, err := count(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		accepted := int64(c.events(t, pectest.EventAccepted))
		sends := int64(c.portions * c.sends)
		if totals.states[dispatch.Delivered] == accepted && totals.states[dispatch.Unknown] == sends-accepted {
			return
		}
		if now := fmt.Sprintf("%d accepted by the network; %v", accepted, totals.states); now != last {
			t.Log(now)
			last = now
		}
		if time.Now().After(deadline) {
			t.Fatal("not every send has its answer by now")
		}
	}
}

// lost counts how often workers found that others had taken their accounts over.
func (c *chaos) lost(t *testing.T) (n int) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(c.dir, "worker-*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range logs {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n += strings.Count(string(b), "lease lost")
	}
	return n
}
