package smtpsend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/ceralacca/go-pec/internal/mailserver"
)

// Config says how to reach a provider's submission service. Providers of PEC
// offer it on port 465, encrypted from the first byte.
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
	// mail address. They are sent by PLAIN, or by LOGIN to a server that offers
	// no PLAIN.
	Username, Password string
	// Login, if not nil, is asked at each connection, in place of Username and
	// Password: for passwords that change and for other mechanisms.
	Login func(ctx context.Context) (sasl.Client, error)

	// LocalName is what the client calls itself in EHLO; default "localhost",
	// which gives nothing away.
	LocalName string

	// ConnectTimeout is for reaching the server and the TLS handshake; default
	// 30 seconds.
	ConnectTimeout time.Duration
	// CommandTimeout is for the answer to each command; default 2 minutes. Giving
	// up on one loses nothing.
	CommandTimeout time.Duration
	// WriteTimeout is for the server to take a few kilobytes of a message;
	// default 3 minutes, as RFC 5321, section 4.5.3.2.5 has it.
	WriteTimeout time.Duration
	// FinalTimeout is for the answer to the final dot; default 10 minutes, as RFC
	// 5321, section 4.5.3.2.6 has it. Giving up leaves a message of which nobody
	// knows whether it was sent: shorten it only in tests.
	FinalTimeout time.Duration
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
	case strings.ContainsFunc(c.LocalName, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("LocalName is not one word of ASCII text")
	}
	return c.server().Check()
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	if c.LocalName == "" {
		c.LocalName = "localhost"
	}
	mailserver.SetDefault(&c.ConnectTimeout, 30*time.Second)
	mailserver.SetDefault(&c.CommandTimeout, 2*time.Minute)
	mailserver.SetDefault(&c.WriteTimeout, 3*time.Minute)
	mailserver.SetDefault(&c.FinalTimeout, 10*time.Minute)
	return c
}

// server returns how the server is reached.
func (c *Config) server() mailserver.Server {
	s := mailserver.Server{Addr: c.Addr, TLS: c.TLSConfig, Timeout: c.ConnectTimeout}
	if c.TLS == TLSStart {
		s.StartTLS = func(raw net.Conn) error { return startTLS(raw, c.LocalName) }
	}
	return s
}
