package imapbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/emersion/go-imap/v2"
)

// operation is one exchange with the server. The library waits for ever and
// knows no context, so the connection is closed under it when the context ends or
// the server is silent for too long.
type operation struct {
	s     *session
	timer *time.Timer
	left  time.Duration // of silence, when the timer was started
	since time.Time     // when it was
	stop  func() bool
	// broken is set when a literal broke off. The library would read from it
	// again, at the same time as from what it takes to follow it, so the command
	// must be left alone. It ends by itself when the connection does.
	broken bool
}

var errSilent = errors.New("no answer in time")

// begin starts an operation. Each must end.
func (s *session) begin(ctx context.Context) *operation {
	s.conn.allow(maxUnasked)
	return &operation{
		s:     s,
		left:  s.timeout,
		since: time.Now(),
		timer: time.AfterFunc(s.timeout, func() { s.cut(errSilent) }),
		stop:  context.AfterFunc(ctx, func() { s.cut(context.Cause(ctx)) }),
	}
}

// resume counts the server's silence from now on.
func (o *operation) resume() {
	o.left = o.s.timeout
	o.goOn()
}

// goOn goes on counting after a pause.
func (o *operation) goOn() {
	o.since = time.Now()
	o.timer.Reset(o.left)
}

// pause stops counting: it is not the server that we are waiting for.
func (o *operation) pause() {
	o.timer.Stop()
	o.left -= time.Since(o.since)
}

// end ends an operation that came to err, and says what became of it. A refusal
// leaves the session as it was; after anything else it is over.
func (o *operation) end(doing string, err error) error {
	o.timer.Stop()
	o.stop()
	if err == nil {
		return nil
	}
	err = withoutText(err)
	var refused *ReplyError
	if !errors.As(err, &refused) {
		o.s.cut(libraryError{err})
		err = o.s.cause()
	}
	return fmt.Errorf("imapbox: %s: %w", doing, err)
}

// literal is the content of a message, or some of it, as it comes in.
type literal struct {
	o     *operation
	r     imap.LiteralReader
	left  int64
	fresh int // bytes since the server was last taken to be alive
	err   error
}

// signOfLife is how much of a message ends the server's silence. Less is silence
// still: byte by byte, a message would never end.
const signOfLife = 4 << 10

func newLiteral(o *operation, r imap.LiteralReader) *literal {
	return &literal{o: o, r: r, left: r.Size()}
}

// Read implements io.Reader. When the connection breaks, the library says io.EOF,
// as if all had come; and it must not be asked again.
func (l *literal) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	l.o.goOn()
	n, err := l.r.Read(p)
	l.o.pause()
	if l.fresh += n; l.fresh >= signOfLife {
		l.fresh, l.o.left = 0, l.o.s.timeout
	}
	l.o.s.conn.earned(n)
	l.left -= int64(n)
	if err == io.EOF && l.left != 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		l.o.broken = true
	}
	l.err = err
	return n, err
}

// drain reads what is left.
func (l *literal) drain() error {
	_, err := io.Copy(io.Discard, l)
	return err
}
