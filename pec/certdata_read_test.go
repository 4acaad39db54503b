package pec_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// delivery is a delivery receipt's daticert.xml, as providers lay it out. Tests
// make others of it by replacing parts.
const delivery = `<?xml version="1.0" encoding="UTF-8"?>
<postacert tipo="avvenuta-consegna" errore="nessuno">
    <intestazione>
        <mittente>studio@pec.alfa.example</mittente>
        <destinatari tipo="certificato">comune@pec.beta.example</destinatari>
        <destinatari tipo="esterno">info@mail.example</destinatari>
        <risposte>studio@pec.alfa.example</risposte>
        <oggetto>Sollecito 17</oggetto>
    </intestazione>
    <dati>
        <gestore-emittente>Gestore Beta S.p.A.</gestore-emittente>
        <data zona="+0200">
            <giorno>04/09/2026</giorno>
            <ora>10:15:30</ora>
        </data>
        <identificativo>alfa1.20260904101530.00001.1@pec.alfa.example</identificativo>
        <msgid>&lt;6f1c0e@pec.alfa.example&gt;</msgid>
        <ricevuta tipo="completa"/>
        <consegna>comune@pec.beta.example</consegna>
    </dati>
</postacert>
`

// wantDelivery is what delivery says.
func wantDelivery() *pec.CertData {
	return &pec.CertData{
		Kind:   pec.KindDelivery,
		Error:  pec.ErrorNone,
		Sender: pec.MustParseAddress("studio@pec.alfa.example"),
		Recipients: []pec.Recipient{
			{Address: pec.MustParseAddress("comune@pec.beta.example"), Type: pec.RecipientCertified},
			{Address: pec.MustParseAddress("info@mail.example"), Type: pec.RecipientOrdinary},
		},
		ReplyTo:     "studio@pec.alfa.example",
		Subject:     "Sollecito 17",
		Issuer:      "Gestore Beta S.p.A.",
		Time:        time.Date(2026, 9, 4, 10, 15, 30, 0, time.FixedZone("", 7200)),
		ID:          "alfa1.20260904101530.00001.1@pec.alfa.example",
		MessageID:   "<6f1c0e@pec.alfa.example>",
		ReceiptType: pec.ReceiptComplete,
		Delivery:    pec.MustParseAddress("comune@pec.beta.example"),
	}
}

// sameCertData reports whether two documents say the same.
func sameCertData(a, b *pec.CertData) bool {
	_, offsetA := a.Time.Zone()
	_, offsetB := b.Time.Zone()
	x, y := *a, *b
	x.Time, y.Time = time.Time{}, time.Time{}
	return a.Time.Equal(b.Time) && offsetA == offsetB && fmt.Sprintf("%#v", x) == fmt.Sprintf("%#v", y)
}

// edit replaces, in delivery, each old text by the new one that follows it. An
// old text that is not there exactly once is a mistake of the test.
func edit(t testing.TB, pairs ...string) string {
	t.Helper()
	doc := delivery
	for i := 0; i < len(pairs); i += 2 {
		if strings.Count(doc, pairs[i]) != 1 {
			t.Fatalf("edit: %q is %d times in the document", pairs[i], strings.Count(doc, pairs[i]))
		}
		doc = strings.Replace(doc, pairs[i], pairs[i+1], 1)
	}
	return doc
}

func read(doc string) (*pec.CertData, error) { return pec.ReadCertData(strings.NewReader(doc)) }

func TestReadCertData(t *testing.T) {
	got, err := read(delivery)
	if err != nil || !sameCertData(got, wantDelivery()) {
		t.Fatalf("ReadCertData = %+v, %v, want %+v", got, err, wantDelivery())
	}
	if _, offset := got.Time.Zone(); offset != 7200 {
		t.Errorf("offset of Time is %d, want that of the document, 7200", offset)
	}
}

// dtd is the DTD of the technical rules, written anew, as an internal subset.
const dtd = `<!DOCTYPE postacert [
  <!-- certificazione: l'elemento "postacert" è la radice -->
  <!ELEMENT postacert (intestazione, dati)>
  <!ATTLIST postacert
      tipo (accettazione | non-accettazione | presa-in-carico | avvenuta-consegna | posta-certificata |
            errore-consegna | preavviso-errore-consegna | rilevazione-virus) #REQUIRED
      errore (nessuno|no-dest|no-dominio|virus|altro) "nessuno">
  <!ELEMENT intestazione (mittente, destinatari+, risposte, oggetto?)>
  <!ELEMENT mittente (#PCDATA)>
  <!ELEMENT destinatari ( #PCDATA )*>
  <!ATTLIST destinatari tipo (certificato | esterno) 'certificato'>
  <!ELEMENT dati (gestore-emittente, data, identificativo, msgid?, ricevuta?, consegna?, ricezione*, errore-esteso?)>
  <!ELEMENT ricevuta EMPTY>
  <!ATTLIST ricevuta tipo NMTOKEN #IMPLIED altro CDATA #REQUIRED>
  <!ATTLIST vuoto>
  <!ELEMENT misto (#PCDATA | a | b)*> <!ELEMENT scelta (a | (b, c)+)?> <!ELEMENT x ANY>
] >
`

