package imapbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"github.com/ceralacca/go-pec/dispatch"
)

// contents is what was in a folder when it was selected.
type contents struct {
	next     imap.UID // the UID that the next message will get
	messages uint32
}

var (
	errNoFolder   = errors.New("imapbox: no folder is selected")
	errNoValidity = errors.New("server does not say that UIDs are kept (no UIDVALIDITY)")
)

// Select implements dispatch.MailboxSession, by EXAMINE.
func (s *session) Select(ctx context.Context, folder string) (dispatch.Folder, error) {
	data, err := s.selectFolder(ctx, folder, true)
	if err != nil {
		return dispatch.Folder{}, err
	}
	now := contents{data.UIDNext, data.NumMessages}
	before, known := s.state[folder]
	s.state[folder] = now
	s.hear()
	if known && (now.next > before.next || now.messages > before.messages) {
		// It came since the folder was selected before, maybe after it was read:
		// nothing else will tell.
		s.tell()
	}
	return dispatch.Folder{UIDValidity: data.UIDValidity, Messages: data.NumMessages}, nil
}

// selectFolder selects a folder for reading only, or for removing too.
func (s *session) selectFolder(ctx context.Context, folder string, readOnly bool) (*imap.SelectData, error) {
	o := s.begin(ctx)
	data, err := s.client.Select(folder, &imap.SelectOptions{ReadOnly: readOnly}).Wait()
	s.folder = "" // so it is if the server refuses
	doing := fmt.Sprintf("selecting folder %q", folder)
	if err := o.end(doing, err); err != nil {
		var refused *ReplyError
		if errors.As(err, &refused) && refused.Status == string(imap.StatusResponseTypeNo) && s.cause() == nil {
			err = fmt.Errorf("%w: %w", dispatch.ErrFolder, err)
		}
		return nil, err
	}
	if data.UIDValidity == 0 {
		return nil, fmt.Errorf("imapbox: %s: %w", doing, errNoValidity)
	}
	s.folder, s.validity, s.writable = folder, data.UIDValidity, !readOnly
	return data, nil
}
