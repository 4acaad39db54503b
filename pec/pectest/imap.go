package pectest

import (
	"crypto/tls"
	"io"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// serveIMAP opens the mailboxes of the site to mail programs.
func (s *site) serveIMAP() {
	s.imapServer = imapserver.New(&imapserver.Options{
		NewSession: func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &imapSession{site: s, conn: c}, nil, nil
		},
		Caps: imap.CapSet{
			imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}, imap.CapNamespace: {}, imap.CapUIDPlus: {},
			imap.CapESearch: {}, imap.CapListExtended: {}, imap.CapListStatus: {}, imap.CapMove: {},
			imap.CapStatusSize: {}, imap.CapSpecialUse: {}, imap.CapLiteralPlus: {},
		},
		Logger:       quiet{},
		InsecureAuth: true, // the connection is TLS, of which the server knows nothing
	})
	l := tls.NewListener(s.imap, s.network.tls.serverConfig())
	s.network.running.Go(func() { s.imapServer.Serve(l) })
}

// imapSession is a dialogue with a mail program that reads mail.
type imapSession struct {
	site *site
	conn *imapserver.Conn
	box  *box  // after the login
	view *view // after SELECT
}

var _ imapserver.SessionIMAP4rev2 = (*imapSession)(nil)

// Close implements imapserver.Session. An IDLE may still be under way, and look
// at the view.
func (s *imapSession) Close() error {
	if s.view != nil {
		s.view.tracker.Close()
	}
	return nil
}

// Login implements imapserver.Session.
func (s *imapSession) Login(user, password string) error {
	n := s.site.network
	b := n.login(user, password)
	if b == nil || n.siteOf(b.address.Domain()) != s.site ||
		n.faults.pick(occasion{stage: StageIMAP, provider: s.site.host(), sender: user}, FaultLogin) != nil {
		return imapserver.ErrAuthFailed
	}
	s.box = b
	return nil
}

// misbehave does what the scenario has the server do.
func (s *imapSession) misbehave(stage Stage) error {
	n := s.site.network
	r := n.faults.pick(s.occasion(stage), FaultIMAPCut, FaultIMAPSlow)
	if r == nil {
		return nil
	}
	if r.Fault == FaultIMAPCut {
		cut(s.conn.NetConn())
		return errCut
	}
	return n.act(&Rule{Fault: FaultSlow, Delay: r.Delay}, nil)
}

func (s *imapSession) occasion(stage Stage) occasion {
	return occasion{stage: stage, provider: s.site.host(), sender: s.box.address.String()}
}

func no(code imap.ResponseCode, text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
}

var errNoFolder = no(imap.ResponseCodeNonExistent, "No such mailbox")

// Select implements imapserver.Session.
func (s *imapSession) Select(name string, _ *imap.SelectOptions) (*imap.SelectData, error) {
	if err := s.misbehave(StageSelect); err != nil {
		return nil, err
	}
	if s.site.network.faults.pick(s.occasion(""), FaultUIDValidity) != nil {
		s.box.renumber(canonical(name))
	}
	f := s.box.folder(name)
	if f == nil {
		return nil, errNoFolder
	}
	if err := s.Unselect(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.view = &view{folder: f, tracker: f.tracker.NewSession()}
	data := &imap.SelectData{
		Flags:          []imap.Flag{imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagSeen, imap.FlagDraft},
		PermanentFlags: []imap.Flag{imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagSeen, imap.FlagDraft, imap.FlagWildcard},
		NumMessages:    uint32(len(f.messages)),
		UIDNext:        f.uidNext,
		UIDValidity:    f.uidValidity,
	}
	if i := slices.IndexFunc(f.messages, func(m *stored) bool { return !m.has(imap.FlagSeen) }); i >= 0 {
		data.FirstUnseenSeqNum = uint32(i) + 1
	}
	return data, nil
}

// Unselect implements imapserver.Session.
func (s *imapSession) Unselect() error {
	if s.view != nil {
		s.view.tracker.Close()
		s.view = nil
	}
	return nil
}

// Create implements imapserver.Session.
func (s *imapSession) Create(name string, _ *imap.CreateOptions) error {
	name = strings.TrimRight(name, string(delimiter))
	if s.box.folder(name) != nil {
		return no(imap.ResponseCodeAlreadyExists, "Mailbox already exists")
	}
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	s.box.create(name)
	return nil
}

// Delete implements imapserver.Session.
func (s *imapSession) Delete(name string) error {
	f := s.box.folder(name)
	if f == nil || f.name == folderInbox {
		return errNoFolder
	}
	f.remove(func(*stored) bool { return true })
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	delete(s.box.folders, f.name)
	return nil
}

// Rename implements imapserver.Session.
func (s *imapSession) Rename(name, newName string, _ *imap.RenameOptions) error {
	f := s.box.folder(name)
	if f == nil || f.name == folderInbox {
		return errNoFolder
	}
	if s.box.folder(newName) != nil {
		return no(imap.ResponseCodeAlreadyExists, "Mailbox already exists")
	}
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	delete(s.box.folders, f.name)
	f.mu.Lock()
	f.name = newName
	f.mu.Unlock()
	s.box.folders[newName] = f
	return nil
}

// Subscribe implements imapserver.Session.
func (s *imapSession) Subscribe(name string) error { return s.subscribe(name, true) }

// Unsubscribe implements imapserver.Session.
func (s *imapSession) Unsubscribe(name string) error { return s.subscribe(name, false) }

func (s *imapSession) subscribe(name string, on bool) error {
	f := s.box.folder(name)
	if f == nil {
		return errNoFolder
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subscribed = on
	return nil
}

// Namespace implements imapserver.SessionNamespace.
func (s *imapSession) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: delimiter}}}, nil
}

