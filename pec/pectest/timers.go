package pectest

import (
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// When a sender's provider says that nothing was heard. RFC 6109, section 3.1.6:
// the first notice after 12 hours, the second between 22 and 24.
const (
	firstNoticeAfter  = 12 * time.Hour
	secondNoticeAfter = 23*time.Hour + 30*time.Minute
)

// transmission is what a provider keeps of a message that it sent out, until the
// last PEC recipient is settled.
type transmission struct {
	data    pec.CertData
	waiting map[string]*timers // :: key of a recipient → its timers
}

type timers struct{ first, second *event }

// track starts the timers of a transmission. Ordinary recipients have none:
// nobody answers for them.
func (s *site) track(data pec.CertData) {
	t := &transmission{data: data, waiting: make(map[string]*timers)}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range data.Recipients {
		if r.Type != pec.RecipientCertified {
			continue
		}
		first, second := data.Time.Add(firstNoticeAfter), data.Time.Add(secondNoticeAfter)
		t.waiting[r.Address.Key()] = &timers{
			first: s.network.clock.at(first, func() {
				s.timeout(data, r.Address, first, "4.4.1 - "+s.Name()+" - non consegnato nelle prime dodici ore")
			}),
			second: s.network.clock.at(second, func() {
				s.settle(data.ID, r.Address) // nobody waits any more
				s.timeout(data, r.Address, second, "5.4.1 - "+s.Name()+" - non consegnato nelle ventiquattro ore")
			}),
		}
	}
	if len(t.waiting) > 0 {
		s.tracked[data.ID] = t
	}
}

// timeout issues one of the two notices.
func (s *site) timeout(data pec.CertData, a pec.Address, at time.Time, detail string) {
	data.Kind, data.Error, data.ErrorDetail = pec.KindDeliveryTimeout, pec.ErrorOther, detail
	data.ReceiptType, data.Delivery, data.Time = "", a, Rome(at)
	s.process(func() { s.issue(notice{data: data}) })
}

// taken stops the first timer of recipients whose provider took charge.
func (s *site) taken(id string, recipients []pec.Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tracked[id]
	if t == nil {
		return
	}
	for _, a := range recipients {
		if w := t.waiting[a.Key()]; w != nil {
			s.network.clock.cancel(w.first)
		}
	}
}

// settle stops the timers of a recipient.
func (s *site) settle(id string, a pec.Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tracked[id]
	if t == nil {
		return
	}
	if w := t.waiting[a.Key()]; w != nil {
		s.network.clock.cancel(w.first)
		s.network.clock.cancel(w.second)
		delete(t.waiting, a.Key())
	}
	if len(t.waiting) == 0 {
		delete(s.tracked, id)
	}
}
