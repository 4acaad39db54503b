package imapbox

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// FuzzAnswer: whatever a server answers, every command ends, and a message that is
// given out as whole has the size that it was said to have.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"* SEARCH 7 8\r\nT1 OK\r\n* 1 FETCH (UID 7 BODY[] {3}\r\nabc)\r\nT2 OK\r\n",
		"* ESEARCH (TAG \"T1\") UID ALL 7:9,12\r\nT1 OK\r\n* 1 FETCH (BODY[] {3}\r\nabc UID 7)\r\nT2 OK\r\n* SEARCH 7\r\nT3 OK\r\n",
		"* LIST (a (b (c))) \"/\" {3}\r\nabc\r\n* OK [X \"{9}\r\n] x\r\nT1 NO [LIMIT] x\r\n",
		"* 1 FETCH (BODY ((\"a\" \"b\" NIL NIL NIL \"7bit\" 1) \"mixed\"))\r\n* BYE x\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs := net.Pipe()
		var server sync.WaitGroup
		server.Go(func() {
			defer theirs.Close()
			io.WriteString(theirs, "* OK [CAPABILITY IMAP4rev1 ESEARCH] ready\r\n")
			if _, err := bufio.NewReader(theirs).ReadString('\n'); err != nil {
				return
			}
			server.Go(func() { io.Copy(io.Discard, theirs) })
			theirs.Write(said)
		})
		s := newSession(&conn{Conn: ours, raw: ours}, 10*time.Second, time.Second)
		s.folder, s.validity = "INBOX", 1
		for range s.Heads(context.Background(), 6) {
		}
		var got bytes.Buffer
		size := int64(-1)
		err := s.Fetch(context.Background(), []uint32{7}, func(_ uint32, n int64, r io.Reader) error {
			size = n
			got.Reset()
			_, err := got.ReadFrom(r)
			return err
		})
		if err == nil && size >= 0 && size != int64(got.Len()) {
			t.Errorf("%q: a message of %d bytes, said to have %d", said, got.Len(), size)
		}
		s.Close()
		server.Wait()
	})
}
