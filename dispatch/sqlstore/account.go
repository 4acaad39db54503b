package sqlstore

import (
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// accountRow is a row of accounts without its key.
type accountRow struct {
	leaseHolder string
	leaseToken  int64
	leaseTerm   int64
	leaseUntil  instant
	pausedUntil instant
	pauseReason string
	suspended   string
	rest        sql.NullString // NULL: there is no record

	// Kept by the store itself.
	version int64
	entries int64
	tries   int64
	lastTry instant

	changed bool
}

// accountRest is what of an account has no column: fields of the same JSON names
// hide those that have one.
type accountRest struct {
	dispatch.Account
	Name        none `json:"name,omitzero"`
	Lease       none `json:"lease,omitzero"`
	PausedUntil none `json:"pausedUntil,omitzero"`
	PauseReason none `json:"pauseReason,omitzero"`
	Suspended   none `json:"suspended,omitzero"`
}

// none is left out of JSON, with the tag omitzero.
type none struct{}

func (r *accountRow) fields() []any {
	return []any{&r.leaseHolder, &r.leaseToken, &r.leaseTerm, &r.leaseUntil,
		&r.pausedUntil, &r.pauseReason, &r.suspended, &r.rest,
		&r.version, &r.entries, &r.tries, &r.lastTry}
}

// namedAccount is a row of accounts with its key.
type namedAccount struct {
	name string
	accountRow
}

func (r *namedAccount) fields() []any { return append([]any{&r.name}, r.accountRow.fields()...) }

func (r *accountRow) values() []any {
	return []any{r.leaseHolder, r.leaseToken, r.leaseTerm, r.leaseUntil,
		r.pausedUntil, r.pauseReason, r.suspended, r.rest,
		r.version, r.entries, r.tries, r.lastTry}
}

// lock makes other transactions that write wait until this one ends.
func (t *tx) lock() error {
	const doing = "locking an account"
	t.account = new(accountRow)
	lock := func() error {
		return t.readOne(doing, t.store.dialect.lockAccount, []any{t.name}, t.account.fields()...)
	}
	err := lock()
	switch create := t.store.dialect.createAccount; {
	case create == "":
		err = ignoreNotFound(err) // all are locked
	case errors.Is(err, dispatch.ErrNotFound):
		if _, err := t.sql.ExecContext(t.ctx, create, t.name); err != nil {
			return t.fail(doing, err)
		}
		err = lock()
	}
	if err != nil {
		return err
	}
	t.known = t.store.memory.recall(t.name, t.account.version)
	return nil
}

func ignoreNotFound(err error) error {
	if errors.Is(err, dispatch.ErrNotFound) {
		return nil
	}
	return err
}

// readAccount reads the account's row, unless it was locked or read already.
func (t *tx) readAccount() error {
	if t.account != nil {
		return nil
	}
	row := new(accountRow)
	err := ignoreNotFound(t.readOne("reading an account", queryAccount, []any{t.name}, row.fields()...))
	if err == nil {
		t.account = row
	}
	return err
}

// Account implements [dispatch.Tx].
func (t *tx) Account() (dispatch.Account, error) {
	if err := t.readAccount(); err != nil {
		return dispatch.Account{}, err
	}
	if !t.account.rest.Valid {
		return dispatch.Account{}, dispatch.ErrNotFound
	}
	a, err := t.account.record(t.name)
	if err != nil {
		return a, t.fail("reading an account", err)
	}
	return a, nil
}

// record makes an account of the row.
func (r *accountRow) record(name string) (dispatch.Account, error) {
	var rest accountRest
	if err := fromJSON(r.rest.String, &rest); err != nil {
		return dispatch.Account{}, err
	}
	a := rest.Account
	a.Name = name
	a.Lease = dispatch.Lease{
		Holder: r.leaseHolder, Token: r.leaseToken, Term: time.Duration(r.leaseTerm), Until: r.leaseUntil.Time,
	}
	a.PausedUntil, a.PauseReason = r.pausedUntil.Time, r.pauseReason
	a.Suspended = r.suspended
	return a, nil
}

// PutAccount implements [dispatch.Tx].
func (t *tx) PutAccount(a dispatch.Account) error {
	if err := t.writing(); err != nil {
		return err
	}
	rest, err := toJSON(accountRest{Account: a})
	if err != nil {
		return t.fail("writing an account", err)
	}
	r := t.account
	r.leaseHolder, r.leaseToken = text(a.Lease.Holder), a.Lease.Token
	r.leaseTerm, r.leaseUntil = int64(a.Lease.Term), instant{cut(a.Lease.Until)}
	r.pausedUntil, r.pauseReason = instant{cut(a.PausedUntil)}, text(a.PauseReason)
	r.suspended = text(a.Suspended)
	r.rest = sql.NullString{String: rest, Valid: true}
	r.changed = true
	return nil
}

// batchRow is a row of batches without its account.
type batchRow struct {
	name    string
	phase   string
	created instant
	creator string
	total   int64
	rest    string

	changed bool
}

// batchRest is what of a batch has no column.
type batchRest struct {
	dispatch.Batch
	Name    none `json:"name,omitzero"`
	Phase   none `json:"phase,omitzero"`
	Created none `json:"created,omitzero"`
	Creator none `json:"creator,omitzero"`
	Total   none `json:"total,omitzero"`
}

func (r *batchRow) fields() []any {
	return []any{&r.name, &r.phase, &r.created, &r.creator, &r.total, &r.rest}
}

func (r *batchRow) values() []any {
	return []any{r.name, r.phase, r.created, r.creator, r.total, r.rest}
}

func (r *batchRow) record() (dispatch.Batch, error) {
	var rest batchRest
	if err := fromJSON(r.rest, &rest); err != nil {
		return dispatch.Batch{}, err
	}
	b := rest.Batch
	b.Name, b.Phase, b.Created, b.Creator, b.Total = r.name, dispatch.BatchPhase(r.phase), r.created.Time, r.creator, r.total
	return b, nil
}

// Batch implements [dispatch.Tx].
func (t *tx) Batch(name string) (dispatch.Batch, error) {
	row, ok := t.batches[name]
	if !ok {
		if !isText(name) {
			return dispatch.Batch{}, dispatch.ErrNotFound
		}
		row = new(batchRow)
		if err := t.readOne("reading a batch", queryBatch, []any{t.name, name}, row.fields()...); err != nil {
			return dispatch.Batch{}, err
		}
		t.batches[name] = row
	}
	b, err := row.record()
	if err != nil {
		return b, t.fail("reading a batch", err)
	}
	return b, nil
}

// Batches implements [dispatch.Tx].
func (t *tx) Batches() ([]dispatch.Batch, error) {
	if err := t.flush(); err != nil {
		return nil, err
	}
	rows, err := readAll(t, "listing batches", queryBatches, []any{t.name}, (*batchRow).fields)
	if err != nil {
		return nil, err
	}
	var list []dispatch.Batch
	for _, row := range rows {
		b, err := row.record()
		if err != nil {
			return nil, t.fail("listing batches", err)
		}
		list = append(list, b)
	}
	return list, nil
}

// PutBatch implements [dispatch.Tx].
func (t *tx) PutBatch(b dispatch.Batch) error {
	if err := t.writing(b.Name); err != nil {
		return err
	}
	b.Approvals = slices.Clone(b.Approvals)
	for i := range b.Approvals {
		b.Approvals[i].At, b.Approvals[i].Expires = cut(b.Approvals[i].At), cut(b.Approvals[i].Expires)
	}
	rest, err := toJSON(batchRest{Batch: b})
	if err != nil {
		return t.fail("writing a batch", err)
	}
	t.batches[b.Name] = &batchRow{
		name:    b.Name,
		phase:   text(string(b.Phase)),
		created: instant{cut(b.Created)},
		creator: text(b.Creator),
		total:   b.Total,
		rest:    rest,
		changed: true,
	}
	return nil
}
