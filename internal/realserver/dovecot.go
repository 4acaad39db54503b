//go:build unix

package realserver

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"github.com/emersion/go-smtp"
)

// Dovecot is a server of mailboxes: mail comes by LMTP, and is read by IMAP. It
// says for Postfix, too, who may log in.
type Dovecot struct {
	daemon
	user                    account
	v24                     bool // not 2.3
	imap, imaps, lmtp, auth int
}

// DovecotConfig says what a [Dovecot] is like.
type DovecotConfig struct {
	// Certificate is what the server shows.
	Certificate tls.Certificate
	// Users are the mailboxes: user name → password.
	Users map[string]string
	// Quota, if not empty, is how much a mailbox may hold, such as "100K". Folders
	// that are Uncounted take mail all the same.
	Quota     string
	Uncounted []string
	// NoUIDPLUS has the server not say that it can remove one message alone.
	NoUIDPLUS bool
	// Settings are added to dovecot.conf, in the language that 2.3 and 2.4 share.
	Settings string
}

// dovecotConf is a server that runs as one user, which need not be root. Dovecot 2.4
// names many things otherwise than 2.3.
var dovecotConf = template.Must(template.New("dovecot.conf").Funcs(template.FuncMap{
	"fromTwo": func(i int) int { return i + 2 }, // a gap ends the rules
}).Parse(`
{{- if .V24}}
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
mail_driver = maildir
mail_path = ~/Maildir
ssl_server_cert_file = {{.Dir}}/certificate
ssl_server_key_file = {{.Dir}}/key
passdb passwd-file {
  passwd_file_path = {{.Dir}}/users
  auth_username_format = %{user}
}
userdb passwd-file {
  passwd_file_path = {{.Dir}}/users
  auth_username_format = %{user}
}
{{- if .Quota}}
mail_plugins {
  quota = yes
}
protocol imap {
  mail_plugins {
    imap_quota = yes
  }
}
quota user {
  quota_storage_size = {{.Quota}}
}
{{- end}}
{{- range .Uncounted}}
mailbox {{.}} {
  quota_ignore = yes
}
{{- end}}
{{- if .NoUIDPLUS}}
imap_capability {
  UIDPLUS = no
}
{{- end}}
{{- else}}
mail_location = maildir:~/Maildir
ssl_cert = <{{.Dir}}/certificate
ssl_key = <{{.Dir}}/key
passdb {
  driver = passwd-file
  args = username_format=%u {{.Dir}}/users
}
userdb {
  driver = passwd-file
  args = username_format=%u {{.Dir}}/users
}
{{- if .Quota}}
mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
plugin {
  quota = count:all
  quota_vsizes = yes
  quota_rule = *:storage={{.Quota}}
  {{- range $i, $folder := .Uncounted}}
  quota_rule{{fromTwo $i}} = {{$folder}}:ignore
  {{- end}}
}
{{- end}}
{{- if .NoUIDPLUS}}
imap_capability = IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN
{{- end}}
{{- end}}
base_dir = {{.Dir}}/run
state_dir = {{.Dir}}/run
log_path = /dev/stderr
listen = 127.0.0.1
protocols = imap lmtp
default_internal_user = {{.User}}
default_internal_group = {{.Group}}
default_login_user = {{.User}}
first_valid_uid = 1
first_valid_gid = 1
mail_fsync = never
ssl = required
ssl_min_protocol = TLSv1.2
auth_mechanisms = plain login
auth_failure_delay = 0
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    port = {{.IMAP}}
  }
  inet_listener imaps {
    port = {{.IMAPS}}
    ssl = yes
  }
}
service lmtp {
  inet_listener lmtp {
    port = {{.LMTP}}
  }
}
service auth {
  inet_listener sasl {
    port = {{.Auth}}
  }
}
protocol imap {
  rawlog_dir = {{.Dir}}/heard
}
{{.Settings}}
`))

// StartDovecot starts a server.
func StartDovecot(c DovecotConfig) (*Dovecot, error) {
	d, err := newDovecot()
	if err == nil {
		err = d.begin(func() error { return d.initialize(c) })
	}
	if err != nil {
		return nil, fmt.Errorf("starting Dovecot: %w", err)
	}
	return d, nil
}

