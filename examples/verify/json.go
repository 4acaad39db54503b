package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// jsonLines writes one object a line.
type jsonLines struct{ w io.Writer }

func newJSONLines(w io.Writer) jsonLines { return jsonLines{w} }

// write writes a record. Characters that could command the terminal on which
// somebody looks at it are escaped; JSON itself asks for that of some only.
func (j jsonLines) write(rec record) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(rec); err != nil {
		return err
	}
	var line strings.Builder
	for _, c := range strings.TrimSuffix(b.String(), "\n") {
		if !unicode.IsControl(c) && !unicode.Is(unicode.Cf, c) {
			line.WriteRune(c)
			continue
		}
		for _, unit := range utf16.Encode([]rune{c}) {
			fmt.Fprintf(&line, `\u%04x`, unit)
		}
	}
	line.WriteByte('\n')
	_, err := io.WriteString(j.w, line.String())
	return err
}

// record is what scripts read. Fields of evidence come from signed data and are
// null unless the message was verified.
type record struct {
	File           string   `json:"file"`
	Verdict        string   `json:"verdict"`
	Reason         *string  `json:"reason"`
	Detail         *string  `json:"detail"`
	Kind           *string  `json:"kind"`
	MsgID          *string  `json:"msgid"`
	Identificativo *string  `json:"identificativo"`
	Mittente       *string  `json:"mittente"`
	Gestore        *string  `json:"gestore"`
	Recipient      *string  `json:"recipient"`
	Recipients     []string `json:"recipients"`
	Errore         *string  `json:"errore"`
	ErroreEsteso   *string  `json:"errore_esteso"`
	Date           *string  `json:"date"` // RFC 3339, UTC
	SignerEmail    *string  `json:"signer_email"`
	Remarks        []string `json:"remarks"`
	Milliseconds   float64  `json:"ms"`
}

func (j jsonLines) print(r result) error {
	rec := record{
		File:         r.name,
		Verdict:      string(verdict(r.err)),
		Remarks:      []string{},
		Milliseconds: float64(r.took.Microseconds()) / 1000,
	}
	if r.err != nil {
		code, detail := reason(r.err)
		rec.Reason, rec.Detail = optional(code), optional(detail)
		return j.write(rec)
	}
	rec.Kind = optional(string(r.message.Kind()))
	rec.SignerEmail = optional(r.message.Signer().Address.String())
	for _, remark := range r.message.Remarks() {
		rec.Remarks = append(rec.Remarks, string(remark.Code))
	}
	if data, ok := certData(r.message); ok {
		rec.setData(data)
	}
	return j.write(rec)
}

func (j jsonLines) end() error { return nil }

func (r *record) setData(d pec.CertData) {
	r.MsgID = optional(d.MessageID)
	r.Identificativo = optional(d.ID)
	r.Mittente = optional(d.Sender.String())
	r.Gestore = optional(d.Issuer)
	r.Recipient = optional(d.Delivery.String())
	for _, recipient := range d.Recipients {
		r.Recipients = append(r.Recipients, recipient.Address.String())
	}
	r.Errore = optional(string(d.Error))
	r.ErroreEsteso = optional(d.ErrorDetail)
	r.Date = optional(d.Time.UTC().Format(time.RFC3339))
}

// certData returns the certification data of a verified message, if it has any:
// an anomaly envelope certifies nothing.
func certData(m receipt.Message) (pec.CertData, bool) {
	switch m := m.(type) {
	case *receipt.Receipt:
		return m.Data(), true
	case *receipt.Transport:
		return m.Data(), true
	}
	return pec.CertData{}, false
}

// verdict is that of package receipt; what could not even be read is malformed.
func verdict(err error) receipt.Verdict {
	if v := receipt.VerdictOf(err); v != "" {
		return v
	}
	return receipt.Malformed
}

// unreadable is the code of what package receipt never saw.
const unreadable = "unreadable"

// reason returns the code of a refusal, and what it says in words.
func reason(err error) (code, detail string) {
	var e *receipt.Error
	if !errors.As(err, &e) {
		return unreadable, err.Error()
	}
	detail = e.Part
	if d := e.Detail(); d != "" {
		detail += ": " + d
	}
	if e.Section != "" {
		detail += " (" + e.Section + ")"
	}
	return string(e.Code), detail
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
