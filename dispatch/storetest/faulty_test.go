package storetest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/dispatch/storetest"
)

func TestFaulty(t *testing.T) {
	ctx, own := context.Background(), errors.New("own")
	for _, c := range []struct {
		name  string
		fault storetest.Fault
		f     error // what f returns
		want  error
		kept  bool
	}{
		{"no fault", storetest.NoFault, nil, nil, true},
		{"not kept", storetest.NotKept, nil, storetest.ErrFault, false},
		{"kept", storetest.Kept, nil, storetest.ErrFault, true},
		{"conflict", storetest.Conflicts, nil, dispatch.ErrConflict, false},
		{"f fails before the fault", storetest.NotKept, own, own, false},
		{"f fails, so nothing is kept", storetest.Kept, own, own, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &storetest.Faulty{Store: new(memstore.Store), Fault: func(string) storetest.Fault { return c.fault }}
			calls := 0
			err := s.Update(ctx, "a", func(tx dispatch.Tx) error {
				calls++
				return errors.Join(tx.PutBatch(dispatch.Batch{Name: "b"}), c.f)
			})
			if !errors.Is(err, c.want) || calls != 1 {
				t.Errorf("Update: got error %v after %d calls of f, want %v after 1", err, calls, c.want)
			}
			err = s.View(ctx, "a", func(tx dispatch.Tx) error { _, err := tx.Batch("b"); return err })
			if kept := err == nil; kept != c.kept {
				t.Errorf("the batch is kept: got %t (%v), want %t", kept, err, c.kept)
			}
		})
	}
}
