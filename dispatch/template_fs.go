package dispatch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Names within the folder of a template.
const (
	subjectFile    = "subject.txt"
	textFile       = "text.txt"
	htmlFile       = "html.html"
	attachmentsDir = "attachments"
	perRowDir      = "per-recipient"
)

// maxTemplateFile is the most bytes of a template in a folder.
const maxTemplateFile = 1 << 20

// ReadTemplate reads a template from a folder, for [NewTemplate]:
//
//	subject.txt              the subject
//	text.txt, html.html      the message; one of them is enough
//	attachments/             files that go with every message, by name
//	per-recipient/lettera/   files for one message each: the column called
//	                         lettera says which, by its path in here
//
// Folders that are not there have no files. Files that desktops leave behind are
// no attachments: those that begin with a dot or ~$, Thumbs.db, desktop.ini. Texts
// are in UTF-8.
func ReadTemplate(fsys fs.FS) (TemplateConfig, error) {
	var cfg TemplateConfig
	for _, part := range []struct {
		name string
		text *string
	}{{subjectFile, &cfg.Subject}, {textFile, &cfg.Text}, {htmlFile, &cfg.HTML}} {
		b, err := readTemplateFile(fsys, part.name)
		if err != nil && (part.name == subjectFile || !errors.Is(err, fs.ErrNotExist)) {
			return TemplateConfig{}, fmt.Errorf("dispatch: reading the template: %w", err)
		}
		*part.text = string(bytes.TrimPrefix(b, bomUTF8))
	}
	names, err := visible(fsys, attachmentsDir, false)
	if err != nil {
		return TemplateConfig{}, err
	}
	for _, name := range names {
		cfg.Attachments = append(cfg.Attachments, FSFile(fsys, path.Join(attachmentsDir, name)))
	}
	columns, err := visible(fsys, perRowDir, true)
	if err != nil {
		return TemplateConfig{}, err
	}
	for _, column := range columns {
		files, err := fs.Sub(fsys, path.Join(perRowDir, column))
		if err != nil {
			return TemplateConfig{}, fmt.Errorf("dispatch: reading the template: %w", err)
		}
		cfg.RowAttachments = append(cfg.RowAttachments, RowFile{Column: column, FS: files})
	}
	return cfg, nil
}

func readTemplateFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTemplateFile+1))
	if err == nil && len(b) > maxTemplateFile {
		err = fmt.Errorf("%s: more than %d bytes", name, maxTemplateFile)
	}
	return b, err
}

// visible returns the names in a folder, sorted: those of folders or those of
// files. Anything else in it is an error: nobody may think that it is sent.
func visible(fsys fs.FS, dir string, folders bool) (names []string, err error) {
	entries, err := fs.ReadDir(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("dispatch: reading the template: %w", err)
	}
	for _, entry := range entries {
		if isLeftBehind(entry.Name()) {
			continue
		}
		if entry.IsDir() != folders {
			return nil, fmt.Errorf("dispatch: reading the template: %s: a file where folders belong, or the reverse", path.Join(dir, entry.Name()))
		}
		names = append(names, entry.Name())
	}
	return names, nil
}

func isLeftBehind(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~$") ||
		strings.EqualFold(name, "Thumbs.db") || strings.EqualFold(name, "desktop.ini")
}
