package pectest

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-message/textproto"
)

// view is a folder as one connection sees it. Messages are read from where they
// are while they are sent, without holding up deliveries.
type view struct {
	folder  *folder
	tracker *imapserver.SessionTracker
	saved   imap.UIDSet // by SEARCH, for SEARCHRES
}

// found is a message that a command is about.
type found struct {
	*stored
	flags []imap.Flag
	seq   uint32 // for this connection; 0 if it does not know the message yet
}

// find returns the messages of a set.
func (v *view) find(set imap.NumSet) []found {
	f := v.folder
	f.mu.Lock()
	defer f.mu.Unlock()
	if imap.IsSearchRes(set) {
		set = v.saved
	}
	var list []found
	switch set := set.(type) {
	case imap.SeqSet:
		for i, m := range f.messages {
			seq := v.tracker.EncodeSeqNum(uint32(i) + 1)
			if seq != 0 && containsSeq(set, seq, uint32(len(f.messages))) {
				list = append(list, found{m, m.flags, seq})
			}
		}
	case imap.UIDSet:
		for _, r := range set {
			from, to := bounds(uint32(r.Start), uint32(r.Stop), uint32(f.uidNext)-1)
			for i := f.indexOf(imap.UID(from)); i < len(f.messages) && uint32(f.messages[i].uid) <= to; i++ {
				m := f.messages[i]
				list = append(list, found{m, m.flags, v.tracker.EncodeSeqNum(uint32(i) + 1)})
			}
		}
	}
	return list
}

func containsSeq(set imap.SeqSet, seq, last uint32) bool {
	for _, r := range set {
		if from, to := bounds(r.Start, r.Stop, last); from <= seq && seq <= to {
			return true
		}
	}
	return false
}

// bounds resolves "*", which is 0, to the last number.
func bounds(from, to, last uint32) (uint32, uint32) {
	star := from == 0 || to == 0
	if from == 0 {
		from = last
	}
	if to == 0 {
		to = last
	}
	if star && from > to {
		from, to = to, from
	}
	return from, to
}

// Fetch implements imapserver.Session.
func (s *imapSession) Fetch(w *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	if err := s.misbehave(StageFetch); err != nil {
		return err
	}
	markSeen := slices.ContainsFunc(o.BodySection, func(b *imap.FetchItemBodySection) bool { return !b.Peek })
	for _, m := range s.view.find(set) {
		if m.seq == 0 {
			continue
		}
		if markSeen && !slices.Contains(m.flags, imap.FlagSeen) {
			m.flags = s.view.folder.setFlags(m, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil)
			o.Flags = true
		}
		if err := s.fetch(w.CreateMessage(m.seq), m, o); err != nil {
			return err
		}
	}
	return nil
}

