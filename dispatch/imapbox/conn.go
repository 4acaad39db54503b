package imapbox

import (
	"bytes"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/ceralacca/go-pec/internal/limit"
)

// maxUnasked is how much a server may say beside the messages that are read. The
// library keeps in memory whatever it says.
const maxUnasked = 1 << 20

// maxLists is how many lists a server may begin meanwhile. The library reads lists
// within lists by recursion: with millions, the process would end.
const maxLists = 5_000

// conn is the connection as the library sees it. The library's own deadlines do
// not fit: it has none for a reply that does not begin, and allows five minutes
// for a message however long that is. So it sets none, and each operation of the
// session sees to its own.
type conn struct {
	net.Conn              // encrypted
	raw      net.Conn     // beneath it
	greeting []byte       // what the library is told before the server is
	credit   atomic.Int64 // bytes that the server may still say
	lists    atomic.Int64 // lists that it may still begin
	listing  atomic.Pointer[numbers]
}

// allow lets the server say so many bytes from now on.
func (c *conn) allow(bytes int64) {
	c.credit.Store(bytes)
	c.lists.Store(maxLists)
	c.listing.Store(nil)
}

// earned notes that n of the bytes that came were asked for.
func (c *conn) earned(n int) {
	c.credit.Add(int64(n))
	c.lists.Store(maxLists)
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.greeting) > 0 {
		n := copy(p, c.greeting)
		c.greeting = c.greeting[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p)
	if bad := c.check(p[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

// check looks at what the server says for what the library can't take.
func (c *conn) check(said []byte) error {
	if c.credit.Add(-int64(len(said))) < 0 {
		return limit.Passed(maxUnasked, "bytes that were not asked for")
	}
	if c.lists.Add(-int64(bytes.Count(said, []byte("(")))) < 0 {
		return limit.Passed(maxLists, "lists that were not asked for")
	}
	if numbers := c.listing.Load(); numbers != nil {
		return numbers.see(said)
	}
	return nil
}

// maxMoves is how much the library may have to sort a list of messages, which it
// does by inserting each into the others: a second's work. Servers list them in
// order; whoever lists a million backwards would keep it busy for an hour.
const maxMoves = 1 << 30

// numbers follows the numbers that a server lists.
type numbers struct {
	value, last  uint64
	count, moves int64
	inNumber     bool
}

func (n *numbers) see(said []byte) error {
	for _, b := range said {
		if '0' <= b && b <= '9' {
			n.value, n.inNumber = n.value*10+uint64(b-'0'), true
			continue
		}
		if !n.inNumber {
			continue
		}
		if n.value < n.last {
			n.moves += n.count
		}
		n.last = n.value
		n.value, n.inNumber = 0, false
		if n.count++; n.moves > maxMoves {
			return errBackwards
		}
	}
	return nil
}

var errBackwards = errors.New("server lists messages out of order")

// Close implements net.Conn. It waits for nothing.
func (c *conn) Close() error { return c.raw.Close() }

// SetDeadline, SetReadDeadline and SetWriteDeadline implement net.Conn.

func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
