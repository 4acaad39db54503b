package smtpsend

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

// startPipe returns a session with a server that answers up to DATA, and then
// does what it is told.
func startPipe(t *testing.T, then func(net.Conn)) *session {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { theirs.Close() })
	go func() {
		r := bufio.NewReader(theirs)
		io.WriteString(theirs, "220 ready\r\n")
		for _, answer := range []string{"250 hello", "250 ok", "250 ok", "354 go on"} {
			r.ReadString('\n')
			io.WriteString(theirs, answer+"\r\n")
		}
		then(theirs)
	}()
	c := newConn(ours, ours, 100*time.Millisecond)
	s := &session{client: smtp.NewClient(c), conn: c, used: time.Now()}
	s.client.SubmissionTimeout = 100 * time.Millisecond
	t.Cleanup(func() { s.Close() })
	return s
}

const text = "Subject: 1\r\n\r\n"

func submission(message io.Reader) dispatch.Submission {
	return dispatch.Submission{
		From:    pec.MustParseAddress("studio@pec.alfa.example"),
		To:      pec.MustParseAddress("comune@pec.beta.example"),
		Size:    int64(len(text)),
		Message: message,
	}
}

// TestDotNotWritten lets the write fail in which the dot is. A pipe holds
// nothing, so that the server can stop reading at any byte.
func TestDotNotWritten(t *testing.T) {
	for _, read := range []int{0, len(text), len(text + ".\r"), len(text + ".\r\n")} {
		s := startPipe(t, func(conn net.Conn) { io.ReadFull(conn, make([]byte, read)) })
		got := s.Submit(t.Context(), submission(strings.NewReader(text)), func() error { return nil })
		if got.Outcome != dispatch.OutcomeUnknown || !got.Broken {
			t.Errorf("%d bytes of message and dot read: outcome %s (%v); want %s", read, got.Outcome, got.Err, dispatch.OutcomeUnknown)
		}
	}
}

// TestHungUpBeforeDot: when the server is known to be gone, neither is the intent
// recorded nor the dot written.
func TestHungUpBeforeDot(t *testing.T) {
	for _, inCommit := range []bool{false, true} {
		var s *session
		hangUp := make(chan struct{})
		gone := func() { close(hangUp); s.conn.listeners.Wait() }
		s = startPipe(t, func(conn net.Conn) { <-hangUp; conn.Close() })
		message := io.Reader(strings.NewReader(text))
		if !inCommit {
			message = io.MultiReader(message, readerFunc(func([]byte) (int, error) { gone(); return 0, io.EOF }))
		}
		commits := 0
		got := s.Submit(t.Context(), submission(message), func() error {
			commits++
			gone()
			return nil
		})
		if got.Outcome != dispatch.OutcomeNotSent || !got.Broken || (commits > 0) != inCommit {
			t.Errorf("hung up in commit: %t: outcome %s (%v), %d commits; want %s", inCommit, got.Outcome, got.Err, commits, dispatch.OutcomeNotSent)
		}
	}
}

// TestLeftAlone: what a server says while nobody talks to it is no answer to the
// next message.
func TestLeftAlone(t *testing.T) {
	for name, said := range map[string]string{
		"goodbye": "421 4.4.2 timeout exceeded\r\n", "half of it": "421", "nothing, and it hung up": "", "noise": "\x00\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			var server sync.WaitGroup
			server.Go(func() {
				io.WriteString(theirs, said)
				theirs.Close()
			})
			c := newConn(ours, ours, time.Minute)
			s := &session{client: smtp.NewClient(c), conn: c, used: time.Now()}
			c.overhear(time.Minute)
			got := s.Submit(t.Context(), submission(strings.NewReader(text)), func() error { return nil })
			if got.Outcome != dispatch.OutcomeNotSent || got.Code != 0 || !got.Broken {
				t.Errorf("Submit = %+v; want %s", got, dispatch.OutcomeNotSent)
			}
			s.Close()
			server.Wait()
		})
	}
	s := startPipe(t, func(net.Conn) {})
	err := s.client.Hello("localhost")
	s.conn.overhear(time.Millisecond)
	if err = errors.Join(err, s.client.Noop()); err != nil {
		t.Errorf("EHLO, silence, NOOP: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
