package dispatch

import (
	"context"
	"io"
	"io/fs"
)

// File is a file to attach.
type File struct {
	// Name is the name that the recipient sees.
	Name string
	// MediaType is such as application/pdf; "" takes what the ending of the name
	// says, or application/octet-stream.
	MediaType string
	// Open opens the file. It may be called more than once, and gives the same
	// each time.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// RowFile is an attachment that each row has its own of.
type RowFile struct {
	// Column is the column that names the file.
	Column string
	// FS holds the files, if Resolve is nil. Cells are paths in it, with slashes
	// and without "..", and the recipient sees the last element.
	FS fs.FS
	// Resolve, if not nil, finds the file of a row by other means. An error that
	// wraps fs.ErrNotExist says that there is none.
	Resolve func(ctx context.Context, row Row) (File, error)
	// Optional lets cells be empty, which attaches nothing.
	Optional bool
}
