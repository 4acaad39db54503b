package dispatch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"mime/quotedprintable"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

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
	delimiter := w.multipart("mixed", messageID)
	w.WriteString(delimiter + crlf)
	w.texts(m, messageID)
	for _, f := range files {
		w.WriteString(crlf + delimiter + crlf + f.head)
		w.blob(f)
	}
	w.WriteString(crlf + delimiter + "--" + crlf)
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
		delimiter := w.multipart("alternative", messageID)
		w.WriteString(delimiter + crlf)
		w.quoted("plain", m.text)
		w.WriteString(crlf + delimiter + crlf)
		w.quoted("html", m.html)
		w.WriteString(crlf + delimiter + "--" + crlf)
	}
}

// multipart writes the head of a multipart, and returns its delimiter.
func (w *pieceWriter) multipart(kind, messageID string) (delimiter string) {
	b := boundary(kind, messageID)
	w.plain("Content-Type", "multipart/"+kind+";"+crlf+` boundary="`+b+`"`)
	w.WriteString(crlf)
	return "--" + b
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
