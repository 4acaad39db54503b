//go:build unix

// Package realserver starts servers that this project did not write, for tests
// and examples: PostgreSQL, Dovecot (IMAP, LMTP) and Postfix (submission). Each
// has a folder of its own that is removed at the end, listens on ports of
// loopback that nobody else uses, and leaves what the system itself runs alone.
//
//	dovecot, err := realserver.StartDovecot(realserver.DovecotConfig{...})
//	realserver.Need(t, err)
//	defer dovecot.Close()
//
// They are those of the Debian packages postgresql, dovecot-imapd, dovecot-lmtpd
// and postfix, with libsasl2-modules if Postfix is to relay; Dovecot may be 2.3, as
// in Debian 12 and Ubuntu 24.04, or 2.4, as in Debian 13. A server that is not
// installed, or that only root may start, is an error that wraps [ErrMissing].
package realserver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrMissing is the error of a server that is not installed, or that can't run
// here.
var ErrMissing = errors.New("real server is missing")

// Need goes on only if there is no error. It skips the test, saying so, if the
// server is missing; with GOPEC_REQUIRE_TOOLS set, as in CI, that is a failure
// like any other.
func Need(t interface {
	Helper()
	Skipf(string, ...any)
	Fatalf(string, ...any)
}, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrMissing) && os.Getenv("GOPEC_REQUIRE_TOOLS") == "":
		t.Skipf("NOT TESTED: %v", err)
	default:
		t.Fatalf("%v", err)
	}
}

// find returns the path of a program, which may be outside of the search path.
// Patterns are those of [filepath.Glob]; of several matches the last one counts.
func find(program string, patterns ...string) (string, error) {
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return slices.MaxFunc(found, func(a, b string) int { return strings.Compare(pad(a), pad(b)) }), nil
		}
	}
	if path, err := exec.LookPath(program); err == nil {
		return filepath.EvalSymlinks(path)
	}
	return "", fmt.Errorf("%w: no %s on this machine", ErrMissing, program)
}

// pad makes versions in paths comparable: 9 comes before 15.
func pad(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if _, err := strconv.Atoi(p); err == nil {
			parts[i] = fmt.Sprintf("%06s", p)
		}
	}
	return strings.Join(parts, "/")
}

// account is a user of the system that a server runs as.
type account struct {
	name     string
	uid, gid int
}

// runAs returns the first user that there is, for servers that must not be root;
// or the present one, if that is not root.
func runAs(names ...string) (account, error) {
	if uid := os.Getuid(); uid != 0 {
		me, err := user.Current()
		if err != nil {
			return account{}, err
		}
		return account{me.Username, uid, os.Getgid()}, nil
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		return account{name, uid, gid}, errors.Join(err1, err2)
	}
	return account{}, fmt.Errorf("%w: no user %s to run it", ErrMissing, strings.Join(names, " or "))
}

// attributes make a process run as the account.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true} // Ctrl-C at the terminal is not for it
	if os.Getuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attr
}

func (a account) own(dirs ...string) error {
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if os.Getuid() == 0 {
			if err := os.Chown(dir, a.uid, a.gid); err != nil {
				return err
			}
		}
	}
	return nil
}

// newFolder makes a folder that every user may pass through.
func newFolder(name string) (string, error) {
	dir, err := os.MkdirTemp("", "gopec-"+name+"-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// process is a server that runs.
type process struct {
	*exec.Cmd
	ended chan struct{} // closed when it has
	guard *exec.Cmd
	held  io.Closer // as long as it is open, the guard waits
}

// start starts a server whose output goes to a file.
func start(log string, attr *syscall.SysProcAttr, program string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{Cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.SysProcAttr, p.Stdout, p.Stderr = attr, out, out
	p.Dir = "/"
	if err := p.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.Wait()
		close(p.ended)
	}()
	if err := p.watch(); err != nil {
		p.Process.Kill()
		return nil, err
	}
	return p, nil
}

// watch has a guard end the server when this process is gone, however it ended:
// then nobody holds the other end of the guard's input.
func (p *process) watch() error {
	p.guard = exec.Command("sh", "-c", "read line; kill -INT $0; sleep 5; kill -KILL $0", strconv.Itoa(p.Process.Pid))
	p.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	held, err := p.guard.StdinPipe()
	if err != nil {
		return err
	}
	p.held = held
	return p.guard.Start()
}

// stopTimeout is how long a server has to end when it is asked to.
const stopTimeout = 30 * time.Second

// stop sends a signal and waits until the server has ended.
func (p *process) stop(how os.Signal) error {
	p.guard.Process.Kill()
	p.guard.Wait()
	p.held.Close()
	p.Process.Signal(how)
	if patiently(stopTimeout, 5*time.Millisecond, p.hasEnded) {
		return nil
	}
	p.Process.Kill()
	<-p.ended
	return fmt.Errorf("%s did not stop in %v", filepath.Base(p.Path), stopTimeout)
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// startTimeout is how long a server has to begin its work.
const startTimeout = time.Minute

// ready waits until the server answers, or ends it.
func (p *process) ready(log string, answers func() bool) error {
	answered := patiently(startTimeout, 20*time.Millisecond, func() bool { return p.hasEnded() || answers() })
	if answered && !p.hasEnded() {
		return nil
	}
	err := fmt.Errorf("%s is not ready after %v: %s", filepath.Base(p.Path), startTimeout, tail(log))
	if answered {
		err = fmt.Errorf("%s ended at once: %s", filepath.Base(p.Path), tail(log))
	}
	p.stop(syscall.SIGKILL)
	return err
}

// patiently waits until something is done, and looks at it in steps. These are counted,
// not the time: it goes on where both sides were stopped for a while.
func patiently(limit, step time.Duration, done func() bool) bool {
	for range limit / step {
		if done() {
			return true
		}
		time.Sleep(step)
	}
	return done()
}

// listens reports whether somebody listens on each port.
func listens(ports ...int) bool {
	for _, port := range ports {
		c, err := net.DialTimeout("tcp", loopback(port), time.Second)
		if err != nil {
			return false
		}
		c.Close()
	}
	return true
}

// tail returns the end of a log.
func tail(log string) string {
	b, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// run runs a program to its end.
func run(attr *syscall.SysProcAttr, program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr, cmd.Dir = attr, "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(program), err, out)
	}
	return string(out), nil
}
