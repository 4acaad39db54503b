package pec

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// WriteTo writes d as a daticert.xml in UTF-8, in the order of the DTD and with
// the layout that providers use. It implements io.WriterTo.
//
// The document is read back before anything is written: what [ReadCertData]
// would refuse, or read as something else, is a [*CertDataError] whose position
// is that in the document. Left as zero values, Error is written as [ErrorNone]
// and the type of a recipient as [RecipientCertified]. Fractions of a second are
// dropped.
func (d *CertData) WriteTo(w io.Writer) (int64, error) {
	doc := d.appendXML(nil)
	back, err := ReadCertData(bytes.NewReader(doc))
	if err != nil {
		return 0, err
	}
	if d.Time.Unix() != back.Time.Unix() || !bytes.Equal(doc, back.appendXML(nil)) {
		return 0, &CertDataError{Err: fmt.Errorf("%w: a value that a reader would take for another", ErrCertDataForm)}
	}
	n, err := w.Write(doc)
	return int64(n), err
}

// appendXML appends the document, whatever it holds.
func (d *CertData) appendXML(b []byte) []byte {
	p := xmlPrinter{b}
	p.line(0, `<?xml version="1.0" encoding="UTF-8"?>`)
	p.line(0, `<postacert tipo="`, escapeXML(string(d.Kind)), `" errore="`, escapeXML(string(orDefault(d.Error, ErrorNone))), `">`)
	p.line(1, `<intestazione>`)
	p.element("mittente", d.Sender.String())
	for _, r := range d.Recipients {
		p.line(2, `<destinatari tipo="`, escapeXML(string(orDefault(r.Type, RecipientCertified))), `">`, escapeXML(r.Address.String()), `</destinatari>`)
	}
	p.element("risposte", d.ReplyTo)
	p.optional("oggetto", d.Subject)
	p.line(1, `</intestazione>`)
	p.line(1, `<dati>`)
	p.element("gestore-emittente", d.Issuer)
	p.line(2, d.Time.Format(`<data zona="-0700"><giorno>02/01/2006</giorno><ora>15:04:05</ora></data>`))
	p.element("identificativo", d.ID)
	p.optional("msgid", d.MessageID)
	if d.ReceiptType != "" {
		p.line(2, `<ricevuta tipo="`, escapeXML(string(d.ReceiptType)), `"/>`)
	}
	p.optional("consegna", d.Delivery.String())
	for _, a := range d.Taken {
		p.element("ricezione", a.String())
	}
	p.optional("errore-esteso", d.ErrorDetail)
	p.line(1, `</dati>`)
	p.line(0, `</postacert>`)
	return p.out
}

func orDefault[T ~string](value, def T) T {
	if value == "" {
		return def
	}
	return value
}

// xmlPrinter writes elements, each on a line of its own.
type xmlPrinter struct{ out []byte }

func (p *xmlPrinter) line(depth int, parts ...string) {
	for range depth {
		p.out = append(p.out, "  "...)
	}
	for _, part := range parts {
		p.out = append(p.out, part...)
	}
	p.out = append(p.out, '\n')
}

// element writes an element that holds text, two levels below the root.
func (p *xmlPrinter) element(name, text string) {
	p.line(2, "<", name, ">", escapeXML(text), "</", name, ">")
}

// optional is element for one that is left out when it would be empty.
func (p *xmlPrinter) optional(name, text string) {
	if text != "" {
		p.element(name, text)
	}
}

// escapeXML escapes text for an element or for an attribute in double quotes. A
// carriage return is escaped since readers take a plain one for a line end.
func escapeXML(text string) string {
	if !strings.ContainsAny(text, "&<>\"\r") {
		return text
	}
	return xmlEscapes.Replace(text)
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\r", "&#13;")
