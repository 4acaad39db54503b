package imapbox

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"
)

// Append implements dispatch.MailboxSession.
func (s *session) Append(ctx context.Context, folder string, size int64, r io.Reader) error {
	// A refusal of APPEND ends the connection in this library. The usual reason
	// for one is that there is no such folder, so that is found out before.
	o := s.begin(ctx)
	_, err := s.client.Status(folder, &imap.StatusOptions{NumMessages: true}).Wait()
	if err := o.end(fmt.Sprintf("looking for folder %q", folder), err); err != nil {
		return err
	}
	o = s.begin(ctx)
	return o.end("appending", s.appendMessage(o, folder, size, r))
}

func (s *session) appendMessage(o *operation, folder string, size int64, r io.Reader) error {
	cmd := s.client.Append(folder, size, &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}})
	err := writeMessage(o, cmd, size, r)
	if err != nil {
		// The server waits for the rest, or has got what was not meant for it.
		s.cut(err)
	}
	if closed := cmd.Close(); err == nil {
		err = closed
	}
	if _, waited := cmd.Wait(); err == nil {
		err = waited
	}
	return err
}

// writeMessage copies a message, which must be exactly size bytes long.
func writeMessage(o *operation, w io.Writer, size int64, r io.Reader) error {
	n, err := io.Copy(onlyWriter{o, w}, io.LimitReader(pausingReader{o, r}, size))
	if err != nil {
		return err
	}
	if n < size {
		return fmt.Errorf("message has %d bytes, not %d", n, size)
	}
	if n, _ := io.ReadFull(pausingReader{o, r}, make([]byte, 1)); n > 0 {
		return fmt.Errorf("message is longer than the %d bytes it was said to have", size)
	}
	return nil
}

// pausingReader reads from the caller, while it is not the server that is slow.
type pausingReader struct {
	o *operation
	r io.Reader
}

func (p pausingReader) Read(b []byte) (int, error) {
	p.o.pause()
	defer p.o.resume()
	return p.r.Read(b)
}

// onlyWriter counts each write that the server takes as a sign of life.
type onlyWriter struct {
	o *operation
	w io.Writer
}

func (w onlyWriter) Write(b []byte) (int, error) {
	w.o.resume()
	return w.w.Write(b)
}

var (
	errNoExpunge = errors.New("imapbox: removing: server can't remove one message alone (no UIDPLUS)")
	errAnew      = errors.New("imapbox: removing: the folder was made anew")
	errStays     = errors.New("server keeps the message")
)

// Remove implements dispatch.MailboxSession. A message that is gone already is no
// error. Only that message is expunged: others that people have marked as deleted
// stay, which takes a server with UIDPLUS.
func (s *session) Remove(ctx context.Context, uid uint32) error {
	switch {
	case s.folder == "":
		return errNoFolder
	case uid == 0:
		return errZeroUID
	case !s.caps.Has(imap.CapUIDPlus):
		return errNoExpunge
	}
	if err := s.openForWriting(ctx); err != nil {
		return err
	}
	o := s.begin(ctx)
	return o.end("removing", s.remove(imap.UIDSetNum(imap.UID(uid))))
}

// openForWriting selects the folder again, by SELECT. What else the session does
// changes nothing in a folder opened so either.
func (s *session) openForWriting(ctx context.Context) error {
	if s.writable {
		return nil
	}
	folder, validity := s.folder, s.validity
	data, err := s.selectFolder(ctx, folder, false)
	if err != nil {
		return err
	}
	if data.UIDValidity != validity {
		s.folder = "" // the UID names another message now
		return errAnew
	}
	return nil
}

func (s *session) remove(one imap.UIDSet) error {
	store := s.client.Store(one, &imap.StoreFlags{
		Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted},
	}, nil)
	if err := store.Close(); err != nil {
		return err
	}
	if err := s.client.UIDExpunge(one).Close(); err != nil {
		return err
	}
	// In a folder that may only be read, some servers say OK and do nothing.
	left, err := s.client.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{one}}, nil).Wait()
	if err != nil {
		return err
	}
	if uids, ok := left.All.(imap.UIDSet); ok && uids.Contains(one[0].Start) {
		return errStays
	}
	return nil
}
