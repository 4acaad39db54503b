package dispatch

import (
	"fmt"
	"strings"
)

// RowError is one fault of one row, or of the batch as a whole. Its text never
// repeats what is in a cell, nor a file name: errors end up in logs.
type RowError struct {
	// Line is where the row begins in its source, or, for a fault that has a line
	// of its own, that line; 0 if the fault is about the whole batch.
	Line int64
	// Column is the number of the column, from 1; 0 if the source does not number
	// columns or the fault is not about one.
	Column int
	// Field is the name of the column; "" if the fault is not about one.
	Field string
	// Code says what kind of fault it is.
	Code FaultCode
	// Err says more. It wraps a [*pec.RuleError] if Code is FaultRule. Its own
	// text is part of that of the RowError, but for FaultTemplate and FaultFile:
	// there it is the text of a library, which may quote the row.
	Err error
}

// FaultCode names a kind of fault. Its text is a short explanation.
type FaultCode string

// Faults of the source.
const (
	FaultHeader   FaultCode = "the header line can't be used"
	FaultSyntax   FaultCode = "the row can't be read"
	FaultCells    FaultCode = "wrong number of cells"
	FaultTooLong  FaultCode = "longer than allowed"
	FaultEncoding FaultCode = "text in another encoding"
	FaultNoRows   FaultCode = "there are no rows"
)

// Faults of a row.
const (
	FaultUnknownColumn    FaultCode = "the template uses a column that does not exist"
	FaultMissing          FaultCode = "a cell that must not be empty"
	FaultControl          FaultCode = "a line break or control character where none may be"
	FaultAddress          FaultCode = "not a PEC address"
	FaultSeveralAddresses FaultCode = "more than one address"
	FaultDoubledRecipient FaultCode = "an address that another row has too"
	FaultOtherRecipient   FaultCode = "the message shows the address of another recipient"
	FaultTemplate         FaultCode = "the template fails on this row"
	FaultSubject          FaultCode = "the subject must be one line, and not empty"
	FaultFileMissing      FaultCode = "the file does not exist"
	FaultFileEmpty        FaultCode = "the file is empty"
	FaultFileDoubled      FaultCode = "a file that another row has too"
	FaultFileName         FaultCode = "a file name that can't be used"
	FaultFile             FaultCode = "the file can't be read"
	FaultArchive          FaultCode = "an archive that holds a kind of file that the provider refuses"
	FaultRule             FaultCode = "the provider would refuse it"
)

// What is worth a warning only.
const (
	WarnUnusedColumn FaultCode = "a column that the template does not use"
	WarnSelf         FaultCode = "the recipient is the sender"
	WarnRule         FaultCode = "some receivers stumble over it"
	WarnArchive      FaultCode = "an archive that can't be looked into"
	WarnCapacity     FaultCode = "the mailbox may not hold the receipts"
)

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
	text := "dispatch: "
	if len(where) > 0 {
		text += strings.Join(where, ", ") + ": "
	}
	text += string(e.Code)
	if e.Err != nil && e.Code != FaultTemplate && e.Code != FaultFile {
		text += ": " + strings.TrimPrefix(e.Err.Error(), "pec: ")
	}
	return text
}

func (e *RowError) Unwrap() error { return e.Err }
