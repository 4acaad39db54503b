//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The tests of this package run the program as people do: as processes, with
// examples/network as another one and a real PostgreSQL.

var programs struct {
	once sync.Once
	dir  string
	err  error
}

// program returns the path of a program of this repository, built once.
func program(t testing.TB, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("NOT TESTED: -short starts no processes")
	}
	programs.once.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "cluster-test-"); programs.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", programs.dir+string(filepath.Separator), ".", "github.com/ceralacca/go-pec/examples/network").CombinedOutput()
		if err != nil {
			programs.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return filepath.Join(programs.dir, name)
}

// process is a program that runs.
type process struct {
	*exec.Cmd
	log   string        // file with what it says
	ended chan struct{} // closed when it has
}

func start(t testing.TB, log, name string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(program(t, name), args...), log: log, ended: make(chan struct{})}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.Stdout, p.Stderr = out, out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends it as a machine does that loses power.
func (p *process) kill() {
	p.Process.Kill()
	<-p.ended
}

// says returns what it has said.
func (p *process) says(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eventually waits for something that another process does.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited two minutes for %s", what)
		}
	}
}

// cluster is a network, a database, and the workers between them.
type cluster struct {
	dir     string
	network *process
	dsn     string
}

// startCluster starts a network with a number of accounts, in which goes wrong what
// the scenario (JSON) says.
func startCluster(t testing.TB, dsn string, accounts int, scenario string) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir(), dsn: dsn}
	file := filepath.Join(c.dir, "scenario.json")
	if err := os.WriteFile(file, []byte(scenario), 0o600); err != nil {
		t.Fatal(err)
	}
	c.network = start(t, filepath.Join(c.dir, "network.log"), "network",
		"-dir", c.net(), "-accounts", strconv.Itoa(accounts), "-scenario", file)
	eventually(t, "the network", func() bool {
		select {
		case <-c.network.ended:
			t.Fatalf("network: %s", c.network.says(t))
		default:
		}
		_, err := os.Stat(filepath.Join(c.net(), "network.json"))
		return err == nil
	})
	return c
}

func (c *cluster) net() string { return filepath.Join(c.dir, "net") }

// run runs a command of the program to its end, and returns what it says.
func (c *cluster) run(t testing.TB, command string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program(t, "cluster"), append([]string{command, "-dsn", c.dsn}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// load has messages prepared and signed off.
func (c *cluster) load(t testing.TB, sends int) {
	t.Helper()
	c.run(t, "load", "-network", c.net(), "-sends", strconv.Itoa(sends))
}

// worker starts a worker.
func (c *cluster) worker(t testing.TB, name string, lease time.Duration) *process {
	t.Helper()
	return start(t, filepath.Join(c.dir, name+".log"), "cluster", "worker",
		"-dsn", c.dsn, "-network", c.net(), "-name", name, "-lease", lease.String())
}

// TestProgram follows the README: load, two workers, status.
func TestProgram(t *testing.T) {
	const accounts, sends = 4, 40
	c := startCluster(t, schema(t, t.Name()), accounts, `{"profile": {"connections": 2}}`)
	c.load(t, sends)
	c.load(t, sends) // again: nothing changes
	c.worker(t, "anna", 2*time.Second)
	eventually(t, "the first worker", func() bool {
		return strings.Contains(c.run(t, "status"), fmt.Sprintf("%8d accounts of anna\n", accounts))
	})
	c.worker(t, "bruno", 2*time.Second)
	eventually(t, "the second worker's share, and all deliveries", func() bool {
		s := c.run(t, "status", "-audit")
		return strings.Contains(s, fmt.Sprintf("%8d accounts of anna\n%8d accounts of bruno\n%8d messages delivered\n", accounts/2, accounts/2, sends)) &&
			strings.Contains(s, "all in order")
	})
}
