//go:build unix

package smtpsend_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
	"github.com/ceralacca/go-pec/internal/realserver"
	"github.com/ceralacca/go-pec/internal/testpki"
)

// recipient is whom the messages of these tests go to.
const recipient = "comune@pec.beta.example"

// postfix is a Postfix whose mail all goes to one mailbox, on a Dovecot. What it
// answers can be decided by the test.
type postfix struct {
	*realserver.Postfix
	t       *testing.T
	dovecot *realserver.Dovecot
	roots   *x509.CertPool
	policy  *policy
}

func startPostfix(t *testing.T, settings string) *postfix {
	t.Helper()
	p := &postfix{t: t, policy: startPolicy(t)}
	var cert tls.Certificate
	cert, p.roots = testpki.Server(t, host, nil)
	var err error
	p.dovecot, err = realserver.StartDovecot(realserver.DovecotConfig{
		Certificate: cert, Users: map[string]string{username: password, recipient: password},
	})
	realserver.Need(t, err)
	t.Cleanup(func() { p.dovecot.Close() })
	p.Postfix, err = realserver.StartPostfix(realserver.PostfixConfig{
		Certificate: cert, Logins: p.dovecot,
		Transport: "lmtp:inet:" + p.dovecot.LMTP(),
		Settings: "smtpd_sender_login_maps = inline:{ {" + username + " = " + username + "} }\n" +
			"smtpd_recipient_restrictions = reject_sender_login_mismatch, check_policy_service inet:" + p.policy.Addr().String() + "\n" +
			"smtpd_end_of_data_restrictions = check_policy_service inet:" + p.policy.Addr().String() + "\n" +
			settings,
	})
	realserver.Need(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.Log())
		}
		if err := p.Close(); err != nil {
			t.Errorf("stopping Postfix: %v", err)
		}
	})
	return p
}

func (p *postfix) config() smtpsend.Config {
	return smtpsend.Config{
		Addr:      p.SMTPS(),
		TLSConfig: &tls.Config{RootCAs: p.roots, ServerName: host},
		Username:  username,
		Password:  password,
	}
}

// alsoOpen opens one more session, which stays open.
func (p *postfix) alsoOpen() error {
	submitter, err := smtpsend.New(p.config())
	if err != nil {
		return err
	}
	session, err := submitter.Open(p.t.Context())
	if err == nil {
		p.t.Cleanup(func() { session.Close() })
	}
	return err
}

