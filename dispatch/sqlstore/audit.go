package sqlstore

import "github.com/ceralacca/go-pec/dispatch"

// entryRow is a row of audit without its account.
type entryRow struct {
	seq        int64
	happened   instant
	actor      string
	action     string
	batch      string
	row        int64
	detail     string
	prev, hash digest
}

func (r *entryRow) fields() []any {
	return []any{&r.seq, &r.happened, &r.actor, &r.action, &r.batch, &r.row, &r.detail, &r.prev, &r.hash}
}

func entryArgs(e dispatch.AuditEntry) []any {
	return []any{e.Seq, instant{cut(e.At)}, text(e.Actor), text(e.Action), text(e.Batch), e.Row, text(e.Detail), digest(e.Prev), digest(e.Hash)}
}

func (r *entryRow) record() dispatch.AuditEntry {
	return dispatch.AuditEntry{
		Seq:    r.seq,
		At:     r.happened.Time,
		Actor:  r.actor,
		Action: r.action,
		Batch:  r.batch,
		Row:    r.row,
		Detail: r.detail,
		Prev:   dispatch.Digest(r.prev),
		Hash:   dispatch.Digest(r.hash),
	}
}

// AddAudit implements [dispatch.Tx].
func (t *tx) AddAudit(e dispatch.AuditEntry) error {
	if err := t.writing(); err != nil {
		return err
	}
	if e.Seq != t.account.entries+1 {
		return dispatch.ErrExists
	}
	if err := t.trim(); err != nil {
		return err
	}
	t.rows[insertEntries].put(e.Seq, entryArgs(e))
	t.account.entries, t.account.changed = e.Seq, true
	return nil
}

// Audit implements [dispatch.Tx].
func (t *tx) Audit(after int64, limit int) ([]dispatch.AuditEntry, error) {
	if err := t.flush(); err != nil {
		return nil, err
	}
	rows, err := readAll(t, "reading the audit trail", queryAudit, []any{t.name, after, max(limit, 0)}, (*entryRow).fields)
	if err != nil {
		return nil, err
	}
	list := make([]dispatch.AuditEntry, len(rows))
	for i := range rows {
		list[i] = rows[i].record()
	}
	return list, nil
}
