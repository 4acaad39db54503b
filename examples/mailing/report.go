package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ceralacca/go-pec/dispatch"
)

// conclude writes the report and the totals. It returns how many messages are
// open.
func (m *mailing) conclude(ctx context.Context) (open int64, err error) {
	if m.batch.Total >= manyMessages {
		m.printf("Writing the report…\n")
	}
	if m.batch, err = m.dispatcher.Batch(ctx, m.world.account.Address, m.batch.Name); err != nil {
		return 0, err
	}
	r, err := m.writeReport(ctx)
	if err != nil {
		return 0, fmt.Errorf("writing the report: %w", err)
	}
	m.printTotals(r)
	if m.json {
		err = m.printJSON(r)
	}
	return openMessages(r.counts), err
}

// report is what is gathered on one pass over all sends. Memory does not grow with
// their number.
type report struct {
	dir    string
	total  int64
	counts map[dispatch.State]int64
	// reasons count why messages were not delivered.
	reasons map[reason]int64
	// attention are the first of those that were not delivered.
	attention []reportRow
	// setApart are the first of the messages in the mailbox that were no receipts.
	setApart []setApart
	// rows are those of the page that comes next, pages those that were written.
	rows  []reportRow
	pages []page

	sums *bufio.Writer // SHA256SUMS
	list *csv.Writer   // report.csv
}

// writeReport writes report.html and its pages, report.csv, and the evidence.
func (m *mailing) writeReport(ctx context.Context) (*report, error) {
	r := &report{dir: m.report, counts: make(map[dispatch.State]int64), reasons: make(map[reason]int64)}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return nil, err
	}
	sums, err := os.Create(filepath.Join(r.dir, "SHA256SUMS"))
	if err != nil {
		return nil, err
	}
	defer sums.Close()
	list, err := os.Create(filepath.Join(r.dir, "report.csv"))
	if err != nil {
		return nil, err
	}
	defer list.Close()
	r.sums, r.list = bufio.NewWriter(sums), newList(list)
	for s, err := range m.dispatcher.Statuses(ctx, m.world.account.Address, m.batch.Name) {
		if err == nil {
			err = m.reportOn(ctx, r, s)
		}
		if err != nil {
			return nil, err
		}
	}
	r.list.Flush()
	if r.setApart, err = m.listSetApart(ctx); err != nil {
		return nil, err
	}
	return r, errors.Join(r.list.Error(), r.sums.Flush(), m.writePages(r), m.writeReadme(r), list.Close(), sums.Close())
}

// folder names a folder within that of the report. It has the digest of the batch
// in its name: reports of different batches never mix.
func (m *mailing) folder(name string) string { return fmt.Sprintf("%s-%.8s", name, m.batch.Digest) }

// reportOn adds one send to the report.
func (m *mailing) reportOn(ctx context.Context, r *report, s dispatch.SendStatus) error {
	r.total++
	r.counts[s.Status.State]++
	r.reasons[reason{s.Status.State, s.Status.Cause}]++
	row := describe(s, m.world.now())
	if m.wantsEvidence(s) {
		files, err := m.writeEvidence(ctx, r.sums, s)
		if err != nil {
			return err
		}
		row.Files = files
	}
	if err := r.list.Write(cells(row, s.Status)); err != nil {
		return err
	}
	if s.Status.State != dispatch.Delivered && len(r.attention) < rowsOnPage {
		r.attention = append(r.attention, row)
	}
	if len(r.rows) == rowsOnPage {
		if err := m.writePage(r); err != nil {
			return err
		}
	}
	r.rows = append(r.rows, row)
	return nil
}

// newList begins report.csv, which spreadsheets in Italy open with a double click:
// they want semicolons, and a byte order mark to know UTF-8.
func newList(file *os.File) *csv.Writer {
	file.WriteString("\ufeff")
	w := csv.NewWriter(file)
	w.Comma, w.UseCRLF = ';', true
	w.Write([]string{"row", "recipient", "outcome", "sent", "accepted", "ended", "cause", "words", "proof", "notes", "message-id"})
	return w
}

func cells(row reportRow, s dispatch.Status) []string {
	cells := []string{strconv.FormatInt(row.Number, 10), row.Recipient, string(row.State), timeText(s.SubmittedAt), timeText(s.AcceptedAt),
		timeText(s.EndedAt), row.Cause, row.Words, row.ProofCode, strings.Join(row.Flags, ", "), row.MessageID}
	for i, cell := range cells {
		if strings.IndexAny(cell, "=+-@") == 0 {
			cells[i] = " " + cell // or a spreadsheet would compute what others wrote
		}
	}
	return cells
}

// maxPrinted keeps the table of a large batch out of the terminal.
const maxPrinted = 25

// printTotals ends the run with a table.
func (m *mailing) printTotals(r *report) {
	rows, what := r.attention, "not delivered"
	if r.total <= maxPrinted {
		rows, what = r.rows, ""
	}
	m.printf("\n")
	for _, row := range rows[:min(len(rows), maxPrinted)] {
		m.printf("  %3d  %-32s %-22s %s\n", row.Number, row.Recipient, row.Short, row.Words)
	}
	if more := r.total - r.counts[dispatch.Delivered] - maxPrinted; what != "" && more > 0 {
		m.printf("  … and %d more %s\n", more, what)
	}
	m.printf("\n%s:\n", count(r.total, "message"))
	for _, state := range shown {
		if n := r.counts[state]; n > 0 {
			text := stateTexts[state]
			m.printf("  %7d  %-22s %s\n", n, text.short, text.long)
		}
	}
	m.printf("\nReport and evidence: %s\n", filepath.Join(r.dir, "report.html"))
	if m.evidenceMode() == evidenceProblems && m.evidence == "" {
		m.printf("Evidence of what was delivered is in the store; -evidence all writes it into files too.\n")
	}
}

// printJSON writes the totals for scripts, in one line.
func (m *mailing) printJSON(r *report) error {
	line := map[string]int64{"total": r.total}
	for _, state := range dispatch.States() {
		line[string(state)] = r.counts[state]
	}
	b, err := json.Marshal(line)
	m.printf("%s\n", b)
	return err
}
