package dispatch

import (
	"context"
	"errors"
	"io"
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
	// Date is the Date of the messages. Required.
	Date time.Time
	// Redirect, if not zero, is where every message goes in place of the row's
	// recipient: one's own address, for a test.
	Redirect pec.Address
}

// Rendered is a message in its final bytes.
type Rendered struct {
	// Recipient is the one address that it goes to.
	Recipient pec.Address
	// Subject is its subject.
	Subject string
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
}

// Attached is a file in a message.
type Attached struct {
	// Name is the name that the recipient sees.
	Name string
	// Digest and Size are those of the file.
	Digest Digest
	Size   int64
	// Encoded is the digest of its text in base64, with CRLF between lines and
	// none at the end.
	Encoded Digest
}

// Renderer makes the final bytes of messages, one after another. It is for one
// goroutine at a time.
//
// The bytes follow from the template, the options, the row, its files and the
// Message-ID, and from nothing else: the boundaries between parts come from a
// digest. They are 7-bit, with CRLF at the end of every line. Each message has
// one recipient, and was read back before it is given out: what
// [pec.ReadEnvelope] refuses, or understands in another way, is an error.
//
// What no message can show by its form is whether its text names another
// recipient of the batch: [Preflight] looks for that.
type Renderer struct {
	t     *Template
	blobs Blobs
	opts  RenderOptions
}

// NewRenderer returns a Renderer that keeps encoded attachments in blobs, each
// once, however many rows have it. With nil it keeps nothing: the digests and
// sizes are right and the blobs do not exist, which is enough for a look ahead.
func (t *Template) NewRenderer(blobs Blobs, opts RenderOptions) *Renderer {
	return &Renderer{t: t, blobs: blobs, opts: opts}
}

// Render makes the message of a row, with a Message-ID in angle brackets. Errors
// join a [*RowError] for each fault found, unless they are those of blobs or of
// ctx.
func (r *Renderer) Render(ctx context.Context, row Row, messageID string) (*Rendered, error) {
	return nil, errors.New("dispatch: Render is not written yet")
}

// WriteMessage writes the message of a row, as Render makes it, to w: a file
// that a mail program opens (.eml).
func (r *Renderer) WriteMessage(ctx context.Context, w io.Writer, row Row, messageID string) (*Rendered, error) {
	return nil, errors.New("dispatch: WriteMessage is not written yet")
}