// List implements imapserver.Session.
func (s *imapSession) List(w *imapserver.ListWriter, ref string, patterns []string, o *imap.ListOptions) error {
	if len(patterns) == 0 {
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: delimiter})
	}
	for _, f := range s.box.sorted() {
		data := f.describe()
		matches := func(pattern string) bool { return imapserver.MatchList(data.Mailbox, delimiter, ref, pattern) }
		if !slices.ContainsFunc(patterns, matches) ||
			o.SelectSubscribed && !slices.Contains(data.Attrs, imap.MailboxAttrSubscribed) ||
			o.SelectSpecialUse && f.special == "" {
			continue
		}
		if o.ReturnStatus != nil {
			data.Status = f.status(o.ReturnStatus)
		}
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

// describe is what LIST says of a folder.
func (f *folder) describe() *imap.ListData {
	f.mu.Lock()
	defer f.mu.Unlock()
	data := &imap.ListData{Mailbox: f.name, Delim: delimiter}
	if f.subscribed {
		data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
	}
	if f.special != "" {
		data.Attrs = append(data.Attrs, f.special)
	}
	return data
}

// sorted returns the folders by name.
func (b *box) sorted() []*folder {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*folder, 0, len(b.folders))
	for _, f := range b.folders {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *folder) int { return strings.Compare(a.name, b.name) })
	return list
}

// Status implements imapserver.Session.
func (s *imapSession) Status(name string, o *imap.StatusOptions) (*imap.StatusData, error) {
	f := s.box.folder(name)
	if f == nil {
		return nil, errNoFolder
	}
	return f.status(o), nil
}

// Append implements imapserver.Session.
func (s *imapSession) Append(name string, r imap.LiteralReader, o *imap.AppendOptions) (*imap.AppendData, error) {
	f := s.box.folder(name)
	if f == nil {
		return nil, no(imap.ResponseCodeTryCreate, "No such mailbox")
	}
	message, err := s.site.network.spool.keep(func(w io.Writer) error { _, err := copyAll(w, r); return err })
	if err != nil {
		return nil, err
	}
	if !s.box.reserve(message.Size()) {
		return nil, no(imap.ResponseCodeOverQuota, "Mailbox is full")
	}
	at := o.Time
	if at.IsZero() {
		at = s.site.network.clock.Now()
	}
	uid := f.append(message, o.Flags, at)
	return &imap.AppendData{UIDValidity: f.uidValidity, UID: uid}, nil
}

// Poll implements imapserver.Session.
func (s *imapSession) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.view == nil {
		return nil
	}
	return s.view.tracker.Poll(w, allowExpunge)
}

// Idle implements imapserver.Session. What changed before it began is told at
// once, which the tracker's own Idle forgets.
func (s *imapSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	if s.view == nil {
		<-stop
		return nil
	}
	for {
		changed := s.view.folder.nextChange()
		if err := s.view.tracker.Poll(w, true); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stop:
			return nil
		}
	}
}

// Expunge implements imapserver.Session.
func (s *imapSession) Expunge(_ *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	s.view.folder.remove(func(m *stored) bool {
		return m.has(imap.FlagDeleted) && (uids == nil || uids.Contains(m.uid))
	})
	return nil
}

// Copy implements imapserver.Session.
func (s *imapSession) Copy(set imap.NumSet, name string) (*imap.CopyData, error) {
	dest := s.box.folder(name)
	if dest == nil {
		return nil, no(imap.ResponseCodeTryCreate, "No such mailbox")
	}
	data := &imap.CopyData{UIDValidity: dest.uidValidity}
	for _, m := range s.view.find(set) {
		if !s.box.reserve(m.content.Size()) {
			return nil, no(imap.ResponseCodeOverQuota, "Mailbox is full")
		}
		data.SourceUIDs.AddNum(m.uid)
		data.DestUIDs.AddNum(dest.append(m.content, m.flags, m.time))
	}
	return data, nil
}

// Move implements imapserver.SessionMove.
func (s *imapSession) Move(w *imapserver.MoveWriter, set imap.NumSet, name string) error {
	data, err := s.Copy(set, name)
	if err != nil {
		return err
	}
	if err := w.WriteCopyData(data); err != nil {
		return err
	}
	s.view.folder.remove(func(m *stored) bool { return data.SourceUIDs.Contains(m.uid) })
	return nil // the expunges follow with the next poll
}
