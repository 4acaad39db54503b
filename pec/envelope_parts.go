package pec

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/ceralacca/go-pec/internal/rawmime"
)

// Limits of the structure of a message to be sent.
const (
	maxPartDepth = 8    // multiparts in one another
	maxParts     = 64   // parts of one multipart
	maxAllParts  = 1000 // parts of a message
	maxBoundary  = 70   // RFC 2046, section 5.1.1
)

// partChecker looks at the heads of the parts of a message while its lines go by.
type partChecker struct {
	c     *envelopeCheck
	open  []openMultipart // from the outermost
	count int             // parts seen
	names map[string]bool // of attachments

	inHead   bool
	head     bytes.Buffer
	headLine int // the line before the head
}

// openMultipart is a multipart whose last delimiter has not come yet.
type openMultipart struct {
	boundary string
	parts    int
}

// begin begins with the head of the message.
func (p *partChecker) begin(c *envelopeCheck) {
	p.c = c
	p.names = make(map[string]bool)
	p.entity(c.head, 0)
}

// line takes the next line of the body.
func (p *partChecker) line(text []byte, number int) {
	if level, last := p.delimiter(text); level >= 0 {
		p.endHead()
		p.cross(level, last, number)
		return
	}
	switch {
	case !p.inHead:
	case len(text) == 0:
		p.endHead()
	case p.head.Len() > maxHead:
		p.c.fault(ErrMIME, "", number, "a part whose head is too long")
		p.inHead = false
	default:
		p.head.Write(text)
		p.head.WriteByte('\n')
	}
}

// end is the end of the message.
func (p *partChecker) end() {
	p.endHead()
	if len(p.open) > 0 {
		p.c.fault(ErrMIME, "", p.c.lines.count, "a multipart without its last delimiter")
	}
}

// delimiter returns which open multipart a line delimits, or -1, and whether it
// is the last of its delimiters. A delimiter is a whole line: --AAAB does not
// end AAA. RFC 2046, section 5.1.1.
func (p *partChecker) delimiter(text []byte) (level int, last bool) {
	after, ok := bytes.CutPrefix(text, []byte("--"))
	if !ok {
		return -1, false
	}
	after = bytes.TrimRight(after, " \t")
	for i := len(p.open) - 1; i >= 0; i-- {
		switch rest, ok := bytes.CutPrefix(after, []byte(p.open[i].boundary)); {
		case !ok:
		case len(rest) == 0:
			return i, false
		case string(rest) == "--":
			return i, true
		}
	}
	return -1, false
}

// cross goes over a delimiter of the multipart at a level.
func (p *partChecker) cross(level int, last bool, number int) {
	if level < len(p.open)-1 {
		p.c.fault(ErrMIME, "", number, "a multipart without its last delimiter")
		p.open = p.open[:level+1]
	}
	m := &p.open[level]
	if last {
		if m.parts == 0 {
			p.c.fault(ErrMIME, "", number, "a multipart without parts")
		}
		p.open = p.open[:level]
		return
	}
	m.parts++
	p.count++
	if m.parts > maxParts || p.count > maxAllParts {
		p.c.fault(ErrMIME, "", number, "too many parts")
		p.open = nil
		return
	}
	p.inHead, p.headLine = true, number
	p.head.Reset()
}

// endHead looks at the head of a part, if one was being read.
func (p *partChecker) endHead() {
	if !p.inHead {
		return
	}
	p.inHead = false
	head, err := rawmime.ParseHead(p.head.Bytes(), rawmime.HeadLimits{Bytes: 2 * maxHead})
	if err != nil {
		p.c.headFault(ErrMIME, p.headLine, err)
		return
	}
	p.entity(head, p.headLine)
}

// entity looks at the head of the message or of a part, which begins after a
// line.
func (p *partChecker) entity(h *rawmime.Head, after int) {
	contentType, ok1 := p.mediaType(h, "Content-Type", after)
	disposition, ok2 := p.mediaType(h, "Content-Disposition", after)
	if !ok1 || !ok2 || !p.encoding(h, contentType, after) {
		return
	}
	if strings.HasPrefix(contentType.Type, "multipart/") {
		p.multipart(contentType, after+lineOf(field(h, "Content-Type")))
		return
	}
	p.leaf(contentType, disposition, after+1)
}

