//go:build unix

package realserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// daemon is a server of many processes, which can be stopped and started again:
// its folder and its ports stay the same.
type daemon struct {
	dir     string
	ports   ports
	attr    *syscall.SysProcAttr
	command []string
	process *process
}

func (d *daemon) path(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

// write writes a file that none but its owner can read.
func (d *daemon) write(name, text string, owner account) error {
	path := d.path(name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return nil
	}
	return os.Chown(path, owner.uid, owner.gid)
}

// begin makes a new server ready and starts it, or leaves nothing of it.
func (d *daemon) begin(initialize func() error) error {
	err := initialize()
	if err == nil {
		err = d.Start()
	}
	if err != nil {
		d.remove()
	}
	return err
}

// remove leaves nothing of a server that does not run.
func (d *daemon) remove() error {
	d.ports.release()
	return os.RemoveAll(d.dir)
}

// Start starts the server, at first and after [daemon.Stop] or [daemon.Kill]. It
// returns when the server answers on all its ports.
func (d *daemon) Start() error {
	var err error
	if d.process, err = start(d.path("log"), d.attr, d.command[0], d.command[1:]...); err != nil {
		return err
	}
	return d.process.ready(d.path("log"), func() bool { return listens(d.ports.numbers...) })
}

// Stop brings the server to an orderly end. Its parts that take their time, such
// as those that hold an idle connection, are not waited for.
func (d *daemon) Stop() error { return d.end(syscall.SIGTERM) }

// Kill ends all processes of the server at once, as if the machine had failed.
func (d *daemon) Kill() error {
	d.killAll()
	return d.end(syscall.SIGKILL)
}

func (d *daemon) end(how os.Signal) error {
	err := d.process.stop(how)
	d.killAll()
	return errors.Join(err, d.gone())
}

// killAll kills what is left of the server; there need not be anything.
func (d *daemon) killAll() { syscall.Kill(-d.process.Process.Pid, syscall.SIGKILL) }

// gone waits until nobody listens any more: the last process of a server goes a
// little after the first.
func (d *daemon) gone() error {
	anybody := func() bool { return slices.ContainsFunc(d.ports.numbers, func(port int) bool { return listens(port) }) }
	if patiently(stopTimeout, 5*time.Millisecond, func() bool { return !anybody() }) {
		return nil
	}
	return fmt.Errorf("%s still listens after it was stopped", filepath.Base(d.command[0]))
}

// Close ends the server, if it runs, and removes everything.
func (d *daemon) Close() error {
	return errors.Join(d.Kill(), d.remove())
}

// Log returns the end of what the server wrote down.
func (d *daemon) Log() string { return tail(d.path("log")) }
