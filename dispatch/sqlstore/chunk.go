package sqlstore

import (
	"slices"
	"sync"

	"github.com/ceralacca/go-pec/dispatch"
)

// chunk is a chunk of a blob. What a digest names never changes, so chunks are shared,
// and nobody writes into them.
type chunk struct {
	blob   dispatch.Digest
	size   int64 // of the whole blob
	number int64
	bytes  []byte
}

// recentChunks is how many chunks are kept: 4 MiB at most. All messages of a batch have
// the same attachments, and each that is sent, and each receipt that shows it, reads
// them anew.
const recentChunks = 16

// chunks are those that were read last. The zero value has none.
type chunks struct {
	mu     sync.Mutex
	recent []chunk // the last one was used last
}

// get returns a chunk, if it is there.
func (c *chunks) get(blob dispatch.Digest, number int64) (chunk, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.find(blob, number)
	if i < 0 {
		return chunk{}, false
	}
	found := c.recent[i]
	c.recent = append(slices.Delete(c.recent, i, i+1), found)
	return found, true
}

func (c *chunks) find(blob dispatch.Digest, number int64) int {
	return slices.IndexFunc(c.recent, func(x chunk) bool { return x.blob == blob && x.number == number })
}

// forget forgets the chunks of a blob.
func (c *chunks) forget(blob dispatch.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recent = slices.DeleteFunc(c.recent, func(x chunk) bool { return x.blob == blob })
}

// put keeps a chunk, in place of the one that was used longest ago.
func (c *chunks) put(x chunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.find(x.blob, x.number) >= 0 {
		return // somebody else read it at the same time
	}
	if len(c.recent) == recentChunks {
		c.recent = slices.Delete(c.recent, 0, 1)
	}
	c.recent = append(c.recent, x)
}
