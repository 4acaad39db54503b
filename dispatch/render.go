package dispatch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// RenderOptions is what the messages of a batch have in common besides their
// template.
type RenderOptions struct {
	// Account is the address that sends: the From of every message. Required.
	Account pec.Address
	// Profile is what is known of its provider; what is not is taken from
	// [pec.DefaultProfile].
	Profile pec.Profile
	// ReceiptType is the form of delivery receipt asked for with X-TipoRicevuta;
	// empty writes no such field.
	ReceiptType pec.ReceiptType
	// Date is the Date of the messages, in the zone in which it is to be shown.
	Date time.Time
	// Redirect, if not zero, is where every message goes in place of the row's
	// recipient: one's own address, for a test.
	Redirect pec.Address
}

// Rendered is a message in its final bytes.
type Rendered struct {
	// Recipient is the one address that it goes to, and Subject its subject.
	Recipient pec.Address
	Subject   string
	// Content are the final bytes: the head, texts and what stands between the
	// attachments as they are, and each attachment, encoded, as a blob. The first
	// piece holds the whole head, with Message-ID on a line of its own.
	Content []Piece
	// Digest and Size are those of the whole.
	Digest Digest
	Size   int64
	// Attachments are the files in it.
	Attachments []Attached
	// Warnings are about what providers accept and some receivers stumble over.
	Warnings []*RowError

	shown []string // keys of other addresses in the texts; see Preflight
}

// Attached is a file in a message.
type Attached struct {
	// Name is the name that the recipient sees.
	Name string
	// Digest and Size are those of the file.
	Digest Digest
	Size   int64
	// Encoded is the digest of its base64 text: lines of 76 characters, CRLF
	// between them and none at the end. It names the blob.
	Encoded Digest
}

// Renderer makes the final bytes of messages, one after another. It is for one
// goroutine at a time.
//
// The bytes follow from the template, the options, the row, its files and the
// Message-ID, and from nothing else: even the boundaries between parts come from
// a digest. They are 7-bit, every line ends in CRLF, and none is longer than 76
// characters unless it is an address or a name that can't be broken. Each message
// has one recipient. It is read back before it is given out: one that
// [pec.ReadEnvelope] refuses, or understands in another way, is a fault.
//
// Whether the text of a message names another recipient of the batch can't be
// told from one row; [Preflight] looks for that.
type Renderer struct {
	t       *Template
	blobs   Blobs
	opts    RenderOptions
	profile pec.Profile // with defaults

	loaded       bool // the attachments of all messages are
	shared       []*encodedFile
	sharedFaults []*RowError
}

// NewRenderer returns a Renderer that keeps encoded attachments in blobs; one
// that goes with every message is read, encoded and put there once. With nil it
// keeps nothing: digests and sizes are right, and the blobs do not exist, which
// is enough for a look ahead.
func (t *Template) NewRenderer(blobs Blobs, opts RenderOptions) *Renderer {
	return &Renderer{t: t, blobs: blobs, opts: opts, profile: opts.Profile.OrDefault()}
}

// Render makes the message of a row, with a Message-ID in angle brackets. Faults
// of the row are returned together, joined, each a [*RowError]; other errors are
// those of blobs and of ctx.
func (r *Renderer) Render(ctx context.Context, row Row, messageID string) (*Rendered, error) {
	return r.WriteMessage(ctx, io.Discard, row, messageID)
}

// WriteMessage makes the message of a row, as Render does, and writes its bytes:
// a file that mail programs open (.eml).
func (r *Renderer) WriteMessage(ctx context.Context, w io.Writer, row Row, messageID string) (*Rendered, error) {
	m, files, err := r.render(ctx, row, messageID)
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	n, err := r.writeWhole(ctx, io.MultiWriter(digest, w), m.Content, files)
	if err == nil && n != m.Size {
		err = errors.New("an attachment changed")
	}
	if err != nil {
		return nil, fmt.Errorf("dispatch: writing a message: %w", err)
	}
	digest.Sum(m.Digest[:0])
	return m, nil
}

// writeWhole puts a message together, which needs the same memory however large
// its attachments are.
func (r *Renderer) writeWhole(ctx context.Context, w io.Writer, content []Piece, files []*encodedFile) (size int64, err error) {
	for _, p := range content {
		var n int64
		if p.Blob.IsZero() {
			n, err = io.Copy(w, bytes.NewReader(p.Bytes))
		} else {
			n, err = r.writeText(ctx, w, files[0])
			files = files[1:]
		}
		if size += n; err != nil {
			return size, err
		}
	}
	return size, nil
}

// writeText writes the text of an attachment.
func (r *Renderer) writeText(ctx context.Context, w io.Writer, e *encodedFile) (int64, error) {
	text, err := r.openText(ctx, e)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(w, text)
	return n, errors.Join(err, text.Close())
}

