package pec_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/pec"
)

// looseCertData is a daticert.xml as encoding/xml sees it, which takes much more
// than ReadCertData does.
type looseCertData struct {
	XMLName xml.Name `xml:"postacert"`
	Kind    string   `xml:"tipo,attr"`
	Error   *string  `xml:"errore,attr"`
	Header  struct {
		Sender     string `xml:"mittente"`
		Recipients []struct {
			Type    *string `xml:"tipo,attr"`
			Address string  `xml:",chardata"`
		} `xml:"destinatari"`
		ReplyTo string `xml:"risposte"`
		Subject string `xml:"oggetto"`
	} `xml:"intestazione"`
	Data struct {
		Issuer string `xml:"gestore-emittente"`
		Time   struct {
			Offset string `xml:"zona,attr"`
			Day    string `xml:"giorno"`
			Clock  string `xml:"ora"`
		} `xml:"data"`
		ID          string `xml:"identificativo"`
		MessageID   string `xml:"msgid"`
		ReceiptType struct {
			Type string `xml:"tipo,attr"`
		} `xml:"ricevuta"`
		Delivery string   `xml:"consegna"`
		Taken    []string `xml:"ricezione"`
		Detail   string   `xml:"errore-esteso"`
	} `xml:"dati"`
}

// loose reads a document with encoding/xml.
func loose(doc string) (*looseCertData, error) {
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(doc, "\ufeff")))
	d.CharsetReader = func(label string, r io.Reader) (io.Reader, error) {
		raw, err := io.ReadAll(r)
		if strings.EqualFold(label, "ISO-8859-1") {
			runes := make([]rune, len(raw))
			for i, c := range raw {
				runes[i] = rune(c)
			}
			return strings.NewReader(string(runes)), err
		}
		return bytes.NewReader(raw), err
	}
	var c looseCertData
	if err := d.Decode(&c); err != nil {
		return nil, err
	}
	return &c, nil
}

