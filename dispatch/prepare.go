package dispatch

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"iter"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// BatchSpec says what a batch is made of.
type BatchSpec struct {
	// Name names the batch within its account. Preparing a batch that is there
	// already, from the same, gives the one that is there.
	Name string
	// Account is the address that sends.
	Account  pec.Address
	Template *Template
	// Rows are the recipients, one message each. They are gone over two or three
	// times.
	Rows iter.Seq2[Row, error]
	// ReceiptType is the form of delivery receipt to ask for; empty asks for none
	// in particular, which is the complete one.
	ReceiptType pec.ReceiptType
	// Redirect, if not zero, is where every message goes in place of its
	// recipient: one's own address, to see what recipients would see.
	Redirect pec.Address
	// Tolerate, Keep and FreeBytes are those of [PreflightOptions].
	Tolerate  []FaultCode
	Keep      int
	FreeBytes int64
	// Source, if not zero, stands for everything that the batch is made of, such
	// as a digest of the files. If a batch of this name was made from the same,
	// its rows are not gone over again.
	Source Digest
}

// ErrBatchDiffers is the error of preparing a batch that is there already and was
// made from something else.
var ErrBatchDiffers = errors.New("dispatch: a batch of that name was made from something else")

// Prepare makes a batch: it checks every row first and stores nothing if there is
// a fault, then renders each message to its final bytes and stores it. Nothing
// leaves before somebody signs the batch off ([Dispatcher.Approve]).
//
// The report says what the check found; it is there too if faults are why there
// is no batch, and nil if the batch was there already and Source says that
// nothing changed. A Prepare that was interrupted is done again with the same
// BatchSpec, and makes the same messages.
func (d *Dispatcher) Prepare(ctx context.Context, spec BatchSpec) (Batch, *PreflightReport, error) {
	actor, err := actorOf(ctx)
	if err != nil {
		return Batch{}, nil, err
	}
	if err := spec.check(); err != nil {
		return Batch{}, nil, err
	}
	existing, err := d.Batch(ctx, spec.Account, spec.Name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Batch{}, nil, err
	}
	if err == nil && !spec.Source.IsZero() && existing.Source == spec.Source && existing.Phase != PhaseExpanding {
		return existing, nil, nil
	}
	opts := PreflightOptions{
		RenderOptions: d.renderOptions(spec, time.Now()),
		FreeBytes:     spec.FreeBytes,
		Tolerate:      spec.Tolerate,
		Keep:          spec.Keep,
	}
	report, err := Preflight(ctx, spec.Template, spec.Rows, opts)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return Batch{}, report, err
	}
	p := &preparation{d: d, spec: spec, actor: actor, name: AccountName(spec.Account), total: sha256.New()}
	if err := p.begin(ctx, report.Input); err != nil {
		return Batch{}, report, err
	}
	if p.batch.Phase == PhaseExpanding {
		if err := p.expand(ctx); err != nil {
			return Batch{}, report, err
		}
		err = p.finish(ctx)
	}
	return p.batch, report, err
}

func (s *BatchSpec) check() error {
	switch {
	case s.Name == "" || strings.ContainsAny(s.Name, "\x00\r\n"):
		return errors.New("dispatch: a batch needs a name of one line")
	case s.Account.IsZero():
		return errors.New("dispatch: a batch needs an account")
	case s.Template == nil || s.Rows == nil:
		return errors.New("dispatch: a batch needs a template and rows")
	}
	return nil
}

func (d *Dispatcher) renderOptions(spec BatchSpec, date time.Time) RenderOptions {
	o := RenderOptions{Account: spec.Account, ReceiptType: spec.ReceiptType, Redirect: spec.Redirect, Date: date}
	for _, a := range d.cfg.Accounts {
		if a.Address.Equal(spec.Account) {
			o.Profile = a.Profile
		}
	}
	return o
}

// preparation is the making of one batch.
type preparation struct {
	d     *Dispatcher
	spec  BatchSpec
	actor string
	name  string // of the account
	batch Batch
	total hash.Hash // over all sends
	rows  int64
	bytes int64
}

