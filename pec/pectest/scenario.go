package pectest

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// Scenario says in what a network does not behave: what faults occur to whom,
// when and how often. The zero value is a network in which all goes well.
//
// A scenario is plain data and can be written in JSON:
//
//	{
//	  "seed": 7,
//	  "profile": {"perMinute": 6},
//	  "rules": [
//	    {"fault": "mailbox-full", "recipient": "pieno@pec.beta.example"},
//	    {"fault": "receipt-late", "kind": "avvenuta-consegna", "probability": 0.1, "delay": "25h"},
//	    {"fault": "smtp-cut", "stage": "accepted", "skip": 10, "times": 1}
//	  ]
//	}
type Scenario struct {
	// Seed makes the faults that occur by chance the same in each run: chance
	// depends on it, on the rule, on sender and recipient, and on how often these
	// two met before.
	Seed uint64 `json:"seed"`
	// Profile, if not nil, is what the accounts' providers allow, and enforce, in
	// place of limits that nobody reaches: PerMinute, PerHour and PerDay for each
	// account, MaxRecipients and MaxTotalBytes for each message.
	Profile *pec.Profile `json:"profile,omitempty"`
	// Checks says how the providers answer a message that fails a check at
	// submission; those not named with a notice (avviso di non accettazione).
	Checks map[Check]Response `json:"checks,omitempty"`
	// RefuseOrdinary has the providers refuse ordinary mail in SMTP, as some do,
	// instead of wrapping it in anomaly envelopes.
	RefuseOrdinary bool `json:"refuseOrdinary,omitempty"`
	// Rules are the faults. For each thing that happens the first rule that fits
	// counts.
	Rules []Rule `json:"rules"`
}

// Rule is one fault, and when it occurs.
type Rule struct {
	Fault Fault `json:"fault"`

	// Recipient and Sender are an address, "*@domain" for all of a domain, or
	// empty for all. Of IMAP and of logins, Sender is the account. A server knows
	// neither when a client connects, and no recipient before RCPT: rules that
	// could never apply are refused. Of what happens to a message as a whole, its
	// first recipient counts.
	Recipient string `json:"recipient,omitempty"`
	Sender    string `json:"sender,omitempty"`
	// Provider is the domain of the provider at which the fault occurs; empty
	// for all.
	Provider string `json:"provider,omitempty"`
	// Kind is, of the faults of receipts, the kind of receipt; empty for all that
	// go to users.
	Kind pec.Kind `json:"kind,omitempty"`
	// From and Until bound the simulated time since the start; zero is no bound.
	From  Duration `json:"from,omitempty"`
	Until Duration `json:"until,omitempty"`
	// Skip passes over the first things that fit, and Times is to how many after
	// them the fault occurs; zero is to all.
	Skip  int `json:"skip,omitempty"`
	Times int `json:"times,omitempty"`
	// Probability, between 0 and 1, leaves it to chance; zero is always. What
	// chance spares counts for Skip and Times neither.
	Probability float64 `json:"probability,omitempty"`

	// Stage is, of the faults of SMTP and IMAP, when in the dialogue they occur.
	Stage Stage `json:"stage,omitempty"`
	// Delay is how late a receipt comes (simulated), or how slow a server is
	// (real).
	Delay Duration `json:"delay,omitempty"`
	// Code and Text are what an SMTP server replies; Text alone is the
	// errore-esteso of FaultDelivery and FaultRefused.
	Code int    `json:"code,omitempty"`
	Text string `json:"text,omitempty"`
	// Bytes is after how many bytes a connection is cut, or the quota of a
	// mailbox.
	Bytes int64 `json:"bytes,omitempty"`
	// Count is the number of messages of FaultForeign.
	Count int `json:"count,omitempty"`
	// Also sends the genuine receipt too, after the false one.
	Also bool `json:"also,omitempty"`
}

// Fault is something that goes wrong.
type Fault string

