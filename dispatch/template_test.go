package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

// templateOf returns a template that is good but for what set does.
func templateOf(t testing.TB, set func(*dispatch.TemplateConfig)) *dispatch.Template {
	t.Helper()
	cfg := dispatch.TemplateConfig{Subject: "Avviso", Text: "Buongiorno."}
	if set != nil {
		set(&cfg)
	}
	tmpl, err := dispatch.NewTemplate(cfg)
	if err != nil {
		t.Fatalf("NewTemplate: %v", err)
	}
	return tmpl
}

// byteFile is a file with the given content.
func byteFile(name, content string) dispatch.File {
	return dispatch.FSFile(fstest.MapFS{name: {Data: []byte(content)}}, name)
}

func TestTemplateRefused(t *testing.T) {
	for _, c := range []struct {
		name                string
		subject, text, html string
		part                string
		line                int
		reason              string
	}{
		{"no subject", "", "x", "", "subject", 0, "receivers stumble over it"},
		{"blank subject", " \n", "x", "", "subject", 0, "the same"},
		{"two lines", "a\nb", "x", "", "subject", 2, "a subject is a line"},
		{"neither text nor html", "a", "", "", "text", 0, "nothing to say"},
		{"syntax", "a", "x\n\n{{.nome", "", "text", 3, "with its place"},
		{"unknown function", "a", "{{env \"HOME\"}}", "", "text", 1, "a template sees the row alone"},
		{"syntax in html", "a", "", "<p>\n{{end}}", "html", 2, "with its place"},
		{"html context", "a", "", "<p>\n<a href={{if .a}}\"x{{else}}'y{{end}}>", "html", 2, "html/template can't say where a quote ends"},
		{"whole row", "a", "{{.}}", "", "text", 1, "it would show every column"},
		{"whole row by $", "a", "{{with .a}}{{$}}{{end}}", "", "text", 1, "the same"},
		{"whole row in a variable", "a", "{{$r := .}}{{$r}}", "", "text", 1, "the same"},
		{"whole row to a function", "a", "\n{{index . \"a\"}}", "", "text", 2, "index has no missing keys"},
		{"whole row in range", "a", "{{range $k, $v := .}}{{$v}}{{end}}", "", "text", 1, "the same"},
		{"$ set anew", "a", "{{$ := .a}}{{$}}", "", "text", 1, "it is the row"},
		{"range over a cell", "a", "{{range .a}}{{.}}{{end}}", "", "text", 1, "a cell is no list"},
		{"range over a cell by $", "a", "{{range $.a}}{{.}}{{end}}", "", "text", 1, "a cell is no list"},
		{"part of a cell", "a", "{{.a.b}}", "", "text", 1, "a cell has no parts"},
		{"part of a cell by $", "a", "{{$.a.b}}", "", "text", 1, "the same"},
		{"part of a variable", "a", "{{$x := .a}}{{$x.b}}", "", "text", 1, "the same"},
		{"part of a result", "a", "{{(upper .a).b}}", "", "text", 1, "the same"},
		{"column within with", "a", "{{with .a}}{{.b}}{{end}}", "", "text", 1, "the dot is the cell there"},
		{"no name", "a", "{{._}}", "", "text", 1, "no column is called that"},
		{"define", "a", "{{define \"x\"}}{{.a}}{{end}}{{template \"x\" .}}", "", "text", 0, "which columns it uses would be in doubt"},
		{"template without define", "a", "\n{{template \"x\" .a}}", "", "text", 2, "there is none"},
		{"printf with a cell", "a", "{{printf .a .b}}", "", "text", 1, "a cell could ask for a width of a million"},
		{"printf at the end of a pipe", "a", "{{.a | printf}}", "", "text", 1, "the same"},
		{"not UTF-8", "a", "Forl\xec", "", "text", 0, "saved in another encoding"},
		{"NUL", "a", "a\x00b", "", "text", 0, "no text has one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := dispatch.NewTemplate(dispatch.TemplateConfig{Subject: c.subject, Text: c.text, HTML: c.html})
			var at *dispatch.TemplateError
			if !errors.As(err, &at) || at.Part != c.part || at.Line != c.line {
				t.Errorf("NewTemplate(%q, %q, %q): %v; want a TemplateError in %s, line %d (%s)", c.subject, c.text, c.html, err, c.part, c.line, c.reason)
			}
		})
	}
}