// begin stores that the batch is being made, or finds one that was begun.
func (p *preparation) begin(ctx context.Context, input Digest) error {
	seed := make([]byte, 32)
	rand.Read(seed)
	return p.d.update(ctx, p.name, p.actor, func(t *transaction) error {
		existing, err := t.Batch(p.spec.Name)
		if err == nil {
			if existing.Input != input {
				return ErrBatchDiffers
			}
			p.batch = existing
			return nil
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		p.batch = Batch{
			Name:        p.spec.Name,
			Account:     p.spec.Account,
			Phase:       PhaseExpanding,
			Created:     t.now.Truncate(time.Second),
			Creator:     p.actor,
			Seed:        seed,
			Input:       input,
			Source:      p.spec.Source,
			ReceiptType: p.spec.ReceiptType,
		}
		if err := t.PutBatch(p.batch); err != nil {
			return err
		}
		return t.audit("prepare", SendID{Batch: p.spec.Name}, "input "+input.String())
	})
}

// sendChunk is how many sends are stored in one transaction.
const sendChunk = 200

// expand renders and stores every message.
func (p *preparation) expand(ctx context.Context) error {
	renderer := p.spec.Template.NewRenderer(p.d.cfg.Store, p.d.renderOptions(p.spec, p.batch.Created))
	var chunk []Send
	for row, err := range p.spec.Rows {
		if err != nil {
			return err
		}
		p.rows++
		send, err := p.render(ctx, renderer, row)
		if err != nil {
			return err
		}
		if chunk = append(chunk, send); len(chunk) == sendChunk {
			if err := p.store(ctx, chunk); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
	}
	return p.store(ctx, chunk)
}

func (p *preparation) render(ctx context.Context, renderer *Renderer, row Row) (Send, error) {
	messageID := batchMessageID(p.batch.Seed, p.rows, p.spec.Account)
	m, err := renderer.Render(ctx, row, messageID)
	if err != nil {
		return Send{}, err
	}
	send := Send{
		ID:        SendID{Batch: p.batch.Name, Row: p.rows},
		Recipient: m.Recipient,
		MessageID: messageID,
		Content:   m.Content,
		Digest:    m.Digest,
		Size:      m.Size,
	}
	p.bytes += m.Size
	p.total.Write(binary.BigEndian.AppendUint64(nil, uint64(p.rows)))
	p.total.Write(m.Digest[:])
	return send, nil
}

// batchMessageID returns the Message-ID of a row: as good as random to everybody
// else, and the same when the batch is made anew after an interruption.
func batchMessageID(seed []byte, row int64, from pec.Address) string {
	mac := hmac.New(sha256.New, seed)
	binary.Write(mac, binary.BigEndian, row)
	id := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:16])
	return "<" + strings.ToLower(id) + "@" + from.Domain() + ">"
}

// store adds sends, or finds that the very same are there.
func (p *preparation) store(ctx context.Context, chunk []Send) error {
	if len(chunk) == 0 {
		return nil
	}
	return retryConflict(ctx, func() error {
		return p.d.cfg.Store.Update(ctx, p.name, func(tx Tx) error {
			for _, send := range chunk {
				if err := p.storeOne(tx, send); err != nil {
					return fmt.Errorf("storing row %d: %w", send.ID.Row, err)
				}
			}
			return nil
		})
	})
}

func (p *preparation) storeOne(tx Tx, send Send) error {
	err := tx.AddSend(send, Progress{State: Prepared, Due: p.batch.Created})
	if errors.Is(err, ErrExists) {
		there, err := tx.Send(send.ID)
		if err == nil && (there.Digest != send.Digest || !there.Recipient.Equal(send.Recipient)) {
			err = ErrBatchDiffers
		}
		return err
	}
	if err != nil {
		return err
	}
	return tx.PutMessageID(pec.BareMessageID(send.MessageID), send.ID, 1)
}

// finish stores that the batch is complete, and what it is.
func (p *preparation) finish(ctx context.Context) error {
	return p.d.update(ctx, p.name, p.actor, func(t *transaction) error {
		b, err := t.batch(p.spec.Name)
		if err != nil {
			return err
		}
		b.Phase = PhaseReady
		b.Total, b.Bytes = p.rows, p.bytes
		b.Digest = Digest(p.total.Sum(nil))
		b.Counts = map[State]int64{}
		if p.rows > 0 {
			b.Counts[Prepared] = p.rows
		}
		p.batch = *b
		return t.audit("ready", SendID{Batch: b.Name}, fmt.Sprintf("%d messages, digest %s", b.Total, b.Digest))
	})
}
