package imapbox_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"go.uber.org/goleak"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/internal/testpki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is the name that the certificates of these tests are for.
const host = "imap.pec.alfa.example"

const (
	username = "studio@pec.alfa.example"
	password = "segretissima"
)

// shortly is a time-out for servers that never answer: it only has to be longer
// than an honest answer takes.
const shortly = time.Second

func config(addr string, roots *x509.CertPool) imapbox.Config {
	return imapbox.Config{
		Addr:      addr,
		TLSConfig: &tls.Config{RootCAs: roots, ServerName: host},
		Username:  username,
		Password:  password,
	}
}

// tryOpen opens a session, which may fail.
func tryOpen(tb testing.TB, ctx context.Context, c imapbox.Config) (dispatch.MailboxSession, error) {
	tb.Helper()
	m, err := imapbox.New(c)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	s, err := m.Open(ctx)
	if err == nil {
		tb.Cleanup(func() { s.Close() })
	}
	return s, err
}

// open opens a session, which must succeed.
func open(tb testing.TB, c imapbox.Config) dispatch.MailboxSession {
	tb.Helper()
	s, err := tryOpen(tb, context.Background(), c)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	return s
}

// openInbox opens a session and selects INBOX.
func openInbox(tb testing.TB, c imapbox.Config) dispatch.MailboxSession {
	tb.Helper()
	s := open(tb, c)
	if _, err := s.Select(context.Background(), "INBOX"); err != nil {
		tb.Fatalf("Select: %v", err)
	}
	return s
}

// memory is a mailbox on the memory server of go-imap.
type memory struct {
	*imapmemserver.User
	config imapbox.Config
}

var rev1 = imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUIDPlus: {}}

// startMemory starts a server with an INBOX.
func startMemory(tb testing.TB, caps imap.CapSet) *memory {
	tb.Helper()
	cert, roots := testpki.Server(tb, host, nil)
	user := imapmemserver.NewUser(username, password)
	if err := user.Create("INBOX", nil); err != nil {
		tb.Fatal(err)
	}
	users := imapmemserver.New()
	users.AddUser(user)
	server := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return users.NewSession(), nil, nil
		},
		Caps:   caps,
		Logger: log.New(io.Discard, "", 0),
	})
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		tb.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(listener) })
	tb.Cleanup(func() { server.Close(); serving.Wait() })
	return &memory{user, config(listener.Addr().String(), roots)}
}

// deliver puts messages into INBOX.
func (m *memory) deliver(tb testing.TB, messages ...string) {
	tb.Helper()
	for _, text := range messages {
		if _, err := m.Append("INBOX", strings.NewReader(text), &imap.AppendOptions{Time: arrived}); err != nil {
			tb.Fatal(err)
		}
	}
}

var arrived = time.Date(2026, 9, 4, 10, 15, 30, 0, time.FixedZone("", 7200))

// unseen returns how many messages of INBOX are not marked as read.
func (m *memory) unseen(tb testing.TB) uint32 {
	tb.Helper()
	status, err := m.Status("INBOX", &imap.StatusOptions{NumUnseen: true})
	if err != nil {
		tb.Fatal(err)
	}
	return *status.NumUnseen
}

// expunge removes messages, as another client would.
func (m *memory) expunge(tb testing.TB, uids ...uint32) {
	tb.Helper()
	s := openInbox(tb, m.config)
	for _, uid := range uids {
		if err := s.Remove(context.Background(), uid); err != nil {
			tb.Fatalf("Remove(%d): %v", uid, err)
		}
	}
	s.Close()
}

// script is an IMAP server that does as it is told.
type script struct {
	listener net.Listener
	tls      *tls.Config
	roots    *x509.CertPool
	serving  sync.WaitGroup
	caps     string

	mu sync.Mutex // guards what follows
	// on holds, by command, what the server does in place of its usual answer; a
	// nil error means to go on. "greeting" stands for what comes in place of the
	// greeting.
	on     handlers
	heard  []string
	peers  []net.Conn
	closed bool
}

type handlers map[string]func(x *peer, tag, arguments string) error

// withCaps makes the server say that it can do other things than usual.
func withCaps(caps string) func(*script) { return func(s *script) { s.caps = caps } }

const fewCaps = "IMAP4rev1 AUTH=PLAIN SASL-IR"

const allCaps = "IMAP4rev1 AUTH=PLAIN SASL-IR IDLE UIDPLUS QUOTA"

// startScript starts a server that speaks TLS from the first byte; changes are
// made before.
func startScript(tb testing.TB, on handlers, changes ...func(*script)) *script {
	tb.Helper()
	cert, roots := testpki.Server(tb, host, nil)
	s := &script{on: on, roots: roots, caps: allCaps, tls: &tls.Config{Certificates: []tls.Certificate{cert}}}
	for _, change := range changes {
		change(s)
	}
	s.start(tb, func(raw net.Conn) { s.serve(tls.Server(raw, s.tls)) })
	return s
}

func (s *script) start(tb testing.TB, serve func(net.Conn)) {
	tb.Helper()
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		tb.Fatal(err)
	}
	s.serving.Go(func() {
		for {
			raw, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.serving.Go(func() {
				defer raw.Close()
				if s.keep(raw) {
					serve(raw)
				}
			})
		}
	})
	tb.Cleanup(s.stop)
}

func (s *script) keep(raw net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers = append(s.peers, raw)
	return !s.closed
}