// fetch sends what is asked for of one message. The response must be closed even
// after an error: it holds a lock of the connection.
func (s *imapSession) fetch(w *imapserver.FetchResponseWriter, m found, o *imap.FetchOptions) error {
	err := s.fetchItems(w, m, o)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (s *imapSession) fetchItems(w *imapserver.FetchResponseWriter, m found, o *imap.FetchOptions) error {
	w.WriteUID(m.uid)
	if o.Flags {
		w.WriteFlags(m.flags)
	}
	if o.InternalDate {
		w.WriteInternalDate(m.time)
	}
	if o.RFC822Size {
		w.WriteRFC822Size(m.content.Size())
	}
	if o.Envelope {
		header, err := textproto.ReadHeader(bufio.NewReader(readerOf(m.content)))
		if err != nil {
			header = textproto.Header{}
		}
		w.WriteEnvelope(imapserver.ExtractEnvelope(header))
	}
	if o.BodyStructure != nil {
		w.WriteBodyStructure(imapserver.ExtractBodyStructure(readerOf(m.content)))
	}
	for _, section := range o.BodySection {
		if err := s.fetchSection(w, m, section); err != nil {
			return err
		}
	}
	for _, section := range o.BinarySection {
		b := imapserver.ExtractBinarySection(readerOf(m.content), section)
		if err := copyAndClose(w.WriteBinarySection(section, int64(len(b))), bytes.NewReader(b)); err != nil {
			return err
		}
	}
	for _, section := range o.BinarySectionSize {
		w.WriteBinarySectionSize(section, imapserver.ExtractBinarySectionSize(readerOf(m.content), section))
	}
	return nil
}

func copyAndClose(w io.WriteCloser, r io.Reader) error {
	_, err := copyAll(w, r)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	return err
}

// fetchSection streams a whole message, or the part of it that is asked for.
func (s *imapSession) fetchSection(w *imapserver.FetchResponseWriter, m found, section *imap.FetchItemBodySection) error {
	whole := section.Specifier == imap.PartSpecifierNone && len(section.Part) == 0
	var r io.Reader
	var size int64
	if whole {
		from, until := int64(0), m.content.Size()
		if p := section.Partial; p != nil {
			from = min(p.Offset, until)
			until = min(from+p.Size, until)
		}
		r, size = io.NewSectionReader(m.content, from, until-from), until-from
	} else {
		b := imapserver.ExtractBodySection(readerOf(m.content), section)
		r, size = bytes.NewReader(b), int64(len(b))
	}
	out := w.WriteBodySection(section, size)
	if whole {
		if rule := s.site.network.faults.pick(s.occasion(StageLiteral), FaultIMAPCut); rule != nil {
			return s.cutLiteral(out, r, min(rule.Bytes, size-1))
		}
	}
	return copyAndClose(out, r)
}

// cutLiteral sends part of a message and cuts the connection. The server holds
// back up to its buffer of 4 KiB.
func (s *imapSession) cutLiteral(out io.WriteCloser, r io.Reader, n int64) error {
	io.CopyN(out, r, n)
	cut(s.conn.NetConn())
	out.Close()
	return errCut
}

// Store implements imapserver.Session.
func (s *imapSession) Store(w *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, _ *imap.StoreOptions) error {
	for _, m := range s.view.find(set) {
		m.flags = s.view.folder.setFlags(m, flags, s.view.tracker)
		if flags.Silent || m.seq == 0 {
			continue
		}
		r := w.CreateMessage(m.seq)
		r.WriteUID(m.uid)
		r.WriteFlags(m.flags)
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}

// setFlags changes the flags of a message, and tells other connections.
func (f *folder) setFlags(m found, change *imap.StoreFlags, own *imapserver.SessionTracker) []imap.Flag {
	f.mu.Lock()
	defer f.mu.Unlock()
	var flags []imap.Flag
	if change.Op != imap.StoreFlagsSet {
		flags = slices.Clone(m.stored.flags)
	}
	for _, flag := range change.Flags {
		flags = slices.DeleteFunc(flags, func(x imap.Flag) bool { return strings.EqualFold(string(x), string(flag)) })
		if change.Op != imap.StoreFlagsDel {
			flags = append(flags, flag)
		}
	}
	m.stored.flags = flags
	if i := f.indexOf(m.uid); i < len(f.messages) && f.messages[i] == m.stored {
		f.tracker.QueueMessageFlags(uint32(i)+1, m.uid, flags, own)
		f.announce()
	}
	return flags
}

// Search implements imapserver.Session.
func (s *imapSession) Search(kind imapserver.NumKind, c *imap.SearchCriteria, o *imap.SearchOptions) (*imap.SearchData, error) {
	v := s.view
	all := v.find(imap.UIDSet{{Start: 1, Stop: 0}})
	last := limits{uid: 0, seq: uint32(len(all))}
	if len(all) > 0 {
		last.uid = uint32(all[len(all)-1].uid)
	}
	var uids imap.UIDSet
	var seqs imap.SeqSet
	data := &imap.SearchData{}
	for _, m := range all {
		if m.seq == 0 || !v.matches(m, c, last) {
			continue
		}
		number := m.seq
		if kind == imapserver.NumKindUID {
			number = uint32(m.uid)
		}
		uids.AddNum(m.uid)
		seqs.AddNum(m.seq)
		if data.Min == 0 {
			data.Min = number
		}
		data.Max = number
		data.Count++
	}
	data.All = seqs
	if kind == imapserver.NumKindUID {
		data.All = uids
	}
	if o.ReturnSave {
		v.saved = uids
	}
	return data, nil
}

// limits are what "*" stands for.
type limits struct{ uid, seq uint32 }

// matches judges a message by all criteria, those that need no reading first.
func (v *view) matches(m found, c *imap.SearchCriteria, last limits) bool {
	for _, set := range c.SeqNum {
		if !containsSeq(set, m.seq, last.seq) {
			return false
		}
	}
	for _, set := range c.UID {
		if !v.containsUID(set, m.uid, last.uid) {
			return false
		}
	}
	for _, flag := range c.Flag {
		if !m.has(flag) {
			return false
		}
	}
	for _, flag := range c.NotFlag {
		if m.has(flag) {
			return false
		}
	}
	size := m.content.Size()
	if c.Larger != 0 && size <= c.Larger || c.Smaller != 0 && size >= c.Smaller || !inDays(m.time, c.Since, c.Before) {
		return false
	}
	for i := range c.Not {
		if v.matches(m, &c.Not[i], last) {
			return false
		}
	}
	for i := range c.Or {
		if !v.matches(m, &c.Or[i][0], last) && !v.matches(m, &c.Or[i][1], last) {
			return false
		}
	}
	return matchesText(m.content, c)
}

func (v *view) containsUID(set imap.UIDSet, uid imap.UID, last uint32) bool {
	if imap.IsSearchRes(set) {
		set = v.saved
	}
	for _, r := range set {
		if from, to := bounds(uint32(r.Start), uint32(r.Stop), last); from <= uint32(uid) && uint32(uid) <= to {
			return true
		}
	}
	return false
}

// has judges by the flags that were found.
func (m found) has(flag imap.Flag) bool { return (&stored{flags: m.flags}).has(flag) }

// inDays compares dates without regard to zones, as IMAP has it.
func inDays(t, since, before time.Time) bool {
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return (since.IsZero() || !day.Before(since)) && (before.IsZero() || day.Before(before))
}

// matchesText judges by what stands in the message: fields decoded, the body as
// it was sent.
func matchesText(c content, criteria *imap.SearchCriteria) bool {
	if len(criteria.Header)+len(criteria.Text)+len(criteria.Body) == 0 && criteria.SentSince.IsZero() && criteria.SentBefore.IsZero() {
		return true
	}
	o, err := openOriginal(readerOf(c))
	if err != nil {
		return false
	}
	for _, h := range criteria.Header {
		if !o.holds(h.Key, h.Value) {
			return false
		}
	}
	if !criteria.SentSince.IsZero() || !criteria.SentBefore.IsZero() {
		date, err := time.Parse("Mon, 02 Jan 2006 15:04:05 -0700", o.get("Date"))
		if err != nil || !inDays(date, criteria.SentSince, criteria.SentBefore) {
			return false
		}
	}
	if len(criteria.Text)+len(criteria.Body) == 0 {
		return true
	}
	body, err := io.ReadAll(o.body)
	if err != nil {
		return false
	}
	inBody := func(text string) bool { return bytes.Contains(bytes.ToLower(body), []byte(strings.ToLower(text))) }
	inHead := func(text string) bool { return o.holds("", text) }
	return !slices.ContainsFunc(criteria.Body, func(t string) bool { return !inBody(t) }) &&
		!slices.ContainsFunc(criteria.Text, func(t string) bool { return !inBody(t) && !inHead(t) })
}

// holds reports whether a field of a name, or any if that is empty, holds a text.
func (o *original) holds(name, text string) bool {
	for _, f := range o.fields {
		if (name == "" || strings.EqualFold(f.name, name)) &&
			strings.Contains(strings.ToLower(decodeHeader(f.value())), strings.ToLower(text)) {
			return true
		}
	}
	return false
}