// TestReadCertDataAccepts reads documents that mean the same as delivery, or
// differ from it in the way that change says.
func TestReadCertDataAccepts(t *testing.T) {
	same := func(*pec.CertData) {}
	declaration := `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	tests := []struct {
		name, reason, doc string
		change            func(d *pec.CertData)
	}{
		{"no declaration", "optional in XML 1.0", edit(t, declaration, ""), same},
		{"byte order mark", "one is allowed", "\ufeff" + delivery, same},
		{"trailing layout", "one provider writes LF CR LF", delivery + "\r\n", same},
		{"CR LF", "lines may end so", strings.ReplaceAll(delivery, "\n", "\r\n"), same},
		{"standalone", "says nothing", edit(t, `"UTF-8"?`, `'utf-8'  standalone = "yes" ?`), same},
		{"version alone", "UTF-8 by default", edit(t, ` encoding="UTF-8"`, ""), same},
		{"US-ASCII", "declared, and true", edit(t, "UTF-8", "us-ascii"), same},
		{"no layout", "layout is free", strings.NewReplacer("\n", "", "    ", "").Replace(delivery), same},
		{"comments", "between elements", edit(t, "<dati>", "<!-- - --><dati><!--><-->", "</postacert>", "<!----></postacert><!-- fine -->"), same},
		{"instructions", "nobody obeys them", edit(t, "<dati>", `<dati><?xml-stylesheet href="http://example.com/x.xsl"?><?a?>`), same},
		{"blanks in tags", "allowed where XML allows them", edit(t, "<dati>", "<dati\n>", "</dati>", "</dati \t>", `tipo="completa"`, "tipo = 'completa' "), same},
		{"two tags for an empty element", "the same as one", edit(t, `<ricevuta tipo="completa"/>`, `<ricevuta tipo="completa"></ricevuta>`), same},
		{"references in attributes", "well-formed, if odd", edit(t, `"esterno"`, `"&#101;&#x73;terno"`), same},
		{"CDATA", "the same text", edit(t, "Sollecito 17", "Soll<![CDATA[ecito]]> 1<![CDATA[]]>7"), same},
		{"errore missing", "the DTD's default", edit(t, ` errore="nessuno"`, ""), same},
		{"tipo of destinatari missing", "the DTD's default", edit(t, ` tipo="certificato"`, ""), same},
		{"blanks around values", "layout", edit(t, "<mittente>", "<mittente>\n ", "</identificativo>", "\t</identificativo>", "<giorno>", "<giorno> ", "</ora>", "\n</ora>", "<msgid>", "<msgid>&#13;"), same},
		{"other case in consegna", "the same mailbox", edit(t, "<consegna>comune@pec", "<consegna>Comune@PEC"),
			func(d *pec.CertData) { d.Delivery = pec.MustParseAddress("Comune@PEC.beta.example") }},
		{"doctype by reference", "occurs in real mail, fetched by nobody", edit(t, "<postacert ", `<!DOCTYPE postacert SYSTEM "http://example.com/daticert.dtd"><postacert `), same},
		{"public doctype", "the same", edit(t, "<postacert ", `<!DOCTYPE postacert PUBLIC "-//IT//DTD x//IT" 'daticert.dtd' ><postacert `), same},
		{"plain doctype", "the same", edit(t, "<postacert ", "<!DOCTYPE postacert><postacert "), same},
		{"the DTD itself", "the RFC's own declarations", edit(t, "<postacert ", dtd+"<postacert "), same},
		{"empty risposte", "seen at one provider", edit(t, "<risposte>studio@pec.alfa.example</risposte>", "<risposte></risposte>"),
			func(d *pec.CertData) { d.ReplyTo = "" }},
		{"empty tag for text", "the same", edit(t, "<risposte>studio@pec.alfa.example</risposte>", "<risposte/>"),
			func(d *pec.CertData) { d.ReplyTo = "" }},
		{"no oggetto", "optional", edit(t, "<oggetto>Sollecito 17</oggetto>", ""),
			func(d *pec.CertData) { d.Subject = "" }},
		{"no msgid", "the client gave none", edit(t, "<msgid>&lt;6f1c0e@pec.alfa.example&gt;</msgid>", ""),
			func(d *pec.CertData) { d.MessageID = "" }},
		{"no ricevuta", "optional", edit(t, `<ricevuta tipo="completa"/>`, ""),
			func(d *pec.CertData) { d.ReceiptType = "" }},
		{"entities", "the five of XML, once each", edit(t, "Sollecito 17", "&amp;lt; &lt;&gt;&quot;&apos;"),
			func(d *pec.CertData) { d.Subject = `&lt; <>"'` }},
		{"free text as it is", "blanks and lines are kept, ends of lines are one", edit(t, "Sollecito 17", " a\r\n b\rc ] ]] > "),
			func(d *pec.CertData) { d.Subject = " a\n b\nc ] ]] > " }},
		{"a carriage return by number", "is one", edit(t, "Sollecito 17", "a&#13;&#xD;&#10;b"),
			func(d *pec.CertData) { d.Subject = "a\r\r\nb" }},
		{"characters by number", "above the basic plane too", edit(t, "Sollecito 17", "&#232;&#x1F4E8;&#0000233;"),
			func(d *pec.CertData) { d.Subject = "è\U0001f4e8é" }},
		{"UTF-8", "of every length", edit(t, "Sollecito 17", "perché €\U0001f4e8"),
			func(d *pec.CertData) { d.Subject = "perché €\U0001f4e8" }},
		{"ISO-8859-1", "declared", edit(t, "UTF-8", "ISO-8859-1", "Sollecito 17", "perch\xe9"),
			func(d *pec.CertData) { d.Subject = "perché" }},
		{"leap second", "counts as the one before", edit(t, "10:15:30", "10:15:60"),
			func(d *pec.CertData) { d.Time = d.Time.Add(29 * time.Second) }},
		{"west of Greenwich", "a real offset", edit(t, "+0200", "-0330"),
			func(d *pec.CertData) { d.Time = time.Date(2026, 9, 4, 10, 15, 30, 0, time.FixedZone("", -12600)) }},
		{"leap day", "a real date", edit(t, "04/09/2026", "29/02/2028"),
			func(d *pec.CertData) { d.Time = time.Date(2028, 2, 29, 10, 15, 30, 0, time.FixedZone("", 7200)) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := wantDelivery()
			test.change(want)
			got, err := read(test.doc)
			if err != nil || !sameCertData(got, want) {
				t.Errorf("ReadCertData(%s)\n= %+v, %v,\nwant %+v (%s)", test.doc, got, err, want, test.reason)
			}
		})
	}
}

