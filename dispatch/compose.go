package dispatch

import (
	"errors"
	"html"
	"path"
	"strings"

	"github.com/ceralacca/go-pec/pec"
)

// composed is what a template makes of a row, before it is encoded.
type composed struct {
	from, to   pec.Mailbox
	owner      pec.Address // the recipient that the row names
	subject    string
	text, html string // "" if there is none; lines end in LF
}

// compose makes the texts and addresses of a row. Its errors are faults of the
// row.
func (r *Renderer) compose(row Row) (*composed, error) {
	t := r.t
	m := &composed{from: t.cfg.From}
	faults := t.checkCells(row)
	if len(faults) == 0 {
		faults = r.texts(row, m)
	}
	if m.from.Address.IsZero() {
		m.from.Address = r.opts.Account
	}
	to, fault := t.recipient(row)
	if fault != nil {
		faults = append(faults, fault)
	}
	m.to, m.owner = to, to.Address
	if !r.opts.Redirect.IsZero() {
		m.to = pec.Mailbox{Address: r.opts.Redirect}
	}
	return m, joinFaults(faults)
}

// checkCells checks the cells that a template uses.
func (t *Template) checkCells(row Row) (faults []*RowError) {
	for _, column := range t.columns {
		cell, ok := row.Fields[column]
		switch code, err := cellFault(cell); {
		case !ok:
			faults = append(faults, row.fault(column, FaultColumn, nil))
		case cell == "" && t.filled[column]:
			faults = append(faults, row.fault(column, FaultMissing, nil))
		case code != "":
			faults = append(faults, row.fault(column, code, err))
		}
	}
	for _, column := range t.oneLined {
		if code, err := checkHeadText(row.Fields[column]); code == FaultControl {
			faults = append(faults, row.fault(column, code, err))
		}
	}
	return faults
}

// recipient reads the one address of a row.
func (t *Template) recipient(row Row) (pec.Mailbox, *RowError) {
	cell := row.Fields[t.cfg.Recipient]
	if cell == "" {
		return pec.Mailbox{}, nil // a fault already
	}
	list, err := pec.ParseAddressList(cell)
	if at := (*pec.AddressListError)(nil); errors.As(err, &at) {
		err = at.Err // its columns are those of the cell
	}
	switch {
	case len(list) > 1, err != nil && strings.Count(cell, "@") > 1:
		return pec.Mailbox{}, row.fault(t.cfg.Recipient, FaultSeveralAddresses, nil)
	case err != nil:
		return pec.Mailbox{}, row.fault(t.cfg.Recipient, FaultAddress, err)
	case len(list) == 0:
		return pec.Mailbox{}, row.fault(t.cfg.Recipient, FaultAddress, nil)
	}
	to, column := list[0], t.cfg.Recipient
	if t.cfg.RecipientName != "" {
		column = t.cfg.RecipientName
		to.Name = row.Fields[column]
	}
	if code, err := checkDisplayName(to.Name); code != "" {
		return to, row.fault(column, code, err)
	}
	return to, nil
}

// checkDisplayName returns what makes a text unfit to be shown as somebody's
// name. Some readers show nothing else, so it may not pass for an address.
func checkDisplayName(name string) (FaultCode, error) {
	if strings.Contains(name, "@") {
		return FaultAddress, errors.New("an address in the place of a name")
	}
	return checkHeadText(name)
}

// texts runs the templates.
func (r *Renderer) texts(row Row, m *composed) (faults []*RowError) {
	run := func(part string, t executor) string {
		text, fault := execute(part, t, row, r.profile.MaxTotalBytes)
		if fault != nil {
			faults = append(faults, fault)
		}
		return text
	}
	m.subject = strings.TrimSpace(run(partSubject, r.t.subject))
	if code, err := checkHeadText(m.subject); code != "" || m.subject == "" {
		if len(faults) == 0 {
			faults = append(faults, row.fault("", FaultSubject, err))
		}
	}
	if r.t.text != nil {
		m.text = evenLines(run(partText, r.t.text))
	}
	if r.t.html != nil {
		m.html = evenLines(run(partHTML, r.t.html))
		if strings.Contains(m.html, unsafeMark) {
			faults = append(faults, row.fault("", FaultTemplate, &TemplateError{Part: partHTML, Err: errUnsafe}))
		}
	}
	return faults
}

// unsafeMark is what html/template writes in place of a cell that it takes for an
// attack, such as an address of a page that is none.
const unsafeMark = "ZgotmplZ"

var errUnsafe = errors.New("a cell that is not safe where the template has it")

// shownAddresses returns the keys of the addresses that a message shows in its
// texts and in the names of its files, but for those of its sender and its
// recipient.
func (r *Renderer) shownAddresses(m *composed, fileNames []string) []string {
	seen := map[string]bool{
		m.to.Address.Key(): true, m.owner.Key(): true, m.from.Address.Key(): true, r.t.cfg.ReplyTo.Address.Key(): true,
	}
	texts := []string{m.subject, m.text, m.to.Name}
	if strings.ContainsAny(m.html, "@&%") {
		texts = append(texts, strings.ReplaceAll(html.UnescapeString(m.html), "%40", "@"))
	}
	for _, name := range fileNames {
		texts = append(texts, strings.TrimSuffix(name, path.Ext(name)))
	}
	var keys []string
	for _, text := range texts {
		for _, key := range addressesIn(text) {
			if !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// addressesIn returns the keys of what looks like an address in a text. The part
// before an @ may hold quotes, dashes and the like, which may as well stand
// around it: both readings are returned.
func addressesIn(text string) (keys []string) {
	for i := range len(text) {
		if text[i] != '@' {
			continue
		}
		end := i + 1
		for end < len(text) && isDomainByte(text[end]) {
			end++
		}
		domain := strings.TrimRight(text[i+1:end], ".-_")
		for _, isLocal := range []func(byte) bool{isAtextByte, isDomainByte} {
			begin := i
			for begin > 0 && isLocal(text[begin-1]) {
				begin--
			}
			a, err := pec.ParseAddress(strings.TrimLeft(text[begin:i], ".") + "@" + domain)
			if err == nil {
				keys = append(keys, a.Key())
			}
		}
	}
	return keys
}

func isDomainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}

// isAtextByte reports whether c may stand before an @. RFC 5322, section 3.2.3.
func isAtextByte(c byte) bool {
	return isDomainByte(c) || strings.IndexByte("!#$%&'*+/=?^`{|}~", c) >= 0
}
