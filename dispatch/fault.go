package dispatch

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ceralacca/go-pec/pec"
)

// RowError is one fault of one row, or of the batch as a whole. Its text never
// repeats what is in a cell, nor a file name: errors end up in logs.
type RowError struct {
	// Line is where the row begins in its source; 0 if the fault is about the
	// batch as a whole.
	Line int64
	// Column is the number of the column, from 1; 0 if the source does not number
	// columns, or the fault is not about one.
	Column int
	// Field is the name of the column; "" if the fault is not about one.
	Field string
	// Code says what kind of fault it is.
	Code FaultCode
	// Err says more; it may be nil. With FaultRule and WarnRule it is a
	// [*pec.RuleError], unless the message does not say what it should. With FaultTemplate, FaultFile and FaultFileMissing it is
	// that of a library, which may quote the row: it is not part of the text.
	Err error
}

// FaultCode names a kind of fault.
type FaultCode string

// Faults of a source.
const (
	FaultHeader   FaultCode = "header"    // the line that names the columns can't be used
	FaultSyntax   FaultCode = "syntax"    // a row that can't be read
	FaultCells    FaultCode = "cells"     // more cells than columns, or fewer
	FaultTooLong  FaultCode = "too-long"  // a cell or row longer than allowed
	FaultEncoding FaultCode = "encoding"  // text in another encoding, or damaged
	FaultControl  FaultCode = "control"   // a line break or control character where none may be
	FaultNoRows   FaultCode = "no-rows"   // there are no rows
	FaultColumn   FaultCode = "no-column" // the template uses a column that does not exist
)

// Faults of a row.
const (
	FaultMissing          FaultCode = "empty-cell"         // nothing where the template needs something
	FaultAddress          FaultCode = "address"            // not an address that PEC can certify
	FaultSeveralAddresses FaultCode = "several-addresses"  // more than one address in a cell
	FaultDoubledRecipient FaultCode = "doubled-recipient"  // an address that an earlier row has
	FaultOtherRecipient   FaultCode = "other-recipient"    // the message shows the address of another row
	FaultTemplate         FaultCode = "template"           // the template fails on this row
	FaultSubject          FaultCode = "subject"            // the subject is empty, or more than a line
	FaultFileMissing      FaultCode = "file-missing"       // the file does not exist
	FaultFileEmpty        FaultCode = "file-empty"         // the file has no bytes
	FaultFileDoubled      FaultCode = "file-doubled"       // the same file as in an earlier row
	FaultFileName         FaultCode = "file-name"          // a name that can't be a path, or not shown to a recipient
	FaultFile             FaultCode = "file"               // the file can't be read
	FaultArchive          FaultCode = "archive-of-blocked" // a zip with a kind of file that the provider refuses
	FaultRule             FaultCode = "rule"               // the provider would refuse the message
)

// What is worth a warning, and never a fault.
const (
	WarnUnusedColumn FaultCode = "unused-column" // the template does not use the column
	WarnSelf         FaultCode = "self"          // the recipient is the sender
	WarnArchive      FaultCode = "archive"       // a zip that can't be looked into
	WarnRule         FaultCode = "receivers"     // some receivers stumble over the message
	WarnCapacity     FaultCode = "capacity"      // the mailbox may not hold the receipts
)

// explanations are what a person reads.
var explanations = map[FaultCode]string{
	FaultHeader:           "the first line does not name the columns",
	FaultSyntax:           "the row can't be read",
	FaultCells:            "the number of cells is not that of the columns",
	FaultTooLong:          "too long",
	FaultEncoding:         "the text is in another encoding, or damaged",
	FaultControl:          "a line break or control character where none may be",
	FaultNoRows:           "there are no rows",
	FaultColumn:           "the template uses a column that does not exist",
	FaultMissing:          "the cell is empty",
	FaultAddress:          "not a PEC address",
	FaultSeveralAddresses: "more than one address in a cell",
	FaultDoubledRecipient: "an earlier row has this address",
	FaultOtherRecipient:   "the message shows the address of another recipient",
	FaultTemplate:         "the template fails on this row",
	FaultSubject:          "the subject is not one line of text",
	FaultFileMissing:      "the file does not exist",
	FaultFileEmpty:        "the file is empty",
	FaultFileDoubled:      "an earlier row has this file",
	FaultFileName:         "a file name that can't be used",
	FaultFile:             "the file can't be read",
	FaultArchive:          "the archive holds a kind of file that the provider refuses",
	FaultRule:             "the provider would refuse the message",
	WarnUnusedColumn:      "the template does not use this column",
	WarnSelf:              "the recipient is the sender",
	WarnArchive:           "the archive can't be looked into",
	WarnRule:              "some receivers stumble over the message",
	WarnCapacity:          "the mailbox may not hold the receipts",
}

func (e *RowError) Error() string {
	var where []string
	if e.Line > 0 {
		where = append(where, fmt.Sprintf("line %d", e.Line))
	}
	if e.Column > 0 {
		where = append(where, fmt.Sprintf("column %d", e.Column))
	}
	if e.Field != "" {
		where = append(where, fmt.Sprintf("%q", e.Field))
	}
	text := explanations[e.Code]
	if len(where) > 0 {
		text = strings.Join(where, ", ") + ": " + text
	}
	if detail := e.detail(); detail != "" {
		text += ": " + detail
	}
	return "dispatch: " + text
}

// detail is what of Err may be told to everybody.
func (e *RowError) detail() string {
	switch e.Code {
	case FaultFile, FaultFileMissing:
		return ""
	case FaultTemplate:
		var at *TemplateError
		if errors.As(e.Err, &at) {
			return at.where()
		}
		return ""
	}
	if e.Err == nil {
		return ""
	}
	text := strings.TrimPrefix(e.Err.Error(), pec.ErrAddress.Error()+": ")
	return strings.TrimPrefix(text, "pec: ")
}

func (e *RowError) Unwrap() error { return e.Err }

// rowErrors returns the faults that an error joins, and the rest of it, or nil.
func rowErrors(err error) (faults []*RowError, rest error) {
	for _, e := range flatten(err) {
		var fault *RowError
		if errors.As(e, &fault) {
			faults = append(faults, fault)
		} else {
			rest = errors.Join(rest, e)
		}
	}
	return faults, rest
}

// flatten returns the errors that an error joins, or that one, or none for nil.
func flatten(err error) (all []error) {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

// joinFaults makes one error of the faults of a row, or nil.
func joinFaults(faults []*RowError) error {
	if len(faults) == 0 {
		return nil
	}
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}