func TestTemplateErrorText(t *testing.T) {
	_, err := dispatch.NewTemplate(dispatch.TemplateConfig{Subject: "a", Text: "x\n{{nope}}"})
	if got, want := fmt.Sprint(err), `dispatch: template: text, line 2: function "nope" not defined`; got != want {
		t.Errorf("NewTemplate: %q, want %q", got, want)
	}
}

func TestTemplateFilesRefused(t *testing.T) {
	good := byteFile("a.pdf", "x")
	for name, set := range map[string]func(*dispatch.TemplateConfig){
		"no file": func(c *dispatch.TemplateConfig) {
			c.Attachments = []dispatch.File{dispatch.FSFile(fstest.MapFS{}, "a.pdf")}
		},
		"empty file": func(c *dispatch.TemplateConfig) { c.Attachments = []dispatch.File{byteFile("a.pdf", "")} },
		"no name":    func(c *dispatch.TemplateConfig) { c.Attachments = []dispatch.File{{Open: good.Open}} },
		"no Open":    func(c *dispatch.TemplateConfig) { c.Attachments = []dispatch.File{{Name: "a.pdf"}} },
		"line break": func(c *dispatch.TemplateConfig) {
			c.Attachments = []dispatch.File{{Name: "a\r\n.pdf", Open: good.Open}}
		},
		"path":         func(c *dispatch.TemplateConfig) { c.Attachments = []dispatch.File{{Name: "../a.pdf", Open: good.Open}} },
		"Windows path": func(c *dispatch.TemplateConfig) { c.Attachments = []dispatch.File{{Name: `c:\a.pdf`, Open: good.Open}} },
		"encoded word": func(c *dispatch.TemplateConfig) {
			c.Attachments = []dispatch.File{{Name: "=?utf-8?Q?a?=", Open: good.Open}}
		},
		"turned": func(c *dispatch.TemplateConfig) {
			c.Attachments = []dispatch.File{{Name: "a\u202efdp.exe", Open: good.Open}}
		},
		"long": func(c *dispatch.TemplateConfig) {
			c.Attachments = []dispatch.File{{Name: strings.Repeat("è", 128), Open: good.Open}}
		},
		"not UTF-8": func(c *dispatch.TemplateConfig) {
			c.Attachments = []dispatch.File{{Name: "Forl\xec.pdf", Open: good.Open}}
		},
		"blank at an end": func(c *dispatch.TemplateConfig) { c.Attachments = []dispatch.File{{Name: "a.pdf ", Open: good.Open}} },
		"media type": func(c *dispatch.TemplateConfig) {
			c.Attachments = []dispatch.File{{Name: "a.pdf", MediaType: "application/pdf; x=y", Open: good.Open}}
		},
		"line break in the media type": func(c *dispatch.TemplateConfig) {
			c.Attachments = []dispatch.File{{Name: "a.pdf", MediaType: "application/pdf\r\nX: y", Open: good.Open}}
		},
		"message": func(c *dispatch.TemplateConfig) {
			c.Attachments = []dispatch.File{{Name: "a.eml", MediaType: "message/rfc822", Open: good.Open}}
		},
		"multipart": func(c *dispatch.TemplateConfig) {
			c.Attachments = []dispatch.File{{Name: "a.eml", MediaType: "Multipart/mixed", Open: good.Open}}
		},
		"one name twice": func(c *dispatch.TemplateConfig) {
			c.Attachments = []dispatch.File{good, {Name: "A.PDF", Open: good.Open}}
		},
		"row file without column":  func(c *dispatch.TemplateConfig) { c.RowAttachments = []dispatch.RowFile{{FS: fstest.MapFS{}}} },
		"row file without source":  func(c *dispatch.TemplateConfig) { c.RowAttachments = []dispatch.RowFile{{Column: "a"}} },
		"line break in the sender": func(c *dispatch.TemplateConfig) { c.From.Name = "Alfa\r\nBcc: x@y.example" },
		"address as sender":        func(c *dispatch.TemplateConfig) { c.From.Name = "inps@pec.inps.example" },
		"NUL in the name for answers": func(c *dispatch.TemplateConfig) {
			c.ReplyTo = pec.Mailbox{Name: "a\x00", Address: pec.MustParseAddress("a@b.example")}
		},
	} {
		cfg := dispatch.TemplateConfig{Subject: "a", Text: "b"}
		set(&cfg)
		if _, err := dispatch.NewTemplate(cfg); err == nil || !strings.HasPrefix(err.Error(), "dispatch: template: ") {
			t.Errorf("%s: NewTemplate: %v, want an error", name, err)
		}
	}
}

