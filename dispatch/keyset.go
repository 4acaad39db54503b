package dispatch

import (
	"cmp"
	"hash/maphash"
	"iter"
	"slices"
)

// keyRole is what a key is used for in a batch.
type keyRole uint64

const (
	roleRecipient keyRole = iota // the address of a recipient
	roleShown                    // an address that a message shows to another
	roleFile                     // the digest of a file of a row
	keyRoles                     // how many there are

	roleBits = 2
)

// keyUse is one use of a key in a batch.
type keyUse struct {
	hash uint64 // of the key
	nth  uint64 // of all uses; the lowest bits are its role
}

func (u keyUse) role() keyRole { return keyRole(u.nth & (1<<roleBits - 1)) }

// compareUses puts uses of one key together, in the order in which they came.
func compareUses(a, b keyUse) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.nth, b.nth))
}

// maxHeldUses is how many uses are held in memory: 1 MiB.
const maxHeldUses = 1 << 16

// keySet notes the uses of keys, in memory that does not grow with their number: as
// many as it may hold are in memory, and beyond that all are in a temporary file.
//
// It keeps hashes of 64 bits, with a seed of its own, from which nobody can tell
// the keys. Uses of one key are always found together; those of another may be
// found with them, once in a great many batches, so whoever finds some looks at the
// keys themselves before saying so.
type keySet struct {
	seed maphash.Seed
	most int // to be held
	n    uint64
	held []keyUse
	runs *keyRuns // nil while all are held
}

func newKeySet() *keySet { return &keySet{seed: maphash.MakeSeed(), most: maxHeldUses} }

func (s *keySet) hash(key string) uint64 { return maphash.String(s.seed, key) }

// add notes a use of a key.
func (s *keySet) add(role keyRole, key string) error {
	if len(s.held) == s.most {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.n++
	s.held = append(s.held, keyUse{hash: s.hash(key), nth: s.n<<roleBits | uint64(role)})
	return nil
}

// spill moves what is held into the file.
func (s *keySet) spill() (err error) {
	if s.runs == nil {
		if s.runs, err = newKeyRuns(int64(s.most)); err != nil {
			return err
		}
	}
	slices.SortFunc(s.held, compareUses)
	err = s.runs.write(s.held)
	s.held = s.held[:0]
	return err
}

// sorted yields all uses, those of one hash together and in their order. Nothing
// can be added after that.
func (s *keySet) sorted() iter.Seq2[keyUse, error] {
	return func(yield func(keyUse, error) bool) {
		if s.runs != nil {
			if err := s.spill(); err != nil {
				yield(keyUse{}, err)
				return
			}
			s.held = nil // the merge needs as much
			s.runs.merge(yield)
			return
		}
		slices.SortFunc(s.held, compareUses)
		for _, use := range s.held {
			if !yield(use, nil) {
				return
			}
		}
	}
}

// close removes the file.
func (s *keySet) close() {
	if s.runs != nil {
		s.runs.close()
	}
}
