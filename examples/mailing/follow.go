package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// observe is told of what happens, as it happens; the progress line ends with it.
func (m *mailing) observe(e dispatch.Event) {
	text := ""
	switch e.Kind {
	case dispatch.EventPaused:
		text = "the provider asks to slow down; going on at " + e.Until.Format(time.TimeOnly)
	case dispatch.EventSuspended:
		text = "the provider refused the login"
	case dispatch.EventConnection:
		text = e.Detail + " failed; trying again"
	default:
		return
	}
	m.event.Store(&text)
}

// follow sends, and waits for answers: until every message has its last one, or
// until -wait has passed since the last one left.
func (m *mailing) follow(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- m.dispatcher.Run(ctx) }()
	err := m.watch(ctx)
	stop()
	if runErr := <-done; err == nil {
		err = runErr
	}
	m.printf("\n")
	return err
}

func (m *mailing) watch(ctx context.Context) error {
	bar := newProgress(m.out, &m.event)
	var allLeft time.Time
	ticker := time.NewTicker(bar.every)
	defer ticker.Stop()
	for {
		batch, err := m.dispatcher.Batch(ctx, m.world.account.Address, m.batch.Name)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		bar.show(batch)
		open, waiting := int64(0), batch.Counts[dispatch.Prepared]
		for state, n := range batch.Counts {
			if !state.IsFinal() {
				open += n
			}
		}
		switch {
		case open == 0:
			return nil
		case waiting > 0:
			allLeft = time.Time{}
			if err := m.stuck(ctx, batch); err != nil {
				return err
			}
		case allLeft.IsZero():
			allLeft = time.Now()
		case time.Since(allLeft) >= m.wait:
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// stuck returns an error if what has not left never will without a person.
func (m *mailing) stuck(ctx context.Context, batch dispatch.Batch) error {
	account, err := m.dispatcher.Account(ctx, m.world.account.Address)
	if err == nil && account.Suspended != "" {
		return fmt.Errorf("%s: check user and password (many providers want one made for mail programs), then start again", account.Suspended)
	}
	return nil
}

// progress shows how far the batch is: one line that changes, on a terminal, and
// a line now and then elsewhere.
type progress struct {
	out      io.Writer
	event    *atomic.Pointer[string]
	terminal bool
	every    time.Duration
	last     string
}

func newProgress(out io.Writer, event *atomic.Pointer[string]) *progress {
	p := &progress{out: out, event: event, every: 2 * time.Second}
	if file, ok := out.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.terminal, p.every = true, 100*time.Millisecond
		}
	}
	return p
}

// shown are the states in the order of the bar.
var shown = []dispatch.State{
	dispatch.Delivered, dispatch.AcceptedOrdinary, dispatch.Failed, dispatch.TimedOut, dispatch.NotAccepted, dispatch.Refused,
	dispatch.Conflict, dispatch.Unknown, dispatch.Delayed, dispatch.Accepted, dispatch.Submitted, dispatch.Prepared, dispatch.Canceled,
}

func (p *progress) show(b dispatch.Batch) {
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
		parts = append(parts, fmt.Sprintf("%d %s", n, stateTexts[state].short))
	}
	line := fmt.Sprintf("%s %d/%d sent, %d answered: %s", bar(left, final, b.Total), left, b.Total, final, strings.Join(parts, ", "))
	if event := p.event.Load(); event != nil {
		line += " (" + *event + ")"
	}
	switch {
	case p.terminal:
		fmt.Fprintf(p.out, "\r\x1b[K%s", line)
	case line != p.last:
		fmt.Fprintln(p.out, line)
	}
	p.last = line
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
