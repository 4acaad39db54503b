package storetest

import (
	"context"
	"errors"

	"github.com/ceralacca/go-pec/dispatch"
)

// Fault is how a transaction of a [Faulty] store fails.
type Fault int

const (
	// NoFault: it does not fail.
	NoFault Fault = iota
	// NotKept: Update runs f, keeps nothing, and fails.
	NotKept
	// Kept: Update runs f, keeps all of it, and fails: the answer was lost. It is
	// the fault that programs forget.
	Kept
	// Conflicts: Update runs f, keeps nothing, and returns [dispatch.ErrConflict].
	Conflicts
)

// ErrFault is the error of [NotKept] and [Kept]. As with a real store, it does not
// say which it was.
var ErrFault = errors.New("storetest: the store fails, as it was told to")

// Faulty is a store whose transactions fail when told to, for the tests of
// programs that use one.
type Faulty struct {
	dispatch.Store
	// Fault says how the Update that begins is to fail. It is called from
	// whatever goroutine calls Update.
	Fault func(account string) Fault
}

// Update implements [dispatch.Store].
func (s *Faulty) Update(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	switch s.Fault(account) {
	case NotKept:
		return s.fail(ctx, account, f, ErrFault)
	case Conflicts:
		return s.fail(ctx, account, f, dispatch.ErrConflict)
	case Kept:
		if err := s.Store.Update(ctx, account, f); err != nil {
			return err
		}
		return ErrFault
	}
	return s.Store.Update(ctx, account, f)
}

// fail runs f and keeps nothing.
func (s *Faulty) fail(ctx context.Context, account string, f func(dispatch.Tx) error, fault error) error {
	return s.Store.Update(ctx, account, func(tx dispatch.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return fault
	})
}
