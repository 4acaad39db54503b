package dispatch

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/ceralacca/go-pec/pec"
)

// quota is how many messages may leave in any span of time of a given length.
type quota struct {
	limit int
	span  time.Duration
}

// quotas are the limits that the provider's profile sets.
func quotas(p pec.Profile) []quota {
	var qs []quota
	for _, q := range []quota{{p.PerMinute, time.Minute}, {p.PerHour, time.Hour}, {p.PerDay, 24 * time.Hour}} {
		if q.limit > 0 {
			qs = append(qs, q)
		}
	}
	return qs
}

// shortestWait is for how long a timer is worth setting.
const shortestWait = 20 * time.Millisecond

// pace returns a limiter that spreads messages evenly over the shortest span. It
// only smooths: what the contract allows is counted in the store, where a restart
// does not forget it, and where a full bucket can't double it. What would be a
// timer's worth apart leaves together: timers are late on a busy machine.
func pace(p pec.Profile) *rate.Limiter {
	qs := quotas(p)
	if len(qs) == 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	apart := qs[0].span / time.Duration(qs[0].limit)
	return rate.NewLimiter(rate.Every(apart), max(1, int(shortestWait/max(apart, 1))))
}

// quotaError says that a limit is used up, and until when.
type quotaError struct {
	quota quota
	until time.Time
}

func (e *quotaError) Error() string {
	return fmt.Sprintf("dispatch: limit of %d messages in %v is used up", e.quota.limit, e.quota.span)
}

// checkQuotas refuses if one more message would be one too many.
func checkQuotas(t *transaction, qs []quota) error {
	for _, q := range qs {
		last, err := t.NthLastTry(q.limit)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if until := last.Add(q.span); t.now.Before(until) {
			return refusal{&quotaError{q, until}}
		}
	}
	return nil
}