// TestReadCertDataRefuses marks, in each document, the place where the error
// must point with a ¶, which is taken out before reading.
func TestReadCertDataRefuses(t *testing.T) {
	const declaration = `<?xml version="1.0" encoding="UTF-8"?>`
	doctype := func(subset string) string {
		return edit(t, "<postacert ", "<!DOCTYPE postacert ["+subset+"]>\n<postacert ")
	}
	tests := []struct {
		name, reason, doc string
		want              error
		element           string
	}{
		// The document as XML.
		{"empty", "no root", "¶", pec.ErrCertDataForm, "postacert"},
		{"white space", "no root", " \n¶", pec.ErrCertDataForm, "postacert"},
		{"two byte order marks", "one is allowed", "\ufeff¶\ufeff" + delivery, pec.ErrCertDataForm, "postacert"},
		{"UTF-16", "not an encoding of certification data", "¶\xff\xfe<\x00p\x00", pec.ErrCertDataXML, ""},
		{"blank before the declaration", "it stands first or nowhere", " ¶" + delivery, pec.ErrCertDataXML, ""},
		{"declaration twice", "it stands first or nowhere", edit(t, "\n<postacert", "\n¶"+declaration+"<postacert"), pec.ErrCertDataXML, ""},
		{"declaration within", "it stands first or nowhere", edit(t, "<dati>", "<dati>¶<?xml?>"), pec.ErrCertDataXML, "gestore-emittente"},
		{"declaration in other case", "reserved", edit(t, "<dati>", "<dati>¶<?XmL a?>"), pec.ErrCertDataXML, "gestore-emittente"},
		{"XML 1.1", "other rules", edit(t, `version="1.0"`, `¶version="1.1"`), pec.ErrCertDataXML, ""},
		{"no version", "needed", edit(t, `version="1.0" encoding`, `¶encoding`), pec.ErrCertDataXML, ""},
		{"bare declaration", "needs a version", strings.Replace(delivery, declaration, "<?xml ¶?>", 1), pec.ErrCertDataXML, ""},
		{"encoding before version", "in this order only", strings.Replace(delivery, declaration, `<?xml ¶encoding="UTF-8" version="1.0"?>`, 1), pec.ErrCertDataXML, ""},
		{"version twice", "once", edit(t, ` encoding="UTF-8"`, ` ¶version="1.0"`), pec.ErrCertDataXML, ""},
		{"bad standalone", "yes or no", edit(t, `"UTF-8"?`, `"UTF-8" ¶standalone="maybe"?`), pec.ErrCertDataXML, ""},
		{"unquoted", "needs quotes", edit(t, `version="1.0"`, `version=¶1.0`), pec.ErrCertDataXML, ""},
		{"declaration without end", "not well-formed", strings.Replace(delivery, `"UTF-8"?>`, `"UTF-8"¶>`, 1), pec.ErrCertDataXML, ""},
		{"no blank in the declaration", "not well-formed", edit(t, `"1.0" encoding`, `"1.0"¶encoding`), pec.ErrCertDataXML, ""},
		{"windows-1252", "not on the list", edit(t, `encoding="UTF-8"`, `¶encoding="windows-1252"`), pec.ErrCertDataXML, ""},
		{"byte order mark of another encoding", "a contradiction", "\ufeff¶" + edit(t, "UTF-8", "ISO-8859-1"), pec.ErrCertDataXML, ""},
		{"not ASCII as declared", "a lie", edit(t, "UTF-8", "US-ASCII", "Sollecito", "Perch¶é"), pec.ErrCertDataXML, ""},
		{"not UTF-8", "not well-formed", edit(t, "Sollecito", "Perch¶\xe9"), pec.ErrCertDataXML, ""},
		{"overlong UTF-8", "not well-formed", edit(t, "Sollecito", "¶\xc0\xbcx"), pec.ErrCertDataXML, ""},
		{"surrogate", "not well-formed", edit(t, "Sollecito", "¶\xed\xa0\x80"), pec.ErrCertDataXML, ""},
		{"NUL", "no character of XML", edit(t, "Sollecito", "S¶\x00"), pec.ErrCertDataXML, ""},
		{"escape character", "no character of XML", edit(t, "<dati>", "<!-- ¶\x1b --><dati>"), pec.ErrCertDataXML, ""},
		{"U+FFFE", "no character of XML", edit(t, "Sollecito", "S¶\ufffe"), pec.ErrCertDataXML, ""},
		{"after the root: text", "one root, nothing after it", delivery + "¶x", pec.ErrCertDataXML, ""},
		{"after the root: another", "one root", delivery + "¶<postacert/>", pec.ErrCertDataXML, ""},
		{"after the root: doctype", "it comes before", delivery + "¶<!DOCTYPE postacert>", pec.ErrCertDataXML, ""},
		{"before the root: text", "nothing before it", edit(t, "\n<postacert", "\n¶x<postacert"), pec.ErrCertDataForm, "postacert"},
		{"cut off in text", "not well-formed", delivery[:strings.Index(delivery, "Sollecito")+3] + "¶", pec.ErrCertDataXML, "oggetto"},
		{"cut off between elements", "not well-formed", delivery[:strings.Index(delivery, "</dati>")] + "¶", pec.ErrCertDataForm, "dati"},
		{"cut off in a tag", "not well-formed", delivery[:strings.Index(delivery, "</dati>")] + "</dati¶", pec.ErrCertDataXML, "dati"},
		{"wrong end tag", "not well-formed", edit(t, "</oggetto>", "¶</ogetto>"), pec.ErrCertDataXML, "oggetto"},
		{"end tag with an attribute", "not well-formed", edit(t, "</dati>", `</dati ¶a="b">`), pec.ErrCertDataXML, "dati"},
		{"attribute twice", "which one counts?", edit(t, `errore="nessuno"`, `errore="nessuno" ¶errore="altro"`), pec.ErrCertDataXML, "postacert"},
		{"attributes without a blank", "not well-formed", edit(t, `" errore=`, `"¶errore=`), pec.ErrCertDataXML, "postacert"},
		{"attribute without value", "not well-formed", edit(t, ` errore="nessuno"`, ` errore¶>`), pec.ErrCertDataXML, "postacert"},
		{"attribute without quotes", "not well-formed", edit(t, `tipo="esterno"`, `tipo=¶esterno`), pec.ErrCertDataXML, "destinatari"},
		{"attribute without end", "not well-formed", strings.TrimRight(delivery[:strings.Index(delivery, "completa")], `"`) + `¶"compl`, pec.ErrCertDataXML, "ricevuta"},
		{"< in an attribute", "not well-formed", edit(t, `"esterno"`, `¶"<esterno"`), pec.ErrCertDataXML, "destinatari"},
		{"bad reference in an attribute", "not well-formed", edit(t, `"esterno"`, `"e¶&st;erno"`), pec.ErrCertDataEntity, "destinatari"},
		{"comment with --", "not well-formed", edit(t, "<dati>", "<!-- a ¶-- b --><dati>"), pec.ErrCertDataXML, "dati"},
		{"comment without end", "not well-formed", edit(t, "<dati>", "¶<!-- <dati>"), pec.ErrCertDataXML, "dati"},
		{"instruction without end", "not well-formed", edit(t, "<dati>", "¶<?a <dati>"), pec.ErrCertDataXML, "dati"},
		{"instruction without name", "not well-formed", edit(t, "<dati>", "<?¶ a?><dati>"), pec.ErrCertDataXML, "dati"},
		{"instruction with a bad name", "not well-formed", edit(t, "<dati>", "<?a¶+?><dati>"), pec.ErrCertDataXML, "dati"},
		{"instruction with a prefix", "no prefixes", edit(t, "<dati>", "¶<?a:b c?><dati>"), pec.ErrCertDataXML, "dati"},
		{"CDATA without end", "not well-formed", edit(t, "Sollecito", "a¶<![CDATA[b"), pec.ErrCertDataXML, "oggetto"},
		{"]]> in text", "not well-formed", edit(t, "Sollecito", "a¶]]>"), pec.ErrCertDataXML, "oggetto"},
		{"bare &", "not well-formed", edit(t, "Sollecito", "a &¶ b"), pec.ErrCertDataXML, "oggetto"},
		{"reference without ;", "not well-formed", edit(t, "Sollecito", "&amp¶ "), pec.ErrCertDataXML, "oggetto"},
		{"undeclared entity", "XML has five", edit(t, "Sollecito", "¶&nbsp;"), pec.ErrCertDataEntity, "oggetto"},
		{"reference to NUL", "no character of XML", edit(t, "Sollecito", "¶&#0;"), pec.ErrCertDataXML, "oggetto"},
		{"reference to a control character", "no character of XML", edit(t, "Sollecito", "¶&#x1b;"), pec.ErrCertDataXML, "oggetto"},
		{"reference to a surrogate", "no character of XML", edit(t, "Sollecito", "¶&#xD800;"), pec.ErrCertDataXML, "oggetto"},
		{"reference beyond Unicode", "no character, and no overflow", edit(t, "Sollecito", "¶&#99999999999999999999;"), pec.ErrCertDataXML, "oggetto"},
		{"reference to nothing", "no digits", edit(t, "Sollecito", "¶&#;"), pec.ErrCertDataXML, "oggetto"},
		{"reference with a capital X", "not well-formed", edit(t, "Sollecito", "¶&#X41;"), pec.ErrCertDataXML, "oggetto"},
		{"hexadecimal digit in a decimal", "not well-formed", edit(t, "Sollecito", "&#65¶a;"), pec.ErrCertDataXML, "oggetto"},

		// Doctypes.
		{"entity", "a text with another meaning", doctype(`¶<!ENTITY a "b">`), pec.ErrCertDataEntity, ""},
		{"external entity", "nothing is fetched", doctype(`¶<!ENTITY a SYSTEM "file:///etc/passwd">`), pec.ErrCertDataEntity, ""},
		{"parameter entity", "a DTD with another meaning", doctype(`<!ELEMENT a ANY> ¶<!ENTITY % a "b">`), pec.ErrCertDataEntity, ""},
		{"parameter entity used", "the same", doctype(`¶%a;`), pec.ErrCertDataEntity, ""},
		{"notation", "no use for it", doctype(`¶<!NOTATION a SYSTEM "b">`), pec.ErrCertDataEntity, ""},
		{"conditional section", "no use for it", doctype(`¶<![INCLUDE[]]>`), pec.ErrCertDataEntity, ""},
		{"another default", "it would add what nobody wrote", doctype(`<!ATTLIST postacert errore CDATA ¶"altro">`), pec.ErrCertDataEntity, ""},
		{"another default of destinatari", "the same", doctype(`<!ATTLIST destinatari tipo (certificato|esterno) ¶"esterno">`), pec.ErrCertDataEntity, ""},
		{"fixed default", "the same", doctype(`<!ATTLIST postacert errore CDATA ¶#FIXED "nessuno">`), pec.ErrCertDataEntity, ""},
		{"a default of another attribute", "the same", doctype(`<!ATTLIST postacert tipo CDATA ¶"nessuno">`), pec.ErrCertDataEntity, ""},
		{"a namespace by default", "the same", doctype(`<!ATTLIST postacert xmlns CDATA ¶"http://example.com">`), pec.ErrCertDataEntity, ""},
		{"entity attribute", "no use for it", doctype(`<!ATTLIST ricevuta tipo ¶ENTITY #IMPLIED>`), pec.ErrCertDataEntity, ""},
		{"notation attribute", "no use for it", doctype(`<!ATTLIST ricevuta tipo ¶NOTATION (a) #IMPLIED>`), pec.ErrCertDataEntity, ""},
		{"unknown attribute type", "not well-formed", doctype(`<!ATTLIST ricevuta tipo ¶STRING #IMPLIED>`), pec.ErrCertDataXML, ""},
		{"attribute without type", "not well-formed", doctype(`<!ATTLIST ricevuta tipo ¶#IMPLIED>`), pec.ErrCertDataXML, ""},
		{"attribute without default", "not well-formed", doctype(`<!ATTLIST ricevuta tipo CDATA¶>`), pec.ErrCertDataXML, ""},
		{"empty enumeration", "not well-formed", doctype(`<!ATTLIST ricevuta tipo (¶) #IMPLIED>`), pec.ErrCertDataXML, ""},
		{"enumeration without end", "not well-formed", doctype(`<!ATTLIST ricevuta tipo (a ¶b) #IMPLIED>`), pec.ErrCertDataXML, ""},
		{"entity in a default", "not the RFC's text", doctype(`<!ATTLIST postacert errore CDATA ¶"&#110;essuno">`), pec.ErrCertDataEntity, ""},
		{"element without content", "not well-formed", doctype(`<!ELEMENT a ¶>`), pec.ErrCertDataXML, ""},
		{"element with bad content", "not well-formed", doctype(`<!ELEMENT a (b ¶c)>`), pec.ErrCertDataXML, ""},
		{"element with two separators", "not well-formed", doctype(`<!ELEMENT a (b, c ¶| d)>`), pec.ErrCertDataXML, ""},
		{"element with an empty group", "not well-formed", doctype(`<!ELEMENT a (¶)>`), pec.ErrCertDataXML, ""},
		{"mixed content without star", "not well-formed", doctype(`<!ELEMENT a (#PCDATA | b)¶>`), pec.ErrCertDataXML, ""},
		{"mixed content within", "not well-formed", doctype(`<!ELEMENT a (b, (¶#PCDATA))>`), pec.ErrCertDataXML, ""},
		{"deep content", "bounded", doctype(`<!ELEMENT a ((((((((¶(b)))))))))>`), pec.ErrCertDataLimit, ""},
		{"element declared twice in one", "not well-formed", doctype(`<!ELEMENT a ANY ¶ANY>`), pec.ErrCertDataXML, ""},
		{"text in the subset", "not well-formed", doctype(`¶a`), pec.ErrCertDataXML, ""},
		{"element in the subset", "not well-formed", doctype(`¶<postacert>`), pec.ErrCertDataXML, ""},
		{"instruction in the subset", "no declaration", doctype(`¶<?a b?>`), pec.ErrCertDataXML, ""},
		{"subset without end", "not well-formed", edit(t, "<postacert ", "<!DOCTYPE postacert [ ¶<postacert "), pec.ErrCertDataXML, ""},
		{"doctype without end", "not well-formed", edit(t, "<postacert ", "<!DOCTYPE postacert ¶<postacert "), pec.ErrCertDataXML, ""},
		{"doctype of something else", "the root is postacert", edit(t, "<postacert ", "<!DOCTYPE ¶html><postacert "), pec.ErrCertDataForm, ""},
		{"doctype twice", "one", edit(t, "<postacert ", "<!DOCTYPE postacert>¶<!DOCTYPE postacert><postacert "), pec.ErrCertDataForm, "postacert"},
		{"doctype without blank", "not well-formed", edit(t, "<postacert ", "<!DOCTYPE¶[]><postacert "), pec.ErrCertDataXML, ""},
		{"doctype in lower case", "not well-formed", edit(t, "<postacert ", "¶<!doctype postacert><postacert "), pec.ErrCertDataForm, "postacert"},
		{"public without system", "not well-formed", edit(t, "<postacert ", `<!DOCTYPE postacert PUBLIC "a"¶><postacert `), pec.ErrCertDataXML, ""},
		{"public with a bad character", "not well-formed", edit(t, "<postacert ", `<!DOCTYPE postacert PUBLIC ¶"{a}" "b"><postacert `), pec.ErrCertDataXML, ""},
		{"system without quotes", "not well-formed", edit(t, "<postacert ", `<!DOCTYPE postacert SYSTEM ¶a><postacert `), pec.ErrCertDataXML, ""},
		{"doctype within", "it comes before the root", edit(t, "<dati>", "¶<!DOCTYPE postacert><dati>"), pec.ErrCertDataForm, "dati"},

		// Elements and attributes.
		{"another root", "postacert", "¶<daticert></daticert>", pec.ErrCertDataForm, "postacert"},
		{"a root that begins so", "whole names", "¶<postacert2 tipo='accettazione'/>", pec.ErrCertDataForm, "postacert"},
		{"empty root", "no children", "¶<postacert tipo='accettazione'/>", pec.ErrCertDataForm, "postacert"},
		{"empty intestazione", "its children may not stand elsewhere", edit(t, "<intestazione>", "¶<intestazione/>"), pec.ErrCertDataForm, "intestazione"},
		{"namespace", "none", edit(t, "<postacert ", `<postacert ¶xmlns="http://example.com" `), pec.ErrCertDataForm, "postacert"},
		{"prefix", "none", edit(t, "<dati>", "¶<p:dati>"), pec.ErrCertDataForm, "dati"},
		{"prefixed attribute", "none", edit(t, "<dati>", `<dati ¶xml:lang="it">`), pec.ErrCertDataForm, "dati"},
		{"unknown attribute", "none", edit(t, "<mittente>", `<mittente ¶tipo="certificato">`), pec.ErrCertDataForm, "mittente"},
		{"attribute in other case", "XML tells them apart", edit(t, `tipo="esterno"`, `¶Tipo="esterno"`), pec.ErrCertDataForm, "destinatari"},
		{"element in other case", "XML tells them apart", edit(t, "<oggetto>", "¶<Oggetto>"), pec.ErrCertDataForm, "intestazione"},
		{"unknown element", "none", edit(t, "<dati>", "¶<nota>x</nota><dati>"), pec.ErrCertDataForm, "dati"},
		{"unknown element at the end", "none", edit(t, "</dati>", "¶<nota>x</nota></dati>"), pec.ErrCertDataForm, "dati"},
		{"text between elements", "none", edit(t, "<dati>", "¶x<dati>"), pec.ErrCertDataForm, "dati"},
		{"blank by number between elements", "not layout", edit(t, "<dati>", "¶&#32;<dati>"), pec.ErrCertDataForm, "dati"},
		{"CDATA between elements", "not layout", edit(t, "<dati>", "¶<![CDATA[ ]]><dati>"), pec.ErrCertDataForm, "dati"},
		{"no mittente", "once", edit(t, "<mittente>studio@pec.alfa.example</mittente>\n        ", "¶"), pec.ErrCertDataForm, "mittente"},
		{"mittente twice", "which one counts?", edit(t, "</mittente>", "</mittente>¶<mittente>x@y.example</mittente>"), pec.ErrCertDataForm, "destinatari"},
		{"oggetto twice", "which one counts?", edit(t, "</oggetto>", "</oggetto>¶<oggetto/>"), pec.ErrCertDataForm, "intestazione"},
		{"msgid twice", "which one counts?", edit(t, "</msgid>", "</msgid>¶<msgid/>"), pec.ErrCertDataConflict, "consegna"},
		{"consegna twice", "one recipient", edit(t, "</consegna>", "</consegna>¶<consegna>info@mail.example</consegna>"), pec.ErrCertDataForm, "dati"},
		{"intestazione twice", "once", edit(t, "<dati>", "¶<intestazione></intestazione><dati>"), pec.ErrCertDataForm, "dati"},
		{"dati twice", "once", edit(t, "</dati>", "</dati>¶<dati></dati>"), pec.ErrCertDataForm, "postacert"},
		{"wrong order", "the DTD's", edit(t, "<mittente>studio@pec.alfa.example</mittente>\n        ", "¶", "</risposte>", "</risposte><mittente>studio@pec.alfa.example</mittente>"), pec.ErrCertDataForm, "mittente"},
		{"destinatari apart", "together", edit(t, "</oggetto>", "</oggetto>¶<destinatari>x@y.example</destinatari>"), pec.ErrCertDataForm, "intestazione"},
		{"element in text", "no children", edit(t, "Sollecito 17", "a<b>c</b>", "a<b", "a¶<b"), pec.ErrCertDataForm, "oggetto"},
		{"comment in text", "readers join the pieces or do not", edit(t, "studio@pec.alfa.example</mittente>", "studio@pec.alfa.example¶<!-- -->.evil.example</mittente>"), pec.ErrCertDataForm, "mittente"},
		{"comment before text", "readers take the first child", edit(t, "<mittente>", "<mittente>¶<!-- -->"), pec.ErrCertDataForm, "mittente"},
		{"instruction in text", "the same", edit(t, "Sollecito", "a¶<?b?>"), pec.ErrCertDataForm, "oggetto"},
		{"content in ricevuta", "it is empty", edit(t, `<ricevuta tipo="completa"/>`, `<ricevuta tipo="completa">¶ </ricevuta>`), pec.ErrCertDataForm, "ricevuta"},

		// Values.
		{"no tipo", "required", edit(t, `<postacert tipo="avvenuta-consegna"`, `¶<postacert`), pec.ErrCertDataForm, "postacert"},
		{"unknown tipo", "refused", edit(t, `tipo="avvenuta-consegna"`, `¶tipo="letta"`), pec.ErrCertDataKind, "postacert"},
		{"empty tipo", "refused", edit(t, `tipo="avvenuta-consegna"`, `¶tipo=""`), pec.ErrCertDataKind, "postacert"},
		{"this package's label", "stands on no wire", edit(t, `tipo="avvenuta-consegna"`, `¶tipo="anomalia"`), pec.ErrCertDataKind, "postacert"},
		{"tipo with blanks", "exact", edit(t, `tipo="avvenuta-consegna"`, `¶tipo=" avvenuta-consegna"`), pec.ErrCertDataKind, "postacert"},
		{"tipo in capitals", "exact", edit(t, `tipo="avvenuta-consegna"`, `¶tipo="Avvenuta-consegna"`), pec.ErrCertDataKind, "postacert"},
		{"unknown errore", "exact", edit(t, `errore="nessuno"`, `¶errore="boh"`), pec.ErrCertDataForm, "postacert"},
		{"empty errore", "the default is for one that is missing", edit(t, `errore="nessuno"`, `¶errore=""`), pec.ErrCertDataForm, "postacert"},
		{"unknown tipo of destinatari", "exact", edit(t, `tipo="esterno"`, `¶tipo="interno"`), pec.ErrCertDataForm, "destinatari"},
		{"unknown tipo of ricevuta", "exact", edit(t, `tipo="completa"`, `¶tipo="complet"`), pec.ErrCertDataForm, "ricevuta"},
		{"no tipo of ricevuta", "required", edit(t, `<ricevuta tipo="completa"/>`, `¶<ricevuta/>`), pec.ErrCertDataForm, "ricevuta"},
		{"mittente without @", "an address", edit(t, "<mittente>studio@", "¶<mittente>studio."), pec.ErrCertDataForm, "mittente"},
		{"empty mittente", "an address", edit(t, "<mittente>studio@pec.alfa.example<", "¶<mittente><"), pec.ErrCertDataForm, "mittente"},
		{"two addresses", "one each", edit(t, "<consegna>comune@pec.beta.example", "¶<consegna>comune@pec.beta.example,info@mail.example"), pec.ErrCertDataForm, "consegna"},
		{"blank in an address", "none", edit(t, "<consegna>comune@pec", "¶<consegna>comune@ pec"), pec.ErrCertDataForm, "consegna"},
		{"address with a name", "the address alone", edit(t, "<consegna>comune@pec.beta.example", "¶<consegna>&lt;comune@pec.beta.example&gt;"), pec.ErrCertDataForm, "consegna"},
		{"empty identificativo", "needed", edit(t, "<identificativo>alfa1.20260904101530.00001.1@pec.alfa.example", "¶<identificativo> "), pec.ErrCertDataForm, "identificativo"},
		{"blank in identificativo", "none", edit(t, "<identificativo>alfa1.", "¶<identificativo>alfa1 "), pec.ErrCertDataForm, "identificativo"},
		{"msgid not ASCII", "printable ASCII", edit(t, "<msgid>&lt;", "¶<msgid>è&lt;"), pec.ErrCertDataForm, "msgid"},
		{"control character in msgid", "printable ASCII", edit(t, "<msgid>&lt;", "¶<msgid>&lt;&#127;"), pec.ErrCertDataForm, "msgid"},
		{"no zona", "required", edit(t, ` zona="+0200"`, "", "<data", "¶<data"), pec.ErrCertDataForm, "data"},
		{"zona without sign", "[+-]hhmm", edit(t, `zona="+0200"`, `¶zona="0200"`), pec.ErrCertDataForm, "data"},
		{"zona with a colon", "[+-]hhmm", edit(t, `zona="+0200"`, `¶zona="+02:00"`), pec.ErrCertDataForm, "data"},
		{"zona by letter", "[+-]hhmm", edit(t, `zona="+0200"`, `¶zona="Z"`), pec.ErrCertDataForm, "data"},
		{"zona beyond the world", "at most 14 hours", edit(t, `zona="+0200"`, `¶zona="+1500"`), pec.ErrCertDataForm, "data"},
		{"zona with 60 minutes", "not real", edit(t, `zona="+0200"`, `¶zona="+0260"`), pec.ErrCertDataForm, "data"},
		{"zona with a sign inside", "digits", edit(t, `zona="+0200"`, `¶zona="+-200"`), pec.ErrCertDataForm, "data"},
		{"30 February", "not real", edit(t, "<giorno>04/09", "¶<giorno>30/02"), pec.ErrCertDataForm, "giorno"},
		{"29 February of a common year", "not real", edit(t, "<giorno>04/09/2026", "¶<giorno>29/02/2026"), pec.ErrCertDataForm, "giorno"},
		{"month 13", "not real", edit(t, "<giorno>04/09", "¶<giorno>04/13"), pec.ErrCertDataForm, "giorno"},
		{"day 0", "not real", edit(t, "<giorno>04/09", "¶<giorno>00/09"), pec.ErrCertDataForm, "giorno"},
		{"year 0", "not real", edit(t, "<giorno>04/09/2026", "¶<giorno>04/09/0000"), pec.ErrCertDataForm, "giorno"},
		{"the zero instant", "means no time in Go", edit(t, "+0200", "+0000", "<giorno>04/09/2026", "¶<giorno>01/01/0001", "10:15:30", "00:00:00"), pec.ErrCertDataForm, "giorno"},
		{"ISO date", "dd/mm/yyyy", edit(t, "<giorno>04/09/2026", "¶<giorno>2026-09-04"), pec.ErrCertDataForm, "giorno"},
		{"short date", "dd/mm/yyyy", edit(t, "<giorno>04/09/2026", "¶<giorno>4/9/2026"), pec.ErrCertDataForm, "giorno"},
		{"letters in the year", "digits", edit(t, "<giorno>04/09/2026", "¶<giorno>04/09/2O26"), pec.ErrCertDataForm, "giorno"},
		{"hour 24", "not real", edit(t, "<ora>10:15:30", "¶<ora>24:00:00"), pec.ErrCertDataForm, "ora"},
		{"minute 60", "not real", edit(t, "<ora>10:15", "¶<ora>10:60"), pec.ErrCertDataForm, "ora"},
		{"second 61", "60 is the leap second", edit(t, "<ora>10:15:30", "¶<ora>10:15:61"), pec.ErrCertDataForm, "ora"},
		{"no seconds", "hh:mm:ss", edit(t, "<ora>10:15:30", "¶<ora>10:15"), pec.ErrCertDataForm, "ora"},
		{"fraction", "hh:mm:ss", edit(t, "<ora>10:15:30", "¶<ora>10:15:30.5"), pec.ErrCertDataForm, "ora"},
		{"dots", "hh:mm:ss", edit(t, "<ora>10:15:30", "¶<ora>10.15.30"), pec.ErrCertDataForm, "ora"},

		// What the kind asks for.
		{"consegna not among destinatari", "of another send", edit(t, "<consegna>comune@", "¶<consegna>altro@"), pec.ErrCertDataConflict, "consegna"},
		{"delivery with an error", "success has none", edit(t, `errore="nessuno"`, `¶errore="altro"`), pec.ErrCertDataConflict, "postacert"},
		{"delivery without consegna", "to whom?", edit(t, "<consegna>comune@pec.beta.example</consegna>\n    ", "¶"), pec.ErrCertDataConflict, "consegna"},
		{"delivery with ricezione", "not of this kind", edit(t, "</consegna>", "</consegna>¶<ricezione>comune@pec.beta.example</ricezione>"), pec.ErrCertDataConflict, "ricezione"},
		{"delivery with errore-esteso", "success has none", edit(t, "</consegna>", "</consegna>¶<errore-esteso>x</errore-esteso>"), pec.ErrCertDataConflict, "errore-esteso"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before, after, ok := strings.Cut(test.doc, "¶")
			if !ok {
				t.Fatal("the test marks no place")
			}
			checkCertDataError(t, before+after, before, test.want, test.element, test.reason)
		})
	}
}

