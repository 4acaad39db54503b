package main

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/internal/plain"
	"github.com/ceralacca/go-pec/receipt"
)

//go:embed report.html
var reportHTML embed.FS

// totals are how many messages are in each state.
type totals struct {
	total  int64
	counts map[dispatch.State]int64
	rows   []reportRow // the first of them
}

// reportRow is one recipient in the report.
type reportRow struct {
	Number                           int64
	Recipient                        string
	State                            dispatch.State
	Short, Long, Colour              string
	Submitted, Accepted, Ended       string
	Cause, Explanation, Words, Fault string
	Proof, Flags                     string
	Files                            []reportFile
}

type reportFile struct{ Name, Path string }

// slice is a piece of the picture of the totals.
type slice struct {
	Short, Long, Colour string
	Count               int64
	Offset, Width       float64 // in hundredths of the whole
}

// writeReport writes report.html, and the evidence in a folder for each recipient:
// the message as it was sent, each receipt as it was received, and the timeline.
func (m *mailing) writeReport(ctx context.Context) (totals, error) {
	t := totals{counts: make(map[dispatch.State]int64)}
	for s, err := range m.dispatcher.Statuses(ctx, m.world.account.Address, m.batch.Name) {
		if err != nil {
			return t, err
		}
		t.total++
		t.counts[s.Status.State]++
		row := describe(s)
		if row.Files, err = m.writeEvidence(ctx, s); err != nil {
			return t, err
		}
		if len(t.rows) < maxRows {
			t.rows = append(t.rows, row)
		}
	}
	return t, m.writeHTML(t)
}

// maxRows is how many recipients the page shows; a browser has its limits. The
// evidence is complete.
const maxRows = 5000

func (m *mailing) writeHTML(t totals) error {
	page, err := template.ParseFS(reportHTML, "report.html")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.report, 0o755); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(m.report, "report.html"))
	if err != nil {
		return err
	}
	defer file.Close()
	err = page.Execute(file, map[string]any{
		"Batch":   m.batch.Name,
		"Account": m.world.account.Address.String(),
		"Made":    m.world.now().Format("2006-01-02 15:04:05 -0700"),
		"Digest":  m.batch.Digest.String(),
		"Total":   t.total,
		"Slices":  picture(t),
		"Rows":    t.rows,
		"Left":    t.total - int64(len(t.rows)),
	})
	if err != nil {
		return err
	}
	return file.Close()
}

func picture(t totals) []slice {
	var list []slice
	offset := 0.0
	for _, state := range shown {
		n := t.counts[state]
		if n == 0 {
			continue
		}
		text := stateTexts[state]
		width := 100 * float64(n) / float64(t.total)
		list = append(list, slice{text.short, text.long, text.colour, n, offset, width})
		offset += width
	}
	return list
}

// describe says in words what is known of a send.
func describe(s dispatch.SendStatus) reportRow {
	text := stateTexts[s.Status.State]
	row := reportRow{
		Number:    s.Send.ID.Row,
		Recipient: s.Send.Recipient.String(),
		State:     s.Status.State,
		Short:     text.short, Long: text.long, Colour: text.colour,
		Submitted: timeText(s.Status.SubmittedAt),
		Accepted:  timeText(s.Status.AcceptedAt),
		Ended:     timeText(s.Status.EndedAt),
		Words:     plain.Text(s.Status.Detail),
		Proof:     proofTexts[s.Status.Proof],
	}
	for _, cause := range receipt.Causes() {
		if cause.Code == s.Status.Cause {
			row.Cause, row.Explanation, row.Fault = string(cause.Code), cause.Text, string(cause.Fault)
		}
	}
	var flags []string
	for _, f := range s.Status.Flags {
		flags = append(flags, string(f))
	}
	row.Flags = strings.Join(flags, ", ")
	return row
}

var proofTexts = map[receipt.ProofResult]string{
	receipt.Proven:    "the receipt proves that what was delivered is what was sent",
	receipt.Disproven: "what was delivered differs from what was sent",
	receipt.NoProof:   "the receipt does not hold the content",
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02 15:04:05 -0700")
}

// writeEvidence writes what proves where a send stands. Files that are there from
// an earlier run are written again: they are copies of what the store holds.
func (m *mailing) writeEvidence(ctx context.Context, s dispatch.SendStatus) ([]reportFile, error) {
	if s.Status.Try == 0 && len(s.Facts) == 1 {
		return nil, nil // it never left
	}
	dir := filepath.Join("evidence", fmt.Sprintf("%07d", s.Send.ID.Row))
	if err := os.MkdirAll(filepath.Join(m.report, dir), 0o755); err != nil {
		return nil, err
	}
	var files []reportFile
	add := func(name string, write func(io.Writer) error) error {
		path := filepath.Join(dir, name)
		files = append(files, reportFile{strings.TrimSuffix(name, filepath.Ext(name)), filepath.ToSlash(path)})
		return writeFile(filepath.Join(m.report, path), write)
	}
	err := add("message.eml", func(w io.Writer) error {
		return m.dispatcher.WriteMessage(ctx, m.world.account.Address, s.Send.ID, w)
	})
	if err != nil {
		return nil, err
	}
	receipts := 0
	for _, fact := range s.Facts {
		if fact.Raw.IsZero() {
			continue
		}
		receipts++
		name := string(fact.Kind)
		if fact.Notice != nil {
			name = string(fact.Notice.Kind)
		}
		err := add(fmt.Sprintf("%02d-%s.eml", receipts, name), func(w io.Writer) error { return m.dispatcher.WriteMail(ctx, fact.Raw, w) })
		if err != nil {
			return nil, err
		}
	}
	return files, add("timeline.json", func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"send": s.Send.ID, "recipient": s.Send.Recipient, "state": s.Status.State, "digest": s.Send.Digest, "facts": s.Facts})
	})
}

func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// maxPrinted keeps the table of a large batch out of the terminal; the page has it.
const maxPrinted = 25

// printTotals ends the run with a table.
func (m *mailing) printTotals(t totals) {
	if t.total <= maxPrinted {
		m.printf("\n")
		for _, row := range t.rows {
			m.printf("  %3d  %-32s %-22s %s\n", row.Number, row.Recipient, row.Short, row.Words)
		}
	}
	m.printf("\n%d messages:\n", t.total)
	for _, state := range shown {
		if n := t.counts[state]; n > 0 {
			text := stateTexts[state]
			m.printf("  %7d  %-22s %s\n", n, text.short, text.long)
		}
	}
	m.printf("\nReport and evidence: %s\n", filepath.Join(m.report, "report.html"))
}
