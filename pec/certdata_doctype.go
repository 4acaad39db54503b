package pec

import "strings"

// doctype reads a document type declaration, if one comes next.
//
// Real documents carry one, naming a DTD file or holding the declarations of
// the technical rules. It is read to the end, so that the document is known to
// be well-formed, and changes nothing: nothing is fetched, and what could change
// the meaning of the text (entities, notations, other attribute defaults than
// those of the technical rules) is refused.
func (s *xmlScanner) doctype() {
	if !s.take("<!DOCTYPE") {
		return
	}
	s.needSpace()
	if at := s.pos; s.name() != rootElement {
		s.fail(at, ErrCertDataForm, "a document type other than "+rootElement)
	}
	if s.space() {
		s.externalID()
	}
	s.space()
	if s.take("[") {
		s.internalSubset()
		s.space()
	}
	s.need(">")
}

// externalID reads the name of a DTD that is never fetched. XML 1.0, section 4.2.2.
func (s *xmlScanner) externalID() {
	switch {
	case s.take("SYSTEM"):
	case s.take("PUBLIC"):
		s.needSpace()
		at := s.pos
		if strings.IndexFunc(s.quoted(), notPublicID) >= 0 {
			s.fail(at, ErrCertDataXML, "a public identifier with a character that it may not have")
		}
	default:
		return
	}
	s.needSpace()
	s.quoted()
}

func notPublicID(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return false
	}
	return !strings.ContainsRune(" \n-'()+,./:=?;!*#@$_%", c)
}

// internalSubset reads declarations up to the closing bracket.
func (s *xmlScanner) internalSubset() {
	for s.err == nil {
		s.space()
		switch {
		case s.take("]"):
			return
		case s.next("<!--"):
			s.comment()
		case s.take("<!ELEMENT"):
			s.elementDeclaration()
		case s.take("<!ATTLIST"):
			s.attributeDeclarations()
		case s.next("<!ENTITY"), s.next("<!NOTATION"), s.next("<!["), s.next("%"):
			s.fail(s.pos, ErrCertDataEntity, "a declaration that certification data has no use for")
		default:
			s.fail(s.pos, ErrCertDataXML, "something other than a declaration")
		}
	}
}

// elementDeclaration reads the rest of <!ELEMENT. XML 1.0, section 3.2.
func (s *xmlScanner) elementDeclaration() {
	s.needSpace()
	s.name()
	s.needSpace()
	if !s.take("EMPTY") && !s.take("ANY") {
		s.contentGroup(1)
	}
	s.space()
	s.need(">")
}

// contentGroup reads a group in brackets of a content model.
func (s *xmlScanner) contentGroup(depth int) {
	if depth > maxXMLDepth {
		s.passed(s.pos, maxXMLDepth, "levels of a content model")
	}
	s.need("(")
	s.space()
	if depth == 1 && s.take("#PCDATA") {
		s.mixedContent()
		return
	}
	separator := ""
	for {
		s.contentParticle(depth)
		s.space()
		switch {
		case s.take(")"):
			s.occurrence()
			return
		case separator == "" && (s.next(",") || s.next("|")):
			separator = s.doc[s.pos : s.pos+1]
			s.pos++
		case separator == "" || !s.take(separator):
			s.fail(s.pos, ErrCertDataXML, "a content model that can't be read")
			return
		}
		s.space()
	}
}

func (s *xmlScanner) contentParticle(depth int) {
	if s.next("(") {
		s.contentGroup(depth + 1)
		return
	}
	s.name()
	s.occurrence()
}

// mixedContent reads the rest of a content model that begins with #PCDATA.
func (s *xmlScanner) mixedContent() {
	s.space()
	names := false
	for s.take("|") {
		names = true
		s.space()
		s.name()
		s.space()
	}
	s.need(")")
	if names {
		s.need("*")
	} else {
		s.take("*")
	}
}

func (s *xmlScanner) occurrence() {
	_ = s.take("?") || s.take("*") || s.take("+")
}

// attributeDeclarations reads the rest of <!ATTLIST. XML 1.0, section 3.3.
func (s *xmlScanner) attributeDeclarations() {
	s.needSpace()
	element := s.name()
	for s.space() && !s.next(">") {
		name := s.name()
		s.needSpace()
		s.attributeType()
		s.needSpace()
		if s.take("#REQUIRED") || s.take("#IMPLIED") {
			continue
		}
		at := s.pos
		fixed := s.take("#FIXED")
		s.space()
		if value := s.quoted(); fixed || !isOwnDefault(element, name, value) {
			s.fail(at, ErrCertDataEntity, "an attribute default that the technical rules don't have")
		}
	}
	s.need(">")
}

// isOwnDefault reports whether a default is one of the two of RFC 6109,
// section 4.4.
func isOwnDefault(element, name, value string) bool {
	return element == rootElement && name == "errore" && value == string(ErrorNone) ||
		element == "destinatari" && name == "tipo" && value == string(RecipientCertified)
}

func (s *xmlScanner) attributeType() {
	if s.take("(") {
		s.enumeration()
		return
	}
	at := s.pos
	switch s.name() {
	case "CDATA", "ID", "IDREF", "IDREFS", "NMTOKEN", "NMTOKENS":
	case "ENTITY", "ENTITIES", "NOTATION":
		s.fail(at, ErrCertDataEntity, "an attribute that names an entity or a notation")
	default:
		s.fail(at, ErrCertDataXML, "an attribute type that XML does not have")
	}
}

func (s *xmlScanner) enumeration() {
	for {
		s.space()
		if !s.nameBytes() {
			s.fail(s.pos, ErrCertDataXML, "no name in an enumeration")
		}
		s.space()
		if !s.take("|") {
			s.need(")")
			return
		}
	}
}
