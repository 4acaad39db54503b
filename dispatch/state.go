package dispatch

import (
	"cmp"
	"slices"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// State is where a send stands. It is never stored as such: [StatusOf] finds it.
type State string

const (
	// Prepared: it did not leave, and nothing ended it.
	Prepared State = "prepared"
	// Canceled: a person took it back before it left.
	Canceled State = "canceled"
	// Refused: the provider refused it for good, in SMTP.
	Refused State = "refused"
	// Unknown: it may have left. Only a receipt, or a person, can tell.
	Unknown State = "unknown"
	// Submitted: the provider took it and did not accept it yet.
	Submitted State = "submitted"
	// NotAccepted: the provider refused it in a notice.
	NotAccepted State = "notaccepted"
	// Accepted: the provider accepted it; the delivery is awaited.
	Accepted State = "accepted"
	// AcceptedOrdinary: accepted, for an ordinary mailbox. Nothing will ever
	// certify the delivery.
	AcceptedOrdinary State = "acceptedordinary"
	// Delayed: nothing was heard in 12 hours. It may still be delivered.
	Delayed State = "delayed"
	// TimedOut: it was not delivered in 24 hours. A later delivery or failure
	// still counts.
	TimedOut State = "timedout"
	// Failed: it could not be delivered. A delivery still beats that.
	Failed State = "failed"
	// Delivered: it is in the recipient's mailbox.
	Delivered State = "delivered"
	// Conflict: genuine receipts contradict each other, and a person must look.
	Conflict State = "conflict"
)

// States returns every state, in the order of a send's life.
func States() []State {
	return []State{Prepared, Canceled, Refused, Unknown, Submitted, NotAccepted, Accepted,
		AcceptedOrdinary, Delayed, TimedOut, Failed, Delivered, Conflict}
}

// IsFinal reports whether nothing more is awaited. A receipt that comes late may
// still change a final state; what was delivered stays delivered.
func (s State) IsFinal() bool {
	switch s {
	case Canceled, Refused, NotAccepted, AcceptedOrdinary, TimedOut, Failed, Delivered:
		return true
	}
	return false
}

// NeedsPerson reports whether only a person can decide what to do.
func (s State) NeedsPerson() bool { return s == Unknown || s == Conflict }

// Flag is something to know beside the state.
type Flag string

const (
	// FlagAcceptanceMissing: delivered, but no acceptance was seen.
	FlagAcceptanceMissing Flag = "acceptance-missing"
	// FlagLate: delivered after the notice of hour 24.
	FlagLate Flag = "late"
	// FlagContradicted: another genuine receipt says otherwise.
	FlagContradicted Flag = "contradicted"
	// FlagOtherTransmission: a receipt carries another identifier than the
	// acceptance: the Message-ID was used twice.
	FlagOtherTransmission Flag = "other-transmission"
	// FlagTwice: two attempts were accepted or delivered.
	FlagTwice Flag = "sent-twice"
	// FlagNotListed: the acceptance does not list the recipient.
	FlagNotListed Flag = "recipient-not-listed"
	// FlagTimeoutUnclear: a notice of delay does not say which it is, or says so
	// at odds with its instant.
	FlagTimeoutUnclear Flag = "timeout-unclear"
	// FlagBounced: an ordinary mail system reported a failure.
	FlagBounced Flag = "bounced"
	// FlagContentDiffers: what was delivered is not what was sent.
	FlagContentDiffers Flag = "content-differs"
	// FlagClaimed: a message that was not verified claims something of the send.
	FlagClaimed Flag = "claimed"
)

// Status is what the facts say of a send.
type Status struct {
	State State
	// Flags are sorted.
	Flags []Flag
	// Attempt and Try are the latest, from 1; Try is 0 if there was none.
	Attempt, Try int
	// MessageID is that of the latest attempt.
	MessageID string
	// ID is the provider's identifier of the transmission, if it is known.
	ID string
	// SubmittedAt is when the final dot was about to go out, by the dispatcher's
	// clock. AcceptedAt, DeliveredAt and EndedAt are certified instants: of the
	// acceptance, of the (earliest) delivery, and of whatever ended it. All are
	// zero if it did not happen.
	SubmittedAt, AcceptedAt, DeliveredAt, EndedAt time.Time
	// Cause says why it was refused, failed or is late, Detail the provider's own
	// words.
	Cause  receipt.CauseCode
	Detail string
	// Proof says whether the delivery proves what was delivered; empty if not
	// delivered.
	Proof receipt.ProofResult
}

// Has reports whether the status carries the flag.
func (s *Status) Has(f Flag) bool { return slices.Contains(s.Flags, f) }

// StatusOf finds where a send to the given recipient stands. It is a function of
// the set of facts: their order, and facts given twice, change nothing.
//
// Of several attempts the latest counts, unless an earlier one was delivered.
func StatusOf(recipient pec.Address, facts []Fact) Status {
	facts = asSet(facts)
	attempts := byAttempt(recipient, facts)
	if len(attempts) == 0 {
		return Status{State: Prepared}
	}
	best := attempts[len(attempts)-1]
	taken := 0
	for _, a := range attempts {
		if a.State == Delivered && best.State != Delivered {
			best = a
		}
		if !a.AcceptedAt.IsZero() || !a.DeliveredAt.IsZero() {
			taken++
		}
	}
	if taken > 1 {
		best.flag(FlagTwice)
	}
	for _, f := range facts {
		switch f.Kind {
		case FactClaim:
			best.flag(FlagClaimed)
		case FactBounce:
			best.flag(FlagBounced)
		case FactCancel:
			if best.State == Prepared {
				best.State = Canceled
			}
		}
	}
	slices.Sort(best.Flags)
	return best
}

func (s *Status) flag(f Flag) {
	if !s.Has(f) {
		s.Flags = append(s.Flags, f)
	}
}

// asSet sorts facts and drops those given twice.
func asSet(facts []Fact) []Fact {
	set := slices.Clone(facts)
	slices.SortFunc(set, func(a, b Fact) int { return cmp.Compare(a.Key, b.Key) })
	return slices.CompactFunc(set, func(a, b Fact) bool { return a.Key == b.Key })
}

// byAttempt finds the status of each attempt, the first one first.
func byAttempt(recipient pec.Address, facts []Fact) []Status {
	var attempts []Status
	for n := 1; ; n++ {
		i := slices.IndexFunc(facts, func(f Fact) bool { return f.Kind == FactAttempt && f.Attempt == n })
		if i < 0 {
			return attempts
		}
		a := attempt{recipient: recipient, status: Status{Attempt: n, MessageID: facts[i].MessageID}}
		for _, f := range facts {
			if f.Attempt == n {
				a.add(f)
			}
		}
		attempts = append(attempts, a.judge())
	}
}

// attempt sorts the facts about one attempt.
type attempt struct {
	recipient pec.Address
	status    Status
	tries     []Fact
	outcomes  []Fact

	acceptances, refusals, deliveries, failures, timeouts []*Notice
}

func (a *attempt) add(f Fact) {
	switch f.Kind {
	case FactTry:
		a.tries = append(a.tries, f)
	case FactOutcome:
		a.outcomes = append(a.outcomes, f)
	case FactNotice:
		a.addNotice(f.Notice)
	}
}

func (a *attempt) addNotice(n *Notice) {
	switch n.Kind {
	case NoticeAcceptance:
		a.acceptances = append(a.acceptances, n)
	case NoticeNonAcceptance:
		a.refusals = append(a.refusals, n)
	case NoticeDelivery:
		a.deliveries = append(a.deliveries, n)
	case NoticeFailure:
		a.failures = append(a.failures, n)
	case NoticeTimeout:
		a.timeouts = append(a.timeouts, n)
	}
}

// judge finds the state of the attempt: the first rule that fits counts.
func (a *attempt) judge() Status {
	s := &a.status
	a.submission()
	a.sortByInstant()
	strays := a.dropOtherTransmissions()
	if len(a.acceptances) > 0 {
		first := a.acceptances[0]
		s.AcceptedAt, s.ID = first.Instant, first.ID
	}
	last, isLast := a.timeout()
	switch {
	case len(a.deliveries) > 0:
		a.delivered(isLast)
	case strays > 0:
		s.State = Conflict
	case len(a.failures) > 0:
		a.ended(Failed, a.failures[0])
	case len(a.refusals) > 0 && len(a.acceptances) == 0:
		a.ended(NotAccepted, a.refusals[0])
	case len(a.refusals) > 0:
		s.State = Conflict
		s.flag(FlagContradicted)
	case a.recipientType() == pec.RecipientOrdinary:
		a.ended(AcceptedOrdinary, a.acceptances[0])
	case isLast:
		a.ended(TimedOut, last)
	case last != nil:
		s.State, s.Cause, s.Detail = Delayed, last.Cause, last.Detail
	case a.recipientType() == pec.RecipientCertified:
		s.State = Accepted
	case len(a.acceptances) > 0:
		s.State = Conflict
		s.flag(FlagNotListed)
	}
	return *s
}

// submission finds what SMTP said: the rules that come last, when no receipt
// says more. A refusal can come before anything was at risk, and a try can be
// without an outcome, so both number the tries.
func (a *attempt) submission() {
	s := &a.status
	s.State = Prepared
	for _, f := range slices.Concat(a.tries, a.outcomes) {
		s.Try = max(s.Try, f.Try)
		if f.Kind == FactTry && (s.SubmittedAt.IsZero() || f.At.Before(s.SubmittedAt)) {
			s.SubmittedAt = f.At
		}
	}
	for try := 1; try <= s.Try; try++ {
		outcome := a.outcomeOf(try)
		state := stateOfOutcome(outcome.Outcome)
		// A try that may have gone out is never made good by another. Of the
		// others, the last one counts.
		if rank(s.State) <= rank(Refused) || rank(state) > rank(s.State) {
			s.State = state
			s.Cause, s.Detail = causeOfOutcome(outcome)
		}
	}
}

// outcomeOf returns how a try ended; a fact without an outcome if nothing says.
func (a *attempt) outcomeOf(try int) Fact {
	for _, o := range a.outcomes {
		if o.Try == try {
			return o
		}
	}
	return Fact{}
}

// stateOfOutcome says where a try left the send. None is [Unknown]: the intent
// was recorded, and nothing after it.
func stateOfOutcome(o Outcome) State {
	switch o {
	case OutcomeSubmitted:
		return Submitted
	case OutcomePermanent:
		return Refused
	case OutcomeTemporary, OutcomeNotSent:
		return Prepared
	}
	return Unknown
}

// rank orders what several tries left behind: what may be out counts most.
func rank(s State) int {
	return slices.Index([]State{Prepared, Refused, Unknown, Submitted}, s)
}

func causeOfOutcome(f Fact) (receipt.CauseCode, string) {
	switch f.Outcome {
	case OutcomeTemporary, OutcomePermanent:
		return receipt.CauseOfReply(f.Code, f.Reply).Code, f.Reply
	}
	return "", ""
}

// sortByInstant makes the earliest notice of each kind the first. Notices of one
// instant are told apart by their digests, so that the order is always the same.
func (a *attempt) sortByInstant() {
	for _, list := range [][]*Notice{a.acceptances, a.refusals, a.deliveries, a.failures, a.timeouts} {
		slices.SortFunc(list, func(x, y *Notice) int {
			return cmp.Or(x.Instant.Compare(y.Instant), slices.Compare(x.Signed[:], y.Signed[:]))
		})
	}
}

// dropOtherTransmissions removes notices whose identifier is not that of the
// acceptance, and says how many there are. A Message-ID can be used twice; the
// identifier cannot.
func (a *attempt) dropOtherTransmissions() (strays int) {
	if len(a.acceptances) == 0 {
		return 0
	}
	id := a.acceptances[0].ID
	other := func(n *Notice) bool { return n.ID != id }
	for _, list := range []*[]*Notice{&a.acceptances, &a.refusals, &a.deliveries, &a.failures, &a.timeouts} {
		before := len(*list)
		*list = slices.DeleteFunc(*list, other)
		strays += before - len(*list)
	}
	if strays > 0 {
		a.status.flag(FlagOtherTransmission)
	}
	return strays
}

// The first notice is issued 12 hours after the acceptance, the second one not
// before hour 22 (RFC 6109, section 3.1.6). Of two notices that are at least
// betweenNotices apart, the later one is the second.
const (
	secondNoticeAfter = 22 * time.Hour
	betweenNotices    = 6 * time.Hour
)

// timeout finds the notice of delay that counts, and whether it is the final
// one. Which one a notice is, it says itself; otherwise the time since the
// acceptance tells, or, of two, that since the other. Arrival tells nothing.
func (a *attempt) timeout() (counts *Notice, final bool) {
	for _, n := range a.timeouts {
		isFinal := n.Timeout == receipt.Timeout24h
		if len(a.acceptances) > 0 {
			byInstant := n.Instant.Sub(a.acceptances[0].Instant) >= secondNoticeAfter
			if n.Timeout == receipt.TimeoutUndetermined {
				isFinal = byInstant
			} else if byInstant != isFinal {
				a.status.flag(FlagTimeoutUnclear)
			}
		} else if n.Timeout == receipt.TimeoutUndetermined {
			isFinal = n.Instant.Sub(a.timeouts[0].Instant) >= betweenNotices
			a.status.flag(FlagTimeoutUnclear)
		}
		if counts == nil || isFinal && !final {
			counts, final = n, isFinal
		}
	}
	return counts, final
}

// recipientType returns what the acceptance says of the recipient.
func (a *attempt) recipientType() pec.RecipientType {
	if len(a.acceptances) == 0 {
		return ""
	}
	return a.acceptances[0].RecipientType
}

func (a *attempt) delivered(afterLast bool) {
	s := &a.status
	first := a.deliveries[0]
	a.ended(Delivered, first)
	s.DeliveredAt, s.Proof = first.Instant, bestProof(a.deliveries)
	if s.ID == "" {
		s.ID = first.ID
	}
	if len(a.acceptances) == 0 {
		s.flag(FlagAcceptanceMissing)
	}
	if afterLast {
		s.flag(FlagLate)
	}
	if len(a.failures) > 0 || len(a.refusals) > 0 {
		s.flag(FlagContradicted)
	}
	if s.Proof == receipt.Disproven {
		s.flag(FlagContentDiffers)
	}
}

// bestProof returns the strongest answer: one delivery that differs from what
// was sent must not hide behind another, nor a proof behind a receipt without.
func bestProof(deliveries []*Notice) receipt.ProofResult {
	proof := receipt.NoProof
	for _, d := range deliveries {
		switch d.Proof {
		case receipt.Disproven:
			return receipt.Disproven
		case receipt.Proven:
			proof = receipt.Proven
		}
	}
	return proof
}

func (a *attempt) ended(state State, by *Notice) {
	s := &a.status
	s.State, s.EndedAt = state, by.Instant
	s.Cause, s.Detail = by.Cause, by.Detail
}
