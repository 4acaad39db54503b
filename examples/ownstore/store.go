package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"unicode/utf8"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
)

// Store is a dispatch.Store that anybody could write. All records are in memory,
// where memstore keeps them; what makes them last is a journal, a file to which
// each transaction adds one line of JSON. To open the store is to read the journal
// and to do again what it says. Large values are files in a folder.
//
// One process at a time may have it open.
type Store struct {
	*memstore.Store // reads are its own: View and Accounts
	files           // PutBlob and OpenBlob

	mu      sync.Mutex // guards what follows
	journal *os.File
	failed  error // why the journal can't be written to any more
}

var _ dispatch.Store = (*Store)(nil)

// entry is a line of the journal: what a transaction changed, in its order.
type entry struct {
	Account string            `json:"account"`
	Changes []json.RawMessage `json:"changes"`
}

// Open opens the store in a folder, which is created if it is not there.
func Open(dir string) (*Store, error) {
	s := &Store{Store: new(memstore.Store), files: files{filepath.Join(dir, "blobs")}}
	if err := os.MkdirAll(s.files.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.journal, err = os.OpenFile(filepath.Join(dir, "journal"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err := errors.Join(s.replay(), syncFolder(dir)); err != nil {
		return nil, errors.Join(err, s.journal.Close())
	}
	return s, nil
}

// replay does again what the journal says. A last line without an end was being
// written when the process died: its transaction was never reported as committed,
// so it is cut off.
func (s *Store) replay() error {
	text, err := io.ReadAll(s.journal)
	if err != nil {
		return err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range bytes.Lines(whole) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("the journal is damaged: %w", err)
		}
		if err := s.Store.Update(context.Background(), e.Account, e.redo); err != nil {
			return fmt.Errorf("the journal contradicts itself: %w", err)
		}
	}
	if err := s.journal.Truncate(int64(len(whole))); err != nil {
		return err
	}
	_, err = s.journal.Seek(0, io.SeekEnd)
	return err
}

func (e *entry) redo(tx dispatch.Tx) error {
	for _, text := range e.Changes {
		var c change
		if err := json.Unmarshal(text, &c); err != nil {
			return err
		}
		if _, err := c.do(tx); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the journal. Everything in it is on the disk already.
func (s *Store) Close() error { return s.journal.Close() }

// Update runs f on the records in memory. Before these are committed, the journal
// is: if that fails, memory forgets too.
func (s *Store) Update(ctx context.Context, account string, f func(dispatch.Tx) error) error {
	// From the last look at ctx on there is no way back, for memory neither.
	return s.Store.Update(context.WithoutCancel(ctx), account, func(tx dispatch.Tx) error {
		r := &recorder{Tx: tx}
		if err := f(r); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return s.write(entry{account, r.changes})
	})
}

// write adds a line to the journal and waits until it is on the disk. When that
// fails, nobody knows what is on the disk, so nothing is written any more until the
// journal is opened, and read, anew.
func (s *Store) write(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	_, err = s.journal.Write(append(line, '\n'))
	if err == nil {
		err = s.journal.Sync()
	}
	if err != nil {
		s.failed = fmt.Errorf("writing the journal: %w", err)
	}
	return s.failed
}

// change is one call that changes something, with what it was given.
type change struct {
	Account   *dispatch.Account    `json:"account,omitempty"`
	Batch     *dispatch.Batch      `json:"batch,omitempty"`
	ID        *dispatch.SendID     `json:"id,omitempty"`
	Send      *dispatch.Send       `json:"send,omitempty"`
	Progress  *dispatch.Progress   `json:"progress,omitempty"`
	MessageID *string              `json:"messageID,omitempty"`
	Attempt   int                  `json:"attempt,omitempty"`
	Fact      *dispatch.Fact       `json:"fact,omitempty"`
	Mail      *dispatch.Mail       `json:"mail,omitempty"`
	Audit     *dispatch.AuditEntry `json:"audit,omitempty"`
}

// do makes the call. It returns whether that changed anything.
func (c *change) do(tx dispatch.Tx) (bool, error) {
	switch {
	case c.Account != nil:
		return true, tx.PutAccount(*c.Account)
	case c.Batch != nil:
		return true, tx.PutBatch(*c.Batch)
	case c.Send != nil:
		return true, tx.AddSend(*c.Send, *c.Progress)
	case c.Progress != nil:
		return true, tx.PutProgress(*c.ID, *c.Progress)
	case c.MessageID != nil:
		return true, tx.PutMessageID(*c.MessageID, *c.ID, c.Attempt)
	case c.Fact != nil:
		return tx.AddFact(*c.ID, *c.Fact)
	case c.Mail != nil:
		return true, tx.PutMail(*c.Mail)
	case c.Audit != nil:
		return true, tx.AddAudit(*c.Audit)
	}
	return false, errors.New("a change of no kind")
}

// recorder is a transaction that remembers its changes. Reading goes through it.
type recorder struct {
	dispatch.Tx
	changes []json.RawMessage
}

// record does a change and remembers it. What is done is what was written down, so
// that memory is, to the last byte, what the journal will make it when it is read.
func (r *recorder) record(c change, key string) (bool, error) {
	if !utf8.ValidString(key) {
		return false, errors.New("JSON can't keep a key that is not UTF-8")
	}
	text, err := json.Marshal(c)
	if err != nil {
		return false, err
	}
	var written change
	if err := json.Unmarshal(text, &written); err != nil {
		return false, err
	}
	changed, err := written.do(r.Tx)
	if err == nil && changed {
		r.changes = append(r.changes, text)
	}
	return changed, err
}

func (r *recorder) put(c change, key string) error {
	_, err := r.record(c, key)
	return err
}

func (r *recorder) PutAccount(a dispatch.Account) error  { return r.put(change{Account: &a}, "") }
func (r *recorder) PutBatch(b dispatch.Batch) error      { return r.put(change{Batch: &b}, b.Name) }
func (r *recorder) PutMail(m dispatch.Mail) error        { return r.put(change{Mail: &m}, m.ID.Folder) }
func (r *recorder) AddAudit(e dispatch.AuditEntry) error { return r.put(change{Audit: &e}, "") }

func (r *recorder) AddSend(s dispatch.Send, p dispatch.Progress) error {
	return r.put(change{Send: &s, Progress: &p}, s.ID.Batch)
}

func (r *recorder) PutProgress(id dispatch.SendID, p dispatch.Progress) error {
	return r.put(change{ID: &id, Progress: &p}, "")
}

func (r *recorder) PutMessageID(messageID string, id dispatch.SendID, attempt int) error {
	return r.put(change{MessageID: &messageID, ID: &id, Attempt: attempt}, messageID)
}

func (r *recorder) AddFact(id dispatch.SendID, f dispatch.Fact) (bool, error) {
	return r.record(change{ID: &id, Fact: &f}, f.Key)
}
