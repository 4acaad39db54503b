package pectest_test

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"mime"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// TestKinds has a network issue each kind of message, in both dialects, and
// compares header, text, parts and certified data with the rules: RFC 6109,
// section 3, and the ways of deployed providers.
func TestKinds(t *testing.T) {
	for _, direction := range [][2]string{{"pec.alfa.example", "pec.beta.example"}, {"pec.beta.example", "pec.alfa.example"}} {
		t.Run(direction[0], func(t *testing.T) {
			t.Parallel()
			r := newKindsRun(t, direction[0], direction[1])
			r.submit(t)
			r.n.Advance(24 * time.Hour)
			r.check(t)
		})
	}
}

// kindsRun is a network in which everything happens once.
type kindsRun struct {
	n        *pectest.Network
	from, at string // domains
	openssl  string // empty if it is not there
	ca       string
	mails    map[string]mail // :: Message-ID
	ids      map[string]string
	seen     map[string]int // :: what was issued → how often
	own      map[string]bool
}

func newKindsRun(t *testing.T, from, at string) *kindsRun {
	r := &kindsRun{from: from, at: at, mails: make(map[string]mail), ids: make(map[string]string), seen: make(map[string]int), own: make(map[string]bool)}
	rule := func(fault pectest.Fault, who string) pectest.Rule {
		return pectest.Rule{Fault: fault, Recipient: who + "@" + at}
	}
	lost := func(kind pec.Kind) pectest.Rule {
		return pectest.Rule{Fault: pectest.FaultLost, Recipient: "muto@" + at, Kind: kind}
	}
	r.n = newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{
		rule(pectest.FaultFull, "pieno"), rule(pectest.FaultUnknown, "nessuno"), rule(pectest.FaultInvalid, "invalido"),
		rule(pectest.FaultDomain, "sparito"), rule(pectest.FaultVirusAtRecipient, "infetto"),
		lost(pec.KindServerAcceptance), lost(pec.KindDelivery),
	}})
	r.openssl, _ = exec.LookPath("openssl") // TestOpenSSL insists
	r.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(r.ca, r.n.Authority().RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *kindsRun) sender() string { return "mittente@" + r.from }

// submit sends what makes the providers issue all kinds.
func (r *kindsRun) submit(t *testing.T) {
	t.Helper()
	at := func(names ...string) []string {
		for i := range names {
			names[i] += "@" + r.at
		}
		return names
	}
	for _, m := range []mail{
		{id: "good", to: append(at("uno"), privato), cc: at("due"), header: "Reply-To: Ufficio <altro@" + r.from + ">\r\n"},
		{id: "sintetica", to: at("uno"), header: "X-TipoRicevuta: sintetica\r\n"},
		{id: "breve", to: at("uno"), header: "X-TipoRicevuta: breve\r\nContent-Type: text/plain; name=a.txt\r\n"},
		{id: "bcc", to: at("uno"), header: "Bcc: altro@" + r.at + "\r\n"},
		{id: "virus", to: at("uno"), body: eicar},
		{id: "failures", to: at("pieno", "nessuno", "invalido", "sparito", "infetto")},
		{id: "timeouts", to: at("muto")},
	} {
		m.from = r.sender()
		m.subject = "Verifica \"" + m.id + "\" <1> & 2"
		r.mails[m.messageID()] = m
		if err := r.n.Submit(r.n.Account(r.sender()), m.recipients(), bytes.NewReader(m.bytes())); err != nil {
			t.Fatal(err)
		}
		settle(t, r.n)
	}
	ordinary := mail{id: "ordinary", from: privato, to: []string{r.sender()}, subject: "Ciao"}
	r.mails[ordinary.messageID()] = ordinary
	if err := r.n.Submit(r.n.Account(privato), ordinary.to, bytes.NewReader(ordinary.bytes())); err != nil {
		t.Fatal(err)
	}
	settle(t, r.n)
	for e := range r.n.Events() {
		if e.ID != "" {
			r.ids[e.MessageID] = e.ID
		}
	}
}

// kindRule is what the rules say of a kind of message. Each is named after what
// brings it about.
type kindRule struct {
	name     string
	field    string // X-Ricevuta or X-Trasporto
	value    string
	prefix   string // of the subject
	byTheirs bool   // issued by the recipients' provider
	internal bool   // goes to the service mailbox
	errore   string
	elements string // of dati, after identificativo and msgid
	detail   string // how errore-esteso begins
	original bool
	words    []string // of the text: after date and subject, and before the identifier
}

