package pec

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// xmlScanner reads the part of XML 1.0 that certification data is written in,
// from a document held in memory.
//
// encoding/xml is not used, because its tokens do not tell what has to be
// refused here: it takes an attribute given twice, attributes with nothing
// between them, an XML declaration anywhere, text after the root, any directive
// at any place, and it gives no position for an attribute. Each could be
// checked around it only by reading the document a second time. What the DTD of
// certification data needs fits on two pages, says what it refuses in the place
// where it does so, and takes a quarter of the time. The tests hold it against
// encoding/xml: whatever is accepted here must mean the same there.
//
// The scanner keeps its first error and is then at the end of its document, so
// that a walk may go on without looking at the error after every step: nothing
// is found any more, and loops end.
type xmlScanner struct {
	doc     string // valid UTF-8 whose lines end in \n
	pos     int
	element string         // the element being read, for errors
	err     *CertDataError // the first error
}

// newXMLScanner prepares a document: byte order mark, line ends, XML
// declaration, encoding, and no character that XML does not allow.
func newXMLScanner(raw string) xmlScanner {
	doc, marked := strings.CutPrefix(raw, "\ufeff")
	if strings.Contains(doc, "\r") {
		// XML 1.0, section 2.11. Lines and columns stay what they were.
		doc = strings.ReplaceAll(doc, "\r\n", "\n")
		doc = strings.ReplaceAll(doc, "\r", "\n")
	}
	s := xmlScanner{doc: doc}
	switch encoding := s.declaration(); {
	case encoding == "UTF-8":
		s.checkCharacters(utf8.MaxRune)
	case marked:
		s.fail(0, ErrCertDataXML, "a byte order mark and an encoding that has none")
	case encoding == "US-ASCII":
		s.checkCharacters(0x7f)
	case encoding == "ISO-8859-1":
		s.doc = latin1ToUTF8(s.doc)
		s.checkCharacters(utf8.MaxRune)
	}
	return s
}

// fail records an error at an offset of the document, unless there is one.
func (s *xmlScanner) fail(at int, cause error, detail string) {
	if s.err == nil {
		s.failWith(at, fmt.Errorf("%w: %s", cause, detail))
	}
}

// passed records that the document passes a limit.
func (s *xmlScanner) passed(at, most int, what string) {
	if s.err == nil {
		s.failWith(at, passedLimit(most, what))
	}
}

func (s *xmlScanner) failWith(at int, err error) {
	before := s.doc[:at]
	lineStart := strings.LastIndexByte(before, '\n') + 1
	s.err = &CertDataError{
		Line:    1 + strings.Count(before, "\n"),
		Column:  1 + utf8.RuneCountInString(before[lineStart:]),
		Element: s.element,
		Err:     err,
	}
	s.pos = len(s.doc)
}

// declaration reads the XML declaration, if there is one, and returns the
// encoding of the document, in capitals.
func (s *xmlScanner) declaration() (encoding string) {
	encoding = "UTF-8"
	if !s.next("<?xml") || len(s.doc) == len("<?xml") || !isXMLSpace(s.doc[len("<?xml")]) {
		return encoding
	}
	s.pos = len("<?xml")
	last := "" // each may follow only some of the others
	for s.space() && !s.next("?>") {
		at := s.pos
		name := s.name()
		s.equals()
		value := s.quoted()
		switch {
		case name == "version" && last == "" && value == "1.0":
		case name == "encoding" && last == "version":
			encoding = strings.ToUpper(value)
			if encoding != "UTF-8" && encoding != "US-ASCII" && encoding != "ISO-8859-1" {
				s.fail(at, ErrCertDataXML, "an encoding other than UTF-8, US-ASCII and ISO-8859-1")
			}
		case name == "standalone" && (last == "version" || last == "encoding") && (value == "yes" || value == "no"):
		default:
			s.fail(at, ErrCertDataXML, "not an XML 1.0 declaration")
		}
		last = name
	}
	if last == "" {
		s.fail(s.pos, ErrCertDataXML, "an XML declaration without version")
	}
	s.need("?>")
	return encoding
}

