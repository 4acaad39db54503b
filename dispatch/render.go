package dispatch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"slices"
	"strings"
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
	rendered, _, err := r.render(ctx, row, messageID)
	return rendered, err
}

// WriteMessage makes the message of a row, as Render does, and writes its bytes:
// a file that mail programs open (.eml).
func (r *Renderer) WriteMessage(ctx context.Context, w io.Writer, row Row, messageID string) (*Rendered, error) {
	rendered, files, err := r.render(ctx, row, messageID)
	if err != nil {
		return nil, err
	}
	whole := r.whole(ctx, rendered.Content, files)
	defer whole.Close()
	if _, err := io.Copy(w, whole); err != nil {
		return nil, fmt.Errorf("dispatch: writing a message: %w", err)
	}
	return rendered, nil
}

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
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
		rendered.Attachments = append(rendered.Attachments, f.Attached)
		if f.warn != nil {
			rendered.Warnings = append(rendered.Warnings, f.warn)
		}
	}
	rendered.shown = r.shownAddresses(m, names)
	if err := r.check(ctx, rendered, files, row, messageID); err != nil {
		return nil, nil, err
	}
	return rendered, files, nil
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

// whole reads a message from its beginning.
func (r *Renderer) whole(ctx context.Context, content []Piece, files []*encodedFile) *wholeReader {
	return &wholeReader{pieces: content, open: func(blob int) (io.ReadCloser, error) {
		return r.openText(ctx, files[blob])
	}}
}

// wholeReader puts the pieces of a message together as it is read, which needs
// the same memory however large they are.
type wholeReader struct {
	pieces []Piece
	open   func(blob int) (io.ReadCloser, error) // opens the n-th blob
	blobs  int                                   // opened so far
	now    io.ReadCloser
}

func (w *wholeReader) Read(p []byte) (int, error) {
	for {
		if w.now == nil {
			if err := w.next(); err != nil {
				return 0, err
			}
		}
		n, err := w.now.Read(p)
		if err == io.EOF {
			if err = w.Close(); err == nil && n == 0 {
				continue
			}
		}
		return n, err
	}
}

// next opens the next piece, or returns io.EOF.
func (w *wholeReader) next() (err error) {
	if len(w.pieces) == 0 {
		return io.EOF
	}
	p := w.pieces[0]
	w.pieces = w.pieces[1:]
	if p.Blob.IsZero() {
		w.now = io.NopCloser(bytes.NewReader(p.Bytes))
		return nil
	}
	w.now, err = w.open(w.blobs)
	w.blobs++
	return err
}

// Close closes the piece that is open.
func (w *wholeReader) Close() error {
	if w.now == nil {
		return nil
	}
	now := w.now
	w.now = nil
	return now.Close()
}

// errReadBack is the error of a message that says another thing than it should.
var errReadBack = errors.New("the message does not read back as it was written")

// check reads a message as its provider will, and sets its digest and size.
func (r *Renderer) check(ctx context.Context, m *Rendered, files []*encodedFile, row Row, messageID string) error {
	whole := r.whole(ctx, m.Content, files)
	defer whole.Close()
	digest := sha256.New()
	text := &countingReader{r: io.TeeReader(whole, digest)}
	envelope, err := pec.ReadEnvelope(text, pec.EnvelopeOptions{Account: r.opts.Account, Profile: r.profile})
	if err != nil {
		return ruleFaults(row, err)
	}
	to := envelope.Recipients()
	if len(to) != 1 || len(envelope.To) != 1 || !to[0].Equal(m.Recipient) || !envelope.From.Equal(r.opts.Account) ||
		envelope.Subject != m.Subject || envelope.MessageID != messageID || envelope.ReceiptType != r.opts.ReceiptType ||
		text.n != sizeOf(m.Content) {
		return row.fault("", FaultRule, errReadBack)
	}
	for _, w := range envelope.Warnings {
		m.Warnings = append(m.Warnings, row.fault("", WarnRule, w))
	}
	m.Digest, m.Size = Digest(digest.Sum(nil)), text.n
	return nil
}

