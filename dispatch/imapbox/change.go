package imapbox

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"

	"github.com/ceralacca/go-pec/dispatch"
)

// Append implements dispatch.MailboxSession.
func (s *session) Append(ctx context.Context, folder string, size int64, r io.Reader) error {
	err := s.makeFolder(ctx, folder)
	if err == nil {
		o := s.begin(ctx)
		err = o.end("appending", s.appendMessage(o, folder, size, r))
	}
	if err != nil {
		s.found = ""
	}
	return s.refusal(err)
}

// makeFolder makes a folder, unless it is there. It could wait for APPEND to be
// refused, but in this library a refusal of APPEND may end the connection.
func (s *session) makeFolder(ctx context.Context, folder string) error {
	if s.found == folder {
		return nil
	}
	o := s.begin(ctx)
	_, err := s.client.Status(folder, &imap.StatusOptions{NumMessages: true}).Wait()
	err = o.end(fmt.Sprintf("looking for folder %q", folder), err)
	if isRefusal(err) {
		o = s.begin(ctx)
		err = o.end(fmt.Sprintf("making folder %q", folder), s.client.Create(folder, nil).Wait())
		if err == nil {
			o = s.begin(ctx)
			err = o.end("subscribing", s.client.Subscribe(folder).Wait()) // mail programs show no others
		}
	}
	if err == nil {
		s.found = folder
	}
	return err
}

// isRefusal reports whether the server refused a command, and no more than that.
func isRefusal(err error) bool {
	var refused *ReplyError
	return errors.As(err, &refused) && refused.Status != string(imap.StatusResponseTypeBye)
}

// refusal marks an error that is a refusal, if the session goes on after it.
func (s *session) refusal(err error) error {
	if isRefusal(err) && s.cause() == nil {
		return fmt.Errorf("%w: %w", dispatch.ErrMailboxRefused, err)
	}
	return err
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
	errNoExpunge = fmt.Errorf("%w: imapbox: removing: server can't remove one message alone (no UIDPLUS)", dispatch.ErrMailboxRefused)
	errStays     = fmt.Errorf("%w: imapbox: removing: server keeps the message", dispatch.ErrMailboxRefused)
	errAnew      = errors.New("imapbox: removing: the folder was made anew")
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
	stays, err := s.remove(imap.UIDSetNum(imap.UID(uid)))
	if err := o.end("removing", err); err != nil {
		return s.refusal(err)
	}
	if stays {
		return errStays
	}
	return nil
}

// openForWriting selects the folder again, by SELECT. What else the session does
// changes nothing in a folder opened so either.
func (s *session) openForWriting(ctx context.Context) error {
	if s.writable {
		return nil
	}
	folder, validity := s.folder, s.validity
	_, refused := s.selectFolder(ctx, folder, false)
	if isRefusal(refused) {
		// It is open no more, and whoever reads it goes on reading.
		if _, err := s.selectFolder(ctx, folder, true); err != nil {
			return err
		}
	} else if refused != nil {
		return refused
	}
	if s.validity != validity {
		s.folder = "" // the UID names another message now
		return errAnew
	}
	return s.refusal(refused)
}

// remove returns whether the message is still there.
func (s *session) remove(one imap.UIDSet) (stays bool, err error) {
	store := s.client.Store(one, &imap.StoreFlags{
		Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted},
	}, nil)
	if err := store.Close(); err != nil {
		return false, err
	}
	if err := s.client.UIDExpunge(one).Close(); err != nil {
		return false, err
	}
	// In a folder that may only be read, some servers say OK and do nothing.
	left, err := s.client.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{one}}, nil).Wait()
	if err != nil {
		return false, err
	}
	uids, ok := left.All.(imap.UIDSet)
	return ok && uids.Contains(one[0].Start), nil
}
