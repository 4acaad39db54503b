package imapbox_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-sasl"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/internal/testpki"
)

// TestOpenRefused: what a server answers while a session is opened.
func TestOpenRefused(t *testing.T) {
	tests := []struct {
		name, command, answer string
		auth                  bool
		status, code          string
	}{
		{"wrong password", "AUTHENTICATE", "TAG NO [AUTHENTICATIONFAILED] login of " + username + " refused", true, "NO", "AUTHENTICATIONFAILED"},
		{"wrong password, the old way", "AUTHENTICATE", "TAG NO login of " + username + " refused", true, "NO", ""},
		{"password expired", "AUTHENTICATE", "TAG NO [EXPIRED] renew it", true, "NO", "EXPIRED"},
		{"access not allowed", "AUTHENTICATE", "TAG NO [AUTHORIZATIONFAILED] IMAP is switched off", true, "NO", "AUTHORIZATIONFAILED"},
		{"login out of order", "AUTHENTICATE", "TAG NO [UNAVAILABLE] try later", false, "NO", "UNAVAILABLE"},
		{"too many sessions", "AUTHENTICATE", "TAG NO [LIMIT] too many", false, "NO", "LIMIT"},
		{"not understood", "AUTHENTICATE", "TAG BAD what?", false, "BAD", ""},
		{"goodbye", "greeting", "* BYE too many connections of " + username, false, "BYE", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := startScript(t, handlers{tt.command: answer(tt.answer)})
			_, err := tryOpen(t, t.Context(), x.config())
			if errors.Is(err, dispatch.ErrAuth) != tt.auth {
				t.Errorf("Open: %v; want ErrAuth: %t", err, tt.auth)
			}
			var refused *imapbox.ReplyError
			if !errors.As(err, &refused) || refused.Status != tt.status || refused.Code != tt.code || !strings.HasSuffix(tt.answer, refused.Text) {
				t.Errorf("Open: %#v; want a ReplyError, %s [%s]", err, tt.status, tt.code)
			}
			if text := fmt.Sprint(err); strings.Contains(text, "@") || strings.Contains(text, password) {
				t.Errorf("Open: %q tells too much", text)
			}
		})
	}
}

// TestOpenBroken: servers that do not get as far as to refuse.
func TestOpenBroken(t *testing.T) {
	certified := func(change func(*x509.Certificate)) func(*script) {
		cert, _ := testpki.Server(t, host, change)
		return func(s *script) { s.tls.Certificates = []tls.Certificate{cert} }
	}
	wrongHost := func(c *x509.Certificate) { c.DNSNames = []string{"imap.pec.beta.example"} }
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }
	same := func(*script) {}
	short := func(c *imapbox.Config) { c.CommandTimeout = shortly }
	tests := []struct {
		name   string
		on     handlers
		server func(*script)
		client func(*imapbox.Config)
	}{
		{"certificate for another host", nil, certified(wrongHost), nil},
		{"certificate expired", nil, certified(expired), nil},
		{"unknown authority", nil, same, func(c *imapbox.Config) { c.TLSConfig.RootCAs = nil }},
		{"TLS 1.1", nil, func(s *script) { s.tls.MinVersion, s.tls.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
			func(c *imapbox.Config) { c.TLSConfig.MinVersion = tls.VersionTLS10 }},
		{"silent after the handshake", handlers{"greeting": silent}, same, short},
		{"silent at the login", handlers{"AUTHENTICATE": silent}, same, short},
		{"says nothing of what it can do", handlers{"greeting": answer("* OK ready"), "CAPABILITY": silent}, same, short},
		{"hung up", handlers{"greeting": hangUp}, same, nil},
		{"not IMAP", handlers{"greeting": answer("220 ready")}, same, nil},
		{"greeting without end", handlers{"greeting": func(x *peer, _, _ string) error {
			io.WriteString(x.conn, "* OK ")
			for {
				if _, err := io.WriteString(x.conn, strings.Repeat("a", 1<<16)); err != nil {
					return err
				}
			}
		}}, same, nil},
		{"no way to log in", nil, withCaps("IMAP4rev1 LOGINDISABLED"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := startScript(t, tt.on, tt.server)
			config := x.config()
			if tt.client != nil {
				tt.client(&config)
			}
			_, err := tryOpen(t, context.Background(), config)
			if err == nil || errors.Is(err, dispatch.ErrAuth) {
				t.Errorf("Open: %v; want an error that is not about the login", err)
			}
			if text := fmt.Sprint(err); !strings.HasPrefix(text, "imapbox: ") || strings.Contains(text, username) || len(text) > 1200 {
				t.Errorf("Open: %q", text)
			}
		})
	}
}

