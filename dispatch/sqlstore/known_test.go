package sqlstore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
)

// What a store remembers of an account does not grow with what there is.
func TestKnownIsBounded(t *testing.T) {
	const limit, records = 8, 50
	for _, tt := range []struct {
		name string
		put  func(tx dispatch.Tx, i int) error
	}{
		{"batches", func(tx dispatch.Tx, i int) error {
			return tx.PutBatch(dispatch.Batch{Name: fmt.Sprint(i)})
		}},
		{"batches with a send", func(tx dispatch.Tx, i int) error {
			return tx.AddSend(benchSend(fmt.Sprint(i), 1), dispatch.Progress{State: dispatch.Prepared})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openSQLite(t, filepath.Join(t.TempDir(), "sends.db"))
			s.SetCacheSize(limit)
			most := 0
			for i := range records {
				if err := s.Update(context.Background(), account, func(tx dispatch.Tx) error { return tt.put(tx, i) }); err != nil {
					t.Fatal(err)
				}
				most = max(most, s.Remembered())
			}
			if most < limit || most > 4*limit {
				t.Errorf("after %d transactions up to %d records were remembered, want at most %d", records, most, 4*limit)
			}
		})
	}
}
