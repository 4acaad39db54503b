package receipt

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"mime/multipart"
	"mime/quotedprintable"
	"strings"

	"github.com/ceralacca/go-pec/internal/rawmime"
)

// HashReading says what of a part a provider took the hash of. The rules can be
// read in several ways: one sentence has the part as encoded in base64, another
// its entire content, a third the attached file. RFC 6109, section 3.3.2.2.
type HashReading string

const (
	// HashDecoded: the file itself.
	HashDecoded HashReading = "decoded"
	// HashEncoded: the encoded text, with CRLF between lines and none at the end.
	HashEncoded HashReading = "encoded"
	// HashEncodedFinal: the same with CRLF at the end.
	HashEncodedFinal HashReading = "encoded-final-crlf"
	// HashEncodedLF: the encoded text with LF between lines.
	HashEncodedLF HashReading = "encoded-lf"
	// HashEncodedLFFinal: the same with LF at the end.
	HashEncodedLFFinal HashReading = "encoded-lf-final-lf"
	// HashEncodedJoined: the encoded text with no line ends at all.
	HashEncodedJoined HashReading = "encoded-joined"
	// HashSeveral: not the same for every part.
	HashSeveral HashReading = "several"
)

// hashComparison compares a message with the copy of it in which attachments
// were replaced by their hashes.
type hashComparison struct {
	hashed  int
	reading HashReading
}

// Where a part is. The rules treat what is at the top in ways of their own.
const (
	topLevel  = 0
	maxNested = 20
	maxParts  = 1000
)

// hashLengths are the digests by the number of their hexadecimal digits. The
// rules have SHA-1; the others are what it may have been replaced by.
var hashLengths = map[int]crypto.Hash{40: crypto.SHA1, 64: crypto.SHA256, 128: crypto.SHA512}

// compare walks both trees at once. Differences are returned as such.
func (c *hashComparison) compare(original, mine entity, depth int) error {
	mt, err := mediaType(mine.head)
	if err != nil {
		return err
	}
	if isReplaceable(mine.head, mt) {
		return c.compareAttachment(original, mine)
	}
	if err := sameFields(original.head, mine.head, contentFields); err != nil {
		return err
	}
	if strings.HasPrefix(mt.Type, "multipart/") {
		return c.compareMultipart(original, mine, mt, depth)
	}
	return sameBytes(original.body, mine.body)
}

// isReplaceable reports whether the rules replace a part by its hash: if it has
// a name, or is a message.
func isReplaceable(head *rawmime.Head, mt *rawmime.MediaType) bool {
	if strings.HasPrefix(mt.Type, "multipart/") {
		return false
	}
	names, err := partNames(head, mt)
	return mt.Type == "message/rfc822" || err != nil || len(names) > 0
}

func mediaType(head *rawmime.Head) (*rawmime.MediaType, error) {
	value := head.Get("Content-Type")
	if value == "" {
		return &rawmime.MediaType{Type: "text/plain"}, nil
	}
	mt, err := rawmime.ParseMediaType(value)
	if err != nil {
		return nil, difference("a Content-Type that can't be read")
	}
	return mt, nil
}

