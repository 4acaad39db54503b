package smtpsend_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/pec"
)

// tryOpen opens a session, which may fail.
func tryOpen(t *testing.T, ctx context.Context, c smtpsend.Config) error {
	t.Helper()
	s, err := smtpsend.New(c)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	session, err := s.Open(ctx)
	if err == nil {
		session.Close()
	}
	return err
}

// TestOpenRefused: what a server answers while a session is opened.
func TestOpenRefused(t *testing.T) {
	tests := []struct {
		name, reason, command, answer string
		auth                          bool
		code                          int
	}{
		{"wrong password", "the account must not be tried again", "AUTH", "535 5.7.8 login of " + username + " refused", true, 535},
		{"mechanism too weak", "only a person can change that", "AUTH", "534 5.7.9 too weak", true, 534},
		{"login needed", "an odd answer, but a refusal", "AUTH", "530 5.7.0 no", true, 530},
		{"another password wanted", "only a person can change that", "AUTH", "432 4.7.12 password change needed", true, 432},
		{"login out of order", "of the moment", "AUTH", "454 4.7.0 try later", false, 454},
		{"goodbye at the login", "of the moment", "AUTH", "421 4.7.0 too many connections", false, 421},
		{"too many connections", "of the moment", "banner", "421 4.7.0 too many connections", false, 421},
		{"blocked", "says nothing of the login", "banner", "554 5.7.1 your address is blocked", false, 554},
		{"EHLO refused", "says nothing of the login", "EHLO", "550 5.7.1 go away", false, 550},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := startProvider(t, map[string]func(*peer) bool{tt.command: answer(tt.answer)})
			err := tryOpen(t, t.Context(), p.config())
			if errors.Is(err, dispatch.ErrAuth) != tt.auth {
				t.Errorf("Open: %v; want ErrAuth: %t: %s", err, tt.auth, tt.reason)
			}
			var refused *smtpsend.ReplyError
			if !errors.As(err, &refused) || refused.Code != tt.code || !strings.HasSuffix(tt.answer, refused.Reply) {
				t.Errorf("Open: %#v; want a ReplyError with code %d", err, tt.code)
			}
			if text := fmt.Sprint(err); strings.Contains(text, "@") || strings.Contains(text, password) {
				t.Errorf("Open: %q tells too much", text)
			}
		})
	}
}

// TestOpenBroken: servers that do not get as far as to refuse.
func TestOpenBroken(t *testing.T) {
	wrongHost := func(c *x509.Certificate) { c.DNSNames = []string{"smtp.pec.beta.example"} }
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }
	notServer := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }
	certified := func(change func(*x509.Certificate)) func(*provider) {
		cert, _ := testpki.Server(t, host, change)
		return func(p *provider) { p.tls.Certificates = []tls.Certificate{cert} }
	}
	oldTLS := func(p *provider) { p.tls.MinVersion, p.tls.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }
	short := func(c *smtpsend.Config) { c.CommandTimeout = shortly }
	tests := []struct {
		name, reason string
		faults       map[string]func(*peer) bool
		server       func(*provider)
		client       func(*smtpsend.Config)
	}{
		{"certificate for another host", "somebody else's server", nil, certified(wrongHost), nil},
		{"certificate expired", "not valid", nil, certified(expired), nil},
		{"certificate for mail", "not for servers", nil, certified(notServer), nil},
		{"unknown authority", "nil roots are the system's", nil, nil, func(c *smtpsend.Config) { c.TLSConfig.RootCAs = nil }},
		{"TLS 1.1", "too old, whatever the caller says", nil, oldTLS, func(c *smtpsend.Config) { c.TLSConfig.MinVersion = tls.VersionTLS10 }},
		{"silent after the handshake", "each reply has its deadline", map[string]func(*peer) bool{"banner": silent}, nil, short},
		{"silent after the greeting", "the same", map[string]func(*peer) bool{"EHLO": silent}, nil, short},
		{"silent at the login", "the same", map[string]func(*peer) bool{"AUTH": silent}, nil, short},
		{"hung up", "no greeting", map[string]func(*peer) bool{"banner": hangUp}, nil, nil},
		{"greeting of 1 MB", "more than 4 KiB is not read", map[string]func(*peer) bool{"banner": answer("220 " + strings.Repeat("a", 1<<20))}, nil, nil},
		{"greeting never finished", "more than 128 lines are not read", map[string]func(*peer) bool{"banner": func(x *peer) bool {
			for {
				if _, err := io.WriteString(x.conn, "220-still here\r\n"); err != nil {
					return false
				}
			}
		}}, nil, nil},
		{"not SMTP", "an IMAP server, say", map[string]func(*peer) bool{"banner": answer("* OK ready")}, nil, nil},
		{"two greetings", "the second would be taken for the answer to EHLO", map[string]func(*peer) bool{"banner": answer("220 a", "250 b")}, nil, nil},
		{"no way to log in", "nothing that this client may use", map[string]func(*peer) bool{"EHLO": answer("250-" + host + "\r\n250 AUTH CRAM-MD5")}, nil, nil},
		{"endless questions", "LOGIN has two", map[string]func(*peer) bool{
			"EHLO": answer("250-" + host + "\r\n250 AUTH LOGIN"),
			"AUTH": func(x *peer) bool {
				for range 5 {
					x.say("334 VXNlcm5hbWU6")
					x.r.ReadString('\n')
				}
				return false
			}}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var changes []func(*provider)
			if tt.server != nil {
				changes = append(changes, tt.server)
			}
			p := startProvider(t, tt.faults, changes...)
			config := p.config()
			if tt.client != nil {
				tt.client(&config)
			}
			err := tryOpen(t, context.Background(), config)
			if err == nil || errors.Is(err, dispatch.ErrAuth) {
				t.Errorf("Open: %v; want an error that is not about the login: %s", err, tt.reason)
			}
			if text := fmt.Sprint(err); !strings.HasPrefix(text, "smtpsend: ") || strings.Contains(text, username) || len(text) > 500 {
				t.Errorf("Open: %q", text)
			}
			if p.stop(); slices.ContainsFunc(p.heard, func(s string) bool { return strings.HasPrefix(s, "MAIL") }) {
				t.Errorf("server heard %q", p.heard)
			}
		})
	}
}

