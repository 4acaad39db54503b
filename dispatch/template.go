package dispatch

import (
	"errors"

	"github.com/ceralacca/go-pec/pec"
)

// TemplateConfig is what a [Template] is made of. Subject, Text and HTML are
// templates in the language of text/template, HTML with the escaping of
// html/template; {{.nome}} stands for the cell of the column called nome, in the
// spelling that [FieldName] gives, with letters of any case.
//
// A template sees one row and nothing else, and gives the same for the same row.
// Besides the functions of text/template there are
//
//	upper, lower    {{upper .comune}}
//	trim            {{trim .note}}, without white space around it
//	split           {{range split .voci ";"}}- {{.}}{{end}}
//
// Each column that a template uses must have something in it, in every row. One
// that a template asks about, with if, with, and, or, not, may be empty:
// {{with .interno}}, interno {{.}}{{end}}. What would make that hard to tell is
// refused: templates within templates, the row as a whole ({{.}}), and printf
// with a format that is not written in the template.
type TemplateConfig struct {
	// Subject is the subject: one line, required.
	Subject string
	// Text and HTML are the message in two forms, of which receivers show one. One
	// of them is enough.
	Text, HTML string

	// From is shown as the author. Its Address may be left out, and is then the
	// account that sends; another one is refused.
	From pec.Mailbox
	// ReplyTo, if not zero, is where answers should go.
	ReplyTo pec.Mailbox
	// Recipient is the column with the address; default "pec". Each of its cells
	// holds one.
	Recipient string
	// RecipientName is the column with the name to show beside the address; ""
	// shows none.
	RecipientName string

	// Attachments go with every message.
	Attachments []File
	// RowAttachments go with the message of one row, and follow the others.
	RowAttachments []RowFile
}

// Template makes a message of a row. It does not change and may be used by many
// goroutines.
type Template struct {
	cfg TemplateConfig
}

// NewTemplate makes a template. It fails with a [*TemplateError] if a template
// can't be used, and if a file of Attachments can't be opened or is empty.
func NewTemplate(cfg TemplateConfig) (*Template, error) {
	return nil, errors.New("dispatch: NewTemplate is not written yet")
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
