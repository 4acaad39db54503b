package dispatch

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/ceralacca/go-pec/pec"
)

func preflightOf(t *testing.T, cfg TemplateConfig) *preflight {
	t.Helper()
	tmpl, err := NewTemplate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := newPreflight(tmpl, PreflightOptions{RenderOptions: RenderOptions{Account: pec.MustParseAddress("a@b.example")}, Keep: 10})
	t.Cleanup(p.keys.close)
	return p
}

// A hash that two keys share accuses nobody: the second pass looks at the keys.
func TestFalseSuspects(t *testing.T) {
	p := preflightOf(t, TemplateConfig{Subject: "a", Text: "{{.nome}}"})
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
	if err := p.firstPass(context.Background(), rows); err != nil {
		t.Fatal(err)
	}
	if err := p.findSuspects(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		p.doubles.suspects[roleRecipient][p.keys.hash(fmt.Sprintf("r%d@pec.beta.example", i))] = true
		p.doubles.suspects[roleShown][p.keys.hash(fmt.Sprintf("n%d@pec.gamma.example", i))] = true
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

// Whether keys are held in memory or lie in a file, the faults are those that a look
// at all rows finds.
func TestDoublesFromFile(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		var rows []Row
		for i := range 60 {
			rows = append(rows, Row{Line: int64(i + 2), Fields: map[string]string{
				"pec":  fmt.Sprintf("r%d@pec.beta.example", random.IntN(100)),
				"nome": fmt.Sprintf("r%d@pec.beta.example", random.IntN(600)),
				"file": fmt.Sprintf("file %d", random.IntN(200)),
			}})
		}
		want := doublesAmong(rows)
		for _, most := range []int{1, 7, maxHeldUses} {
			p := preflightOf(t, TemplateConfig{Subject: "a", Text: "{{.nome}}", RowAttachments: []RowFile{{Column: "file", Resolve: fileOfCell}}})
			p.opts.Keep = 1000
			p.keys.most = most
			report, err := p.run(context.Background(), yieldRows(rows))
			if err != nil {
				t.Fatal(err)
			}
			if (p.keys.runs == nil) != (most == maxHeldUses) {
				t.Errorf("%d keys held: is there a file: %v", most, p.keys.runs != nil)
			}
			var got []string
			for _, f := range report.Faults {
				got = append(got, f.Error())
			}
			if !slices.Equal(got, want) || report.FaultCount != int64(len(want)) {
				t.Errorf("%d keys held: %d faults %q, want %q", most, report.FaultCount, got, want)
			}
		}
	}
}

func yieldRows(rows []Row) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// fileOfCell is a file with the text of a cell.
func fileOfCell(_ context.Context, row Row) (File, error) {
	return FSFile(fstest.MapFS{"a.txt": {Data: []byte(row.Fields["file"])}}, "a.txt"), nil
}

// doublesAmong looks for faults in the plainest way.
func doublesAmong(rows []Row) (faults []string) {
	first := make(map[string]int64)
	again := func(row Row, key string, f *RowError) {
		if line, ok := first[key]; ok {
			f.Err = fmt.Errorf("line %d", line)
			faults = append(faults, f.Error())
			return
		}
		first[key] = row.Line
	}
	recipients := make(map[string]bool)
	for _, row := range rows {
		recipients[row.Fields["pec"]] = true
	}
	for _, row := range rows {
		again(row, row.Fields["pec"], row.fault("pec", FaultDoubledRecipient, nil))
		again(row, row.Fields["file"], row.fault("file", FaultFileDoubled, nil))
		if shown := row.Fields["nome"]; recipients[shown] && shown != row.Fields["pec"] {
			faults = append(faults, row.fault("", FaultOtherRecipient, nil).Error())
		}
	}
	return faults
}