// kindRules are the rules for the twelve kinds, some of them in several forms.
// DATE, SUBJECT, SENDER, RECIPIENT and EACH stand for what the message is about.
// RFC 6109, sections 3.1.2 to 3.3.3 and 4.4.
var kindRules = []kindRule{
	{name: "accettazione", field: "X-Ricevuta", value: "accettazione", prefix: "ACCETTAZIONE:", errore: "nessuno",
		words: []string{"Ricevuta di accettazione", "DATE", "SUBJECT", "SENDER", "EACH", "accettato", "inoltrato"}},
	{name: "non-accettazione", field: "X-Ricevuta", value: "non-accettazione", prefix: "AVVISO DI NON ACCETTAZIONE:", errore: "altro",
		elements: "errore-esteso", detail: "destinatari in copia nascosta",
		words: []string{"Avviso di non accettazione", "DATE", "SUBJECT", "SENDER", "EACH", "DETAIL", "non è stato accettato"}},
	{name: "non-accettazione virus", field: "X-Ricevuta", value: "non-accettazione", prefix: "AVVISO DI NON ACCETTAZIONE PER VIRUS:", errore: "virus",
		elements: "errore-esteso", detail: "EICAR-Test-File",
		words: []string{"Avviso di non accettazione per virus", "DATE", "SUBJECT", "SENDER", "EACH", "DETAIL", "non è stato accettato"}},
	{name: "presa-in-carico", field: "X-Ricevuta", value: "presa-in-carico", prefix: "PRESA IN CARICO:", byTheirs: true, internal: true, errore: "nessuno",
		elements: "ricezione",
		words:    []string{"Ricevuta di presa in carico", "DATE", "SUBJECT", "SENDER", "TAKEN", "preso in carico"}},
	{name: "consegna completa", field: "X-Ricevuta", value: "avvenuta-consegna", prefix: "CONSEGNA:", byTheirs: true, errore: "nessuno",
		elements: "ricevuta consegna", original: true,
		words: []string{"Ricevuta di avvenuta consegna", "DATE", "SUBJECT", "SENDER", "RECIPIENT", "depositato nella casella"}},
	{name: "consegna breve", field: "X-Ricevuta", value: "avvenuta-consegna", prefix: "CONSEGNA:", byTheirs: true, errore: "nessuno",
		elements: "ricevuta consegna", original: true,
		words: []string{"Ricevuta di avvenuta consegna", "DATE", "SUBJECT", "SENDER", "RECIPIENT", "depositato nella casella"}},
	{name: "consegna sintetica", field: "X-Ricevuta", value: "avvenuta-consegna", prefix: "CONSEGNA:", byTheirs: true, errore: "nessuno",
		elements: "ricevuta consegna",
		words:    []string{"Ricevuta di avvenuta consegna", "DATE", "SUBJECT", "SENDER", "RECIPIENT", "depositato nella casella"}},
	{name: "errore pieno", field: "X-Ricevuta", value: "errore-consegna", prefix: "AVVISO DI MANCATA CONSEGNA:", byTheirs: true, errore: "altro",
		elements: "consegna errore-esteso", detail: "5.2.2 - ",
		words: []string{"Avviso di mancata consegna", "DATE", "SUBJECT", "SENDER", "RECIPIENT", "DETAIL", "rifiutato"}},
	{name: "errore nessuno", field: "X-Ricevuta", value: "errore-consegna", prefix: "AVVISO DI MANCATA CONSEGNA:", byTheirs: true, errore: "no-dest",
		elements: "consegna errore-esteso", detail: "5.1.1 - ",
		words: []string{"Avviso di mancata consegna", "DATE", "SUBJECT", "SENDER", "RECIPIENT", "DETAIL", "rifiutato"}},
	{name: "errore invalido", field: "X-Ricevuta", value: "errore-consegna", prefix: "AVVISO DI MANCATA CONSEGNA:", byTheirs: true, errore: "altro",
		elements: "consegna errore-esteso", detail: "5.1.1 - ",
		words: []string{"Avviso di mancata consegna", "DATE", "SUBJECT", "SENDER", "RECIPIENT", "DETAIL", "rifiutato"}},
	{name: "errore sparito", field: "X-Ricevuta", value: "errore-consegna", prefix: "AVVISO DI MANCATA CONSEGNA:", errore: "no-dominio",
		elements: "consegna errore-esteso", detail: "5.1.2 - ",
		words: []string{"Avviso di mancata consegna", "DATE", "SUBJECT", "SENDER", "RECIPIENT", "DETAIL", "rifiutato"}},
	{name: "errore infetto", field: "X-Ricevuta", value: "errore-consegna", prefix: "AVVISO DI MANCATA CONSEGNA PER VIRUS:", errore: "virus",
		elements: "consegna errore-esteso", detail: "EICAR-Test-File",
		words: []string{"Avviso di mancata consegna per virus", "DATE", "SUBJECT", "RECIPIENT", "DETAIL", "non è stato consegnato"}},
	{name: "rilevazione infetto", field: "X-Ricevuta", value: "rilevazione-virus", prefix: "PROBLEMA DI SICUREZZA:", byTheirs: true, internal: true, errore: "virus",
		elements: "consegna errore-esteso", detail: "EICAR-Test-File",
		words: []string{"Avviso di rilevazione virus", "DATE", "SUBJECT", "SENDER", "RECIPIENT", "DETAIL", "Per questo motivo"}},
	{name: "preavviso 12", field: "X-Ricevuta", value: "preavviso-errore-consegna", prefix: "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO:", errore: "altro",
		elements: "consegna errore-esteso", detail: "4.4.1 - ",
		words: []string{"Avviso di mancata consegna", "DATE", "SUBJECT", "SENDER", "RECIPIENT", "prime dodici ore", "ancora possibile", "secondo avviso"}},
	{name: "preavviso 24", field: "X-Ricevuta", value: "preavviso-errore-consegna", prefix: "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO:", errore: "altro",
		elements: "consegna errore-esteso", detail: "5.4.1 - ",
		words: []string{"Avviso di mancata consegna", "DATE", "SUBJECT", "SENDER", "RECIPIENT", "ventiquattro ore", "esito negativo"}},
	{name: "busta di trasporto", field: "X-Trasporto", value: "posta-certificata", prefix: "POSTA CERTIFICATA:", errore: "nessuno",
		elements: "ricevuta", original: true,
		words: []string{"Busta di trasporto", "DATE", "SUBJECT", "SENDER", "EACH", "allegato"}},
	{name: "busta di anomalia", field: "X-Trasporto", value: "errore", prefix: "ANOMALIA MESSAGGIO:", original: true,
		words: []string{"Busta di anomalia", "DATE", "SUBJECT", "SENDER", "EACH", "non sono certificati", "messaggio di posta ordinaria", "allegato"}},
}

