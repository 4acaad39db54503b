package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
)

// notes tell people what they should know while they watch the progress: that a
// connection failed, that the provider asks to slow down, that the disk is full.
type notes struct {
	out io.Writer

	mu    sync.Mutex
	last  string
	again time.Time // when the last one may be told again
}

// repeatAfter keeps twenty connections from saying the same thing twenty times.
const repeatAfter = 30 * time.Second

func (n *notes) tell(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if text == n.last && now.Before(n.again) {
		return
	}
	n.last, n.again = text, now.Add(repeatAfter)
	clear := ""
	if isTerminal(n.out) {
		clear = clearLine // the progress may be on it
	}
	fmt.Fprintf(n.out, "%s! %s %s\n", clear, now.Format(time.TimeOnly), text)
}

// observe is told of what happens, as it happens.
func (n *notes) observe(e dispatch.Event) {
	switch {
	case e.Kind == dispatch.EventPaused && e.Until.Sub(e.At) > time.Minute:
		n.tell("sending pauses until %s: %s", e.Until.Local().Format(time.DateTime), strings.TrimPrefix(e.Detail, "dispatch: "))
	case e.Kind == dispatch.EventSuspended:
		n.tell("sending stops: %s", e.Detail)
	}
}

// logger returns a logger that makes notes of warnings and errors.
func (n *notes) logger() *slog.Logger { return slog.New(&noteHandler{n}) }

// noteHandler is a slog.Handler for people: the message and its error, no more.
type noteHandler struct{ notes *notes }

func (h *noteHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (h *noteHandler) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			text += ": " + a.Value.String()
		}
		return true
	})
	h.notes.tell("%s", text)
	return nil
}

func (h *noteHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h *noteHandler) WithGroup(string) slog.Handler { return h }
