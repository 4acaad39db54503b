package main

import (
	"embed"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/internal/plain"
	"github.com/ceralacca/go-pec/receipt"
)

//go:embed report.html page.html
var pageFiles embed.FS

var pageTemplates = template.Must(template.ParseFS(pageFiles, "report.html", "page.html"))

// rowsOnPage is how many recipients a page shows; a browser has its limits.
const rowsOnPage = 1000

// reportRow is one recipient in the report.
type reportRow struct {
	Number                           int64
	Recipient, MessageID             string
	State                            dispatch.State
	Short, Long, Colour              string
	Submitted, Accepted, Ended       string
	Cause, Explanation, Words, Fault string
	Proof, Flags                     string
	Files                            []reportFile

	proof receipt.ProofResult
}

// reportFile is a link to evidence.
type reportFile struct{ Name, Path string }

// page is one that was written.
type page struct {
	Name     string
	From, To int64 // rows
}

// slice is a piece of the picture of the totals.
type slice struct {
	Short, Long, Colour string
	Count               int64
	Offset, Width       float64 // in hundredths of the whole
}

// describe says in words what is known of a send.
func describe(s dispatch.SendStatus) reportRow {
	text := stateTexts[s.Status.State]
	row := reportRow{
		Number:    s.Send.ID.Row,
		Recipient: s.Send.Recipient.String(),
		MessageID: s.Status.MessageID,
		State:     s.Status.State,
		Short:     text.short, Long: text.long, Colour: text.colour,
		Submitted: timeText(s.Status.SubmittedAt),
		Accepted:  timeText(s.Status.AcceptedAt),
		Ended:     timeText(s.Status.EndedAt),
		Words:     plain.Text(s.Status.Detail),
		Proof:     proofTexts[s.Status.Proof],
		proof:     s.Status.Proof,
	}
	if s.Status.State == dispatch.AcceptedOrdinary {
		row.Ended = "" // it ended with the acceptance
	}
	if cause, ok := causes[s.Status.Cause]; ok {
		row.Cause, row.Explanation, row.Fault = string(cause.Code), cause.Text, string(cause.Fault)
	}
	for i, f := range s.Status.Flags {
		if i > 0 {
			row.Flags += ", "
		}
		row.Flags += string(f)
	}
	return row
}

// causes are what is known of why messages are not delivered.
var causes = func() map[receipt.CauseCode]receipt.Cause {
	all := make(map[receipt.CauseCode]receipt.Cause)
	for _, c := range receipt.Causes() {
		all[c.Code] = c
	}
	return all
}()

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 -07:00")
}

// writePage writes the rows gathered so far as a page of their own.
func (m *mailing) writePage(r *report) error {
	if len(r.rows) == 0 {
		return nil
	}
	p := page{From: r.rows[0].Number, To: r.rows[len(r.rows)-1].Number}
	dir := m.folder("pages")
	p.Name = fmt.Sprintf("%s/%07d.html", dir, p.From)
	data := map[string]any{"Batch": m.batch.Name, "Total": m.batch.Total, "Page": p, "Table": rowTable{r.rows, "../"}}
	if p.From > rowsOnPage {
		data["Before"] = fmt.Sprintf("%07d.html", p.From-rowsOnPage)
	}
	if p.To < m.batch.Total {
		data["After"] = fmt.Sprintf("%07d.html", p.To+1)
	}
	r.rows, r.pages = r.rows[:0], append(r.pages, p)
	if err := os.MkdirAll(filepath.Join(r.dir, dir), 0o755); err != nil {
		return err
	}
	return writeHTML(filepath.Join(r.dir, filepath.FromSlash(p.Name)), "page.html", data)
}

// rowTable are rows, and how to get from their page to the evidence.
type rowTable struct {
	Rows []reportRow
	Base string
}

// writePages writes what is left: the last page if there are several, and the
// report itself.
func (m *mailing) writePages(r *report) error {
	rows := r.rows
	if len(r.pages) > 0 {
		rows = r.attention
		if err := m.writePage(r); err != nil {
			return err
		}
	}
	return writeHTML(filepath.Join(r.dir, "report.html"), "report.html", map[string]any{
		"Batch":     m.batch.Name,
		"Account":   m.world.account.Address.String(),
		"Made":      timeText(m.world.now()),
		"Digest":    m.batch.Digest.String(),
		"Approvals": m.batch.Approvals,
		"Total":     r.total,
		"Slices":    picture(r),
		"Table":     rowTable{rows, ""},
		"Pages":     r.pages,
		"Simulated": m.world.issuers != nil,
	})
}

func writeHTML(path, name string, data any) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := pageTemplates.ExecuteTemplate(file, name, data); err != nil {
		return err
	}
	return file.Close()
}

// picture cuts the whole into slices.
func picture(r *report) []slice {
	var list []slice
	offset := 0.0
	for _, state := range shown {
		n := r.counts[state]
		if n == 0 {
			continue
		}
		text := stateTexts[state]
		width := 100 * float64(n) / float64(r.total)
		list = append(list, slice{text.short, text.long, text.colour, n, offset, width})
		offset += width
	}
	return list
}
