package smime

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/ceralacca/go-pec/internal/cms"
	"github.com/ceralacca/go-pec/internal/rawmime"
)

// Header gives the fields of a message's top-level header. They are not signed:
// anyone may have written them.
type Header struct {
	head rawmime.Head
}

// Values returns the values of every field called name, in any case, unfolded.
func (h Header) Values(name string) []string { return h.head.Values(name) }

// ParseOptions are the options of [Parse]. The zero value works.
type ParseOptions struct {
	// Header, if not nil, is called with the top-level header once that was
	// read. An error of it ends the parsing and is returned as it is.
	Header func(Header) error
	// Content, if not nil, is given the signed entity, head and body, byte for
	// byte as received. None of it is proven until Verify succeeds. An error of
	// it ends the parsing and is returned as it is.
	Content io.Writer
	// Limits bound what the message may cost.
	Limits Limits
}

// Unverified is a signed message whose form is good. It proves nothing. Only
// [Parse] makes one; the zero value does not verify.
type Unverified struct {
	header        Header
	contentOffset int64
	contentSize   int64
	digests       map[crypto.Hash][]byte
	isDERSet      bool // the content could be the attributes of a signature
	data          *cms.SignedData
}

// Header returns the top-level header, which is not signed.
func (u *Unverified) Header() Header { return u.header }

// ContentOffset returns where in the input the signed entity begins.
func (u *Unverified) ContentOffset() int64 { return u.contentOffset }

// ContentSize returns the number of bytes of the signed entity, as received.
func (u *Unverified) ContentSize() int64 { return u.contentSize }

// Digest returns the digest of the signed entity with its line ends as CRLF, as
// the signer made it. SHA-256 is always there, as a name for the content; other
// digests are nil if the signature does not use them.
func (u *Unverified) Digest(h crypto.Hash) []byte { return bytes.Clone(u.digests[h]) }

// Parse reads a message of type multipart/signed up to its close delimiter.
//
// It takes one pass and constant memory, whatever the size. The digest algorithm
// is known for sure only at the end, in the signature; Parse computes the one
// that the header announces, and should that be a lie, reads the content again
// if r is an [io.Seeker], and refuses the message otherwise.
//
// Errors are [*Error] values, errors of r, or errors of the options' own.
func Parse(r io.Reader, opts ParseOptions) (*Unverified, error) {
	start, canSeek := position(r)
	p := &parser{opts: opts, limits: opts.Limits.withDefaults()}
	if err := p.readAll(r); err != nil {
		return nil, err
	}
	u, err := p.finish()
	if err != nil {
		return nil, err
	}
	missing := u.missingDigests()
	if len(missing) == 0 {
		return u, nil
	}
	if !canSeek {
		return nil, refusef(ReasonAlgorithm, partSignature, "digest is not the one that the header announces, and the message can't be read again")
	}
	if err := u.readAgain(r, start, missing); err != nil {
		return nil, fmt.Errorf("smime: reading the message again: %w", err)
	}
	return u, nil
}

// readAgain computes the missing digests. What was given to the caller was read
// the first time, so the second must not differ.
func (u *Unverified) readAgain(r io.Reader, start int64, missing map[crypto.Hash]hash.Hash) error {
	if _, err := r.(io.Seeker).Seek(start+u.contentOffset, io.SeekStart); err != nil {
		return err
	}
	missing[crypto.SHA256] = crypto.SHA256.New()
	again := hashContent(missing)
	if _, err := io.CopyN(again, r, u.contentSize); err != nil {
		return err
	}
	before := u.digests[crypto.SHA256]
	again.sums(u.digests)
	if !bytes.Equal(before, u.digests[crypto.SHA256]) {
		return errors.New("it has changed")
	}
	return nil
}

func position(r io.Reader) (start int64, ok bool) {
	s, ok := r.(io.Seeker)
	if !ok {
		return 0, false
	}
	start, err := s.Seek(0, io.SeekCurrent)
	return start, err == nil
}

// missingDigests returns a hash for each digest that the signers use and that
// was not computed.
func (u *Unverified) missingDigests() map[crypto.Hash]hash.Hash {
	missing := make(map[crypto.Hash]hash.Hash)
	for _, s := range u.data.Signers {
		if u.digests[s.Digest] == nil {
			missing[s.Digest] = s.Digest.New()
		}
	}
	return missing
}

// parser takes a message in pieces, as they are read.
type parser struct {
	opts   ParseOptions
	limits Limits

	taken    int64
	headBuf  rawmime.HeadCollector
	bodyAt   int64 // offset of the top-level body
	splitter *rawmime.Splitter
	u        Unverified

	part    int
	content *contentHash
	encoded []byte // the signature in base64
}

