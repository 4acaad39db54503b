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
// a deadline for each write, bounded replies, and an ear that is always open.
//
// The server is listened to all the time, not only when an answer is due. So it
// is known before the final dot if the server hung up in the middle of the
// message, and a reply that nobody asked for is never taken for the answer to
// what comes next.
//
// Read, Write, quiet and SetDeadline are for the goroutine that uses the library;
// abort and Close may be called by any.
type conn struct {
	net.Conn              // encrypted
	raw          net.Conn // beneath it
	writeTimeout time.Duration

	replies chan reply    // the next reply, if it has come
	over    chan struct{} // closed when the connection is
	done    chan struct{} // closed when listen is done
	once    sync.Once     // closes over

	deadline time.Time // of the reply that is awaited
	rest     []byte    // what the library has not yet read of a reply
	failed   error     // nothing works any more
}

func newConn(encrypted, raw net.Conn, writeTimeout time.Duration) *conn {
	return &conn{
		Conn:         encrypted,
		raw:          raw,
		writeTimeout: writeTimeout,
		replies:      make(chan reply, 1),
		over:         make(chan struct{}),
		done:         make(chan struct{}),
	}
}

// listen reads replies until the connection ends.
func (c *conn) listen() {
	defer close(c.done)
	r := bufio.NewReaderSize(c.Conn, maxReplyLine)
	for {
		rep := readReply(r)
		rep.more = r.Buffered() > 0
		select {
		case c.replies <- rep:
		case <-c.over:
			return
		}
		if rep.err != nil {
			return
		}
	}
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
	timer := time.NewTimer(time.Until(c.deadline))
	defer timer.Stop()
	select {
	case rep := <-c.replies:
		if rep.err != nil {
			c.failed = rep.err
			return c.failed
		}
		c.rest = rep.wire()
		if rep.more {
			// Whatever it is, it answers nothing: this client never gives a command
			// before the last one was answered.
			c.failed = &unaskedError{reply{err: errSaidMore}}
		}
		return nil
	case <-c.over:
		c.failed = net.ErrClosed
	case <-timer.C:
		c.failed = fmt.Errorf("no reply in time: %w", os.ErrDeadlineExceeded)
	}
	return c.failed
}

// Write implements net.Conn. It writes nothing unless the server is there and
// has said nothing but what it was asked.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.quiet(); err != nil {
		return 0, err
	}
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// quiet returns an error, an [*unaskedError] as the case may be, if the server
// said something, or hung up, when it was not its turn.
func (c *conn) quiet() error {
	if c.failed != nil {
		return c.failed
	}
	select {
	case rep := <-c.replies:
		c.failed = &unaskedError{rep}
	default:
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
	c.end()
}

// Close implements net.Conn, for a session that ends well.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.end()
	return err
}

func (c *conn) end() {
	c.raw.Close()
	c.once.Do(func() { close(c.over) })
}