// encoding checks the Content-Transfer-Encoding. Multiparts and messages can't
// be encoded. RFC 2045, section 6.4; RFC 2046, section 5.2.1.
func (p *partChecker) encoding(h *rawmime.Head, contentType *rawmime.MediaType, after int) bool {
	const name = "Content-Transfer-Encoding"
	f := field(h, name)
	if f == nil {
		return true
	}
	plain := strings.HasPrefix(contentType.Type, "multipart/") || contentType.Type == "message/rfc822"
	switch encoding := lowerASCII(f.Value); {
	case p.c.repeated(h, name, after):
	case encoding == "7bit", encoding == "8bit", encoding == "binary":
		return true
	case encoding != "base64" && encoding != "quoted-printable":
		p.c.fault(ErrMIME, name, after+f.Line, "an unknown encoding")
	case plain:
		p.c.fault(ErrMIME, name, after+f.Line, "an encoding that this type can't have")
	default:
		return true
	}
	return false
}

// mediaType reads a field that may stand once; without one, the type is "".
func (p *partChecker) mediaType(h *rawmime.Head, name string, after int) (*rawmime.MediaType, bool) {
	f := field(h, name)
	if f == nil {
		return new(rawmime.MediaType), true
	}
	if p.c.repeated(h, name, after) {
		return nil, false
	}
	m, err := rawmime.ParseMediaType(f.Value)
	if err != nil {
		p.c.fault(ErrMIME, name, after+f.Line, err.Error())
		return nil, false
	}
	return m, true
}

// multipart opens a multipart whose type stands on a line.
func (p *partChecker) multipart(contentType *rawmime.MediaType, line int) {
	boundary, _ := contentType.Param("boundary")
	switch {
	case boundary == "" || len(boundary) > maxBoundary || strings.HasSuffix(boundary, " "):
		p.c.fault(ErrMIME, "Content-Type", line, "a multipart without a usable boundary")
	case slices.ContainsFunc(p.open, func(m openMultipart) bool { return m.boundary == boundary }):
		p.c.fault(ErrMIME, "Content-Type", line, "a multipart with the boundary of one around it")
	case len(p.open) == maxPartDepth:
		p.c.fault(ErrMIME, "Content-Type", line, "multiparts too deep in one another")
	default:
		p.open = append(p.open, openMultipart{boundary: boundary})
	}
}

// confusingNames are those of the parts of receipts.
var confusingNames = []string{"daticert.xml", "certdata.xml", "postacert.eml", "smime.p7s"}

// leaf checks the name of a part, if it is an attachment: one that says so, that
// has a name, or that is neither text nor shown inline. Receipts with hashes in
// place of attachments know them by their names. RFC 6109, section 3.3.2.2.
func (p *partChecker) leaf(contentType, disposition *rawmime.MediaType, line int) {
	name, detail := attachmentName(contentType, disposition)
	isText := contentType.Type == "" || strings.HasPrefix(contentType.Type, "text/")
	attached := disposition.Type == "attachment" || !isText && disposition.Type != "inline"
	switch {
	case detail != "":
		p.c.fault(ErrAttachmentName, "", line, detail)
	case name == "" && attached:
		p.c.fault(ErrAttachmentName, "", line, "it has none")
	case name != "":
		p.named(lowerASCII(name), line)
	}
}

// attachmentName returns the one name of a part, or "", and what is wrong with it.
func attachmentName(contentType, disposition *rawmime.MediaType) (name, detail string) {
	name, named := contentType.Param("name")
	filename, filed := disposition.Param("filename")
	name, filename = decodeWords(name), decodeWords(filename)
	switch {
	case named && filed && name != filename:
		return "", "name and filename differ"
	case !named:
		name = filename
	}
	if strings.IndexFunc(name, unicode.IsControl) >= 0 {
		return "", "a control character in it"
	}
	return name, ""
}

// named checks the name, in lower case, of an attachment.
func (p *partChecker) named(name string, line int) {
	if p.names[name] {
		p.c.fault(ErrDuplicateAttachment, "", line, "")
	}
	p.names[name] = true
	extension := path.Ext(strings.TrimRight(name, ". "))
	if extension != "" && slices.Contains(p.c.profile.BlockedExtensions, extension) {
		p.c.fault(ErrBlockedExtension, "", line, fmt.Sprintf("%q", extension))
	}
	if slices.Contains(confusingNames, name) {
		p.c.warn(ErrConfusingName, "", line, "")
	}
}
