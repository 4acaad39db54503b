package dispatch

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/ceralacca/go-pec/pec"
)

// encodedFile is an attachment in the form in which messages carry it: base64 in
// lines of 76 characters, with CRLF between them and none at the end. Providers
// disagree on whether a hash in a receipt is that of the file or that of this
// text (RFC 6109, section 3.3.2.2): there must be no doubt about either.
type encodedFile struct {
	Attached
	head string // of the part
	size int64  // of the text
	text []byte // nil if the file is large: then it is read again from where it is
	from File
	warn *RowError // nil if there is nothing to warn of
}

// maxHeld is the most bytes of a file that is held in memory.
const maxHeld = 1 << 20

// encode reads a file and puts its text into the blobs, if there are any. Faults
// are about a column of a row; those of an attachment of all rows about none.
func (r *Renderer) encode(ctx context.Context, f File, row Row, column string) (*encodedFile, error) {
	in, err := f.Open(ctx)
	if err != nil {
		return nil, fileFault(row, column, err)
	}
	defer in.Close()
	e := &encodedFile{Attached: Attached{Name: f.Name}, head: partHead(f), from: f}
	begin, err := io.ReadAll(io.LimitReader(in, maxHeld+1))
	switch {
	case err != nil:
		return nil, fileFault(row, column, err)
	case len(begin) == 0:
		return nil, row.fault(column, FaultFileEmpty, nil)
	case len(begin) <= maxHeld:
		err = r.encodeSmall(ctx, e, begin)
	default:
		err = r.encodeLarge(ctx, e, io.MultiReader(bytes.NewReader(begin), in), row, column)
	}
	if err != nil {
		return nil, err
	}
	return e, r.lookInto(e, begin, in, row, column)
}

func (r *Renderer) encodeSmall(ctx context.Context, e *encodedFile, file []byte) error {
	text, err := io.ReadAll(newBase64Reader(bytes.NewReader(file)))
	if err != nil {
		return err
	}
	e.text, e.size = text, int64(len(text))
	e.Digest, e.Size = sha256.Sum256(file), int64(len(file))
	e.Encoded = sha256.Sum256(text)
	return r.keep(ctx, e, bytes.NewReader(text))
}

func (r *Renderer) encodeLarge(ctx context.Context, e *encodedFile, file io.Reader, row Row, column string) error {
	source := &sourceReader{r: file, most: r.profile.MaxTotalBytes}
	digest, encoded := sha256.New(), sha256.New()
	text := &countingReader{r: io.TeeReader(newBase64Reader(io.TeeReader(source, digest)), encoded)}
	var err error
	if r.blobs == nil {
		_, err = io.Copy(io.Discard, text)
	} else {
		// Its digest is known only afterwards, so it is compared here.
		var kept Digest
		kept, _, err = r.blobs.PutBlob(ctx, text)
		if err == nil && kept != Digest(encoded.Sum(nil)) {
			err = errBlob
		}
	}
	if source.err != nil {
		if errors.Is(source.err, pec.ErrTooLarge) {
			return row.fault(column, FaultRule, source.err)
		}
		return fileFault(row, column, source.err)
	}
	if err != nil {
		return fmt.Errorf("dispatch: keeping an attachment: %w", err)
	}
	e.size = text.n
	e.Digest, e.Size = Digest(digest.Sum(nil)), source.n
	e.Encoded = Digest(encoded.Sum(nil))
	return nil
}

// errBlob is the error of a store that keeps something else than it was given.
var errBlob = errors.New("the store gave another digest than that of the blob")

// keep puts the text of a small file into the blobs.
func (r *Renderer) keep(ctx context.Context, e *encodedFile, text io.Reader) error {
	if r.blobs == nil {
		return nil
	}
	kept, _, err := r.blobs.PutBlob(ctx, text)
	if err == nil && kept != e.Encoded {
		err = errBlob
	}
	if err != nil {
		return fmt.Errorf("dispatch: keeping an attachment: %w", err)
	}
	return nil
}

// openText opens the text for reading.
func (r *Renderer) openText(ctx context.Context, e *encodedFile) (io.ReadCloser, error) {
	if e.text != nil {
		return io.NopCloser(bytes.NewReader(e.text)), nil
	}
	if r.blobs != nil {
		blob, err := r.blobs.OpenBlob(ctx, e.Encoded)
		if err != nil {
			return nil, fmt.Errorf("opening an attachment: %w", err)
		}
		return readCloser{io.NewSectionReader(blob, 0, blob.Size()), blob}, nil
	}
	in, err := e.from.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening an attachment again: %w", err)
	}
	return readCloser{newBase64Reader(in), in}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// partHead returns the head of the part with a file, and the line end before its
// text.
func partHead(f File) string {
	inType, inDisposition := fileName(f.Name)
	return "Content-Type: " + mediaTypeOf(f) + inType + crlf +
		"Content-Transfer-Encoding: base64" + crlf +
		"Content-Disposition: attachment" + inDisposition + crlf + crlf
}

// lookInto checks the names in a zip against what the provider refuses: some look
// there too. Archives within it are not opened.
func (r *Renderer) lookInto(e *encodedFile, begin []byte, in io.Reader, row Row, column string) error {
	if len(r.profile.BlockedExtensions) == 0 || strings.ToLower(path.Ext(e.Name)) != ".zip" {
		return nil
	}
	archive, err := openZip(e, begin, in)
	if err != nil {
		e.warn = row.fault(column, WarnArchive, nil)
		return nil
	}
	for _, f := range archive.File {
		name := strings.ToLower(strings.TrimRight(f.Name, ". "))
		if ext := path.Ext(name); ext != "" && slices.Contains(r.profile.BlockedExtensions, ext) {
			return row.fault(column, FaultArchive, fmt.Errorf("%q", ext))
		}
	}
	return nil
}

// openZip reads the list of names of an archive. A large one must be in a file
// that can be read anywhere.
func openZip(e *encodedFile, begin []byte, in io.Reader) (*zip.Reader, error) {
	if e.text != nil {
		return zip.NewReader(bytes.NewReader(begin), int64(len(begin)))
	}
	anywhere, ok := in.(io.ReaderAt)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return zip.NewReader(anywhere, e.Size)
}

// sourceReader reads a file of at most so many bytes, and remembers its error: a
// store gives back that of its reader as one of its own.
type sourceReader struct {
	r    io.Reader
	most int64
	n    int64
	err  error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	if s.n > s.most {
		err = tooLarge(s.most)
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// Bytes that become a line of base64, and how long it then is.
const (
	rawLine     = 57
	encodedLine = 76
)

// base64Reader gives what it reads as base64.
type base64Reader struct {
	in      io.Reader
	raw     [64 * rawLine]byte
	out     [64 * (encodedLine + len(crlf))]byte
	pending []byte // of out
	begun   bool
	err     error
}

func newBase64Reader(in io.Reader) *base64Reader { return &base64Reader{in: in} }

func (b *base64Reader) Read(p []byte) (int, error) {
	if len(b.pending) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		b.fill()
		if len(b.pending) == 0 {
			return 0, b.err
		}
	}
	n := copy(p, b.pending)
	b.pending = b.pending[n:]
	return n, nil
}

// fill encodes the next lines. A line break stands before each line but the
// first.
func (b *base64Reader) fill() {
	n, err := io.ReadFull(b.in, b.raw[:])
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	b.err = err
	out := b.out[:0]
	for line := range slices.Chunk(b.raw[:n], rawLine) {
		if b.begun {
			out = append(out, crlf...)
		}
		b.begun = true
		out = base64.StdEncoding.AppendEncode(out, line)
	}
	b.pending = out
}
