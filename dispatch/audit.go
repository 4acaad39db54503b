package dispatch

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
)

// AuditEntry is one act in the audit trail of an account. The trail is append
// only, and each entry carries the digest of the one before: an entry that is
// changed, removed or put in later breaks the chain from there on.
type AuditEntry struct {
	// Seq numbers the entries of an account from 1.
	Seq int64     `json:"seq"`
	At  time.Time `json:"at"`
	// Actor is the person who acted, or the worker.
	Actor string `json:"actor"`
	// Action is what was done, a word that stays the same: "approve".
	Action string `json:"action"`
	// Batch and Row say what it was done to; Row is 0 if to the whole batch.
	Batch string `json:"batch,omitempty"`
	Row   int64  `json:"row,omitempty"`
	// Detail says more, and holds no personal data.
	Detail string `json:"detail,omitempty"`
	// Prev is the Hash of the entry before, zero for the first.
	Prev Digest `json:"prev"`
	// Hash is the digest of all fields above.
	Hash Digest `json:"hash"`
}

// hash returns the digest of all fields but Hash.
func (e AuditEntry) hash() Digest {
	e.Hash = Digest{}
	e.At = e.At.UTC()
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings, numbers and a time: it can't fail
	}
	return sha256.Sum256(b)
}

// ErrAudit is the error of an audit trail that was tampered with.
var ErrAudit = errors.New("dispatch: audit trail broken")

// appendAudit adds an entry to the trail within a transaction. The account's
// record is changed in place; the caller puts it.
func appendAudit(tx Tx, a *Account, e AuditEntry) error {
	e.Seq, e.Prev = a.AuditSeq+1, a.AuditHash
	e.At = e.At.UTC().Truncate(time.Microsecond) // what every database keeps
	e.Hash = e.hash()
	if err := tx.AddAudit(e); err != nil {
		return err
	}
	a.AuditSeq, a.AuditHash = e.Seq, e.Hash
	return nil
}

// auditPage is how many entries are read at a time.
const auditPage = 500

// Audit yields the audit trail of an account, the first entry first.
func Audit(ctx context.Context, store Store, account string) iter.Seq2[AuditEntry, error] {
	return func(yield func(AuditEntry, error) bool) {
		for after := int64(0); ; {
			var page []AuditEntry
			err := store.View(ctx, account, func(tx Tx) (err error) {
				page, err = tx.Audit(after, auditPage)
				return err
			})
			if err != nil {
				yield(AuditEntry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
				after = e.Seq
			}
			if len(page) < auditPage {
				return
			}
		}
	}
}

// VerifyAudit checks the whole audit trail of an account: that no entry was
// changed, left out or put in, and that none is missing at the end. It returns
// how many entries there are. Errors about the trail wrap [ErrAudit].
func VerifyAudit(ctx context.Context, store Store, account string) (entries int64, err error) {
	// In one transaction: the account may be worked on meanwhile.
	err = store.View(ctx, account, func(tx Tx) error {
		a, err := tx.Account()
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		entries, err = verifyAudit(tx, a)
		return err
	})
	return entries, err
}

// verifyAudit goes through the trail up to the entry that the account names.
func verifyAudit(tx Tx, a Account) (int64, error) {
	var last AuditEntry
	for {
		page, err := tx.Audit(last.Seq, auditPage)
		if err != nil {
			return 0, err
		}
		for _, e := range page {
			switch {
			case e.Seq != last.Seq+1:
				return 0, fmt.Errorf("%w: entry %d follows entry %d", ErrAudit, e.Seq, last.Seq)
			case e.Prev != last.Hash:
				return 0, fmt.Errorf("%w: entry %d does not continue the one before", ErrAudit, e.Seq)
			case e.Hash != e.hash():
				return 0, fmt.Errorf("%w: entry %d was changed", ErrAudit, e.Seq)
			}
			last = e
		}
		if len(page) < auditPage {
			break
		}
	}
	if a.AuditSeq != last.Seq || a.AuditHash != last.Hash {
		return last.Seq, fmt.Errorf("%w: entries are missing after %d", ErrAudit, last.Seq)
	}
	return last.Seq, nil
}
