package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// File is a file to attach.
type File struct {
	// Name is the name that the recipient sees.
	Name string
	// MediaType is such as application/pdf, without parameters; "" takes what the
	// ending of the name says, or application/octet-stream.
	MediaType string
	// Open opens the file. It is called more than once, and gives the same each
	// time.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// FSFile returns a file of a file system; its Name is the last element of its path.
func FSFile(fsys fs.FS, name string) File {
	return File{
		Name: path.Base(name),
		Open: func(context.Context) (io.ReadCloser, error) { return fsys.Open(name) },
	}
}

// RowFile is an attachment that differs from row to row.
type RowFile struct {
	// Column is the column that names the file.
	Column string
	// FS holds the files, if Resolve is nil. Cells are paths in it, with slashes
	// and without "..", and the recipient sees the last element.
	FS fs.FS
	// Resolve, if not nil, finds the file of a row in another way. An error that
	// wraps fs.ErrNotExist says that there is none.
	Resolve func(ctx context.Context, row Row) (File, error)
	// Optional lets cells be empty, and then attaches nothing.
	Optional bool
}

// checkFiles checks what of the attachments is known before there are rows.
func (t *Template) checkFiles() error {
	names := make(map[string]bool)
	for i, f := range t.cfg.Attachments {
		err := checkFile(f)
		if err == nil && names[strings.ToLower(f.Name)] {
			err = errors.New("another one has the same name")
		}
		if err == nil {
			err = isThere(f)
		}
		if err != nil {
			return fmt.Errorf("dispatch: template: attachment %d: %w", i+1, err)
		}
		names[strings.ToLower(f.Name)] = true
	}
	for i := range t.cfg.RowAttachments {
		f := &t.cfg.RowAttachments[i]
		f.Column = FieldName(f.Column)
		if f.Column == "" || f.FS == nil && f.Resolve == nil {
			return fmt.Errorf("dispatch: template: row attachment %d: no column, or neither FS nor Resolve", i+1)
		}
		t.use(f.Column)
		if !f.Optional {
			t.filled[f.Column] = true
		}
	}
	return nil
}

// checkFile checks what is said of a file.
func checkFile(f File) error {
	if err := checkFileName(f.Name); err != nil {
		return fmt.Errorf("its name: %w", err)
	}
	if f.Open == nil {
		return errors.New("no Open")
	}
	if f.MediaType != "" && !isMediaType(f.MediaType) {
		return errors.New("not a media type that an attachment can have")
	}
	return nil
}

func isThere(f File) error {
	in, err := f.Open(context.Background())
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.ReadFull(in, make([]byte, 1)); err == io.EOF {
		return errors.New("it is empty")
	} else if err != nil {
		return err
	}
	return nil
}

// isMediaType reports whether s is type/subtype. Multiparts and messages can't
// be encoded in base64. RFC 2045, section 6.4; RFC 2046, section 5.2.1.
func isMediaType(s string) bool {
	major, minor, _ := strings.Cut(s, "/")
	for _, token := range []string{major, minor} {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool {
			return r > '~' || !isWordByte(byte(r)) && strings.IndexByte("#$&^_.", byte(r)) < 0 || r == '/' || r == '*'
		}) {
			return false
		}
	}
	major = strings.ToLower(major)
	return major != "multipart" && major != "message"
}

// mediaTypes are those of the endings that offices use. The table of the machine
// is not asked: the bytes of a message must not depend on where it is made.
var mediaTypes = map[string]string{
	".csv":  "text/csv",
	".doc":  "application/msword",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".htm":  "text/html",
	".html": "text/html",
	".jpeg": "image/jpeg",
	".jpg":  "image/jpeg",
	".json": "application/json",
	".odp":  "application/vnd.oasis.opendocument.presentation",
	".ods":  "application/vnd.oasis.opendocument.spreadsheet",
	".odt":  "application/vnd.oasis.opendocument.text",
	".p7m":  "application/pkcs7-mime",
	".p7s":  "application/pkcs7-signature",
	".pdf":  "application/pdf",
	".png":  "image/png",
	".ppt":  "application/vnd.ms-powerpoint",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".rtf":  "application/rtf",
	".tif":  "image/tiff",
	".tiff": "image/tiff",
	".tsd":  "application/timestamped-data",
	".txt":  "text/plain",
	".xls":  "application/vnd.ms-excel",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".xml":  "application/xml",
	".zip":  "application/zip",
}

func mediaTypeOf(f File) string {
	if f.MediaType != "" {
		return strings.ToLower(f.MediaType)
	}
	if known := mediaTypes[strings.ToLower(path.Ext(f.Name))]; known != "" {
		return known
	}
	return "application/octet-stream"
}

// file returns the file of a row, and false if there is none and need not be.
func (f *RowFile) file(ctx context.Context, row Row) (File, bool, error) {
	cell := row.Fields[f.Column]
	if cell == "" {
		return File{}, false, nil // a fault already, unless it is optional
	}
	if f.Resolve == nil {
		if !fs.ValidPath(cell) {
			return File{}, false, row.fault(f.Column, FaultFileName, errors.New("not a path within the folder"))
		}
		found := FSFile(f.FS, cell)
		return found, true, f.check(found, row)
	}
	found, err := f.Resolve(ctx, row)
	if err != nil {
		return File{}, false, fileFault(row, f.Column, err)
	}
	return found, true, f.check(found, row)
}

func (f *RowFile) check(found File, row Row) error {
	if err := checkFile(found); err != nil {
		return row.fault(f.Column, FaultFileName, err)
	}
	return nil
}

// fileFault makes a fault of the error of a file.
func fileFault(row Row, column string, err error) *RowError {
	code := FaultFile
	if errors.Is(err, fs.ErrNotExist) {
		code = FaultFileMissing
	}
	return row.fault(column, code, err)
}
