package dispatch_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

var (
	recipient = pec.MustParseAddress("comune@pec.beta.example")
	accepted  = time.Date(2026, time.September, 4, 10, 15, 30, 0, time.FixedZone("", 2*60*60))
)

const pid = "alfa1.20260904101530.00001.1@pec.alfa.example"

// notice makes a fact of a notice, at some hours from the acceptance.
func notice(n byte, kind dispatch.NoticeKind, hours float64, change func(*dispatch.Notice)) dispatch.Fact {
	at := accepted.Add(time.Duration(hours * float64(time.Hour)))
	f := dispatch.Fact{
		Key: "notice/" + string('a'+rune(n)), Kind: dispatch.FactNotice, At: at.UTC(), Attempt: 1,
		Notice: &dispatch.Notice{Kind: kind, Instant: at, ID: pid, Recipient: recipient, Signed: dispatch.Digest{n}},
	}
	if kind == dispatch.NoticeAcceptance {
		f.Notice.Recipient, f.Notice.RecipientType = pec.Address{}, pec.RecipientCertified
	}
	if change != nil {
		change(f.Notice)
	}
	return f
}

func stage(t receipt.Timeout) func(*dispatch.Notice) {
	return func(n *dispatch.Notice) { n.Timeout = t }
}

// Facts that a send can have.
var (
	prepared   = dispatch.Fact{Key: "attempt/1", Kind: dispatch.FactAttempt, Attempt: 1, MessageID: "<1@pec.alfa.example>"}
	tried      = dispatch.Fact{Key: "try/1/1", Kind: dispatch.FactTry, Attempt: 1, Try: 1, At: accepted.Add(-time.Second)}
	submitted  = outcome(1, dispatch.OutcomeSubmitted, 250)
	lost       = outcome(1, dispatch.OutcomeUnknown, 0)
	refused    = outcome(1, dispatch.OutcomePermanent, 554)
	refusedNow = outcome(1, dispatch.OutcomeTemporary, 451)

	acceptance  = notice(1, dispatch.NoticeAcceptance, 0, nil)
	ordinary    = notice(1, dispatch.NoticeAcceptance, 0, func(n *dispatch.Notice) { n.RecipientType = pec.RecipientOrdinary })
	unlisted    = notice(1, dispatch.NoticeAcceptance, 0, func(n *dispatch.Notice) { n.RecipientType = "" })
	acceptance2 = notice(2, dispatch.NoticeAcceptance, 0.1, func(n *dispatch.Notice) { n.ID = "other@pec.alfa.example" })
	refusal     = notice(3, dispatch.NoticeNonAcceptance, 0, nil)
	after12h    = notice(4, dispatch.NoticeTimeout, 12, stage(receipt.Timeout12h))
	after24h    = notice(5, dispatch.NoticeTimeout, 23.5, stage(receipt.Timeout24h))
	unclear12h  = notice(6, dispatch.NoticeTimeout, 12, stage(receipt.TimeoutUndetermined))
	unclear24h  = notice(7, dispatch.NoticeTimeout, 23, stage(receipt.TimeoutUndetermined))
	failure     = notice(8, dispatch.NoticeFailure, 1, func(n *dispatch.Notice) { n.Cause = receipt.CauseMailboxFull })
	delivery    = notice(9, dispatch.NoticeDelivery, 0.01, func(n *dispatch.Notice) { n.Proof = receipt.Proven })
	delivery2   = notice(10, dispatch.NoticeDelivery, 30, func(n *dispatch.Notice) { n.Proof = receipt.NoProof })
	altered     = notice(11, dispatch.NoticeDelivery, 0.01, func(n *dispatch.Notice) { n.Proof = receipt.Disproven })
	strayed     = notice(12, dispatch.NoticeDelivery, 0.01, func(n *dispatch.Notice) { n.ID = "other@pec.alfa.example" })
	claim       = dispatch.Fact{Key: "claim/1", Kind: dispatch.FactClaim, Attempt: 1}
	bounce      = dispatch.Fact{Key: "bounce/1", Kind: dispatch.FactBounce, Attempt: 1}
	canceled    = dispatch.Fact{Key: "cancel", Kind: dispatch.FactCancel}
)

func outcome(try int, o dispatch.Outcome, code int) dispatch.Fact {
	return dispatch.Fact{
		Key: "outcome/1/" + string('0'+rune(try)), Kind: dispatch.FactOutcome, Attempt: 1, Try: try,
		Outcome: o, Code: code, Reply: "5.0.0 as it is",
	}
}

