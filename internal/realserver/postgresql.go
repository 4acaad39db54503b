//go:build unix

package realserver

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// PostgreSQL is a database server with one empty database.
type PostgreSQL struct {
	dir, bin string
	ports    ports
	port     int
	password string
	user     account
	settings []string
	process  *process
}

// StartPostgreSQL makes a database cluster and starts it. Settings are those of
// postgresql.conf, such as "max_connections=200"; all others are as they come.
func StartPostgreSQL(settings ...string) (*PostgreSQL, error) {
	p, err := newPostgreSQL(settings)
	if err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	if err = p.initialize(); err == nil {
		err = p.start()
	}
	if err != nil {
		p.remove()
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	return p, nil
}

func newPostgreSQL(settings []string) (*PostgreSQL, error) {
	initdb, err := find("initdb", "/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return nil, err
	}
	p := &PostgreSQL{bin: filepath.Dir(initdb), settings: settings, password: rand.Text()}
	if p.user, err = runAs("postgres", "nobody"); err != nil {
		return nil, err
	}
	if p.port, err = p.ports.take(); err != nil {
		return nil, err
	}
	p.dir, err = newFolder("postgresql")
	return p, err
}

func (p *PostgreSQL) data() string { return filepath.Join(p.dir, "data") }
func (p *PostgreSQL) log() string  { return filepath.Join(p.dir, "log") }

func (p *PostgreSQL) initialize() error {
	if err := p.user.own(p.data()); err != nil {
		return err
	}
	secret := filepath.Join(p.dir, "password")
	if err := os.WriteFile(secret, []byte(p.password), 0o600); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		if err := os.Chown(secret, p.user.uid, p.user.gid); err != nil {
			return err
		}
	}
	_, err := run(p.user.attributes(), filepath.Join(p.bin, "initdb"), "--pgdata="+p.data(), "--username=gopec",
		"--auth=scram-sha-256", "--pwfile="+secret, "--encoding=UTF8", "--no-locale", "--no-sync")
	return err
}

func (p *PostgreSQL) start() error {
	args := []string{"-D", p.data(), "-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(p.port), "-c", "unix_socket_directories="}
	for _, s := range p.settings {
		args = append(args, "-c", s)
	}
	var err error
	if p.process, err = start(p.log(), p.user.attributes(), filepath.Join(p.bin, "postgres"), args...); err != nil {
		return err
	}
	return p.process.ready(p.log(), func() bool {
		_, err := run(nil, filepath.Join(p.bin, "pg_isready"), "--host=127.0.0.1", "--port="+strconv.Itoa(p.port))
		return err == nil
	})
}

// DSN returns where the database is.
func (p *PostgreSQL) DSN() string {
	return fmt.Sprintf("postgres://gopec:%s@%s/postgres", p.password, loopback(p.port))
}

// Shutdown is how a server stops.
type Shutdown syscall.Signal

const (
	// Fast ends every connection and writes everything down.
	Fast = Shutdown(syscall.SIGINT)
	// Crash drops everything, as if the machine had failed: the log is played back
	// at the next start.
	Crash = Shutdown(syscall.SIGQUIT)
)

// Restart stops the server and starts it again.
func (p *PostgreSQL) Restart(how Shutdown) error {
	if err := p.process.stop(syscall.Signal(how)); err != nil {
		return err
	}
	return p.start()
}

// Close stops the server and removes everything.
func (p *PostgreSQL) Close() error {
	return errors.Join(p.process.stop(syscall.Signal(Fast)), p.remove())
}

// remove leaves nothing of a server that does not run.
func (p *PostgreSQL) remove() error {
	p.ports.release()
	return os.RemoveAll(p.dir)
}
