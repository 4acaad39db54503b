package dispatch

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

// doubleCheck makes sure, in a second pass over the rows, of what the first one
// made it suspect: it looks at the keys themselves.
type doubleCheck struct {
	suspects [keyRoles]map[uint64]bool // :: role → hashes

	firstLine map[string]int64 // :: key → line of the row that has it first
	isOther   map[string]bool  // :: key → it is that of a recipient
	sightings []sighting       // the first ones
	seen      map[string]int64 // :: key → in how many messages
}

// sighting is an address shown in a message that is for somebody else.
type sighting struct {
	key   string
	fault *RowError
}

func newDoubleCheck() *doubleCheck {
	return &doubleCheck{firstLine: make(map[string]int64), isOther: make(map[string]bool), seen: make(map[string]int64)}
}

func (d *doubleCheck) isNeeded() bool {
	return slices.ContainsFunc(d.suspects[:], func(hashes map[uint64]bool) bool { return len(hashes) > 0 })
}

func (p *preflight) secondPass(ctx context.Context, rows iter.Seq2[Row, error]) error {
	d := p.doubles
	if !d.isNeeded() {
		return nil
	}
	known := func(int64, []*RowError) {}
	err := eachRow(ctx, rows, known, func(row Row) error {
		p.recheckRecipient(row)
		if len(d.suspects[roleShown]) > 0 {
			p.recheckShown(ctx, row)
		}
		if len(d.suspects[roleFile]) == 0 {
			return nil
		}
		return p.recheckFiles(ctx, row)
	})
	if err == nil {
		p.tellSightings()
	}
	return err
}

func (p *preflight) recheckRecipient(row Row) {
	to, fault := p.t.recipient(row)
	if fault != nil || to.Address.IsZero() {
		return
	}
	key := to.Address.Key()
	hash := p.keys.hash(key)
	if p.doubles.suspects[roleShown][hash] {
		p.doubles.isOther[key] = true
	}
	if p.doubles.suspects[roleRecipient][hash] {
		p.again(key, row.fault(p.t.cfg.Recipient, FaultDoubledRecipient, nil))
	}
}

// again adds a fault unless the key is seen for the first time.
func (p *preflight) again(key string, fault *RowError) {
	first, ok := p.doubles.firstLine[key]
	if !ok {
		p.doubles.firstLine[key] = fault.Line
		return
	}
	fault.Err = fmt.Errorf("line %d", first)
	p.add(fault)
}

func (p *preflight) recheckFiles(ctx context.Context, row Row) error {
	for i := range p.t.cfg.RowAttachments {
		f := &p.t.cfg.RowAttachments[i]
		e, err := p.renderer.rowFile(ctx, f, row)
		if _, err := rowErrors(err); err != nil {
			return err
		}
		if e == nil {
			continue
		}
		if key := string(e.Digest[:]); p.doubles.suspects[roleFile][p.keys.hash(key)] {
			p.again(key, row.fault(f.Column, FaultFileDoubled, nil))
		}
	}
	return nil
}

// recheckShown notes where addresses are shown that may be of other recipients.
func (p *preflight) recheckShown(ctx context.Context, row Row) {
	m, err := p.renderer.compose(row)
	if err != nil {
		return
	}
	var names []string
	for i := range p.t.cfg.RowAttachments {
		if f, ok, err := p.t.cfg.RowAttachments[i].file(ctx, row); ok && err == nil {
			names = append(names, f.Name)
		}
	}
	for _, f := range p.t.cfg.Attachments {
		names = append(names, f.Name)
	}
	d := p.doubles
	for _, key := range p.renderer.shownAddresses(m, names) {
		if !d.suspects[roleShown][p.keys.hash(key)] {
			continue
		}
		d.seen[key]++
		if len(d.sightings) < p.opts.Keep {
			d.sightings = append(d.sightings, sighting{key, row.fault("", FaultOtherRecipient, nil)})
		}
	}
}

// tellSightings adds faults for the addresses shown that are of recipients.
func (p *preflight) tellSightings() {
	d := p.doubles
	d.sightings = slices.DeleteFunc(d.sightings, func(s sighting) bool { return !d.isOther[s.key] })
	for key, times := range d.seen {
		if d.isOther[key] {
			p.count(FaultOtherRecipient, times)
		}
	}
	for _, s := range d.sightings {
		p.kept[FaultOtherRecipient] = append(p.kept[FaultOtherRecipient], s.fault)
	}
}
