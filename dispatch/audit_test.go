package dispatch_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/pec"
)

// tampered is a store whose audit trail somebody laid hands on.
type tampered struct {
	dispatch.Store
	alter func([]dispatch.AuditEntry) []dispatch.AuditEntry
}

type tamperedTx struct {
	dispatch.Tx
	tampered
}

func (s tampered) View(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	return s.Store.View(ctx, account, func(tx dispatch.Tx) error { return f(tamperedTx{tx, s}) })
}

func (t tamperedTx) Audit(after int64, limit int) ([]dispatch.AuditEntry, error) {
	list, err := t.Tx.Audit(after, limit)
	return t.alter(list), err
}

func TestVerifyAudit(t *testing.T) {
	const entries = 6
	store := new(memstore.Store)
	account := pec.MustParseAddress("ufficio@pec.alfa.example")
	d, err := dispatch.New(dispatch.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	for range entries {
		if err := d.Rescan(dispatch.WithActor(t.Context(), "anna"), account); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string
		alter func([]dispatch.AuditEntry) []dispatch.AuditEntry
		ok    bool
	}{
		{"nothing", func(l []dispatch.AuditEntry) []dispatch.AuditEntry { return l }, true},
		{"actor", func(l []dispatch.AuditEntry) []dispatch.AuditEntry { l[2].Actor = "bruno"; return l }, false},
		{"entry left out", func(l []dispatch.AuditEntry) []dispatch.AuditEntry { return slices.Delete(l, 2, 3) }, false},
		{"first entry left out", func(l []dispatch.AuditEntry) []dispatch.AuditEntry { return l[1:] }, false},
		{"last entry left out", func(l []dispatch.AuditEntry) []dispatch.AuditEntry { return l[:len(l)-1] }, false},
		{"all left out", func([]dispatch.AuditEntry) []dispatch.AuditEntry { return nil }, false},
		{"entry put in", func(l []dispatch.AuditEntry) []dispatch.AuditEntry { return slices.Insert(l, 2, l[2]) }, false},
		{"two exchanged", func(l []dispatch.AuditEntry) []dispatch.AuditEntry { l[2], l[3] = l[3], l[2]; return l }, false},
		{"two renumbered", func(l []dispatch.AuditEntry) []dispatch.AuditEntry {
			l[2], l[3] = l[3], l[2]
			l[2].Seq, l[3].Seq = l[3].Seq, l[2].Seq
			return l
		}, false},
	} {
		n, err := dispatch.VerifyAudit(t.Context(), tampered{Store: store, alter: tt.alter}, dispatch.AccountName(account))
		if tt.ok && (err != nil || n != entries) || !tt.ok && !errors.Is(err, dispatch.ErrAudit) {
			t.Errorf("VerifyAudit, with %s changed: %d, %v", tt.name, n, err)
		}
	}
}