// Faults of the sender's provider.
const (
	// FaultLogin refuses a login by SMTP or, with the stage [StageIMAP], by IMAP.
	FaultLogin Fault = "login-refused"
	// FaultReply answers with Code and Text at the stages mail, rcpt and dot;
	// without a Code with 451.
	FaultReply Fault = "smtp-reply"
	// FaultThrottle answers MAIL as a large provider answers accounts that send
	// too much.
	FaultThrottle Fault = "throttle"
	// FaultCut cuts the connection, at any stage; in the stage data after Bytes.
	FaultCut Fault = "smtp-cut"
	// FaultSlow waits for Delay, real time, before it goes on.
	FaultSlow Fault = "smtp-slow"
	// FaultSilent says nothing any more until the client or the network goes.
	FaultSilent Fault = "smtp-silent"
	// FaultRefused does not accept the message (avviso di non accettazione).
	FaultRefused Fault = "refused"
	// FaultVirusAtSender finds malware in it.
	FaultVirusAtSender Fault = "virus-at-sender"
)

// Faults on the way to a recipient.
const (
	// FaultFull finds the mailbox full.
	FaultFull Fault = "mailbox-full"
	// FaultUnknown finds no such mailbox, and says so as errore="no-dest".
	FaultUnknown Fault = "mailbox-unknown"
	// FaultInvalid finds no such mailbox, and says so as errore="altro" with a
	// status code of 5.1.1.
	FaultInvalid Fault = "mailbox-invalid"
	// FaultDomain finds no such domain. The sender's provider says so.
	FaultDomain Fault = "domain-unknown"
	// FaultVirusAtRecipient finds malware at the recipient's provider.
	FaultVirusAtRecipient Fault = "virus-at-recipient"
	// FaultDelivery fails with Text.
	FaultDelivery Fault = "delivery-failed"
	// FaultPause has a provider do nothing from From until Until: what reaches it
	// is taken, and waits.
	FaultPause Fault = "provider-paused"
)

// Faults of receipts and notices. The recipient is the one that the receipt is
// about.
const (
	// FaultLate sends it after Delay, simulated time.
	FaultLate Fault = "receipt-late"
	// FaultLost never sends it.
	FaultLost Fault = "receipt-lost"
	// FaultDoubled sends it twice.
	FaultDoubled Fault = "receipt-doubled"
	// FaultReordered sends it after the next receipt to the same sender, or after
	// a minute.
	FaultReordered Fault = "receipt-reordered"
	// FaultForged puts one by somebody else into the mailbox in its place.
	FaultForged Fault = "receipt-forged"
	// FaultAltered puts it there with another recipient than the signed one.
	FaultAltered Fault = "receipt-altered"
	// FaultReplayed puts an older one of that provider there, under new headers.
	FaultReplayed Fault = "receipt-replayed"
	// FaultUnsigned puts it there without a signature.
	FaultUnsigned Fault = "receipt-unsigned"
)

// Faults of mailboxes.
const (
	// FaultIMAPCut cuts the connection: at the stages select and fetch, or, in
	// the stage literal, after Bytes of a message.
	FaultIMAPCut Fault = "imap-cut"
	// FaultIMAPSlow waits for Delay, real time, before a SELECT or FETCH.
	FaultIMAPSlow Fault = "imap-slow"
	// FaultUIDValidity gives a folder a new UIDVALIDITY, and its messages new
	// UIDs, at a SELECT.
	FaultUIDValidity Fault = "imap-uidvalidity"
	// FaultQuota lets a mailbox hold no more than Bytes.
	FaultQuota Fault = "quota"
	// FaultForeign puts Count messages that have nothing to do with anything into
	// the mailbox of Sender when the network starts.
	FaultForeign Fault = "foreign-mail"
)

// Stage is a point in a dialogue with a server.
type Stage string

const (
	// StageConnect: before the server says anything.
	StageConnect Stage = "connect"
	// StageAuth: at the login.
	StageAuth Stage = "auth"
	// StageMail: at MAIL FROM.
	StageMail Stage = "mail"
	// StageRcpt: at RCPT TO, the last command before DATA.
	StageRcpt Stage = "rcpt"
	// StageData: after DATA, in the middle of the message.
	StageData Stage = "data"
	// StageAccepted: after the final dot, before the reply, with the message
	// accepted: the sender can't know.
	StageAccepted Stage = "accepted"
	// StageDropped: after the final dot, before the reply, with the message
	// thrown away.
	StageDropped Stage = "dropped"
	// StageDot: in the reply to the final dot.
	StageDot Stage = "dot"

	// StageIMAP: at the login by IMAP.
	StageIMAP Stage = "imap"
	// StageSelect and StageFetch: at these commands of IMAP.
	StageSelect Stage = "select"
	StageFetch  Stage = "fetch"
	// StageLiteral: in the middle of a message that is being fetched.
	StageLiteral Stage = "literal"
)

