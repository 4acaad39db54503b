package dispatch

import (
	"cmp"
	"slices"
)

// suspect is a hash that seems to be that of a key with faults in one role: it is
// used twice, or shown to others than the recipient whose address it is.
type suspect struct {
	hash   uint64
	nth    uint64 // use of all by which it became one
	faults int64
}

// suspects are those of one role. It keeps the maxSuspects that came first.
type suspects struct {
	list     []suspect
	believed int64 // faults of those that it did not keep
}

// maxSuspects bounds the memory for making sure, in a batch that is all wrong.
// Beyond it the hash is believed, which is wrong once in a great many batches.
const maxSuspects = 1 << 16

func (s *suspects) add(x suspect) {
	if s.list = append(s.list, x); len(s.list) == 2*maxSuspects {
		s.cut()
	}
}

// cut drops those that were not among the first.
func (s *suspects) cut() {
	slices.SortFunc(s.list, func(a, b suspect) int { return cmp.Compare(a.nth, b.nth) })
	for len(s.list) > maxSuspects {
		last := len(s.list) - 1
		s.believed += s.list[last].faults
		s.list = s.list[:last]
	}
}

// hashes returns those that are kept.
func (s *suspects) hashes() map[uint64]bool {
	s.cut()
	hashes := make(map[uint64]bool, len(s.list))
	for _, x := range s.list {
		hashes[x.hash] = true
	}
	return hashes
}

// findSuspects looks at all uses of keys, and keeps for the second pass what is to
// be looked at again.
func (p *preflight) findSuspects() error {
	var found [keyRoles]suspects
	var uses hashUses
	for use, err := range p.keys.sorted() {
		if err != nil {
			return err
		}
		if use.hash != uses.hash {
			uses.judge(&found)
			uses = hashUses{hash: use.hash}
		}
		uses.add(use)
	}
	uses.judge(&found)
	for role, code := range [keyRoles]FaultCode{FaultDoubledRecipient, FaultOtherRecipient, FaultFileDoubled} {
		p.doubles.suspects[role] = found[role].hashes()
		if n := found[role].believed; n > 0 {
			p.count(code, n)
		}
	}
	return nil
}

// hashUses are the uses of one hash in each role.
type hashUses struct {
	hash  uint64
	times [keyRoles]int64
	since [keyRoles]uint64 // the use of all by which it is a suspect, if it is
}

func (h *hashUses) add(use keyUse) {
	role := use.role()
	h.times[role]++
	if role == roleShown && h.times[role] == 1 || role != roleShown && h.times[role] == 2 {
		h.since[role] = use.nth
	}
}

// judge adds the hash to the suspects of each role in which it is one.
func (h *hashUses) judge(found *[keyRoles]suspects) {
	for role := range keyRoles {
		faults := h.times[role] - 1
		if role == roleShown {
			faults = h.times[role] * min(1, h.times[roleRecipient])
		}
		if faults > 0 {
			found[role].add(suspect{hash: h.hash, nth: h.since[role], faults: faults})
		}
	}
}
