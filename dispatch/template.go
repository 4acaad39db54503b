package dispatch

import (
	"bytes"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"slices"
	"strings"
	texttemplate "text/template"

	"github.com/ceralacca/go-pec/pec"
)

// TemplateConfig is what a [Template] is made of. Subject, Text and HTML are in
// the language of text/template, HTML with the escaping of html/template.
// {{.nome}} stands for the cell of the column called nome; names are matched as
// [FieldName] has it, so {{.Nome}} is the same.
//
// A template sees one row and nothing else, and makes the same of the same row.
// Besides the functions of text/template there are
//
//	upper, lower    {{upper .comune}}
//	trim            {{trim .nota}}: without white space around it
//	split           {{range split .voci ";"}}- {{.}}{{end}}: the parts, trimmed
//
// Each column that a template uses must have something in it, in every row. One
// that the same template asks about may be empty: {{if .interno}},
// {{with .interno}}, {{or .interno "-"}}, and, not, {{if eq .interno ""}}, ne.
//
// So that the columns used are known for certain, a template may not use the row
// as a whole ({{.}}), other templates, or printf with a format that is not
// written there.
type TemplateConfig struct {
	// Subject is the subject: one line. Required.
	Subject string
	// Text and HTML are the message in two forms, of which receivers show one. One
	// of them is enough.
	Text, HTML string

	// From is shown as the author. Its Address may be left out, and is then the
	// account that sends; any other is refused when messages are made.
	From pec.Mailbox
	// ReplyTo, if its Address is not zero, is where answers should go.
	ReplyTo pec.Mailbox
	// Recipient is the column with the address; default "pec". A cell holds one
	// address, alone or after a name: Mario Rossi <rossi@pec.example>.
	Recipient string
	// RecipientName is the column with the name to show beside the address; ""
	// shows the one in the cell of the address, if there is one.
	RecipientName string

	// Attachments go with every message.
	Attachments []File
	// RowAttachments go with the message of one row, and follow the others.
	RowAttachments []RowFile
}

// Template makes a message of a row. It does not change and may be used by many
// goroutines.
type Template struct {
	cfg     TemplateConfig
	subject *texttemplate.Template
	text    *texttemplate.Template // nil if there is none
	html    *htmltemplate.Template // nil if there is none

	columns  []string        // that must exist, sorted
	filled   map[string]bool // :: column → must not be empty
	oneLined []string        // columns that go into the head
}

// TemplateError says where a template is wrong.
type TemplateError struct {
	// Part is "subject", "text" or "html".
	Part string
	// Line is the line of the template, from 1; 0 if the fault is not about one.
	Line int
	// Err says what is wrong.
	Err error
}

func (e *TemplateError) where() string {
	if e.Line == 0 {
		return e.Part
	}
	return fmt.Sprintf("%s, line %d", e.Part, e.Line)
}

func (e *TemplateError) Error() string {
	return fmt.Sprintf("dispatch: template: %s: %v", e.where(), e.Err)
}

func (e *TemplateError) Unwrap() error { return e.Err }

// The parts of a template.
const (
	partSubject = "subject"
	partText    = "text"
	partHTML    = "html"
)

// functions are those that templates have besides the ones of text/template. What
// they return follows from what they are given.
var functions = map[string]any{
	"upper": strings.ToUpper,
	"lower": strings.ToLower,
	"trim":  strings.TrimSpace,
	"split": func(s, separator string) []string {
		var parts []string
		for part := range strings.SplitSeq(s, separator) {
			if part = strings.TrimSpace(part); part != "" {
				parts = append(parts, part)
			}
		}
		return parts
	},
}

// NewTemplate makes a template. The error is a [*TemplateError] if one of Subject,
// Text and HTML can't be used. It also fails if an attachment can't: each file of
// Attachments is opened, to see that it is there and not empty.
func NewTemplate(cfg TemplateConfig) (*Template, error) {
	if cfg.Recipient == "" {
		cfg.Recipient = "pec"
	}
	cfg.Recipient, cfg.RecipientName = FieldName(cfg.Recipient), FieldName(cfg.RecipientName)
	cfg.Attachments = slices.Clone(cfg.Attachments)
	cfg.RowAttachments = slices.Clone(cfg.RowAttachments)
	t := &Template{cfg: cfg, filled: map[string]bool{cfg.Recipient: true}}
	for _, step := range []func() error{t.parseSubject, t.parseText, t.parseHTML, t.checkNames, t.checkFiles} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	t.use(cfg.Recipient)
	if cfg.RecipientName != "" {
		t.use(cfg.RecipientName)
	}
	slices.Sort(t.columns)
	return t, nil
}

// use says that a column must exist.
func (t *Template) use(column string) {
	if !slices.Contains(t.columns, column) {
		t.columns = append(t.columns, column)
	}
}

