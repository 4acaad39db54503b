package pectest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"
)

// issued is a message that a provider issued, read with the standard library
// alone: who checks the simulator must not share the mistakes of its authors.
type issued struct {
	raw      []byte
	fields   []string // names in order, as they were written
	header   netmail.Header
	protocol string
	micalg   string
	entity   textproto.MIMEHeader // of what is signed
	plain    string               // the text, decoded and on one line
	html     string               // empty if there is none
	data     *postacert           // nil if there is no daticert.xml
	original []byte               // nil if there is no postacert.eml
	cms      []byte
}

// postacert is a daticert.xml. RFC 6109, section 4.4.
type postacert struct {
	Kind    string   `xml:"tipo,attr"`
	Error   string   `xml:"errore,attr"`
	Sender  string   `xml:"intestazione>mittente"`
	ReplyTo []string `xml:"intestazione>risposte"`
	Subject []string `xml:"intestazione>oggetto"`
	To      []struct {
		Type    string `xml:"tipo,attr"`
		Address string `xml:",chardata"`
	} `xml:"intestazione>destinatari"`
	Issuer string `xml:"dati>gestore-emittente"`
	Date   struct {
		Zone string `xml:"zona,attr"`
		Day  string `xml:"giorno"`
		Hour string `xml:"ora"`
	} `xml:"dati>data"`
	ID        []string `xml:"dati>identificativo"`
	MessageID []string `xml:"dati>msgid"`
	Type      []struct {
		Value string `xml:"tipo,attr"`
	} `xml:"dati>ricevuta"`
	Delivery []string `xml:"dati>consegna"`
	Taken    []string `xml:"dati>ricezione"`
	Detail   []string `xml:"dati>errore-esteso"`

	elements []string // names in order
}

// readIssued reads a message that was signed by a provider.
func readIssued(t *testing.T, raw []byte) *issued {
	t.Helper()
	m := &issued{raw: raw}
	if err := m.read(); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	return m
}

func (m *issued) read() error {
	if bytes.Contains(bytes.ReplaceAll(m.raw, []byte("\r\n"), nil), []byte("\n")) {
		return fmt.Errorf("a line does not end in CRLF")
	}
	outer, err := netmail.ReadMessage(bytes.NewReader(m.raw))
	if err != nil {
		return err
	}
	m.header = outer.Header
	head, _, _ := bytes.Cut(m.raw, []byte("\r\n\r\n"))
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if name, _, ok := strings.Cut(line, ":"); ok && line[0] != ' ' && line[0] != '\t' {
			m.fields = append(m.fields, name)
		}
	}
	kind, params, err := mime.ParseMediaType(m.header.Get("Content-Type"))
	if err != nil || kind != "multipart/signed" {
		return fmt.Errorf("Content-Type %q: %v, want multipart/signed", m.header.Get("Content-Type"), err)
	}
	m.protocol, m.micalg = params["protocol"], params["micalg"]
	parts, err := readParts(outer.Body, params["boundary"])
	if err != nil {
		return err
	}
	if len(parts) != 2 {
		return fmt.Errorf("%d parts, want what is signed and the signature", len(parts))
	}
	if got := parts[1].header.Get("Content-Type"); got != m.protocol+`; name="smime.p7s"` {
		return fmt.Errorf("type of the signature %q, want that of the protocol, %q", got, m.protocol)
	}
	if m.cms, err = decoded(parts[1]); err != nil {
		return err
	}
	return m.readEntity(parts[0])
}

// readEntity reads what is signed: a text, and after it at most one of each of the
// two attachments. RFC 6109, section 4.3.
func (m *issued) readEntity(p part) error {
	m.entity = p.header
	kind, params, err := mime.ParseMediaType(p.header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" {
		return fmt.Errorf("type of what is signed %q: %v, want multipart/mixed", kind, err)
	}
	parts, err := readParts(bytes.NewReader(p.body), params["boundary"])
	if err != nil {
		return err
	}
	for i, p := range parts {
		if i == 0 {
			err = m.readText(p)
		} else {
			err = m.readAttachment(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *issued) readText(p part) error {
	kind, params, err := mime.ParseMediaType(p.header.Get("Content-Type"))
	if err != nil {
		return err
	}
	texts := []part{p}
	if kind == "multipart/alternative" {
		if texts, err = readParts(bytes.NewReader(p.body), params["boundary"]); err != nil {
			return err
		}
	}
	for i, p := range texts {
		want := []string{`text/plain; charset="iso-8859-1"`, `text/html; charset="iso-8859-1"`}[i]
		if got := p.header.Get("Content-Type"); got != want {
			return fmt.Errorf("type of text %d is %q, want %q", i, got, want)
		}
		text, err := decoded(p)
		if err != nil {
			return err
		}
		utf8 := make([]rune, len(text)) // ISO-8859-1 is the start of Unicode
		for i, c := range text {
			utf8[i] = rune(c)
		}
		line := strings.Join(strings.Fields(string(utf8)), " ")
		if i == 0 {
			m.plain = line
		} else {
			m.html = line
		}
	}
	return nil
}

func (m *issued) readAttachment(p part) error {
	content, err := decoded(p)
	if err != nil {
		return err
	}
	switch kind := p.header.Get("Content-Type"); {
	case kind == `application/xml; name="daticert.xml"` && m.data == nil:
		m.data = &postacert{}
		if err := xml.Unmarshal(content, m.data); err != nil {
			return err
		}
		return m.data.listElements(content)
	case kind == `message/rfc822; name="postacert.eml"` && m.original == nil:
		if p.header.Get("Content-Transfer-Encoding") != "7bit" {
			return fmt.Errorf("the original is encoded")
		}
		m.original = content
		return nil
	default:
		return fmt.Errorf("a part of type %q, or a second one", kind)
	}
}

func (d *postacert) listElements(document []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(document))
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if start, ok := token.(xml.StartElement); ok && !slices.Contains(d.elements, start.Name.Local) {
			d.elements = append(d.elements, start.Name.Local)
		}
	}
}

// time is the certified instant.
func (d *postacert) time() (time.Time, error) {
	return time.Parse("02/01/2006 15:04:05 -0700", d.Date.Day+" "+d.Date.Hour+" "+d.Date.Zone)
}

// part is a part of a multipart, as it was sent.
type part struct {
	header textproto.MIMEHeader
	body   []byte
}

func readParts(r io.Reader, boundary string) ([]part, error) {
	var parts []part
	in := multipart.NewReader(r, boundary)
	for {
		p, err := in.NextRawPart()
		if err == io.EOF {
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(p)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{p.Header, body})
	}
}

func decoded(p part) ([]byte, error) {
	switch p.header.Get("Content-Transfer-Encoding") {
	case "base64":
		return io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(p.body)))
	case "quoted-printable":
		return io.ReadAll(quotedprintable.NewReader(bytes.NewReader(p.body)))
	}
	return p.body, nil
}
