package dispatch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// PreflightOptions says what a batch is checked for.
type PreflightOptions struct {
	// RenderOptions are those of the batch; Date is not looked at.
	RenderOptions
	// FreeBytes is how much the account's mailbox can still take; 0 is the
	// MailboxBytes of the profile, as if it were empty.
	FreeBytes int64
	// Tolerate makes warnings of faults that a batch may have on purpose:
	// FaultDoubledRecipient (one address stands for several people),
	// FaultFileDoubled (a file is meant for several rows) and FaultOtherRecipient
	// (a text names an office that is a recipient too). Others can't be tolerated.
	Tolerate []FaultCode
	// Keep is how many faults of each kind are told one by one; default 100. All
	// are counted.
	Keep int
}

// tolerable are the faults that can be tolerated.
var tolerable = []FaultCode{FaultDoubledRecipient, FaultFileDoubled, FaultOtherRecipient}

// PreflightReport is what is known of a batch before it is made.
type PreflightReport struct {
	// Rows is the number of rows, Messages that of those a message can be made of.
	Rows, Messages int64
	// Faults and Warnings are the first of each kind, by line.
	Faults, Warnings []*RowError
	// FaultCount and WarningCount are the numbers of them all, Counts those of each
	// kind.
	FaultCount, WarningCount int64
	Counts                   map[FaultCode]int64
	// Bytes is the size of all messages, Largest that of the largest.
	Bytes, Largest int64
	// Input is a digest over all messages as they are but for Message-ID and Date.
	// It is the same for the same template, options, rows and files.
	Input Digest
	// Forecast is what the batch will do to the mailbox.
	Forecast Forecast
}

// Err returns nil if there is no fault. Otherwise its error says how many there
// are, and wraps those that are told one by one.
func (r *PreflightReport) Err() error {
	if r.FaultCount == 0 {
		return nil
	}
	return &preflightError{r}
}

type preflightError struct{ report *PreflightReport }

func (e *preflightError) Error() string {
	r := e.report
	text := fmt.Sprintf("dispatch: %d faults in a batch of %d rows", r.FaultCount, r.Rows)
	if len(r.Faults) > 0 {
		text += ": " + strings.TrimPrefix(r.Faults[0].Error(), "dispatch: ")
	}
	if r.FaultCount > 1 {
		text += "; and others"
	}
	return text
}

func (e *preflightError) Unwrap() []error {
	return flatten(joinFaults(e.report.Faults))
}

// Preflight goes over all rows, makes each message, keeps nothing, and reports
// every fault there is, so that a batch is stored whole or not at all.
//
// Besides what a Renderer refuses, it finds what no row shows by itself: an
// address or a file that two rows have, columns that nothing uses, and messages
// that show the address of another recipient of the batch in their subject, text,
// HTML, or in the name of a file. It can't look into attachments for that.
//
// Its memory does not grow with the number of rows. To find what is there twice it
// notes 16 bytes for each row, for each attachment of a row and for each address
// that a message shows; more than 1 MiB of them go into a temporary file, in the
// folder of [os.TempDir]. They are hashes that tell nothing of addresses and files,
// and the file is gone when Preflight returns. If it suspects that something is
// there twice it goes over the rows once more, to make sure.
//
// Its error is that of the source, of ctx, of the options or of the temporary file,
// for which there may be no space. Faults are in the report, and
// [PreflightReport.Err] makes an error of them.
func Preflight(ctx context.Context, t *Template, rows iter.Seq2[Row, error], opts PreflightOptions) (*PreflightReport, error) {
	if opts.Account.IsZero() {
		return nil, errors.New("dispatch: preflight: no account")
	}
	for _, code := range opts.Tolerate {
		if !slices.Contains(tolerable, code) {
			return nil, fmt.Errorf("dispatch: preflight: the fault %q can't be tolerated", code)
		}
	}
	p := newPreflight(t, opts)
	defer p.keys.close()
	return p.run(ctx, rows)
}

// run goes over the rows, and once more where it must.
func (p *preflight) run(ctx context.Context, rows iter.Seq2[Row, error]) (*PreflightReport, error) {
	if err := p.firstPass(ctx, rows); err != nil {
		return nil, err
	}
	if err := p.findSuspects(); err != nil {
		return nil, err
	}
	if err := p.secondPass(ctx, rows); err != nil {
		return nil, err
	}
	return p.finish(), nil
}

// preflight is one preflight under way.
type preflight struct {
	t        *Template
	opts     PreflightOptions
	renderer *Renderer
	id       string // of every message
	report   *PreflightReport

	kept    map[FaultCode][]*RowError
	told    map[*RowError]bool // those of attachments that all messages have
	unknown map[string]bool    // columns that do not exist
	last    int64              // line of the last faulty row

	keys       *keySet
	doubles    *doubleCheck
	forecaster forecaster
	input      hash.Hash
}

func newPreflight(t *Template, opts PreflightOptions) *preflight {
	opts.Date = time.Unix(0, 0).UTC()
	if opts.Keep <= 0 {
		opts.Keep = 100
	}
	return &preflight{
		t: t, opts: opts,
		renderer: t.NewRenderer(nil, opts.RenderOptions),
		// As long as those of pec.NewMessageID.
		id:      "<" + strings.Repeat("a", 26) + "@" + opts.Account.Domain() + ">",
		report:  &PreflightReport{Counts: make(map[FaultCode]int64)},
		kept:    make(map[FaultCode][]*RowError),
		told:    make(map[*RowError]bool),
		keys:    newKeySet(),
		doubles: newDoubleCheck(),
		input:   sha256.New(),
	}
}