// errDone stops the reading when the close delimiter was seen.
var errDone = errors.New("done")

// readAll feeds the parser. It reads no further than the buffer that holds the
// close delimiter.
func (p *parser) readAll(r io.Reader) error {
	p.headBuf.Limit = p.limits.Head
	_, err := io.Copy(p, r)
	if errors.Is(err, errDone) {
		return nil
	}
	if err != nil {
		return err
	}
	if p.splitter == nil {
		// No empty line: a message of a head only.
		if err := p.startBody(p.headBuf.Bytes()); err != nil {
			return err
		}
	}
	if err := p.splitter.Close(); err != nil {
		return explain(err, ReasonMIME, partMessage)
	}
	return nil
}

// Write implements io.Writer for io.Copy.
func (p *parser) Write(b []byte) (int, error) {
	n := len(b)
	over := p.taken + int64(n) - p.limits.Message
	if over > 0 {
		b = b[:max(int64(n)-over, 0)]
	}
	p.taken += int64(len(b))
	if p.splitter == nil {
		rest, done, err := p.headBuf.Feed(b)
		if err != nil {
			return 0, explain(err, ReasonHead, partHeader)
		}
		if !done {
			return n, p.checkSize(over)
		}
		p.bodyAt = p.taken - int64(len(rest))
		if err := p.startBody(p.headBuf.Bytes()); err != nil {
			return 0, err
		}
		b = rest
	}
	if _, err := p.splitter.Write(b); err != nil {
		return 0, explainSink(err)
	}
	if p.splitter.Done() {
		return n, errDone
	}
	return n, p.checkSize(over)
}

// checkSize refuses a message that goes over its limit before it is complete.
func (p *parser) checkSize(over int64) error {
	if over > 0 {
		return refuse(ReasonLimit, partMessage, &LimitError{"bytes of a message", p.limits.Message})
	}
	return nil
}

// sinkError carries an error of the caller's own through the splitter unchanged.
type sinkError struct{ error }

func explainSink(err error) error {
	var own sinkError
	if errors.As(err, &own) {
		return own.error
	}
	return explain(err, ReasonMIME, partMessage)
}

// startBody judges the top-level header.
func (p *parser) startBody(raw []byte) error {
	head, err := rawmime.ParseHead(raw, rawmime.HeadLimits{Bytes: p.limits.Head, Lines: p.limits.HeadLines})
	if err != nil {
		return explain(err, ReasonHead, partHeader)
	}
	p.u.header = Header{*head}
	if p.opts.Header != nil {
		if err := p.opts.Header(p.u.header); err != nil {
			return err
		}
	}
	mt, err := contentType(head, partHeader)
	if err != nil {
		return err
	}
	if err := checkSignedType(mt); err != nil {
		return err
	}
	if err := checkIdentityEncoding(head, partHeader); err != nil {
		return err
	}
	micalg, _ := mt.Param("micalg")
	p.content = newContentHash(micalg)
	boundary, _ := mt.Param("boundary")
	// A third part is refused when it begins, with a reason of its own.
	p.splitter, err = rawmime.NewSplitter(boundary, p, 3, p.limits.Head)
	if err != nil {
		return explain(err, ReasonMIME, partHeader)
	}
	return nil
}

// contentType reads the Content-Type of a head; none means text/plain.
func contentType(head *rawmime.Head, part string) (*rawmime.MediaType, error) {
	value, err := head.Single("Content-Type")
	if err != nil {
		return nil, explain(err, ReasonHead, part)
	}
	if value == "" {
		return &rawmime.MediaType{Type: "text/plain"}, nil
	}
	mt, err := rawmime.ParseMediaType(value)
	if err != nil {
		return nil, explain(err, ReasonHead, part)
	}
	return mt, nil
}

func checkSignedType(mt *rawmime.MediaType) error {
	switch mt.Type {
	case "multipart/signed":
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return refusef(ReasonProfile, partHeader, "opaque S/MIME, not multipart/signed")
	default:
		return refuse(ReasonNotSigned, partHeader, nil)
	}
	protocol, _ := mt.Param("protocol")
	if !isSignatureType(strings.ToLower(protocol)) {
		return refusef(ReasonProfile, partHeader, "multipart/signed of another protocol")
	}
	return nil
}

func isSignatureType(t string) bool {
	return t == "application/pkcs7-signature" || t == "application/x-pkcs7-signature"
}

