//go:build unix

package imapbox_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/imapbox"
	"github.com/ceralacca/go-pec/internal/realserver"
	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// dovecot is a Dovecot with the mailbox of these tests.
type dovecot struct {
	*realserver.Dovecot
	t      *testing.T
	config imapbox.Config
}

func startDovecot(t *testing.T, c realserver.DovecotConfig) *dovecot {
	t.Helper()
	cert, roots := testpki.Server(t, host, nil)
	c.Certificate, c.Users = cert, map[string]string{username: password}
	d, err := realserver.StartDovecot(c)
	realserver.Need(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(d.Log())
		}
		if err := d.Close(); err != nil {
			t.Errorf("stopping Dovecot: %v", err)
		}
	})
	return &dovecot{d, t, config(d.IMAPS(), roots)}
}

// deliver puts messages into INBOX, as the provider does.
func (d *dovecot) deliver(messages ...string) {
	d.t.Helper()
	for _, m := range messages {
		if err := d.Deliver(username, []byte(m)); err != nil {
			d.t.Fatal(err)
		}
	}
}

// admin runs doveadm on the mailbox.
func (d *dovecot) admin(command string, args ...string) string {
	d.t.Helper()
	words := strings.Fields(command)
	out, err := d.Admin(append(append(words, "-u", username), args...)...)
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// heard returns what clients said.
func (d *dovecot) heard() string {
	d.t.Helper()
	all, err := d.Heard()
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

// inIdle waits until clients have said IDLE n times.
func (d *dovecot) inIdle(n int) {
	for strings.Count(d.heard(), " IDLE") < n && d.t.Context().Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
}

// starting calls f in another goroutine, and returns a function that waits for
// its error.
func starting(f func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return func() error { return <-done }
}

func TestDovecotLogin(t *testing.T) {
	d := startDovecot(t, realserver.DovecotConfig{})
	letIn := func(err error) bool { return err == nil }
	refused := func(err error) bool {
		var reply *imapbox.ReplyError
		return errors.Is(err, dispatch.ErrAuth) && errors.As(err, &reply) && reply.Code == "AUTHENTICATIONFAILED"
	}
	notCertified := func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }
	notItsName := func(err error) bool { return errors.As(err, new(x509.HostnameError)) }
	for _, tt := range []struct {
		name   string
		change func(*imapbox.Config)
		want   func(error) bool
	}{
		{"PLAIN", func(*imapbox.Config) {}, letIn},
		{"LOGIN", func(c *imapbox.Config) {
			c.Login = func(context.Context) (sasl.Client, error) { return sasl.NewLoginClient(username, password), nil }
		}, letIn},
		{"wrong password", func(c *imapbox.Config) { c.Password = "sbagliata" }, refused},
		{"unknown user", func(c *imapbox.Config) { c.Username = "nessuno@pec.alfa.example" }, refused},
		{"another's authority", func(c *imapbox.Config) { c.TLSConfig.RootCAs = x509.NewCertPool() }, notCertified},
		{"another's name", func(c *imapbox.Config) { c.TLSConfig.ServerName = "imap.pec.beta.example" }, notItsName},
	} {
		for _, mode := range []imapbox.TLSMode{imapbox.TLSImplicit, imapbox.TLSStart} {
			t.Run(tt.name+", TLS "+string(mode), func(t *testing.T) {
				c := d.config
				if c.TLS = mode; mode == imapbox.TLSStart {
					c.Addr = d.IMAP()
				}
				c.TLSConfig = c.TLSConfig.Clone()
				tt.change(&c)
				s, err := tryOpen(t, t.Context(), c)
				if err == nil {
					_, err = s.Select(t.Context(), "INBOX")
				}
				if !tt.want(err) {
					t.Errorf("Open and Select: %v", err)
				}
			})
		}
	}
}

// TestDovecotConnections: too many connections are no reason to suspend the
// account.
func TestDovecotConnections(t *testing.T) {
	d := startDovecot(t, realserver.DovecotConfig{Settings: "protocol imap {\n  mail_max_userip_connections = 1\n}\n"})
	first := open(t, d.config)
	_, err := tryOpen(t, t.Context(), d.config)
	var reply *imapbox.ReplyError
	if !errors.As(err, &reply) || errors.Is(err, dispatch.ErrAuth) {
		t.Errorf("Open, with one session more than the server allows: %v; want a refusal that is not ErrAuth", err)
	}
	first.Close()
	for tries := 0; ; tries++ { // the server needs a moment to notice
		if _, err = tryOpen(t, t.Context(), d.config); err == nil || tries > 1000 {
			break
		}
	}
	if err != nil {
		t.Errorf("Open, with no other session: %v", err)
	}
}

// TestDovecotReceipts reads receipts out of a mailbox that people use too, and
// leaves all as it was.
func TestDovecotReceipts(t *testing.T) {
	d := startDovecot(t, realserver.DovecotConfig{})
	receipts, options := someReceipts(t)
	d.deliver("Subject: ordinaria\r\n\r\nTesto\r\n", receipts[0], "no head\r\n", "\r\n", receipts[1], "Subject: \xe0\r\nX: \r\n\r\n\xff\r\n")
	d.admin("flags add", `\Seen`, "mailbox", "INBOX", "uid", "1")

	s := openInbox(t, d.config)
	list := heads(t, s, 0)
	if got := uidsOf(list); !slices.Equal(got, []uint32{1, 2, 3, 4, 5, 6}) {
		t.Fatalf("Heads: %v", got)
	}
	for i, uid := range []uint32{2, 5} {
		head := list[uid-1]
		raw := fetch(t, s, uid)
		if int64(len(raw)) != head.Size || !strings.HasSuffix(raw, receipts[i]) {
			t.Errorf("message %d: %d bytes, said to be %d, or not what was delivered", uid, len(raw), head.Size)
		}
		v, err := receipt.Verify(strings.NewReader(raw), options)
		if err != nil {
			t.Errorf("receipt %d: %v", uid, err)
		} else if class := pec.Classify(head.Header); class.Kind != v.Kind() || class.Reference != v.Data().MessageID {
			t.Errorf("head %+v; receipt %s about %s", class, v.Kind(), v.Data().MessageID)
		}
	}
	fetchAll(t, s, uidsOf(list)...)
	if err := s.Wait(t.Context(), 1); err != nil {
		t.Errorf("Wait: %v", err)
	}
	s.Close()
	if got := strings.Fields(d.admin("fetch", "flags", "mailbox", "INBOX", "seen")); !slices.Equal(got, []string{"flags:", `\Seen`, `\Recent`}) {
		t.Errorf("messages seen: %q; want the first one only", got)
	}
	if said := d.heard(); strings.Contains(said, "SELECT") || strings.Contains(said, "STORE") {
		t.Errorf("session said %q; want nothing that marks", said)
	}
}

// someReceipts returns an acceptance and a delivery, and what verifies them.
func someReceipts(t *testing.T) (raw []string, options receipt.Options) {
	t.Helper()
	network := pectest.New(t, pectest.Config{})
	message := "From: studio@pec.alfa.example\r\nTo: comune@pec.beta.example\r\nSubject: Sollecito\r\n" +
		"Message-ID: <1@pec.alfa.example>\r\nDate: Fri, 4 Sep 2026 10:15:30 +0200\r\n\r\nTesto\r\n"
	err := network.Submit(network.Account("studio@pec.alfa.example"), []string{"comune@pec.beta.example"}, strings.NewReader(message))
	if err = errors.Join(err, network.Settle(t.Context())); err != nil {
		t.Fatal(err)
	}
	for m := range network.Messages("studio@pec.alfa.example") {
		raw = append(raw, string(m))
	}
	if len(raw) != 2 {
		t.Fatalf("%d receipts; want 2", len(raw))
	}
	return raw, network.VerifyOptions()
}

// TestDovecotFolders: names are what people gave, whatever they are on the wire.
func TestDovecotFolders(t *testing.T) {
	d := startDovecot(t, realserver.DovecotConfig{})
	s := open(t, d.config)
	for i, folder := range []string{"Ricevute", "Ricevute PEC.Anno 2026", "Università & Co", "con \"virgolette\"", "附件"} {
		d.admin("mailbox create", folder)
		text := fmt.Sprintf("Subject: %d\r\n\r\nTesto\r\n", i)
		if err := s.Append(t.Context(), folder, int64(len(text)), strings.NewReader(text)); err != nil {
			t.Errorf("Append to %q: %v", folder, err)
		}
		found, err := s.Select(t.Context(), folder)
		if err != nil || found.Messages != 1 {
			t.Errorf("Select(%q): %+v, %v; want one message", folder, found, err)
		} else if got := fetch(t, s, 1); got != text {
			t.Errorf("%q holds %q; want %q", folder, got, text)
		}
	}
	var reply *imapbox.ReplyError
	if _, err := s.Select(t.Context(), "Nessuna"); !errors.As(err, &reply) {
		t.Errorf("Select of a folder that is not there: %v", err)
	}
	if err := s.Append(t.Context(), "Inviata/2026/Novità", 4, strings.NewReader("a:b\n")); !errors.Is(err, dispatch.ErrMailboxRefused) {
		t.Errorf("Append to a folder that can't be made: %v", err) // a name in this file system has no slash
	}
	for i := range 2 { // it is made, and is there then
		if err := s.Append(t.Context(), "Inviata.2026.Novità", 4, strings.NewReader("a:b\n")); err != nil {
			t.Errorf("Append: %v", err)
		}
		if found, err := s.Select(t.Context(), "Inviata.2026.Novità"); err != nil || found.Messages != uint32(i+1) {
			t.Errorf("Select of the folder that Append made: %+v, %v", found, err)
		}
	}
	if got := strings.Fields(d.admin("mailbox list", "-s")); !slices.Equal(got, []string{"Inviata.2026.Novità"}) {
		t.Errorf("folders subscribed to: %q; want the one that Append made", got)
	}
}

// TestDovecotUIDValidity: a folder made anew is told from what it was.
func TestDovecotUIDValidity(t *testing.T) {
	d := startDovecot(t, realserver.DovecotConfig{})
	d.admin("mailbox create", "Ricevute")
	d.deliver("Subject: x\r\n\r\n")
	for _, folder := range []string{"INBOX", "Ricevute"} {
		s := open(t, d.config)
		before, err := s.Select(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.Select(t.Context(), folder)
		if err != nil || again != before {
			t.Errorf("Select(%q) again: %+v, %v; want %+v", folder, again, err, before)
		}
		if folder == "INBOX" { // which can't be deleted; a session that has it open may not notice
			s.Close()
			d.admin("mailbox update", "--uid-validity", fmt.Sprint(before.UIDValidity+1), folder)
		} else {
			d.admin("mailbox delete", folder)
			d.admin("mailbox create", folder)
		}
		after, err := s.Select(t.Context(), folder)
		if err != nil { // the server may put the session out
			after, err = open(t, d.config).Select(t.Context(), folder)
		}
		if err != nil || after.UIDValidity == before.UIDValidity {
			t.Errorf("Select(%q) of a folder made anew: %+v, %v; was %+v", folder, after, err, before)
		}
	}
}

// TestDovecotSpace: a mailbox that is full says so before it refuses.
func TestDovecotSpace(t *testing.T) {
	d := startDovecot(t, realserver.DovecotConfig{Quota: "100K"})
	s := openInbox(t, d.config)
	if used, limit, ok, err := s.Space(t.Context()); used != 0 || limit != 100<<10 || !ok || err != nil {
		t.Errorf("Space of an empty mailbox: %d of %d, %t, %v", used, limit, ok, err)
	}
	text := "Subject: x\r\n\r\n" + strings.Repeat("Testo e testo.\r\n", 1<<12) // 64 KiB
	add := func() error {
		return s.Append(t.Context(), "INBOX", int64(len(text)), strings.NewReader(text))
	}
	if err := add(); err != nil {
		t.Fatalf("Append: %v", err)
	}
	if used, _, ok, err := s.Space(t.Context()); used < 64<<10 || used > 65<<10 || !ok || err != nil {
		t.Errorf("Space of a mailbox with %d bytes: %d, %t, %v", len(text), used, ok, err)
	}
	var reply *imapbox.ReplyError
	err := add()
	if !errors.As(err, &reply) || reply.Code != "OVERQUOTA" {
		t.Errorf("Append to a full mailbox: %v; want NO [OVERQUOTA]", err)
	}
	_, selected := s.Select(t.Context(), "INBOX")
	if goesOn := errors.Is(err, dispatch.ErrMailboxRefused); goesOn != (selected == nil) || errors.Is(selected, dispatch.ErrFolder) {
		t.Errorf("Append: %v; Select afterwards: %v; want the former to say whether the session goes on", err, selected)
	}
}

// TestDovecotRemove: only what is asked to goes.
func TestDovecotRemove(t *testing.T) {
	d := startDovecot(t, realserver.DovecotConfig{})
	d.deliver("Subject: 1\r\n\r\n", "Subject: 2\r\n\r\n", "Subject: 3\r\n\r\n")
	d.admin("flags add", `\Deleted`, "mailbox", "INBOX", "uid", "1") // somebody will think again
	s := openInbox(t, d.config)
	for range 2 { // the second time it is gone already
		if err := s.Remove(t.Context(), 2); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
	s.Close()
	if got := uidsOf(heads(t, openInbox(t, d.config), 0)); !slices.Equal(got, []uint32{1, 3}) {
		t.Errorf("messages left: %v; want 1 and 3", got)
	}
}

// TestDovecotIdle: new mail ends the waiting, and so does a server that goes. It
// comes back with the same UIDs, and nothing is found twice or missed.
func TestDovecotIdle(t *testing.T) {
	d := startDovecot(t, realserver.DovecotConfig{})
	var found []uint32
	last := func() uint32 { return uint32(len(found)) }
	s := openInbox(t, d.config)
	look := func() { found = append(found, uidsOf(heads(t, s, last()))...) }
	waiting := func() func() error {
		idle := strings.Count(d.heard(), " IDLE")
		wait := starting(func() error { return s.Wait(t.Context(), time.Hour) })
		d.inIdle(idle + 1)
		return wait
	}
	look()
	for _, end := range []func() error{d.Stop, d.Kill} {
		wait := waiting()
		d.deliver("Subject: x\r\n\r\n")
		if err := wait(); err != nil {
			t.Fatalf("Wait, for new mail: %v", err)
		}
		look()
		wait = waiting()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := wait(); err == nil {
			t.Error("Wait on a server that went: no error")
		}
		if err := d.Start(); err != nil {
			t.Fatal(err)
		}
		d.deliver("Subject: y\r\n\r\n")
		s = openInbox(t, d.config)
		look()
	}
	if !slices.Equal(found, []uint32{1, 2, 3, 4}) {
		t.Errorf("found messages %v; want each of 4 once", found)
	}
}

// TestDovecotLargeMessage: a message of any size goes by without being held, and
// one that breaks off is not taken for whole.
func TestDovecotLargeMessage(t *testing.T) {
	d := startDovecot(t, realserver.DovecotConfig{})
	text := "Subject: xyz\r\n\r\n" + strings.Repeat("Testo, e poi testo....\r\n", 1<<20)
	d.deliver(text)
	s := openInbox(t, d.config)
	broken := s.Fetch(t.Context(), []uint32{1}, func(_ uint32, _ int64, r io.Reader) error {
		if _, err := io.CopyN(io.Discard, r, 1<<20); err != nil {
			t.Errorf("reading the first MiB: %v", err)
		}
		if err := d.Kill(); err != nil {
			t.Error(err)
		}
		n, err := io.Copy(io.Discard, r)
		if err == nil {
			t.Errorf("reading on from a server that was killed: %d bytes, and no error", n)
		}
		return nil // it makes no difference
	})
	if broken == nil {
		t.Error("Fetch from a server that was killed: no error")
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}

	s = openInbox(t, d.config)
	digest, before, most := sha256.New(), heapInUse(), uint64(0)
	err := s.Fetch(t.Context(), []uint32{1}, func(_ uint32, size int64, r io.Reader) error {
		_, err := io.CopyN(io.Discard, r, size-int64(len(text))) // what the server put before it
		for left := len(text); left > 0 && err == nil; left -= len(text) / 8 {
			_, err = io.CopyN(digest, r, int64(len(text)/8))
			most = max(most, heapInUse())
		}
		return err
	})
	if err != nil || [sha256.Size]byte(digest.Sum(nil)) != sha256.Sum256([]byte(text)) {
		t.Errorf("Fetch: %v, or the message is not as it was", err)
	}
	if grown := int64(most) - int64(before); grown > 4<<20 {
		t.Errorf("memory grew by %d bytes while %d were read", grown, len(text))
	}
}
