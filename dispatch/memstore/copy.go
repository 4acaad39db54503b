package memstore

import (
	"maps"
	"slices"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// Records are copied on their way in and out, so that nobody changes what is kept
// by changing what was given. Times become what every store makes of them.

func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func copyAccount(a dispatch.Account) dispatch.Account {
	a.Lease.Until = instant(a.Lease.Until)
	a.PausedUntil = instant(a.PausedUntil)
	a.Cursors = maps.Clone(a.Cursors)
	return a
}

func copyBatch(b dispatch.Batch) dispatch.Batch {
	b.Created = instant(b.Created)
	b.Seed = slices.Clone(b.Seed)
	b.Counts = maps.Clone(b.Counts)
	b.Approvals = slices.Clone(b.Approvals)
	for i := range b.Approvals {
		b.Approvals[i].At = instant(b.Approvals[i].At)
		b.Approvals[i].Expires = instant(b.Approvals[i].Expires)
	}
	return b
}

func copySend(s dispatch.Send) dispatch.Send {
	s.Content = slices.Clone(s.Content)
	for i := range s.Content {
		s.Content[i].Bytes = slices.Clone(s.Content[i].Bytes)
	}
	return s
}

func copyProgress(p dispatch.Progress) dispatch.Progress {
	p.Due = instant(p.Due)
	return p
}

func copyFact(f dispatch.Fact) dispatch.Fact {
	f.At = instant(f.At)
	if f.Notice != nil {
		notice := *f.Notice
		notice.Instant = notice.Instant.Truncate(time.Microsecond) // in its own offset
		f.Notice = &notice
	}
	return f
}

func copyMail(m dispatch.Mail) dispatch.Mail {
	m.Found = instant(m.Found)
	return m
}

func copyEntry(e dispatch.AuditEntry) dispatch.AuditEntry {
	e.At = instant(e.At)
	return e
}
