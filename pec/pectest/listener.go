package pectest

import (
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// listener is a port of the network. It knows its connections, so that it can
// cut them and wait for their end.
type listener struct {
	net.Listener
	network *Network
	// onConnect, if not nil, is asked for a fault before a server sees the
	// connection.
	onConnect func() *Rule

	mu     sync.Mutex
	conns  map[*conn]bool
	closed bool
	open   sync.WaitGroup
}

func (n *Network) listen() (*listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(n.config.Host, "0"))
	if err != nil {
		return nil, err
	}
	return &listener{Listener: l, network: n, conns: make(map[*conn]bool)}, nil
}

// endpoint tells where clients find it.
func (l *listener) endpoint(kind string) Endpoint {
	return Endpoint{Host: l.network.config.Host, Port: l.Addr().(*net.TCPAddr).Port, TLS: kind}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: raw, listener: l}
		if !l.add(c) {
			raw.Close()
			return nil, net.ErrClosed
		}
		var fault *Rule
		if l.onConnect != nil {
			fault = l.onConnect()
		}
		if fault == nil {
			return c, nil
		}
		if fault.Fault == FaultSlow {
			c.slow = time.Duration(fault.Delay)
			return c, nil
		}
		if fault.Fault == FaultCut {
			c.Close()
			continue
		}
		// Silent: nobody serves it. It ends with the network.
		l.network.running.Go(func() {
			<-l.network.ctx.Done()
			c.Close()
		})
	}
}

func (l *listener) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.conns[c] = true
	l.open.Add(1)
	return true
}

// closeAll closes the port and all connections, and waits until the servers let
// go of them.
func (l *listener) closeAll() {
	l.Listener.Close()
	l.mu.Lock()
	l.closed = true
	for c := range l.conns {
		c.Conn.Close()
	}
	l.mu.Unlock()
	l.open.Wait()
}

// conn is a connection to a port of the network.
type conn struct {
	net.Conn
	listener *listener
	slow     time.Duration // before the first byte to the client
	once     sync.Once
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if c.slow > 0 {
		c.listener.network.pause(c.slow)
		c.slow = 0
	}
	return c.Conn.Write(p)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.listener.mu.Lock()
		delete(c.listener.conns, c)
		c.listener.mu.Unlock()
		c.listener.open.Done()
	})
	return err
}

// cut ends a connection as a failing network does: without a word.
func cut(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if own, ok := c.(*conn); ok {
		own.Conn.Close()
	}
}