// TestOpenClearText: a server that does not speak TLS hears no login.
func TestOpenClearText(t *testing.T) {
	p := &provider{}
	p.start(t, func(raw net.Conn) { p.serve(raw) })
	config := p.config()
	if err := tryOpen(t, t.Context(), config); err == nil {
		t.Error("Open of a server in clear text succeeded")
	}
	p.stop()
	if slices.ContainsFunc(p.heard, func(s string) bool { return strings.HasPrefix(s, "AUTH") }) {
		t.Errorf("server heard %q", p.heard)
	}
}

// TestOpenSilentServer: a server that accepts connections and says nothing.
func TestOpenSilentServer(t *testing.T) {
	for _, mode := range []smtpsend.TLSMode{smtpsend.TLSImplicit, smtpsend.TLSStart} {
		p := &provider{}
		p.start(t, func(raw net.Conn) { io.Copy(io.Discard, raw) })
		config := p.config()
		config.TLS = mode
		config.ConnectTimeout = 50 * time.Millisecond
		if err := tryOpen(t, t.Context(), config); err == nil {
			t.Errorf("%s: Open of a silent server succeeded", mode)
		}

		config.ConnectTimeout = 0
		ctx, cancel := context.WithCancel(t.Context())
		heard := make(chan struct{}, 1)
		q := &provider{}
		q.start(t, func(raw net.Conn) {
			if mode == smtpsend.TLSStart {
				io.WriteString(raw, "220 ready\r\n")
			}
			raw.Read(make([]byte, 1))
			heard <- struct{}{}
			io.Copy(io.Discard, raw)
		})
		config.Addr = q.listener.Addr().String()
		go func() { <-heard; cancel() }()
		if err := tryOpen(t, ctx, config); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Open, canceled: %v; want context.Canceled", mode, err)
		}
	}
}

// TestOpenCanceled ends the context while the server is thinking of an answer.
func TestOpenCanceled(t *testing.T) {
	for _, command := range []string{"banner", "EHLO", "AUTH"} {
		ctx, cancel := context.WithCancel(t.Context())
		p := startProvider(t, map[string]func(*peer) bool{command: func(x *peer) bool {
			cancel()
			return silent(x)
		}})
		if err := tryOpen(t, ctx, p.config()); !errors.Is(err, context.Canceled) || errors.Is(err, dispatch.ErrAuth) {
			t.Errorf("Open, canceled at %s: %v; want context.Canceled", command, err)
		}
	}
}

