package imapbox

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/ceralacca/go-pec/internal/mailserver"
)

// Config says how to reach a mailbox. Providers of PEC offer IMAP on port 993,
// encrypted from the first byte.
type Config struct {
	// Addr is host:port. The server's certificate must be one for host.
	Addr string
	// TLS says when encryption begins; the zero value is [TLSImplicit].
	TLS TLSMode
	// TLSConfig is for what is special, such as root certificates of one's own;
	// nil will do. TLS 1.2 is the least whatever it says, an empty ServerName is
	// the host of Addr, and InsecureSkipVerify is refused.
	TLSConfig *tls.Config

	// Username and Password are the login, which for many providers is not the
	// mail address. They are sent by PLAIN, or by the command LOGIN to a server
	// that offers no PLAIN.
	Username, Password string
	// Login, if not nil, is asked at each connection, in place of Username and
	// Password: for passwords that change and for other mechanisms.
	Login func(ctx context.Context) (sasl.Client, error)

	// ConnectTimeout is for reaching the server and the TLS handshake; default
	// 30 seconds.
	ConnectTimeout time.Duration
	// CommandTimeout is how long the server may say nothing while it is to answer
	// a command, and how long a few kilobytes of a message may take; default 1
	// minute.
	CommandTimeout time.Duration
	// PollInterval is how often a server that does not tell of new mail by itself
	// (IDLE) is asked for it; default 1 minute.
	PollInterval time.Duration
}

// TLSMode says when encryption begins. There is no mode without.
type TLSMode string

const (
	// TLSImplicit encrypts from the first byte. The empty TLSMode means the same.
	TLSImplicit TLSMode = "implicit"
	// TLSStart begins in clear text and asks the server to encrypt, by STARTTLS.
	// A server that does not is refused.
	TLSStart TLSMode = "starttls"
)

// Format implements fmt.Formatter. Whatever the verb, the login stays out.
func (c Config) Format(f fmt.State, _ rune) {
	io.WriteString(f, "{Addr:"+c.Addr+" TLS:"+string(c.TLS)+"}")
}

// validate checks what can be checked without a server.
func (c *Config) validate() error {
	switch {
	case c.TLS != "" && c.TLS != TLSImplicit && c.TLS != TLSStart:
		return fmt.Errorf("no such TLS mode: %q", string(c.TLS))
	case c.Login == nil && (c.Username == "" || c.Password == ""):
		return errors.New("no Username and Password, and no Login")
	case strings.ContainsRune(c.Username+c.Password, 0):
		return errors.New("NUL in Username or Password")
	}
	return c.server().Check()
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	mailserver.SetDefault(&c.ConnectTimeout, 30*time.Second)
	mailserver.SetDefault(&c.CommandTimeout, time.Minute)
	mailserver.SetDefault(&c.PollInterval, time.Minute)
	return c
}

// server returns how the server is reached.
func (c *Config) server() mailserver.Server {
	s := mailserver.Server{Addr: c.Addr, TLS: c.TLSConfig, Timeout: c.ConnectTimeout}
	if c.TLS == TLSStart {
		s.StartTLS = startTLS
	}
	return s
}