// Which columns must have something in them follows from how they are used.
func TestTemplateColumns(t *testing.T) {
	for _, c := range []struct {
		text    string
		missing string // columns that may not be empty
		reason  string
	}{
		{"{{.a}} {{.b}}", "a b", "both are shown"},
		{"{{.A}} {{$.B}}", "a b", "whatever their case"},
		{"{{if .a}}{{.a}}{{end}}{{.b}}", "b", "it asks about a"},
		{"{{with .a}}{{.}}{{else}}{{.b}}{{end}}", "b", "it asks about a"},
		{"{{or .a .b}}", "", "either will do"},
		{"{{or .a \"-\"}}{{.b}}", "b", "there is something in its place"},
		{"{{if not .a}}{{.b}}{{end}}", "b", "it asks about a"},
		{"{{if and (ne .a \"\") .b}}x{{end}}", "", "it asks about both"},
		{"{{if eq .a \"F\"}}Sig.ra{{else}}Sig.{{end}}{{.b}}", "a b", "nothing would be taken for a man"},
		{"{{if upper .a}}x{{end}}{{.b}}", "a b", "not the cell is asked about"},
		{"{{if .a | upper}}x{{end}}{{.b}}", "a b", "the same"},
		{"{{range split .a \",\"}}{{.}}{{$.b}}{{end}}", "a b", "within range too"},
		{"{{$x := .a}}{{if $x}}{{$x}}{{end}}{{.b}}", "a b", "variables are not followed"},
	} {
		tmpl := templateOf(t, func(cfg *dispatch.TemplateConfig) { cfg.Text = c.text })
		r := tmpl.NewRenderer(nil, renderOptions())
		_, err := r.Render(context.Background(), rowOf("rossi@pec.beta.example", "a", "", "b", ""), testID)
		var missing []string
		for _, f := range faultsOf(err) {
			if f.Code != dispatch.FaultMissing || f.Line != 7 {
				t.Errorf("%q: unexpected fault %v", c.text, f)
			}
			missing = append(missing, f.Field)
		}
		if got := strings.Join(missing, " "); got != c.missing {
			t.Errorf("%q: columns that must not be empty: %q, want %q (%s)", c.text, got, c.missing, c.reason)
		}
	}
}

func TestReadTemplate(t *testing.T) {
	files := fstest.MapFS{
		"subject.txt":                     {Data: []byte("\ufeffAvviso {{.numero}}\r\n")},
		"text.txt":                        {Data: []byte("\ufeffGentile {{.nome}}\r\n")},
		"html.html":                       {Data: []byte("<p>Gentile {{.nome}}</p>")},
		"note.txt":                        {Data: []byte("not a part of it")},
		"attachments/b.pdf":               {Data: []byte("b")},
		"attachments/a.pdf":               {Data: []byte("a")},
		"attachments/.DS_Store":           {Data: []byte("x")},
		"attachments/Thumbs.db":           {Data: []byte("x")},
		"attachments/~$a.docx":            {Data: []byte("x")},
		"per-recipient/Lettera/1/uno.pdf": {Data: []byte("uno")},
	}
	cfg, err := dispatch.ReadTemplate(files)
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := dispatch.NewTemplate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	row := rowOf("rossi@pec.beta.example", "numero", "17", "nome", "Rossi", "lettera", "1/uno.pdf")
	m, err := tmpl.NewRenderer(nil, renderOptions()).Render(context.Background(), row, testID)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range m.Attachments {
		names = append(names, a.Name)
	}
	if got := strings.Join(names, " "); m.Subject != "Avviso 17" || got != "a.pdf b.pdf uno.pdf" {
		t.Errorf("subject %q, attachments %q; want Avviso 17, a.pdf b.pdf uno.pdf", m.Subject, got)
	}
}