// TestOpenCanceled ends the context while the server is thinking of an answer.
func TestOpenCanceled(t *testing.T) {
	for _, command := range []string{"greeting", "AUTHENTICATE"} {
		ctx, cancel := context.WithCancel(t.Context())
		x := startScript(t, handlers{command: func(x *peer, _, _ string) error {
			cancel()
			return silent(x, "", "")
		}})
		if _, err := tryOpen(t, ctx, x.config()); !errors.Is(err, context.Canceled) {
			t.Errorf("Open, canceled at %s: %v; want context.Canceled", command, err)
		}
	}
}

// TestOpenSilentServer: a server that accepts connections and says nothing, not
// even TLS.
func TestOpenSilentServer(t *testing.T) {
	for _, mode := range []imapbox.TLSMode{imapbox.TLSImplicit, imapbox.TLSStart} {
		x := &script{}
		x.start(t, func(raw net.Conn) { io.Copy(io.Discard, raw) })
		config := x.config()
		config.TLS, config.ConnectTimeout = mode, 50*time.Millisecond
		if _, err := tryOpen(t, t.Context(), config); err == nil {
			t.Errorf("%s: Open of a silent server succeeded", mode)
		}
	}
}

// TestOpenClearText: a server that does not speak TLS hears no login.
func TestOpenClearText(t *testing.T) {
	x := &script{caps: allCaps}
	x.start(t, func(raw net.Conn) { x.serve(raw) })
	if _, err := tryOpen(t, t.Context(), x.config()); err == nil {
		t.Error("Open of a server in clear text succeeded")
	}
	if x.stop(); x.saw("AUTHENTICATE") || x.saw("LOGIN") {
		t.Errorf("server heard %q", x.heard)
	}
}

func TestStartTLS(t *testing.T) {
	tests := []struct {
		name, greeting, answer string
		ok                     bool
	}{
		{"good", "* OK ready", "* OK wait\r\nA OK go on\r\n", true},
		{"not offered", "* OK ready", "A BAD what?\r\n", false},
		{"refused", "* OK ready", "A NO\r\n", false},
		{"logged in already", "* PREAUTH ready", "A OK go on\r\n", false},
		{"goodbye", "* BYE", "", false},
		{"bytes before the handshake", "* OK ready", "A OK go on\r\n* OK [CAPABILITY IMAP4rev1] injected\r\n", false},
		{"line without end", "* OK ready", strings.Repeat("a", 1<<16), false},
		{"lines without end", "* OK ready", strings.Repeat("* OK wait\r\n", 1000), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cert, roots := testpki.Server(t, host, nil)
			x := &script{caps: allCaps, roots: roots, tls: &tls.Config{Certificates: []tls.Certificate{cert}}}
			x.start(t, func(raw net.Conn) {
				io.WriteString(raw, tt.greeting+"\r\n")
				if line, _ := bufio.NewReader(raw).ReadString('\n'); line != "A STARTTLS\r\n" {
					return
				}
				io.WriteString(raw, tt.answer)
				encrypted := tls.Server(raw, x.tls)
				if encrypted.Handshake() != nil {
					return
				}
				// After the handshake there is no greeting.
				clear := &peer{x, encrypted, bufio.NewReader(encrypted)}
				for clear.command() == nil {
				}
			})
			config := x.config()
			config.TLS = imapbox.TLSStart
			s, err := tryOpen(t, t.Context(), config)
			if (err == nil) != tt.ok {
				t.Errorf("Open: %v; want success: %t", err, tt.ok)
			}
			if err == nil {
				if _, err := s.Select(t.Context(), "INBOX"); err != nil {
					t.Errorf("Select: %v", err)
				}
				s.Close()
			}
			if x.stop(); !tt.ok && x.saw("AUTHENTICATE") {
				t.Errorf("server heard %q", x.heard)
			}
		})
	}
}