func (c *hashComparison) compareMultipart(original, mine entity, mt *rawmime.MediaType, depth int) error {
	if depth >= maxNested {
		return difference("parts nested too deep")
	}
	theirs, err := parts(original)
	if err != nil {
		return err
	}
	own, err := parts(mine)
	if err != nil {
		return err
	}
	for n := range maxParts {
		a, errA := theirs.next()
		b, errB := own.next()
		if errors.Is(errA, io.EOF) && errors.Is(errB, io.EOF) {
			return nil
		}
		if err := errors.Join(errA, errB); err != nil {
			if errors.Is(err, io.EOF) {
				return difference("the number of parts")
			}
			return err
		}
		if depth == topLevel && mt.Type == "multipart/signed" && n > 0 {
			// The signature of the sender is kept, though it no longer fits.
			err = sameBytes(a.body, b.body)
		} else {
			err = c.compare(a, b, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return difference("too many parts")
}

// partReader reads the parts of a multipart one after another.
type partReader struct{ in *multipart.Reader }

func parts(e entity) (partReader, error) {
	mt, err := mediaType(e.head)
	if err != nil {
		return partReader{}, err
	}
	boundary, _ := mt.Param("boundary")
	if boundary == "" {
		return partReader{}, difference("a multipart without boundary")
	}
	return partReader{multipart.NewReader(e.body, boundary)}, nil
}

func (p partReader) next() (entity, error) {
	part, err := p.in.NextRawPart()
	if err != nil {
		return entity{}, err
	}
	head := &rawmime.Head{}
	for name, values := range part.Header {
		for _, v := range values {
			head.Fields = append(head.Fields, rawmime.Field{Name: name, Value: v})
		}
	}
	return entity{head, part}, nil
}

// compareAttachment compares a part that may have been replaced by its hash.
func (c *hashComparison) compareAttachment(original, mine entity) error {
	theirs, err := mediaType(original.head)
	if err != nil {
		return err
	}
	names, err := partNames(original.head, theirs)
	if err != nil || !isHashPart(theirs, names) {
		if err := sameFields(original.head, mine.head, contentFields); err != nil {
			return err
		}
		return sameBytes(original.body, mine.body)
	}
	text, err := io.ReadAll(io.LimitReader(decoded(original), 1024))
	if err != nil {
		return difference("a hash that can't be read")
	}
	want, err := hex.DecodeString(strings.TrimSpace(string(text)))
	algorithm, known := hashLengths[2*len(want)]
	if err != nil || !known {
		return difference("a hash that is not one")
	}
	c.hashed++
	reading, err := findReading(mine, algorithm, want)
	if err != nil {
		return err
	}
	if c.reading == "" {
		c.reading = reading
	} else if c.reading != reading {
		c.reading = HashSeveral
	}
	return nil
}

func isHashPart(mt *rawmime.MediaType, names []string) bool {
	for _, name := range names {
		if strings.HasSuffix(strings.ToLower(name), ".hash") {
			return mt.Type == "text/plain"
		}
	}
	return false
}

// decoded undoes the transfer encoding of a part.
func decoded(e entity) io.Reader {
	switch strings.ToLower(e.head.Get("Content-Transfer-Encoding")) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, e.body)
	case "quoted-printable":
		return quotedprintable.NewReader(e.body)
	}
	return e.body
}

// findReading finds what of the part has the wanted hash, in one pass.
func findReading(part entity, algorithm crypto.Hash, want []byte) (HashReading, error) {
	file := algorithm.New()
	encoded := newEncodedHashes(algorithm)
	tee := entity{part.head, io.TeeReader(part.body, encoded)}
	if _, err := io.Copy(file, decoded(tee)); err != nil {
		file = nil // it has no decoded form; its encoded ones may still fit
	}
	if _, err := io.Copy(io.Discard, tee.body); err != nil {
		return "", err
	}
	if file != nil && bytes.Equal(file.Sum(nil), want) {
		return HashDecoded, nil
	}
	if reading, ok := encoded.find(want); ok {
		return reading, nil
	}
	return "", difference("an attachment, whose hash is another")
}

// encodedHashes takes the hashes of an encoded text whose line ends are CRLF.
type encodedHashes struct {
	crlf, lf, joined hash.Hash
	withCRLF, withLF []byte
}

func newEncodedHashes(h crypto.Hash) *encodedHashes {
	return &encodedHashes{crlf: h.New(), lf: h.New(), joined: h.New()}
}

func (e *encodedHashes) Write(p []byte) (int, error) {
	e.crlf.Write(p)
	// A CR in encoded text is always part of a line end.
	lf := bytes.ReplaceAll(p, []byte("\r"), nil)
	e.lf.Write(lf)
	e.joined.Write(bytes.ReplaceAll(lf, []byte("\n"), nil))
	return len(p), nil
}

// find tells the reading that has the wanted hash. The line end before the
// delimiter is not part of what was written.
func (e *encodedHashes) find(want []byte) (HashReading, bool) {
	if bytes.Equal(e.crlf.Sum(nil), want) {
		return HashEncoded, true
	}
	if bytes.Equal(e.lf.Sum(nil), want) {
		return HashEncodedLF, true
	}
	if bytes.Equal(e.joined.Sum(nil), want) {
		return HashEncodedJoined, true
	}
	e.crlf.Write([]byte("\r\n"))
	e.lf.Write([]byte("\n"))
	switch {
	case bytes.Equal(e.crlf.Sum(nil), want):
		return HashEncodedFinal, true
	case bytes.Equal(e.lf.Sum(nil), want):
		return HashEncodedLFFinal, true
	}
	return "", false
}