func TestReadTemplateRefused(t *testing.T) {
	big := &fstest.MapFile{Data: make([]byte, 1<<20+1)}
	small := &fstest.MapFile{Data: []byte("x")}
	for name, files := range map[string]fstest.MapFS{
		"no subject":               {"text.txt": small},
		"a folder of attachments":  {"subject.txt": small, "text.txt": small, "attachments/sub/a.pdf": small},
		"a file instead of folder": {"subject.txt": small, "text.txt": small, "per-recipient/a.pdf": small},
		"large":                    {"subject.txt": small, "text.txt": big},
		"attachments is a file":    {"subject.txt": small, "text.txt": small, "attachments": small},
	} {
		if _, err := dispatch.ReadTemplate(files); err == nil {
			t.Errorf("%s: ReadTemplate: no error", name)
		}
	}
	_, err := dispatch.ReadTemplate(fstest.MapFS{"subject.txt": small})
	if err != nil {
		t.Errorf("ReadTemplate without texts: %v; NewTemplate will say so", err)
	}
	if _, err := dispatch.ReadTemplate(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadTemplate of nothing: %v, want fs.ErrNotExist", err)
	}
}

// What functions make of a cell.
func TestTemplateFunctions(t *testing.T) {
	for text, want := range map[string]string{
		`{{upper .a}}|{{lower .a}}`:               "FORLÌ, È|forlì, è",
		`{{range split .a ","}}[{{.}}]{{end}}`:    "[Forlì][È]",
		`{{range split " ,, " ","}}x{{end}}|`:     "|",
		`{{trim "  x "}}|`:                        "x|",
		`{{printf "%-8s|%s" .a (or .b "vuoto")}}`: "Forlì, È|vuoto",
	} {
		tmpl := templateOf(t, func(cfg *dispatch.TemplateConfig) { cfg.Subject = text })
		m, err := tmpl.NewRenderer(nil, renderOptions()).Render(context.Background(), rowOf("x@pec.beta.example", "a", "Forlì, È", "b", ""), testID)
		if err != nil || m.Subject != want {
			t.Errorf("%q: %v, %v; want %q", text, m, err, want)
		}
	}
}

func ExampleReadTemplate() {
	folder := fstest.MapFS{ // or os.DirFS("modelli/sollecito")
		"subject.txt":                     {Data: []byte("Sollecito n. {{.numero}}")},
		"text.txt":                        {Data: []byte("Gentile {{.nome}},\n\nveda la lettera allegata.\n")},
		"attachments/condizioni.pdf":      {Data: []byte("%PDF-1.7 condizioni")},
		"per-recipient/lettera/anna.pdf":  {Data: []byte("%PDF-1.7 lettera per Anna")},
		"per-recipient/lettera/carlo.pdf": {Data: []byte("%PDF-1.7 lettera per Carlo")},
	}
	cfg, err := dispatch.ReadTemplate(folder)
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg.RecipientName = "nome"
	tmpl, err := dispatch.NewTemplate(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	renderer := tmpl.NewRenderer(nil, dispatch.RenderOptions{
		Account: pec.MustParseAddress("studio@pec.alfa.example"),
		Date:    time.Date(2026, 9, 4, 10, 15, 34, 0, time.UTC),
	})
	row := dispatch.Row{Line: 2, Fields: map[string]string{
		"pec": "anna@pec.beta.example", "nome": "Anna", "numero": "17", "lettera": "anna.pdf",
	}}
	message, err := renderer.Render(context.Background(), row, "<17@pec.alfa.example>")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, file := range message.Attachments {
		fmt.Printf("%s, %d bytes, SHA-256 %.8s...\n", file.Name, file.Size, file.Digest)
	}
	// Output:
	// condizioni.pdf, 19 bytes, SHA-256 0f540dd3...
	// anna.pdf, 25 bytes, SHA-256 6dd8ddee...
}