// ruleFor finds the rule for a message.
func (r *kindsRun) ruleFor(t *testing.T, m *issued) *kindRule {
	t.Helper()
	name := m.header.Get("X-Ricevuta")
	sent := r.mails[m.header.Get("X-Riferimento-Message-ID")]
	who := ""
	if m.data != nil && len(m.data.Delivery) > 0 {
		who, _, _ = strings.Cut(m.data.Delivery[0], "@")
	}
	switch {
	case m.header.Get("X-Trasporto") == "errore":
		name = "busta di anomalia"
	case m.header.Get("X-Trasporto") != "":
		name = "busta di trasporto"
	case name == "non-accettazione" && sent.id == "virus":
		name += " virus"
	case name == "avvenuta-consegna" && who == "due":
		name = "consegna sintetica" // he stands in Cc
	case name == "avvenuta-consegna" && sent.id == "good":
		name = "consegna completa"
	case name == "avvenuta-consegna":
		name = "consegna " + sent.id
	case name == "errore-consegna":
		name = "errore " + who
	case name == "rilevazione-virus":
		name = "rilevazione " + who
	case name == "preavviso-errore-consegna" && r.seen["preavviso 12"] == 0:
		name = "preavviso 12" // the notices are told apart by their order
	case name == "preavviso-errore-consegna":
		name = "preavviso 24"
	}
	for i := range kindRules {
		if kindRules[i].name == name {
			r.seen[name]++
			return &kindRules[i]
		}
	}
	t.Fatalf("a message that no rule foresees (%s):\n%s", name, m.raw)
	return nil
}

