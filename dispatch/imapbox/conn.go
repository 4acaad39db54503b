package imapbox

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/ceralacca/go-pec/internal/limit"
)

// maxUnasked is how much a server may say beside the messages that are read. The
// library keeps in memory whatever it says.
const maxUnasked = 1 << 20

// conn is the connection as the library sees it. The library's own deadlines do
// not fit: it has none for a reply that does not begin, and allows five minutes
// for a message however long that is. So it sets none, and each operation of the
// session sees to its own.
type conn struct {
	net.Conn          // encrypted
	raw      net.Conn // beneath it
	greeting []byte   // what the library is told before the server is
	credit   atomic.Int64
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.greeting) > 0 {
		n := copy(p, c.greeting)
		c.greeting = c.greeting[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p)
	if c.credit.Add(-int64(n)) < 0 {
		return 0, limit.Passed(maxUnasked, "bytes that were not asked for")
	}
	return n, err
}

// Close implements net.Conn. It waits for nothing.
func (c *conn) Close() error { return c.raw.Close() }

// SetDeadline, SetReadDeadline and SetWriteDeadline implement net.Conn.

func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