// delivered waits until all that the server took is delivered, and returns that.
func (p *postfix) delivered() (messages []string) {
	p.t.Helper()
	if err := p.Drain(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	mailbox, err := imapbox.New(imapbox.Config{
		Addr: p.dovecot.IMAPS(), TLSConfig: p.config().TLSConfig, Username: recipient, Password: password,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	session, err := mailbox.Open(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	defer session.Close()
	if _, err := session.Select(p.t.Context(), "INBOX"); err != nil {
		p.t.Fatal(err)
	}
	var uids []uint32
	for head, err := range session.Heads(p.t.Context(), 0) {
		if err != nil {
			p.t.Fatal(err)
		}
		uids = append(uids, head.UID)
	}
	err = session.Fetch(p.t.Context(), uids, func(_ uint32, _ int64, r io.Reader) error {
		b, err := io.ReadAll(r)
		messages = append(messages, string(b))
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return messages
}

// empty removes what was delivered.
func (p *postfix) empty() {
	p.t.Helper()
	if err := p.Drain(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.dovecot.Admin("expunge", "-u", recipient, "mailbox", "INBOX", "all"); err != nil {
		p.t.Fatal(err)
	}
}

// numbers are the messages delivered, by their numbers.
func (p *postfix) numbers() (numbers []string) {
	p.t.Helper()
	for _, m := range p.delivered() {
		_, after, _ := strings.Cut(m, "\r\nSubject: numero ")
		number, _, _ := strings.Cut(after, "\r\n")
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	return numbers
}

// numbered is a message with a number.
func numbered(n int) string {
	return fmt.Sprintf("Message-ID: <%d@pec.alfa.example>\r\nSubject: numero %d\r\n\r\nTesto\r\n", n, n)
}

// policy is a server that Postfix asks before it answers to RCPT and to the final
// dot.
type policy struct {
	net.Listener
	serving sync.WaitGroup

	mu  sync.Mutex
	ask func(state string) string // what Postfix is to answer; "" if as it likes
}

func startPolicy(t *testing.T) *policy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &policy{Listener: l}
	var mu sync.Mutex
	var open []net.Conn
	p.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			p.serving.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		p.serving.Wait()
	})
	return p
}

func (p *policy) set(ask func(state string) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ask = ask
}

// answering has Postfix answer something in a state: RCPT, or END-OF-MESSAGE for
// the final dot.
func (p *policy) answering(state, reply string) {
	p.set(func(s string) string {
		if s == state {
			return reply
		}
		return ""
	})
}

func (p *policy) serve(c net.Conn) {
	defer c.Close()
	state := ""
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "protocol_state="); ok {
			state = value
		}
		if lines.Text() != "" {
			continue
		}
		p.mu.Lock()
		ask := p.ask
		p.mu.Unlock()
		action := ""
		if ask != nil {
			action = ask(state)
		}
		if action == "" {
			action = "dunno"
		}
		fmt.Fprintf(c, "action=%s\n\n", action)
	}
}

// TestPostfix: one server for all that changes nothing in it.
func TestPostfix(t *testing.T) {
	p := startPostfix(t, "message_size_limit = 8000000\n")
	for _, part := range []struct {
		name string
		test func(*testing.T, *postfix)
	}{
		{"login", testPostfixLogin},
		{"messages", testPostfixMessages},
		{"refusals", testPostfixRefusals},
		{"unheard", testPostfixUnheard},
		{"ends", testPostfixEnds},
	} {
		t.Run(part.name, func(t *testing.T) {
			p.t = t
			p.policy.set(nil)
			p.empty()
			part.test(t, p)
		})
	}
}

func testPostfixLogin(t *testing.T, p *postfix) {
	letIn := func(err error) bool { return err == nil }
	refused := func(err error) bool {
		var reply *smtpsend.ReplyError
		return errors.Is(err, dispatch.ErrAuth) && errors.As(err, &reply) && reply.Code == 535
	}
	notCertified := func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }
	notItsName := func(err error) bool { return errors.As(err, new(x509.HostnameError)) }
	for _, tt := range []struct {
		name   string
		change func(*smtpsend.Config)
		want   func(error) bool
	}{
		{"right password", func(*smtpsend.Config) {}, letIn},
		{"wrong password", func(c *smtpsend.Config) { c.Password = "sbagliata" }, refused},
		{"unknown user", func(c *smtpsend.Config) { c.Username = "nessuno@pec.alfa.example" }, refused},
		{"another's authority", func(c *smtpsend.Config) { c.TLSConfig.RootCAs = x509.NewCertPool() }, notCertified},
		{"another's name", func(c *smtpsend.Config) { c.TLSConfig.ServerName = "smtp.pec.beta.example" }, notItsName},
	} {
		for _, mode := range []smtpsend.TLSMode{smtpsend.TLSImplicit, smtpsend.TLSStart} {
			t.Run(tt.name+", TLS "+string(mode), func(t *testing.T) {
				c := p.config()
				if c.TLS = mode; mode == smtpsend.TLSStart {
					c.Addr = p.SMTP()
				}
				tt.change(&c)
				if err := tryOpen(t, t.Context(), c); !tt.want(err) {
					t.Errorf("Open: %v", err)
				}
			})
		}
	}
}

// testPostfixMessages: what arrives is what was signed off, below the fields that
// servers put before it.
func testPostfixMessages(t *testing.T, p *postfix) {
	head := "Subject: x\r\nFrom: " + username + "\r\nDate: Fri, 4 Sep 2026 10:15:30 +0200\r\nMessage-ID: <%d@pec.alfa.example>\r\n"
	var texts []string
	for n, body := range []string{
		"Testo\r\n.\r\n..punti\r\n",
		".\r\n..\r\n.x\r\n\r\n",
		strings.Repeat(strings.Repeat("x", 998)+"\r\n", 3) + strings.Repeat("\r\n", 5),
		strings.Repeat(".Testo, e poi testo\r\n", 200_000),
	} {
		texts = append(texts, fmt.Sprintf(head+"\r\n", n)+body)
	}
	session := open(t, p.config())
	for _, text := range texts {
		if got := session.Submit(t.Context(), submission(text), commitOK); got.Outcome != dispatch.OutcomeSubmitted || got.Code != 250 {
			t.Fatalf("Submit = %s", describe(got))
		}
	}
	got := p.delivered()
	if len(got) != len(texts) {
		t.Fatalf("%d messages arrived; want %d", len(got), len(texts))
	}
	for _, text := range texts {
		if n := len(slices.DeleteFunc(slices.Clone(got), func(m string) bool { return !strings.HasSuffix(m, "\r\n"+text) })); n != 1 {
			t.Errorf("a message of %d bytes arrived %d times as it was sent", len(text), n)
		}
	}
}

// testPostfixRefusals: a refusal is told from an accident, and does not stop the
// next message.
func testPostfixRefusals(t *testing.T, p *postfix) {
	stranger := submission(message)
	stranger.From = stranger.To
	for _, tt := range []struct {
		name         string
		sub          dispatch.Submission
		state, reply string
		outcome      dispatch.Outcome
		code         int
		broken       bool
	}{
		{"too large, said beforehand", endless(), "", "", dispatch.OutcomePermanent, 552, false},
		{"another's address", stranger, "", "", dispatch.OutcomePermanent, 553, false},
		{"no such recipient", submission(message), "RCPT", "550 5.1.1 no such mailbox", dispatch.OutcomePermanent, 550, false},
		{"recipient full", submission(message), "RCPT", "452 4.2.2 full", dispatch.OutcomeTemporary, 452, false},
		{"greylisted", submission(message), "RCPT", "450 4.2.0 later", dispatch.OutcomeTemporary, 450, false},
		{"sent away at RCPT", submission(message), "RCPT", "421 4.7.0 too much", dispatch.OutcomeTemporary, 421, true},
		{"refused at the dot", submission(message), "END-OF-MESSAGE", "554 5.7.1 malware", dispatch.OutcomePermanent, 554, false},
		{"too large at the dot", submission(message), "END-OF-MESSAGE", "552 5.3.4 too large", dispatch.OutcomePermanent, 552, false},
		{"not now, at the dot", submission(message), "END-OF-MESSAGE", "451 4.3.0 later", dispatch.OutcomeTemporary, 451, false},
		{"sent away at the dot", submission(message), "END-OF-MESSAGE", "421 4.3.2 going down", dispatch.OutcomeTemporary, 421, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			session := open(t, p.config())
			p.policy.answering(tt.state, tt.reply)
			got := session.Submit(t.Context(), tt.sub, commitOK)
			if got.Outcome != tt.outcome || got.Code != tt.code || got.Broken != tt.broken {
				t.Errorf("Submit = %s; want %s, code %d, broken %t", describe(got), tt.outcome, tt.code, tt.broken)
			}
			p.policy.set(nil)
			if tt.broken {
				return
			}
			if got := session.Submit(t.Context(), submission(numbered(1)), commitOK); got.Outcome != dispatch.OutcomeSubmitted {
				t.Errorf("Submit of the next message = %s", describe(got))
			}
		})
	}
	if got := p.numbers(); slices.ContainsFunc(got, func(n string) bool { return n != "1" }) || len(got) != 8 {
		t.Errorf("messages arrived: %q; want the next ones only", got)
	}
}

// TestPostfixStrict: a server that offers no PLAIN, and knows what is too much.
func TestPostfixStrict(t *testing.T) {
	p := startPostfix(t, "smtpd_sasl_mechanism_filter = login\nsmtpd_client_message_rate_limit = 2\nsmtpd_client_connection_count_limit = 2\n")
	wrong := p.config()
	wrong.Password = "sbagliata"
	if err := tryOpen(t, t.Context(), wrong); !errors.Is(err, dispatch.ErrAuth) {
		t.Errorf("Open with a wrong password: %v; want ErrAuth", err)
	}
	session := open(t, p.config())
	var err error
	for range 2 { // the server may not have noticed yet that the first one is gone
		if err == nil {
			err = p.alsoOpen()
		}
	}
	var reply *smtpsend.ReplyError
	if !errors.As(err, &reply) || reply.Code != 421 || errors.Is(err, dispatch.ErrAuth) {
		t.Errorf("Open, with one connection more than the server allows: %v; want 421, and not ErrAuth", err)
	}
	for n := range 4 {
		want := dispatch.OutcomeSubmitted
		if n >= 2 {
			want = dispatch.OutcomeTemporary
		}
		if got := session.Submit(t.Context(), submission(numbered(n)), commitOK); got.Outcome != want || got.Broken {
			t.Errorf("message %d: Submit = %s; want %s", n, describe(got), want)
		}
	}
	if got := p.numbers(); !slices.Equal(got, []string{"0", "1"}) {
		t.Errorf("messages arrived: %q; want 0 and 1", got)
	}
}

// testPostfixEnds: a server that goes, at each point of a session. Whatever is
// said of a message is what happened to it.
func testPostfixEnds(t *testing.T, p *postfix) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var arrived []string
	check := func(n int, got dispatch.Result, want ...dispatch.Outcome) {
		t.Helper()
		if !slices.Contains(want, got.Outcome) || !got.Broken {
			t.Errorf("message %d: Submit = %s; want %s, broken", n, describe(got), want)
		}
	}

	for i, end := range []func() error{p.Stop, p.Kill} {
		session := open(t, p.config())
		if got := session.Submit(t.Context(), submission(numbered(i)), commitOK); got.Outcome != dispatch.OutcomeSubmitted {
			t.Fatalf("message %d: Submit = %s", i, describe(got))
		}
		arrived = append(arrived, fmt.Sprint(i))
		must(p.Drain(t.Context())) // Postfix delivers again what it was killed in delivering
		must(end())
		check(10+i, session.Submit(t.Context(), submission(numbered(10+i)), commitOK), dispatch.OutcomeNotSent)
		must(p.Start())
	}

	session := open(t, p.config())
	check(20, session.Submit(t.Context(), submission(numbered(20)), p.Kill), dispatch.OutcomeNotSent, dispatch.OutcomeUnknown)
	must(p.Start())

	// It has the whole message, and is killed before it decides.
	killed := make(chan error, 1)
	p.policy.set(func(state string) string {
		if state == "END-OF-MESSAGE" {
			killed <- p.Kill()
		}
		return ""
	})
	session = open(t, p.config())
	check(30, session.Submit(t.Context(), submission(numbered(30)), commitOK), dispatch.OutcomeUnknown)
	must(<-killed)
	p.policy.set(nil)
	must(p.Start())

	if got := p.numbers(); !slices.Equal(got, arrived) {
		t.Errorf("messages arrived: %q; want %q", got, arrived)
	}
}

