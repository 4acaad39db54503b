package imapbox

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

// TestIdleIsRenewed: the server is not left alone for long.
func TestIdleIsRenewed(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	idles := make(chan int, 1)
	go func() {
		n := 0
		defer func() { idles <- n }()
		r := bufio.NewReader(theirs)
		io.WriteString(theirs, "* OK [CAPABILITY IMAP4rev1 IDLE] ready\r\n")
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			tag, command, _ := strings.Cut(strings.TrimSpace(line), " ")
			if command == "IDLE" {
				io.WriteString(theirs, "+ idling\r\n")
				if n++; n == 3 {
					io.WriteString(theirs, "* 1 EXISTS\r\n")
				}
				r.ReadString('\n')
			}
			fmt.Fprintf(theirs, "%s OK\r\n", tag)
		}
	}()
	s := newSession(&conn{Conn: ours, raw: ours}, time.Minute, time.Minute)
	s.caps, s.folder = imap.CapSet{imap.CapIdle: {}}, "INBOX"
	s.idle = time.Millisecond
	if err := s.Wait(t.Context(), time.Hour); err != nil {
		t.Errorf("Wait: %v", err)
	}
	s.Close()
	if n := <-idles; n != 3 {
		t.Errorf("IDLE was begun %d times; want 3, the last of which told of mail", n)
	}
}