// checkCertDataError checks that doc is refused for a cause, after before.
func checkCertDataError(t *testing.T, doc, before string, cause error, element, reason string) {
	t.Helper()
	got, err := read(doc)
	var at *pec.CertDataError
	if !errors.As(err, &at) || !errors.Is(err, cause) {
		t.Fatalf("ReadCertData = %+v, %v, want a CertDataError: %v (%s)", got, err, cause, reason)
	}
	if got != nil {
		t.Errorf("ReadCertData = %+v with error %v", got, err)
	}
	lines := strings.Split(strings.TrimPrefix(before, "\ufeff"), "\n")
	line, column := len(lines), len([]rune(lines[len(lines)-1]))+1
	if at.Line != line || at.Column != column || at.Element != element {
		t.Errorf("ReadCertData gives %v, want it at line %d, column %d, element %q (%s)", err, line, column, element, reason)
	}
	if strings.Contains(err.Error(), "example") {
		t.Errorf("error %q repeats the document", err)
	}
}

// TestCertDataKinds tries, for every kind, every element and errore that it must,
// may or may not have. RFC 6109, section 4.4.
func TestCertDataKinds(t *testing.T) {
	const (
		receiptType = `<ricevuta tipo="breve"/>`
		delivered   = `<consegna>b@pec.beta.example</consegna>`
		taken       = `<ricezione>a@pec.beta.example</ricezione><ricezione>b@pec.beta.example</ricezione>`
		detail      = `<errore-esteso>5.1.1 - Gestore - testo</errore-esteso>`
	)
	type rules struct {
		success, failure bool     // may errore be nessuno, or something else?
		good, bad        []string // what may stand after msgid, and what may not
	}
	nobody := `<consegna>c@pec.beta.example</consegna>`
	tests := map[pec.Kind]rules{
		pec.KindAcceptance: {true, false,
			[]string{""},
			[]string{receiptType, delivered, taken, detail}},
		pec.KindNonAcceptance: {false, true,
			[]string{"", detail},
			[]string{receiptType, delivered, taken}},
		pec.KindServerAcceptance: {true, false,
			[]string{taken},
			[]string{"", delivered, receiptType + taken, delivered + taken, taken + detail, "<ricezione>c@pec.beta.example</ricezione>"}},
		pec.KindTransport: {true, false,
			[]string{"", receiptType},
			[]string{delivered, taken, detail}},
		pec.KindDelivery: {true, false,
			[]string{delivered, receiptType + delivered},
			[]string{"", receiptType, taken, delivered + taken, delivered + detail, nobody}},
		pec.KindDeliveryError: {false, true,
			[]string{delivered, delivered + detail},
			[]string{"", detail, taken, receiptType + delivered, delivered + taken, nobody + detail}},
		pec.KindDeliveryTimeout: {true, true,
			[]string{delivered, delivered + detail},
			[]string{"", detail, receiptType + delivered, delivered + taken, nobody}},
		pec.KindVirusDetection: {false, true,
			[]string{delivered, delivered + detail, taken, taken + detail},
			[]string{"", detail, receiptType + delivered, delivered + taken, nobody}},
	}
	document := func(kind pec.Kind, errore pec.ErrorCode, rest string) string {
		return fmt.Sprintf(`<postacert tipo="%s" errore="%s"><intestazione><mittente>s@pec.alfa.example</mittente>`+
			`<destinatari>a@pec.beta.example</destinatari><destinatari>B@pec.beta.example</destinatari><risposte/></intestazione>`+
			`<dati><gestore-emittente>G</gestore-emittente><data zona="+0100"><giorno>01/12/2026</giorno><ora>00:00:00</ora></data>`+
			`<identificativo>i</identificativo>%s</dati></postacert>`, kind, errore, rest)
	}
	for _, kind := range pec.Kinds() {
		rules, ok := tests[kind]
		if !ok && kind != pec.KindAnomaly { // which has no certification data
			t.Errorf("no rules for %s", kind)
		}
		for _, errore := range []pec.ErrorCode{pec.ErrorNone, pec.ErrorNoRecipient, pec.ErrorNoDomain, pec.ErrorVirus, pec.ErrorOther} {
			allowed := rules.failure
			if errore == pec.ErrorNone {
				allowed = rules.success
			}
			for _, rest := range rules.good {
				d, err := read(document(kind, errore, rest))
				if allowed != (err == nil) || err != nil && !errors.Is(err, pec.ErrCertDataConflict) {
					t.Errorf("%s, errore %s, with %q: got error %v, want allowed=%v", kind, errore, rest, err, allowed)
				}
				if err == nil && (d.Kind != kind || d.Error != errore) {
					t.Errorf("%s, errore %s: read as %s, %s", kind, errore, d.Kind, d.Error)
				}
			}
			for _, rest := range rules.bad {
				if _, err := read(document(kind, errore, rest)); !errors.Is(err, pec.ErrCertDataConflict) {
					t.Errorf("%s, errore %s, with %q: got error %v, want ErrCertDataConflict", kind, errore, rest, err)
				}
			}
		}
	}
	d, err := read(document(pec.KindServerAcceptance, pec.ErrorNone, taken))
	want := []pec.Address{pec.MustParseAddress("a@pec.beta.example"), pec.MustParseAddress("b@pec.beta.example")}
	if err != nil || !slices.Equal(d.Taken, want) {
		t.Errorf("Taken = %v, %v, want %v", d, err, want)
	}
}

