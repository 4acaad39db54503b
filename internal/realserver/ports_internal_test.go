//go:build unix

package realserver

import (
	"sync"
	"testing"
)

// TestPorts takes so many ports at the same moment that, without a claim on them, some
// would be taken twice: none of them is listened on.
func TestPorts(t *testing.T) {
	var taken sync.Map
	var taking sync.WaitGroup
	for range 500 {
		taking.Go(func() {
			var p ports
			port, err := p.take()
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(p.release)
			if _, twice := taken.LoadOrStore(port, true); twice {
				t.Errorf("port %d was taken twice", port)
			}
		})
	}
	taking.Wait()
}
