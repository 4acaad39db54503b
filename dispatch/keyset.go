package dispatch

import (
	"hash/maphash"
	"iter"
)

// keySet remembers which keys were added, in about 16 bytes for each however long
// they are: it keeps hashes of 64 bits, with a seed of its own. A key that was
// added is always found; one that was not may be found too, once in a great many
// sets, so whoever finds one looks at the keys themselves before saying so.
type keySet struct {
	seed  maphash.Seed
	slots []uint64 // 0 is free
	used  int
}

func newKeySet(seed maphash.Seed) *keySet { return &keySet{seed: seed, slots: make([]uint64, 1<<10)} }

func (s *keySet) hash(key string) uint64 {
	if h := maphash.String(s.seed, key); h != 0 {
		return h
	}
	return 1
}

// add adds a key, and reports whether it is there already, or seems to be.
func (s *keySet) add(key string) (hash uint64, found bool) {
	hash = s.hash(key)
	if s.used >= len(s.slots)/4*3 {
		s.grow()
	}
	i := s.slot(hash)
	if s.slots[i] == hash {
		return hash, true
	}
	s.slots[i] = hash
	s.used++
	return hash, false
}

// has reports whether a hash is there.
func (s *keySet) has(hash uint64) bool { return s.slots[s.slot(hash)] == hash }

// slot returns where a hash is, or where it would be.
func (s *keySet) slot(hash uint64) int {
	mask := uint64(len(s.slots) - 1)
	i := hash & mask
	for s.slots[i] != 0 && s.slots[i] != hash {
		i = (i + 1) & mask
	}
	return int(i)
}

func (s *keySet) grow() {
	old := s.slots
	s.slots = make([]uint64, 2*len(old))
	for _, hash := range old {
		if hash != 0 {
			s.slots[s.slot(hash)] = hash
		}
	}
}

// hashes yields all hashes.
func (s *keySet) hashes() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, hash := range s.slots {
			if hash != 0 && !yield(hash) {
				return
			}
		}
	}
}