func sizeOf(content []Piece) (size int64) {
	for _, p := range content {
		size += p.Size
	}
	return size
}

// ruleFaults makes faults of the rules that a message breaks. Other errors, such
// as those of a blob, are returned as they are.
func ruleFaults(row Row, err error) error {
	var faults []*RowError
	for _, e := range flatten(err) {
		var rule *pec.RuleError
		if !errors.As(e, &rule) {
			return e
		}
		faults = append(faults, row.fault("", FaultRule, rule))
	}
	return joinFaults(faults)
}

// pieces writes a message.
func (m *composed) pieces(r *Renderer, files []*encodedFile, messageID string) []Piece {
	var w pieceWriter
	w.plain("Date", r.opts.Date.Format(time.RFC1123Z))
	w.mailbox("From", m.from)
	w.mailbox("To", m.to)
	if !r.t.cfg.ReplyTo.Address.IsZero() {
		w.mailbox("Reply-To", r.t.cfg.ReplyTo)
	}
	w.text("Subject", m.subject)
	w.plain("Message-ID", messageID)
	if r.opts.ReceiptType != "" {
		w.plain(pec.HeaderReceiptType, string(r.opts.ReceiptType))
	}
	w.plain("MIME-Version", "1.0")
	if len(files) == 0 {
		w.texts(m, messageID)
		return w.done()
	}
	boundary := boundary("mixed", messageID)
	w.multipart("mixed", boundary)
	w.WriteString("--" + boundary + crlf)
	w.texts(m, messageID)
	for _, f := range files {
		w.WriteString(crlf + "--" + boundary + crlf + f.head)
		w.blob(f)
	}
	w.WriteString(crlf + "--" + boundary + "--" + crlf)
	return w.done()
}

// boundary returns the boundary of a multipart. It can't occur in the parts: "=_"
// is nothing that quoted-printable or base64 write. RFC 2045, section 6.7.
func boundary(kind, messageID string) string {
	sum := sha256.Sum256([]byte(kind + " " + messageID))
	return "=_" + kind + "_" + hex.EncodeToString(sum[:16])
}

// pieceWriter gathers a message in pieces.
type pieceWriter struct {
	headWriter
	pieces []Piece
}

// blob adds the text of a file.
func (w *pieceWriter) blob(f *encodedFile) {
	w.end()
	w.pieces = append(w.pieces, Piece{Blob: f.Encoded, Size: f.size})
}

// end makes a piece of what was written since the last one.
func (w *pieceWriter) end() {
	w.pieces = append(w.pieces, Piece{Bytes: bytes.Clone(w.Bytes()), Size: int64(w.Len())})
	w.Reset()
}

func (w *pieceWriter) done() []Piece {
	w.end()
	return w.pieces
}

// texts writes the text, the HTML, or both, as a part or as the whole body.
func (w *pieceWriter) texts(m *composed, messageID string) {
	switch {
	case m.html == "":
		w.quoted("plain", m.text)
	case m.text == "":
		w.quoted("html", m.html)
	default:
		boundary := boundary("alternative", messageID)
		w.multipart("alternative", boundary)
		w.WriteString("--" + boundary + crlf)
		w.quoted("plain", m.text)
		w.WriteString(crlf + "--" + boundary + crlf)
		w.quoted("html", m.html)
		w.WriteString(crlf + "--" + boundary + "--" + crlf)
	}
}

func (w *pieceWriter) multipart(kind, boundary string) {
	w.plain("Content-Type", "multipart/"+kind+";"+crlf+` boundary="`+boundary+`"`)
	w.WriteString(crlf)
}

// quoted writes a text in quoted-printable.
func (w *pieceWriter) quoted(kind, text string) {
	w.plain("Content-Type", "text/"+kind+"; charset=utf-8")
	w.plain("Content-Transfer-Encoding", "quoted-printable")
	w.WriteString(crlf)
	q := quotedprintable.NewWriter(w)
	io.WriteString(q, text)
	q.Close() // neither can fail: a buffer takes all
}

// evenLines returns a text with LF at the end of every line, the last one too,
// and none after it.
func evenLines(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	return strings.TrimRight(text, "\n") + "\n"
}
