package smtpsend

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// conn is the connection as the library sees it. It adds what the library lacks:
// a deadline for each write, bounded replies, and an ear that is open while a
// message is written.
//
// The library listens only when it wants an answer. This connection can be told
// to listen before: so it is known, before the final dot, if the server hung up
// or refused in the middle of the message, and nothing that it said before the
// dot can be taken for the answer to it.
//
// All but abort and Close is for the goroutine that uses the library.
type conn struct {
	net.Conn              // encrypted
	raw          net.Conn // beneath it
	writeTimeout time.Duration

	r         *bufio.Reader
	replies   chan reply     // the reply that listen heard
	listening bool           // r is in use by listen
	listeners sync.WaitGroup // goroutines of listen; at most one

	deadline time.Time // of the reply that is awaited
	rest     []byte    // what the library has not yet read of a reply
	failed   error     // nothing works any more
}

func newConn(encrypted, raw net.Conn, writeTimeout time.Duration) *conn {
	return &conn{
		Conn:         encrypted,
		raw:          raw,
		writeTimeout: writeTimeout,
		r:            bufio.NewReaderSize(encrypted, maxReplyLine),
		replies:      make(chan reply, 1),
	}
}

// listen hears the next reply as soon as it comes.
func (c *conn) listen() {
	if c.quiet() != nil {
		return
	}
	c.Conn.SetReadDeadline(time.Time{})
	c.listening = true
	c.listeners.Go(func() { c.replies <- readReply(c.r) })
}

// overhear notices what the server has said, or that it hung up, while nobody
// listened. It listens for that long, though what was said before is there at once.
func (c *conn) overhear(long time.Duration) {
	if c.quiet() != nil {
		return
	}
	c.Conn.SetReadDeadline(time.Now().Add(long))
	if _, err := c.r.Peek(1); errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	c.Conn.SetReadDeadline(time.Now().Add(time.Second))
	c.failed = &unaskedError{readReply(c.r)}
}

// SetDeadline implements net.Conn. The library calls it with the time by which
// it wants the whole of a reply.
func (c *conn) SetDeadline(t time.Time) error {
	c.deadline = t
	return nil
}

// Read implements net.Conn: it returns a reply once all of it has come.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if err := c.await(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// await waits for a reply.
func (c *conn) await() error {
	if c.failed != nil {
		return c.failed
	}
	c.Conn.SetReadDeadline(c.deadline)
	var rep reply
	if c.listening {
		rep = <-c.replies
		c.listening = false
	} else {
		rep = readReply(c.r)
	}
	c.rest, c.failed = rep.wire(), rep.err
	return rep.err
}

// Write implements net.Conn. It writes nothing unless the server has said nothing
// but what it was asked.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.quiet(); err != nil {
		return 0, err
	}
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// quiet returns an error, an [*unaskedError] as the case may be, if the server is
// known to have said something, or to have hung up, when it was not its turn.
func (c *conn) quiet() error {
	switch {
	case c.failed != nil:
	case !c.listening && c.r.Buffered() > 0:
		// Whatever it is, it answers nothing: this client never gives a command
		// before the last one was answered.
		c.failed = &unaskedError{reply{err: errSaidMore}}
	case len(c.replies) > 0:
		c.failed = &unaskedError{<-c.replies}
		c.listening = false
	}
	return c.failed
}

var errSaidMore = errors.New("server said more than it was asked")

// unaskedError says that the server spoke, or hung up, out of turn. What was to
// be written was not.
type unaskedError struct{ reply reply }

func (e *unaskedError) Error() string {
	if e.reply.err != nil {
		return e.reply.err.Error()
	}
	return fmt.Sprintf("server said %d unasked", e.reply.code)
}

func (e *unaskedError) Unwrap() error { return e.reply.err }

// abort cuts the connection at once. Neither TLS nor TCP is brought to an
// orderly end, and what is still on its way out is thrown away: nothing must
// look to the server like the end of a message.
func (c *conn) abort() {
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.raw.Close()
}
