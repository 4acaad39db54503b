package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/receipt"
)

// message is one input.
type message struct {
	name string
	open func() (io.ReadCloser, error)
}

// find lists the messages that the arguments name. What does not exist, and a
// folder without any, is an error: to say that all of nothing was verified would
// mislead. The other arguments are looked at all the same.
func find(args []string, stdin io.Reader) ([]message, error) {
	var messages []message
	var faults []error
	for _, arg := range args {
		if arg == "-" {
			messages = append(messages, message{arg, func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil }})
			continue
		}
		info, err := os.Stat(arg)
		switch {
		case err != nil:
			faults = append(faults, err)
		case !info.IsDir():
			messages = append(messages, fileMessage(arg))
		default:
			found := findIn(arg)
			if len(found) == 0 {
				faults = append(faults, fmt.Errorf("%s: no file in it ends in .eml", arg))
			}
			messages = append(messages, found...)
		}
	}
	return messages, errors.Join(faults...)
}

// findIn lists the messages in a folder and in those below it. Links to files are
// followed, links to folders are not, since they may lead around in a circle.
func findIn(folder string) []message {
	var found folderMessages
	// With a separator behind its name, a link to a folder is that folder.
	filepath.WalkDir(folder+string(filepath.Separator), found.visit)
	return found
}

// folderMessages are the messages of a folder.
type folderMessages []message

// visit is an [fs.WalkDirFunc]. What can't be looked at is listed as a message that
// can't be read, and the rest is looked at all the same.
func (f *folderMessages) visit(path string, entry fs.DirEntry, err error) error {
	switch {
	case err != nil:
	case entry.IsDir() || !strings.EqualFold(filepath.Ext(path), ".eml"):
		return nil
	default:
		var info fs.FileInfo
		if info, err = os.Stat(path); err == nil && !info.Mode().IsRegular() {
			return nil
		}
	}
	m := fileMessage(path)
	if err != nil {
		m.open = func() (io.ReadCloser, error) { return nil, err }
	}
	*f = append(*f, m)
	return nil
}

func fileMessage(path string) message {
	return message{path, func() (io.ReadCloser, error) { return os.Open(path) }}
}

// result is the judgement of one message.
type result struct {
	name    string
	message receipt.Message // nil unless verified
	err     error
	took    time.Duration
}

func (m message) verify(opts receipt.Options) result {
	r := result{name: m.name}
	start := time.Now()
	in, err := m.open()
	if err != nil {
		r.err = err
		return r
	}
	defer in.Close()
	r.message, r.err = receipt.VerifyMessage(in, opts)
	r.took = time.Since(start)
	return r
}