func TestStatusOf(t *testing.T) {
	type facts = []dispatch.Fact
	type flags = []dispatch.Flag
	tests := []struct {
		name  string
		facts facts
		want  dispatch.State
		flags flags
	}{
		{"nothing but the message", facts{prepared}, dispatch.Prepared, nil},
		{"taken back", facts{prepared, canceled}, dispatch.Canceled, nil},
		{"taken back, but it had left", facts{prepared, tried, submitted, canceled}, dispatch.Submitted, nil},
		{"the intent, and nothing after it", facts{prepared, tried}, dispatch.Unknown, nil},
		{"no reply after the dot", facts{prepared, tried, lost}, dispatch.Unknown, nil},
		{"250", facts{prepared, tried, submitted}, dispatch.Submitted, nil},
		{"refused for good", facts{prepared, tried, refused}, dispatch.Refused, nil},
		{"refused for good before DATA", facts{prepared, refused}, dispatch.Refused, nil},
		{"refused for now", facts{prepared, tried, refusedNow}, dispatch.Prepared, nil},
		{"refused for now, then for good", facts{prepared, refusedNow, outcome(2, dispatch.OutcomePermanent, 550)}, dispatch.Refused, nil},
		{"an unknown try is not made good by a later refusal", facts{prepared, tried, lost, outcome(2, dispatch.OutcomePermanent, 550)}, dispatch.Unknown, nil},

		{"accepted", facts{prepared, tried, submitted, acceptance}, dispatch.Accepted, nil},
		{"accepted, which settles what SMTP left open", facts{prepared, tried, lost, acceptance}, dispatch.Accepted, nil},
		{"accepted, though the memory of sending was lost", facts{prepared, acceptance}, dispatch.Accepted, nil},
		{"an ordinary recipient", facts{prepared, tried, submitted, ordinary}, dispatch.AcceptedOrdinary, nil},
		{"an ordinary recipient's mail bounced", facts{prepared, tried, submitted, ordinary, bounce}, dispatch.AcceptedOrdinary, flags{dispatch.FlagBounced}},
		{"a recipient that the acceptance does not list", facts{prepared, tried, unlisted}, dispatch.Conflict, flags{dispatch.FlagNotListed}},
		{"refused in a notice", facts{prepared, tried, submitted, refusal}, dispatch.NotAccepted, nil},
		{"accepted and refused", facts{prepared, tried, acceptance, refusal}, dispatch.Conflict, flags{dispatch.FlagContradicted}},
		{"two acceptances of different transmissions", facts{prepared, tried, acceptance, acceptance2}, dispatch.Conflict, flags{dispatch.FlagOtherTransmission}},

		{"hour 12", facts{prepared, tried, acceptance, after12h}, dispatch.Delayed, nil},
		{"hour 12, then delivered: RFC 6109, section 3.1.6, second case", facts{prepared, tried, acceptance, after12h, delivery2}, dispatch.Delivered, nil},
		{"hour 24 alone: first case", facts{prepared, tried, acceptance, after24h}, dispatch.TimedOut, nil},
		{"both: third case", facts{prepared, tried, acceptance, after12h, after24h}, dispatch.TimedOut, nil},
		{"a notice that does not say, at hour 12", facts{prepared, tried, acceptance, unclear12h}, dispatch.Delayed, nil},
		{"a notice that does not say, at hour 23", facts{prepared, tried, acceptance, unclear24h}, dispatch.TimedOut, nil},
		{"one that does not say, and no acceptance to count from", facts{prepared, tried, unclear24h}, dispatch.Delayed, flags{dispatch.FlagTimeoutUnclear}},
		{"two that do not say: the later one is the second", facts{prepared, tried, unclear12h, unclear24h}, dispatch.TimedOut, flags{dispatch.FlagTimeoutUnclear}},
		{"one that says hour 24, at hour 12", facts{prepared, tried, acceptance, notice(5, dispatch.NoticeTimeout, 12, stage(receipt.Timeout24h))}, dispatch.TimedOut, flags{dispatch.FlagTimeoutUnclear}},
		{"late success", facts{prepared, tried, acceptance, after24h, delivery2}, dispatch.Delivered, flags{dispatch.FlagLate}},

		{"failed", facts{prepared, tried, acceptance, failure}, dispatch.Failed, nil},
		{"failed after hour 24", facts{prepared, tried, acceptance, after24h, failure}, dispatch.Failed, nil},
		{"failed and delivered: the delivery is never taken back", facts{prepared, tried, acceptance, failure, delivery}, dispatch.Delivered, flags{dispatch.FlagContradicted}},
		{"delivered", facts{prepared, tried, submitted, acceptance, delivery}, dispatch.Delivered, nil},
		{"delivered before the acceptance came", facts{prepared, tried, submitted, delivery}, dispatch.Delivered, flags{dispatch.FlagAcceptanceMissing}},
		{"delivered twice", facts{prepared, tried, acceptance, delivery, delivery2}, dispatch.Delivered, nil},
		{"something else was delivered", facts{prepared, tried, acceptance, altered}, dispatch.Delivered, flags{dispatch.FlagContentDiffers}},
		{"something else was delivered, and the right thing too", facts{prepared, tried, acceptance, altered, delivery}, dispatch.Delivered, flags{dispatch.FlagContentDiffers}},
		{"a delivery of another transmission", facts{prepared, tried, acceptance, strayed}, dispatch.Conflict, flags{dispatch.FlagOtherTransmission}},
		{"a claim changes nothing", facts{prepared, tried, acceptance, claim}, dispatch.Accepted, flags{dispatch.FlagClaimed}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := dispatch.StatusOf(recipient, tt.facts)
			if got.State != tt.want || !slices.Equal(got.Flags, tt.flags) {
				t.Errorf("StatusOf = %s %v, want %s %v", got.State, got.Flags, tt.want, tt.flags)
			}
			for order := range permutations(tt.facts) {
				if again := dispatch.StatusOf(recipient, order); !reflect.DeepEqual(again, got) {
					t.Fatalf("in another order: %+v, want %+v", again, got)
				}
			}
			twice := slices.Concat(tt.facts, tt.facts)
			if again := dispatch.StatusOf(recipient, twice); !reflect.DeepEqual(again, got) {
				t.Errorf("with every fact twice: %+v, want %+v", again, got)
			}
		})
	}
}

