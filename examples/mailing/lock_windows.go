package main

import (
	"errors"
	"fmt"
	"syscall"
)

// errorSharingViolation is what Windows says when another process has a file open.
const errorSharingViolation = syscall.Errno(32)

// lock makes sure that one process at a time works with a store. The lock goes
// with the process, however it ends, so that the next one can go on at once.
func lock(name string) (unlock func(), err error) {
	path, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	const shareWithNobody = 0
	file, err := syscall.CreateFile(path, syscall.GENERIC_READ|syscall.GENERIC_WRITE, shareWithNobody, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		return nil, errLocked
	}
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	return func() { syscall.CloseHandle(file) }, nil
}
