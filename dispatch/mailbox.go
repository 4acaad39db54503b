package dispatch

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// Mailbox opens sessions with the mailbox in which an account's receipts arrive.
// Package dispatch/imapbox is one for IMAP.
type Mailbox interface {
	// Open connects and logs in. An error wraps [ErrAuth] if the login was
	// refused.
	Open(ctx context.Context) (MailboxSession, error)
}

// ErrFolder is the error of a folder that the server does not open: there is none of
// that name, or it may not be read.
var ErrFolder = errors.New("dispatch: folder can't be opened")

// ErrMailboxRefused is the error of a message that the server does not take or does
// not remove, such as one for which there is no room.
var ErrMailboxRefused = errors.New("dispatch: mailbox refuses that")

// MailboxSession reads a mailbox. It marks nothing as read, moves nothing, and
// removes only what Remove is told to: people and other programs use the mailbox
// too. Methods are called one at a time. After an error that is not about one
// message the session is closed and another one opened.
type MailboxSession interface {
	// Select opens a folder. The methods below are about the folder selected
	// last. An error wraps [ErrFolder] if the server refuses that folder; then the
	// session goes on, and another one may be selected.
	Select(ctx context.Context, folder string) (Folder, error)
	// Heads yields the messages with a UID greater than after, in the order of
	// their UIDs, with their headers only. An error that comes with a UID is about
	// that message alone, whose header the server can't give, and others follow;
	// any other error is the last thing that comes.
	Heads(ctx context.Context, after uint32) iter.Seq2[MailHead, error]
	// Fetch gives messages to f, one after another, each as it was received: r
	// holds size bytes. Messages that are gone are left out. An error of f ends
	// the fetching and is wrapped in that of Fetch; f need not read all of r. If a
	// message is cut short, reading r fails, and so does Fetch.
	Fetch(ctx context.Context, uids []uint32, f func(uid uint32, size int64, r io.Reader) error) error
	// Wait returns when there may be new mail in the folder, or after at most the
	// given time.
	Wait(ctx context.Context, atMost time.Duration) error
	// Append puts a message into a folder, marked as read, and makes the folder if
	// there is none. If an error wraps [ErrMailboxRefused], the message was not put
	// there, and the session goes on; a refusal may also end the session.
	Append(ctx context.Context, folder string, size int64, r io.Reader) error
	// Remove deletes one message for good, and no other. One that is gone already is
	// no error. If an error wraps [ErrMailboxRefused], the message stays, and the
	// session goes on.
	Remove(ctx context.Context, uid uint32) error
	// Space says how many bytes the mailbox holds, and how many it can; ok is
	// false if the server does not tell.
	Space(ctx context.Context) (used, limit int64, ok bool, err error)
	// Close ends the session.
	Close() error
}

// Folder is the state of a folder.
type Folder struct {
	// UIDValidity changes when the UIDs of before mean nothing any more.
	UIDValidity uint32
	// Messages is how many there are.
	Messages uint32
}

// MailHead is what is known of a message before it is fetched.
type MailHead struct {
	UID  uint32
	Size int64
	// Arrived is when the server received it.
	Arrived time.Time
	// Header gives the fields that [pec.Classify] looks at.
	Header pec.Header
}