func TestReadCertDataLimits(t *testing.T) {
	recipients := func(element string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "<%s>a%d@x.example</%[1]s>", element, i)
		}
		return b.String()
	}
	const destinatari = `<destinatari tipo="esterno">info@mail.example</destinatari>`
	taken := edit(t, `"avvenuta-consegna"`, `"presa-in-carico"`, `<ricevuta tipo="completa"/>`, "", "<consegna>comune@pec.beta.example</consegna>", strings.Repeat("<ricezione>info@mail.example</ricezione>", 10_000))
	long := strings.Repeat("x", 300) + "@" + strings.Repeat("y", 19)
	tests := []struct {
		name  string
		good  string
		bad   string
		where string // element of the error
	}{
		{"document", delivery + strings.Repeat(" ", 1<<20-len(delivery)), delivery + strings.Repeat(" ", 1<<20-len(delivery)+1), ""},
		{"recipients", edit(t, destinatari, recipients("destinatari", 9_999)), edit(t, destinatari, recipients("destinatari", 10_000)), "destinatari"},
		{"recipients taken", taken, strings.Replace(taken, "</dati>", "<ricezione>info@mail.example</ricezione></dati>", 1), "ricezione"},
		{"free text", edit(t, "Sollecito 17", strings.Repeat("x", 64<<10)), edit(t, "Sollecito 17", strings.Repeat("x", 64<<10+1)), "oggetto"},
		{"text of references", edit(t, "Sollecito 17", strings.Repeat("&#232;", 32<<10)), edit(t, "Sollecito 17", strings.Repeat("&#232;", 32<<10)+"x"), "oggetto"},
		{"address", edit(t, "<mittente>studio@pec.alfa.example<", "<mittente>"+long+"<"), edit(t, "<mittente>studio@pec.alfa.example<", "<mittente>"+long+"y<"), "mittente"},
		{"Message-ID", edit(t, "6f1c0e@pec.alfa.example", strings.Repeat("x", 996)), edit(t, "6f1c0e@pec.alfa.example", strings.Repeat("x", 997)), "msgid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := read(test.good); err != nil {
				t.Errorf("at the limit: %v", err)
			}
			_, err := read(test.bad)
			var at *pec.CertDataError
			if !errors.Is(err, pec.ErrCertDataLimit) || !errors.As(err, &at) || at.Element != test.where {
				t.Errorf("beyond the limit: got error %v, want ErrCertDataLimit at %q", err, test.where)
			}
		})
	}
}

