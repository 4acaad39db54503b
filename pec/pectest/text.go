package pectest

import (
	"fmt"
	"html"
	"mime/quotedprintable"
	"strings"

	"github.com/ceralacca/go-pec/pec"
)

// wording is the text of a message in one language: a title, and lines of text in
// which the recipients are a list.
type wording struct {
	title      string
	opening    string   // date, time, zone, subject and sender
	recipients []string // each on a line of its own
	closing    []string
}

// text returns the part that people read, head and body. It holds exactly what
// RFC 6109, section 3, asks for of each kind; programs must not read it.
func (c *composer) text() string {
	texts := []wording{italian(c)}
	if !c.dialect.Bilingual {
		return "Content-Type: text/plain; charset=\"iso-8859-1\"\r\n" + textFields + quoted(plainText(texts))
	}
	texts = append(texts, english(c))
	boundary := c.boundary()
	return "Content-Type: multipart/alternative;\r\n\tboundary=\"" + boundary + "\"\r\n" + c.dialect.multipartFields() +
		"\r\n--" + boundary + "\r\nContent-Type: text/plain; charset=\"iso-8859-1\"\r\n" + textFields + quoted(plainText(texts)) +
		"\r\n--" + boundary + "\r\nContent-Type: text/html; charset=\"iso-8859-1\"\r\n" + textFields + quoted(htmlText(texts)) +
		"\r\n--" + boundary + "--\r\n"
}

const textFields = "Content-Transfer-Encoding: quoted-printable\r\nContent-Disposition: inline\r\n\r\n"

func plainText(texts []wording) string {
	var b strings.Builder
	for i, t := range texts {
		if i > 0 {
			b.WriteString("\n" + strings.Repeat("-", 60) + "\n\n")
		}
		b.WriteString(t.title + "\n\n" + t.opening + "\n")
		for _, r := range t.recipients {
			b.WriteString("  " + r + "\n")
		}
		b.WriteString(strings.Join(t.closing, "\n") + "\n")
	}
	return b.String()
}

// htmlText uses no image, font, style, script or reference: RFC 6109, section
// 4.3.1.
func htmlText(texts []wording) string {
	var b strings.Builder
	b.WriteString("<html>\n<head><title>" + html.EscapeString(texts[0].title) + "</title></head>\n<body>\n")
	for _, t := range texts {
		b.WriteString("<h3>" + html.EscapeString(t.title) + "</h3>\n<p>" + html.EscapeString(t.opening) + "</p>\n")
		if len(t.recipients) > 0 {
			b.WriteString("<ul>\n")
			for _, r := range t.recipients {
				b.WriteString("<li>" + html.EscapeString(r) + "</li>\n")
			}
			b.WriteString("</ul>\n")
		}
		for _, line := range t.closing {
			b.WriteString("<p>" + html.EscapeString(line) + "</p>\n")
		}
	}
	b.WriteString("</body>\n</html>\n")
	return b.String()
}

// quoted encodes a text in ISO-8859-1 and quoted-printable. What that charset
// does not have becomes a question mark, as it does at providers.
func quoted(text string) string {
	latin1 := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			r = '?'
		}
		latin1 = append(latin1, byte(r))
	}
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	w.Write(latin1)
	w.Close()
	return b.String()
}

// moment returns the certified instant as day, time and offset. The time of a
// text is the legal time of Italy, like that of the certified data.
func (c *composer) moment() (day, clock, zone string) {
	t := c.Data.Time
	return t.Format("02/01/2006"), t.Format("15:04:05"), t.Format("-0700")
}

// oneLine is free text without what would break a line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// addresses are the recipients that a text names. withTypes adds what the
// sender's provider knows of each.
func (c *composer) addresses(certified, ordinary string, withTypes bool) []string {
	d := &c.Data
	var list []string
	switch d.Kind {
	case pec.KindServerAcceptance:
		for _, a := range d.Taken {
			list = append(list, a.String())
		}
		return list
	case pec.KindAcceptance, pec.KindNonAcceptance, pec.KindTransport, pec.KindAnomaly:
	default:
		return nil // they are about one recipient, whom the sentence names
	}
	for _, r := range d.Recipients {
		name := r.Address.String()
		if withTypes && r.Type == pec.RecipientOrdinary {
			name += fmt.Sprintf(" (\"%s\")", ordinary)
		} else if withTypes {
			name += fmt.Sprintf(" (\"%s\")", certified)
		}
		list = append(list, name)
	}
	return list
}

// isFinalTimeout tells the second of the two timeout notices, which differ in
// their text alone. RFC 6109, section 3.1.6.
func (c *composer) isFinalTimeout() bool {
	return strings.HasPrefix(strings.TrimSpace(c.Data.ErrorDetail), "5.4.1")
}

func isVirus(d *pec.CertData) bool { return d.Error == pec.ErrorVirus }
