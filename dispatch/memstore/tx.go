package memstore

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// errView is the error of a change in a View.
var errView = errors.New("memstore: a view changes nothing")

// tx is a [dispatch.Tx]. It changes the records at once and remembers how to
// undo that.
type tx struct {
	account  *account
	writable bool
	undo     []func()
}

func (t *tx) onRollback(f func()) { t.undo = append(t.undo, f) }

func (t *tx) commit() { t.undo = nil }

func (t *tx) rollback() {
	for _, f := range slices.Backward(t.undo) {
		f()
	}
	t.undo = nil
}

// put sets an entry of a map of records.
func put[K comparable, V any](t *tx, m map[K]V, key K, value V) {
	old, had := m[key]
	m[key] = value
	t.onRollback(func() {
		if had {
			m[key] = old
		} else {
			delete(m, key)
		}
	})
}

// insert puts an item into a sorted list.
func insert[T any](t *tx, list *sorted[T], item T) {
	list.insert(item)
	t.onRollback(func() { list.remove(item) })
}

// Account implements [dispatch.Tx].
func (t *tx) Account() (dispatch.Account, error) {
	if t.account.record == nil {
		return dispatch.Account{}, dispatch.ErrNotFound
	}
	return copyAccount(*t.account.record), nil
}

// PutAccount implements [dispatch.Tx].
func (t *tx) PutAccount(a dispatch.Account) error {
	if !t.writable {
		return errView
	}
	old := t.account.record
	a = copyAccount(a)
	t.account.record = &a
	t.onRollback(func() { t.account.record = old })
	return nil
}

// Batch implements [dispatch.Tx].
func (t *tx) Batch(name string) (dispatch.Batch, error) {
	b, ok := t.account.batches[name]
	if !ok {
		return dispatch.Batch{}, dispatch.ErrNotFound
	}
	return copyBatch(b), nil
}

// Batches implements [dispatch.Tx].
func (t *tx) Batches() ([]dispatch.Batch, error) {
	var list []dispatch.Batch
	for _, name := range slices.Sorted(maps.Keys(t.account.batches)) {
		list = append(list, copyBatch(t.account.batches[name]))
	}
	return list, nil
}

// PutBatch implements [dispatch.Tx].
func (t *tx) PutBatch(b dispatch.Batch) error {
	if !t.writable {
		return errView
	}
	put(t, t.account.batches, b.Name, copyBatch(b))
	return nil
}

// AddSend implements [dispatch.Tx].
func (t *tx) AddSend(s dispatch.Send, p dispatch.Progress) error {
	if !t.writable {
		return errView
	}
	if _, ok := t.account.sends[s.ID]; ok {
		return dispatch.ErrExists
	}
	put(t, t.account.sends, s.ID, &send{send: copySend(s)})
	insert(t, t.account.rowsOf(s.ID.Batch), s.ID.Row)
	return t.PutProgress(s.ID, p)
}

// Send implements [dispatch.Tx].
func (t *tx) Send(id dispatch.SendID) (dispatch.Send, error) {
	s, ok := t.account.sends[id]
	if !ok {
		return dispatch.Send{}, dispatch.ErrNotFound
	}
	return copySend(s.send), nil
}

// Progress implements [dispatch.Tx].
func (t *tx) Progress(id dispatch.SendID) (dispatch.Progress, error) {
	s, ok := t.account.sends[id]
	if !ok {
		return dispatch.Progress{}, dispatch.ErrNotFound
	}
	return s.progress, nil
}

// PutProgress implements [dispatch.Tx].
func (t *tx) PutProgress(id dispatch.SendID, p dispatch.Progress) error {
	if !t.writable {
		return errView
	}
	s, ok := t.account.sends[id]
	if !ok {
		return dispatch.ErrNotFound
	}
	old := s.progress
	t.account.setProgress(s, copyProgress(p))
	t.onRollback(func() { t.account.setProgress(s, old) })
	return nil
}

// Sends implements [dispatch.Tx].
func (t *tx) Sends(batch string, after int64, limit int) ([]dispatch.Send, error) {
	var list []dispatch.Send
	rows, ok := t.account.rows[batch]
	if !ok {
		return nil, nil
	}
	for _, row := range rows.after(after) {
		if len(list) >= limit {
			break
		}
		list = append(list, copySend(t.account.sends[dispatch.SendID{Batch: batch, Row: row}].send))
	}
	return list, nil
}

