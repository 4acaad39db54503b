package pectest

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/ceralacca/go-pec/pec"
)

// box is the mailbox of an address, with its folders.
type box struct {
	network *Network
	address pec.Address

	mu          sync.Mutex
	open        bool // somebody was given the password
	folders     map[string]*folder
	uidValidity uint32 // the last one given
	bytes       int64
}

// Names of folders. Mail programs find the second by its attribute \Sent.
const (
	folderInbox = "INBOX"
	folderSent  = "INBOX/Inviata"
	delimiter   = '/'
)

func newBox(n *Network, a pec.Address) *box {
	b := &box{network: n, address: a, folders: make(map[string]*folder), uidValidity: 1000}
	b.create(folderInbox)
	return b
}

// give opens the mailbox to a person, with the folders that mail programs expect.
func (b *box) give() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		b.open = true
		b.create(folderSent).special = imap.MailboxAttrSent
	}
}

// create makes a folder. b.mu must be held, or b be new.
func (b *box) create(name string) *folder {
	b.uidValidity++
	f := &folder{box: b, name: name, uidValidity: b.uidValidity, uidNext: 1, tracker: imapserver.NewMailboxTracker(0)}
	b.folders[name] = f
	return f
}

func (b *box) inbox() *folder {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.folders[folderInbox]
}

// folder returns a folder, or nil.
func (b *box) folder(name string) *folder {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.folders[canonical(name)]
}

// canonical is the name under which a folder is kept: the case of INBOX does not
// matter.
func canonical(name string) string {
	if strings.EqualFold(name, folderInbox) {
		return folderInbox
	}
	return name
}

// put delivers a message to the INBOX, unless the mailbox is full.
func (b *box) put(c content) bool {
	if !b.reserve(c.Size()) {
		return false
	}
	b.inbox().append(c, nil, b.network.clock.Now())
	return true
}

// reserve counts bytes that are about to be stored, if there is room.
func (b *box) reserve(n int64) bool {
	quota := b.network.faults.quota(b.address.String())
	b.mu.Lock()
	defer b.mu.Unlock()
	if quota > 0 && b.bytes+n > quota {
		return false
	}
	b.bytes += n
	return true
}

func (b *box) release(n int64) {
	b.mu.Lock()
	b.bytes -= n
	b.mu.Unlock()
}

// renumber gives a folder a new UIDVALIDITY, and its messages new UIDs.
func (b *box) renumber(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.folders[name]
	if old == nil {
		return
	}
	f := b.create(name)
	f.special = old.special
	for _, m := range old.snapshot() {
		f.append(m.content, m.flags, m.time)
	}
}

// content is the bytes of a message, which are read from where they are.
type content interface {
	io.ReaderAt
	Size() int64
}

func readerOf(c content) *io.SectionReader { return io.NewSectionReader(c, 0, c.Size()) }

// prefixed is content with a few lines on top of it.
type prefixed struct {
	top  string
	rest content
}

func (p prefixed) Size() int64 { return int64(len(p.top)) + p.rest.Size() }

func (p prefixed) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(p.top)) {
		n = copy(b, p.top[off:])
	}
	if n == len(b) {
		return n, nil
	}
	more, err := p.rest.ReadAt(b[n:], off+int64(n)-int64(len(p.top)))
	return n + more, err
}

// foreign is a message that nobody cares for. It is made when it is read.
type foreign int

func (f foreign) text() string {
	return fmt.Sprintf("From: Newsletter <news@mail.example>\r\nTo: you@example\r\nSubject: Offer number %d\r\n"+
		"Date: Mon, 05 Jan 2026 10:00:00 +0100\r\nMessage-ID: <offer-%d@mail.example>\r\n\r\nOffer number %d is the best.\r\n", f, f, f)
}

func (f foreign) Size() int64 { return int64(len(f.text())) }

func (f foreign) ReadAt(b []byte, off int64) (int, error) {
	return strings.NewReader(f.text()).ReadAt(b, off)
}