// checkCharacters refuses what is not UTF-8, what XML 1.0 does not allow
// (section 2.2), and what lies above highest.
func (s *xmlScanner) checkCharacters(highest rune) {
	doc := s.doc
	for i := 0; i < len(doc); {
		if doc[i]-' ' < utf8.RuneSelf-' ' { // what most bytes are; one comparison
			i++
			continue
		}
		c, size := utf8.DecodeRuneInString(doc[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			s.fail(i, ErrCertDataXML, "not valid in the document's encoding")
			return
		case !isXMLChar(c), c > highest:
			s.fail(i, ErrCertDataXML, "a character that may not stand here")
			return
		}
		i += size
	}
}

// isXMLChar reports whether c is a Char. XML 1.0, section 2.2.
func isXMLChar(c rune) bool {
	switch {
	case c < 0x20:
		return c == '\t' || c == '\n' || c == '\r'
	case c < 0xd800:
		return true
	}
	return c > 0xdfff && c != 0xfffe && c != 0xffff && c <= utf8.MaxRune
}

func latin1ToUTF8(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func isXMLSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }

// isNameByte reports whether c can go on a name. Names outside ASCII are of no
// use here; their bytes count, so that none is mistaken for the end of one.
func isNameByte(c byte) bool {
	return isNameStart(c) || '0' <= c && c <= '9' || c == '-' || c == '.'
}

func isNameStart(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == ':' || c >= utf8.RuneSelf
}

// next reports whether token comes next.
func (s *xmlScanner) next(token string) bool {
	return strings.HasPrefix(s.doc[s.pos:], token)
}

// take skips token if it comes next.
func (s *xmlScanner) take(token string) bool {
	if !s.next(token) {
		return false
	}
	s.pos += len(token)
	return true
}

// need skips token, which must come next.
func (s *xmlScanner) need(token string) {
	if !s.take(token) {
		s.fail(s.pos, ErrCertDataXML, "no "+token+" where one must be")
	}
}

// space skips white space and reports whether there was any.
func (s *xmlScanner) space() bool {
	from := s.pos
	for s.pos < len(s.doc) && isXMLSpace(s.doc[s.pos]) {
		s.pos++
	}
	return s.pos > from
}

func (s *xmlScanner) needSpace() {
	if !s.space() {
		s.fail(s.pos, ErrCertDataXML, "no white space where some must be")
	}
}

// equals skips the sign between a name and a value.
func (s *xmlScanner) equals() {
	s.space()
	s.need("=")
	s.space()
}

// name reads a name, which must come next.
func (s *xmlScanner) name() string {
	from := s.pos
	if s.pos < len(s.doc) && isNameStart(s.doc[s.pos]) {
		s.nameBytes()
	}
	if s.pos == from {
		s.fail(from, ErrCertDataXML, "no name where one must be")
		return ""
	}
	return s.doc[from:s.pos]
}

// nameBytes skips bytes of a name and reports whether there were any.
func (s *xmlScanner) nameBytes() bool {
	from := s.pos
	for s.pos < len(s.doc) && isNameByte(s.doc[s.pos]) {
		s.pos++
	}
	return s.pos > from
}

// quoted reads a text in quotes, as it stands.
func (s *xmlScanner) quoted() string {
	if !s.next(`"`) && !s.next("'") {
		s.fail(s.pos, ErrCertDataXML, "no quoted value where one must be")
		return ""
	}
	text, _, closed := strings.Cut(s.doc[s.pos+1:], s.doc[s.pos:s.pos+1])
	if !closed {
		s.fail(s.pos, ErrCertDataXML, "a quoted value without end")
		return ""
	}
	s.pos += len(text) + 2
	return text
}

// misc skips what may stand between elements: white space, comments and
// processing instructions.
func (s *xmlScanner) misc() {
	for {
		s.space()
		switch {
		case s.next("<!--"):
			s.comment()
		case s.next("<?"):
			s.instruction()
		default:
			return
		}
	}
}

func (s *xmlScanner) comment() {
	from := s.pos
	text, _, closed := strings.Cut(s.doc[from+len("<!--"):], "--")
	if !closed {
		s.fail(from, ErrCertDataXML, "a comment without end")
		return
	}
	s.pos += len("<!--") + len(text)
	s.need("-->")
}

// instruction skips a processing instruction. Nothing obeys it.
func (s *xmlScanner) instruction() {
	from := s.pos
	s.pos += len("<?")
	if target := s.name(); strings.EqualFold(target, "xml") || strings.Contains(target, ":") {
		s.fail(from, ErrCertDataXML, "a processing instruction with a name that it may not have")
	}
	if s.take("?>") {
		return
	}
	s.needSpace()
	text, _, closed := strings.Cut(s.doc[s.pos:], "?>")
	if !closed {
		s.fail(from, ErrCertDataXML, "a processing instruction without end")
		return
	}
	s.pos += len(text) + len("?>")
}

// nextElement reports whether, after white space and comments, the start tag of
// the element called name comes next.
func (s *xmlScanner) nextElement(name string) bool {
	s.misc()
	rest := s.doc[s.pos:]
	end := 1 + len(name)
	return len(rest) > end && rest[0] == '<' && rest[1:end] == name && !isNameByte(rest[end])
}

// startTag is a start tag that was read.
type startTag struct {
	at         int // offset of the tag
	empty      bool
	attributes [2]attribute // in the order in which they were asked for
}

type attribute struct {
	at    int // offset of the name
	given bool
	value string
}

// open reads the start tag of the element called name, which must come next,
// with no attributes but the known ones.
func (s *xmlScanner) open(name string, known ...string) (tag startTag) {
	s.element = name
	if !s.nextElement(name) {
		s.fail(s.pos, ErrCertDataForm, "something else stands in its place")
		return tag
	}
	tag.at = s.pos
	s.pos += 1 + len(name)
	for {
		spaced := s.space()
		switch {
		case s.take(">"):
			return tag
		case s.take("/>"):
			tag.empty = true
			return tag
		case !spaced:
			s.fail(s.pos, ErrCertDataXML, "no white space before an attribute")
			return tag
		}
		s.attribute(&tag, known)
	}
}

// attribute reads one attribute of a start tag.
func (s *xmlScanner) attribute(tag *startTag, known []string) {
	at := s.pos
	name := s.name()
	s.equals()
	value := s.attributeValue()
	i := slices.Index(known, name)
	switch {
	case i < 0:
		s.fail(at, ErrCertDataForm, "an attribute that does not belong here")
	case tag.attributes[i].given:
		s.fail(at, ErrCertDataXML, "an attribute given twice")
	default:
		tag.attributes[i] = attribute{at: at, given: true, value: value}
	}
}

// attributeValue reads the value of an attribute. XML 1.0, section 3.3.3.
func (s *xmlScanner) attributeValue() string {
	from := s.pos
	text := s.quoted()
	if !strings.ContainsAny(text, "<&\t\n") {
		return text
	}
	if strings.Contains(text, "<") {
		s.fail(from, ErrCertDataXML, "a < in the value of an attribute")
		return ""
	}
	end := s.pos
	s.pos = from + 1
	var b strings.Builder
	for s.pos < end-1 {
		switch c := s.doc[s.pos]; c {
		case '&':
			b.WriteRune(s.reference())
		case '\t', '\n':
			b.WriteByte(' ')
			s.pos++
		default:
			b.WriteByte(c)
			s.pos++
		}
	}
	if s.err == nil {
		s.pos = end
	}
	return b.String()
}

// begin is open for an element with children.
func (s *xmlScanner) begin(name string, known ...string) startTag {
	tag := s.open(name, known...)
	if tag.empty {
		s.fail(tag.at, ErrCertDataForm, "no elements in it")
	}
	return tag
}

// end reads the end tag of an element with children.
func (s *xmlScanner) end(name string) {
	s.element = name
	s.misc()
	s.endTag(name)
}

func (s *xmlScanner) endTag(name string) {
	at := s.pos
	if !s.take("</") {
		s.fail(at, ErrCertDataForm, "something that does not belong here")
		return
	}
	if s.name() != name {
		s.fail(at, ErrCertDataXML, "the end tag of another element")
	}
	s.space()
	s.need(">")
}

// text reads the content and the end tag of an element that holds text alone.
func (s *xmlScanner) text(tag startTag) string {
	if tag.empty {
		return ""
	}
	text := s.characters()
	s.endTag(s.element)
	return text
}

// characters reads character data up to a tag. Comments and processing
// instructions in it are refused: a reader that takes the first of several
// pieces of text would see another value than one that joins them.
func (s *xmlScanner) characters() string {
	var joined strings.Builder // empty as long as there is one plain run of text
	for {
		run := s.run()
		switch {
		case s.next("&"):
			joined.WriteString(run)
			joined.WriteRune(s.reference())
		case s.next("<![CDATA["):
			joined.WriteString(run)
			joined.WriteString(s.cdata())
		case s.next("]]>"):
			s.fail(s.pos, ErrCertDataXML, "]]> in text")
		case s.next("<!"), s.next("<?"):
			s.fail(s.pos, ErrCertDataForm, "a comment or an instruction in the midst of text")
		case s.next("<"):
			if joined.Len() == 0 {
				return run
			}
			joined.WriteString(run)
			return joined.String()
		case s.take("]"):
			joined.WriteString(run)
			joined.WriteByte(']')
		default:
			s.fail(len(s.doc), ErrCertDataXML, "the document ends in the midst of text")
			return ""
		}
	}
}

// run reads text up to the next byte that may mean something else.
func (s *xmlScanner) run() string {
	rest := s.doc[s.pos:]
	n := 0
	for n < len(rest) && rest[n] != '<' && rest[n] != '&' && rest[n] != ']' {
		n++
	}
	s.pos += n
	return rest[:n]
}

func (s *xmlScanner) cdata() string {
	text, _, closed := strings.Cut(s.doc[s.pos+len("<![CDATA["):], "]]>")
	if !closed {
		s.fail(s.pos, ErrCertDataXML, "a CDATA section without end")
		return ""
	}
	s.pos += len("<![CDATA[") + len(text) + len("]]>")
	return text
}

// reference reads a reference to a character, by number or by one of the five
// names that need no declaration.
func (s *xmlScanner) reference() rune {
	at := s.pos
	s.pos++
	if s.take("#") {
		return s.characterNumber(at)
	}
	name := s.name()
	s.need(";")
	switch name {
	case "amp":
		return '&'
	case "lt":
		return '<'
	case "gt":
		return '>'
	case "quot":
		return '"'
	case "apos":
		return '\''
	}
	s.fail(at, ErrCertDataEntity, "a reference to an entity that XML does not have")
	return 0
}

// characterNumber reads the number of a character reference, after the #.
func (s *xmlScanner) characterNumber(at int) rune {
	base := rune(10)
	if s.take("x") {
		base = 16
	}
	from := s.pos
	var c rune
	for ; s.pos < len(s.doc); s.pos++ {
		digit := hexDigit(s.doc[s.pos])
		if digit < 0 || digit >= base {
			break
		}
		c = min(c*base+digit, utf8.MaxRune+1) // no overflow
	}
	if s.pos == from || !isXMLChar(c) {
		s.fail(at, ErrCertDataXML, "a reference to no character")
	}
	s.need(";")
	return c
}

func hexDigit(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}