func (r *Rule) stage() Stage {
	if stages := faultStages[r.Fault]; r.Stage == "" && len(stages) > 0 {
		return stages[0]
	}
	return r.Stage
}

// occasion is something that happens, to which a fault may occur.
type occasion struct {
	stage     Stage
	provider  string
	sender    string
	recipient string
	kind      pec.Kind
}

// faults decide on what goes wrong.
type faults struct {
	start time.Time
	now   func() time.Time

	mu    sync.Mutex
	seed  uint64
	rules []*ruleState
}

// ruleState is a rule and what it has done.
type ruleState struct {
	Rule
	fits int            // so far, chance allowing
	met  map[string]int // :: sender and recipient → how often chance was asked
}

func newFaults(s Scenario, start time.Time, now func() time.Time) *faults {
	f := &faults{start: start, now: now, seed: s.Seed}
	for _, r := range s.Rules {
		f.add(r)
	}
	return f
}

func (f *faults) add(r Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, &ruleState{Rule: r, met: make(map[string]int)})
}

// pick returns the rule, among those for the given faults, that applies to an
// occasion, or nil.
func (f *faults) pick(o occasion, among ...Fault) *Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.rules) == 0 {
		return nil
	}
	since := Duration(f.now().Sub(f.start))
	for n, r := range f.rules {
		if slices.Contains(among, r.Fault) && r.fitsOccasion(o, since) && f.chance(n, r, o) && r.counts() {
			rule := r.Rule
			return &rule
		}
	}
	return nil
}

func (r *ruleState) fitsOccasion(o occasion, since Duration) bool {
	return matches(r.Recipient, o.recipient) && matches(r.Sender, o.sender) &&
		(r.Provider == "" || strings.EqualFold(r.Provider, o.provider)) &&
		(r.Kind == "" || r.Kind == o.kind) &&
		(o.stage == "" || r.stage() == o.stage) &&
		since >= r.From && (r.Until == 0 || since < r.Until)
}

// counts applies Skip and Times to one more thing that fits.
func (r *ruleState) counts() bool {
	r.fits++
	return r.fits > r.Skip && (r.Times == 0 || r.fits <= r.Skip+r.Times)
}

// chance decides by a hash, so that what happens at the same time to others does
// not matter.
func (f *faults) chance(n int, r *ruleState, o occasion) bool {
	if r.Probability == 0 || r.Probability == 1 {
		return true
	}
	key := strings.ToLower(o.sender + " " + o.recipient + " " + string(o.kind))
	r.met[key]++
	h := fnv.New64a()
	var numbers [24]byte
	binary.BigEndian.PutUint64(numbers[0:], f.seed)
	binary.BigEndian.PutUint64(numbers[8:], uint64(n))
	binary.BigEndian.PutUint64(numbers[16:], uint64(r.met[key]))
	h.Write([]byte(key))
	h.Write(numbers[:])
	return float64(mix(h.Sum64()))/math.MaxUint64 < r.Probability
}

// mix spreads the bits of a hash, the upper ones of which are weak in FNV. It is
// the finalizer of MurmurHash3.
func mix(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// matches compares an address with a pattern of a rule.
func matches(pattern, address string) bool {
	if domain, ok := strings.CutPrefix(pattern, "*@"); ok {
		return strings.EqualFold(domain, address[strings.LastIndexByte(address, '@')+1:])
	}
	return pattern == "" || strings.EqualFold(pattern, address)
}

// pausedUntil returns until when a provider does nothing; zero if it works.
func (f *faults) pausedUntil(provider string) time.Time {
	r := f.pick(occasion{provider: provider}, FaultPause)
	if r == nil {
		return time.Time{}
	}
	if r.Until == 0 {
		return f.now().AddDate(100, 0, 0)
	}
	return f.start.Add(time.Duration(r.Until))
}

// quota returns how many bytes a mailbox may hold; 0 is any number.
func (f *faults) quota(address string) int64 {
	if r := f.pick(occasion{sender: address}, FaultQuota); r != nil {
		return r.Bytes
	}
	return 0
}
