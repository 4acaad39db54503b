// Package tempfile makes temporary files that are not left behind: not by a process
// that is killed either, where the system allows that.
package tempfile

import (
	"errors"
	"os"
)

// File is a temporary file. It has no name (where the system allows that) and goes
// when it is closed, or with the process.
type File struct {
	*os.File
	named bool
}

// Create makes a file. Its name, while it has one, begins with prefix.
func Create(prefix string) (*File, error) {
	file, err := os.CreateTemp("", prefix)
	if err != nil {
		return nil, err
	}
	// Windows does not remove a file that is open.
	return &File{file, os.Remove(file.Name()) != nil}, nil
}

// Close closes the file, which removes it.
func (f *File) Close() error {
	err := f.File.Close()
	if f.named {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
