package receipt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/ceralacca/go-pec/internal/rawmime"
	"github.com/ceralacca/go-pec/pec"
)

// Proof says whether a delivery receipt proves that what was delivered is what
// was sent.
type Proof struct {
	// Result is the answer.
	Result ProofResult
	// Method is what it rests on; empty if no proof is possible.
	Method ProofMethod
	// Reading is, for ProofByHashes, what the provider took the hashes of.
	Reading HashReading
	// Reason says, unless proven, what differs or why no proof is possible. It
	// holds nothing of the message.
	Reason string
}

// ProofResult is the answer of [Receipt.Prove].
type ProofResult string

const (
	// Proven: what was delivered is what was sent.
	Proven ProofResult = "proven"
	// Disproven: it is not.
	Disproven ProofResult = "disproven"
	// NoProof: the receipt holds nothing that could prove it. It still proves
	// that a message with this Message-ID was delivered.
	NoProof ProofResult = "no-proof"
)

// ProofMethod says what a [Proof] rests on.
type ProofMethod string

const (
	// ProofByCopy: the receipt holds the whole message (ricevuta completa).
	ProofByCopy ProofMethod = "copy"
	// ProofByHashes: the receipt holds the message with hashes in place of its
	// attachments (ricevuta breve).
	ProofByHashes ProofMethod = "hashes"
)

// Prove compares the original inside a delivery receipt with the message that
// was sent. raw is the receipt, as it was verified; sent are the bytes that were
// submitted. Both are read in one or two passes and never held in memory.
//
// A provider must change some things: it replaces Message-ID by its own
// identifier, adds X-Riferimento-Message-ID and trace fields. All else must be
// the same: the fields that people read, those that say how to read the body,
// and the body to the last byte, but for the form of line ends. RFC 6109,
// sections 2.2.1 and 3.3.2.
//
// Errors are those of reading raw and sent. A difference is no error but an
// answer.
func (r *Receipt) Prove(raw, sent io.ReaderAt) (Proof, error) {
	if r.data.Kind != pec.KindDelivery {
		return Proof{Result: NoProof, Reason: "it is not a delivery receipt"}, nil
	}
	if r.original == nil {
		return Proof{Result: NoProof, Reason: "the receipt does not hold the message (ricevuta sintetica, or recipient in Cc)"}, nil
	}
	original, mine, err := r.open(raw, sent)
	if err != nil {
		return differs(err)
	}
	if err := sameHeaders(original.head, mine.head, &r.data); err != nil {
		return differs(err)
	}
	if err = sameFields(original.head, mine.head, contentFields); err == nil {
		err = sameBytes(original.body, mine.body)
	}
	if err == nil {
		return Proof{Result: Proven, Method: ProofByCopy}, nil
	}
	var d difference
	if !errors.As(err, &d) {
		return Proof{}, err
	}
	return r.proveByHashes(raw, sent, err)
}

// proveByHashes compares the trees. whole is how the bytes differ, which is the
// answer if nothing was hashed.
func (r *Receipt) proveByHashes(raw, sent io.ReaderAt, whole error) (Proof, error) {
	original, mine, err := r.open(raw, sent)
	if err != nil {
		return differs(err)
	}
	c := hashComparison{}
	err = c.compare(original, mine, topLevel)
	if c.hashed == 0 {
		return differs(whole)
	}
	if err != nil {
		p, err := differs(err)
		p.Method = ProofByHashes
		return p, err
	}
	return Proof{Result: Proven, Method: ProofByHashes, Reading: c.reading}, nil
}

// difference is an error that says how two messages differ.
type difference string

func (d difference) Error() string { return string(d) }

func differsf(format string, args ...any) error { return difference(fmt.Sprintf(format, args...)) }

// differs makes an answer of a difference.
func differs(err error) (Proof, error) {
	var d difference
	if errors.As(err, &d) {
		return Proof{Result: Disproven, Method: ProofByCopy, Reason: string(d)}, nil
	}
	return Proof{}, err
}

// entity is a message, or a part of one: its head, and its body with line ends
// as CRLF.
type entity struct {
	head *rawmime.Head
	body io.Reader
}

