//go:build unix

package realserver

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"text/template"
	"time"
)

// Postfix is a submission server.
type Postfix struct {
	daemon
	user        account
	smtp, smtps int
}

// PostfixConfig says what a [Postfix] is like.
type PostfixConfig struct {
	// Certificate is what the server shows.
	Certificate tls.Certificate
	// Logins says who may log in.
	Logins *Dovecot
	// Transport is where all mail goes, as in the file transport of Postfix:
	// "lmtp:inet:127.0.0.1:24". Empty means that it is thrown away.
	Transport string
	// Relay, if not nil, is where all mail goes instead.
	Relay *Relay
	// Settings are added to main.cf, in its language.
	Settings string
}

// Relay is a server that Postfix logs in to, to hand on what it took.
type Relay struct {
	Addr           string // host:port
	ImplicitTLS    bool   // TLS from the first byte, not by STARTTLS
	User, Password string
}

// destination is the server as Postfix names it.
func (r *Relay) destination() string {
	host, port, _ := net.SplitHostPort(r.Addr)
	return fmt.Sprintf("[%s]:%s", host, port)
}

func (r *Relay) settings() string {
	wrapper := "no"
	if r.ImplicitTLS {
		wrapper = "yes"
	}
	return "smtp_tls_security_level = encrypt\nsmtp_tls_wrappermode = " + wrapper + "\n" +
		"smtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\n" +
		"smtp_sasl_password_maps = inline:{ {" + r.destination() + " = " + r.User + ":" + r.Password + "} }\n"
}

var mainCF = template.Must(template.New("main.cf").Parse(`
compatibility_level = 3.6
queue_directory = {{.Dir}}/spool
data_directory = {{.Dir}}/data
maillog_file = {{.Dir}}/log
maillog_file_prefixes = {{.Dir}}
myhostname = localhost
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
default_transport = {{.Transport}}
smtpd_tls_cert_file = {{.Dir}}/certificate
smtpd_tls_key_file = {{.Dir}}/key
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{{.Auth}}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_client_event_limit_exceptions =
smtpd_error_sleep_time = 0
service_throttle_time = 1s
{{.Settings}}
`))

var masterCF = template.Must(template.New("master.cf").Parse(`
127.0.0.1:{{.SMTP}} inet n - n - - smtpd
127.0.0.1:{{.SMTPS}} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
discard unix - - n - - discard
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`))

// StartPostfix starts a server. Only root can: its parts run as different users.
func StartPostfix(c PostfixConfig) (*Postfix, error) {
	p, err := newPostfix()
	if err == nil {
		err = p.begin(func() error { return p.initialize(c) })
	}
	if err != nil {
		return nil, fmt.Errorf("starting Postfix: %w", err)
	}
	return p, nil
}

func newPostfix() (*Postfix, error) {
	master, err := find("master", "/usr/lib/postfix/sbin/master", "/usr/libexec/postfix/master")
	if err != nil {
		return nil, err
	}
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("%w: it must be started by root", ErrMissing)
	}
	p := new(Postfix)
	if p.user, err = runAs("postfix"); err != nil {
		return nil, err
	}
	if err = p.ports.takeAll(&p.smtp, &p.smtps); err != nil {
		return nil, err
	}
	p.attr = &syscall.SysProcAttr{Setpgid: true}
	p.dir, err = newFolder("postfix")
	p.command = []string{master, "-c", p.dir, "-d"}
	return p, err
}

func (p *Postfix) initialize(c PostfixConfig) error {
	key, err := keyFile(c.Certificate)
	if err != nil {
		return err
	}
	var mainConf, masterConf bytes.Buffer
	transport, settings := cmp.Or(c.Transport, "discard:"), c.Settings
	if c.Relay != nil {
		if _, err := find("libplain.so", "/usr/lib/*/sasl2/libplain.so*", "/usr/lib*/sasl2/libplain.so*"); err != nil {
			return fmt.Errorf("%w (package libsasl2-modules)", err)
		}
		transport, settings = "smtp:"+c.Relay.destination(), c.Relay.settings()+settings
	}
	values := map[string]any{
		"Dir": p.dir, "Transport": transport, "Settings": settings,
		"Auth": c.Logins.auth, "SMTP": p.smtp, "SMTPS": p.smtps,
	}
	root := account{}
	err = errors.Join(
		mainCF.Execute(&mainConf, values),
		masterCF.Execute(&masterConf, values),
		p.makeQueue(),
		p.user.own(p.path("data")),
		p.write("main.cf", mainConf.String(), root),
		p.write("master.cf", masterConf.String(), root),
		p.write("certificate", certificateFile(c.Certificate), root),
		p.write("key", key, root))
	if err != nil {
		return err
	}
	// Its parts read the configuration as the user that they run as.
	return errors.Join(os.Chmod(p.path("main.cf"), 0o644), os.Chmod(p.path("master.cf"), 0o644))
}

// queues are the folders of the queue that hold messages, in the order in which a
// message goes through them.
var queues = []string{"maildrop", "incoming", "active", "deferred", "hold"}

// makeQueue makes the folders that "postfix check" makes, which takes a second.
func (p *Postfix) makeQueue() error {
	dirs := []string{"private", "public", "bounce", "corrupt", "defer", "flush", "saved", "trace"}
	for _, dir := range append(dirs, queues...) {
		if err := p.user.own(p.path("spool", dir)); err != nil {
			return err
		}
	}
	return errors.Join(
		os.Mkdir(p.path("spool", "pid"), 0o755),
		os.Chown(p.path("spool"), 0, 0),
		os.Chmod(p.path("spool"), 0o755))
}

// Drain waits until the queue is empty: all that the server took is delivered.
func (p *Postfix) Drain(ctx context.Context) error {
	for {
		queued, err := p.queued()
		if queued == 0 || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d messages in the queue of Postfix: %w", queued, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// queued counts the messages in the queue. One that is not complete can't be
// executed, as Postfix has it, and does not count.
func (p *Postfix) queued() (n int, err error) {
	for _, queue := range queues {
		err := filepath.WalkDir(p.path("spool", queue), func(_ string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err == nil && info.Mode()&0o100 != 0 {
				n++
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it moves from one to the other
			return n, err
		}
		if err != nil {
			n++
		}
	}
	return n, nil
}

// SMTP returns where the server begins in clear text, and expects STARTTLS.
func (p *Postfix) SMTP() string { return loopback(p.smtp) }

// SMTPS returns where it encrypts from the first byte.
func (p *Postfix) SMTPS() string { return loopback(p.smtps) }
