package sqlstore

import (
	"database/sql"
	"slices"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// factRow is a row of facts without the send it is about.
type factRow struct {
	key      string
	kind     string
	happened instant
	attempt  int
	try      int
	rest     string
}

// factRest is what of a fact has no column.
type factRest struct {
	dispatch.Fact
	Key     none `json:"key,omitzero"`
	Kind    none `json:"kind,omitzero"`
	At      none `json:"at,omitzero"`
	Attempt none `json:"attempt,omitzero"`
	Try     none `json:"try,omitzero"`
}

func newFactRow(f dispatch.Fact) (factRow, error) {
	if f.Notice != nil {
		notice := *f.Notice
		notice.Instant = notice.Instant.Truncate(time.Microsecond) // in its own offset
		f.Notice = &notice
	}
	rest, err := toJSON(factRest{Fact: f})
	return factRow{f.Key, text(string(f.Kind)), instant{cut(f.At)}, f.Attempt, f.Try, rest}, err
}

func (r *factRow) args(id dispatch.SendID) []any {
	return []any{id.Batch, id.Row, r.key, r.kind, r.happened, r.attempt, r.try, r.rest}
}

func (r *factRow) record() (dispatch.Fact, error) {
	var rest factRest
	if err := fromJSON(r.rest, &rest); err != nil {
		return dispatch.Fact{}, err
	}
	f := rest.Fact
	f.Key, f.Kind, f.At, f.Attempt, f.Try = r.key, dispatch.FactKind(r.kind), r.happened.Time, r.attempt, r.try
	return f, nil
}

// nullFactRow is a row that may be missing, where there is one of a send.
type nullFactRow struct {
	key, kind, rest sql.NullString
	happened        instant
	attempt, try    sql.NullInt64
}

func (r *nullFactRow) fields() []any {
	return []any{&r.key, &r.kind, &r.happened, &r.attempt, &r.try, &r.rest}
}

func (r *nullFactRow) factRow() factRow {
	return factRow{r.key.String, r.kind.String, r.happened, int(r.attempt.Int64), int(r.try.Int64), r.rest.String}
}

// AddFact implements [dispatch.Tx].
func (t *tx) AddFact(id dispatch.SendID, f dispatch.Fact) (bool, error) {
	if err := t.writing(f.Key); err != nil {
		return false, err
	}
	s, err := t.state(id)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(s.facts, func(r factRow) bool { return r.key == f.Key }) {
		return false, nil
	}
	row, err := newFactRow(f)
	if err != nil {
		return false, t.fail("writing a fact", err)
	}
	s.facts = append(s.facts, row)
	t.rows[insertFacts].put(factKey{id, f.Key}, row.args(id))
	if f.Kind == dispatch.FactTry {
		return true, t.addTry(row.happened.Time)
	}
	return true, nil
}

type factKey struct {
	id  dispatch.SendID
	key string
}

// Facts implements [dispatch.Tx].
func (t *tx) Facts(id dispatch.SendID) ([]dispatch.Fact, error) {
	s, err := t.state(id)
	if err != nil {
		return nil, err
	}
	list := make([]dispatch.Fact, len(s.facts))
	for i := range s.facts {
		if list[i], err = s.facts[i].record(); err != nil {
			return nil, t.fail("reading the facts about a send", err)
		}
	}
	return list, nil
}
