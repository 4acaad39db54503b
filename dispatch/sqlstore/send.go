package sqlstore

import (
	"bytes"
	"database/sql"
	"fmt"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// sendState is what a transaction knows of a send: its progress and its facts.
type sendState struct {
	progress dispatch.Progress
	facts    []factRow
}

// state returns what is known of a send, reading it the first time.
func (t *tx) state(id dispatch.SendID) (*sendState, error) {
	if s := t.send(id); s != nil {
		return s, nil
	}
	if !isText(id.Batch) {
		return nil, dispatch.ErrNotFound
	}
	if err := t.trim(); err != nil {
		return nil, err
	}
	if err := t.readStates(id); err != nil {
		return nil, err
	}
	if s := t.send(id); s != nil {
		return s, nil
	}
	return nil, dispatch.ErrNotFound
}

// statesPage is how many sends are read at a time: those that are worked on
// together are neighbours.
const statesPage = 8

// readStates reads what is known of a send and of those beside it.
func (t *tx) readStates(id dispatch.SendID) error {
	type row struct {
		row   int64
		state sql.NullString // not of a fact
		due   instant
		fact  nullFactRow
	}
	first := id.Row - id.Row%statesPage
	page := []any{t.name, id.Batch, first, first + statesPage}
	rows, err := readAll(t, "reading the facts about sends", querySendStates, append(page, page...), func(r *row) []any {
		return append([]any{&r.row, &r.state, &r.due}, r.fact.fields()...)
	})
	if err != nil {
		return err
	}
	read := make(map[int64]*sendState)
	for _, r := range rows {
		s := read[r.row]
		if s == nil {
			s = new(sendState)
			read[r.row] = s
		}
		if r.state.Valid {
			s.progress = dispatch.Progress{State: dispatch.State(r.state.String), Due: r.due.Time}
		} else {
			s.facts = append(s.facts, r.fact.factRow())
		}
	}
	for number, s := range read {
		id.Row = number
		if t.send(id) == nil { // what was changed counts
			t.sends[id] = s
		}
	}
	return nil
}

// AddSend implements [dispatch.Tx].
func (t *tx) AddSend(s dispatch.Send, p dispatch.Progress) error {
	if err := t.writing(s.ID.Batch); err != nil {
		return err
	}
	isNew, err := t.isNew(s.ID)
	if err != nil {
		return err
	}
	if !isNew {
		return dispatch.ErrExists
	}
	row, err := sendArgs(s)
	if err != nil {
		return t.fail("writing a send", err)
	}
	if err := t.trim(); err != nil {
		return err
	}
	t.rows[insertSends].put(s.ID, row)
	t.sends[s.ID] = new(sendState)
	t.highest[s.ID.Batch] = max(t.highest[s.ID.Batch], s.ID.Row)
	return t.PutProgress(s.ID, p)
}

// isNew reports whether there is no such send yet. Rows mostly come in their
// order, so it is enough to know the last one.
func (t *tx) isNew(id dispatch.SendID) (bool, error) {
	highest, ok := t.highest[id.Batch]
	if !ok {
		err := t.readOne("looking for the last row", queryHighest, []any{t.name, id.Batch}, &highest)
		if ignoreNotFound(err) != nil {
			return false, err
		}
		t.highest[id.Batch] = highest
	}
	if id.Row > highest {
		return true, nil
	}
	_, err := t.state(id)
	return err != nil, ignoreNotFound(err)
}

// piece is how a piece of a message is kept: its own bytes are apart.
type piece struct {
	dispatch.Piece
	Bytes none `json:"bytes,omitzero"`
	// Own is how many bytes are its own.
	Own int `json:"own,omitzero"`
}

func sendArgs(s dispatch.Send) ([]any, error) {
	own, pieces := []byte{}, []piece{}
	for _, p := range s.Content {
		own = append(own, p.Bytes...)
		pieces = append(pieces, piece{Piece: p, Own: len(p.Bytes)})
	}
	layout, err := toJSON(pieces)
	if err != nil {
		return nil, err
	}
	return []any{s.ID.Batch, s.ID.Row, s.Recipient.String(), text(s.MessageID), digest(s.Digest), s.Size, layout, own}, nil
}

// sendRow is a row of sends without its account.
type sendRow struct {
	batch     string
	row       int64
	recipient string
	messageID string
	digest    digest
	size      int64
	pieces    string
	own       []byte
}

func (r *sendRow) fields() []any {
	return []any{&r.batch, &r.row, &r.recipient, &r.messageID, &r.digest, &r.size, &r.pieces, &r.own}
}

func (r *sendRow) record() (dispatch.Send, error) {
	s := dispatch.Send{
		ID:        dispatch.SendID{Batch: r.batch, Row: r.row},
		MessageID: r.messageID,
		Digest:    dispatch.Digest(r.digest),
		Size:      r.size,
	}
	if err := s.Recipient.UnmarshalText([]byte(r.recipient)); err != nil {
		return s, fmt.Errorf("reading the recipient of a send: %w", err)
	}
	var pieces []piece
	if err := fromJSON(r.pieces, &pieces); err != nil {
		return s, err
	}
	own := r.own
	for _, p := range pieces {
		if p.Own < 0 || p.Own > len(own) {
			return s, fmt.Errorf("a send lacks bytes of its own")
		}
		p.Piece.Bytes, own = own[:p.Own:p.Own], own[p.Own:]
		s.Content = append(s.Content, p.Piece)
	}
	return s, nil
}

// Send implements [dispatch.Tx].
func (t *tx) Send(id dispatch.SendID) (dispatch.Send, error) {
	if row := t.sendRows[id]; row != nil {
		mine := *row
		mine.own = bytes.Clone(row.own)
		s, err := mine.record()
		if err != nil {
			return s, t.fail("reading a send", err)
		}
		return s, nil
	}
	list, err := t.readSends("reading a send", querySend, id.Batch, id.Row)
	if err == nil && len(list) == 0 {
		err = dispatch.ErrNotFound
	}
	if err != nil {
		return dispatch.Send{}, err
	}
	return list[0], nil
}

// Sends implements [dispatch.Tx].
func (t *tx) Sends(batch string, after int64, limit int) ([]dispatch.Send, error) {
	return t.readSends("reading sends", querySends, batch, after, max(limit, 0))
}

// Due implements [dispatch.Tx].
func (t *tx) Due(batch string, now time.Time, limit int) ([]dispatch.Send, error) {
	return t.readSends("reading what is due", t.store.dialect.queryDue(), batch, instant{now}, max(limit, 0))
}

func (t *tx) readSends(doing, query, batch string, args ...any) ([]dispatch.Send, error) {
	if !isText(batch) {
		return nil, nil
	}
	if err := t.flush(); err != nil {
		return nil, err
	}
	rows, err := readAll(t, doing, query, append([]any{t.name, batch}, args...), (*sendRow).fields)
	if err != nil {
		return nil, err
	}
	list := make([]dispatch.Send, len(rows))
	for i := range rows {
		if list[i], err = rows[i].record(); err != nil {
			return nil, t.fail(doing, err)
		}
	}
	return list, nil
}

// Progress implements [dispatch.Tx].
func (t *tx) Progress(id dispatch.SendID) (dispatch.Progress, error) {
	s, err := t.state(id)
	if err != nil {
		return dispatch.Progress{}, err
	}
	return s.progress, nil
}

// PutProgress implements [dispatch.Tx].
func (t *tx) PutProgress(id dispatch.SendID, p dispatch.Progress) error {
	if err := t.writing(); err != nil {
		return err
	}
	s, err := t.state(id)
	if err != nil {
		return err
	}
	s.progress = dispatch.Progress{State: dispatch.State(text(string(p.State))), Due: cut(p.Due)}
	t.rows[upsertProgress].put(id, []any{id.Batch, id.Row, string(s.progress.State), instant{s.progress.Due}})
	return nil
}
