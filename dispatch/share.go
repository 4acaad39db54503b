package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Run sends what is due and reads the mailboxes of the accounts, until ctx ends.
// Then it finishes the messages in hand, gives the accounts back and returns nil.
// It returns an error only if it can't go on at all. While the store does not answer,
// it does not return.
//
// Several dispatchers, on any number of machines, may run over one store with the
// same accounts. They share them out: each has about as many as the others, an
// account is worked on by one at a time, one that joins gets its share, and the
// accounts of one that falls silent are taken over when another has seen its leases
// stand unrenewed for as long as they last, which is within 4/3 of that. The clocks of
// their machines need not agree. A dispatcher that begins has seen nothing yet, and
// waits that long for all that the store says is another's; see [Config.Worker].
//
// What a person decides, such as to approve a batch or to resume an account, has
// effect at once if it is decided through the dispatcher that works on the account.
// If it is through another one, it is noticed within a second while the store has up
// to 500 accounts. With more it takes a second for each 500 of them, but never more
// than a third of [Config.Lease].
func (d *Dispatcher) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { d.watch(ctx) })
	others := newWatched()
	for {
		if err := d.share(ctx, others, &running); err != nil && ctx.Err() == nil {
			d.cfg.Logger.Warn("sharing accounts out", slog.Any("error", err))
		}
		if nap(ctx, d.cfg.Lease/3) != nil {
			return nil
		}
	}
}

// shares is who works on which of our accounts, as the store has it, without those
// that fell silent.
type shares struct {
	records map[string]Account // :: name → record
	held    map[string]int     // :: worker → how many accounts it has, or asks for
	fair    int                // how many each may have
}

func (d *Dispatcher) readShares(ctx context.Context, others *watched) (*shares, error) {
	s := &shares{records: make(map[string]Account), held: map[string]int{d.cfg.Worker: 0}}
	ours := make(map[string]bool, len(d.cfg.Accounts))
	for i := range d.cfg.Accounts {
		ours[AccountName(d.cfg.Accounts[i].Address)] = true
	}
	for a, err := range d.cfg.Store.Accounts(ctx) {
		if err != nil {
			return nil, err
		}
		if !ours[a.Name] {
			continue
		}
		a = others.living(a, d.cfg.Lease)
		if a.Wanted != "" {
			s.held[a.Wanted] += 0 // it is there, if only to ask
		}
		if a.Lease.Holder != "" {
			s.held[a.Lease.Holder]++
		}
		s.records[a.Name] = a
	}
	s.fair = (len(d.cfg.Accounts) + len(s.held) - 1) / len(s.held)
	return s, nil
}

// share takes accounts that are free, asks for some if others have too many, and
// gives some up if this dispatcher has.
func (d *Dispatcher) share(ctx context.Context, others *watched, running *sync.WaitGroup) error {
	s, err := d.readShares(ctx, others)
	if err != nil {
		return err
	}
	mine := d.giveUp(s)
	for _, i := range rand.Perm(len(d.cfg.Accounts)) {
		a := &d.cfg.Accounts[i]
		record := s.records[AccountName(a.Address)]
		switch {
		case d.worker(AccountName(a.Address)) != nil || mine >= s.fair:
		case record.Lease.free(d.cfg.Worker):
			if d.take(ctx, a, record.Lease, running) {
				mine++
			}
		case s.held[record.Lease.Holder] <= s.fair:
		case record.Wanted == "" || record.Wanted == d.cfg.Worker:
			if err := d.ask(ctx, record); err != nil {
				return err
			}
			s.held[record.Lease.Holder]--
			mine++ // it is on its way
		}
	}
	return nil
}

// giveUp stops working on accounts that others ask for, as far as this dispatcher
// has more than its share. It returns how many it keeps.
func (d *Dispatcher) giveUp(s *shares) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	mine := 0
	for _, w := range d.workers {
		if !w.stopping() {
			mine++
		}
	}
	for name, w := range d.workers {
		wanted := s.records[name].Wanted
		if mine > s.fair && wanted != "" && wanted != d.cfg.Worker && !w.stopping() {
			w.handTo(wanted)
			mine--
		}
	}
	return mine
}

// ask has the worker of an account know that this one wants it.
func (d *Dispatcher) ask(ctx context.Context, a Account) error {
	until := time.Now().Add(d.cfg.Lease).UTC()
	return d.update(ctx, a.Name, d.cfg.Worker, func(t *transaction) error {
		t.account.Wanted, t.account.WantedUntil = d.cfg.Worker, until
		return nil
	})
}

// take begins to work on an account whose lease was free when it was read, if it
// still is.
func (d *Dispatcher) take(ctx context.Context, a *AccountConfig, read Lease, running *sync.WaitGroup) bool {
	name := AccountName(a.Address)
	w, err := d.lease(ctx, a, read)
	if err != nil {
		if !errors.Is(err, ErrLeaseLost) && ctx.Err() == nil {
			d.cfg.Logger.Warn("taking an account", slog.Any("error", err))
		}
		return false
	}
	d.mu.Lock()
	d.workers[name] = w
	d.mu.Unlock()
	running.Go(func() {
		defer func() {
			d.mu.Lock()
			delete(d.workers, name)
			d.mu.Unlock()
		}()
		w.run(ctx)
	})
	return true
}

// worker returns who works on an account here, or nil.
func (d *Dispatcher) worker(account string) *worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.workers[account]
}

// lease takes the lease of an account. It fails with ErrLeaseLost if another worker
// has taken or renewed it since it was read.
func (d *Dispatcher) lease(ctx context.Context, a *AccountConfig, read Lease) (*worker, error) {
	name := AccountName(a.Address)
	var token int64
	var audited auditMark
	asked := time.Now()
	err := d.update(ctx, name, d.cfg.Worker, func(t *transaction) error {
		l := &t.account.Lease
		if !l.free(d.cfg.Worker) && (l.Token != read.Token || !l.Until.Equal(read.Until)) {
			return ErrLeaseLost
		}
		l.Holder, l.Token = d.cfg.Worker, l.Token+1
		l.renew(asked, d.cfg.Lease)
		t.account.Wanted, t.account.WantedUntil = "", time.Time{}
		token = l.Token
		t.events = append(t.events, Event{Kind: EventLease, At: t.now, Detail: "taken by " + d.cfg.Worker})
		err := t.audit("lease", SendID{}, fmt.Sprintf("token %d", l.Token))
		audited = t.mark()
		return err
	})
	if err != nil {
		return nil, err
	}
	w := newWorker(d, a, token)
	w.audited.Store(&audited)
	w.extended(asked)
	return w, nil
}