// Due implements [dispatch.Tx].
func (t *tx) Due(batch string, now time.Time, limit int) ([]dispatch.Send, error) {
	var list []dispatch.Send
	dues, ok := t.account.due[batch]
	if !ok {
		return nil, nil
	}
	for _, d := range dues.items {
		if len(list) >= limit || d.at.After(now) {
			break
		}
		list = append(list, copySend(t.account.sends[dispatch.SendID{Batch: batch, Row: d.row}].send))
	}
	return list, nil
}

// PutMessageID implements [dispatch.Tx].
func (t *tx) PutMessageID(messageID string, id dispatch.SendID, number int) error {
	if !t.writable {
		return errView
	}
	if _, ok := t.account.messageIDs[messageID]; ok {
		return dispatch.ErrExists
	}
	put(t, t.account.messageIDs, messageID, attempt{id, number})
	return nil
}

// SendByMessageID implements [dispatch.Tx].
func (t *tx) SendByMessageID(messageID string) (dispatch.SendID, int, error) {
	a, ok := t.account.messageIDs[messageID]
	if !ok {
		return dispatch.SendID{}, 0, dispatch.ErrNotFound
	}
	return a.id, a.number, nil
}

// AddFact implements [dispatch.Tx].
func (t *tx) AddFact(id dispatch.SendID, f dispatch.Fact) (bool, error) {
	if !t.writable {
		return false, errView
	}
	s, ok := t.account.sends[id]
	if !ok {
		return false, dispatch.ErrNotFound
	}
	if slices.ContainsFunc(s.facts, func(g dispatch.Fact) bool { return g.Key == f.Key }) {
		return false, nil
	}
	f = copyFact(f)
	s.facts = append(s.facts, f)
	t.onRollback(func() { s.facts = s.facts[:len(s.facts)-1] })
	if f.Kind == dispatch.FactTry {
		insert(t, t.account.tries, f.At)
	}
	return true, nil
}

// Facts implements [dispatch.Tx].
func (t *tx) Facts(id dispatch.SendID) ([]dispatch.Fact, error) {
	s, ok := t.account.sends[id]
	if !ok {
		return nil, dispatch.ErrNotFound
	}
	list := make([]dispatch.Fact, len(s.facts))
	for i, f := range s.facts {
		list[i] = copyFact(f)
	}
	return list, nil
}

// NthLastTry implements [dispatch.Tx].
func (t *tx) NthLastTry(n int) (time.Time, error) {
	tries := t.account.tries.items
	if n < 1 || n > len(tries) {
		return time.Time{}, dispatch.ErrNotFound
	}
	return tries[len(tries)-n], nil
}

// PutMail implements [dispatch.Tx].
func (t *tx) PutMail(m dispatch.Mail) error {
	if !t.writable {
		return errView
	}
	if _, ok := t.account.mails[m.ID]; !ok {
		insert(t, t.account.mailOrder, m.ID)
	}
	put(t, t.account.mails, m.ID, copyMail(m))
	return nil
}

// Mail implements [dispatch.Tx].
func (t *tx) Mail(id dispatch.MailID) (dispatch.Mail, error) {
	m, ok := t.account.mails[id]
	if !ok {
		return dispatch.Mail{}, dispatch.ErrNotFound
	}
	return m, nil
}

// Mails implements [dispatch.Tx].
func (t *tx) Mails(d dispatch.Disposition, after dispatch.MailID, limit int) ([]dispatch.Mail, error) {
	var list []dispatch.Mail
	for _, id := range t.account.mailOrder.after(after) {
		if len(list) >= limit {
			break
		}
		if m := t.account.mails[id]; m.Disposition == d {
			list = append(list, m)
		}
	}
	return list, nil
}

// AddAudit implements [dispatch.Tx].
func (t *tx) AddAudit(e dispatch.AuditEntry) error {
	if !t.writable {
		return errView
	}
	if e.Seq != int64(len(t.account.audit))+1 {
		return dispatch.ErrExists
	}
	t.account.audit = append(t.account.audit, copyEntry(e))
	t.onRollback(func() { t.account.audit = t.account.audit[:len(t.account.audit)-1] })
	return nil
}

// Audit implements [dispatch.Tx].
func (t *tx) Audit(after int64, limit int) ([]dispatch.AuditEntry, error) {
	all := t.account.audit
	first := min(max(after, 0), int64(len(all)))
	last := min(first+int64(max(limit, 0)), int64(len(all)))
	return slices.Clone(all[first:last]), nil
}
