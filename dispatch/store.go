package dispatch

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// Errors that stores return.
var (
	// ErrNotFound: there is no such record.
	ErrNotFound = errors.New("dispatch: not found")
	// ErrExists: there is such a record already.
	ErrExists = errors.New("dispatch: exists already")
	// ErrConflict: a transaction could not be serialized with another. Nothing of
	// it was kept, and it may be run again.
	ErrConflict = errors.New("dispatch: transaction conflict")
)

// Store keeps everything that must not be lost: batches, sends, the facts about
// them, the mail collected, and the audit trail. It knows nothing of what they
// mean; all rules are in this package, in one place.
//
// Everything belongs to one account, the mailbox that sends. A transaction sees
// and changes the records of one account only, so a store may keep different
// accounts in different places.
//
// # Contract
//
// Update runs f in a transaction:
//   - All of what f put is kept, or nothing of it: nothing if f returns an error,
//     which Update returns as it is, nothing if Update fails, and nothing if the
//     process dies first.
//   - When Update returns nil, what f put survives the death of the process at
//     any later instant, and that of the machine too, if the store says so.
//     Dispatch relies on this before every final dot.
//   - Two transactions of one account have the effect of one after the other. A
//     store may let one wait, or fail one with [ErrConflict].
//   - If Update returns another error than f's or ErrConflict, its effect is not
//     known: it may have been kept (the answer of a database can be lost). The
//     caller looks again before it decides anything.
//   - f may be called more than once. It uses tx from one goroutine at a time,
//     does not keep it, and calls no other method of the store.
//
// View runs f in a transaction that changes nothing and sees one state of the
// account. In it, methods that would change something fail.
//
// Methods may be called by many goroutines. They honour ctx: a call that was
// canceled before its commit has no effect, and its error wraps that of ctx.
//
// Records are values: the store keeps no reference to what it is given, and gives
// none to what it keeps. What comes back is what was given, with this licence:
//   - Times are kept to the microsecond, and what is finer is cut off. They come
//     back in UTC, but for [Notice].Instant, which keeps its offset.
//   - An empty slice or map may come back as nil, and nil as an empty one.
//   - Text is UTF-8 without NUL bytes. In other text, each byte that is not may
//     come back as U+FFFD. As a key (of a batch, Message-ID, fact or folder) a store
//     may refuse such text; it finds nothing under it.
//
// Text is ordered by its bytes. Where a method takes a limit, less than 1 gives
// nothing.
//
// Package storetest checks all of this for any store.
type Store interface {
	Update(ctx context.Context, account string, f func(tx Tx) error) error
	View(ctx context.Context, account string, f func(tx Tx) error) error

	// Accounts yields the [Account] records, by name. Each is one that was
	// committed; together they need not be of one instant. A dispatcher that runs
	// asks for them about once a second, if they are up to 500, and else less often.
	Accounts(ctx context.Context) iter.Seq2[Account, error]

	Blobs
}

// Blobs keep large values under their SHA-256 digest: messages as received, and
// attachments, each once however often it is used.
type Blobs interface {
	// PutBlob keeps what it reads, to the end, and returns its digest and size.
	// When it returns, the blob is as durable as a committed transaction. A blob
	// that is there already is not kept twice. An error of r is returned wrapped,
	// and nothing is kept. While it waits for r, nobody else waits.
	PutBlob(ctx context.Context, r io.Reader) (Digest, int64, error)
	// OpenBlob opens a blob for reading; [ErrNotFound] if there is none. When ctx
	// ends, reading from it may fail.
	OpenBlob(ctx context.Context, d Digest) (Blob, error)
}

