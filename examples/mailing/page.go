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
	Number                                  int64
	Recipient, MessageID                    string
	State                                   dispatch.State
	Short, Long, Colour                     string
	Times                                   []moment
	Awaited                                 string
	Cause, Explanation, Words, Fault, Retry string
	Proof, ProofCode                        string
	Flags, Notes                            []string
	Files                                   []reportFile
}

// moment is when something happened.
type moment struct{ What, At string }

// reportFile is a link to evidence.
type reportFile struct{ Name, Path string }

// page is one that was written.
type page struct {
	Name     string
	From, To int64 // rows
}

// slice is a piece of the picture of the totals.
type slice struct {
	Short, Long, Colour, Share string
	Count                      int64
	Offset, Width              float64 // in hundredths of the whole
}

// describe says in words what is known of a send.
func describe(s dispatch.SendStatus, now time.Time) reportRow {
	text := stateTexts[s.Status.State]
	row := reportRow{
		Number:    s.Send.ID.Row,
		Recipient: s.Send.Recipient.String(),
		MessageID: s.Status.MessageID,
		State:     s.Status.State,
		Short:     text.short, Long: text.long, Colour: text.colour,
		Times:     timesOf(s),
		Awaited:   awaited(s, now),
		Words:     plain.Text(s.Status.Detail),
		Proof:     proofTexts[s.Status.Proof],
		ProofCode: string(s.Status.Proof),
	}
	if cause, ok := causes[s.Status.Cause]; ok {
		row.Cause, row.Explanation = string(cause.Code), cause.Text
		row.Fault, row.Retry = faultTexts[cause.Fault], retryTexts[cause.Retry]
	}
	for _, f := range s.Status.Flags {
		row.Flags, row.Notes = append(row.Flags, string(f)), append(row.Notes, flagTexts[f])
	}
	return row
}

// timesOf lists what happened to a send, and when: by our clock what we did, as
// certified what the receipts say.
func timesOf(s dispatch.SendStatus) []moment {
	var list []moment
	add := func(what string, at time.Time) {
		if !at.IsZero() {
			list = append(list, moment{what, timeText(at)})
		}
	}
	add("sent", s.Status.SubmittedAt)
	add("accepted", s.Status.AcceptedAt)
	for _, f := range s.Facts {
		if f.Notice != nil && f.Notice.Kind == dispatch.NoticeTimeout && !f.Notice.Instant.Equal(s.Status.EndedAt) {
			add("delayed", f.Notice.Instant)
		}
	}
	if s.Status.State != dispatch.AcceptedOrdinary { // it ended with the acceptance
		add(stateTexts[s.Status.State].short, s.Status.EndedAt)
	}
	return list
}

// awaited says what should come next, if anything.
func awaited(s dispatch.SendStatus, now time.Time) string {
	deadline, ok := s.Status.NextDeadline(now)
	switch {
	case s.Status.State == dispatch.Prepared && s.Due.After(now):
		return "tried again at " + timeText(s.Due)
	case !ok:
		return ""
	case s.Status.Overdue(now):
		return "a receipt should have come by " + timeText(deadline.At) + ": ask the provider, which keeps a log for 30 months"
	}
	return "a receipt should come by " + timeText(deadline.At)
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
	return t.Local().Format("2006-01-02 15:04:05 -0700")
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
		"Headline":  headline(r),
		"Advice":    adviceOf(r),
		"SetApart":  r.setApart,
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
		list = append(list, slice{text.short, text.long, text.colour, fmt.Sprintf("%.3g%%", width), n, offset, width})
		offset += width
	}
	return list
}
