package receipt

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ceralacca/go-pec/pec"
)

// Cause says why a message was not delivered, or not taken, in terms that do not
// change from provider to provider.
//
// daticert.xml has five words for errors, and providers use them differently: a
// full mailbox is "altro", a missing one "no-dest" or "altro". So the cause is
// found by kind, errore, the status code at the front of errore-esteso and, last,
// its words; see causes.json for the table and its sources.
type Cause struct {
	// Code names the cause, in a word that stays the same from release to
	// release: "mailbox-full".
	Code CauseCode `json:"code"`
	// Retry says what sending the same message again would do.
	Retry Retry `json:"retry"`
	// Fault says on whose side the cause lies, as a hint: what follows in law
	// depends on the kind of act, and is for a person to judge.
	Fault Fault `json:"fault"`
	// Text explains the cause in plain words.
	Text string `json:"text"`
	// Source says where the meaning is from.
	Source string `json:"source"`
}

// CauseCode names a [Cause].
type CauseCode string

// Causes that programs act on. The table knows more; see [Causes].
const (
	// CauseVirusAtSender: the sender's provider found malware and sent nothing.
	CauseVirusAtSender CauseCode = "virus-at-sender"
	// CauseVirus: malware was found on the way, or at the recipient's provider.
	CauseVirus CauseCode = "virus"
	// CauseNoSuchAddress: the mailbox does not exist, or no more.
	CauseNoSuchAddress CauseCode = "no-such-address"
	// CauseNoSuchDomain: the domain does not exist or can't be reached.
	CauseNoSuchDomain CauseCode = "no-such-domain"
	// CauseMailboxFull: the recipient's mailbox is full.
	CauseMailboxFull CauseCode = "mailbox-full"
	// CauseTimeout12h: nothing was heard in 12 hours, and delivery may follow.
	CauseTimeout12h CauseCode = "timeout-12h"
	// CauseTimeout24h: not delivered in 24 hours, which is final.
	CauseTimeout24h CauseCode = "timeout-24h"
	// CauseThrottled: the account sends too much, or too fast.
	CauseThrottled CauseCode = "throttled"
	// CauseAuth: the login was refused.
	CauseAuth CauseCode = "auth"
	// CauseSenderMailboxFull: the sender's own mailbox is full.
	CauseSenderMailboxFull CauseCode = "sender-mailbox-full"
	// CauseOther: a reason that the table does not know.
	CauseOther CauseCode = "other"
)

// Retry says what sending the same message again would do. A second message is a
// second legal act: this is advice to a person, never an instruction.
type Retry string

const (
	// RetryNever: it will fail again.
	RetryNever Retry = "never"
	// RetryAfterChange: it will fail again until message, address or account are
	// put right.
	RetryAfterChange Retry = "after-change"
	// RetryLater: it may pass later.
	RetryLater Retry = "later"
	// RetryWait: the first message may still be delivered; wait.
	RetryWait Retry = "wait"
)

// Fault says on whose side a cause lies.
type Fault string

const (
	// FaultSender: the sender, the message or the address used.
	FaultSender Fault = "sender"
	// FaultRecipient: the recipient.
	FaultRecipient Fault = "recipient"
	// FaultProvider: a provider.
	FaultProvider Fault = "provider"
	// FaultUnknown: it can't be told.
	FaultUnknown Fault = "unknown"
)

//go:embed causes.json
var causesJSON []byte

// causeTable is causes.json. Of notices and replies the first rule that fits
// counts.
type causeTable struct {
	Causes  []Cause     `json:"causes"`
	Notices []causeRule `json:"notices"`
	Replies []causeRule `json:"replies"`
}

// causeRule fits if everything that it names fits; status codes and words are
// alternatives to each other.
type causeRule struct {
	Cause   CauseCode       `json:"cause"`
	Kinds   []pec.Kind      `json:"kinds"`
	Errors  []pec.ErrorCode `json:"errors"`
	Replies []string        `json:"replies"` // beginnings of SMTP reply codes
	Status  []string        `json:"status"`  // enhanced status codes; one that ends in "." is a beginning
	Words   []string        `json:"words"`   // in lower case
}

var causes = sync.OnceValue(func() *causeTable {
	var t causeTable
	if err := json.Unmarshal(causesJSON, &t); err != nil {
		panic(fmt.Sprintf("receipt: reading causes.json: %v", err)) // built in: a test reads it
	}
	return &t
})

// Causes returns every cause of the table.
func Causes() []Cause { return slices.Clone(causes().Causes) }

// Cause returns why the receipt reports a failure or a delay, and whether it
// does.
func (r *Receipt) Cause() (Cause, bool) {
	switch r.data.Kind {
	case pec.KindNonAcceptance, pec.KindDeliveryError, pec.KindDeliveryTimeout, pec.KindVirusDetection:
		return CauseOfNotice(r.data.Kind, r.data.Error, r.data.ErrorDetail), true
	}
	return Cause{}, false
}

// CauseOfNotice returns the cause of a failure that a notice of the given kind
// reports with errore and errore-esteso.
func CauseOfNotice(kind pec.Kind, code pec.ErrorCode, detail string) Cause {
	t := causes()
	for _, r := range t.Notices {
		if (len(r.Kinds) == 0 || slices.Contains(r.Kinds, kind)) &&
			(len(r.Errors) == 0 || slices.Contains(r.Errors, code)) &&
			r.fitsText(StatusCode(detail), detail) {
			return t.cause(r.Cause)
		}
	}
	return t.cause(CauseOther)
}

// CauseOfReply returns the cause of an SMTP reply that refuses a message: its
// code, such as 550, and its text, which may begin with an enhanced status code.
func CauseOfReply(code int, text string) Cause {
	t := causes()
	reply := fmt.Sprint(code)
	for _, r := range t.Replies {
		fits := func(beginning string) bool { return strings.HasPrefix(reply, beginning) }
		if (len(r.Replies) == 0 || slices.ContainsFunc(r.Replies, fits)) && r.fitsText(StatusCode(text), text) {
			return t.cause(r.Cause)
		}
	}
	return t.cause(CauseOther)
}

func (r *causeRule) fitsText(status, text string) bool {
	if len(r.Status) == 0 && len(r.Words) == 0 {
		return true
	}
	for _, s := range r.Status {
		if status == s || strings.HasSuffix(s, ".") && strings.HasPrefix(status, s) {
			return true
		}
	}
	text = strings.ToLower(text)
	return slices.ContainsFunc(r.Words, func(word string) bool { return strings.Contains(text, word) })
}

func (t *causeTable) cause(code CauseCode) Cause {
	i := slices.IndexFunc(t.Causes, func(c Cause) bool { return c.Code == code })
	return t.Causes[i] // a test checks that every rule names a cause
}