// check looks at all that lies in the mailboxes.
func (r *kindsRun) check(t *testing.T) {
	t.Helper()
	boxes := []string{r.sender(), "uno@" + r.at, "due@" + r.at, "muto@" + r.at, privato, "ricevute@" + r.from}
	for _, box := range boxes {
		for raw := range r.n.Messages(box) {
			m := readIssued(t, raw)
			rule := r.ruleFor(t, m)
			t.Run(rule.name, func(t *testing.T) { r.checkMessage(t, m, rule) })
		}
	}
	want := map[string]int{"accettazione": 5, "presa-in-carico": 4, "consegna sintetica": 2, "busta di trasporto": 6}
	for _, rule := range kindRules {
		if times := max(1, want[rule.name]); r.seen[rule.name] != times {
			t.Errorf("%s was issued %d times, want %d\n%s", rule.name, r.seen[rule.name], times, journal(r.n))
		}
	}
}

func (r *kindsRun) checkMessage(t *testing.T, m *issued, rule *kindRule) {
	defer func() {
		if t.Failed() {
			t.Logf("the message:\n%s\nits text: %s\nits data: %+v", m.raw, m.plain, m.data)
		}
	}()
	by := r.n.Provider(r.from)
	if rule.byTheirs {
		by = r.n.Provider(r.at)
	}
	sent := r.mails[m.header.Get("X-Riferimento-Message-ID")]
	if rule.name == "busta di anomalia" {
		sent = r.mails[m.header.Get("Message-ID")]
	}
	r.checkHeader(t, m, rule, sent, by)
	r.checkData(t, m, rule, sent, by)
	r.checkText(t, m, rule, sent)
	r.checkOriginal(t, m, rule, sent)
	checkDialect(t, m, by)
	r.checkSignature(t, m)
}

// checkHeader compares the fields on the outside: those that the rules want, with
// the values that they want, and no others. RFC 6109, sections 2.1 and 3.
func (r *kindsRun) checkHeader(t *testing.T, m *issued, rule *kindRule, sent mail, by *pectest.Provider) {
	want := map[string]string{
		"Subject":                  rule.prefix + " " + sent.subject,
		"From":                     by.Service().String(),
		"To":                       sent.from,
		rule.field:                 rule.value,
		"X-Riferimento-Message-ID": sent.messageID(),
		"MIME-Version":             "1.0",
	}
	any := []string{"Date", "Content-Type", "Message-ID", "Return-Path"}
	if rule.internal {
		want["To"] = r.n.Provider(r.from).ServiceMailbox().String()
	}
	if rule.errore == "virus" && rule.value != "rilevazione-virus" {
		want["X-VerificaSicurezza"] = "errore"
	}
	if rule.value == "rilevazione-virus" {
		want["X-Mittente"] = sent.from
	}
	if rule.field == "X-Trasporto" {
		want["From"] = `"Per conto di: ` + sent.from + `" <` + by.Service().String() + `>`
		if traces := strings.Join(m.header["Received"], "\n"); !strings.Contains(traces, "with ESMTPSA;") {
			t.Errorf("Received:\n%s\nwant also that of the submission", traces)
		}
		want["To"], want["Cc"] = strings.Join(sent.to, ", "), strings.Join(sent.cc, ", ")
		want["Reply-To"] = sent.author()
		if sent.id == "good" {
			want["Reply-To"] = "Ufficio <altro@" + r.from + ">"
		}
	}
	switch rule.name {
	case "busta di trasporto":
		want["Message-ID"] = "<" + r.ids[sent.messageID()] + ">"
		want["X-TipoRicevuta"] = sent.receiptType()
	case "busta di anomalia":
		want["Message-ID"] = sent.messageID()
		want["X-Riferimento-Message-ID"] = ""
	}
	for name, value := range want {
		got, err := new(mime.WordDecoder).DecodeHeader(strings.Join(m.header[textproto.CanonicalMIMEHeaderKey(name)], " / "))
		if err != nil || strings.Join(strings.Fields(got), " ") != value {
			t.Errorf("%s: %q, %v, want %q", name, got, err, value)
		}
	}
	for _, name := range m.fields {
		if _, ok := want[name]; !ok && !slices.Contains(any, name) && name != "Received" {
			t.Errorf("field %s, which the rules do not foresee", name)
		}
	}
	if id := m.header.Get("Message-ID"); rule.field == "X-Ricevuta" && (r.own[id] || id == "" || r.isIdentifier(id)) {
		t.Errorf("Message-ID: %s, want a fresh one", id)
	} else {
		r.own[id] = true
	}
	if m.data == nil {
		return
	}
	certified, err := m.data.time()
	if date, dateErr := m.header.Date(); err != nil || dateErr != nil || !date.Equal(certified) || m.header.Get("Date") != certified.Format(time.RFC1123Z) {
		t.Errorf("Date: %s (%v), certified %v (%v): want the same", m.header.Get("Date"), dateErr, certified, err)
	}
}

