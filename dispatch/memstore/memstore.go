// Package memstore keeps the records of package dispatch in memory, for tests and
// for small tools. Nothing survives the process: a program that sends real
// messages needs a store that does, such as package sqlstore.
//
// It is also the plainest store there is, and so the first to read for whoever
// writes one: [Store] runs the transactions, tx has the records, blobs the large
// values.
package memstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/ceralacca/go-pec/dispatch"
)

// Store is a [dispatch.Store] in memory. The zero value is empty and ready; it
// must not be copied.
type Store struct {
	blobs
	mu       sync.Mutex          // guards accounts
	accounts map[string]*account // :: account name → its records
}

var _ dispatch.Store = (*Store)(nil)

// Update implements [dispatch.Store]. Transactions of one account wait for each
// other; it never returns [dispatch.ErrConflict].
func (s *Store) Update(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	if err := canceled(ctx); err != nil {
		return err
	}
	a := s.account(account)
	a.mu.Lock()
	defer a.mu.Unlock()
	tx := &tx{account: a, writable: true}
	defer tx.rollback() // of nothing, once committed
	if err := f(tx); err != nil {
		return err
	}
	if err := canceled(ctx); err != nil {
		return err
	}
	tx.commit()
	return nil
}

// View implements [dispatch.Store].
func (s *Store) View(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	if err := canceled(ctx); err != nil {
		return err
	}
	a := s.account(account)
	a.mu.RLock()
	defer a.mu.RUnlock()
	return f(&tx{account: a})
}

// Accounts implements [dispatch.Store].
func (s *Store) Accounts(ctx context.Context) iter.Seq2[dispatch.Account, error] {
	return func(yield func(dispatch.Account, error) bool) {
		s.mu.Lock()
		names := slices.Sorted(maps.Keys(s.accounts))
		s.mu.Unlock()
		for _, name := range names {
			var record dispatch.Account
			err := s.View(ctx, name, func(tx dispatch.Tx) (err error) {
				record, err = tx.Account()
				return err
			})
			if errors.Is(err, dispatch.ErrNotFound) {
				continue
			}
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

// account returns the records of an account; there may be none yet.
func (s *Store) account(name string) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.accounts[name]
	if !ok {
		a = newAccount()
		if s.accounts == nil {
			s.accounts = make(map[string]*account)
		}
		s.accounts[name] = a
	}
	return a
}

func canceled(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: %w", err)
	}
	return nil
}