// open reads the heads of the original in the receipt and of the message sent.
func (r *Receipt) open(raw, sent io.ReaderAt) (original, mine entity, err error) {
	if original, err = openEntity(r.original.Of(raw)); err != nil {
		return original, mine, fmt.Errorf("reading the original in the receipt: %w", err)
	}
	if mine, err = openEntity(io.NewSectionReader(sent, 0, math.MaxInt64)); err != nil {
		return original, mine, fmt.Errorf("reading the message sent: %w", err)
	}
	return original, mine, nil
}

func openEntity(r io.Reader) (entity, error) {
	in := bufio.NewReaderSize(newCRLFReader(r), 64<<10)
	var raw []byte
	for {
		line, err := in.ReadSlice('\n')
		raw = append(raw, line...)
		if err == io.EOF || bytes.Equal(line, []byte("\r\n")) {
			break
		}
		if errors.Is(err, bufio.ErrBufferFull) || len(raw) > 256<<10 {
			return entity{}, difference("a head that is too long")
		}
		if err != nil {
			return entity{}, err
		}
	}
	head, err := rawmime.ParseHead(raw, rawmime.HeadLimits{})
	if err != nil {
		return entity{}, difference("a head that can't be read: " + err.Error())
	}
	return entity{head, in}, nil
}

// Fields that a provider leaves alone: those of the message, and those that say
// how to read a body, which a hash in its place changes.
var (
	messageFields = []string{"From", "To", "Cc", "Subject", "Date", "MIME-Version"}
	contentFields = []string{"Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID"}
)

// sameHeaders compares the top-level heads.
func sameHeaders(original, mine *rawmime.Head, data *pec.CertData) error {
	if !pec.SameMessageID(original.Get("Message-ID"), data.ID) {
		return differsf("the Message-ID of the original is not the identifier of the transmission")
	}
	if !pec.SameMessageID(mine.Get("Message-ID"), data.MessageID) {
		return differsf("the receipt is about another Message-ID")
	}
	if ref := original.Get(pec.HeaderReference); !pec.SameMessageID(ref, data.MessageID) {
		return differsf("%s of the original is not the Message-ID of the message sent", pec.HeaderReference)
	}
	return sameFields(original, mine, messageFields)
}

func sameFields(original, mine *rawmime.Head, names []string) error {
	for _, name := range names {
		if !slices.Equal(foldAll(original.Values(name)), foldAll(mine.Values(name))) {
			return differsf("field %s", name)
		}
	}
	return nil
}

// foldAll evens out white space, which changes when lines are folded anew.
func foldAll(values []string) []string {
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return values
}

// sameBytes compares two bodies. One final line end more or less is no
// difference: it belongs to the delimiter that follows a part.
func sameBytes(a, b io.Reader) error {
	x, y := bufio.NewReaderSize(a, 32<<10), bufio.NewReaderSize(b, 32<<10)
	var offset int64
	for {
		p, errX := x.Peek(x.Size())
		q, errY := y.Peek(y.Size())
		for _, err := range []error{errX, errY} {
			if err != nil && err != io.EOF {
				return err
			}
		}
		n := min(len(p), len(q))
		if n == 0 || !bytes.Equal(p[:n], q[:n]) {
			if isLineEnd(p) && errX == io.EOF && len(q) == 0 ||
				isLineEnd(q) && errY == io.EOF && len(p) == 0 || len(p)+len(q) == 0 {
				return nil
			}
			return differsf("the body, from about byte %d on", offset)
		}
		offset += int64(n)
		x.Discard(n)
		y.Discard(n)
	}
}

func isLineEnd(b []byte) bool { return string(b) == "\r\n" }

// crlfReader gives every line end as CRLF.
type crlfReader struct {
	in      *bufio.Reader
	pending []byte
	lastCR  bool
	err     error
}

func newCRLFReader(r io.Reader) *crlfReader {
	return &crlfReader{in: bufio.NewReaderSize(r, 32<<10)}
}

func (c *crlfReader) Read(p []byte) (int, error) {
	for len(c.pending) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.fill()
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

// fill takes the next line, or as much of it as the buffer holds.
func (c *crlfReader) fill() {
	line, err := c.in.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		c.err = err
	}
	n := len(line)
	if n > 0 && line[n-1] == '\n' {
		hasCR := n > 1 && line[n-2] == '\r' || n == 1 && c.lastCR
		if !hasCR {
			line = append(slices.Clone(line[:n-1]), '\r', '\n')
		}
	}
	c.lastCR = n > 0 && line[len(line)-1] == '\r'
	c.pending = line
}
