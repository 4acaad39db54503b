package dispatch

import (
	"context"
	"fmt"
	"hash/maphash"
	"testing"

	"github.com/ceralacca/go-pec/pec"
)

// A hash that two keys share accuses nobody: the second pass looks at the keys.
func TestFalseSuspects(t *testing.T) {
	tmpl, err := NewTemplate(TemplateConfig{Subject: "a", Text: "{{.nome}}"})
	if err != nil {
		t.Fatal(err)
	}
	rows := func(yield func(Row, error) bool) {
		for i := range 3 {
			row := Row{Line: int64(i + 2), Fields: map[string]string{
				"pec":  fmt.Sprintf("r%d@pec.beta.example", i),
				"nome": fmt.Sprintf("n%d@pec.gamma.example", i),
			}}
			if !yield(row, nil) {
				return
			}
		}
	}
	p := newPreflight(tmpl, PreflightOptions{RenderOptions: RenderOptions{Account: pec.MustParseAddress("a@b.example")}})
	if err := p.firstPass(context.Background(), rows); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		p.doubles.recipients.suspect(p.recipients.hash(fmt.Sprintf("r%d@pec.beta.example", i)))
		p.doubles.shown.suspect(p.shown.hash(fmt.Sprintf("n%d@pec.gamma.example", i)))
	}
	if err := p.secondPass(context.Background(), rows); err != nil {
		t.Fatal(err)
	}
	if r := p.finish(); r.FaultCount != 0 || len(r.Faults) != 0 || r.Messages != 3 {
		t.Errorf("report %+v, want no fault", r)
	}
	if len(p.doubles.seen) != 3 {
		t.Errorf("%d addresses were looked at again, want 3", len(p.doubles.seen))
	}
}

func TestSuspectsAreBounded(t *testing.T) {
	s := make(suspects)
	for i := range maxSuspects {
		if !s.suspect(uint64(i)) {
			t.Fatalf("suspect(%d) = false", i)
		}
	}
	if s.suspect(maxSuspects) || !s.suspect(7) || len(s) != maxSuspects {
		t.Errorf("%d suspects, want %d and no more", len(s), maxSuspects)
	}
}

// A keySet finds what was added, and, in practice, nothing else.
func TestKeySet(t *testing.T) {
	s := newKeySet(maphash.MakeSeed())
	const n = 100_000
	for i := range n {
		if _, found := s.add(fmt.Sprint(i)); found {
			t.Fatalf("add(%d) finds it before it is there", i)
		}
	}
	count := 0
	for hash := range s.hashes() {
		if count++; !s.has(hash) {
			t.Fatal("hashes yields one that is not there")
		}
	}
	if count != n || s.used != n {
		t.Errorf("%d hashes, %d used; want %d", count, s.used, n)
	}
	for i := range n {
		if hash, found := s.add(fmt.Sprint(i)); !found || !s.has(hash) {
			t.Fatalf("add(%d) does not find it again", i)
		}
		if s.has(s.hash(fmt.Sprint("x", i))) {
			t.Fatalf("has(x%d) finds what was not added", i)
		}
	}
	if len(s.slots)*8 > 22*n {
		t.Errorf("%d bytes for %d keys", len(s.slots)*8, n)
	}
}
