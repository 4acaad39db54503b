//go:build unix

package realserver

import (
	"io"
	"math/rand/v2"
	"net"
)

// ports are TCP ports of loopback that are a server's own until they are released,
// also before it listens and while it is down: who holds the UDP port of the same
// number. The system gives that to one only, of all processes that look for a port in
// this way, and takes it back when the process is gone.
type ports struct {
	numbers []int
	claims  []io.Closer
}

// take returns one more port. It is below those that systems lend to clients: one of
// them could be lent out while the server is down for a moment, even to the very client
// that tries to reach it.
func (p *ports) take() (port int, err error) {
	for range 100 {
		port = 10_000 + rand.IntN(20_000)
		var claim net.PacketConn
		if claim, err = net.ListenPacket("udp", loopback(port)); err != nil {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp", loopback(port)); err == nil {
			p.numbers, p.claims = append(p.numbers, port), append(p.claims, claim)
			return port, l.Close()
		}
		claim.Close()
	}
	return 0, err
}

// takeAll fills in several.
func (p *ports) takeAll(all ...*int) (err error) {
	for _, port := range all {
		if *port, err = p.take(); err != nil {
			return err
		}
	}
	return nil
}

func (p *ports) release() {
	for _, claim := range p.claims {
		claim.Close()
	}
	p.claims = nil
}
