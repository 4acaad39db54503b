//go:build unix

package realserver

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"syscall"
	"text/template"
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
	// Settings are added to main.cf, in its language. Without any, all that is
	// submitted is thrown away.
	Settings string
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
default_transport = discard:
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
	if err = freePorts(&p.smtp, &p.smtps); err != nil {
		return nil, err
	}
	p.ports = []int{p.smtp, p.smtps}
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
	values := map[string]any{"Dir": p.dir, "Settings": c.Settings, "Auth": c.Logins.auth, "SMTP": p.smtp, "SMTPS": p.smtps}
	root := account{}
	err = errors.Join(
		mainCF.Execute(&mainConf, values),
		masterCF.Execute(&masterConf, values),
		os.Mkdir(p.path("spool"), 0o755),
		p.user.own(p.path("data")),
		p.write("main.cf", mainConf.String(), root),
		p.write("master.cf", masterConf.String(), root),
		p.write("certificate", certificateFile(c.Certificate), root),
		p.write("key", key, root))
	if err != nil {
		return err
	}
	// Its parts read the configuration as the user that they run as.
	if err := errors.Join(os.Chmod(p.path("main.cf"), 0o644), os.Chmod(p.path("master.cf"), 0o644)); err != nil {
		return err
	}
	postfix, err := find("postfix", "/usr/sbin/postfix")
	if err != nil {
		return err
	}
	_, err = run(nil, postfix, "-c", p.dir, "check") // makes the folders of the queue
	return err
}

// SMTP returns where the server begins in clear text, and expects STARTTLS.
func (p *Postfix) SMTP() string { return loopback(p.smtp) }

// SMTPS returns where it encrypts from the first byte.
func (p *Postfix) SMTPS() string { return loopback(p.smtps) }