func (r *kindsRun) isIdentifier(id string) bool {
	for _, known := range r.ids {
		if id == "<"+known+">" {
			return true
		}
	}
	return false
}

// checkData compares what is certified. RFC 6109, section 4.4.
func (r *kindsRun) checkData(t *testing.T, m *issued, rule *kindRule, sent mail, by *pectest.Provider) {
	d := m.data
	if rule.value == "errore" {
		if d != nil {
			t.Error("an anomaly envelope certifies something")
		}
		return
	}
	if d == nil {
		t.Error("no daticert.xml")
		return
	}
	replyTo := sent.from
	switch {
	case sent.id == "good":
		replyTo = "altro@" + r.from
	case r.from == "pec.beta.example":
		replyTo = "" // as providers of the newer dialect write
	}
	elements := strings.Fields("postacert intestazione mittente destinatari risposte oggetto dati gestore-emittente data giorno ora identificativo msgid " + rule.elements)
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"tipo", d.Kind, rule.value}, {"errore", d.Error, rule.errore}, {"elements", d.elements, elements},
		{"mittente", d.Sender, sent.from}, {"risposte", d.ReplyTo, []string{replyTo}}, {"oggetto", d.Subject, []string{sent.subject}},
		{"gestore-emittente", d.Issuer, by.Name()}, {"identificativo", d.ID, []string{r.ids[sent.messageID()]}},
		{"msgid", d.MessageID, []string{sent.messageID()}},
	} {
		if fmt.Sprint(check.got) != fmt.Sprint(check.want) {
			t.Errorf("%s = %q, want %q", check.what, check.got, check.want)
		}
	}
	var to []string
	for _, a := range d.To {
		if want := map[bool]string{true: "esterno", false: "certificato"}[a.Address == privato]; a.Type != want {
			t.Errorf("destinatari tipo of %s = %q, want %q", a.Address, a.Type, want)
		}
		to = append(to, a.Address)
	}
	if !slices.Equal(to, sent.recipients()) {
		t.Errorf("destinatari = %q, want %q", to, sent.recipients())
	}
	if len(d.Type) > 0 && d.Type[0].Value != sent.receiptType() {
		t.Errorf("ricevuta tipo = %q, want what was asked for, %q", d.Type[0].Value, sent.receiptType())
	}
	if rule.detail != "" && !strings.HasPrefix(d.Detail[0], rule.detail) {
		t.Errorf("errore-esteso = %q, want it to begin with %q", d.Detail[0], rule.detail)
	}
	if rule.value == "presa-in-carico" {
		taken := slices.DeleteFunc(sent.recipients(), func(a string) bool { return a == privato || strings.HasPrefix(a, "sparito@") })
		if !slices.Equal(d.Taken, taken) {
			t.Errorf("ricezione = %q, want those in charge of this provider, %q", d.Taken, taken)
		}
	}
}