// testPostfixUnheard: the server takes a message, and its answer is not heard.
// Sent again, it would arrive twice.
func testPostfixUnheard(t *testing.T, p *postfix) {
	t.Run("the line is cut", func(t *testing.T) {
		line := startLine(t, p.SMTPS())
		c := p.config()
		c.Addr = line.Addr().String()
		session := open(t, c)
		got := session.Submit(t.Context(), submission(numbered(1)), func() error {
			line.cutAtAnswer()
			return nil
		})
		if got.Outcome != dispatch.OutcomeUnknown || !got.Broken {
			t.Errorf("Submit = %s; want %s, broken", describe(got), dispatch.OutcomeUnknown)
		}
	})
	t.Run("it comes too late", func(t *testing.T) {
		givenUp := make(chan struct{})
		p.policy.set(func(state string) string {
			if state == "END-OF-MESSAGE" {
				<-givenUp
			}
			return ""
		})
		line := startLine(t, p.SMTPS())
		c := p.config()
		c.Addr, c.FinalTimeout = line.Addr().String(), shortly
		session := open(t, c)
		got := session.Submit(t.Context(), submission(numbered(2)), func() error {
			line.cutAtAnswer()
			return nil
		})
		if got.Outcome != dispatch.OutcomeUnknown || !got.Broken {
			t.Errorf("Submit = %s; want %s, broken", describe(got), dispatch.OutcomeUnknown)
		}
		close(givenUp)
		<-line.ended // with the answer: before it, the message is in no queue
	})
	if got := p.numbers(); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("messages arrived: %q; want both", got)
	}
}

// line is a connection to a server that can be cut. It hears the server out when the
// client has given up.
type line struct {
	net.Listener
	ended chan struct{} // closed once the server can't say anything any more

	mu  sync.Mutex
	cut bool
}

func startLine(t *testing.T, server string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{Listener: listener, ended: make(chan struct{})}
	var serving sync.WaitGroup
	serving.Go(func() {
		defer close(l.ended)
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		upstream, err := new(net.Dialer).DialContext(context.Background(), "tcp", server)
		if err != nil {
			return
		}
		defer upstream.Close()
		serving.Go(func() { io.Copy(upstream, client); upstream.(*net.TCPConn).CloseWrite() })
		buf := make([]byte, 4096)
		for {
			n, err := upstream.Read(buf)
			l.mu.Lock()
			cut := l.cut
			l.mu.Unlock()
			if err != nil || cut {
				return
			}
			client.Write(buf[:n])
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return l
}

// cutAtAnswer cuts the line when the server says the next thing, which the client
// does not hear.
func (l *line) cutAtAnswer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
}
