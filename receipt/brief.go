package receipt

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"mime/quotedprintable"
	"slices"
	"strings"
	"unicode/utf8"

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

// readings are all readings, in the order in which they are tried.
var readings = [...]HashReading{
	HashDecoded, HashEncoded, HashEncodedFinal, HashEncodedLF, HashEncodedLFFinal, HashEncodedJoined,
}

// readingSet is a set of readings: bit n stands for readings[n].
type readingSet uint8

const anyReading readingSet = 1<<len(readings) - 1

// hashLengths are the digests by the number of their bytes. The rules have
// SHA-1; the others are what it may have been replaced by.
var hashLengths = map[int]crypto.Hash{20: crypto.SHA1, 32: crypto.SHA256, 64: crypto.SHA512}

// hashComparison compares a message with the copy of it in which attachments
// were replaced by their hashes, both part by part.
type hashComparison struct {
	theirs, own *partScanner
	possible    readingSet  // readings that fit every hash so far
	hash        crypto.Hash // the weakest so far; 0 if nothing was hashed
}

func newHashComparison(theirs, own *partScanner) *hashComparison {
	return &hashComparison{theirs: theirs, own: own, possible: anyReading}
}

// reading returns the first reading that fits every hash.
func (c *hashComparison) reading() HashReading {
	for i, r := range readings {
		if c.possible&(1<<i) != 0 {
			return r
		}
	}
	return HashSeveral
}

// Bounds of what is compared.
const (
	topLevel  = 0
	maxNested = 20
	maxParts  = 1000
)

// entity compares a message or a part, both heads of which were read.
func (c *hashComparison) entity(original, mine *rawmime.Head, depth int) error {
	mt, err := mediaType(mine)
	if err != nil {
		return err
	}
	if isReplaceable(mine, mt) && isHash(original) {
		return c.attachment(original, mine)
	}
	if err := sameFields(original, mine, contentFields(original, mine)); err != nil {
		return err
	}
	if strings.HasPrefix(mt.Type, "multipart/") {
		return c.multipart(mt, depth)
	}
	return sameBytes(c.theirs, c.own)
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

// hashSuffix stands behind the name of the part that was replaced.
const hashSuffix = ".hash"

// isHash reports whether a part stands in place of another: a text with the name
// of the other and .hash behind it.
func isHash(head *rawmime.Head) bool {
	mt, err := mediaType(head)
	return err == nil && mt.Type == "text/plain" && slices.ContainsFunc(namesOf(head), func(name string) bool {
		return strings.HasSuffix(strings.ToLower(name), hashSuffix)
	})
}

// namesOf returns the names of a part; none if they can't be read.
func namesOf(head *rawmime.Head) []string {
	mt, err := mediaType(head)
	if err != nil {
		return nil
	}
	names, err := partNames(head, mt)
	if err != nil {
		return nil
	}
	return names
}

// isNamedAfter reports whether a hash has the name of the part in whose place it
// stands. Names beyond ASCII can be written in many ways, and are not compared.
func isNamedAfter(original, mine *rawmime.Head) bool {
	names := namesOf(mine)
	if len(names) == 0 || slices.ContainsFunc(names, isBeyondASCII) {
		return true
	}
	return slices.ContainsFunc(namesOf(original), func(hash string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(hash, name+hashSuffix) })
	})
}

func isBeyondASCII(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= utf8.RuneSelf }) >= 0
}

func mediaType(head *rawmime.Head) (*rawmime.MediaType, error) {
	value := head.Get("Content-Type")
	if value == "" {
		return &rawmime.MediaType{Type: "text/plain"}, nil
	}
	mt, err := rawmime.ParseMediaType(value)
	if err != nil {
		return nil, unreadable("a Content-Type that can't be read")
	}
	return mt, nil
}

// multipart compares the parts of a multipart. It ends at the delimiter that ends
// it, which may be an outer one.
func (c *hashComparison) multipart(mt *rawmime.MediaType, depth int) error {
	boundary, _ := mt.Param("boundary")
	if boundary == "" {
		return unreadable("a multipart without boundary")
	}
	if depth >= maxNested {
		return unreadable("parts nested too deep")
	}
	c.theirs.open(boundary)
	c.own.open(boundary)
	defer c.theirs.close(depth)
	defer c.own.close(depth)
	for n := range maxParts {
		end, err := c.next()
		if err != nil || end.level != depth {
			return err
		}
		c.theirs.resume()
		c.own.resume()
		if end.closing {
			return nil
		}
		if err := c.part(depth+1, depth == topLevel && mt.Type == "multipart/signed" && n > 0); err != nil {
			return err
		}
	}
	return unreadable("too many parts")
}

