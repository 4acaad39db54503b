package receipt

import (
	"bytes"
	"crypto"
	"crypto/sha256"
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
	// Reading is, if proven by hashes, what the provider took them of.
	Reading HashReading
	// Hash is, if proven by hashes, their algorithm, and the weakest if there are
	// several. The rules have SHA-1, of which two different files can be made to
	// have the same.
	Hash crypto.Hash
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
	// NoProof: the receipt holds nothing that could prove it, or one of the two
	// messages can't be read. The receipt still proves that a message with this
	// Message-ID was delivered.
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
// was sent. raw is the receipt, exactly as it was verified, with offset 0 where
// the reader stood that was given to Verify; sent are the bytes that were
// submitted. Both are read a few times from the front, and never held in memory.
//
// A provider must change some things: it replaces Message-ID by its own
// identifier, adds X-Riferimento-Message-ID and trace fields. All else must be
// the same: the fields that people read, those that say how to read the body,
// and the body to the last byte, but for the form of line ends. RFC 6109,
// sections 2.2.1 and 3.3.2. Where attachments were replaced by hashes, what
// stands outside of all parts is not compared.
//
// A difference is no error but an answer. Errors are those of reading raw and
// sent, and one if raw does not hold what was verified.
func (r *Receipt) Prove(raw, sent io.ReaderAt) (Proof, error) {
	switch {
	case r.data.Kind != pec.KindDelivery:
		return Proof{Result: NoProof, Reason: "it is not a delivery receipt"}, nil
	case r.original == nil:
		return Proof{Result: NoProof, Reason: "the receipt does not hold the message (ricevuta sintetica, or recipient in Cc)"}, nil
	}
	if err := r.checkSigned(raw); err != nil {
		return Proof{}, err
	}
	original, mine, err := r.open(raw, sent)
	if err == nil {
		err = sameHeaders(original.head, mine.head, &r.data)
	}
	if err != nil {
		return answer(ProofByCopy, err)
	}
	if err = sameFields(original.head, mine.head, contentFields(original.head, mine.head)); err == nil {
		err = sameBytes(original.body, mine.body)
	}
	var whole difference
	if errors.As(err, &whole) {
		return r.proveByHashes(raw, sent, whole)
	}
	return answer(ProofByCopy, err)
}

// proveByHashes compares part by part. whole is how the bytes differ, which is
// the answer if nothing was hashed.
func (r *Receipt) proveByHashes(raw, sent io.ReaderAt, whole difference) (Proof, error) {
	original, mine, err := r.open(raw, sent)
	if err != nil {
		return answer(ProofByHashes, err)
	}
	c := newHashComparison(original.body, mine.body)
	err = c.entity(original.head, mine.head, topLevel)
	var d difference
	if c.hash == 0 && (err == nil || errors.As(err, &d)) {
		return answer(ProofByCopy, whole)
	}
	p, err := answer(ProofByHashes, err)
	if p.Result == Proven {
		p.Reading, p.Hash = c.reading(), c.hash
	}
	return p, err
}

// difference is an error that says how two messages differ.
type difference string

func (d difference) Error() string { return string(d) }

// unreadable is an error that says why a message can't be compared.
type unreadable string

func (u unreadable) Error() string { return string(u) }

// answer makes an answer of the outcome of a comparison.
func answer(method ProofMethod, err error) (Proof, error) {
	var d difference
	var u unreadable
	switch {
	case err == nil:
		return Proof{Result: Proven, Method: method}, nil
	case errors.As(err, &d):
		return Proof{Result: Disproven, Method: method, Reason: string(d)}, nil
	case errors.As(err, &u):
		return Proof{Result: NoProof, Reason: string(u)}, nil
	}
	return Proof{}, fmt.Errorf("receipt: comparing what was delivered with what was sent: %w", err)
}

// checkSigned checks that raw holds what was verified: what was stored may have
// changed since.
func (r *Receipt) checkSigned(raw io.ReaderAt) error {
	h := sha256.New()
	if _, err := io.Copy(h, newPartScanner(r.signed.Of(raw))); err != nil {
		return fmt.Errorf("receipt: reading the receipt again: %w", err)
	}
	if !bytes.Equal(h.Sum(nil), r.digest[:]) {
		return errors.New("receipt: reading the receipt again: it is not the one that was verified")
	}
	return nil
}

// entity is a message: its head, and what is to be read of its body.
type entity struct {
	head *rawmime.Head
	body *partScanner
}

// open reads the heads of the original in the receipt and of the message sent.
func (r *Receipt) open(raw, sent io.ReaderAt) (original, mine entity, err error) {
	if original, err = openEntity(r.original.Of(raw)); err != nil {
		return original, mine, err
	}
	mine, err = openEntity(io.NewSectionReader(sent, 0, math.MaxInt64))
	return original, mine, err
}

func openEntity(r io.Reader) (entity, error) {
	body := newPartScanner(r)
	head, err := body.readHead()
	return entity{head, body}, err
}

// messageFields are fields that a provider leaves alone.
var messageFields = []string{"From", "To", "Cc", "Subject", "Date", "MIME-Version"}

// contentFields returns the names of the fields that say how to read a body,
// which a hash in its place changes.
//
// QUIRK: mail stores of old add a Content-Length, which says nothing.
func contentFields(heads ...*rawmime.Head) []string {
	var names []string
	for _, head := range heads {
		for _, f := range head.Fields {
			name := strings.ToLower(f.Name)
			if strings.HasPrefix(name, "content-") && name != "content-length" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// sameHeaders compares the top-level heads.
func sameHeaders(original, mine *rawmime.Head, data *pec.CertData) error {
	if !sameID(mine.Get("Message-ID"), data.MessageID) {
		return difference("the receipt is about another Message-ID")
	}
	if !sameID(original.Get("Message-ID"), data.ID) {
		return difference("the Message-ID of the original is not the identifier of the transmission")
	}
	if !sameID(original.Get(pec.HeaderReference), data.MessageID) {
		return difference(pec.HeaderReference + " of the original is not the Message-ID of the message sent")
	}
	return sameFields(original, mine, messageFields)
}

// sameID compares identifiers, both of which are missing if the client gave none.
func sameID(a, b string) bool { return a == "" && b == "" || pec.SameMessageID(a, b) }

func sameFields(original, mine *rawmime.Head, names []string) error {
	for _, name := range names {
		if !slices.Equal(foldAll(original.Values(name)), foldAll(mine.Values(name))) {
			return difference("field " + name)
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

// sameBytes compares the rest of two bodies, or parts. One final line end more or
// less is no difference: it belongs to the delimiter that follows a part.
func sameBytes(a, b *partScanner) error {
	for offset := int64(0); ; {
		p, err := a.peek()
		if err != nil {
			return err
		}
		q, err := b.peek()
		if err != nil {
			return err
		}
		n := min(len(p), len(q))
		if n == 0 && (len(p) == 0 || a.isLastLineEnd(p)) && (len(q) == 0 || b.isLastLineEnd(q)) {
			return nil
		}
		if n == 0 || !bytes.Equal(p[:n], q[:n]) {
			return difference(fmt.Sprintf("the content, from about byte %d on", offset))
		}
		offset += int64(n)
		a.discard(n)
		b.discard(n)
	}
}