// add adds faults or warnings to the report.
func (p *preflight) add(faults ...*RowError) {
	for _, f := range faults {
		if p.told[f] || f.Line > 0 && p.unknown[f.Field] && f.Code == FaultColumn {
			continue
		}
		if p.renderer.isShared(f) {
			p.told[f] = true
		}
		p.count(f.Code, 1)
		if len(p.kept[f.Code]) < p.opts.Keep {
			p.kept[f.Code] = append(p.kept[f.Code], f)
		}
	}
}

// count counts faults or warnings of a kind.
func (p *preflight) count(code FaultCode, n int64) {
	p.report.Counts[code] += n
	if p.isWarning(code) {
		p.report.WarningCount += n
	} else {
		p.report.FaultCount += n
	}
}

func (p *preflight) isWarning(code FaultCode) bool {
	switch code {
	case WarnUnusedColumn, WarnSelf, WarnArchive, WarnRule, WarnCapacity:
		return true
	}
	return slices.Contains(p.opts.Tolerate, code)
}

// eachRow goes over the rows. Faults of the source go to fault.
func eachRow(ctx context.Context, rows iter.Seq2[Row, error], fault func(line int64, faults []*RowError), do func(Row) error) error {
	for row, err := range rows {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		faults, rest := rowErrors(err)
		if rest != nil {
			return rest
		}
		if err != nil {
			fault(row.Line, faults)
			continue
		}
		if err := do(row); err != nil {
			return err
		}
	}
	return nil
}

func (p *preflight) firstPass(ctx context.Context, rows iter.Seq2[Row, error]) error {
	err := eachRow(ctx, rows, p.unreadable, func(row Row) error {
		p.report.Rows++
		if p.unknown == nil {
			p.checkColumns(row)
		}
		if err := p.checkRecipient(row); err != nil {
			return err
		}
		m, _, err := p.renderer.render(ctx, row, p.id)
		faults, err := rowErrors(err)
		p.add(faults...)
		if err == nil && len(faults) == 0 {
			err = p.addMessage(m)
		}
		return err
	})
	if err == nil && p.report.Rows == 0 && p.report.FaultCount == 0 {
		p.add(&RowError{Code: FaultNoRows})
	}
	return err
}

// unreadable takes faults of a row that the source could not read.
func (p *preflight) unreadable(line int64, faults []*RowError) {
	isHeader := len(faults) > 0 && faults[0].Code == FaultHeader
	if !isHeader && (line == 0 || line != p.last) {
		p.report.Rows++
		p.last = line
	}
	p.add(faults...)
}

// checkColumns compares the columns of the source with those that the template
// uses.
func (p *preflight) checkColumns(first Row) {
	p.unknown = make(map[string]bool)
	for _, column := range p.t.columns {
		if _, ok := first.Fields[column]; !ok {
			p.unknown[column] = true
			p.add(&RowError{Field: column, Code: FaultColumn})
		}
	}
	for _, column := range slices.Sorted(maps.Keys(first.Fields)) {
		if !slices.Contains(p.t.columns, column) {
			p.add(&RowError{Column: first.columns[column], Field: column, Code: WarnUnusedColumn})
		}
	}
}

// checkRecipient notes who the recipient of a row is, whatever else is wrong with
// the row.
func (p *preflight) checkRecipient(row Row) error {
	to, fault := p.t.recipient(row)
	if fault != nil || to.Address.IsZero() {
		return nil
	}
	if to.Address.Equal(p.opts.Account) && p.opts.Redirect.IsZero() {
		p.add(row.fault(p.t.cfg.Recipient, WarnSelf, nil))
	}
	return p.keys.add(roleRecipient, to.Address.Key())
}

// addMessage notes what a message has.
func (p *preflight) addMessage(m *Rendered) error {
	p.report.Messages++
	p.report.Bytes += m.Size
	p.report.Largest = max(p.report.Largest, m.Size)
	p.addInput(m.Content)
	p.forecaster.add(m)
	p.add(m.Warnings...)
	for _, key := range m.shown {
		if err := p.keys.add(roleShown, key); err != nil {
			return err
		}
	}
	for _, f := range m.Attachments[len(p.t.cfg.Attachments):] {
		if err := p.keys.add(roleFile, string(f.Digest[:])); err != nil {
			return err
		}
	}
	return nil
}

// addInput adds a message to the digest of them all, with the digests of its
// attachments in their place.
func (p *preflight) addInput(content []Piece) {
	for _, piece := range content {
		bytes := piece.Bytes
		if !piece.Blob.IsZero() {
			bytes = piece.Blob[:]
		}
		binary.Write(p.input, binary.BigEndian, uint64(len(bytes)))
		p.input.Write(bytes)
	}
}

// finish makes the report.
func (p *preflight) finish() *PreflightReport {
	r := p.report
	r.Forecast = p.forecaster.forecast(p.opts)
	if c := r.Forecast; c.Space > 0 && c.Expected > c.Space {
		p.add(&RowError{Code: WarnCapacity, Err: fmt.Errorf("about %d bytes of receipts, and space for %d", c.Expected, c.Space)})
	}
	p.input.Sum(r.Input[:0])
	for _, code := range slices.Sorted(maps.Keys(p.kept)) {
		if p.isWarning(code) {
			r.Warnings = append(r.Warnings, p.kept[code]...)
		} else {
			r.Faults = append(r.Faults, p.kept[code]...)
		}
	}
	byPlace := func(a, b *RowError) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) }
	slices.SortStableFunc(r.Faults, byPlace)
	slices.SortStableFunc(r.Warnings, byPlace)
	return r
}
