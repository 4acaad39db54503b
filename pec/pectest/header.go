package pectest

import (
	"encoding/base64"
	"mime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ceralacca/go-pec/pec"
)

// header returns the fields on the outside, but for those of MIME. RFC 6109,
// section 3.
func (c *composer) header() []Field {
	var fields []Field
	switch c.Data.Kind {
	case pec.KindTransport:
		fields = c.transportHeader()
	case pec.KindAnomaly:
		fields = c.anomalyHeader()
	default:
		fields = c.receiptHeader()
	}
	if c.tamper.Header != nil {
		fields = c.tamper.Header(fields)
	}
	return fields
}

func (c *composer) receiptHeader() []Field {
	d := &c.Data
	fields := []Field{
		{"Date", headerDate(d.Time)},
		{"From", c.provider.service.String()},
		{"To", c.To.String()},
		{"Message-ID", "<" + c.provider.NewID(d.Time) + ">"},
		{"Subject", c.subject()},
		{pec.HeaderReceipt, string(d.Kind)},
	}
	if d.Error == pec.ErrorVirus && d.Kind != pec.KindVirusDetection {
		fields = append(fields, Field{pec.HeaderSecurityCheck, pec.SecurityCheckError})
	}
	if d.Kind == pec.KindVirusDetection {
		fields = append(fields, Field{pec.HeaderSender, d.Sender.String()})
	}
	return c.withReference(fields)
}

func (c *composer) withReference(fields []Field) []Field {
	if c.Data.MessageID == "" {
		return fields
	}
	return append(fields, Field{pec.HeaderReference, c.Data.MessageID})
}

// transportHeader is that of a transport envelope, which shares its Message-ID
// with the original inside. RFC 6109, section 3.1.5.
func (c *composer) transportHeader() []Field {
	d := &c.Data
	fields := c.inherit("Return-Path", "Received")
	fields = append(fields,
		Field{"Date", headerDate(d.Time)},
		Field{"From", c.onBehalfOf(d.Sender.String())},
		c.replyTo())
	fields = append(fields, c.inherit("To", "Cc")...)
	fields = append(fields,
		Field{"Message-ID", "<" + d.ID + ">"},
		Field{"Subject", c.subject()},
		Field{pec.HeaderTransport, pec.TransportCertified})
	if d.ReceiptType != "" {
		fields = append(fields, Field{pec.HeaderReceiptType, string(d.ReceiptType)})
	}
	return c.withReference(fields)
}

// anomalyHeader is that of an anomaly envelope, which keeps the identity of what
// it wraps. RFC 6109, section 3.2.2.
func (c *composer) anomalyHeader() []Field {
	fields := c.inherit("Return-Path", "Received")
	fields = append(fields,
		Field{"Date", headerDate(c.Data.Time)},
		Field{"From", c.onBehalfOf(c.author())},
		c.replyTo())
	fields = append(fields, c.inherit("To", "Cc", "Message-ID")...)
	return append(fields,
		Field{"Subject", c.subject()},
		Field{pec.HeaderTransport, pec.TransportError})
}

// inherit returns fields of the original, as they were written.
func (c *composer) inherit(names ...string) []Field {
	var fields []Field
	for _, f := range c.original.fields {
		for _, name := range names {
			if strings.EqualFold(f.name, name) {
				_, value, _ := strings.Cut(strings.TrimRight(string(f.raw), "\r\n"), ":")
				fields = append(fields, Field{f.name, strings.TrimLeft(value, " \t")})
			}
		}
	}
	return fields
}

// replyTo is the field of the original, or one made from its author.
func (c *composer) replyTo() Field {
	if own := c.inherit("Reply-To"); len(own) > 0 {
		return own[0]
	}
	if own := c.inherit("From"); len(own) > 0 {
		return Field{"Reply-To", own[0].Value}
	}
	return Field{"Reply-To", c.Data.Sender.String()}
}

// author is the address in the From of the original, or the field if it can't be
// read.
func (c *composer) author() string {
	from := c.original.get("From")
	if m, err := pec.ParseMailbox(from); err == nil {
		return m.Address.String()
	}
	return strings.Join(strings.Fields(decodeHeader(from)), " ")
}

// onBehalfOf is the From of an envelope.
//
// QUIRK: RFC 6109, section 3.1.5 prints "On behalf of:"; deployed providers write
// the Italian words.
func (c *composer) onBehalfOf(author string) string {
	name := "Per conto di: " + author
	if isPlain(name) {
		name = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	} else {
		name = encodeWords(name)
	}
	return name + " <" + c.provider.service.String() + ">"
}

func (c *composer) subject() string {
	d := &c.Data
	subject := d.Subject
	if isPlain(subject) && !strings.Contains(subject, "=?") {
		return fold(d.Kind.SubjectPrefix(d.Error) + " " + subject)
	}
	return d.Kind.SubjectPrefix(d.Error) + "\r\n " + encodeWords(subject)
}

// headerDate is t as in a Date field.
func headerDate(t time.Time) string { return t.Format("Mon, 02 Jan 2006 15:04:05 -0700") }

func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// encodeWords writes a text as encoded words, one on a line. RFC 2047.
func encodeWords(s string) string {
	const perWord = 45 // 60 characters of base64
	s = strings.ToValidUTF8(s, "\ufffd")
	var words []string
	for len(s) > 0 {
		n := min(perWord, len(s))
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		words = append(words, "=?utf-8?B?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(words, "\r\n ")
}

// fold breaks a long line where it has blanks.
func fold(s string) string {
	const width = 66 // leaves room for the name
	var b strings.Builder
	column := 0
	for i, word := range strings.Split(s, " ") {
		switch {
		case i == 0:
		case column+1+len(word) > width && word != "":
			b.WriteString("\r\n ")
			column = 0
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// decodeHeader undoes RFC 2047; text that can't be decoded stays as it is.
func decodeHeader(s string) string {
	decoded, err := new(mime.WordDecoder).DecodeHeader(s)
	if err != nil {
		return s
	}
	return decoded
}