// startTLSServer is a server that begins in clear text; stls is what it does when
// it is asked for TLS, and offers whether it offers it.
func startTLSServer(t *testing.T, offers bool, stls func(raw net.Conn) bool) *provider {
	p := &provider{}
	cert, roots := testpki.Server(t, host, nil)
	p.roots, p.tls = roots, &tls.Config{Certificates: []tls.Certificate{cert}}
	p.start(t, func(raw net.Conn) {
		clear := &peer{provider: p, conn: raw, r: bufio.NewReader(raw)}
		p.faults = map[string]func(*peer) bool{
			"EHLO": answer("250-"+host, "250 AUTH PLAIN"),
			"STARTTLS": func(x *peer) bool {
				if !stls(raw) {
					return false
				}
				p.faults = map[string]func(*peer) bool{"banner": func(x *peer) bool { return true }}
				p.serve(tls.Server(raw, p.tls))
				return false
			},
		}
		if offers {
			p.faults["EHLO"] = answer("250-"+host, "250-STARTTLS", "250 AUTH PLAIN")
		}
		clear.say("220 ready")
		for clear.command() {
		}
	})
	return p
}

func TestStartTLS(t *testing.T) {
	say := func(text string, then bool) func(net.Conn) bool {
		return func(raw net.Conn) bool { io.WriteString(raw, text); return then }
	}
	tests := []struct {
		name, reason string
		offers       bool
		stls         func(net.Conn) bool
		ok           bool
	}{
		{"good", "", true, say("220 go on\r\n", true), true},
		{"stripped", "somebody in between took the offer out", false, say("220 go on\r\n", true), false},
		{"refused", "no going on in clear text", true, say("454 4.7.0 TLS not available\r\n", false), false},
		{"bytes before the handshake", "they would be taken for the server's first words", true, say("220 go on\r\n250 injected\r\n", true), false},
		{"half a line before the handshake", "the same", true, say("220 go on\r\n2", true), false},
		{"hung up", "", true, say("", false), false},
		{"not a reply", "", true, say("ok\r\n", false), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := startTLSServer(t, tt.offers, tt.stls)
			config := p.config()
			config.TLS = smtpsend.TLSStart
			err := tryOpen(t, t.Context(), config)
			if (err == nil) != tt.ok {
				t.Errorf("Open: %v; want success: %t: %s", err, tt.ok, tt.reason)
			}
			p.stop()
			if !tt.ok && slices.ContainsFunc(p.heard, func(s string) bool { return strings.HasPrefix(s, "AUTH") }) {
				t.Errorf("server heard %q", p.heard)
			}
		})
	}
}

