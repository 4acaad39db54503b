package sqlstore

import (
	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

// mailRow is a row of mails without its account.
type mailRow struct {
	folder           string
	uidValidity, uid uint32
	found            instant
	disposition      string
	raw              digest
	size             int64
	category         string
	kind             string
	batch            string
	row              int64
	reason           string
}

func (r *mailRow) fields() []any {
	return []any{&r.folder, &r.uidValidity, &r.uid, &r.found, &r.disposition, &r.raw, &r.size,
		&r.category, &r.kind, &r.batch, &r.row, &r.reason}
}

func mailArgs(m dispatch.Mail) []any {
	return []any{m.ID.Folder, m.ID.UIDValidity, m.ID.UID, instant{cut(m.Found)}, text(string(m.Disposition)), digest(m.Raw), m.Size,
		text(string(m.Category)), text(string(m.Kind)), text(m.Send.Batch), m.Send.Row, text(m.Reason)}
}

func (r *mailRow) record() dispatch.Mail {
	return dispatch.Mail{
		ID:          dispatch.MailID{Folder: r.folder, UIDValidity: r.uidValidity, UID: r.uid},
		Found:       r.found.Time,
		Disposition: dispatch.Disposition(r.disposition),
		Raw:         dispatch.Digest(r.raw),
		Size:        r.size,
		Category:    pec.Category(r.category),
		Kind:        pec.Kind(r.kind),
		Send:        dispatch.SendID{Batch: r.batch, Row: r.row},
		Reason:      r.reason,
	}
}

// PutMail implements [dispatch.Tx].
func (t *tx) PutMail(m dispatch.Mail) error {
	if err := t.writing(m.ID.Folder); err != nil {
		return err
	}
	if err := t.trim(); err != nil {
		return err
	}
	t.rows[upsertMails].put(m.ID, mailArgs(m))
	return nil
}

// Mail implements [dispatch.Tx].
func (t *tx) Mail(id dispatch.MailID) (dispatch.Mail, error) {
	if !isText(id.Folder) {
		return dispatch.Mail{}, dispatch.ErrNotFound
	}
	if err := t.flush(); err != nil {
		return dispatch.Mail{}, err
	}
	var row mailRow
	err := t.readOne("reading about a mail", queryMail, []any{t.name, id.Folder, id.UIDValidity, id.UID}, row.fields()...)
	if err != nil {
		return dispatch.Mail{}, err
	}
	return row.record(), nil
}

// Mails implements [dispatch.Tx].
func (t *tx) Mails(d dispatch.Disposition, after dispatch.MailID, limit int) ([]dispatch.Mail, error) {
	if !isText(string(d), after.Folder) {
		return nil, nil
	}
	if err := t.flush(); err != nil {
		return nil, err
	}
	args := []any{t.name, string(d), after.Folder, after.UIDValidity, after.UID, max(limit, 0)}
	rows, err := readAll(t, "listing mail", queryMails, args, (*mailRow).fields)
	if err != nil {
		return nil, err
	}
	list := make([]dispatch.Mail, len(rows))
	for i := range rows {
		list[i] = rows[i].record()
	}
	return list, nil
}