// TestStatusOfEverySet tries every set of the facts that one attempt can have,
// and compares with the table of the rules, written down another way.
func TestStatusOfEverySet(t *testing.T) {
	if testing.Short() {
		t.Skip("many sets")
	}
	universe := []dispatch.Fact{
		tried, submitted, acceptance, acceptance2, refusal, after12h, after24h,
		unclear12h, unclear24h, failure, delivery, delivery2, strayed, claim, bounce, canceled,
	}
	for set := range 1 << len(universe) {
		facts := []dispatch.Fact{prepared}
		for i, f := range universe {
			if set&(1<<i) != 0 {
				facts = append(facts, f)
			}
		}
		got := dispatch.StatusOf(recipient, facts)
		if want := byTheTable(facts); got.State != want {
			t.Fatalf("%v: %s, want %s", keys(facts), got.State, want)
		}
		rand.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
		if again := dispatch.StatusOf(recipient, append(facts, facts[0])); !reflect.DeepEqual(again, got) {
			t.Fatalf("%v, shuffled: %+v, want %+v", keys(facts), again, got)
		}
	}
}

// byTheTable is the table of the rules, first match wins, over sets of facts.
func byTheTable(facts []dispatch.Fact) dispatch.State {
	has := func(list ...dispatch.Fact) bool {
		return slices.ContainsFunc(list, func(f dispatch.Fact) bool {
			return slices.ContainsFunc(facts, func(g dispatch.Fact) bool { return f.Key == g.Key })
		})
	}
	acc := has(acceptance, acceptance2)
	// Of two acceptances the earlier one is the transmission; the rest strayed.
	ours := has(acceptance) || !has(acceptance2)
	del := ours && has(delivery, delivery2) || !acc && has(strayed) || !ours && has(strayed)
	strays := acc && (ours && (has(strayed) || has(acceptance2)) ||
		!ours && has(delivery, delivery2, failure, refusal, after12h, after24h, unclear12h, unclear24h))
	switch {
	case del:
		return dispatch.Delivered
	case strays:
		return dispatch.Conflict
	case has(failure):
		return dispatch.Failed
	case has(refusal) && !acc:
		return dispatch.NotAccepted
	case has(refusal):
		return dispatch.Conflict
	case has(after24h), has(unclear24h) && acc:
		return dispatch.TimedOut
	case has(unclear24h) && has(unclear12h, after12h) && !acc:
		return dispatch.TimedOut
	case has(after12h, unclear12h, unclear24h):
		return dispatch.Delayed
	case acc:
		return dispatch.Accepted
	case has(tried) && has(submitted), has(submitted):
		return dispatch.Submitted
	case has(tried):
		return dispatch.Unknown
	case has(canceled):
		return dispatch.Canceled
	}
	return dispatch.Prepared
}

