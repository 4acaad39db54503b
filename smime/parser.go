package smime

import (
	"crypto"
	"errors"
	"io"
	"strings"

	"github.com/ceralacca/go-pec/internal/cms"
	"github.com/ceralacca/go-pec/internal/rawmime"
)

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
	if len(head.Fields) == 0 {
		return refusef(ReasonHead, partHeader, "it has no field: this is no message")
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
		return refusef(ReasonNotSigned, partHeader, "not multipart/signed")
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
	der, err := rawmime.DecodeBase64(p.encoded)
	if err != nil {
		return nil, refuse(ReasonMIME, partSignature, err)
	}
	if len(der) > p.limits.Signature {
		return nil, p.signatureTooLarge()
	}
	u := &p.u
	if u.data, err = cms.Parse(der); err != nil {
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