// putForeignMail fills mailboxes as the scenario says.
func (n *Network) putForeignMail() error {
	for i := range n.config.Scenario.Rules {
		if r := &n.config.Scenario.Rules[i]; r.Fault == FaultForeign {
			if err := n.putForeign(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *Network) putForeign(r *Rule) error {
	a, err := pec.ParseAddress(r.Sender)
	if err != nil {
		return fmt.Errorf("pectest: %s needs the address of an account as its sender: %w", FaultForeign, err)
	}
	b := n.box(a)
	f := b.inbox()
	now := n.clock.Now()
	for i := range r.Count {
		f.append(foreign(i+1), nil, now)
		b.release(-foreign(i + 1).Size())
	}
	return nil
}

// folder is a folder of a mailbox.
type folder struct {
	box     *box
	tracker *imapserver.MailboxTracker
	special imap.MailboxAttr

	mu          sync.Mutex
	name        string
	subscribed  bool
	uidValidity uint32
	uidNext     imap.UID
	messages    []*stored
	changed     chan struct{} // closed at the next change; nil if nobody waits
}

// nextChange returns a channel that is closed when the folder changes.
func (f *folder) nextChange() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed
}

// announce tells those who wait that the folder changed. f.mu must be held.
func (f *folder) announce() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// stored is a message in a folder.
type stored struct {
	uid     imap.UID
	content content
	time    time.Time
	flags   []imap.Flag // guarded by the folder's mu, and replaced, never changed
}

func (m *stored) has(flag imap.Flag) bool {
	return slices.ContainsFunc(m.flags, func(f imap.Flag) bool { return strings.EqualFold(string(f), string(flag)) })
}

func (f *folder) append(c content, flags []imap.Flag, at time.Time) imap.UID {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := &stored{uid: f.uidNext, content: c, time: at, flags: slices.Clone(flags)}
	f.uidNext++
	f.messages = append(f.messages, m)
	f.tracker.QueueNumMessages(uint32(len(f.messages)))
	f.announce()
	return m.uid
}

// snapshot returns the messages as they are now.
func (f *folder) snapshot() []stored {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]stored, len(f.messages))
	for i, m := range f.messages {
		list[i] = *m
	}
	return list
}

// indexOf returns where the first message with this UID or a later one is.
func (f *folder) indexOf(uid imap.UID) int {
	return sort.Search(len(f.messages), func(i int) bool { return f.messages[i].uid >= uid })
}

// remove takes messages out, for which is true.
func (f *folder) remove(which func(*stored) bool) (uids []imap.UID) {
	var freed int64
	defer func() { f.box.release(freed) }() // last: the box is locked before its folders
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.messages) - 1; i >= 0; i-- {
		if m := f.messages[i]; which(m) {
			f.tracker.QueueExpunge(uint32(i) + 1)
			f.messages = slices.Delete(f.messages, i, i+1)
			freed += m.content.Size()
			uids = append(uids, m.uid)
		}
	}
	f.announce()
	return uids
}

func (f *folder) status(o *imap.StatusOptions) *imap.StatusData {
	f.mu.Lock()
	defer f.mu.Unlock()
	data := &imap.StatusData{Mailbox: f.name}
	count := func(which func(*stored) bool) *uint32 {
		n := uint32(0)
		for _, m := range f.messages {
			if which(m) {
				n++
			}
		}
		return &n
	}
	if o.NumMessages {
		data.NumMessages = count(func(*stored) bool { return true })
	}
	if o.UIDNext {
		data.UIDNext = f.uidNext
	}
	if o.UIDValidity {
		data.UIDValidity = f.uidValidity
	}
	if o.NumUnseen {
		data.NumUnseen = count(func(m *stored) bool { return !m.has(imap.FlagSeen) })
	}
	if o.NumDeleted {
		data.NumDeleted = count(func(m *stored) bool { return m.has(imap.FlagDeleted) })
	}
	if o.NumRecent {
		data.NumRecent = new(uint32)
	}
	if o.Size {
		var size int64
		for _, m := range f.messages {
			size += m.content.Size()
		}
		data.Size = &size
	}
	return data
}