// Blob is an open blob. Close releases it.
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Tx is a transaction on the records of one account. Methods that look up return
// [ErrNotFound] if there is no such record. Any other error is the store's, and
// f should return it.
type Tx interface {
	// Account returns the account's own record.
	Account() (Account, error)
	PutAccount(Account) error

	// Batch returns a batch by its name, Batches all of them by name.
	Batch(name string) (Batch, error)
	Batches() ([]Batch, error)
	PutBatch(Batch) error

	// AddSend adds a send; [ErrExists] if there is one of that batch and row.
	// Methods below that take a SendID fail with [ErrNotFound] if there is no such
	// send, but for PutMessageID, which does not look.
	AddSend(Send, Progress) error
	Send(SendID) (Send, error)
	Progress(SendID) (Progress, error)
	PutProgress(SendID, Progress) error
	// Sends returns up to limit sends of a batch, by row, from the row after.
	Sends(batch string, after int64, limit int) ([]Send, error)
	// Due returns up to limit sends of a batch whose progress is due at now or
	// before, the one due first first, and by row among those due together.
	Due(batch string, now time.Time, limit int) ([]Send, error)

	// PutMessageID names a send by a Message-ID without angle brackets, and
	// SendByMessageID finds it. An account uses a Message-ID once: another
	// PutMessageID of it fails with [ErrExists], or Update does, keeping nothing,
	// so that a store may write many together.
	PutMessageID(messageID string, id SendID, attempt int) error
	SendByMessageID(messageID string) (SendID, int, error)

	// AddFact adds a fact about a send; it returns false, and changes nothing, if
	// there is one with that key.
	AddFact(SendID, Fact) (added bool, err error)
	// Facts returns the facts about a send, in any order.
	Facts(SendID) ([]Fact, error)
	// NthLastTry returns when the n-th last FactTry of the account happened, by
	// its At, 1 being the last one; ErrNotFound if there are fewer.
	NthLastTry(n int) (time.Time, error)

	// PutMail keeps what is known of a message found in the account's mailbox, in
	// place of what was known of it before.
	PutMail(Mail) error
	// Mail finds one by where it is in the mailbox.
	Mail(MailID) (Mail, error)
	// Mails returns up to limit of those with a disposition, by folder,
	// UIDVALIDITY and UID, from the one after.
	Mails(d Disposition, after MailID, limit int) ([]Mail, error)

	// AddAudit appends an entry to the account's audit trail; its Seq is one more
	// than the last, or [ErrExists].
	AddAudit(AuditEntry) error
	// Audit returns up to limit entries by Seq, from the one after.
	Audit(after int64, limit int) ([]AuditEntry, error)
}

// Prefetcher is what a Tx may be besides, to save round trips to a database. None has
// to be: dispatch asks for the same things one by one, and gets the same answers. A Tx
// is asked whether it is one, so a store that wraps another's hands it on or loses it.
type Prefetcher interface {
	// PrefetchMessageIDs is told for which Message-IDs SendByMessageID will be asked,
	// PrefetchSends for which Send will be too, for the sends that they name. There are
	// some hundred at most. They change no answer.
	PrefetchMessageIDs(messageIDs []string) error
	PrefetchSends(messageIDs []string) error
}

// Account is the record of one account: who may work on it, and what keeps it
// from sending.
type Account struct {
	// Name is the key of its address; see [AccountName].
	Name string `json:"name"`
	// Lease says which worker may work on the account.
	Lease Lease `json:"lease"`
	// PausedUntil keeps the account from sending until then, PauseReason says
	// why: the provider said that it sends too much.
	PausedUntil time.Time `json:"pausedUntil,omitzero"`
	PauseReason string    `json:"pauseReason,omitempty"`
	// Suspended, if not empty, says why the account does not send until a person
	// resumes it: its login was refused.
	Suspended string `json:"suspended,omitempty"`
	// Wanted is a worker that asks for the account, because it has fewer than its
	// share; the one that has it gives it up if it has more. WantedUntil is later each
	// time it asks, by the clock of its machine: it asks again until it has the account.
	Wanted      string    `json:"wanted,omitempty"`
	WantedUntil time.Time `json:"wantedUntil,omitzero"`
	// Cursors say how far each folder of the mailbox was read.
	Cursors map[string]Cursor `json:"cursors,omitempty"`
	// AuditSeq and AuditHash are those of the last audit entry. That AuditSeq grew
	// tells a dispatcher that something happened to the account.
	AuditSeq  int64  `json:"auditSeq"`
	AuditHash Digest `json:"auditHash,omitzero"`
}

// AccountName returns the name under which a store keeps an account.
func AccountName(a pec.Address) string { return a.Key() }

// Cursor says how far a folder was read.
type Cursor struct {
	UIDValidity uint32 `json:"uidValidity"`
	UID         uint32 `json:"uid"`
}