func TestReadCertDataReaderError(t *testing.T) {
	broken := errors.New("broken")
	_, err := pec.ReadCertData(io.MultiReader(strings.NewReader(delivery), iotest.ErrReader(broken)))
	var at *pec.CertDataError
	if !errors.Is(err, broken) || !errors.As(err, &at) || at.Line != 0 {
		t.Errorf("ReadCertData of a broken reader: %v, want a CertDataError that wraps its error, without a line", err)
	}
	if d, err := pec.ReadCertData(iotest.OneByteReader(strings.NewReader(delivery))); err != nil || !sameCertData(d, wantDelivery()) {
		t.Errorf("ReadCertData byte by byte = %+v, %v", d, err)
	}
}

// TestReadCertDataEveryCut cuts a document everywhere: none of the pieces is
// whole.
func TestReadCertDataEveryCut(t *testing.T) {
	whole := strings.TrimRight(delivery, "\n")
	for i := range whole {
		if _, err := read(whole[:i]); err == nil {
			t.Errorf("ReadCertData(%q) = nil error, want one", whole[:i])
		}
	}
}

func BenchmarkReadCertData(b *testing.B) {
	doc := []byte(edit(b, "Sollecito 17", "Sollecito di pagamento n. 17 &amp; 18, perché scaduto: "+strings.Repeat("testo ", 40)))
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pec.ReadCertData(bytes.NewReader(doc)); err != nil {
			b.Fatal(err)
		}
	}
}