// checkText looks for what people must be told, in its order, in the text and in
// the HTML.
func (r *kindsRun) checkText(t *testing.T, m *issued, rule *kindRule, sent mail) {
	date, err := m.header.Date()
	if err != nil {
		t.Error(err)
	}
	var items []string
	for _, word := range rule.words {
		switch word {
		case "DATE":
			items = append(items, date.Format("02/01/2006"), date.Format("15:04:05"), date.Format("(-0700)"))
		case "SUBJECT":
			items = append(items, `"`+sent.subject+`"`)
		case "SENDER":
			items = append(items, sent.from)
		case "RECIPIENT":
			items = append(items, m.data.Delivery[0])
		case "DETAIL":
			items = append(items, m.data.Detail[0])
		case "TAKEN":
			items = append(items, m.data.Taken...)
		case "EACH":
			for _, a := range sent.recipients() {
				if rule.value == "accettazione" {
					a += map[bool]string{true: ` ("posta ordinaria")`, false: ` ("posta certificata")`}[a == privato]
				}
				items = append(items, a)
			}
		default:
			items = append(items, word)
		}
	}
	if m.data != nil {
		items = append(items, m.data.ID[0])
	}
	wantInOrder(t, m.plain, items)
	if m.html == "" {
		return
	}
	unescaped := strings.NewReplacer("&#34;", `"`, "&lt;", "<", "&gt;", ">", "&amp;", "&", "&#39;", "'").Replace(m.html)
	wantInOrder(t, unescaped, items)
	for _, tag := range []string{"<img", "<font", "<style", "style=", "<script", "src=", "href=", "http"} {
		if strings.Contains(strings.ToLower(m.html), tag) {
			t.Errorf("the HTML has %s, which RFC 6109, section 4.3.1 forbids", tag)
		}
	}
}

func wantInOrder(t *testing.T, text string, items []string) {
	t.Helper()
	rest := text
	for _, item := range items {
		i := strings.Index(rest, item)
		if i < 0 {
			t.Errorf("the text has no %q (after the others of %q):\n%s", item, items, text)
			return
		}
		rest = rest[i+len(item):]
	}
}

// checkOriginal compares the copy of the original: the identifier in the place of
// the Message-ID, which stands at the end, and nothing else changed.
func (r *kindsRun) checkOriginal(t *testing.T, m *issued, rule *kindRule, sent mail) {
	if (m.original != nil) != rule.original {
		t.Errorf("postacert.eml is there: %v, want %v", m.original != nil, rule.original)
	}
	if m.original == nil || rule.name == "consegna breve" {
		return
	}
	want := string(sent.bytes())
	if rule.value != "errore" {
		want = strings.Replace(want, "Message-ID: "+sent.messageID(), "Message-ID: <"+r.ids[sent.messageID()]+">", 1)
		want = strings.Replace(want, "\r\n\r\n", "\r\nX-Riferimento-Message-ID: "+sent.messageID()+"\r\n\r\n", 1)
	}
	if trace, ok := strings.CutSuffix(string(m.original), want); !ok || !strings.Contains(trace, "Received: from [127.0.0.1]") {
		t.Errorf("the original is\n%s\nwant a trace field and\n%s", m.original, want)
	}
}

var (
	oidCapabilities = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}
	oidProtection   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 52}
)

// checkDialect looks at what the two dialects write differently.
func checkDialect(t *testing.T, m *issued, by *pectest.Provider) {
	older := by.Domain() == "pec.alfa.example"
	has := func(oid asn1.ObjectIdentifier) bool {
		der, err := asn1.Marshal(oid)
		return err == nil && bytes.Contains(m.cms, der)
	}
	type dialect struct {
		protocol, micalg, encoding, version        string
		indefinite, capabilities, protection, html bool
	}
	got := dialect{
		m.protocol, m.micalg, m.entity.Get("Content-Transfer-Encoding"), m.entity.Get("MIME-Version"),
		m.cms[1] == 0x80, has(oidCapabilities), has(oidProtection), m.html != "",
	}
	want := dialect{"application/pkcs7-signature", "sha-256", "", "", true, false, true, true}
	if older {
		want = dialect{"application/x-pkcs7-signature", "sha-256", "binary", "1.0", false, true, false, false}
	}
	if got != want {
		t.Errorf("dialect %+v, want %+v", got, want)
	}
}

// checkSignature has the message verified by this module and by another program.
func (r *kindsRun) checkSignature(t *testing.T, m *issued) {
	if _, err := receipt.VerifyMessage(bytes.NewReader(m.raw), r.n.VerifyOptions()); err != nil {
		t.Errorf("VerifyMessage: %v", err)
	}
	if r.openssl == "" {
		return
	}
	if err := opensslVerify(r.openssl, r.ca, m.raw, r.n.Now()); err != nil {
		t.Error(err)
	}
}
