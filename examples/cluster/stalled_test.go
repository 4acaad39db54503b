//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec/pectest"
)

// stalls are the points at which a worker stops, in the middle of its first message,
// and wakes up when another has its account.
var stalls = []struct {
	name string
	// intended is how many intents the database has when the worker has woken up and
	// given up, and the least and the most messages that the network has.
	intended, least, most int
	// submit is a Submit that stops.
	submit func(s dispatch.SubmitSession, ctx context.Context, m dispatch.Submission, commit func() error) dispatch.Result
}{
	{"before the intent", 0, 0, 0, func(s dispatch.SubmitSession, ctx context.Context, m dispatch.Submission, commit func() error) dispatch.Result {
		return s.Submit(ctx, m, func() error {
			stopSelf()
			return commit()
		})
	}},
	// The intent counts as if the message had left: nobody sends it again. It may
	// leave, unless the worker finds first that it has lost the account.
	{"before the dot", 1, 0, 1, func(s dispatch.SubmitSession, ctx context.Context, m dispatch.Submission, commit func() error) dispatch.Result {
		return s.Submit(ctx, m, func() error {
			err := commit()
			stopSelf()
			return err
		})
	}},
	{"before the outcome", 1, 1, 1, func(s dispatch.SubmitSession, ctx context.Context, m dispatch.Submission, commit func() error) dispatch.Result {
		result := s.Submit(ctx, m, commit)
		stopSelf()
		return result
	}},
}

func stopSelf() { syscall.Kill(os.Getpid(), syscall.SIGSTOP) }

// stalledRole, in the environment, makes this test program a worker that stalls: it
// names the point, the database and the network.
const stalledRole = "GOPEC_CLUSTER_STALLED"

