package pectest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"sync"
	"time"
)

// EventKind says what an [Event] reports.
type EventKind string

const (
	// EventSubmitted: a client handed a message over, up to the final dot. What
	// failed earlier is no submission.
	EventSubmitted EventKind = "submitted"
	// EventAccepted: the sender's provider accepted the submission.
	EventAccepted EventKind = "accepted"
	// EventRefused: it did not, and said so by SMTP or by a notice.
	EventRefused EventKind = "refused"
	// EventDelivered: the message was put into the mailbox of one recipient.
	EventDelivered EventKind = "delivered"
	// EventFailed: it was found that it can't be, for one recipient.
	EventFailed EventKind = "failed"
	// EventReceipt: a provider issued a receipt (ricevuta).
	EventReceipt EventKind = "receipt"
	// EventNotice: a provider issued a notice (avviso).
	EventNotice EventKind = "notice"
)

// Event is one line of the journal of a network. There is one
// [EventSubmitted] for each message that a client handed over, and for each of
// these exactly one [EventAccepted] or [EventRefused], at the sender's provider,
// which is written before the SMTP reply.
type Event struct {
	// Time is the simulated time.
	Time  time.Time `json:"time"`
	Event EventKind `json:"event"`
	// Provider is the domain of the provider, or of the ordinary host, at which
	// it happened.
	Provider string `json:"provider"`
	// MessageID is the one that the client gave, with angle brackets.
	MessageID string `json:"msgid"`
	// ID is the provider's identifier of the transmission, if there is one.
	ID string `json:"identificativo"`
	// From is the sender of the message.
	From string `json:"from"`
	// To are the recipients of the message that the event is about.
	To []string `json:"to"`
	// SHA256 is, in hexadecimal, the digest of the bytes that were submitted,
	// without the doubling of dots. What is delivered differs from them in the
	// fields that providers change. Ordinary mail has it at submission only.
	SHA256 string `json:"sha256"`
	// Detail says more: the kind of a receipt, why something failed, and what the
	// scenario did about it.
	Detail string `json:"detail"`
}

// journal keeps events, in a file, in memory not at all.
type journal struct {
	mu   sync.Mutex
	file *os.File
	path string
	copy io.Writer // nil, or takes the same lines
	size int64
}

func newJournal(copy io.Writer) (*journal, error) {
	file, err := os.CreateTemp("", "pectest-journal-*")
	if err != nil {
		return nil, fmt.Errorf("making the journal: %w", err)
	}
	j := &journal{file: file, copy: copy}
	if os.Remove(file.Name()) != nil {
		j.path = file.Name()
	}
	return j, nil
}

func (j *journal) close() error {
	err := j.file.Close()
	if j.path != "" {
		os.Remove(j.path)
	}
	return err
}

// write appends an event. When it returns, the event is in the copy.
func (j *journal) write(e Event) error {
	if e.To == nil {
		e.To = []string{}
	}
	var b bytes.Buffer
	line := json.NewEncoder(&b)
	line.SetEscapeHTML(false) // a msgid is easier to search for as it is
	if err := line.Encode(e); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n, err := j.file.WriteAt(b.Bytes(), j.size)
	if err != nil {
		return err
	}
	j.size += int64(n)
	if j.copy != nil {
		_, err = j.copy.Write(b.Bytes())
	}
	return err
}

// events reads the events that are there.
func (j *journal) events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		j.mu.Lock()
		size := j.size
		j.mu.Unlock()
		in := bufio.NewScanner(io.NewSectionReader(j.file, 0, size))
		in.Buffer(nil, math.MaxInt32)
		for in.Scan() {
			var e Event
			if json.Unmarshal(in.Bytes(), &e) != nil || !yield(e) {
				return
			}
		}
	}
}
