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

var errNoContent = errors.New("server gives no content for a message")

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
		err := s.fetch(ctx, "fetching", set, whole, func(o *operation, m *imapclient.FetchMessageData) (imap.UID, bool, error) {
			return giveMessage(o, m, f)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var errZeroUID = errors.New("imapbox: 0 is no UID") // to a server it is *

// giveMessage gives the content of a message to f, if it is among what the server
// says.
func giveMessage(o *operation, m *imapclient.FetchMessageData, f func(uint32, int64, io.Reader) error) (uid imap.UID, complete bool, err error) {
	for item := m.Next(); item != nil; item = m.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
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
// returns of which message that was, and whether what was asked for was there.
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

type messageReader func(*operation, *imapclient.FetchMessageData) (uid imap.UID, complete bool, err error)

// fetchOnce returns the messages that must be asked for again.
func (s *session) fetchOnce(ctx context.Context, doing string, uids imap.UIDSet, options *imap.FetchOptions, read messageReader) (again imap.UIDSet, err error) {
	o := s.begin(ctx)
	cmd := s.client.Fetch(uids, options)
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		o.resume()
		uid, complete, err := read(o, m)
		if err != nil {
			s.cut(err)
			if !o.broken {
				cmd.Close()
			}
			return nil, o.end(doing, err)
		}
		if !complete {
			again.AddNum(uid)
		}
	}
	return again, o.end(doing, cmd.Close())
}