func keys(facts []dispatch.Fact) []string {
	var list []string
	for _, f := range facts {
		list = append(list, f.Key)
	}
	return list
}

// permutations yields every order of a list, or a thousand if there are more.
func permutations(facts []dispatch.Fact) func(func([]dispatch.Fact) bool) {
	return func(yield func([]dispatch.Fact) bool) {
		order := slices.Clone(facts)
		if len(facts) > 6 {
			for range 1000 {
				rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
				if !yield(order) {
					return
				}
			}
			return
		}
		var permute func(n int) bool
		permute = func(n int) bool {
			if n == len(order) {
				return yield(order)
			}
			for i := n; i < len(order); i++ {
				order[n], order[i] = order[i], order[n]
				if !permute(n + 1) {
					return false
				}
				order[n], order[i] = order[i], order[n]
			}
			return true
		}
		permute(0)
	}
}

func TestStatusOfAttempts(t *testing.T) {
	second := dispatch.Fact{Key: "attempt/2", Kind: dispatch.FactAttempt, Attempt: 2, MessageID: "<2@pec.alfa.example>", Actor: "anna", Reason: "no answer"}
	again := func(f dispatch.Fact, id string) dispatch.Fact {
		f.Key, f.Attempt = f.Key+"/2", 2
		if f.Notice != nil {
			n := *f.Notice
			n.ID, f.Notice = id, &n
		}
		return f
	}
	const other = "alfa1.20260904121530.00002.1@pec.alfa.example"
	tests := []struct {
		name  string
		facts []dispatch.Fact
		want  dispatch.State
		id    string
		flags []dispatch.Flag
	}{
		{"the latest attempt counts", []dispatch.Fact{prepared, tried, lost, second}, dispatch.Prepared, "", nil},
		{"and its outcome", []dispatch.Fact{prepared, tried, lost, second, again(tried, ""), again(acceptance, other)}, dispatch.Accepted, other, nil},
		{"unless the first was delivered after all", []dispatch.Fact{prepared, tried, lost, second, again(tried, ""), delivery, acceptance}, dispatch.Delivered, pid, nil},
		{"both accepted: two legal acts", []dispatch.Fact{prepared, tried, acceptance, second, again(acceptance, other)}, dispatch.Accepted, other, []dispatch.Flag{dispatch.FlagTwice}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for facts := range permutations(tt.facts) {
				got := dispatch.StatusOf(recipient, facts)
				if got.State != tt.want || got.ID != tt.id || !slices.Equal(got.Flags, tt.flags) {
					t.Fatalf("StatusOf(%v) = %s %s %v, want %s %s %v", keys(facts), got.State, got.ID, got.Flags, tt.want, tt.id, tt.flags)
				}
			}
		})
	}
}

func TestStatusTells(t *testing.T) {
	s := dispatch.StatusOf(recipient, []dispatch.Fact{prepared, tried, submitted, acceptance, delivery, delivery2})
	if !s.AcceptedAt.Equal(accepted) || !s.SubmittedAt.Equal(tried.At) {
		t.Errorf("AcceptedAt, SubmittedAt = %v, %v", s.AcceptedAt, s.SubmittedAt)
	}
	if !s.DeliveredAt.Equal(delivery.Notice.Instant) {
		t.Errorf("DeliveredAt = %v, want that of the earlier delivery, %v", s.DeliveredAt, delivery.Notice.Instant)
	}
	if s.Proof != receipt.Proven || s.ID != pid || s.MessageID != prepared.MessageID {
		t.Errorf("Proof, ID, MessageID = %v, %v, %v", s.Proof, s.ID, s.MessageID)
	}
	f := dispatch.StatusOf(recipient, []dispatch.Fact{prepared, tried, acceptance, failure})
	if f.Cause != receipt.CauseMailboxFull {
		t.Errorf("Cause = %q, want %q", f.Cause, receipt.CauseMailboxFull)
	}
}
