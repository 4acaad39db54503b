package pectest

import (
	"bufio"
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"

	"github.com/ceralacca/go-pec/internal/rawmime"
	"github.com/ceralacca/go-pec/receipt"
)

// briefWriter writes the copy of an original that a brief delivery receipt
// holds: the same tree of parts, with a hash in place of each part that has a
// name and of each message. RFC 6109, section 3.3.2.2.
type briefWriter struct {
	out     io.Writer
	reading receipt.HashReading
	hash    crypto.Hash

	in *bufio.Reader
	// delimiters are those of the multiparts that are open, outermost first.
	delimiters []string
}

// maxNesting bounds the depth of the tree. What lies deeper is copied.
const maxNesting = 20

// Where a part ended.
const (
	noDelimiter = -1 // at the end of the message
)

// partEnd is the delimiter that ended a part.
type partEnd struct {
	level int // index in delimiters, or noDelimiter
	close bool
	line  []byte // as it stands
}

// write copies the original.
func (b *briefWriter) write(o *original) error {
	b.in = bufio.NewReader(o.body)
	head := o.head()
	if _, err := b.out.Write(head); err != nil {
		return err
	}
	_, err := b.body(head, 0)
	return err
}

// part reads the head of a part and copies it, or puts a hash in its place.
func (b *briefWriter) part(depth int) (partEnd, error) {
	head, end, err := b.readHead()
	if err != nil {
		return partEnd{}, err
	}
	if end != nil { // a part without body, or without head
		_, err := b.out.Write(head)
		return *end, err
	}
	if name, ok := attachmentName(head); ok {
		return b.replace(head, name)
	}
	if _, err := b.out.Write(head); err != nil {
		return partEnd{}, err
	}
	return b.body(head, depth)
}

// body copies the body of the part with the given head: that of a multipart part
// by part, any other as it is.
func (b *briefWriter) body(head []byte, depth int) (partEnd, error) {
	boundary, isSigned := multipartBoundary(head)
	if boundary == "" || depth > maxNesting {
		return b.copyBody(b.out)
	}
	b.delimiters = append(b.delimiters, "--"+boundary)
	level := len(b.delimiters) - 1
	end, err := b.copyBody(b.out) // the preamble
	for n := 0; err == nil && end.level == level && !end.close; n++ {
		if _, err = b.out.Write(end.line); err != nil {
			break
		}
		if isSigned && depth == 0 && n > 0 {
			// The sender's signature is kept, though it no longer fits.
			end, err = b.copyBody(b.out)
		} else {
			end, err = b.part(depth + 1)
		}
	}
	b.delimiters = b.delimiters[:level]
	if err != nil || end.level != level {
		return end, err
	}
	if _, err := b.out.Write(end.line); err != nil {
		return partEnd{}, err
	}
	return b.copyBody(b.out) // the epilogue
}

// readHead reads a head with the empty line after it. end is set if a delimiter
// comes first.
func (b *briefWriter) readHead() (head []byte, end *partEnd, err error) {
	for {
		line, err := readLine(b.in, maxHead-len(head))
		if err != nil && err != io.EOF {
			return nil, nil, err
		}
		if found, ok := b.delimiter(line); ok {
			// The line end before it belongs to it.
			found.line = append([]byte("\r\n"), line...)
			return bytes.TrimSuffix(head, []byte("\r\n")), &found, nil
		}
		head = append(head, line...)
		if err == io.EOF {
			return head, &partEnd{level: noDelimiter}, nil
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return head, nil, nil
		}
	}
}

// delimiter tells which delimiter a line is.
func (b *briefWriter) delimiter(line []byte) (partEnd, bool) {
	if !bytes.HasPrefix(line, []byte("--")) {
		return partEnd{}, false
	}
	text := string(bytes.TrimRight(line, " \t\r\n"))
	for level := len(b.delimiters) - 1; level >= 0; level-- {
		rest, ok := strings.CutPrefix(text, b.delimiters[level])
		if ok && (rest == "" || rest == "--") {
			return partEnd{level: level, close: rest == "--"}, true
		}
	}
	return partEnd{}, false
}

// copyBody copies up to the next delimiter. The line end before a delimiter is
// part of it.
func (b *briefWriter) copyBody(w io.Writer) (partEnd, error) {
	var pending []byte // a line end that may belong to a delimiter
	atStart := true    // of a line
	for {
		line, readErr := b.in.ReadSlice('\n')
		if readErr != nil && readErr != io.EOF && !errors.Is(readErr, bufio.ErrBufferFull) {
			return partEnd{}, readErr
		}
		if atStart {
			if end, ok := b.delimiter(line); ok {
				end.line = append(pending, line...)
				return end, nil
			}
		}
		if len(pending) > 0 {
			if _, err := w.Write(pending); err != nil {
				return partEnd{}, err
			}
			pending = nil
		}
		text := bytes.TrimSuffix(line, []byte("\r\n"))
		if len(text) < len(line) {
			pending = []byte("\r\n")
		}
		atStart = readErr == nil
		if _, err := w.Write(text); err != nil {
			return partEnd{}, err
		}
		if readErr == io.EOF {
			_, err := w.Write(pending)
			return partEnd{level: noDelimiter}, err
		}
	}
}

