package dispatch

import (
	"fmt"
	"testing"
)

// Of too many suspects the first are kept, whatever their hashes, and the faults of
// the others are counted.
func TestSuspectsAreBounded(t *testing.T) {
	const n = 5 * maxSuspects
	var s suspects
	for i := range uint64(n) {
		s.add(suspect{hash: i * i, nth: n - i, faults: 2})
		if len(s.list) >= 2*maxSuspects {
			t.Fatalf("%d suspects are kept", len(s.list))
		}
	}
	hashes := s.hashes()
	if len(hashes) != maxSuspects || s.believed != 2*(n-maxSuspects) {
		t.Errorf("%d suspects, %d faults believed; want %d and %d", len(hashes), s.believed, maxSuspects, 2*(n-maxSuspects))
	}
	for i := uint64(n - maxSuspects); i < n; i++ {
		if !hashes[i*i] {
			t.Fatalf("the suspect of use %d is not kept", n-i)
		}
	}
}

// In a batch that is all wrong, what is not looked at again is counted in each role.
func TestFindSuspectsOfAll(t *testing.T) {
	p := preflightOf(t, TemplateConfig{Subject: "a", Text: "b"})
	const more = 10
	for times := range 3 {
		for i := range maxSuspects + more {
			for role, key := range []string{"r", "r", "f"} {
				if times > 0 && keyRole(role) == roleShown {
					continue
				}
				if err := p.keys.add(keyRole(role), fmt.Sprint(key, i)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := p.findSuspects(); err != nil {
		t.Fatal(err)
	}
	for role, hashes := range p.doubles.suspects {
		if len(hashes) != maxSuspects {
			t.Errorf("role %d has %d suspects, want %d", role, len(hashes), maxSuspects)
		}
	}
	for i := range maxSuspects {
		for role, key := range []string{"r", "r", "f"} {
			if !p.doubles.suspects[role][p.keys.hash(fmt.Sprint(key, i))] {
				t.Fatalf("key %d is no suspect in role %d, and is one of the first", i, role)
			}
		}
	}
	for code, want := range map[FaultCode]int64{FaultDoubledRecipient: 2 * more, FaultFileDoubled: 2 * more, FaultOtherRecipient: more} {
		if got := p.report.Counts[code]; got != want {
			t.Errorf("%d of %s, want %d", got, code, want)
		}
	}
}
