package smtpsend

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ceralacca/go-pec/dispatch"
)

// maxLine is the longest line of a message, without its line end. RFC 5321,
// section 4.5.3.1.6.
const maxLine = 998

// ErrMessage is the error of a message that is not in the form in which it must
// be sent: 7-bit, without NUL, every line at most 998 bytes long and ended by
// CRLF. What a server makes of another form is anyone's guess, and some can be
// made to see two messages in it. Trying again is of no use.
var ErrMessage = errors.New("message not fit to be sent")

// copyMessage writes a message, up to the first thing that is wrong with it.
func copyMessage(ctx context.Context, w io.Writer, s dispatch.Submission) error {
	var form canonical
	buf := make([]byte, 32<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := s.Message.Read(buf)
		if bad := form.add(buf[:n]); bad != nil {
			return bad
		}
		if form.size > s.Size {
			return fmt.Errorf("message is longer than the %d bytes it was said to have", s.Size)
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return fmt.Errorf("writing the message: %w", err)
		}
		switch {
		case err == io.EOF && form.size < s.Size:
			return fmt.Errorf("message has %d bytes, not %d", form.size, s.Size)
		case err == io.EOF:
			return form.end()
		case err != nil:
			return fmt.Errorf("reading the message: %w", err)
		}
	}
}

// canonical checks the form of a message as it goes by.
type canonical struct {
	size int64
	line int  // bytes of the line so far
	cr   bool // the last byte was a CR
}

func (c *canonical) add(p []byte) error {
	for _, b := range p {
		c.size++
		switch {
		case b >= ' ' && b < 0x7f && !c.cr: // most bytes
			c.line++
		case c.cr != (b == '\n'):
			return fmt.Errorf("%w: CR or LF alone at byte %d", ErrMessage, c.size)
		case b == '\n':
			c.line, c.cr = 0, false
		case b == '\r':
			c.cr = true
		case b == 0 || b > 0x7f:
			return fmt.Errorf("%w: not 7-bit text at byte %d", ErrMessage, c.size)
		default:
			c.line++
		}
		if c.line > maxLine {
			return fmt.Errorf("%w: line too long at byte %d", ErrMessage, c.size)
		}
	}
	return nil
}

// end checks that the message ends with a line end. The library would add one,
// and what is sent would not be what was signed off.
func (c *canonical) end() error {
	if c.size == 0 || c.line > 0 || c.cr {
		return fmt.Errorf("%w: no line end at the end", ErrMessage)
	}
	return nil
}
