package smime

import "fmt"

// Limits bound what a message may cost. A zero field means its default, so the
// zero value is safe to use on mail from anybody.
type Limits struct {
	// Message is the most bytes of a whole message; default 100 MiB.
	Message int64
	// Head is the most bytes of one head, HeadLines the most lines of it;
	// defaults 256 KiB and 2,000.
	Head, HeadLines int
	// Signature is the most bytes of the decoded signature; default 1 MiB, which
	// is also the most there can be.
	Signature int
}

func (l Limits) withDefaults() Limits {
	set := func(n *int, def int) {
		if *n <= 0 {
			*n = def
		}
	}
	if l.Message <= 0 {
		l.Message = 100 << 20
	}
	set(&l.Head, 256<<10)
	set(&l.HeadLines, 2000)
	set(&l.Signature, 1<<20)
	l.Signature = min(l.Signature, 1<<20)
	return l
}

// LimitError says which limit was passed. It is the Err of every [Error] with
// [ReasonLimit].
type LimitError struct {
	What  string // what was counted, in words: "bytes of a message"
	Limit int64  // the most that there may be
}

// Error says what was counted, and the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("%s over the limit of %d", e.What, e.Limit)
}
