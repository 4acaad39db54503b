package sqlstore

import (
	"sync"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// known is what of an account's records is known. A transaction reads what it lacks,
// and leaves what it knows to the next one: mostly that of the same worker, about the
// same sends.
//
// Whoever changes an account draws a new version for it. What was known as of another
// version is forgotten, whichever process changed it, and an old copy of the database
// that was put back has other versions too.
type known struct {
	batches map[string]*batchRow
	sends   map[dispatch.SendID]*sendState
	older   map[dispatch.SendID]*sendState // known for longer: forgotten next, if not asked for
	highest map[string]int64               // :: batch → its last row
	tries   map[int64]time.Time            // :: number of a try → when it happened
}

func newKnown() *known {
	return &known{
		batches: make(map[string]*batchRow),
		sends:   make(map[dispatch.SendID]*sendState),
		highest: make(map[string]int64),
		tries:   make(map[int64]time.Time),
	}
}

// send returns what is known of a send, or nil.
func (k *known) send(id dispatch.SendID) *sendState {
	s := k.sends[id]
	if s == nil {
		if s = k.older[id]; s != nil {
			k.sends[id] = s
		}
	}
	return s
}

// age forgets what nobody asked for lately. Everything that was changed is written.
func (k *known) age() {
	k.older, k.sends = k.sends, make(map[dispatch.SendID]*sendState)
	clear(k.batches)
	clear(k.tries)
}

// shrink keeps what is known small. It is called after a commit, when nothing waits to
// be written.
func (k *known) shrink(limit int) {
	if max(len(k.batches), len(k.highest)) >= limit {
		clear(k.batches)
		clear(k.highest)
	}
	if len(k.sends) >= 2*limit { // those known for longer were asked for again
		k.age()
	}
}

// size is how many records are known, some sends among them twice.
func (k *known) size() int { return len(k.batches) + len(k.highest) + len(k.sends) + len(k.older) }

// memory keeps what is known of accounts between transactions. Its zero value is empty.
type memory struct {
	mu       sync.Mutex
	accounts map[string]remembered
	size     int // how many records are known of all accounts, and the accounts
}

type remembered struct {
	version int64
	*known
	size int
}

// memorySize is how many records are remembered, a kilobyte or two each.
const memorySize = 8192

// recall takes what is known of an account out of memory: whoever has it may change it.
func (m *memory) recall(account string, version int64) *known {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.accounts[account]
	m.forget(account)
	if r.known == nil || r.version != version {
		return newKnown()
	}
	return r.known
}

// remember puts back what is known after a commit.
func (m *memory) remember(account string, version int64, k *known) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(account)
	r := remembered{version, k, 1 + k.size()}
	for other := range m.accounts {
		if m.size+r.size <= memorySize {
			break
		}
		m.forget(other)
	}
	if m.accounts == nil {
		m.accounts = make(map[string]remembered)
	}
	m.accounts[account] = r
	m.size += r.size
}

func (m *memory) forget(account string) {
	m.size -= m.accounts[account].size
	delete(m.accounts, account)
}
