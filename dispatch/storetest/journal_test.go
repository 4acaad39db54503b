package storetest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// journal makes a store that outlives its process, in a file of what was put, one
// record after another. It has all of a transaction or part of it: nothing says
// where one ends.
func (b *broken) journal(dir string) {
	file, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		panic(err)
	}
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break // the last one may have been cut off
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			panic(err)
		}
		e.apply(b.Store)
	}
	write := func(e entry) {
		line, err := json.Marshal(e)
		if err != nil {
			panic(err)
		}
		file.Write(append(line, '\n'))
		time.Sleep(time.Millisecond) // a slow disk, so that processes die within a transaction
	}
	b.update = func(account string, update updater, f func(dispatch.Tx) error) error {
		return update(func(tx dispatch.Tx) error {
			return f(journaling{tx, func(e entry) { e.Account = account; write(e) }})
		})
	}
	b.putBlob = func(s dispatch.Store, r io.Reader) (dispatch.Digest, int64, error) {
		data, err := io.ReadAll(r)
		if err != nil {
			return dispatch.Digest{}, 0, err
		}
		write(entry{Blob: data})
		return s.PutBlob(context.Background(), bytes.NewReader(data))
	}
}

// entry is one thing that was put.
type entry struct {
	Account   string
	Record    *dispatch.Account
	Batch     *dispatch.Batch
	Send      *dispatch.Send
	Progress  dispatch.Progress
	ID        dispatch.SendID
	Fact      *dispatch.Fact
	MessageID string
	Attempt   int
	Mail      *dispatch.Mail
	Audit     *dispatch.AuditEntry
	Blob      []byte
}

// apply puts it into a store.
func (e entry) apply(s dispatch.Store) {
	if e.Blob != nil {
		s.PutBlob(context.Background(), bytes.NewReader(e.Blob))
		return
	}
	s.Update(context.Background(), e.Account, func(tx dispatch.Tx) (err error) {
		switch {
		case e.Record != nil:
			return tx.PutAccount(*e.Record)
		case e.Batch != nil:
			return tx.PutBatch(*e.Batch)
		case e.Send != nil:
			return tx.AddSend(*e.Send, e.Progress)
		case e.Fact != nil:
			_, err = tx.AddFact(e.ID, *e.Fact)
			return err
		case e.Mail != nil:
			return tx.PutMail(*e.Mail)
		case e.Audit != nil:
			return tx.AddAudit(*e.Audit)
		}
		return tx.PutMessageID(e.MessageID, e.ID, e.Attempt)
	})
}

// journaling writes down what is put.
type journaling struct {
	dispatch.Tx
	write func(entry)
}

func (t journaling) PutAccount(a dispatch.Account) error {
	t.write(entry{Record: &a})
	return t.Tx.PutAccount(a)
}

func (t journaling) PutBatch(b dispatch.Batch) error {
	t.write(entry{Batch: &b})
	return t.Tx.PutBatch(b)
}

func (t journaling) AddSend(s dispatch.Send, p dispatch.Progress) error {
	t.write(entry{Send: &s, Progress: p})
	return t.Tx.AddSend(s, p)
}

func (t journaling) AddFact(id dispatch.SendID, f dispatch.Fact) (bool, error) {
	t.write(entry{ID: id, Fact: &f})
	return t.Tx.AddFact(id, f)
}

func (t journaling) PutMessageID(messageID string, id dispatch.SendID, attempt int) error {
	t.write(entry{MessageID: messageID, ID: id, Attempt: attempt})
	return t.Tx.PutMessageID(messageID, id, attempt)
}

func (t journaling) PutMail(m dispatch.Mail) error {
	t.write(entry{Mail: &m})
	return t.Tx.PutMail(m)
}

func (t journaling) AddAudit(e dispatch.AuditEntry) error {
	t.write(entry{Audit: &e})
	return t.Tx.AddAudit(e)
}