// stop ends the server, so that its record is complete.
func (s *script) stop() {
	s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for _, c := range s.peers {
		c.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
}

func (s *script) config() imapbox.Config { return config(s.listener.Addr().String(), s.roots) }

// saw reports whether a command that begins with prefix came.
func (s *script) saw(prefix string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.heard, func(h string) bool { return strings.HasPrefix(h, prefix) })
}

// peer is one connection of a script.
type peer struct {
	*script
	conn net.Conn
	r    *bufio.Reader
}

func (s *script) serve(conn net.Conn) {
	x := &peer{s, conn, bufio.NewReader(conn)}
	if f := s.on["greeting"]; f != nil {
		if f(x, "", "") != nil {
			return
		}
	} else {
		x.say("* OK [CAPABILITY %s] ready", s.caps)
	}
	for x.command() == nil {
	}
}

func (x *peer) say(format string, args ...any) {
	fmt.Fprintf(x.conn, format+"\r\n", args...)
}

// command answers one command.
func (x *peer) command() error {
	line, err := x.r.ReadString('\n')
	if err != nil {
		return err
	}
	tag, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	verb, arguments, _ := strings.Cut(rest, " ")
	if verb == "UID" {
		var second string
		second, arguments, _ = strings.Cut(arguments, " ")
		verb += " " + second
	}
	x.mu.Lock()
	x.heard = append(x.heard, rest)
	f := x.on[verb]
	x.mu.Unlock()
	if f != nil {
		return f(x, tag, arguments)
	}
	return x.usual(tag, verb, arguments)
}

// usual answers a command as a server with 3 messages would, UIDs 7, 8 and 9.
func (x *peer) usual(tag, verb, arguments string) error {
	switch verb {
	case "AUTHENTICATE":
		if arguments != "PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+username+"\x00"+password)) {
			x.say("%s NO [AUTHENTICATIONFAILED] login of %s refused", tag, username)
			return nil
		}
	case "CAPABILITY":
		x.say("* CAPABILITY %s", x.caps)
	case "SELECT", "EXAMINE":
		x.say("* 3 EXISTS\r\n* OK [UIDVALIDITY 17] x\r\n* OK [UIDNEXT 10] x")
	case "UID SEARCH":
		x.say("* SEARCH 7 8 9")
	case "UID FETCH":
		for n, uid := range []string{"7", "8", "9"} {
			if strings.Contains(arguments, uid) || strings.HasPrefix(arguments, "7:9") {
				x.head(n+1, uid)
			}
		}
	case "IDLE":
		x.say("+ idling")
		if _, err := x.r.ReadString('\n'); err != nil {
			return err
		}
	case "LOGOUT":
		x.say("* BYE")
		x.say("%s OK", tag)
		return io.EOF
	}
	x.say("%s OK done", tag)
	return nil
}

const scriptMessage = "X-Ricevuta: accettazione\r\n\r\nTesto\r\n"

func (x *peer) head(n int, uid string) {
	x.say("* %d FETCH (UID %s RFC822.SIZE 40 INTERNALDATE \" 4-Sep-2026 10:15:30 +0200\" BODY[] {%d}\r\n%s)", n, uid, len(scriptMessage), scriptMessage)
}

// holding answers as a server does whose INBOX holds n messages with the UIDs from
// 1 on. Whatever is asked of one, it gives all of it.
func holding(n int, message func(uid imap.UID) string) handlers {
	return handlers{
		"UID SEARCH": func(x *peer, tag, _ string) error {
			w := bufio.NewWriter(x.conn)
			w.WriteString("* SEARCH")
			for i := range n {
				fmt.Fprintf(w, " %d", i+1)
			}
			fmt.Fprintf(w, "\r\n%s OK done\r\n", tag)
			return w.Flush()
		},
		"UID FETCH": func(x *peer, tag, arguments string) error {
			w := bufio.NewWriter(x.conn)
			set, _, _ := strings.Cut(arguments, " ")
			for r := range strings.SplitSeq(set, ",") {
				var from, to imap.UID
				if n, _ := fmt.Sscanf(r, "%d:%d", &from, &to); n == 1 {
					to = from
				}
				for uid := from; uid <= to && int(uid) <= n; uid++ {
					m := message(uid)
					fmt.Fprintf(w, "* %d FETCH (UID %d RFC822.SIZE %d INTERNALDATE %q BODY[] {%d}\r\n%s)\r\n",
						uid, uid, len(m), arrived.Format("_2-Jan-2006 15:04:05 -0700"), len(m), m)
				}
			}
			fmt.Fprintf(w, "%s OK done\r\n", tag)
			return w.Flush()
		},
	}
}

func these(messages []string) handlers {
	return holding(len(messages), func(uid imap.UID) string { return messages[uid-1] })
}

func hangUp(*peer, string, string) error { return io.EOF }

// silent waits for the client to go away.
func silent(x *peer, _, _ string) error {
	io.Copy(io.Discard, x.r)
	return io.EOF
}

// answer says lines in place of an answer; TAG is the tag.
func answer(lines ...string) func(*peer, string, string) error {
	return func(x *peer, tag, _ string) error {
		x.say("%s", strings.ReplaceAll(strings.Join(lines, "\r\n"), "TAG", tag))
		return nil
	}
}

// cut says text and hangs up.
func cut(text string) func(*peer, string, string) error {
	return func(x *peer, tag, _ string) error {
		io.WriteString(x.conn, strings.ReplaceAll(text, "TAG", tag))
		return io.EOF
	}
}