// checkIdentityEncoding refuses a multipart that is transfer-encoded, which RFC
// 2045, section 6.4, forbids and which would leave what is signed open.
func checkIdentityEncoding(head *rawmime.Head, part string) error {
	encoding, err := head.Single("Content-Transfer-Encoding")
	if err != nil {
		return explain(err, ReasonHead, part)
	}
	switch strings.ToLower(encoding) {
	case "", "7bit", "8bit", "binary":
		return nil
	}
	return refusef(ReasonMIME, part, "multipart with a transfer encoding")
}

// BeginPart implements rawmime.PartSink.
func (p *parser) BeginPart(n int) error {
	p.part = n
	if n > 1 {
		return refusef(ReasonProfile, partMessage, "multipart/signed of more than two parts")
	}
	return nil
}

// Head implements rawmime.PartSink.
func (p *parser) Head(raw []byte, offset int64) error {
	if p.part == 0 {
		p.u.contentOffset = p.bodyAt + offset
		return p.signed(raw, hasBareLF(raw))
	}
	head, err := rawmime.ParseHead(raw, rawmime.HeadLimits{Bytes: p.limits.Head, Lines: p.limits.HeadLines})
	if err != nil {
		return explain(err, ReasonHead, partSignature)
	}
	mt, err := contentType(head, partSignature)
	if err != nil {
		return err
	}
	if !isSignatureType(mt.Type) {
		return refusef(ReasonProfile, partSignature, "second part is not a PKCS #7 signature")
	}
	encoding, err := head.Single("Content-Transfer-Encoding")
	if err != nil {
		return explain(err, ReasonHead, partSignature)
	}
	if !strings.EqualFold(encoding, "base64") {
		return refusef(ReasonMIME, partSignature, "not in base64")
	}
	return nil
}

// Body implements rawmime.PartSink.
func (p *parser) Body(b []byte, bareLF bool) error {
	if p.part == 0 {
		return p.signed(b, bareLF)
	}
	most := (p.limits.Signature/3+1)*4 + p.limits.Signature/8 // base64 in lines
	if len(p.encoded)+len(b) > most {
		return p.signatureTooLarge()
	}
	p.encoded = append(p.encoded, b...)
	return nil
}

func (p *parser) signatureTooLarge() error {
	return refuse(ReasonLimit, partSignature, &LimitError{"bytes of a signature", int64(p.limits.Signature)})
}

// EndPart implements rawmime.PartSink.
func (p *parser) EndPart(int64) error { return nil }

// signed takes bytes of the signed entity.
func (p *parser) signed(b []byte, bareLF bool) error {
	p.u.contentSize += int64(len(b))
	p.content.add(b, bareLF)
	if p.opts.Content == nil {
		return nil
	}
	if _, err := p.opts.Content.Write(b); err != nil {
		return sinkError{err}
	}
	return nil
}

// finish decodes the signature.
func (p *parser) finish() (*Unverified, error) {
	if p.part != 1 {
		return nil, refusef(ReasonProfile, partMessage, "multipart/signed without a signature")
	}
	der := make([]byte, base64.StdEncoding.DecodedLen(len(p.encoded)))
	n, err := base64.StdEncoding.Strict().Decode(der, p.encoded)
	if err != nil {
		return nil, refusef(ReasonMIME, partSignature, "reading base64: %w", err)
	}
	if n > p.limits.Signature {
		return nil, p.signatureTooLarge()
	}
	u := &p.u
	if u.data, err = cms.Parse(der[:n]); err != nil {
		return nil, explain(err, ReasonCMS, partSignature)
	}
	u.digests = make(map[crypto.Hash][]byte, 1)
	p.content.sums(u.digests)
	u.isDERSet = isDERSet(p.content.first, p.content.size)
	return u, nil
}

// maxSetHeader is enough of the content to see the header of a DER SET.
const maxSetHeader = 6

// isDERSet reports whether content of the given size that begins with first is
// one DER SET. Signed attributes are such a set: a signature made over content
// without attributes could be one made over attributes, and the other way round.
func isDERSet(first []byte, size int64) bool {
	if len(first) < 2 || first[0] != 0x31 {
		return false
	}
	length, header := int64(first[1]), int64(2)
	if first[1] >= 0x80 {
		n := int(first[1] & 0x7f)
		if n == 0 || n > maxSetHeader-2 || len(first) < 2+n {
			return false
		}
		length, header = 0, int64(2+n)
		for _, c := range first[2 : 2+n] {
			length = length<<8 | int64(c)
		}
	}
	return header+length == size
}
