//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock makes sure that one process at a time works with a store. The lock goes
// with the process, however it ends, so that the next one can go on at once.
func lock(name string) (unlock func(), err error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	return func() { file.Close() }, nil
}