// stalledWorker works until it is killed.
func stalledWorker(role string) error {
	parts := strings.SplitN(role, "|", 3)
	s, err := openStore(context.Background(), parts[1], "")
	if err != nil {
		return err
	}
	n, err := joinNetwork(parts[2])
	if err != nil {
		return err
	}
	for i := range n.accounts {
		n.accounts[i].Submitter = &stalling{Submitter: n.accounts[i].Submitter, point: parts[0]}
	}
	d, err := dispatch.New(dispatch.Config{Store: s, Accounts: n.accounts, Verify: n.verify, Worker: "stalled", Lease: stalledLease,
		Logger: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	if err != nil {
		return err
	}
	return d.Run(context.Background())
}

const stalledLease = 2 * time.Second

// stalling stops this process during the first message, and says so when a session
// is closed.
type stalling struct {
	dispatch.Submitter
	point string
	once  sync.Once
}

func (s *stalling) Open(ctx context.Context) (dispatch.SubmitSession, error) {
	session, err := s.Submitter.Open(ctx)
	return &stallingSession{session, s}, err
}

type stallingSession struct {
	dispatch.SubmitSession
	*stalling
}

func (s *stallingSession) Submit(ctx context.Context, m dispatch.Submission, commit func() error) (result dispatch.Result) {
	submit := s.SubmitSession.Submit
	s.once.Do(func() {
		for _, stall := range stalls {
			if stall.name == s.point {
				submit = func(ctx context.Context, m dispatch.Submission, commit func() error) dispatch.Result {
					return stall.submit(s.SubmitSession, ctx, m, commit)
				}
			}
		}
	})
	return submit(ctx, m, commit)
}

func (s *stallingSession) Close() error {
	err := s.SubmitSession.Close()
	fmt.Println(sessionClosed)
	return err
}

const sessionClosed = "session closed"

// TestStalled stops a worker and wakes it up when another one has its account: what
// it still does is refused, by the database and before the final dot.
func TestStalled(t *testing.T) {
	const sends = 5
	for _, stall := range stalls {
		t.Run(stall.name, func(t *testing.T) {
			c := startCluster(t, schema(t, t.Name()), 1, `{"profile": {"connections": 1}}`)
			c.load(t, sends)
			worker, says := startStalled(t, c, stall.name)
			waitStopped(t, worker)
			release := c.takeOver(t)
			if err := worker.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			waitFor(t, says, sessionClosed, "lease lost") // it has tried what it could
			n := c.events(t, pectest.EventSubmitted)
			if n < stall.least || n > stall.most {
				t.Errorf("%d messages were submitted, want %d to %d", n, stall.least, stall.most)
			}
			c.wantFacts(t, stall.intended)
			release()
			c.worker(t, "anna", stalledLease)
			delivered := sends - stall.intended + n
			eventually(t, "the rest", func() bool {
				return strings.Contains(c.run(t, "status"), fmt.Sprintf("%8d messages delivered\n", delivered))
			})
			if found := c.checkAnswers(t, sends); found.delivered != delivered {
				t.Errorf("%d delivered, want %d", found.delivered, delivered)
			}
		})
	}
}

// startStalled starts a worker that stalls, and returns what it says.
func startStalled(t *testing.T, c *cluster, point string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	worker := exec.Command(program)
	worker.Env = append(os.Environ(), stalledRole+"="+strings.Join([]string{point, c.dsn, c.net()}, "|"))
	worker.Stderr = os.Stderr
	out, err := worker.StdoutPipe()
	if err == nil {
		err = worker.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		worker.Process.Kill()
		io.Copy(io.Discard, out)
		worker.Wait()
	})
	return worker, bufio.NewScanner(out)
}

// waitStopped waits until a process has stopped.
func waitStopped(t *testing.T, worker *exec.Cmd) {
	t.Helper()
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(worker.Process.Pid, &status, syscall.WUNTRACED, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || !status.Stopped() {
			t.Fatalf("waiting for a worker to stop: %v, status %#x", err, status)
		}
		return
	}
}

// waitFor waits until a worker has said all of these, in any order.
func waitFor(t *testing.T, says *bufio.Scanner, words ...string) {
	t.Helper()
	for len(words) > 0 {
		if !says.Scan() {
			t.Fatalf("the worker ended without saying %q", words)
		}
		words = slices.DeleteFunc(words, func(w string) bool { return strings.Contains(says.Text(), w) })
	}
}

// takeOver has another worker take the accounts, as soon as it may. It sends nothing,
// so that there is something left for the first one to try, and keeps the accounts
// until release is called.
func (c *cluster) takeOver(t *testing.T) (release func()) {
	t.Helper()
	s, err := openStore(t.Context(), c.dsn, "")
	if err != nil {
		t.Fatal(err)
	}
	n, err := joinNetwork(c.net())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n.accounts {
		n.accounts[i].Submitter, n.accounts[i].Mailbox = nil, nil
	}
	taken := make(chan struct{}, len(n.accounts))
	d, err := dispatch.New(dispatch.Config{
		Store: s, Accounts: n.accounts, Worker: "second", Lease: 9 * time.Second, // on a slow machine too, nobody takes them from it
		Observe: func(e dispatch.Event) {
			if e.Kind == dispatch.EventLease {
				taken <- struct{}{}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	for range n.accounts {
		<-taken
	}
	release = sync.OnceFunc(func() {
		stop()
		running.Wait()
		s.Close()
	})
	t.Cleanup(release)
	return release
}

// wantFacts fails unless the database knows of this many intents, and of no outcome.
func (c *cluster) wantFacts(t *testing.T, intents int) {
	t.Helper()
	_, d := c.open(t)
	found := make(map[dispatch.FactKind]int)
	for status := range c.statuses(t, d) {
		for _, f := range status.Facts {
			found[f.Kind]++
		}
	}
	if found[dispatch.FactTry] != intents || found[dispatch.FactOutcome] != 0 {
		t.Errorf("the database has facts %v, want %d intents and no outcome", found, intents)
	}
}