func valueOr[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

// summary is what both readers must agree on.
func (c *looseCertData) summary() string {
	token := func(s string) string { return strings.Trim(s, " \t\r\n") }
	if leap, ok := strings.CutSuffix(token(c.Data.Time.Clock), ":60"); ok {
		c.Data.Time.Clock = leap + ":59"
	}
	s := fmt.Sprintf("%q %q %q", c.Kind, valueOr(c.Error, "nessuno"), token(c.Header.Sender))
	for _, r := range c.Header.Recipients {
		s += fmt.Sprintf(" to %q %q", valueOr(r.Type, "certificato"), token(r.Address))
	}
	s += fmt.Sprintf(" %q %q %q", c.Header.ReplyTo, c.Header.Subject, c.Data.Issuer)
	s += fmt.Sprintf(" %q %q %q", token(c.Data.Time.Day), token(c.Data.Time.Clock), strings.Replace(c.Data.Time.Offset, "-0000", "+0000", 1))
	s += fmt.Sprintf(" %q %q %q %q", token(c.Data.ID), token(c.Data.MessageID), c.Data.ReceiptType.Type, token(c.Data.Delivery))
	for _, a := range c.Data.Taken {
		s += fmt.Sprintf(" taken %q", token(a))
	}
	return s + fmt.Sprintf(" %q", c.Data.Detail)
}

func summary(d *pec.CertData) string {
	s := fmt.Sprintf("%q %q %q", d.Kind, d.Error, d.Sender)
	for _, r := range d.Recipients {
		s += fmt.Sprintf(" to %q %q", r.Type, r.Address)
	}
	s += fmt.Sprintf(" %q %q %q", d.ReplyTo, d.Subject, d.Issuer)
	s += fmt.Sprintf(" %q %q %q", d.Time.Format("02/01/2006"), d.Time.Format("15:04:05"), d.Time.Format("-0700"))
	s += fmt.Sprintf(" %q %q %q %q", d.ID, d.MessageID, d.ReceiptType, d.Delivery)
	for _, a := range d.Taken {
		s += fmt.Sprintf(" taken %q", a)
	}
	return s + fmt.Sprintf(" %q", d.ErrorDetail)
}

// FuzzCertData checks that reading never fails in another way than with a
// position in the document; that what is read can be written and read again; and
// that encoding/xml reads the same.
func FuzzCertData(f *testing.F) {
	virus := edit(f, `"avvenuta-consegna"`, `"rilevazione-virus"`, `"nessuno"`, `"virus"`, `<ricevuta tipo="completa"/>`, "",
		"<consegna>comune@pec.beta.example</consegna>", "<ricezione>info@mail.example</ricezione><errore-esteso>EICAR</errore-esteso>")
	for _, seed := range []string{
		"", delivery, virus, "\ufeff" + delivery, strings.ReplaceAll(delivery, "\n", "\r\n"),
		edit(f, "<postacert ", dtd+"<postacert "),
		edit(f, "<postacert ", `<!DOCTYPE postacert PUBLIC "a'b" 'c"d'><postacert `),
		edit(f, "UTF-8", "ISO-8859-1", "Sollecito", "Perch\xe9"),
		edit(f, "UTF-8", "US-ASCII", "Sollecito", "&#232;&amp;&lt;<![CDATA[<b>]]>&#13;"),
		edit(f, ` errore="nessuno"`, "", ` tipo="certificato"`, "", "10:15:30", "23:59:60", "+0200", "-0000"),
		edit(f, "<dati>", "<!-- x --><?y z?><dati>"),
		"<postacert/>", "<?xml version='1.0'?>", "<!DOCTYPE postacert [<!ENTITY a 'b'>]>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { checkCertData(t, raw) })
}

// checkCertData reads one document, checks what FuzzCertData says, and reports
// whether the document was accepted.
func checkCertData(t *testing.T, raw []byte) bool {
	d, err := pec.ReadCertData(bytes.NewReader(raw))
	if err != nil {
		var at *pec.CertDataError
		if d != nil || !errors.As(err, &at) {
			t.Fatalf("ReadCertData(%q) = %+v, %v", raw, d, err)
		}
		lines := 1 + strings.Count(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n") + strings.Count(string(raw), "\r")
		if at.Line < 1 || at.Line > lines || at.Column < 1 || at.Column > len(raw)+1 {
			t.Errorf("ReadCertData(%q): %v, a position outside the document", raw, err)
		}
		return false
	}
	var again bytes.Buffer
	if _, err := d.WriteTo(&again); err != nil {
		t.Fatalf("WriteTo(%+v), read from %q: %v", d, raw, err)
	}
	if back, err := pec.ReadCertData(&again); err != nil || !sameCertData(d, back) {
		t.Errorf("ReadCertData(%q) = %+v, written and read again %+v, %v", raw, d, back, err)
	}
	other, err := loose(string(raw))
	if err != nil {
		t.Fatalf("ReadCertData takes %q, encoding/xml does not: %v", raw, err)
	}
	if got, want := summary(d), other.summary(); got != want {
		t.Errorf("ReadCertData(%q):\n%s\nencoding/xml:\n%s", raw, got, want)
	}
	return true
}

// fragments are put into documents where a tag begins or ends.
var fragments = []string{
	"<!-- -->", "<!-->", "<!-- - -->", "<?a b?>", "<?a?>", "<?xml version='1.0'?>", "<![CDATA[x]]>", "<![CDATA[]]>", "&amp;", "&#10;", "&#13;", "&#x20;",
	" ", "\n", "\r", "\r\n", "\t", "x", "]", "]]", "]]>", ">", "<", "/", "é", "\ufeff", "\x00", "&", ";", "'", `"`,
	"<oggetto/>", "<oggetto></oggetto>", "<ricezione>info@mail.example</ricezione>", "<destinatari>info@mail.example</destinatari>", "<msgid/>",
	"<ricevuta tipo='breve'/>", "</dati>", "</oggetto>", "<errore-esteso>x</errore-esteso>", "<!DOCTYPE postacert>", "<!DOCTYPE postacert [<!ELEMENT a ANY>]>",
	" xmlns='a'", " tipo='esterno'", " a='b'", "=", " errore='altro'",
}

// TestCertDataAgainstEncodingXML changes a document at random where its structure
// is: pieces between tags are taken out or doubled, and fragments are put in.
func TestCertDataAgainstEncodingXML(t *testing.T) {
	random := rand.New(rand.NewPCG(6109, 44))
	accepted := 0
	const rounds = 5_000
	for range rounds {
		doc := delivery
		if random.IntN(4) == 0 {
			doc = edit(t, "<postacert ", dtd+"<postacert ")
		}
		for range 1 + random.IntN(2) {
			places := tagPlaces(doc)
			at := random.IntN(len(places))
			from, to := places[at], places[min(at+1+random.IntN(2), len(places)-1)]
			switch random.IntN(4) {
			case 0:
				doc = doc[:from] + doc[to:]
			case 1:
				doc = doc[:to] + doc[from:to] + doc[to:]
			default:
				doc = doc[:from] + fragments[random.IntN(len(fragments))] + doc[from:]
			}
		}
		if checkCertData(t, []byte(doc)) {
			accepted++
		}
	}
	if accepted < rounds/20 || accepted > rounds*19/20 {
		t.Errorf("%d of %d documents were accepted: the test tries too little", accepted, rounds)
	}
}

// tagPlaces returns the offsets before and after each tag and each quote.
func tagPlaces(doc string) []int {
	var places []int
	for i := range len(doc) {
		switch doc[i] {
		case '<', '"':
			places = append(places, i)
		case '>', ' ':
			places = append(places, i+1)
		}
	}
	return places
}