// Batch is a set of sends that are signed off together.
type Batch struct {
	Name string `json:"name"`
	// Account is the address that sends.
	Account pec.Address `json:"account"`
	// Phase is how far it came.
	Phase BatchPhase `json:"phase"`
	// Created is when it was made, and Creator by whom.
	Created time.Time `json:"created"`
	Creator string    `json:"creator"`
	// Seed makes its Message-IDs: random, and the same if it is made anew.
	Seed []byte `json:"seed"`
	// Total and Bytes are the number of its sends, and of bytes that they have.
	Total int64 `json:"total"`
	Bytes int64 `json:"bytes"`
	// Input is the digest of what it was made from: template and rows. Source is
	// what the caller gave as such, if anything.
	Input  Digest `json:"input,omitzero"`
	Source Digest `json:"source,omitzero"`
	// Digest is over the final bytes of all its sends; approvals are bound to it.
	Digest Digest `json:"digest,omitzero"`
	// ReceiptType is the form of delivery receipt asked for.
	ReceiptType pec.ReceiptType `json:"receiptType,omitempty"`
	// Approvals are the sign-offs given.
	Approvals []Approval `json:"approvals,omitempty"`
	// Paused keeps what did not leave from leaving.
	Paused bool `json:"paused,omitempty"`
	// Counts say how many of its sends are in each state. They add up to Total.
	Counts map[State]int64 `json:"counts,omitempty"`
}

// BatchPhase is how far a batch came.
type BatchPhase string

const (
	// PhaseExpanding: its sends are being made. One that was interrupted is made
	// anew, and makes the same.
	PhaseExpanding BatchPhase = "expanding"
	// PhaseReady: all its sends are there, and their digest; it waits for sign-off, or
	// was signed off, and waits for what else the policy asks for.
	PhaseReady BatchPhase = "ready"
	// PhaseApproved: it was signed off, and the policy let it leave. The policy is
	// asked again before each message.
	PhaseApproved BatchPhase = "approved"
	// PhaseCanceled: what did not leave never will.
	PhaseCanceled BatchPhase = "canceled"
)

// SendID names a send within its account.
type SendID struct {
	Batch string `json:"batch"`
	Row   int64  `json:"row"` // from 1
}

// Send is one message to one recipient. It never changes.
type Send struct {
	ID SendID `json:"id"`
	// Recipient is the one address that it goes to.
	Recipient pec.Address `json:"recipient"`
	// MessageID is that of the first attempt, in angle brackets.
	MessageID string `json:"messageID"`
	// Content are the final bytes, in pieces, and Digest and Size those of the
	// whole.
	Content []Piece `json:"content"`
	Digest  Digest  `json:"digest"`
	Size    int64   `json:"size"`
}

// Piece is a part of a message: bytes, or a blob that others share.
type Piece struct {
	Bytes []byte `json:"bytes,omitempty"`
	Blob  Digest `json:"blob,omitzero"`
	Size  int64  `json:"size"`
}

// Progress is what of a send changes. It follows from the facts, and is kept so
// that a store can find what is due.
type Progress struct {
	State State `json:"state"`
	// Due is when the send may leave; zero if it may not.
	Due time.Time `json:"due,omitzero"`
}

// MailID says where in a mailbox a message is.
type MailID struct {
	Folder      string `json:"folder"`
	UIDValidity uint32 `json:"uidValidity"`
	UID         uint32 `json:"uid"`
}

// Mail is a receipt or notice, or what claims to be one, found in the account's
// mailbox. Of other mail nothing is kept.
type Mail struct {
	ID MailID `json:"id"`
	// Found is when it was found.
	Found       time.Time   `json:"found"`
	Disposition Disposition `json:"disposition"`
	// Raw is the message as received; zero if it was not stored.
	Raw  Digest `json:"raw,omitzero"`
	Size int64  `json:"size"`
	// Category and Kind are what its header says it is.
	Category pec.Category `json:"category,omitempty"`
	Kind     pec.Kind     `json:"kind,omitempty"`
	// Send is the send it is about; zero if there is none.
	Send SendID `json:"send,omitzero"`
	// Reason says why it was not taken, in a code and words.
	Reason string `json:"reason,omitempty"`
}

// Disposition says what became of a message that was found.
type Disposition string

const (
	// MailMatched: a verified notice about a send.
	MailMatched Disposition = "matched"
	// MailClaim: it claims to be a notice about a send and was not verified.
	MailClaim Disposition = "claim"
	// MailOrphan: a notice about nothing that is known here, such as the receipts
	// of another program that uses the mailbox.
	MailOrphan Disposition = "orphan"
	// MailEarly: its signature is good, and it is dated in the future: the clock of
	// the provider, or of this machine, is wrong. It is looked at again later.
	MailEarly Disposition = "early"
	// MailUnreadable: it could not be read.
	MailUnreadable Disposition = "unreadable"
)
