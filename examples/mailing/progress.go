package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// clearLine goes back to the beginning of a terminal's line and empties it.
const clearLine = "\r\x1b[K"

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress shows how far the batch is: one line that changes, on a terminal, and
// a line now and then elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
	last     string
	next     time.Time // when to show something again
}

func newProgress(out io.Writer) *progress {
	return &progress{out: out, terminal: isTerminal(out)}
}

// betweenLines is how often a line is written where lines stay.
const betweenLines = 2 * time.Second

// show shows a batch, if it is time, or in any case if it is the end.
func (p *progress) show(b dispatch.Batch, end bool) {
	line := progressLine(b)
	if line == p.last || !p.terminal && !end && time.Now().Before(p.next) {
		return
	}
	p.last, p.next = line, time.Now().Add(betweenLines)
	if p.terminal {
		fmt.Fprint(p.out, clearLine+line)
	} else {
		fmt.Fprintln(p.out, line)
	}
}

func progressLine(b dispatch.Batch) string {
	var left, final int64
	var parts []string
	for _, state := range shown {
		n := b.Counts[state]
		if n == 0 {
			continue
		}
		if state != dispatch.Prepared {
			left += n
		}
		if state.IsFinal() {
			final += n
		}
		text := stateTexts[state].short
		if state == dispatch.Unknown {
			text = "without a reply yet" // most get one in a moment, or a receipt
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, text))
	}
	return fmt.Sprintf("%s %d/%d sent, %d answered: %s", bar(left, final, b.Total), left, b.Total, final, strings.Join(parts, ", "))
}

// bar draws what has its answer as #, what has left as -, and the rest as dots.
func bar(left, final, total int64) string {
	const width = 30
	if total == 0 {
		return ""
	}
	answered, sent := int(final*width/total), int(left*width/total)
	return "[" + strings.Repeat("#", answered) + strings.Repeat("-", sent-answered) + strings.Repeat(".", width-sent) + "]"
}
