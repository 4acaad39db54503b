package imapbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const (
	// messagesAtOnce is how many messages are asked for in one command.
	messagesAtOnce = 100
	// maxFetches is how often a message is asked for whose content does not come.
	maxFetches = 3
)

var (
	errNoContent = errors.New("server gives no content for a message")
	errOther     = errors.New("server gives another message than was asked for")
)

// Fetch implements dispatch.MailboxSession. When f or a message fails, the rest is
// not worth reading, and the session is over. The error wraps that of f.
func (s *session) Fetch(ctx context.Context, uids []uint32, f func(uid uint32, size int64, r io.Reader) error) error {
	whole := &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}}
	for some := range slices.Chunk(uids, messagesAtOnce) {
		var set imap.UIDSet
		for _, uid := range some {
			if uid == 0 {
				return errZeroUID
			}
			set.AddNum(imap.UID(uid))
		}
		err := s.fetch(ctx, "fetching", set, whole, func(o *operation, m *imapclient.FetchMessageData, uid imap.UID) (imap.UID, bool, error) {
			return giveMessage(o, m, uid, f)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var errZeroUID = errors.New("imapbox: 0 is no UID") // to a server it is *

// giveMessage gives the content of a message to f, if it is among what the server
// says. uid is that of the message; 0 if the server says it first.
func giveMessage(o *operation, m *imapclient.FetchMessageData, uid imap.UID, f func(uint32, int64, io.Reader) error) (_ imap.UID, complete bool, err error) {
	for item := m.Next(); item != nil; item = m.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			if uid != 0 && uid != item.UID {
				return uid, false, errOther
			}
			uid = item.UID
		case imapclient.FetchItemDataBodySection:
			if item.Literal == nil {
				return uid, false, errNoContent
			}
			if complete {
				continue
			}
			complete = true
			if err := giveContent(o, item.Literal, func(size int64, r io.Reader) error { return f(uint32(uid), size, r) }); err != nil {
				return uid, false, err
			}
		}
	}
	return uid, complete, nil
}

// giveContent gives the content of a message to f, and makes sure that all of it
// came, also of what f did not read.
func giveContent(o *operation, r imap.LiteralReader, f func(int64, io.Reader) error) error {
	defer o.resume()
	content := newLiteral(o, r)
	o.pause()
	err := f(r.Size(), content)
	if err != nil {
		o.s.cut(err) // so that little is left to read
	}
	if left := content.drain(); err == nil {
		err = left
	}
	return err
}

// fetch asks for messages and calls read with what the server says of each. read
// returns of which message that was, and whether what was asked for was there. It
// is told the UID if the server may say that last.
//
// A server may at any time say something else of a message, such as that its
// flags have changed. The library takes that for the answer, and throws the
// answer away when it comes; so such a message is asked for again.
func (s *session) fetch(ctx context.Context, doing string, uids imap.UIDSet, options *imap.FetchOptions, read messageReader) error {
	if s.folder == "" {
		return errNoFolder
	}
	for range maxFetches {
		again, err := s.fetchOnce(ctx, doing, uids, options, read)
		if err != nil || len(again) == 0 {
			return err
		}
		uids = again
	}
	return fmt.Errorf("imapbox: %s: %w", doing, errNoContent)
}

type messageReader func(*operation, *imapclient.FetchMessageData, imap.UID) (uid imap.UID, complete bool, err error)

// fetchOnce returns the messages that must be asked for again.
func (s *session) fetchOnce(ctx context.Context, doing string, uids imap.UIDSet, options *imap.FetchOptions, read messageReader) (again imap.UIDSet, err error) {
	if s.byNumber {
		return s.fetchByNumber(ctx, doing, uids, options, read)
	}
	got, again, err := s.run(ctx, doing, func() *imapclient.FetchCommand { return s.client.Fetch(uids, options) },
		func(o *operation, m *imapclient.FetchMessageData) (imap.UID, bool, error) { return read(o, m, 0) })
	if err != nil {
		return nil, err
	}
	unheard, err := s.stillThere(ctx, without(uids, got))
	if len(unheard) > 0 {
		s.byNumber = true
		again.AddSet(unheard)
	}
	return again, err
}

// run runs a command, and returns the messages of which the server said what was
// asked for, and those of which it said something else.
func (s *session) run(ctx context.Context, doing string, start func() *imapclient.FetchCommand, read func(*operation, *imapclient.FetchMessageData) (imap.UID, bool, error)) (got, again imap.UIDSet, err error) {
	o := s.begin(ctx)
	cmd := start()
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		o.resume()
		uid, complete, err := read(o, m)
		if err != nil {
			s.cut(err)
			if !o.broken {
				cmd.Close()
			}
			return nil, nil, o.end(doing, err)
		}
		got.AddNum(uid)
		if !complete {
			again.AddNum(uid)
		}
	}
	return got, again, o.end(doing, cmd.Close())
}