func (t *Template) parseSubject() error {
	source := strings.TrimSpace(t.cfg.Subject)
	if source == "" {
		return &TemplateError{Part: partSubject, Err: errors.New("there is none")}
	}
	if strings.ContainsAny(source, "\r\n") {
		return &TemplateError{Part: partSubject, Line: 2, Err: errors.New("more than one line")}
	}
	parsed, uses, err := t.parse(partSubject, source)
	t.subject = parsed
	t.oneLined = slices.Clone(uses)
	return err
}

func (t *Template) parseText() (err error) {
	if t.cfg.Text == "" && t.cfg.HTML == "" {
		return &TemplateError{Part: partText, Err: errors.New("there is neither text nor html")}
	}
	if t.cfg.Text != "" {
		t.text, _, err = t.parse(partText, t.cfg.Text)
	}
	return err
}

func (t *Template) parseHTML() error {
	if t.cfg.HTML == "" {
		return nil
	}
	parsed, uses, err := t.parse(partHTML, t.cfg.HTML)
	if err != nil {
		return err
	}
	t.html, err = htmltemplate.New(partHTML).Option("missingkey=error").Funcs(functions).AddParseTree(partHTML, parsed.Tree)
	if err != nil {
		return templateError(partHTML, err)
	}
	// html/template looks at what it escapes when it is first used. A row of its
	// own may fail for other reasons.
	row := make(map[string]string)
	for _, column := range uses {
		row[column] = "x"
	}
	var escaping *htmltemplate.Error
	if err := t.html.Execute(io.Discard, row); errors.As(err, &escaping) {
		return templateError(partHTML, escaping)
	}
	return nil
}

// parse reads one part, and notes which columns it uses.
func (t *Template) parse(part, source string) (*texttemplate.Template, []string, error) {
	if _, err := cellFault(source); err != nil {
		return nil, nil, &TemplateError{Part: part, Err: err}
	}
	parsed, err := texttemplate.New(part).Option("missingkey=error").Funcs(functions).Parse(source)
	if err != nil {
		return nil, nil, templateError(part, err)
	}
	if len(parsed.Templates()) > 1 {
		return nil, nil, &TemplateError{Part: part, Err: errors.New("a template within the template")}
	}
	uses, err := checkTree(part, parsed)
	if err != nil {
		return nil, nil, err
	}
	var columns []string
	for column, mayBeEmpty := range uses {
		columns = append(columns, column)
		t.use(column)
		if !mayBeEmpty {
			t.filled[column] = true
		}
	}
	return parsed, columns, nil
}

// templateError makes a TemplateError of an error of text/template or
// html/template, whose text begins with "template: part:line:".
func templateError(part string, err error) *TemplateError {
	e := &TemplateError{Part: part, Err: err}
	text := strings.Replace(err.Error(), "html/template:", "template: ", 1)
	text, ok := strings.CutPrefix(text, "template: "+part+":")
	if _, scanErr := fmt.Sscanf(text, "%d:", &e.Line); !ok || scanErr != nil {
		return e
	}
	_, text, _ = strings.Cut(text, ":")
	e.Err = errors.New(strings.TrimSpace(text))
	return e
}

// checkNames checks what is shown beside addresses.
func (t *Template) checkNames() error {
	for _, name := range []string{t.cfg.From.Name, t.cfg.ReplyTo.Name} {
		if code, err := checkDisplayName(name); code != "" {
			return fmt.Errorf("dispatch: template: the name of the sender: %s: %w", explanations[code], err)
		}
	}
	return nil
}

// executor is a template of either kind.
type executor interface {
	Execute(w io.Writer, data any) error
}

// execute runs one part on a row. What it writes is bounded.
func execute(part string, t executor, row Row, most int64) (string, *RowError) {
	out := boundedBuffer{most: most}
	err := t.Execute(&out, row.Fields)
	if errors.Is(err, errTooMuchText) {
		return "", row.fault("", FaultRule, tooLarge(most))
	}
	if err == nil {
		_, err = cellFault(out.String()) // slice can cut a character, printf write anything
	}
	if err != nil {
		return "", row.fault("", FaultTemplate, templateError(part, err))
	}
	return out.String(), nil
}

// tooLarge is the error of what can't become a message of at most so many bytes.
func tooLarge(most int64) error {
	return &pec.RuleError{
		Rule: "RFC 6109, section 3.1.1",
		Err:  fmt.Errorf("%w: more than %d bytes", pec.ErrTooLarge, most),
	}
}

var errTooMuchText = errors.New("too much text")

// boundedBuffer is a buffer that takes only so much.
type boundedBuffer struct {
	bytes.Buffer
	most int64
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if int64(b.Len()+len(p)) > b.most {
		return 0, errTooMuchText
	}
	return b.Buffer.Write(p)
}
