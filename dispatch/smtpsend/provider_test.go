package smtpsend_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/smtpsend"
	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/pec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is the name that the certificates of these tests are for.
const host = "smtp.pec.alfa.example"

const (
	username = "studio@pec.alfa.example"
	password = "segretissima"
)

// provider is an SMTP server that does as it is told, and remembers what it took.
type provider struct {
	listener net.Listener
	tls      *tls.Config
	roots    *x509.CertPool
	serving  sync.WaitGroup

	// faults are called, each once, in place of the answer to a command; "banner",
	// "body" and "dot" stand for what comes in place of the greeting, of reading a
	// message, and of the answer to a whole one. They return whether to go on.
	mu       sync.Mutex
	faults   map[string]func(*peer) bool
	accepted []string // messages that the server took for good
	whole    []string // messages that came with their final dot
	heard    []string // commands
	peers    []net.Conn
	closed   bool

	finished   chan struct{} // closed when the test is done with the server
	finishOnce sync.Once
}

// startProvider starts a server that speaks TLS from the first byte; changes are
// made before.
func startProvider(tb testing.TB, faults map[string]func(*peer) bool, changes ...func(*provider)) *provider {
	tb.Helper()
	cert, roots := testpki.Server(tb, host, nil)
	p := &provider{faults: faults, roots: roots, tls: &tls.Config{Certificates: []tls.Certificate{cert}}}
	for _, change := range changes {
		change(p)
	}
	p.start(tb, func(raw net.Conn) { p.serve(tls.Server(raw, p.tls)) })
	return p
}

func (p *provider) start(tb testing.TB, serve func(net.Conn)) {
	tb.Helper()
	p.finished = make(chan struct{})
	var err error
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		tb.Fatal(err)
	}
	p.serving.Go(func() {
		for {
			raw, err := p.listener.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() {
				defer raw.Close()
				if p.keep(raw) {
					serve(raw)
				}
			})
		}
	})
	tb.Cleanup(p.stop)
}

func (p *provider) keep(raw net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peers = append(p.peers, raw)
	return !p.closed
}

// stop ends the server and waits until what it had in hand is over, so that its
// record is complete.
func (p *provider) stop() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for _, c := range p.peers {
		c.Close()
	}
	p.mu.Unlock()
	p.finish()
}

// finish waits until the server has nothing in hand, once its clients are gone.
func (p *provider) finish() {
	p.listener.Close()
	p.finishOnce.Do(func() { close(p.finished) })
	p.serving.Wait()
}

func (p *provider) fault(name string) func(*peer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.faults[name]
	delete(p.faults, name)
	return f
}

func (p *provider) config() smtpsend.Config {
	return smtpsend.Config{
		Addr:      p.listener.Addr().String(),
		TLSConfig: &tls.Config{RootCAs: p.roots, ServerName: host},
		Username:  username,
		Password:  password,
	}
}

func (p *provider) serve(conn net.Conn) {
	x := &peer{provider: p, conn: conn, r: bufio.NewReader(conn)}
	if f := p.fault("banner"); f != nil {
		if !f(x) {
			return
		}
	} else {
		x.say("220 " + host + " ready")
	}
	for x.command() {
	}
}

// peer is one connection of a provider.
type peer struct {
	*provider
	conn net.Conn
	r    *bufio.Reader
	body string // the message that is being answered
}

// say writes lines. A client that is gone is no error.
func (x *peer) say(lines ...string) {
	io.WriteString(x.conn, strings.Join(lines, "\r\n")+"\r\n")
}

// answer is a fault that says lines and goes on.
func answer(lines ...string) func(*peer) bool {
	return func(x *peer) bool { x.say(lines...); return true }
}

// hangUp is a fault that closes the connection.
func hangUp(*peer) bool { return false }

// silent is a fault that waits for the client to go away.
func silent(x *peer) bool {
	io.Copy(io.Discard, x.r)
	return false
}

func (x *peer) accept() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.accepted = append(x.accepted, x.body)
}

// command answers one command, and returns whether to go on.
func (x *peer) command() bool {
	line, err := x.r.ReadString('\n')
	if err != nil {
		return false
	}
	line = strings.TrimRight(line, "\r\n")
	x.mu.Lock()
	x.heard = append(x.heard, line)
	x.mu.Unlock()
	verb, argument, _ := strings.Cut(line, " ")
	if f := x.fault(verb); f != nil {
		return f(x)
	}
	switch verb {
	case "EHLO":
		x.say("250-"+host, "250-SIZE 100000000", "250 AUTH PLAIN LOGIN")
	case "AUTH":
		x.auth(argument)
	case "MAIL", "RCPT", "RSET", "NOOP":
		x.say("250 2.0.0 ok")
	case "DATA":
		x.say("354 go on")
		return x.message()
	case "QUIT":
		x.say("221 bye")
		return false
	default:
		x.say("500 5.5.1 what?")
	}
	return true
}

func (x *peer) auth(argument string) {
	want := "PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+username+"\x00"+password))
	if argument != want {
		x.say("535 5.7.8 login of " + username + " refused")
		return
	}
	x.say("235 2.7.0 welcome")
}

// message reads a message and answers it.
func (x *peer) message() bool {
	if f := x.fault("body"); f != nil {
		return f(x)
	}
	if !x.readMessage() {
		return false
	}
	if f := x.fault("dot"); f != nil {
		return f(x)
	}
	x.accept()
	x.say("250 2.0.0 queued")
	return true
}

// readMessage reads a message up to its final dot, and returns whether there was
// one.
func (x *peer) readMessage() bool {
	var body strings.Builder
	for {
		line, err := x.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		body.WriteString(strings.TrimPrefix(line, "."))
	}
	x.body = body.String()
	x.mu.Lock()
	x.whole = append(x.whole, x.body)
	x.mu.Unlock()
	return true
}

// open opens a session, which the test must have succeed.
func open(tb testing.TB, c smtpsend.Config) dispatch.SubmitSession {
	tb.Helper()
	s, err := smtpsend.New(c)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	session, err := s.Open(context.Background())
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(func() { session.Close() })
	return session
}

const message = "Message-ID: <1@pec.alfa.example>\r\nSubject: Sollecito\r\n\r\nTesto\r\n.\r\n..punti\r\n"

// submission returns a message as a submission.
func submission(text string) dispatch.Submission {
	return dispatch.Submission{
		From:    pec.MustParseAddress(username),
		To:      pec.MustParseAddress("comune@pec.beta.example"),
		Size:    int64(len(text)),
		Message: strings.NewReader(text),
	}
}

// endless returns a submission of a message that is longer than any buffer.
func endless() dispatch.Submission {
	s := submission("")
	s.Size = 1 << 40
	s.Message = endlessReader{}
	return s
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	n := len(p) / 2 * 2
	for i := 0; i < n; i += 2 {
		p[i], p[i+1] = '\r', '\n'
	}
	return n, nil
}

func commitOK() error { return nil }

// describe shows a result in a failure text.
func describe(r dispatch.Result) string {
	return fmt.Sprintf("%s, code %d, reply %q, error %v, broken %t", r.Outcome, r.Code, r.Reply, r.Err, r.Broken)
}
