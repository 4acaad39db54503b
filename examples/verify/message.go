package main

import (
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
// mislead.
func find(args []string, stdin io.Reader) ([]message, error) {
	var messages []message
	for _, arg := range args {
		if arg == "-" {
			messages = append(messages, message{arg, func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil }})
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			messages = append(messages, fileMessage(arg))
			continue
		}
		found, err := findIn(arg)
		if err != nil {
			return nil, err
		}
		messages = append(messages, found...)
	}
	return messages, nil
}

func findIn(folder string) ([]message, error) {
	var messages []message
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && strings.EqualFold(filepath.Ext(path), ".eml") {
			messages = append(messages, fileMessage(path))
		}
		return err
	})
	if err == nil && len(messages) == 0 {
		err = fmt.Errorf("%s: no file in it ends in .eml", folder)
	}
	return messages, err
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