// next goes to the next delimiter in both.
func (c *hashComparison) next() (partEnd, error) {
	theirs, err := c.theirs.skip()
	if err != nil {
		return theirs, err
	}
	own, err := c.own.skip()
	if err == nil && own != theirs {
		err = difference("the number of parts")
	}
	return own, err
}

// part compares one part. The signature of the sender is kept whole, though it no
// longer fits.
func (c *hashComparison) part(depth int, isSignature bool) error {
	original, err := c.theirs.readHead()
	if err != nil {
		return err
	}
	mine, err := c.own.readHead()
	if err != nil {
		return err
	}
	if !isSignature {
		return c.entity(original, mine, depth)
	}
	if err := sameFields(original, mine, contentFields(original, mine)); err != nil {
		return err
	}
	return sameBytes(c.theirs, c.own)
}

// attachment compares a part with the hash that stands in its place.
func (c *hashComparison) attachment(original, mine *rawmime.Head) error {
	if !isNamedAfter(original, mine) {
		return unreadable("a hash with the name of another file")
	}
	text, err := io.ReadAll(io.LimitReader(decoded(original, c.theirs), 1024))
	if c.theirs.err != nil {
		return c.theirs.err
	}
	want, hexErr := hex.DecodeString(strings.TrimSpace(string(text)))
	algorithm, known := hashLengths[len(want)]
	if err != nil || hexErr != nil || !known {
		return unreadable("a hash that can't be read")
	}
	if c.hash == 0 || algorithm.Size() < c.hash.Size() {
		c.hash = algorithm
	}
	fitting, err := c.findReadings(mine, algorithm, want)
	if err != nil {
		return err
	}
	if fitting == 0 {
		return difference("an attachment, whose hash is another")
	}
	c.possible &= fitting
	return nil
}

// decoded undoes the transfer encoding of a part.
func decoded(head *rawmime.Head, body io.Reader) io.Reader {
	switch strings.ToLower(head.Get("Content-Transfer-Encoding")) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	}
	return body
}

// findReadings finds what of the part has the wanted hash, in one pass.
func (c *hashComparison) findReadings(head *rawmime.Head, algorithm crypto.Hash, want []byte) (readingSet, error) {
	file := algorithm.New()
	encoded := newEncodedHashes(algorithm)
	tee := io.TeeReader(c.own, encoded)
	_, decodeErr := io.Copy(file, decoded(head, tee))
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return 0, err
	}
	fitting := encoded.find(want)
	if decodeErr == nil && bytes.Equal(file.Sum(nil), want) {
		fitting |= 1 // what has no decoded form may still fit as it is encoded
	}
	return fitting, nil
}

// encodedHashes takes the hashes of an encoded text whose line ends are CRLF.
type encodedHashes struct {
	crlf, lf, joined hash.Hash
	scratch          []byte
}

func newEncodedHashes(h crypto.Hash) *encodedHashes {
	return &encodedHashes{crlf: h.New(), lf: h.New(), joined: h.New()}
}

func (e *encodedHashes) Write(p []byte) (int, error) {
	e.crlf.Write(p)
	// A CR in encoded text is always part of a line end.
	e.scratch = without(e.scratch[:0], p, '\r')
	e.lf.Write(e.scratch)
	e.joined.Write(without(e.scratch[:0], e.scratch, '\n'))
	return len(p), nil
}

// without appends p without the bytes c to out, which may be the front of p.
func without(out, p []byte, c byte) []byte {
	for {
		i := bytes.IndexByte(p, c)
		if i < 0 {
			return append(out, p...)
		}
		out = append(out, p[:i]...)
		p = p[i+1:]
	}
}

// find returns the readings that have the wanted hash. The line end before the
// delimiter is not part of what was written.
func (e *encodedHashes) find(want []byte) readingSet {
	crlf, lf := e.crlf.Sum(nil), e.lf.Sum(nil)
	e.crlf.Write([]byte("\r\n"))
	e.lf.Write([]byte("\n"))
	var fitting readingSet
	for i, sum := range [][]byte{nil, crlf, e.crlf.Sum(nil), lf, e.lf.Sum(nil), e.joined.Sum(nil)} {
		if bytes.Equal(sum, want) {
			fitting |= 1 << i
		}
	}
	return fitting
}
