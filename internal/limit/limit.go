// Package limit has the one error by which every parser says that its input is
// larger than it agreed to read.
package limit

import "fmt"

// Error says which bound was passed.
type Error struct {
	What string // what was counted: "bytes of a head"
	Max  int64
}

func (e *Error) Error() string { return fmt.Sprintf("more than %d %s", e.Max, e.What) }

// Passed returns the Error for a bound of most that was passed.
func Passed(most int, what string) error { return &Error{What: what, Max: int64(most)} }
