package sqlstore

import (
	"fmt"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
)

// knowing knows so many sends.
func knowing(sends int) *known {
	k := newKnown()
	for row := range sends {
		k.sends[dispatch.SendID{Batch: "b", Row: int64(row)}] = new(sendState)
	}
	return k
}

func TestMemory(t *testing.T) {
	var m memory
	if k := m.recall("a", 0); k == nil || k.size() != 0 {
		t.Fatalf("recall out of an empty memory: got %v", k)
	}
	m.remember("a", 1, knowing(3))
	if got := m.recall("a", 1).size(); got != 3 {
		t.Errorf("recall: got %d sends, want 3", got)
	}
	if got := m.recall("a", 1).size(); got != 0 {
		t.Errorf("recall of what somebody has: got %d sends, want none", got)
	}
	m.remember("a", 1, knowing(3))
	if got := m.recall("a", 2).size(); got != 0 {
		t.Errorf("recall of another version: got %d sends, want none", got)
	}
	if m.size != 0 || len(m.accounts) != 0 {
		t.Errorf("%d records of %d accounts stay in memory, want none", m.size, len(m.accounts))
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var m memory
	const each = 1000
	for i := range 3 * memorySize / each {
		m.remember(fmt.Sprint(i), 1, knowing(each))
		if m.recall(fmt.Sprint(i), 1).size() != each {
			t.Fatalf("account %d, the last one, is not in memory", i)
		}
		m.remember(fmt.Sprint(i), 1, knowing(each))
	}
	if m.size > memorySize || m.size < memorySize-each-1 || m.size != (each+1)*len(m.accounts) {
		t.Errorf("%d records of %d accounts are in memory, want at most %d", m.size, len(m.accounts), memorySize)
	}
	m.remember("large", 1, knowing(2*memorySize))
	if len(m.accounts) != 1 {
		t.Errorf("%d accounts are in memory with one that is too large, want that one", len(m.accounts))
	}
}

func TestKnownAges(t *testing.T) {
	k := knowing(2)
	id := func(row int64) dispatch.SendID { return dispatch.SendID{Batch: "b", Row: row} }
	k.age()
	if k.send(id(0)) == nil {
		t.Error("what was known before is forgotten at once")
	}
	k.age()
	if k.send(id(0)) == nil {
		t.Error("what was asked for is forgotten")
	}
	if k.send(id(1)) != nil {
		t.Error("what nobody asked for is still known")
	}
}

// What is asked for again and again does not pile up.
func TestKnownShrinks(t *testing.T) {
	const limit = 8
	k, most := newKnown(), 0
	for row := range int64(100) {
		for earlier := range row + 1 { // each in a transaction
			id := dispatch.SendID{Batch: "b", Row: earlier}
			if k.send(id) == nil {
				k.sends[id] = new(sendState)
			}
			k.shrink(limit)
			most = max(most, k.size())
		}
	}
	if most < 2*limit || most > 4*limit {
		t.Errorf("up to %d sends are known, want at most %d", most, 4*limit)
	}
}