// TestLoginMechanisms logs in by whatever the server offers.
func TestLoginMechanisms(t *testing.T) {
	ok := answer("TAG OK done")
	t.Run("LOGIN", func(t *testing.T) {
		x := startScript(t, handlers{"LOGIN": ok}, withCaps("IMAP4rev1"))
		if _, err := tryOpen(t, t.Context(), x.config()); err != nil {
			t.Errorf("Open: %v", err)
		}
		if want := fmt.Sprintf("LOGIN %q %q", username, password); !x.saw(want) {
			t.Errorf("server heard %q; want %s", x.heard, want)
		}
	})
	t.Run("PLAIN in two steps", func(t *testing.T) {
		x := startScript(t, handlers{"AUTHENTICATE": func(x *peer, tag, _ string) error {
			x.say("+ ")
			x.r.ReadString('\n')
			x.say("%s OK", tag)
			return nil
		}}, withCaps("IMAP4rev1 AUTH=PLAIN"))
		if _, err := tryOpen(t, t.Context(), x.config()); err != nil {
			t.Errorf("Open: %v", err)
		}
	})
	t.Run("the caller's", func(t *testing.T) {
		x := startScript(t, handlers{"AUTHENTICATE": ok})
		config := x.config()
		config.Username, config.Password = "", ""
		config.Login = func(context.Context) (sasl.Client, error) {
			return sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: username, Token: "t"}), nil
		}
		if _, err := tryOpen(t, t.Context(), config); err != nil || !x.saw("AUTHENTICATE OAUTHBEARER") {
			t.Errorf("Open: %v; server heard %q", err, x.heard)
		}
		vault := errors.New("vault sealed")
		config.Login = func(context.Context) (sasl.Client, error) { return nil, vault }
		if _, err := tryOpen(t, t.Context(), config); !errors.Is(err, vault) || errors.Is(err, dispatch.ErrAuth) {
			t.Errorf("Open: %v; want the error of Login", err)
		}
	})
	t.Run("memory server", func(t *testing.T) {
		m := startMemory(t, imap.CapSet{imap.CapIMAP4rev2: {}})
		openInbox(t, m.config)
		m.config.Password = "sbagliata"
		if _, err := tryOpen(t, t.Context(), m.config); !errors.Is(err, dispatch.ErrAuth) {
			t.Errorf("Open with the wrong password: %v; want ErrAuth", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	good := imapbox.Config{Addr: "imap.pec.alfa.example:993", Username: username, Password: password}
	if _, err := imapbox.New(good); err != nil {
		t.Fatalf("New(good): %v", err)
	}
	tests := []struct {
		name   string
		change func(*imapbox.Config)
	}{
		{"no address", func(c *imapbox.Config) { c.Addr = "" }},
		{"no port", func(c *imapbox.Config) { c.Addr = "imap.pec.alfa.example" }},
		{"no host", func(c *imapbox.Config) { c.Addr = ":993" }},
		{"no such TLS mode", func(c *imapbox.Config) { c.TLS = "none" }},
		{"server not verified", func(c *imapbox.Config) { c.TLSConfig = &tls.Config{InsecureSkipVerify: true} }},
		{"no login", func(c *imapbox.Config) { c.Password = "" }},
		{"NUL in the password", func(c *imapbox.Config) { c.Password = "a\x00b" }},
	}
	for _, tt := range tests {
		config := good
		tt.change(&config)
		_, err := imapbox.New(config)
		if err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: New: %v; want an error, without the password", tt.name, err)
		}
	}
}

// TestPasswordIsNotPrinted prints what holds the password in every way that fmt,
// slog and json know; but for %p, which is not for structs, and asks nobody.
func TestPasswordIsNotPrinted(t *testing.T) {
	config := imapbox.Config{Addr: "imap.pec.alfa.example:993", Username: username, Password: password}
	mailbox, err := imapbox.New(config)
	if err != nil {
		t.Fatal(err)
	}
	type nested struct{ C imapbox.Config }
	var out bytes.Buffer
	for _, v := range []any{config, &config, nested{config}, mailbox, *mailbox} {
		for _, verb := range "vsdxXqTtUcboeEfFgG" {
			fmt.Fprintf(&out, "%"+string(verb)+"\n", v)
		}
		fmt.Fprintf(&out, "%+v %#v\n", v, v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("a", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("a", "v", v)
		encoded, _ := json.Marshal(v)
		out.Write(encoded)
	}
	for _, secret := range []string{password, fmt.Sprintf("%x", password), username} {
		if i := strings.Index(out.String(), secret); i >= 0 {
			t.Errorf("printed: %q", out.String()[max(i-100, 0):i+20])
		}
	}
}