// render makes a message but for its digest, for which the attachments would have
// to be read again.
func (r *Renderer) render(ctx context.Context, row Row, messageID string) (*Rendered, []*encodedFile, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if r.opts.Date.IsZero() {
		return nil, nil, errors.New("dispatch: no Date for the messages")
	}
	m, err := r.compose(row)
	faults, _ := rowErrors(err)
	files, err := r.files(ctx, row)
	more, err := rowErrors(err)
	if err != nil {
		return nil, nil, err
	}
	if faults = append(faults, more...); len(faults) > 0 {
		return nil, nil, joinFaults(faults)
	}
	rendered := &Rendered{
		Recipient: m.to.Address,
		Subject:   m.subject,
		Content:   m.pieces(r, files, messageID),
	}
	rendered.Size = sizeOf(rendered.Content)
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
		rendered.Attachments = append(rendered.Attachments, f.Attached)
		if f.warn != nil {
			rendered.Warnings = append(rendered.Warnings, f.warn)
		}
	}
	rendered.shown = r.shownAddresses(m, names)
	return rendered, files, r.check(rendered, row, messageID)
}

// files returns the attachments of a row, encoded.
func (r *Renderer) files(ctx context.Context, row Row) ([]*encodedFile, error) {
	if err := r.loadShared(ctx); err != nil {
		return nil, err
	}
	files := slices.Clone(r.shared)
	faults := slices.Clone(r.sharedFaults)
	for i := range r.t.cfg.RowAttachments {
		e, err := r.rowFile(ctx, &r.t.cfg.RowAttachments[i], row)
		more, err := rowErrors(err)
		if err != nil {
			return nil, err
		}
		faults = append(faults, more...)
		if e != nil {
			files = append(files, e)
		}
	}
	return files, joinFaults(faults)
}

// loadShared encodes the attachments that go with every message, once. Their
// faults are no row's, and remain.
func (r *Renderer) loadShared(ctx context.Context) error {
	if r.loaded {
		return nil
	}
	r.shared, r.sharedFaults = nil, nil
	for _, f := range r.t.cfg.Attachments {
		e, err := r.encode(ctx, f, Row{}, "")
		faults, err := rowErrors(err)
		if err != nil {
			return err
		}
		r.sharedFaults = append(r.sharedFaults, faults...)
		r.shared = append(r.shared, e)
	}
	r.loaded = true
	return nil
}

// isShared reports whether a fault or warning is about an attachment that goes
// with every message.
func (r *Renderer) isShared(f *RowError) bool {
	return slices.Contains(r.sharedFaults, f) ||
		slices.ContainsFunc(r.shared, func(e *encodedFile) bool { return e != nil && e.warn == f })
}

// rowFile returns one attachment of a row, or nil if there is none.
func (r *Renderer) rowFile(ctx context.Context, f *RowFile, row Row) (*encodedFile, error) {
	file, ok, err := f.file(ctx, row)
	if err != nil || !ok {
		return nil, err
	}
	return r.encode(ctx, file, row, f.Column)
}

// errReadBack is the error of a message that says another thing than it should.
var errReadBack = errors.New("the message does not read back as it was written")

// check reads a message as its provider will. In place of each attachment it
// reads one line of base64, which is all that its text is made of: what there is
// to be refused is in the heads and texts, and the size is known.
func (r *Renderer) check(m *Rendered, row Row, messageID string) error {
	if m.Size > r.profile.MaxTotalBytes {
		return row.fault("", FaultRule, tooLarge(r.profile.MaxTotalBytes))
	}
	var short bytes.Buffer
	for _, p := range m.Content {
		short.Write(p.Bytes)
		if !p.Blob.IsZero() {
			short.WriteString("AAAA")
		}
	}
	envelope, err := pec.ReadEnvelope(&short, pec.EnvelopeOptions{Account: r.opts.Account, Profile: r.profile})
	if err != nil {
		var faults []*RowError
		for _, e := range flatten(err) {
			faults = append(faults, row.fault("", FaultRule, e))
		}
		return joinFaults(faults)
	}
	to := envelope.Recipients()
	if len(to) != 1 || !to[0].Equal(m.Recipient) || !envelope.From.Equal(r.opts.Account) ||
		envelope.Subject != m.Subject || envelope.MessageID != messageID || envelope.ReceiptType != r.opts.ReceiptType {
		return row.fault("", FaultRule, errReadBack)
	}
	for _, w := range envelope.Warnings {
		m.Warnings = append(m.Warnings, row.fault("", WarnRule, w))
	}
	return nil
}

func sizeOf(content []Piece) (size int64) {
	for _, p := range content {
		size += p.Size
	}
	return size
}