// TestLoginMechanisms logs in by whatever the server offers.
func TestLoginMechanisms(t *testing.T) {
	questions := func(first, second string) func(*peer) bool {
		return func(x *peer) bool {
			x.say("334 " + base64.StdEncoding.EncodeToString([]byte(first)))
			user, _ := x.r.ReadString('\n')
			x.say("334 " + base64.StdEncoding.EncodeToString([]byte(second)))
			pass, _ := x.r.ReadString('\n')
			u, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(user))
			w, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(pass))
			if string(u) == username && string(w) == password {
				x.say("235 ok")
			} else {
				x.say("535 no")
			}
			return true
		}
	}
	offer := answer("250-"+host, "250 AUTH LOGIN")
	tests := []struct {
		name   string
		faults map[string]func(*peer) bool
		login  func(context.Context) (sasl.Client, error)
	}{
		{"LOGIN", map[string]func(*peer) bool{"EHLO": offer, "AUTH": questions("Username:", "Password:")}, nil},
		{"LOGIN, otherwise worded", map[string]func(*peer) bool{"EHLO": offer, "AUTH": questions("User Name\x00", "password")}, nil},
		{"the caller's", map[string]func(*peer) bool{"AUTH": answer("235 ok")}, func(context.Context) (sasl.Client, error) {
			return sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: username, Token: "t"}), nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := startProvider(t, tt.faults)
			config := p.config()
			if config.Login = tt.login; tt.login != nil {
				config.Username, config.Password = "", ""
			}
			if err := tryOpen(t, t.Context(), config); err != nil {
				t.Errorf("Open: %v", err)
			}
		})
	}

	t.Run("the caller has none", func(t *testing.T) {
		p := startProvider(t, nil)
		config := p.config()
		vault := errors.New("vault sealed")
		config.Login = func(context.Context) (sasl.Client, error) { return nil, vault }
		if err := tryOpen(t, t.Context(), config); !errors.Is(err, vault) || errors.Is(err, dispatch.ErrAuth) {
			t.Errorf("Open: %v; want the error of Login", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	good := smtpsend.Config{Addr: "smtp.pec.alfa.example:465", Username: username, Password: password}
	if _, err := smtpsend.New(good); err != nil {
		t.Fatalf("New(good): %v", err)
	}
	tests := []struct {
		name   string
		change func(*smtpsend.Config)
	}{
		{"no address", func(c *smtpsend.Config) { c.Addr = "" }},
		{"no port", func(c *smtpsend.Config) { c.Addr = "smtp.pec.alfa.example" }},
		{"no host", func(c *smtpsend.Config) { c.Addr = ":465" }},
		{"no such TLS mode", func(c *smtpsend.Config) { c.TLS = "none" }},
		{"server not verified", func(c *smtpsend.Config) { c.TLSConfig = &tls.Config{InsecureSkipVerify: true} }},
		{"no login", func(c *smtpsend.Config) { c.Password = "" }},
		{"NUL in the password", func(c *smtpsend.Config) { c.Password = "a\x00b" }},
		{"command in the local name", func(c *smtpsend.Config) { c.LocalName = "a\r\nMAIL" }},
	}
	for _, tt := range tests {
		config := good
		tt.change(&config)
		_, err := smtpsend.New(config)
		if err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: New: %v; want an error, without the password", tt.name, err)
		}
	}
}

// TestPasswordIsNotPrinted prints what holds the password in every way that fmt,
// slog and json know; but for %p, which is not for structs, and asks nobody.
func TestPasswordIsNotPrinted(t *testing.T) {
	config := smtpsend.Config{Addr: "smtp.pec.alfa.example:465", Username: username, Password: password}
	submitter, err := smtpsend.New(config)
	if err != nil {
		t.Fatal(err)
	}
	type nested struct{ C smtpsend.Config }
	var out bytes.Buffer
	for _, v := range []any{config, &config, nested{config}, submitter, *submitter} {
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

var nobody = pec.MustParseAddress("nobody@pec.beta.example")

// backend is a server of go-smtp.
type backend struct{ got []string }

func (b *backend) NewSession(*smtp.Conn) (smtp.Session, error) { return &backendSession{b: b}, nil }

type backendSession struct {
	b    *backend
	auth bool
}

func (s *backendSession) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *backendSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, pass string) error {
		if user != username || pass != password {
			return smtp.ErrAuthFailed
		}
		s.auth = true
		return nil
	}), nil
}
func (s *backendSession) Reset()        {}
func (s *backendSession) Logout() error { return nil }
func (s *backendSession) Mail(string, *smtp.MailOptions) error {
	if !s.auth {
		return smtp.ErrAuthRequired
	}
	return nil
}
func (s *backendSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	}
	return nil
}
func (s *backendSession) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err == nil {
		s.b.got = append(s.b.got, string(body))
	}
	return err
}

// TestAgainstGoSMTP sends to a server that others wrote, in both TLS modes.
func TestAgainstGoSMTP(t *testing.T) {
	for _, mode := range []smtpsend.TLSMode{smtpsend.TLSImplicit, smtpsend.TLSStart} {
		t.Run(string(mode), func(t *testing.T) {
			cert, roots := testpki.Server(t, host, nil)
			b := &backend{}
			server := smtp.NewServer(b)
			server.Domain, server.TLSConfig = host, &tls.Config{Certificates: []tls.Certificate{cert}}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			addr := listener.Addr().String()
			if mode == smtpsend.TLSImplicit {
				listener = tls.NewListener(listener, server.TLSConfig)
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(listener) }()
			session := open(t, smtpsend.Config{
				Addr: addr, TLS: mode, TLSConfig: &tls.Config{RootCAs: roots, ServerName: host},
				Username: username, Password: password,
			})
			for i := range 30 {
				sub, want := submission(message), dispatch.OutcomeSubmitted
				if i%3 == 1 {
					sub.To = nobody
					want = dispatch.OutcomePermanent
				}
				if got := session.Submit(t.Context(), sub, commitOK); got.Outcome != want || got.Broken {
					t.Fatalf("Submit, message %d = %s; want %s", i, describe(got), want)
				}
			}
			session.Close()
			server.Shutdown(context.Background())
			<-served
			if want := slices.Repeat([]string{message}, 20); !slices.Equal(b.got, want) {
				t.Errorf("server took %d messages, or not what was sent; want %d", len(b.got), len(want))
			}
		})
	}
}
