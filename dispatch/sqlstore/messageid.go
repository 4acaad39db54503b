package sqlstore

import (
	"slices"

	"github.com/ceralacca/go-pec/dispatch"
)

// named is the send that a Message-ID names.
type named struct {
	id      dispatch.SendID
	attempt int
}

// PutMessageID implements [dispatch.Tx]. That a Message-ID is taken shows when it is
// written, with others.
func (t *tx) PutMessageID(messageID string, id dispatch.SendID, attempt int) error {
	if err := t.writing(messageID, id.Batch); err != nil {
		return err
	}
	if t.rows[insertMessageIDs].get(messageID) != nil {
		return dispatch.ErrExists
	}
	if err := t.trim(); err != nil {
		return err
	}
	t.rows[insertMessageIDs].put(messageID, []any{messageID, id.Batch, id.Row, attempt})
	delete(t.messageIDs, messageID)
	return nil
}

// SendByMessageID implements [dispatch.Tx].
func (t *tx) SendByMessageID(messageID string) (id dispatch.SendID, attempt int, err error) {
	if !isText(messageID) {
		return id, 0, dispatch.ErrNotFound
	}
	if row := t.rows[insertMessageIDs].get(messageID); row != nil { // about to be written
		return dispatch.SendID{Batch: row[1].(string), Row: row[2].(int64)}, row[3].(int), nil
	}
	if found, ok := t.messageIDs[messageID]; ok {
		if found == nil {
			return id, 0, dispatch.ErrNotFound
		}
		return found.id, found.attempt, nil
	}
	err = t.readOne("looking for a Message-ID", queryMessageID, []any{t.name, messageID}, &id.Batch, &id.Row, &attempt)
	return id, attempt, err
}

// PrefetchMessageIDs implements [dispatch.Prefetcher].
func (t *tx) PrefetchMessageIDs(messageIDs []string) error {
	if len(messageIDs) > t.store.cacheSize {
		return nil
	}
	if err := t.trim(); err != nil {
		return err
	}
	return t.prefetchIDs(once(messageIDs))
}

// PrefetchSends implements [dispatch.Prefetcher].
func (t *tx) PrefetchSends(messageIDs []string) error {
	if len(messageIDs) > t.store.cacheSize {
		return nil
	}
	if err := t.PrefetchMessageIDs(messageIDs); err != nil {
		return err
	}
	return t.prefetchSends(once(messageIDs))
}

// once returns each Message-ID once: most sends have several receipts.
func once(messageIDs []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(messageIDs)))
}

func (t *tx) prefetchIDs(messageIDs []string) error {
	wanted := slices.DeleteFunc(slices.Clone(messageIDs), func(id string) bool {
		_, known := t.messageIDs[id]
		return known || !isText(id) || t.rows[insertMessageIDs].get(id) != nil
	})
	if len(wanted) == 0 {
		return nil
	}
	type row struct {
		messageID string
		named
	}
	rows, err := readListed(t, "looking for Message-IDs", t.store.dialect.queryMessageIDs(), wanted, func(r *row) []any {
		return []any{&r.messageID, &r.id.Batch, &r.id.Row, &r.attempt}
	})
	if err != nil {
		return err
	}
	for _, id := range wanted {
		t.messageIDs[id] = nil
	}
	for i := range rows {
		t.messageIDs[rows[i].messageID] = &rows[i].named
	}
	return nil
}

// prefetchSends reads the sends that Message-IDs name, which [tx.prefetchIDs] found.
func (t *tx) prefetchSends(messageIDs []string) error {
	wanted := slices.DeleteFunc(slices.Clone(messageIDs), func(id string) bool {
		found := t.messageIDs[id]
		return found == nil || t.sendRows[found.id] != nil
	})
	if len(wanted) == 0 {
		return nil
	}
	rows, err := readListed(t, "reading sends", t.store.dialect.querySendsNamed(), wanted, (*sendRow).fields)
	if err != nil {
		return err
	}
	for i := range rows {
		t.sendRows[dispatch.SendID{Batch: rows[i].batch, Row: rows[i].row}] = &rows[i]
	}
	return nil
}

// readListed reads what a query finds for a list.
func readListed[T any](t *tx, doing, query string, list []string, fields func(*T) []any) ([]T, error) {
	text, err := toJSON(list)
	if err != nil {
		return nil, t.fail(doing, err)
	}
	return readAll(t, doing, query, []any{text, t.name}, fields)
}
