package dispatch

import (
	"time"

	"github.com/ceralacca/go-pec/receipt"
)

// Event is something that happened, told as soon as it was stored.
type Event struct {
	Kind EventKind
	At   time.Time
	// Account is the name of the account.
	Account string
	// Send is the send that it is about; zero if it is about the account.
	Send SendID
	// Fact is what was learned of a send, From and To are its state before and
	// after, which may be the same.
	Fact     FactKind
	From, To State
	// Cause says why, where there is a reason that is known.
	Cause receipt.CauseCode
	// Until is when an account that was paused goes on, and when a send that was
	// refused for now is tried again.
	Until time.Time
	// Detail says more, without personal data.
	Detail string
}

// EventKind says what an [Event] is about.
type EventKind string

const (
	// EventSend: something was learned of a send.
	EventSend EventKind = "send"
	// EventPaused: the account rests, because the provider said that it sends too
	// much, or because a limit of the profile is used up.
	EventPaused EventKind = "paused"
	// EventSuspended: the provider refused the login; a person must act.
	EventSuspended EventKind = "suspended"
	// EventConnection: a connection failed, and is tried again; or a folder can't be
	// opened, a receipt not removed, or the copy of a message not filed.
	EventConnection EventKind = "connection"
	// EventMail: a message in the mailbox was not taken as a notice about a send.
	EventMail EventKind = "mail"
	// EventLease: this dispatcher took the account, to work on it.
	EventLease EventKind = "lease"
)