func newDovecot() (*Dovecot, error) {
	program, err := find("dovecot", "/usr/sbin/dovecot")
	if err != nil {
		return nil, err
	}
	// Each is a package of its own.
	for _, part := range []string{"imap", "lmtp"} {
		if _, err := find(part, "/usr/lib/dovecot/"+part, "/usr/libexec/dovecot/"+part); err != nil {
			return nil, err
		}
	}
	version, err := run(nil, program, "--version")
	if err != nil {
		return nil, err
	}
	d := &Dovecot{v24: strings.HasPrefix(version, "2.4.")}
	if !d.v24 && !strings.HasPrefix(version, "2.3.") {
		return nil, fmt.Errorf("%w: Dovecot 2.3 or 2.4, there is %s", ErrMissing, strings.TrimSpace(version))
	}
	if d.user, err = runAs("dovecot", "nobody"); err != nil {
		return nil, err
	}
	if err = d.ports.takeAll(&d.imap, &d.imaps, &d.lmtp, &d.auth); err != nil {
		return nil, err
	}
	d.attr = d.user.attributes()
	d.dir, err = newFolder("dovecot")
	d.command = []string{program, "-F", "-c", d.path("dovecot.conf")}
	return d, err
}

func (d *Dovecot) initialize(c DovecotConfig) error {
	group, err := user.LookupGroupId(strconv.Itoa(d.user.gid))
	if err != nil {
		return err
	}
	key, err := keyFile(c.Certificate)
	if err != nil {
		return err
	}
	var conf bytes.Buffer
	err = dovecotConf.Execute(&conf, map[string]any{
		"Dir": d.dir, "User": d.user.name, "Group": group.Name, "V24": d.v24,
		"Settings": c.Settings, "Quota": c.Quota, "Uncounted": c.Uncounted, "NoUIDPLUS": c.NoUIDPLUS,
		"IMAP": d.imap, "IMAPS": d.imaps, "LMTP": d.lmtp, "Auth": d.auth,
	})
	return errors.Join(err,
		d.user.own(d.path("run"), d.path("home"), d.path("heard")),
		d.write("dovecot.conf", conf.String(), d.user),
		d.write("certificate", certificateFile(c.Certificate), d.user),
		d.write("key", key, d.user),
		d.write("users", d.users(c.Users), d.user))
}

// users is a file in the form of /etc/passwd.
func (d *Dovecot) users(passwords map[string]string) string {
	var b strings.Builder
	for name, password := range passwords {
		fmt.Fprintf(&b, "%s:{PLAIN}%s:%d:%d::%s\n", name, password, d.user.uid, d.user.gid, d.path("home", name))
	}
	return b.String()
}

// IMAP returns where the server begins in clear text, and expects STARTTLS.
func (d *Dovecot) IMAP() string { return loopback(d.imap) }

// IMAPS returns where it encrypts from the first byte.
func (d *Dovecot) IMAPS() string { return loopback(d.imaps) }

// LMTP returns where the server takes mail in.
func (d *Dovecot) LMTP() string { return loopback(d.lmtp) }

// Deliver puts messages into the INBOX of a user, by LMTP. As always, the server
// puts fields before theirs.
func (d *Dovecot) Deliver(user string, messages ...[]byte) error {
	conn, err := net.Dial("tcp", d.LMTP())
	if err != nil {
		return fmt.Errorf("delivering: %w", err)
	}
	client := smtp.NewClientLMTP(conn)
	defer client.Close()
	for _, m := range messages {
		if err := client.SendMail("", []string{user}, bytes.NewReader(m)); err != nil {
			return fmt.Errorf("delivering: %w", err)
		}
	}
	return client.Quit()
}

// Heard returns what clients have said so far by IMAP, once logged in.
func (d *Dovecot) Heard() (string, error) {
	files, err := filepath.Glob(d.path("heard", "*.in"))
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		all.Write(b)
	}
	return all.String(), nil
}

// Admin runs doveadm, and returns what it says.
func (d *Dovecot) Admin(args ...string) (string, error) {
	return run(d.user.attributes(), "doveadm", append([]string{"-c", d.path("dovecot.conf")}, args...)...)
}