// replace writes the hash of a part in its place.
func (b *briefWriter) replace(head []byte, name string) (partEnd, error) {
	sum, end, err := b.hashBody(transferEncoding(head))
	if err != nil {
		return partEnd{}, err
	}
	_, err = fmt.Fprintf(b.out, "Content-Type: %s\r\nContent-Transfer-Encoding: 7bit\r\nContent-Disposition: %s\r\n\r\n%s",
		mime.FormatMediaType("text/plain", map[string]string{"name": name + ".hash"}),
		mime.FormatMediaType("attachment", map[string]string{"filename": name + ".hash"}),
		hex.EncodeToString(sum))
	return end, err
}

// hashBody takes the hash of a body, read as the provider reads the rules.
func (b *briefWriter) hashBody(encoding string) (sum []byte, end partEnd, err error) {
	h := b.hash.New()
	if b.reading == receipt.HashDecoded && (encoding == "base64" || encoding == "quoted-printable") {
		return b.hashDecoded(h, encoding)
	}
	if end, err = b.copyBody(&encodedHash{h, b.reading}); err != nil {
		return nil, end, err
	}
	switch b.reading {
	case receipt.HashEncodedFinal:
		h.Write([]byte("\r\n"))
	case receipt.HashEncodedLFFinal:
		h.Write([]byte("\n"))
	}
	return h.Sum(nil), end, nil
}

// hashDecoded takes the hash of a file as it is decoded, and of the encoded text
// if it can't be.
func (b *briefWriter) hashDecoded(h hash.Hash, encoding string) (sum []byte, end partEnd, err error) {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		var decoder io.Reader = quotedprintable.NewReader(r)
		if encoding == "base64" {
			decoder = base64.NewDecoder(base64.StdEncoding, r)
		}
		_, err := io.Copy(h, decoder)
		io.Copy(io.Discard, r) // what follows a fault
		done <- err
	}()
	encoded := b.hash.New()
	end, err = b.copyBody(io.MultiWriter(w, encoded))
	w.Close()
	if <-done != nil {
		h = encoded
	}
	return h.Sum(nil), end, err
}

// encodedHash takes the hash of encoded text whose line ends are CRLF.
type encodedHash struct {
	h       hash.Hash
	reading receipt.HashReading
}

func (e *encodedHash) Write(p []byte) (int, error) {
	text := p
	switch e.reading {
	case receipt.HashEncodedLF, receipt.HashEncodedLFFinal:
		text = bytes.ReplaceAll(p, []byte("\r"), nil)
	case receipt.HashEncodedJoined:
		text = bytes.ReplaceAll(bytes.ReplaceAll(p, []byte("\r"), nil), []byte("\n"), nil)
	}
	e.h.Write(text)
	return len(p), nil
}

// partHead reads what a head says of its part. Heads that can't be read say
// nothing: their parts are copied.
func partHead(raw []byte) (mt, disposition *rawmime.MediaType, encoding string) {
	none := &rawmime.MediaType{}
	head, err := rawmime.ParseHead(raw, rawmime.HeadLimits{})
	if err != nil {
		return none, none, ""
	}
	if mt, err = rawmime.ParseMediaType(head.Get("Content-Type")); err != nil {
		mt = none
	}
	if disposition, err = rawmime.ParseMediaType(head.Get("Content-Disposition")); err != nil {
		disposition = none
	}
	return mt, disposition, strings.ToLower(head.Get("Content-Transfer-Encoding"))
}

func transferEncoding(raw []byte) string {
	_, _, encoding := partHead(raw)
	return encoding
}

func multipartBoundary(raw []byte) (boundary string, isSigned bool) {
	mt, _, _ := partHead(raw)
	if !strings.HasPrefix(mt.Type, "multipart/") {
		return "", false
	}
	boundary, _ = mt.Param("boundary")
	return boundary, mt.Type == "multipart/signed"
}

// attachmentName returns the name of a part that is replaced by its hash.
func attachmentName(raw []byte) (string, bool) {
	mt, disposition, _ := partHead(raw)
	if strings.HasPrefix(mt.Type, "multipart/") {
		return "", false
	}
	if name, ok := mt.Param("name"); ok {
		return name, true
	}
	if name, ok := disposition.Param("filename"); ok {
		return name, true
	}
	// How a message without a name is called, the rules do not say.
	return "message.eml", mt.Type == "message/rfc822"
}
