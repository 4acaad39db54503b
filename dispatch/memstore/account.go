package memstore

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// account is everything kept of one account.
type account struct {
	mu         sync.RWMutex // guards what follows
	record     *dispatch.Account
	batches    map[string]dispatch.Batch // :: name → batch
	sends      map[dispatch.SendID]*send
	rows       map[string]*sorted[int64] // :: batch → its rows
	due        map[string]*sorted[due]   // :: batch → its rows that are due at some time
	messageIDs map[string]attempt        // :: Message-ID → what it names
	tries      *sorted[time.Time]
	mails      map[dispatch.MailID]dispatch.Mail
	mailOrder  *sorted[dispatch.MailID]
	audit      []dispatch.AuditEntry
}

// send is a send with what belongs to it.
type send struct {
	send     dispatch.Send
	progress dispatch.Progress
	facts    []dispatch.Fact
}

// due is a row and when it is due.
type due struct {
	at  time.Time
	row int64
}

// attempt is what a Message-ID names.
type attempt struct {
	id     dispatch.SendID
	number int
}

func newAccount() *account {
	return &account{
		batches:    make(map[string]dispatch.Batch),
		sends:      make(map[dispatch.SendID]*send),
		rows:       make(map[string]*sorted[int64]),
		due:        make(map[string]*sorted[due]),
		messageIDs: make(map[string]attempt),
		tries:      newSorted(time.Time.Compare),
		mails:      make(map[dispatch.MailID]dispatch.Mail),
		mailOrder:  newSorted(compareMails),
	}
}

func (a *account) rowsOf(batch string) *sorted[int64] {
	rows, ok := a.rows[batch]
	if !ok {
		rows = newSorted(cmp.Compare[int64])
		a.rows[batch] = rows
	}
	return rows
}

func (a *account) dueOf(batch string) *sorted[due] {
	list, ok := a.due[batch]
	if !ok {
		list = newSorted(compareDue)
		a.due[batch] = list
	}
	return list
}

// setProgress changes the progress of a send, and the list of what is due.
func (a *account) setProgress(s *send, p dispatch.Progress) {
	id := s.send.ID
	if !s.progress.Due.IsZero() {
		a.dueOf(id.Batch).remove(due{s.progress.Due, id.Row})
	}
	s.progress = p
	if !p.Due.IsZero() {
		a.dueOf(id.Batch).insert(due{p.Due, id.Row})
	}
}

func compareDue(a, b due) int {
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.row, b.row))
}

func compareMails(a, b dispatch.MailID) int {
	return cmp.Or(cmp.Compare(a.Folder, b.Folder), cmp.Compare(a.UIDValidity, b.UIDValidity), cmp.Compare(a.UID, b.UID))
}

// sorted is a sorted list.
type sorted[T any] struct {
	items   []T
	compare func(a, b T) int
}

func newSorted[T any](compare func(a, b T) int) *sorted[T] {
	return &sorted[T]{compare: compare}
}

func (s *sorted[T]) insert(item T) {
	i, _ := slices.BinarySearchFunc(s.items, item, s.compare)
	s.items = slices.Insert(s.items, i, item)
}

// remove takes one item out. Most often it is one of the first, so it is these
// that move up: what is due leaves in its order.
func (s *sorted[T]) remove(item T) {
	i, found := slices.BinarySearchFunc(s.items, item, s.compare)
	if !found {
		return
	}
	if i > len(s.items)/2 {
		s.items = slices.Delete(s.items, i, i+1)
		return
	}
	copy(s.items[1:i+1], s.items[:i])
	s.items = s.items[1:]
}

// after returns the items that come after one, which need not be there.
func (s *sorted[T]) after(item T) []T {
	i, found := slices.BinarySearchFunc(s.items, item, s.compare)
	if found {
		i++
	}
	return s.items[i:]
}
